package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// burnVar makes this binary a program that burns what it can get, in the
// control group named there ("": where it is), and prints what the sampler saw.
const burnVar = "DAIL_TEST_BURN"

func burn(group string) error {
	if group != "" {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return err
		}
	}
	s := Start()
	var stop atomic.Bool
	for range runtime.NumCPU() {
		go func() {
			for !stop.Load() {
			}
		}()
	}
	time.Sleep(2 * time.Second) // what is measured, not a wait for something
	u := s.Stop()
	stop.Store(true)
	return json.NewEncoder(os.Stdout).Encode(u)
}
