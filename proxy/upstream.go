package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// complete asks the server for a completion. Where the answer that the client
// wants does not fit beside the prompt, it asks once more for what fits, and
// says so in clamped.
func (c *core) complete(ctx context.Context, a ask) (done *completion, clamped bool, f *fault) {
	done, f = c.post(ctx, a, asAsked)
	if f == nil || f.overflow == nil {
		return done, false, f
	}
	if f.overflow.limit == 0 {
		if f.overflow.limit = c.contextLength(ctx, a.requestID); f.overflow.limit == 0 {
			return nil, false, f
		}
	}
	room, tooLong := c.room(ctx, a, *f.overflow)
	if tooLong != nil {
		tooLong.body, tooLong.contentType = f.body, f.contentType
		return nil, false, tooLong
	}
	done, again := c.post(ctx, a, room)
	if again == nil || again.overflow == nil {
		return done, again == nil, again
	}
	again.overflow.limit = f.overflow.limit
	tooLong = again.overflow.tooLong()
	tooLong.body, tooLong.contentType = again.body, again.contentType
	return nil, false, tooLong
}

// room returns how many tokens the context leaves for the answer: a number, or
// noLimit where only the server knows. Where it leaves none, that is a fault.
func (c *core) room(ctx context.Context, a ask, o overflow) (int, *fault) {
	if !o.exact {
		// The server stopped counting. It counts to the end when asked to.
		n, err := c.tokenize(ctx, a)
		if err != nil {
			// Without max_tokens vLLM gives what its context leaves.
			return noLimit, nil
		}
		o.prompt, o.exact = n, true
	}
	if room := o.limit - o.prompt; room > 0 {
		return room, nil
	}
	return 0, o.tooLong()
}

// post sends one chat completion and reads the answer whole.
func (c *core) post(ctx context.Context, a ask, maxTokens int) (*completion, *fault) {
	res, err := c.send(ctx, http.MethodPost, "/v1/chat/completions", a.requestID, a.body(maxTokens))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer res.Body.Close()
	body, err := readAll(io.LimitReader(res.Body, answerLimit+1), res.ContentLength, nil)
	if err != nil {
		return nil, c.unreachable(ctx, fmt.Errorf("its answer broke off after %d bytes: %w", len(body), err))
	}
	if len(body) > answerLimit {
		return nil, &fault{status: http.StatusBadGateway, message: fmt.Sprintf("the model server's answer is longer than %d bytes", answerLimit)}
	}
	if res.StatusCode != http.StatusOK {
		return nil, upstreamFault(res.StatusCode, res.Header, body)
	}
	if f := embeddedError(body); f != nil {
		return nil, f
	}
	done, err := parseCompletion(body)
	if err != nil {
		return nil, &fault{status: http.StatusBadGateway, message: "the model server's answer is no chat completion: " + err.Error()}
	}
	return done, nil
}

// embeddedError finds an error that came with status 200: some servers answer
// so when the engine fails after they have sent their header.
func embeddedError(body []byte) *fault {
	if !bytes.Contains(body[:min(len(body), 200)], []byte(`"error"`)) {
		return nil
	}
	var e struct {
		Object string
		Error  json.RawMessage
		Code   int
	}
	if json.Unmarshal(body, &e) != nil || (isNull(e.Error) && e.Object != "error") {
		return nil
	}
	var nested struct{ Code int }
	json.Unmarshal(e.Error, &nested) // a code that is no number is no status
	status := max(e.Code, nested.Code)
	if status < 400 || status > 599 {
		status = http.StatusBadGateway
	}
	return upstreamFault(status, http.Header{"Content-Type": {"application/json"}}, body)
}

// send makes one request to the server.
func (c *core) send(ctx context.Context, method, path, requestID string, body []byte) (*http.Response, error) {
	if c.cfg.Upstream == nil {
		return nil, errNoUpstream
	}
	u := *c.cfg.Upstream
	u.Path += path
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "dail-proxy")
	if requestID != "" {
		req.Header.Set("X-Request-Id", requestID)
	}
	for k, v := range c.cfg.Header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	return c.cfg.Transport.RoundTrip(req)
}

// unreachable is the fault of a server that gave no answer.
func (c *core) unreachable(ctx context.Context, err error) *fault {
	if ctx.Err() != nil {
		return &fault{status: statusClientGone, message: "the client left"}
	}
	at := "the model server"
	if c.cfg.Upstream != nil {
		at += " at " + c.cfg.Upstream.Redacted()
	}
	return &fault{status: http.StatusBadGateway, message: at + " gave no answer: " + err.Error() + "; see that it runs and that Config.Upstream names it"}
}

// statusClientGone is nginx's status for a client that left; nobody sees it.
const statusClientGone = 499

// sideTimeout bounds the small requests beside a completion.
const sideTimeout = 30 * time.Second

// tokenize has the server count the prompt's tokens.
func (c *core) tokenize(ctx context.Context, a ask) (int, error) {
	if a.prompt == nil {
		return 0, fmt.Errorf("no prompt to count")
	}
	var t struct{ Count int }
	if err := c.side(ctx, http.MethodPost, "/tokenize", a.requestID, a.prompt(), &t); err != nil {
		return 0, err
	}
	if t.Count <= 0 {
		return 0, fmt.Errorf("/tokenize: no count in the answer")
	}
	return t.Count, nil
}

// contextLength is the server's context in tokens; 0 where nobody says it.
func (c *core) contextLength(ctx context.Context, requestID string) int {
	if c.cfg.MaxModelLen > 0 {
		return c.cfg.MaxModelLen
	}
	list, err := c.listModels(ctx, requestID)
	if err != nil {
		return 0
	}
	longest := 0
	for _, m := range list {
		if m.ID == c.cfg.Model || c.cfg.Model == "" {
			longest = max(longest, m.MaxModelLen)
		}
	}
	return longest
}

// upstreamModel is an entry of the server's /v1/models.
type upstreamModel struct {
	ID          string
	Created     int64
	MaxModelLen int `json:"max_model_len"`
}

func (c *core) listModels(ctx context.Context, requestID string) ([]upstreamModel, error) {
	var list struct{ Data []upstreamModel }
	err := c.side(ctx, http.MethodGet, "/v1/models", requestID, nil, &list)
	return list.Data, err
}

// side makes a small request and decodes its JSON answer into v.
func (c *core) side(ctx context.Context, method, path, requestID string, body []byte, v any) error {
	ctx, cancel := context.WithTimeout(ctx, sideTimeout)
	defer cancel()
	res, err := c.send(ctx, method, path, requestID, body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		return upstreamFault(res.StatusCode, res.Header, answer)
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
