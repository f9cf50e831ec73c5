package pod

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sampleEntry is a whole entry of this process.
func sampleEntry(name string) entry {
	now := time.Unix(1790000000, 5).UTC()
	return entry{
		Version: entryVersion, Name: name, Provider: "runpod", Account: `{"url":"https://api.runpod.io/v2","key":"1f2e3d4c"}`,
		Owner: "kim@box", Run: "20261124-101500-ab12", State: stateIntended, USDPerHour: 1.99,
		Intent: now, Deadline: now.Add(time.Hour), Keep: now.Add(2 * time.Hour),
		Host: hostname(), Program: processOf(os.Getpid()), Watchdog: process{PID: 1},
	}
}

func testLedger(t *testing.T) *ledger {
	t.Helper()
	l, err := openLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func put(t *testing.T, l *ledger, e entry) {
	t.Helper()
	if err := l.put(e); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerKeepsWhatWasPut(t *testing.T) {
	l := testLedger(t)
	one, two := sampleEntry("dail-1790000000-00000000000000aa"), sampleEntry("dail-1790000001-00000000000000bb")
	two.Keep = time.Time{}
	put(t, l, one)
	put(t, l, two)
	one.ID, one.State = "pod7", stateCreated
	put(t, l, one)

	got, bad, err := l.entries()
	if err != nil || len(bad) > 0 {
		t.Fatal(bad, err)
	}
	if diff := cmp.Diff([]entry{one, two}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if !alive(got[0]) {
		t.Error("this process is not alive")
	}
	for range 2 { // the second time there is nothing to do
		if err := l.remove(one.Name); err != nil {
			t.Error(err)
		}
	}
	if l.has(one.Name) || !l.has(two.Name) {
		t.Error("the wrong one was removed")
	}
	if _, err := l.get(one.Name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get of none: %v", err)
	}
}

func TestLedgerIsPrivate(t *testing.T) {
	state := filepath.Join(t.TempDir(), "a", "state")
	l, err := openLedger(state)
	if err != nil {
		t.Fatal(err)
	}
	e := sampleEntry("dail-1-a")
	put(t, l, e)
	for path, want := range map[string]fs.FileMode{state: 0o700, l.dir: 0o700, l.path(e.Name): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", path, info.Mode().Perm(), want, err)
		}
	}
}

// A file that cannot be read is not the same as no file.
func TestLedgerReportsWhatItCannotRead(t *testing.T) {
	l := testLedger(t)
	put(t, l, sampleEntry("dail-1-good"))
	whole, err := os.ReadFile(l.path("dail-1-good"))
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]string{
		"dail-1-empty":   "",
		"dail-1-cut":     string(whole[:len(whole)/2]),
		"dail-1-other":   string(whole), // it is about another machine
		"dail-1-newer":   strings.Replace(string(whole), `"version": 1`, `"version": 2`, 1),
		"dail-1-state":   strings.Replace(strings.Replace(string(whole), "intended", "asleep", 1), "dail-1-good", "dail-1-state", 1),
		"dail-1-twofold": strings.ReplaceAll(string(whole)+string(whole), "dail-1-good", "dail-1-twofold"),
		"dail-1-untimed": strings.ReplaceAll(strings.Replace(string(whole), `"deadline"`, `"dead"`, 1), "dail-1-good", "dail-1-untimed"),
	}
	for name, text := range faults {
		if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// What a write that was cut off leaves behind is none of them.
	if err := os.WriteFile(filepath.Join(l.dir, ".dail-1-good-1.tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good, bad, err := l.entries()
	if err != nil || len(good) != 1 || len(bad) != len(faults) {
		t.Fatalf("%d good, %d bad, %v", len(good), len(bad), err)
	}
	for _, b := range bad {
		if !strings.Contains(b.Error(), l.path(b.Name)) || !strings.Contains(b.Error(), "may still cost money") {
			t.Errorf("the error does not say which file and what it means: %v", b)
		}
		if !l.has(b.Name) {
			t.Errorf("%s counts as absent", b.Name)
		}
	}
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.entries(); err == nil || !l.has("dail-1-good") {
		t.Errorf("a ledger that was taken away counts as an empty one (%v)", err)
	}
}

func TestLedgerRefusesWhatNobodyCouldActBy(t *testing.T) {
	l := testLedger(t)
	for name, spoil := range map[string]func(*entry){
		"a path":      func(e *entry) { e.Name = "../dail-1-a" },
		"hidden":      func(e *entry) { e.Name = ".dail" },
		"no name":     func(e *entry) { e.Name = "" },
		"no provider": func(e *entry) { e.Provider = "" },
		"no run":      func(e *entry) { e.Run = "" },
		"no deadline": func(e *entry) { e.Deadline = time.Time{} },
		"no state":    func(e *entry) { e.State = "" },
	} {
		e := sampleEntry("dail-1-a")
		if spoil(&e); l.put(e) == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if files, err := os.ReadDir(l.dir); err != nil || len(files) > 0 {
		t.Errorf("%d files left, %v", len(files), err)
	}
}

// Whoever reads while others write sees whole entries.
func TestLedgerIsSharedByMany(t *testing.T) {
	dir := t.TempDir()
	reader, err := openLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		writers.Go(func() {
			l, err := openLedger(dir)
			if err != nil {
				t.Error(err)
				return
			}
			e := sampleEntry(fmt.Sprintf("dail-1-%d", i))
			for n := range 20 {
				e.ID = strings.Repeat("x", n*50)
				if err := errors.Join(l.put(e), l.put(e)); err != nil {
					t.Error(err)
				}
				if n%5 == 4 {
					if err := l.remove(e.Name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	readers.Go(func() {
		for {
			if _, bad, err := reader.entries(); err != nil || len(bad) > 0 {
				t.Error(bad, err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	writers.Wait()
	close(done)
	readers.Wait()
	if files, err := os.ReadDir(reader.dir); err != nil || len(files) > 0 {
		t.Errorf("left over: %v, %v", files, err)
	}
}

func TestAliveTellsProcessesApart(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e := sampleEntry("dail-1-a")
	e.Program = processOf(cmd.Process.Pid)
	e.Watchdog = e.Program
	if !alive(e) || !watched(e) {
		t.Error("a running process counts as ended")
	}
	again := e
	again.Program.Start += "0" // another process that got the same pid
	if alive(again) {
		t.Error("a pid that is used again counts as the same process")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		// Killed and not yet waited for: a zombie.
		for until := time.Now().Add(10 * time.Second); alive(e) && time.Now().Before(until); {
			runtime.Gosched()
		}
		if alive(e) {
			t.Error("a zombie counts as alive")
		}
	}
	_ = cmd.Wait() // it was killed
	if alive(e) || watched(e) {
		t.Error("an ended process counts as alive")
	}
	if (process{}).alive() {
		t.Error("no process is alive")
	}
	e.Host = "another.example"
	if !alive(e) || !watched(e) {
		t.Error("of another computer's process nothing is known, and it was taken for ended")
	}
}

func TestStateDir(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DAIL_STATE", "")
	t.Setenv("XDG_STATE_HOME", "")
	want := filepath.Join(home, ".local", "state", "dail")
	if runtime.GOOS == "darwin" {
		want = filepath.Join(home, "Library", "Application Support", "dail")
	}
	check := func(want string) {
		t.Helper()
		if got, err := StateDir(); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	check(want)
	t.Setenv("XDG_STATE_HOME", "relative") // to be left out, says the XDG specification
	check(want)
	t.Setenv("XDG_STATE_HOME", "/xdg")
	check("/xdg/dail")
	t.Chdir(home)
	t.Setenv("DAIL_STATE", "mine")
	check(filepath.Join(home, "mine"))
	t.Setenv("DAIL_STATE", "")
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := StateDir(); err == nil || !strings.Contains(err.Error(), "DAIL_STATE") {
		t.Errorf("without a home: %v", err)
	}
}

// What the decoder takes, put writes again, and it reads the same.
func FuzzEntry(f *testing.F) {
	text, err := json.Marshal(sampleEntry("dail-1-a"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1,"name":"dail-1-a","provider":"p","run":"r","state":"unclear","intent":"2026-11-24T10:15:00+02:00","deadline":"2026-11-24T11:15:00Z"}`))
	f.Add([]byte(`{"version":1,"name":"dail-1-a"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := decodeEntry("dail-1-a", text)
		if err != nil {
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := decodeEntry("dail-1-a", again)
		if err != nil || got != e {
			t.Fatalf("%s became %s: %v", bytes.TrimSpace(text), again, err)
		}
	})
}
