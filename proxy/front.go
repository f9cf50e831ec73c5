package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
)

// Front stands in front of a server that speaks the Anthropic Messages API by
// itself: LiteLLM, or vLLM's own /v1/messages. It is an [http.Handler] with the
// routes of [Messages]. Bodies pass through it as they are, in both directions.
//
// What it adds is what a run needs of a gateway: it alone holds the server's
// key, it knows agents by their tokens, it records every request, and it keeps
// a silent stream alive. LiteLLM sends nothing while it waits, and Claude Code
// gives up on a stream that is silent for five minutes.
//
// [Config.Model] means nothing to it.
type Front struct{ core *core }

// NewFront returns a gateway for cfg. It starts nothing and holds nothing open
// but the transport's idle connections.
func NewFront(cfg Config) *Front { return &Front{newCore(cfg)} }

// InFlight returns how many inference requests are under way.
func (f *Front) InFlight() int { return int(f.core.inFlight.Load()) }

// ServeHTTP implements [http.Handler]. What is not listed in [Messages] is 404:
// the server behind may have an API for its administrator, and the key that is
// added here opens it.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serveMessagesAPI(w, r, f.core, f.messages, f.side, f.side)
}

// messages answers one inference request.
func (f *Front) messages(w http.ResponseWriter, r *http.Request) {
	s := f.core.begin(w, r, "messages")
	defer s.end()
	d := &anthropic{newID: f.core.newID}
	caller, ok := f.core.cfg.identify(r)
	s.caller(caller)
	if !ok {
		f.core.refuse(w, d, unknownToken(), s)
		return
	}
	body, bad := f.core.readBody(w, r)
	if bad != nil {
		f.core.refuse(w, d, bad, s)
		return
	}
	question, stream, err := frontQuestion(body)
	if err != nil {
		f.core.refuse(w, d, &fault{status: http.StatusBadRequest, message: err.Error()}, s)
		return
	}
	s.rec.Streamed = stream
	s.body(question...)
	s.rec.QueueS = s.since()

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := newClient(w)
	beat := f.core.startBeat(cancel, out, d, s)
	res, err := f.forward(ctx, r, s.rec.ID, body)
	if err == nil && res.StatusCode == http.StatusOK {
		defer res.Body.Close()
		f.relay(out, beat, res, s)
		f.note(r, out, s)
		return
	}
	committed := beat.stop()
	switch {
	case err != nil:
		bad = f.core.unreachable(ctx, err)
	default:
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		bad = f.core.frontFault(res, text)
	}
	if committed {
		s.rec.Status, s.rec.Error = http.StatusOK, bad.Error()
		f.core.logFault(ctx, s, bad)
		out.write(d.lateFault(bad))
	} else {
		f.core.refuse(w, d, bad, s)
	}
	f.note(r, out, s)
}

// note says of a client that has left that it has; whatever else was seen is a
// consequence.
func (f *Front) note(r *http.Request, out *client, s *span) {
	switch {
	case r.Context().Err() != nil:
		s.rec.Error = "the client left before the answer was complete"
	case out.err != nil:
		s.rec.Error = "write to the client: " + out.err.Error()
	}
}

// frontFault reads an error answer. A prompt that is too long is told in the
// words on which the client compacts, as Messages does.
func (c *core) frontFault(res *http.Response, body []byte) *fault {
	f := upstreamFault(res.StatusCode, res.Header, body)
	if f.overflow == nil {
		return f
	}
	o := *f.overflow
	if o.limit == 0 {
		o.limit = c.cfg.MaxModelLen
	}
	if o.limit == 0 || o.exact && o.prompt < o.limit {
		return f // it is the answer that does not fit beside the prompt
	}
	if !o.exact {
		// The server stopped counting, and said a number that may be any.
		o.prompt = max(o.prompt, o.limit+1)
	}
	return o.tooLong()
}

// relay sends the server's answer on as it comes.
func (f *Front) relay(out *client, b *beat, res *http.Response, s *span) {
	s.rec.Status = http.StatusOK
	if !s.rec.Streamed || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		f.relayWhole(out, b, res, s)
		return
	}
	var seen frontStream
	buf := make([]byte, 32<<10)
	for {
		n, err := res.Body.Read(buf)
		if n > 0 {
			if seen.read(buf[:n]); seen.begun && s.rec.FirstByteS == 0 {
				s.rec.FirstByteS = s.since()
			}
			if !b.pass(buf[:n]) {
				err = io.ErrClosedPipe // the client's: see note
			}
		}
		if err == nil {
			continue
		}
		b.stop()
		s.rec.UpstreamS = s.since()
		seen.note(s)
		switch {
		case err == io.EOF && !seen.ended && s.rec.Error == "":
			s.rec.Error = "the server's stream ended before the answer was complete"
		case err != nil && err != io.EOF:
			s.rec.Error = "read the server's stream: " + err.Error()
		}
		return
	}
}

// relayWhole sends an answer that is one JSON object.
func (f *Front) relayWhole(out *client, b *beat, res *http.Response, s *span) {
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	committed := b.stop()
	s.rec.UpstreamS = s.since()
	if err != nil {
		s.rec.Error = "read the server's answer: " + err.Error()
		return
	}
	noteMessage(body, s)
	if !committed {
		h := out.w.Header()
		h.Set("Content-Type", res.Header.Get("Content-Type"))
	}
	s.rec.FirstByteS = s.since()
	out.write(body)
}

// side forwards a small request beside the inference.
func (f *Front) side(w http.ResponseWriter, r *http.Request, id string) {
	body, bad := f.core.readBody(w, r)
	if bad != nil {
		anthropicError(w, bad)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sideTimeout)
	defer cancel()
	res, err := f.forward(ctx, r, id, body)
	if err != nil {
		anthropicError(w, f.core.unreachable(ctx, err))
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	switch {
	case err != nil:
		anthropicError(w, f.core.unreachable(ctx, err))
	case res.StatusCode != http.StatusOK:
		anthropicError(w, upstreamFault(res.StatusCode, res.Header, text))
	default:
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		w.Write(text)
	}
}

// forwarded are the client's headers that the server gets to see. Its token is
// not among them, and none by which LiteLLM could be told to ask elsewhere.
func forwarded() []string {
	return []string{"Content-Type", "Accept", "User-Agent", "Anthropic-Version", "Anthropic-Beta", "X-Claude-Code-Session-Id"}
}

// forward asks the server what the client asked.
func (f *Front) forward(ctx context.Context, r *http.Request, id string, body []byte) (*http.Response, error) {
	cfg := &f.core.cfg
	if cfg.Upstream == nil {
		return nil, errNoUpstream
	}
	u := *cfg.Upstream
	u.Path += r.URL.Path
	u.RawQuery = r.URL.RawQuery
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, k := range forwarded() {
		if v := r.Header[k]; len(v) > 0 {
			req.Header[k] = v
		}
	}
	req.Header.Set("X-Request-Id", id)
	for k, v := range cfg.Header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	return cfg.Transport.RoundTrip(req)
}

// frontQuestion finds in a Messages request what makes it this question: what
// a server puts into the prompt, in that order.
func frontQuestion(body []byte) (question [][]byte, stream bool, err error) {
	question = make([][]byte, 3)
	r := &jsonReader{b: body}
	r.object(func(key []byte) {
		switch string(key) {
		case "tools":
			question[0] = r.raw()
		case "system":
			question[1] = r.raw()
		case "messages":
			question[2] = r.raw()
		case "stream":
			stream = r.boolean()
		default:
			r.skip()
		}
	})
	return question, stream, r.done()
}

// noteMessage takes the figures from a whole answer.
func noteMessage(body []byte, s *span) {
	var e frontEvent
	if !e.read(body) {
		return
	}
	s.rec.StopReason = e.StopReason
	e.Usage.note(s)
}
