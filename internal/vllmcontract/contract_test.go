package vllmcontract_test

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// A term is one thing that dail takes for granted of a vLLM server.
type term struct {
	name string
	test func(context.Context, *server) error
	// simOtherwise says how the simulator differs, and that it may; the test
	// must then fail on it.
	simOtherwise string
	// notOnSim says why the simulator is not asked at all.
	notOnSim string
}

// The whole contract.
func terms() []term {
	return slices.Concat(answerTerms, streamTerms, toolTerms, errorTerms, overflowTerms, lifeTerms, probeTerms)
}

// TestSimulator holds the simulator to the contract, and writes down where it
// is allowed to differ.
func TestSimulator(t *testing.T) {
	s := simulated(t)
	list := "# Where the simulator breaks the contract of internal/vllmcontract, and may.\n# go test ./internal/vllmcontract -update writes this file.\n\n"
	for _, c := range terms() {
		if c.notOnSim != "" {
			list += c.name + ": not asked: " + c.notOnSim + "\n"
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			err := c.test(t.Context(), s)
			switch {
			case c.simOtherwise == "" && err != nil:
				t.Error(err)
			case c.simOtherwise != "" && err == nil:
				t.Error("the simulator keeps to this now: take simOtherwise away")
			}
		})
		if c.simOtherwise != "" {
			list += c.name + ": " + c.simOtherwise + "\n"
		}
	}
	golden(t, "simulator.golden", list)
}

// TestRealVLLM holds the server that DAIL_VLLM_URL names to the same.
func TestRealVLLM(t *testing.T) {
	s := realServer(t)
	for _, c := range terms() {
		t.Run(c.name, func(t *testing.T) {
			if err := c.test(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	t.Logf("FIGURE: contract of %d terms held by a real vLLM %s", len(terms()), s.version)
}

// TestTermsCanFail holds a server to the contract that says nothing but {}:
// it must break every term.
func TestTermsCanFail(t *testing.T) {
	s := speechless(t)
	for _, c := range terms() {
		if err := c.test(t.Context(), s); err == nil {
			t.Errorf("%s: a server that answers {} to everything keeps to it", c.name)
		}
	}
}

// TestTermsHaveNames keeps the golden file readable.
func TestTermsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range terms() {
		if c.name == "" || seen[c.name] || strings.ContainsAny(c.name, ":\n") {
			t.Errorf("the name %q is empty, taken or has a colon", c.name)
		}
		seen[c.name] = true
	}
}
