package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

var errClosed = errors.New("dail-sim: the simulated engine was closed")

// apiError is an answer in vLLM's form of an error.
type apiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    int     `json:"code"`
}

func (e *apiError) Error() string { return e.Message }

func badRequest(param, format string, args ...any) *apiError {
	e := &apiError{Message: fmt.Sprintf(format, args...), Type: "BadRequestError", Code: http.StatusBadRequest}
	if param != "" {
		e.Param = &param
	}
	return e
}

// malformed is what vLLM says of a request whose form is wrong: pydantic's words
// for it, and a type that is the status' name. Of the field at fault it names
// what a validator of its own named.
func malformed(param, format string, args ...any) *apiError {
	text := fmt.Sprintf(format, args...)
	if param != "" {
		text += " (parameter=" + param + ")"
	}
	e := badRequest(param, "1 validation error:\n  {'type': 'value_error', 'loc': ('body',), 'msg': 'Value error, %s'}", text)
	e.Type = "Bad Request"
	return e
}

// asAPIError is err in vLLM's form, whatever it is.
func asAPIError(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if errors.Is(err, errClosed) {
		return &apiError{Message: err.Error(), Type: "ServiceUnavailableError", Code: http.StatusServiceUnavailable}
	}
	return &apiError{Message: err.Error(), Type: "InternalServerError", Code: http.StatusInternalServerError}
}

// fail answers with an error. A client that has gone is told nothing.
func fail(w http.ResponseWriter, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	e := asAPIError(err)
	writeJSON(w, e.Code, map[string]any{"error": e})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A failed write means that the client has gone; nobody is left to tell.
	_, _ = w.Write([]byte(marshal(v)))
}

// maxBody bounds a request: 64 MiB, several times the longest context as text.
const maxBody = 64 << 20

// readJSON decodes a request's body into v. As in vLLM, unknown fields are
// accepted and malformed ones are refused by name.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v)
	if err == nil {
		return nil
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &apiError{Message: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit), Type: "BadRequestError", Code: http.StatusRequestEntityTooLarge}
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := strings.TrimPrefix(strings.TrimPrefix(wrong.Field, "chatRequest."), "sampling.") // our own nesting
		return malformed("", "%s: input should be %s, got %s", field, jsonKind(wrong.Type), wrong.Value)
	}
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	return malformed("", "JSON decode error: %v", err)
}

func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonKind(t.Elem())
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64:
		return "an integer"
	}
	return t.String()
}
