package harness

import (
	"encoding/json"
	"errors"
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

// longest is the time within which the group must have been throttled, if it has
// a quota at all. On a machine that leaves it less than its quota that is late.
const longest = time.Minute

func burn(group string) error {
	if group != "" {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return err
		}
	}
	s := Start()
	var stop atomic.Bool
	defer stop.Store(true)
	for range runtime.NumCPU() {
		go func() {
			for !stop.Load() {
			}
		}()
	}
	for g := s.group; g.cores > 0 && g.throttled == s.group.throttled; g = readGroup("/") {
		if time.Since(s.began) > longest {
			return errors.New("nothing was throttled")
		}
		time.Sleep(interval)
	}
	return json.NewEncoder(os.Stdout).Encode(s.Stop())
}
