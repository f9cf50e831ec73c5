package dail

import (
	"fmt"
	"sync"
	"time"

	"github.com/x/dail/internal/progress"
)

// showPod shows how far the server is, until stop: it may take half an hour in
// which its provider says nothing. What it costs is known once it is there.
func (r *runner) showPod() (step func(string), stop func()) {
	var mu sync.Mutex
	began, now := time.Now(), "asking for it"
	show := func() {
		mu.Lock()
		defer mu.Unlock()
		r.display.Show(progress.Block{
			Title: fmt.Sprintf("the server, %v", time.Since(began).Round(time.Second)),
			Rows:  []progress.Row{{Name: "pod", State: now}},
		})
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				show()
			}
		}
	}()
	step = func(s string) {
		mu.Lock()
		now = s
		mu.Unlock()
		r.display.Note("%s", s)
	}
	return step, sync.OnceFunc(func() {
		close(end)
		<-ended
		r.display.Clear()
	})
}

// showGates shows how many of a level's agents are judged; judged is told of
// each.
func (r *runner) showGates(n, of int) (judged func()) {
	var mu sync.Mutex
	done := 0
	show := func() {
		r.display.Show(progress.Block{Title: fmt.Sprintf("N=%d: gates, %d of %d agents judged", n, done, of)})
	}
	show()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		show()
	}
}
