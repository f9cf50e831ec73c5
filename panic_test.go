package dail_test

import (
	"context"
	"strings"
	"testing"

	"github.com/x/dail"
	"github.com/x/dail/pod"
)

// tripwire panics when the run reaches its first level.
type tripwire struct{}

func (tripwire) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "n3: 3 agents") {
		panic("as planned")
	}
	return len(p), nil
}

// A panic that somebody catches must not leave a pod behind: nobody else knows
// of it.
func TestAPanicGivesThePodBack(t *testing.T) {
	plan := askPlan(t)
	provider := &pod.Simulated{}
	plan.Provider, plan.Progress = provider, tripwire{}
	caught := func() (v any) {
		defer func() { v = recover() }()
		dail.Run(t.Context(), plan)
		return nil
	}()
	if caught != "as planned" {
		t.Fatalf("caught %v", caught)
	}
	if left, err := provider.List(context.Background()); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
