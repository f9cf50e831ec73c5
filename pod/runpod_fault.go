package pod

import (
	"errors"

	"github.com/x/dail/internal/runpod"
)

// kindOfRunPod says what a refusal of RunPod means to the life of a pod.
func kindOfRunPod(k runpod.Kind) error {
	switch k {
	case runpod.Unclear:
		return ErrUnclear
	case runpod.Capacity:
		return ErrNoCapacity
	case runpod.Denied:
		return ErrDenied
	case runpod.Unauthorized:
		return ErrUnauthorized
	case runpod.NoCredit:
		return ErrNoCredit
	case runpod.NotFound:
		return ErrNotFound
	case runpod.Conflict:
		return ErrConflict
	case runpod.Invalid, runpod.Blocked, runpod.Gone:
		return ErrInvalid
	}
	return ErrBusy // Transient, RateLimited
}

// fault is an error of the client as one of a provider.
func (r *RunPod) fault(op, id string, err error) error {
	out := &ProviderError{Provider: "runpod", Op: op, ID: id, Kind: kindOfRunPod(runpod.KindOf(err)), Message: err.Error(), Err: err}
	var e *runpod.Error
	if errors.As(err, &e) {
		out.Message, out.RequestID, out.Hint = e.Words(), e.RequestID, e.Hint()
	}
	return out
}

// refuse is an error of our own: RunPod was not asked, or its answer does not
// fit the run.
func (r *RunPod) refuse(op string, kind error, message, hint string) error {
	return &ProviderError{Provider: "runpod", Op: op, Kind: kind, Message: message, Hint: hint}
}
