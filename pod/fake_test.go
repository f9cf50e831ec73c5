package pod

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/x/dail/compose"
)

// fakeCloud is a provider in memory, with the manners of real ones.
type fakeCloud struct {
	clk Clock

	mu       sync.Mutex
	machines []*fakeMachine
	calls    []string // "terminate a1", "get a1", "list", …

	// showAfter is how long a new machine is unknown to get, list and terminate;
	// hideAfter how long an ended one goes on being shown as it was.
	showAfter, hideAfter time.Duration
	// fault, where it is not nil, is asked before every call; a non-nil error is
	// the answer.
	fault func(ctx context.Context, op, id string) error
}

type fakeMachine struct {
	Machine
	ended time.Time
}

func newFakeCloud(clk Clock) *fakeCloud { return &fakeCloud{clk: clk} }

func (c *fakeCloud) About() About { return About{Name: "fake", Outlives: true} }

func (c *fakeCloud) EndByHand(id string) string { return "fakectl rm " + id }

func (c *fakeCloud) Handover() (public, secret []byte, err error) { return []byte("fake:1"), nil, nil }

func (c *fakeCloud) Offers(context.Context, *compose.Run) ([]Offer, error) {
	return []Offer{{GPU: "fake", GPUs: 1, USDPerHour: 2}}, nil
}

func (c *fakeCloud) Create(ctx context.Context, spec Spec) (Machine, error) {
	if err := c.called(ctx, "create", ""); err != nil {
		return Machine{}, err
	}
	marker := spec.Marker
	return c.add(spec.Name, &marker), nil
}

// add makes a machine, as a call that nobody heard the answer of does.
func (c *fakeCloud) add(name string, marker *Marker) Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := Machine{ID: fmt.Sprintf("id%d", len(c.machines)+1), Name: name, State: Running, Status: "UP", Marker: marker,
		USDPerHour: 2, Created: c.clk.Now()}
	c.machines = append(c.machines, &fakeMachine{Machine: m})
	return m
}

func (c *fakeCloud) shown(m *fakeMachine) bool {
	now := c.clk.Now()
	return now.Sub(m.Created) >= c.showAfter && (m.ended.IsZero() || now.Sub(m.ended) < c.hideAfter)
}

func (c *fakeCloud) called(ctx context.Context, op, id string) error {
	c.mu.Lock()
	c.calls = append(c.calls, strings.TrimSpace(op+" "+id))
	fault := c.fault
	c.mu.Unlock()
	if fault != nil {
		return fault(ctx, op, id)
	}
	return nil
}

func (c *fakeCloud) find(op, id string) (*fakeMachine, error) {
	for _, m := range c.machines {
		if m.ID == id && c.shown(m) {
			return m, nil
		}
	}
	return nil, &ProviderError{Provider: "fake", Op: op, ID: id, Kind: ErrNotFound}
}

func (c *fakeCloud) Get(ctx context.Context, id string) (Machine, error) {
	if err := c.called(ctx, "get", id); err != nil {
		return Machine{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.find("get", id)
	if err != nil {
		return Machine{}, err
	}
	return m.Machine, nil
}

func (c *fakeCloud) List(ctx context.Context) ([]Machine, error) {
	if err := c.called(ctx, "list", ""); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Machine
	for _, m := range c.machines {
		if c.shown(m) {
			all = append(all, m.Machine)
		}
	}
	return all, nil
}

func (c *fakeCloud) Terminate(ctx context.Context, id string) error {
	if err := c.called(ctx, "terminate", id); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.find("terminate", id)
	if err == nil && m.ended.IsZero() {
		m.ended = c.clk.Now()
	}
	return err
}

func (c *fakeCloud) Logs(context.Context, string, int) ([]string, error) { return nil, nil }

// alive are the names of the machines that cost money.
func (c *fakeCloud) alive() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := []string{}
	for _, m := range c.machines {
		if m.ended.IsZero() {
			names = append(names, m.Name)
		}
	}
	return names
}

// count is how often a call was made.
func (c *fakeCloud) count(call string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, made := range c.calls {
		if made == call {
			n++
		}
	}
	return n
}

func (c *fakeCloud) callsMade() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// refuse is a fault: the first n calls of an operation are refused; n < 0: all.
func refuse(op string, n int, kind error) func(context.Context, string, string) error {
	var mu sync.Mutex
	return func(_ context.Context, called, id string) error {
		mu.Lock()
		defer mu.Unlock()
		if called != op || n == 0 {
			return nil
		}
		n--
		return &ProviderError{Provider: "fake", Op: op, ID: id, Kind: kind, Message: "words of the provider", RequestID: "req-7"}
	}
}

// made is how many machines there have ever been.
func (c *fakeCloud) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.machines)
}

// endOf is when a machine was ended.
func (c *fakeCloud) endOf(name string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		if m.Name == name {
			return m.ended
		}
	}
	return time.Time{}
}
