//go:build unix

package deadman_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/x/dail/internal/deadman"
)

// quiet is a switch that fires after three ticks of silence.
func quiet() deadman.Switch {
	return deadman.Switch{Silence: 3*tick - time.Second, Tick: tick, Ending: ending("0")}
}

func TestSilenceFromTheFirstSecondEndsTheMachine(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.boot(quiet())
		r.ticks(2)
		r.wantEndings(0, "after two ticks")
		r.ticks(1)
		r.wantEndings(1, "after three ticks")
		if got := r.read("ended"); got != "from the first second\n" {
			t.Errorf("the ending did not get the environment of the boot: %q", got)
		}
		// Who can still tick has not ended.
		r.ticks(2)
		r.wantEndings(3, "two ticks later")
		for _, want := range []string{"no heartbeat for 3 ticks", "attempt 3", "status 0", "trying"} {
			if !strings.Contains(r.read(".dail/deadman.log"), want) {
				t.Errorf("deadman.log lacks %q:\n%s", want, r.read(".dail/deadman.log"))
			}
		}
	})
}

func TestHeartbeatsHoldItAndTheirEndEndsIt(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.boot(quiet())
		for range 6 {
			r.ticks(2)
			r.beat()
		}
		r.wantEndings(0, "while it was beaten")
		r.ticks(3)
		r.wantEndings(0, "three ticks, the first of which saw the last beat")
		r.ticks(1)
		r.wantEndings(1, "three silent ticks")
	})
}

func TestTheDeadlineEndsWhatIsBeaten(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		s := quiet()
		s.Deadline = time.Unix(1_000_100, 0)
		s.KeepUntil = time.Unix(1_000_500, 0)
		r.boot(s)
		r.at(1_000_099)
		r.beat()
		r.ticks(1)
		r.wantEndings(0, "a second before the deadline")
		r.at(1_000_100)
		r.beat()
		r.ticks(1)
		r.wantEndings(1, "at the deadline")
	})
}

func TestClockJumpsAreNoSilence(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.boot(quiet())
		r.at(9_000_000)
		r.ticks(1)
		r.at(5)
		r.ticks(1)
		r.wantEndings(0, "after two ticks")
		r.ticks(1)
		r.wantEndings(1, "after three ticks")
	})
}

func TestKeepHoldsUntilItIsOver(t *testing.T) {
	until := time.Unix(1_000_100, 0)
	for name, by := range map[string]func(*rig) deadman.Switch{
		"parameter": func(*rig) deadman.Switch { s := quiet(); s.KeepUntil = until; return s },
		"file": func(r *rig) deadman.Switch {
			must(r.t, os.Mkdir(filepath.Join(r.root, ".dail"), 0o700))
			r.write(".dail/keep", "1000100\n")
			return quiet()
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *rig) {
				r.boot(by(r))
				r.ticks(10)
				r.at(until.Unix() - 1)
				r.ticks(1)
				r.wantEndings(0, "while it is kept")
				r.at(until.Unix())
				r.ticks(1)
				r.wantEndings(1, "when the keep is over")
			})
		})
	}
}

func TestAnEndingThatFailsIsTriedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		s := quiet()
		s.Stays = true
		s.Ending = ending(`$(( $(wc -l <"$DAIL_ROOT/ended") < 3 ))`)
		kill(r.boot(s))
		r.ticks(3)
		r.wantEndings(1, "first attempt")
		r.beat() // what was begun is brought to its end
		r.ticks(1)
		r.wantEndings(2, "second attempt")
		r.ticks(1) // the success, and the pause before vLLM is killed
		r.wantEndings(3, "third attempt")
		r.wakeUp()
		r.gone()
		log := r.read(".dail/deadman.log")
		for _, want := range []string{"attempt 1: status 1", "attempt 2: status 1", "attempt 3: status 0", "done"} {
			if !strings.Contains(log, want) {
				t.Errorf("deadman.log lacks %q:\n%s", want, log)
			}
		}
		if held := r.read(".dail/deadman.pid"); held != "" {
			t.Errorf("deadman.pid is left: %q", held)
		}
	})
}

func TestTheLogStaysSmall(t *testing.T) {
	r := newRig(t, "sh")
	s := quiet()
	s.Silence = tick
	s.Ending = `n=0; while [ $n -lt 400 ]; do echo "a long complaint of an ending, number $n"; n=$((n+1)); done; exit 1`
	r.boot(s)
	r.ticks(60)
	log := r.read(".dail/deadman.log")
	if len(log) > 140_000 {
		t.Errorf("deadman.log has %d bytes after 60 attempts", len(log))
	}
	if !strings.Contains(log, "attempt 60: status 1") {
		t.Error("deadman.log lacks its newest line")
	}
}

func TestARestartOfTheMachineArmsAgain(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		s := quiet()
		s.Deadline = time.Unix(1_000_100, 0)
		first := r.boot(s)
		r.beat()
		kill(first)
		must(t, syscall.Kill(-r.pid(), syscall.SIGKILL))
		r.gone()

		// After a restart the old number may be anybody's: here, the test's.
		_, rest, _ := strings.Cut(r.read(".dail/deadman.pid"), " ")
		r.write(".dail/deadman.pid", fmt.Sprintf("%d %s", os.Getpid(), rest))
		r.boot(s)
		if r.pid() == os.Getpid() {
			t.Fatal("the switch did not claim its file")
		}
		r.ticks(2)
		r.wantEndings(0, "after two ticks: a beat of before the restart is none")
		r.at(1_000_100)
		r.ticks(1)
		r.wantEndings(1, "at the deadline, which the restart did not move")
	})
}

func TestArmingTwiceIsArmingOnce(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.boot(quiet())
		pid := r.pid()
		r.run(quiet().Arm())
		r.ticks(1)
		r.run(quiet().Arm())
		r.ticks(1)
		if r.pid() != pid {
			t.Errorf("another process took over")
		}
		r.ticks(1)
		r.wantEndings(1, "arming again is no heartbeat")
		if n := strings.Count(r.read(".dail/deadman.log"), "armed:"); n != 1 {
			t.Errorf("armed %d times:\n%s", n, r.read(".dail/deadman.log"))
		}
	})
}

func TestArmingAnewReplacesTheParameters(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.boot(quiet())
		pid := r.pid()
		s := quiet()
		s.Deadline = time.Unix(1_000_100, 0)
		r.run(s.Arm(), "GREETING=from a login")
		r.ticks(1)
		r.at(1_000_100)
		r.beat()
		r.ticks(1)
		r.wantEndings(1, "at the new deadline")
		if r.pid() != pid || r.read("ended") != "from the first second\n" {
			t.Errorf("process %d became %d, greeting %q: the environment of the boot is lost", pid, r.pid(), r.read("ended"))
		}
	})
}

func TestArmStartsOneWhereNoneLives(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.run(quiet().Arm())
		r.sleeping()
		r.ticks(3)
		r.wantEndings(1, "after three ticks")
		info, err := os.Stat(filepath.Join(r.root, ".dail"))
		must(t, err)
		if info.Mode().Perm() != 0o700 {
			t.Errorf(".dail has mode %v", info.Mode())
		}
	})
}

func TestADisarmedSwitchEndsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.run(deadman.Disarm()) // where there is none
		r.run(quiet().Arm())
		r.sleeping()
		r.run(deadman.Disarm())
		_ = r.wake.Close() // its sleep outlives it
		r.gone()
		r.wantEndings(0, "after disarming")
	})
}

func TestADeletedFolderIsSilence(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.boot(quiet())
		pid := r.pid()
		r.beat()
		must(t, os.RemoveAll(filepath.Join(r.root, ".dail")))
		r.ticks(1)
		if r.pid() != pid {
			t.Error("the switch did not claim its file again")
		}
		must(t, os.RemoveAll(r.root))
		must(t, os.Mkdir(r.root, 0o755))
		r.ticks(2)
		r.wantEndings(1, "after three ticks")
	})
}

func TestRubbishInItsFolderIsSilence(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.boot(quiet())
		r.beat()
		r.ticks(1)
		must(t, os.Remove(filepath.Join(r.root, ".dail/heartbeat")))
		must(t, syscall.Mkfifo(filepath.Join(r.root, ".dail/heartbeat"), 0o600))
		r.write(".dail/deadman.sh", "#!/bin/sh\n# dail switch 0000\nmain() {\n")
		r.write(".dail/keep", "for ever")
		r.write(".dail/vllm.pid", "-1\n")
		r.write(".dail/vllm.born", "-1\n")
		r.write(".dail/deadman.pid", "* ; rm -rf / \n")
		r.ticks(3)
		r.wantEndings(1, "after three ticks")
	})
}

// TestVLLMIsKilledAfterTheEnding: the ending comes first, and sees vLLM alive.
func TestVLLMIsKilledAfterTheEnding(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		s := quiet()
		s.Ending = `read -r pid <"$DAIL_ROOT/.dail/vllm.pid"; kill -0 "$pid" && echo alive >>"$DAIL_ROOT/ended"; exit 1`
		r.boot(s)
		// Deaf to TERM, with a child: the group is what must go.
		vllm := exec.Command("sh", "-c", `trap '' TERM; sleep 600 & echo up; wait; wait`)
		vllm.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := vllm.StdoutPipe()
		must(t, err)
		must(t, vllm.Start())
		t.Cleanup(func() { _ = syscall.Kill(-vllm.Process.Pid, syscall.SIGKILL) })
		_, err = out.Read(make([]byte, 3))
		must(t, err)
		r.write(".dail/vllm.pid", fmt.Sprintln(vllm.Process.Pid))

		r.write(".dail/vllm.born", "1\n")
		r.ticks(3)
		r.wantEndings(1, "after three ticks")
		if strings.Contains(r.read(".dail/deadman.log"), "signal") {
			t.Fatalf("another process than the one that was started was signalled:\n%s", r.read(".dail/deadman.log"))
		}
		r.write(".dail/vllm.born", born(t, vllm.Process.Pid)+"\n")
		r.ticks(1)
		r.wantEndings(2, "the second attempt")
		never := time.AfterFunc(patience, func() {
			t.Error("vLLM was not killed")
			_ = vllm.Process.Kill()
		})
		err = vllm.Wait()
		never.Stop()
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("vLLM ended with %v, want killed", err)
		}
	})
}

func TestBootBecomesTheImagesOwnStart(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		start := filepath.Join(r.root, "start.sh")
		must(t, os.WriteFile(start, []byte("#!/bin/sh\necho $$ >\"$DAIL_ROOT/started\"\n"), 0o755))
		cmd := r.boot(quiet(), "DAIL_START="+start)
		must(t, cmd.Wait())
		if got := strings.TrimSpace(r.read("started")); got != fmt.Sprint(cmd.Process.Pid) {
			t.Errorf("start.sh ran as process %s, want %d: it must take the place of the boot", got, cmd.Process.Pid)
		}
		r.ticks(3)
		r.wantEndings(1, "the switch lives on")
	})
}

func TestBootWithoutAStartSleepsUntilItIsEnded(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		cmd := r.boot(quiet())
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if err := cmd.Wait(); err == nil {
			t.Error("ended with status 0")
		}
		if err := syscall.Kill(r.pid(), 0); err != nil {
			t.Errorf("the switch ended with its boot: %v", err)
		}
	})
}

// TestRealTime is the whole thing with real sleeps.
func TestRealTime(t *testing.T) {
	r := newRig(t, "sh")
	done := fifo(t, filepath.Join(r.root, "done"))
	r.start(deadman.Switch{
		Silence: 100 * time.Millisecond, Tick: 25 * time.Millisecond,
		Ending: `echo now >"$DAIL_ROOT/done"`,
	}.Boot())
	must(t, done.SetReadDeadline(time.Now().Add(patience)))
	if _, err := done.Read(make([]byte, 4)); err != nil {
		t.Fatalf("it did not fire: %v\n%s", err, r.read(".dail/deadman.log"))
	}
}

// TestItCarriesItsTextSafely: what a program ends a machine with is run as it
// was written, and fits into a create request.
func TestItCarriesItsTextSafely(t *testing.T) {
	r := newRig(t, "sh")
	s := quiet()
	s.Silence = tick
	s.Ending = "printf '%s' 'it'\"'\"'s $HOME `id` \\ \"x\"\n# ünï' >\"$DAIL_ROOT/text\"\n"
	r.boot(s)
	r.ticks(1)
	if got, want := r.read("text"), "it's $HOME `id` \\ \"x\"\n# ünï"; got != want {
		t.Errorf("the ending wrote %q, want %q", got, want)
	}
	if n := len(s.Boot()); n > 12_000 {
		t.Errorf("Boot has %d bytes", n)
	}
	if bytes.Contains([]byte(s.Boot()), []byte{0}) {
		t.Error("Boot holds a NUL")
	}
}

// TestABareMachine has neither setsid nor timeout, as macOS.
func TestABareMachine(t *testing.T) {
	r := newRig(t, "sh")
	for _, name := range []string{"setsid", "timeout"} {
		_ = os.Remove(filepath.Join(r.bin, name))
	}
	r.boot(quiet())
	must(t, syscall.Kill(r.pid(), syscall.SIGHUP)) // the login that started it ends
	r.ticks(3)
	r.wantEndings(1, "after three ticks")
}
