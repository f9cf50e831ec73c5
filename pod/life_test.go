package pod_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/pod"
)

// sky is a provider in memory, whose machines serve by URL at once. Each
// create takes the next of its answers.
type sky struct {
	mu       sync.Mutex
	about    pod.About
	offers   []pod.Offer
	answers  []answer
	machines []pod.Machine
	asked    []pod.Spec
	ended    []string
	endErrs  []error // what the next terminates answer
}

// answer is what a create does: whether a machine comes to be, after how long
// it is listed, and what the caller hears.
type answer struct {
	err      error
	machines int
	late     time.Duration
	machine  pod.Machine
}

func (c *sky) About() pod.About { return c.about }

func (c *sky) Offers(context.Context, *compose.Run) ([]pod.Offer, error) {
	if len(c.offers) == 0 {
		return []pod.Offer{{GPU: "G", GPUs: 1, USDPerHour: 1, PriceSource: "the catalogue"}}, nil
	}
	return c.offers, nil
}

func (c *sky) Create(_ context.Context, spec pod.Spec) (pod.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, spec)
	a := answer{machines: 1}
	if len(c.answers) > 0 {
		a, c.answers = c.answers[0], c.answers[1:]
	}
	var last pod.Machine
	for i := range a.machines {
		last = a.machine
		last.ID, last.Name = fmt.Sprintf("m%d-%d", len(c.asked), i), spec.Name
		last.Zone = spec.Offer.Zone
		last.URL = &url.URL{Scheme: "http", Host: last.ID}
		last.Created = time.Now().Add(a.late) // when it is listed
		c.machines = append(c.machines, last)
	}
	return last, a.err
}

func (c *sky) Get(_ context.Context, id string) (pod.Machine, error) {
	all, _ := c.List(context.Background())
	for _, m := range all {
		if m.ID == id {
			return m, nil
		}
	}
	return pod.Machine{}, &pod.ProviderError{Provider: "cloud", Op: "get", ID: id, Kind: pod.ErrNotFound}
}

func (c *sky) List(context.Context) ([]pod.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var listed []pod.Machine
	for _, m := range c.machines {
		if !m.Created.After(time.Now()) {
			listed = append(listed, m)
		}
	}
	return listed, nil
}

func (c *sky) Terminate(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.endErrs) > 0 {
		err := c.endErrs[0]
		c.endErrs = c.endErrs[1:]
		if err != nil {
			return err
		}
	}
	before := len(c.machines)
	c.machines = slices.DeleteFunc(c.machines, func(m pod.Machine) bool { return m.ID == id && !m.Created.After(time.Now()) })
	if len(c.machines) == before {
		return &pod.ProviderError{Provider: "cloud", Op: "terminate", ID: id, Kind: pod.ErrNotFound}
	}
	c.ended = append(c.ended, id)
	return nil
}

func (c *sky) Logs(context.Context, string, int) ([]string, error) {
	return []string{"pulling image"}, nil
}

func (c *sky) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.machines)
}

// vllm answers for every machine, without a network: time can then be faked.
type vllm struct{ down map[string]bool }

func (v vllm) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	if v.down[r.URL.Host] {
		return answer(503, "loading")
	}
	switch r.URL.Path {
	case "/v1/models":
		return answer(200, `{"data":[{"id":"m","max_model_len":4096}]}`)
	case "/version":
		return answer(200, `{"version":"0.11.0"}`)
	}
	return answer(200, "")
}

func up(t *testing.T, c *sky, opts pod.Options) (*pod.Pod, error) {
	t.Helper()
	if opts.Client == nil {
		opts.Client = &http.Client{Transport: vllm{}}
	}
	return pod.Up(t.Context(), c, runOf("m"), opts)
}

func refusal(kind error, words string) error {
	return &pod.ProviderError{Provider: "cloud", Op: "create", Kind: kind, Message: words, RequestID: "req-7"}
}

func TestNextCandidateAfterNoCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sky{
			offers:  []pod.Offer{{Zone: "A", USDPerHour: 1}, {Zone: "B", USDPerHour: 1}, {Zone: "C", USDPerHour: 1}},
			answers: []answer{{err: refusal(pod.ErrNoCapacity, "none left")}, {err: refusal(pod.ErrDenied, "not for you")}, {machines: 1}},
		}
		p, err := up(t, c, pod.Options{})
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, s := range c.asked {
			names[s.Name] = true
		}
		if len(names) != 3 || c.asked[2].Offer.Zone != "C" {
			t.Errorf("asked %d times under %d names, last in %s", len(c.asked), len(names), c.asked[2].Offer.Zone)
		}
		if err := p.Down(t.Context()); err != nil || c.left() != 0 {
			t.Errorf("down: %v, %d machines left", err, c.left())
		}
	})
}

// Every refusal that promises that nothing was made is a Refusal, and keeps the
// provider's words and request id.
func TestRefusalsCreateNothing(t *testing.T) {
	for _, kind := range []error{pod.ErrNoCapacity, pod.ErrNoCredit, pod.ErrUnauthorized, pod.ErrInvalid, pod.ErrBusy} {
		synctest.Test(t, func(t *testing.T) {
			c := &sky{answers: []answer{{err: refusal(kind, "its own words")}}}
			_, err := up(t, c, pod.Options{})
			if !errors.As(err, new(*pod.Refusal)) || !errors.Is(err, kind) {
				t.Fatalf("%v: err = %v; want a Refusal of that kind", kind, err)
			}
			for _, want := range []string{"its own words", "req-7"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if len(c.asked) != 1 || c.left() != 0 {
				t.Errorf("asked %d times, %d machines", len(c.asked), c.left())
			}
		})
	}
}

func TestUnclearCreate(t *testing.T) {
	unclear := refusal(pod.ErrUnclear, "the connection was cut")
	tests := []struct {
		name    string
		answers []answer
		up      bool
		asked   int
	}{
		{"it happened", []answer{{err: unclear, machines: 1}}, true, 1},
		{"it shows up after 20 s", []answer{{err: unclear, machines: 1, late: 20 * time.Second}}, true, 1},
		{"it did not happen; no second try at one candidate", []answer{{err: unclear}}, false, 1},
		{"it happened twice", []answer{{err: unclear, machines: 2}}, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &sky{answers: tt.answers}
				p, err := up(t, c, pod.Options{})
				if (err == nil) != tt.up {
					t.Fatalf("err = %v", err)
				}
				if p != nil {
					err = p.Down(t.Context())
				}
				if len(c.asked) != tt.asked || c.left() != 0 {
					t.Errorf("asked %d times, %d machines left (%v)", len(c.asked), c.left(), err)
				}
			})
		})
	}
}

// A machine of an unclear create that shows up while the run goes on elsewhere
// is ended, and not when the run is over.
func TestLateMachineIsEndedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sky{
			offers:  []pod.Offer{{Zone: "A", USDPerHour: 1}, {Zone: "B", USDPerHour: 1}},
			answers: []answer{{err: refusal(pod.ErrUnclear, "500"), machines: 1, late: 2 * time.Minute}, {machines: 1}},
		}
		p, err := up(t, c, pod.Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if c.left() != 1 {
			t.Errorf("%d machines, want the one that serves", c.left())
		}
		if err := p.Down(t.Context()); err != nil || c.left() != 0 {
			t.Errorf("down: %v, %d left", err, c.left())
		}
	})
}

// The request may have left before the caller gave up.
func TestUnclearCreateIsReconciledAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := &sky{answers: []answer{{err: refusal(pod.ErrUnclear, "canceled"), machines: 1, late: 8 * time.Second}}}
		cancel()
		_, err := pod.Up(ctx, c, runOf("m"), pod.Options{Client: &http.Client{Transport: vllm{}}})
		if err == nil || c.left() != 0 {
			t.Errorf("err = %v, %d machines left", err, c.left())
		}
	})
}

func TestCeilingsBeforeAndAfter(t *testing.T) {
	tests := []struct {
		name   string
		opts   pod.Options
		costs  float64 // what the created pod says
		asked  int
		refuse bool
		want   string
	}{
		{"catalogue above the hourly ceiling", pod.Options{MaxUSDPerHour: 0.5}, 0, 0, true, "-max-usd-per-hour"},
		{"the run's ceiling buys too little", pod.Options{MaxUSD: 0.05}, 0, 0, true, "-max-usd"},
		{"the pod is dearer than the catalogue said", pod.Options{MaxUSDPerHour: 1.2}, 1.5, 1, false, "$1.50/h"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &sky{answers: []answer{{machines: 1, machine: pod.Machine{USDPerHour: tt.costs}}}}
				_, err := up(t, c, tt.opts)
				if err == nil || !errors.As(err, new(*pod.PriceError)) || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("err = %v; want a PriceError that says %q", err, tt.want)
				}
				if errors.As(err, new(*pod.Refusal)) != tt.refuse || len(c.asked) != tt.asked || c.left() != 0 {
					t.Errorf("refusal %v, asked %d, %d left", !tt.refuse, len(c.asked), c.left())
				}
			})
		})
	}
}

func TestDownRetriesUntilConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &pod.ProviderError{Provider: "cloud", Op: "terminate", Kind: pod.ErrBusy, Message: "500"}
		lies := &pod.ProviderError{Provider: "cloud", Op: "terminate", Kind: pod.ErrNotFound, Message: "404"}
		c := &sky{endErrs: []error{busy, busy, lies, busy}}
		p, err := up(t, c, pod.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Down(t.Context()); err != nil || c.left() != 0 {
			t.Errorf("down: %v, %d left", err, c.left())
		}
	})
}

// Down that cannot be confirmed says what to do by hand, and may be repeated.
func TestDownThatFailsCanBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &pod.ProviderError{Provider: "cloud", Op: "terminate", Kind: pod.ErrBusy, Message: "500"}
		c := &sky{endErrs: slices.Repeat([]error{busy}, 1000)}
		p, err := up(t, c, pod.Options{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = p.Down(t.Context())
		if err == nil || !strings.Contains(err.Error(), "m1-0") {
			t.Errorf("err = %v; want the machine's id", err)
		}
		if took := time.Since(began); took < time.Minute || took > 5*time.Minute {
			t.Errorf("it tried for %v", took)
		}
		c.endErrs = nil
		if err := p.Down(t.Context()); err != nil || c.left() != 0 {
			t.Errorf("second down: %v, %d left", err, c.left())
		}
	})
}

// The bill runs from the create to the confirmed end, and no longer.
func TestMeterIsTheBill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sky{offers: []pod.Offer{{Zone: "A", USDPerHour: 1}, {Zone: "B", USDPerHour: 1}},
			answers: []answer{{err: refusal(pod.ErrNoCapacity, "none")}, {machines: 1}}}
		p, err := up(t, c, pod.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p.Meter.Mark("generation")
		time.Sleep(90 * time.Second)
		if err := p.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		var sum time.Duration
		for _, s := range p.Meter.Steps() {
			sum += s.Elapsed
		}
		if sum < 90*time.Second || sum > 91*time.Second {
			t.Errorf("billed %v for a life of 90 s: %v", sum, p.Meter.Steps())
		}
	})
}

func TestUpLeavesNothingWhenNeverReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sky{}
		_, err := up(t, c, pod.Options{Client: &http.Client{Transport: vllm{down: map[string]bool{"m1-0": true}}}})
		if err == nil || !strings.Contains(err.Error(), "loading") || !strings.Contains(err.Error(), "pulling image") {
			t.Errorf("err = %v; want the server's last answer and the provider's log", err)
		}
		if errors.As(err, new(*pod.Refusal)) || c.left() != 0 {
			t.Errorf("refusal %v, %d machines left", errors.As(err, new(*pod.Refusal)), c.left())
		}
	})
}
