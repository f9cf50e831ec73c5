package pod_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
)

// lease is a cloud with machines, on a clock that makes a minute of three
// seconds, and what is needed to rent there.
type lease struct {
	*podtest.Server
	provider *pod.RunPod
	opts     pod.Options
}

func newLease(t *testing.T, faults ...podtest.Fault) *lease { return newLeaseAt(t, 20, faults...) }

func newLeaseAt(t *testing.T, times float64, faults ...podtest.Fault) *lease {
	t.Helper()
	clk := clock.Fast{Origin: time.Now(), Times: times}
	srv, err := podtest.NewServer(podtest.Config{Run: smoke(t), Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := srv.Alive(); len(left) > 0 {
			t.Errorf("still billed: %v", left)
		}
		srv.Close()
	})
	for _, f := range faults {
		srv.Inject(f, 1)
	}
	key, _ := sshKey(t)
	return &lease{
		Server:   srv,
		provider: &pod.RunPod{Key: pod.Secret(srv.Key), URL: srv.URL, Clock: clk},
		opts: pod.Options{
			KeyPath: key, State: t.TempDir(), Clock: clk,
			Limits:   pod.Limits{Endpoint: time.Minute, Reachable: time.Minute, StallStartup: time.Minute},
			Progress: func(s string) { t.Log(s) },
		},
	}
}

func (r *lease) up(t *testing.T) *pod.Pod {
	t.Helper()
	p, err := pod.Up(t.Context(), r.provider, smoke(t), r.opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lost binds to a pod and returns why it ended.
func lost(t *testing.T, p *pod.Pod) error {
	t.Helper()
	ctx, release := p.Bind(t.Context())
	defer release()
	<-ctx.Done()
	if err := p.Down(context.Background()); err != nil {
		t.Error(err)
	}
	return context.Cause(ctx)
}

func TestRunEndsAtItsCeilingOfTime(t *testing.T) {
	r := newLease(t)
	r.opts.Limits.Run = 2 * time.Minute
	err := lost(t, r.up(t))
	if !errors.As(err, new(*pod.CeilingError)) || !strings.Contains(err.Error(), "MAX_RUN") {
		t.Errorf("cause %v", err)
	}
}

func TestRunEndsAtItsCeilingOfMoney(t *testing.T) {
	r := newLeaseAt(t, 40)
	r.opts.MaxUSD = 0.99 / 6 // ten minutes: fifteen seconds here
	err := lost(t, r.up(t))
	if !errors.As(err, new(*pod.CeilingError)) || !strings.Contains(err.Error(), "-max-usd") {
		t.Errorf("cause %v", err)
	}
	if bill := r.Bill(); bill[0].USD > r.opts.MaxUSD*1.2 { // the end itself takes a moment of the wall
		t.Errorf("billed $%.4f, the ceiling was $%.4f", bill[0].USD, r.opts.MaxUSD)
	}
}

// A start that takes too long is ended by the same ceiling.
func TestAStartEndsAtTheCeiling(t *testing.T) {
	r := newLease(t, podtest.VLLMStall)
	r.opts.Limits.Run, r.opts.Limits.StallStartup = time.Minute, time.Hour
	_, err := pod.Up(t.Context(), r.provider, smoke(t), r.opts)
	if !errors.As(err, new(*pod.CeilingError)) || errors.As(err, new(*pod.Refusal)) || len(r.Bill()) != 1 {
		t.Errorf("%d machines, err = %v", len(r.Bill()), err)
	}
}

func TestAStartThatShowsNoProgressIsEnded(t *testing.T) {
	r := newLease(t, podtest.VLLMStall)
	_, err := pod.Up(t.Context(), r.provider, smoke(t), r.opts)
	if err == nil || !strings.Contains(err.Error(), "STALL_STARTUP") {
		t.Errorf("err = %v", err)
	}
}

func TestAServerThatDiesIsNoticed(t *testing.T) {
	r := newLease(t, podtest.VLLMDies)
	err := lost(t, r.up(t))
	if !errors.As(err, new(*pod.LostError)) || !strings.Contains(err.Error(), "vLLM") {
		t.Errorf("cause %v", err)
	}
}

func TestAnotherMachineOnABadDraw(t *testing.T) {
	for _, f := range []podtest.Fault{podtest.WrongGPU, podtest.GPULost, podtest.SSHNever, podtest.SSHRefuses, podtest.StatusExited} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			r := newLease(t, f)
			p := r.up(t)
			if err := p.Down(context.Background()); err != nil {
				t.Error(err)
			}
			bill := r.Bill()
			if len(bill) != 2 {
				t.Fatalf("%d machines were rented, want the bad one and another: %v", len(bill), bill)
			}
			var billed, metered float64
			for _, l := range bill {
				billed += l.Seconds
			}
			for _, s := range p.Meter.Steps() {
				metered += s.Elapsed.Seconds()
			}
			// Within a second of the wall, which is twenty of this clock.
			if d := billed - metered; d > 20 || d < -20 {
				t.Errorf("both were billed for %.1f s, the meter says %.1f s", billed, metered)
			}
		})
	}
}

// What vLLM says about itself becomes what to change; another machine would
// say the same, so none is tried.
func TestAFailedStartSaysWhatToChange(t *testing.T) {
	r := newLease(t, podtest.VLLMFails.With("ValueError: To serve at least one request with the models's max seq len (65536), (6.00 GiB KV cache is needed, which is larger than the available KV cache memory (4.03 GiB). Based on the available memory, the estimated maximum model length is 43968. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine."))
	_, err := pod.Up(t.Context(), r.provider, smoke(t), r.opts)
	if err == nil || !strings.Contains(err.Error(), "43968") || !strings.Contains(err.Error(), "max_model_len") {
		t.Errorf("err = %v", err)
	}
	if len(r.Bill()) != 1 {
		t.Errorf("%d machines were rented", len(r.Bill()))
	}
}

func TestTunnelOutlivesItsConnection(t *testing.T) {
	for _, f := range []podtest.Fault{podtest.SSHDrops, podtest.SSHMoves} {
		t.Run(string(f), func(t *testing.T) {
			r := newLease(t)
			p := r.up(t)
			r.Inject(f, 1)
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			ok := 0
			for deadline := time.Now().Add(20 * time.Second); ok < 3 && time.Now().Before(deadline); {
				if resp, err := client.Get(p.Endpoint.JoinPath("health").String()); err == nil {
					resp.Body.Close()
					ok++
				}
			}
			if ok < 3 {
				t.Error("the server cannot be reached any more")
			}
			if err := p.Down(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A kept pod stays, also for a reaper, until its time; then its watchdog, which
// is all that is left of the run, ends it.
func TestKeptPodStaysUntilItsTime(t *testing.T) {
	r := newLease(t)
	r.opts.Keep = 2 * time.Minute
	p := r.up(t)
	if err := p.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	until, login, kept := p.Kept()
	if !kept || !strings.HasPrefix(login, "ssh -p ") || len(r.Alive()) != 1 {
		t.Fatalf("kept %v (%s) until %v; alive %v", kept, login, until, r.Alive())
	}
	reaped, err := pod.Reap(t.Context(), r.provider, pod.ReapOptions{State: r.opts.State, Clock: r.opts.Clock})
	if err != nil || len(reaped) != 1 || reaped[0].Action != pod.ActionLeft {
		t.Errorf("reaper: %v, %v", reaped, err)
	}
	for deadline := time.Now().Add(time.Minute); len(r.Alive()) > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond) // a poll of the cloud
	}
	for ctx, logs := t.Context(), filepath.Join(r.opts.State, "watchdog", "*.log"); ctx.Err() == nil; {
		found, _ := filepath.Glob(logs)
		if text, _ := os.ReadFile(found[0]); strings.Contains(string(text), "nothing is left of what it had") {
			break
		}
		time.Sleep(20 * time.Millisecond) // a poll of another process
	}
	ended := r.Bill()[0].Ended
	if early := until.Sub(ended); early > 2*time.Second || early < -time.Minute {
		t.Errorf("it was to stay until %v, and ended at %v", until, ended)
	}
}
