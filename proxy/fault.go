package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// A fault is why a request was not answered. Each dialect writes it in its own
// form.
type fault struct {
	// status is the HTTP status: the server's own, or one of ours.
	status int
	// message says what went wrong, for people.
	message string
	// body and contentType are the server's own error, where there is one.
	body        []byte
	contentType string
	// retryAfter is the server's Retry-After.
	retryAfter string
	// overflow is set where prompt and answer exceed the context.
	overflow *overflow
}

func (f *fault) Error() string { return itoa(f.status) + ": " + f.message }

// upstreamFault reads an error answer of the server.
func upstreamFault(status int, h http.Header, body []byte) *fault {
	f := &fault{
		status:      status,
		message:     withoutInput(errorMessage(status, body)),
		body:        body,
		contentType: h.Get("Content-Type"),
		retryAfter:  h.Get("Retry-After"),
	}
	// vLLM reports an overflow with 400; a server behind it may use 413.
	if status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge {
		f.overflow = parseOverflow(f.message)
	}
	return f
}

// withoutInput cuts off where vLLM repeats the whole request, prompt and all, as
// it does for what its validation refuses (seen on 0.23.0): messages are logged
// and recorded, prompts are not.
func withoutInput(message string) string {
	if i := strings.Index(message, "'input':"); i >= 0 {
		return strings.TrimRight(message[:i], " ,") + " …"
	}
	return message
}

// errorMessage finds the text in an error body. vLLM nests it in "error" since
// about 0.10 and had it at the top before; FastAPI's own errors are in
// "detail".
func errorMessage(status int, body []byte) string {
	var e struct {
		Error   json.RawMessage
		Message string
		Detail  json.RawMessage
	}
	if json.Unmarshal(body, &e) == nil {
		var nested struct{ Message string }
		var flat string
		switch {
		case json.Unmarshal(e.Error, &nested) == nil && nested.Message != "":
			return nested.Message
		case json.Unmarshal(e.Error, &flat) == nil && flat != "":
			return flat
		case e.Message != "":
			return e.Message
		case !isNull(e.Detail):
			return strings.Trim(string(e.Detail), `"`)
		}
	}
	text := strings.TrimSpace(string(body[:min(len(body), 500)]))
	if text == "" {
		text = http.StatusText(status)
	}
	return "the model server answered " + itoa(status) + ": " + strings.ToValidUTF8(text, "?")
}

func isUnsupported(err error) bool { return errors.Is(err, http.ErrNotSupported) }
