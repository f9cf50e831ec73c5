package slo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// serverError is a refusal in the server's own words. Status is 0 where it came
// in the middle of an answer.
type serverError struct {
	path   string
	status int
	said   string
}

func (e *serverError) Error() string {
	if e.status == 0 {
		return fmt.Sprintf("%s: the server broke off its answer: %s", e.path, e.said)
	}
	return fmt.Sprintf("%s: HTTP %d %s: %s", e.path, e.status, http.StatusText(e.status), e.said)
}

// final reports whether asking again would be answered the same.
func final(err error) bool {
	var e *serverError
	return errors.As(err, &e) && e.status >= 400 && e.status < 500 && e.status != http.StatusTooManyRequests && e.status != http.StatusRequestTimeout
}

// words takes the message out of an error's body: {"error": {"message": …}}, as
// vLLM answers, {"message": …} as it did before 0.11, {"detail": …} of a path
// that is not there; else the body as it is, cut short.
func words(body []byte) string {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &e) == nil {
		var inner struct {
			Message string `json:"message"`
		}
		switch {
		case json.Unmarshal(e.Error, &inner) == nil && inner.Message != "":
			return inner.Message
		case e.Message != "":
			return e.Message
		case len(e.Detail) > 0:
			return string(e.Detail)
		}
	}
	const most = 300
	said := strings.TrimSpace(string(body))
	if said == "" {
		return "(it said nothing)"
	}
	if len(said) > most {
		said = strings.ToValidUTF8(said[:most], "") + "…"
	}
	return said
}
