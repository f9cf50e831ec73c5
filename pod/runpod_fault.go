package pod

import (
	"errors"
	"net/http"
	"strings"

	"github.com/x/dail/internal/remote"
	"github.com/x/dail/internal/runpod"
)

// fault turns an answer of RunPod into what the life of a pod understands, with
// RunPod's words, the request's id, and what to do.
func (r *RunPod) fault(op, id string, err error) error {
	var e *runpod.Error
	if !errors.As(err, &e) {
		return &ProviderError{Provider: "runpod", Op: op, ID: id, Kind: ErrBusy, Message: err.Error(), Err: err}
	}
	out := &ProviderError{Provider: "runpod", Op: op, ID: id, Message: e.Words(), RequestID: e.RequestID, Err: err}
	out.Kind, out.Hint = r.kind(op, e)
	return out
}

// kind reads the status by RunPod's table (runpod.md §1.5).
func (r *RunPod) kind(op string, e *runpod.Error) (kind error, hint string) {
	switch {
	case e.Unclear():
		return ErrUnclear, ""
	case e.Capacity():
		return ErrNoCapacity, ""
	case e.Denied():
		return ErrDenied, "the key may be restricted: runpod.io console → Settings → API Keys"
	case e.Blocked():
		return ErrInvalid, "this came from the wall in front of RunPod's API, not from the API: a proxy or a network that it distrusts"
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return ErrUnauthorized, "check RUNPOD_API_KEY, in the environment or in .env"
	case http.StatusPaymentRequired:
		return ErrNoCredit, "load credit in RunPod's console; a pod needs an hour's worth to start"
	case http.StatusGone:
		return ErrInvalid, "this base URL is of an API that RunPod switched off; the one in use is " + runpod.BaseURL
	case http.StatusNotFound:
		if op == "get" || op == "terminate" || op == "logs" {
			return ErrNotFound, ""
		}
		return ErrInvalid, "check DAIL_NETWORK_VOLUME_ID, and the base URL if you gave one"
	case http.StatusConflict:
		return ErrConflict, ""
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return ErrInvalid, ""
	}
	return ErrBusy, ""
}

// own is a refusal that comes from what RunPod said, not from RunPod.
func (r *RunPod) own(op string, kind error, message, hint string) error {
	return &ProviderError{Provider: "runpod", Op: op, Kind: kind, Message: message, Hint: hint}
}

// endPod is what the switch inside a pod runs to end it: RunPod puts a key that
// is good for this pod alone into the container's environment. The key goes to
// curl by its stdin, so that it stands in no argument list. Whether that key may
// delete through v2 is not certain, so two older ways follow.
func endPod(base string) string {
	return strings.NewReplacer("@V2@", remote.Quote(strings.TrimRight(base, "/")), "@GRAPHQL@", remote.Quote(graphQL(base))).Replace(`
v2=@V2@; graphql=@GRAPHQL@
val() { tr '\0' '\n' 2>/dev/null </proc/1/environ | sed -n "s/^$1=//p" | head -n 1; }
id=${RUNPOD_POD_ID:-$(val RUNPOD_POD_ID)}; key=${RUNPOD_API_KEY:-$(val RUNPOD_API_KEY)}
if command -v curl >/dev/null; then
  printf 'header = "Authorization: Bearer %s"\n' "$key" |
    curl -sS -m 20 -o /dev/null -w 'v2 %{http_code}\n' -A dail-switch -X DELETE -K - "$v2/pods/$id"
  printf 'header = "Authorization: Bearer %s"\n' "$key" |
    curl -sS -m 20 -o /dev/null -w 'graphql %{http_code}\n' -A dail-switch -H 'Content-Type: application/json' -K - \
      -d "{\"query\":\"mutation { podTerminate(input: {podId: \\\"$id\\\"}) }\"}" "$graphql"
fi
if command -v runpodctl >/dev/null; then runpodctl remove pod "$id" >/dev/null 2>&1; echo "runpodctl $?"; fi
`)
}
