package pod

import (
	"errors"
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
	kind := kinds[e.Kind]
	if e.Kind == runpod.NotFound && op != "get" && op != "terminate" && op != "logs" {
		kind = ErrInvalid // what the request names is not there: a volume, a base URL
	}
	return &ProviderError{Provider: "runpod", Op: op, ID: id, Kind: kind, Message: e.Words(), RequestID: e.RequestID, Hint: e.Hint(), Err: err}
}

// kinds says what RunPod's kinds mean for the life of a pod.
var kinds = map[runpod.Kind]error{
	runpod.Transient: ErrBusy, runpod.RateLimited: ErrBusy, runpod.Unclear: ErrUnclear, runpod.Capacity: ErrNoCapacity,
	runpod.Denied: ErrDenied, runpod.Unauthorized: ErrUnauthorized, runpod.NoCredit: ErrNoCredit, runpod.NotFound: ErrNotFound,
	runpod.Conflict: ErrConflict, runpod.Blocked: ErrInvalid, runpod.Invalid: ErrInvalid, runpod.Gone: ErrInvalid,
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
