package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
	"github.com/x/dail/internal/clock"
	"github.com/x/dail/pod"
)

// victimArg, as the only argument, makes a program a victim.
const victimArg = "dail-chaos-victim"

// Main makes this process a victim if it was started as one; it follows
// pod.Main and podtest.Main at the start of a program that calls Run.
func Main() {
	if len(os.Args) == 2 && os.Args[1] == victimArg {
		os.Exit(victim())
	}
}

// orders are what a victim hears on its stdin.
type orders struct {
	URL     string
	Key     string
	KeyPath string
	State   string
	Run     string
	Clock   clock.Fast
	Hold    time.Duration
	Die     Kill // KillPanic or KillCrash: by itself, when SIGUSR1 comes
}

// victim is a program that holds a pod, written as a user would.
func victim() int {
	var o orders
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	die := make(chan os.Signal, 1)
	signal.Notify(die, syscall.SIGUSR1)
	if o.Die == KillCrash {
		go func() {
			<-die
			panic("a crash, as planned")
		}()
	}
	run, err := composed()
	if err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		return 2
	}
	up, err := pod.Up(ctx, &pod.RunPod{Key: pod.Secret(o.Key), URL: o.URL, Clock: o.Clock}, run, pod.Options{
		KeyPath: o.KeyPath, State: o.State, RunID: o.Run, Clock: o.Clock, MaxUSDPerHour: 3,
		Limits: pod.Limits{
			Endpoint: 40 * time.Second, Reachable: 40 * time.Second, StallStartup: 40 * time.Second, Draws: 2,
			Run: 3 * time.Hour, // beyond any grace: no ceiling is to end what a guard has forgotten
		},
		Progress: func(s string) { fmt.Fprintln(os.Stderr, o.Clock.Now().Format("15:04:05"), s) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		return 1
	}
	defer func() {
		if err := up.Down(context.WithoutCancel(ctx)); err != nil {
			fmt.Fprintln(os.Stderr, "victim:", err)
		}
	}()
	bound, release := up.Bind(ctx)
	defer release()
	hold, cancel := o.Clock.WithTimeout(bound, o.Hold, nil)
	defer cancel()
	if o.Die != KillPanic {
		die = nil
	}
	select {
	case <-hold.Done():
	case <-die:
		panic("a panic, as planned")
	}
	return 0
}

// composed is what the victim serves: nothing but a pod to lose.
func composed() (*compose.Run, error) {
	return compose.Merge(compose.Request{
		Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
		Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
		Benchmark:  "smoke", Model: "qwen3-coder", Hardware: "l40s", GPUs: 1,
	})
}
