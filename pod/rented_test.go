package pod_test

import (
	"context"
	"errors"
	"fmt"
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

// pace is how fast the clock of these tests runs: fast enough for what a pod
// waits for, and slow enough that no call, log-in or heartbeat is late because
// the machine stood still for some seconds.
const pace = 4

// lease is a cloud with machines, and what is needed to rent there.
type lease struct {
	*podtest.Server
	provider *pod.RunPod
	opts     pod.Options
}

func newLease(t *testing.T, faults ...podtest.Fault) *lease { return newLeaseAt(t, pace, faults...) }

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
	// Two minutes of the wall, which only the test of a limit makes shorter.
	ample := time.Duration(2 * times * float64(time.Minute))
	return &lease{
		Server:   srv,
		provider: &pod.RunPod{Key: pod.Secret(srv.Key), URL: srv.URL, Clock: clk},
		opts: pod.Options{
			KeyPath: key, State: t.TempDir(), Clock: clk,
			Limits:   pod.Limits{Endpoint: ample, Reachable: ample, StallStartup: ample, MaxStartup: ample, Terminate: ample},
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
	t.Parallel()
	for run := 32 * time.Second; ; run *= 2 {
		r := newLease(t)
		r.opts.Limits.Run = run
		p, err := pod.Up(t.Context(), r.provider, smoke(t), r.opts)
		if errors.As(err, new(*pod.CeilingError)) && run < 10*time.Minute {
			t.Logf("a start takes longer than %v here", run)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		err = lost(t, p)
		if !errors.As(err, new(*pod.CeilingError)) || !strings.Contains(err.Error(), "MAX_RUN") {
			t.Errorf("cause %v", err)
		}
		return
	}
}

// The least money that is taken buys ten minutes. They are made to pass as fast
// as this machine can: where that was too fast, it is tried at half the pace.
func TestRunEndsAtItsCeilingOfMoney(t *testing.T) {
	t.Parallel()
	for times := 40.0; ; times /= 2 {
		err := spend(t, times)
		if err == nil {
			return
		}
		if times <= 5 {
			t.Fatal(err)
		}
		t.Logf("at %v times the pace of the wall: %v", times, err)
	}
}

// spend rents until the money is used up, and returns what was wrong with that.
func spend(t *testing.T, times float64) error {
	r := newLeaseAt(t, times)
	r.opts.MaxUSD = 0.99 / 6
	r.opts.Limits.Run = 12 * time.Minute
	p, err := pod.Up(t.Context(), r.provider, smoke(t), r.opts)
	if err != nil {
		return err
	}
	err = lost(t, p)
	if !errors.As(err, new(*pod.CeilingError)) || !strings.Contains(err.Error(), "-max-usd") {
		return fmt.Errorf("cause %w", err)
	}
	billed := 0.0
	for _, l := range r.Bill() {
		billed += l.USD
	}
	if billed > r.opts.MaxUSD*1.2 { // the end itself takes a moment of the wall
		return fmt.Errorf("billed $%.4f, the ceiling was $%.4f", billed, r.opts.MaxUSD)
	}
	return nil
}

// A start that takes too long is ended by the same ceiling.
func TestAStartEndsAtTheCeiling(t *testing.T) {
	t.Parallel()
	r := newLease(t, podtest.VLLMStall)
	r.opts.Limits.Run = 24 * time.Second
	_, err := pod.Up(t.Context(), r.provider, smoke(t), r.opts)
	if !errors.As(err, new(*pod.CeilingError)) || errors.As(err, new(*pod.Refusal)) || len(r.Bill()) != 1 {
		t.Errorf("%d machines, err = %v", len(r.Bill()), err)
	}
}

func TestAStartThatShowsNoProgressIsEnded(t *testing.T) {
	t.Parallel()
	r := newLease(t, podtest.VLLMStall)
	r.opts.Limits.StallStartup = 8 * time.Second
	_, err := pod.Up(t.Context(), r.provider, smoke(t), r.opts)
	if err == nil || !strings.Contains(err.Error(), "STALL_STARTUP") {
		t.Errorf("err = %v", err)
	}
}

func TestAServerThatDiesIsNoticed(t *testing.T) {
	t.Parallel()
	p := newLease(t).up(t)
	if _, err := p.Run(t.Context(), `kill -s TERM -- "-$(cat "$DAIL_ROOT/.dail/vllm.pid")"`); err != nil {
		t.Fatal(err)
	}
	err := lost(t, p)
	if !errors.As(err, new(*pod.LostError)) || !strings.Contains(err.Error(), "vLLM") {
		t.Errorf("cause %v", err)
	}
}

func TestAnotherMachineOnABadDraw(t *testing.T) {
	for _, f := range []podtest.Fault{podtest.WrongGPU, podtest.GPULost, podtest.SSHNever, podtest.SSHRefuses, podtest.StatusExited} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			r := newLease(t, f)
			if f == podtest.SSHNever || f == podtest.SSHRefuses { // the good one must be faster
				r.opts.Limits.Endpoint, r.opts.Limits.Reachable = 30*time.Second, 30*time.Second
			}
			began := r.opts.Clock.Now()
			p := r.up(t)
			if err := p.Down(context.Background()); err != nil {
				t.Error(err)
			}
			took := r.opts.Clock.Now().Sub(began).Seconds()
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
			// Each is metered from before its create to its confirmed end.
			if metered < billed || metered > took {
				t.Errorf("both were billed for %.1f s, the meter says %.1f s, and all of it took %.1f s", billed, metered, took)
			}
		})
	}
}

// What vLLM says about itself becomes what to change; another machine would
// say the same, so none is tried.
func TestAFailedStartSaysWhatToChange(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
			r := newLease(t)
			p := r.up(t)
			r.Inject(f, 1)
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			ok := 0
			for deadline := time.Now().Add(time.Minute); ok < 3 && time.Now().Before(deadline); {
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
	t.Parallel()
	r := newLease(t)
	r.opts.Keep = 30 * time.Second
	p := r.up(t)
	if err := p.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	until, login, kept := p.Kept()
	if !kept || !strings.HasPrefix(login, "ssh -p ") {
		t.Fatalf("kept %v (%s) until %v", kept, login, until)
	}
	reaped, err := pod.Reap(t.Context(), r.provider, pod.ReapOptions{State: r.opts.State, Clock: r.opts.Clock})
	alive := r.Alive()
	if r.opts.Clock.Now().After(until) {
		t.Logf("%v passed before the look at what was kept", r.opts.Keep)
	} else if err != nil || len(reaped) != 1 || reaped[0].Action != pod.ActionLeft || len(alive) != 1 {
		t.Errorf("before its time: reaper: %v, %v; alive: %v", reaped, err, alive)
	}
	log := func() string {
		found, _ := filepath.Glob(filepath.Join(r.opts.State, "watchdog", "*.log"))
		text, _ := os.ReadFile(found[0])
		return string(text)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(log(), "nothing is left of what it had"); {
		if time.Now().After(deadline) {
			t.Fatalf("it is still there; the watchdog's log:\n%s", log())
		}
		time.Sleep(20 * time.Millisecond) // a poll of another process
	}
	if ended := r.Bill()[0].Ended; ended.IsZero() || until.Sub(ended) > 2*time.Second {
		t.Errorf("it was to stay until %v, and ended at %v", until, ended)
	}
}
