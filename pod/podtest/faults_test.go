package podtest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/pod/podtest"
)

// rig is a server without machines and with a clock that stands still.
type rig struct {
	*testing.T
	srv *podtest.Server
	api
	clk *manual
}

// callFaults is what each fault of the calls does, shown by calls.
var callFaults = map[podtest.Fault]func(rig){
	podtest.CreateHangs: func(r rig) {
		ctx, cancel := context.WithCancel(r.Context())
		go func() {
			for len(r.srv.Pods()) == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if _, err := r.try(ctx, "POST", "/pods", request("dail-1-a")); !errors.Is(err, context.Canceled) {
			r.Errorf("the POST ended with %v", err)
		}
		r.made(1)
	},
	podtest.CreateCut: func(r rig) {
		if _, err := r.try(r.Context(), "POST", "/pods", request("dail-1-a")); err == nil {
			r.Error("the POST was answered")
		}
		r.made(1)
	},
	podtest.CreateSlow: func(r rig) {
		go func() {
			r.clk.sleepers(r.T, 2) // the create and the pod's life
			r.clk.Advance(2 * time.Second)
		}()
		r.create(request("dail-1-a"))
	},
	podtest.Create500: func(r rig) { r.want(500, "POST", "/pods", request("dail-1-a"), nil); r.made(1) },
	podtest.CreateLate: func(r rig) {
		r.want(500, "POST", "/pods", request("dail-1-a"), nil)
		if len(r.srv.Alive()) != 1 || len(r.list()) != 0 {
			r.Error("the pod is not made, or seen at once")
		}
		r.want(404, "GET", "/pods/"+r.srv.Alive()[0].ID, nil, nil)
		r.clk.Advance(20 * time.Second)
		r.made(1)
	},
	podtest.CreateFails: func(r rig) { r.want(500, "POST", "/pods", request("dail-1-a"), nil); r.made(0) },
	podtest.CreateBrokenJSON: func(r rig) {
		if got := r.do("POST", "/pods", request("dail-1-a")); got.Status != 201 || strings.HasSuffix(got.Body, "}") {
			r.Errorf("%d %s", got.Status, got.Body)
		}
		r.made(1)
	},
	podtest.CreateTwice:   func(r rig) { r.create(request("dail-1-a")); r.made(2) },
	podtest.NoCapacity:    func(r rig) { r.refused(400, "no longer any instances"); r.made(0) },
	podtest.BadRequest:    func(r rig) { r.refused(400, "breaks a rule"); r.made(0) },
	podtest.NoCredit:      func(r rig) { r.refused(402, "balance"); r.made(0) },
	podtest.Denied:        func(r rig) { r.refused(403, "pool"); r.made(0) },
	podtest.Unprocessable: func(r rig) { r.refused(422, `"errors":["$: additional`); r.made(0) },
	podtest.CreateRate:    func(r rig) { r.retryAfter("1", r.do("POST", "/pods", request("dail-1-a"))); r.made(0) },

	podtest.GetNotFound: func(r rig) {
		p := r.create(request("dail-1-a"))
		r.want(404, "GET", "/pods/"+p.ID, nil, nil)
		r.get(p.ID)
	},
	podtest.Get500: func(r rig) {
		p := r.create(request("dail-1-a"))
		r.want(500, "GET", "/pods/"+p.ID, nil, nil)
		r.get(p.ID)
	},
	podtest.GetTerminated: func(r rig) {
		p := r.create(request("dail-1-a"))
		r.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
		if got := r.get(p.ID); got.Status != "TERMINATED" || got.Cost != 0 {
			r.Errorf("%+v", got)
		}
		r.want(404, "GET", "/pods/"+p.ID, nil, nil)
	},

	podtest.List500: func(r rig) { r.want(500, "GET", "/pods", nil, nil); r.list() },
	podtest.ListPages: func(r rig) {
		p := r.create(request("dail-1-a"))
		if ids, pages := r.pages(""); pages != 3 || !slices.Equal(ids, []string{p.ID}) {
			r.Errorf("%d pages: %v", pages, ids)
		}
	},
	podtest.ListShortPage: func(r rig) {
		p := r.create(request("dail-1-a"))
		if ids, pages := r.pages(""); pages != 2 || !slices.Equal(ids, []string{p.ID}) {
			r.Errorf("%d pages: %v", pages, ids)
		}
	},
	podtest.CursorLoop: func(r rig) {
		r.create(request("dail-1-a"))
		if ids, pages := r.pages(""); pages != 20 || len(ids) != 20 {
			r.Errorf("it ended after %d pages: %v", pages, ids)
		}
	},
	podtest.ListLags: func(r rig) {
		p := r.create(request("dail-1-a"))
		if len(r.list()) != 0 {
			r.Error("the pod is listed at once")
		}
		r.get(p.ID)
		r.made(1)
	},

	podtest.DeleteRate:    func(r rig) { r.retryAfter("1", r.delete()); r.made(1) },
	podtest.DeleteMissing: func(r rig) { r.status(404, r.delete()); r.made(1) },
	podtest.Delete500:     func(r rig) { r.status(500, r.delete()); r.made(1) },
	podtest.DeleteDone500: func(r rig) { r.status(500, r.delete()); r.made(0) },
	podtest.DeleteCut: func(r rig) {
		p := r.create(request("dail-1-a"))
		if _, err := r.try(r.Context(), "DELETE", "/pods/"+p.ID, nil); err == nil {
			r.Error("the DELETE was answered")
		}
		r.made(0)
	},
	podtest.DeleteHangs: func(r rig) {
		p := r.create(request("dail-1-a"))
		ctx, cancel := context.WithCancel(r.Context())
		go func() {
			for len(r.srv.Events()) < 2 {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if _, err := r.try(ctx, "DELETE", "/pods/"+p.ID, nil); !errors.Is(err, context.Canceled) {
			r.Errorf("the DELETE ended with %v", err)
		}
		r.made(1)
	},
	podtest.DeleteBusy:    func(r rig) { r.status(409, r.delete()); r.made(1) },
	podtest.DeleteIgnored: func(r rig) { r.status(204, r.delete()); r.made(1) },
	podtest.DeleteLate: func(r rig) {
		r.status(204, r.delete())
		r.made(1)
		r.clk.sleepers(r.T, 2)
		r.clk.Advance(5 * time.Second)
		for len(r.srv.Alive()) > 0 {
			time.Sleep(time.Millisecond)
		}
		if s := r.srv.Bill()[0].Seconds; s != 5 {
			r.Errorf("billed for %v s", s)
		}
	},
	podtest.Cloudflare: func(r rig) {
		got := r.do("GET", "/pods", nil)
		if got.Status != 403 || got.Body != "error code: 1010" || strings.Contains(got.Header.Get("Content-Type"), "json") {
			r.Errorf("%+v", got)
		}
	},
	podtest.Gone:         func(r rig) { r.status(410, r.do("GET", "/pods", nil)) },
	podtest.Unauthorized: func(r rig) { r.status(401, r.do("GET", "/pods", nil)) },
	podtest.RateLimited:  func(r rig) { r.retryAfter("1", r.do("GET", "/pods", nil)) },
	podtest.Unavailable:  func(r rig) { r.status(503, r.do("GET", "/pods", nil)) },
	podtest.CallCut: func(r rig) {
		// A POST, which Go's client does not send again by itself.
		if _, err := r.try(r.Context(), "POST", "/pods", request("dail-1-a")); err == nil {
			r.Error("the call was answered")
		}
		r.made(0)
	},
	podtest.LogsSilent: func(r rig) {
		p := r.create(request("dail-1-a"))
		r.clk.sleepers(r.T, 1)
		r.clk.Advance(time.Minute)
		r.clk.sleepers(r.T, 1)
		ctx, cancel := context.WithCancel(r.Context())
		resp := r.openLogs(ctx, p.ID)
		time.AfterFunc(100*time.Millisecond, cancel)
		if lines := r.readLogs(ctx, resp, 1000); len(lines) > 0 {
			r.Errorf("it said %q", lines)
		}
		if lines := r.logs(r.Context(), p.ID, 1); len(lines) == 0 {
			r.Errorf("afterwards: %q", lines)
		}
	},

	// Faults of pods that the API alone shows.
	podtest.SSHNever: func(r rig) {
		p := r.running()
		if hasSSH(p) {
			r.Errorf("%+v", p)
		}
	},
	podtest.SSHLate: func(r rig) {
		p := r.running()
		polls := 1
		for ; !hasSSH(p); polls++ {
			p = r.get(p.ID)
		}
		if polls != 4 {
			r.Errorf("the address came with GET %d", polls)
		}
	},
	podtest.SSHStale: func(r rig) {
		p := r.running()
		first := p.SSH.Direct.Port
		second, third := r.get(p.ID).SSH.Direct.Port, r.get(p.ID).SSH.Direct.Port
		if first != second {
			r.Errorf("ports %d, %d, %d", first, second, third)
		}
	},
	podtest.CostAbove: func(r rig) {
		if p := r.create(request("dail-1-a")); p.Cost != 9.9 {
			r.Errorf("it costs %v", p.Cost)
		}
	},
	podtest.StatusError:  func(r rig) { r.stuck("ERROR") },
	podtest.StatusExited: func(r rig) { r.stuck("EXITED") },
	podtest.StatusUnknown: func(r rig) {
		r.stuck("MIGRATING")
		r.list()
	},
	podtest.StuckPending: func(r rig) {
		p := r.create(request("dail-1-a"))
		r.clk.Advance(time.Hour)
		if got := r.get(p.ID); got.Status != "PROVISIONING" {
			r.Errorf("%+v", got)
		}
	},
	podtest.CreatedAtV1: func(r rig) {
		if p := r.create(request("dail-1-a")); p.CreatedAt != "2026-11-24 10:00:00 +0000 UTC" {
			r.Errorf("createdAt %q", p.CreatedAt)
		}
	},
	podtest.Locked: func(r rig) {
		p := r.create(request("dail-1-a"))
		r.want(409, "DELETE", "/pods/"+p.ID, nil, nil)
		r.want(200, "PATCH", "/pods/"+p.ID, map[string]any{"locked": false}, nil)
		r.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
	},
	podtest.ForeignPods: func(r rig) {
		if len(r.list()) != 1 || len(r.srv.Alive()) != 0 {
			r.Errorf("listed %v, ours %v", r.list(), r.srv.Alive())
		}
	},
}

// made checks how many pods are alive and listed.
func (r rig) made(n int) {
	r.Helper()
	if alive, listed := r.srv.Alive(), r.list(); len(alive) != n || len(listed) != n {
		r.Errorf("alive %v, listed %v; want %d", alive, listed, n)
	}
}

func (r rig) refused(status int, says string) {
	r.Helper()
	if got := r.do("POST", "/pods", request("dail-1-a")); got.Status != status || !strings.Contains(got.Body, says) {
		r.Errorf("%d %s; want %d and %q", got.Status, got.Body, status, says)
	}
}

func (r rig) retryAfter(seconds string, got reply) {
	r.Helper()
	if got.Status != 429 || got.Header.Get("Retry-After") != seconds {
		r.Errorf("%d, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
	}
}

func (r rig) status(want int, got reply) {
	r.Helper()
	if got.Status != want {
		r.Errorf("%d %s; want %d", got.Status, got.Body, want)
	}
}

// delete makes a pod and deletes it.
func (r rig) delete() reply {
	r.Helper()
	return r.do("DELETE", "/pods/"+r.create(request("dail-1-a")).ID, nil)
}

// running makes a pod and lets its boot pass. The pod was looked at once.
func (r rig) running() podJSON {
	r.Helper()
	p := r.create(request("dail-1-a"))
	for range 4 {
		r.clk.sleepers(r.T, 1)
		r.clk.Advance(50 * time.Millisecond)
	}
	r.clk.sleepers(r.T, 0)
	return r.get(p.ID)
}

// stuck makes a pod that gets that status, and stays in it.
func (r rig) stuck(status string) {
	r.Helper()
	p := r.create(request("dail-1-a"))
	for range 2 {
		r.clk.sleepers(r.T, 1)
		r.clk.Advance(50 * time.Millisecond)
	}
	r.clk.sleepers(r.T, 0)
	r.until(p.ID, func(p podJSON) bool { return p.Status == status })
	r.clk.Advance(time.Hour)
	if p = r.get(p.ID); p.Status != status || hasSSH(p) {
		r.Errorf("%+v", p)
	}
}

// machineFaults are shown in machine_test.go, on machines.
var machineFaults = []podtest.Fault{
	podtest.SSHRefuses, podtest.WrongGPU, podtest.GPULost, podtest.GPUFewer, podtest.VLLMFails, podtest.VLLMDies,
	podtest.VLLMStall, podtest.PID1Loops, podtest.SSHDrops, podtest.SSHFreezes, podtest.SSHMoves, podtest.HostKeyChanges,
	podtest.ContainerCrash, podtest.HostDies, podtest.PodKeyDenied, podtest.GraphQLDenied,
}

func TestEveryFaultIsTested(t *testing.T) {
	for _, f := range podtest.Faults() {
		if _, ok := callFaults[f]; ok == slices.Contains(machineFaults, f) {
			t.Errorf("fault %s is not tested, or in both lists", f)
		}
	}
	if n := len(callFaults) + len(machineFaults); n != len(podtest.Faults()) {
		t.Errorf("%d faults are tested, there are %d", n, len(podtest.Faults()))
	}
}

func TestFaultsOfCalls(t *testing.T) {
	for fault, show := range callFaults {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			clk := newManual()
			srv, a := serve(t, podtest.Config{NoMachines: true, Clock: clk})
			srv.Inject(fault, 1)
			show(rig{t, srv, a, clk})
		})
	}
}

func TestInjectHowOften(t *testing.T) {
	srv, a := serve(t, podtest.Config{NoMachines: true})
	srv.Inject(podtest.List500, 2)
	a.want(500, "GET", "/pods", nil, nil)
	a.want(500, "GET", "/pods", nil, nil)
	a.want(200, "GET", "/pods", nil, nil)
	srv.Inject(podtest.List500, -1)
	for range 5 {
		a.want(500, "GET", "/pods", nil, nil)
	}
	srv.Inject(podtest.List500, 0)
	a.want(200, "GET", "/pods", nil, nil)

	// Two at once, one with a parameter.
	srv.Inject(podtest.CreateTwice, 1)
	srv.Inject(podtest.Create500, 1)
	srv.Inject(podtest.CostAbove.With("7.5"), 1)
	a.want(500, "POST", "/pods", request("dail-1-a"), nil)
	alive := srv.Alive()
	if len(alive) != 2 || alive[0].USDPerHour != 7.5 || alive[1].USDPerHour != 0.99 {
		t.Errorf("alive: %+v", alive)
	}
}

func TestParseFault(t *testing.T) {
	for text, ok := range map[string]bool{
		"create-500": true, "create-late": true, "create-late:90s": true, "ssh-late:7": true, "vllm-fails:ValueError: x": true,
		"no-such": false, "create-late:soon": false, "create-late:-1s": false, "ssh-late:often": false, "create-500:x": false, "": false,
	} {
		if _, err := podtest.ParseFault(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	srv, err := podtest.NewServer(podtest.Config{NoMachines: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	srv.Inject("no-such", 1)
	if len(srv.Violations()) != 1 {
		t.Error("a fault that does not exist was injected without a word")
	}
}
