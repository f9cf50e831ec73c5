package pod

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/clock"
)

// hereDuty is what a watchdog of this very process is started for.
func hereDuty(t *testing.T) (*cloudServer, *cloudClient, duty) {
	clk := clock.Fast{Origin: time.Now(), Times: 20}
	c := serveCloud(t, clk)
	client, err := openCloud([]byte(c.url), []byte(cloudKey), nil)
	if err != nil {
		t.Fatal(err)
	}
	cloud := client.(*cloudClient)
	t.Cleanup(cloud.http.CloseIdleConnections)
	return c, cloud, duty{Provider: cloud, Run: "run1", State: t.TempDir(), Clock: clk}
}

func TestProgramNoticesThatItsWatchdogDied(t *testing.T) {
	_, _, d := hereDuty(t)
	w, err := startWatchdog(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(w.process.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-w.done
	if err := syscall.Kill(w.process.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a zombie is left: %v", err)
	}
	w.close()
	w.close()
}

// What could not be ended is left to the watchdog: close does not wait for it.
func TestCloseLeavesTheRestToTheWatchdog(t *testing.T) {
	c, cloud, d := hereDuty(t)
	w, err := startWatchdog(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	now := d.Clock.Now()
	spec := Spec{Name: NewName(now), Marker: Marker{Owner: "kim@box", Run: d.Run, Deadline: now.Add(time.Hour)}}
	e := w.intent(spec)
	m, err := cloud.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	e.ID, e.State = m.ID, stateServing
	put(t, w.ledger, e)
	if !alive(e) || !watched(e) {
		t.Error("the entry does not say who answers for it")
	}
	w.close()
	<-w.done
	if got := c.alive(); len(got) != 1 || w.ledger.has(spec.Name) {
		t.Errorf("machines %v", got)
	}
}

func TestWatchdogThatCannotBeStarted(t *testing.T) {
	_, cloud, whole := hereDuty(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kinds := mainKinds.Load()
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("never mind"))
	tests := []struct {
		name  string
		spoil func(d *duty) context.Context
		want  string
	}{
		{"main without Main", func(*duty) context.Context { mainKinds.Store(nil); return t.Context() }, "pod.Main() the first line of main"},
		{"a kind that Main does not know", func(*duty) context.Context { mainKinds.Store(&[]Kind{}); return t.Context() }, `"cloud"`},
		{"a clock of one's own", func(d *duty) context.Context { d.Clock = lid{}; return t.Context() }, "pod.lid"},
		{"a state folder that is none", func(d *duty) context.Context { d.State = file; return t.Context() }, "DAIL_STATE"},
		{"a provider that the watchdog cannot open", func(d *duty) context.Context {
			d.Provider = &cloudClient{URL: cloud.URL}
			return t.Context()
		}, "cannot be opened again: no key came"},
		{"a cancelled program", func(*duty) context.Context { return cancelled }, "never mind"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer mainKinds.Store(kinds)
			d := whole
			ctx := tt.spoil(&d)
			w, err := startWatchdog(ctx, d)
			if err == nil {
				w.close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %s", err, tt.want)
			}
		})
	}
}

// A folder that went away before the watchdog was ready held no machine, and is
// not made anew: its program is gone, and nobody would remove it.
func TestWatchdogOfAFolderThatIsGone(t *testing.T) {
	state := filepath.Join(t.TempDir(), "gone")
	line, err := json.Marshal(job{Kind: "cloud", Run: "r", Program: processOf(os.Getpid()), State: state, Secret: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = takeJob(bufio.NewReader(bytes.NewReader(append(line, '\n'))), KindsOfTests())
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the folder was made")
	}
}

func TestWatchdogIsNoCommandForPeople(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, watchdogArg) // its stdin is /dev/null
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "make reap") {
		t.Errorf("%v: %s", err, out)
	}
	cmd = exec.Command(exe, watchdogArg)
	cmd.Stdin = strings.NewReader("rm -rf\n")
	out, err = cmd.CombinedOutput()
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "job cannot be read") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOldLogsArePruned(t *testing.T) {
	state := t.TempDir()
	dir := filepath.Join(state, "watchdog")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"old.log": logAge + time.Hour, "new.log": logAge - time.Hour, "old.txt": 2 * logAge} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	path, err := logFile(state, "../odd run")
	if err != nil || path != filepath.Join(dir, "_odd_run.log") {
		t.Errorf("%s, %v", path, err)
	}
	var left []string
	files, err := os.ReadDir(dir)
	for _, f := range files {
		left = append(left, f.Name())
	}
	if diff := cmp.Diff([]string{"new.log", "old.txt"}, left); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestWatchdogEnv(t *testing.T) {
	got := watchdogEnv([]string{"HOME=/h", "RUNPOD_API_KEY=k", "HTTPS_PROXY=http://p", "HF_TOKEN=t", "DAIL_STATE=/s", "PATH=/bin", "HOMER=x", "odd"})
	if diff := cmp.Diff([]string{"HOME=/h", "HTTPS_PROXY=http://p", "DAIL_STATE=/s", "PATH=/bin"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
