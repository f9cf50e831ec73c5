package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
)

// account is RunPod with machines that were left behind: mine, a colleague's,
// one that I keep, and one that has nothing to do with dail.
type account struct {
	*podtest.Server
	mine, colleague, kept, foreign string // ids
}

func newAccount(t *testing.T) *account {
	t.Helper()
	srv, err := podtest.NewServer(podtest.Config{NoMachines: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("RUNPOD_API_KEY", srv.Key)
	t.Setenv("DAIL_OWNER", "kim@box")
	t.Setenv("DAIL_STATE", t.TempDir())
	engine(t, "exit 1") // this machine's own is none of the tests'
	now := time.Now()
	made := now.Add(-2 * time.Hour)
	add := func(owner string, keep time.Time) string {
		m := pod.Marker{Owner: owner, Run: "r1", Deadline: now.Add(time.Hour), Keep: keep}
		return srv.AddForeign(pod.NewName(made), map[string]string{pod.MarkerEnv: m.String()})
	}
	return &account{srv,
		add("kim@box", time.Time{}), add("lee@desk", time.Time{}), add("kim@box", now.Add(time.Hour)), srv.AddForeign("training", nil)}
}

// reap runs the program. A string is what stdin says.
func (a *account) reap(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), append([]string{"-runpod-url", a.URL}, args...), strings.NewReader(stdin), &out, &err)
	if all := out.String() + err.String(); strings.Contains(all, a.Key) {
		t.Errorf("the key was printed:\n%s", all)
	}
	return status, out.String(), err.String()
}

// left are the ids of the machines that still run.
func (a *account) left() map[string]bool {
	left := make(map[string]bool)
	for _, p := range a.Pods() {
		left[p.ID] = p.Status != "TERMINATED"
	}
	return left
}

func (a *account) want(t *testing.T, mine, colleague bool) {
	t.Helper()
	left := a.left()
	if left[a.mine] != mine || left[a.colleague] != colleague || !left[a.kept] || !left[a.foreign] {
		t.Errorf("left: mine %v (want %v), the colleague's %v (want %v), kept %v, foreign %v",
			left[a.mine], mine, left[a.colleague], colleague, left[a.kept], left[a.foreign])
	}
}

func TestReapEndsMineOnly(t *testing.T) {
	a := newAccount(t)
	status, out, errs := a.reap(t, "", "-dry-run")
	if status != 0 || !strings.Contains(out, "would end   "+a.mine) {
		t.Errorf("-dry-run: exit %d\n%s%s", status, out, errs)
	}
	a.want(t, true, true)
	status, out, errs = a.reap(t, "", "-age", "3h")
	if status != 0 || !strings.Contains(out, "younger than 3h") {
		t.Errorf("-age: exit %d\n%s%s", status, out, errs)
	}
	a.want(t, true, true)
	status, out, errs = a.reap(t, "")
	if status != 0 {
		t.Errorf("exit %d\n%s", status, errs)
	}
	for _, want := range []string{"ended       " + a.mine, "left alone  " + a.colleague, "it is lee@desk's", "it is kept until", a.kept} {
		if !strings.Contains(out, want) {
			t.Errorf("it is not said: %q\n%s", want, out)
		}
	}
	if strings.Contains(out, a.foreign) {
		t.Errorf("a foreign machine is spoken of:\n%s", out)
	}
	a.want(t, false, true)
}

func TestReapOfAllAsks(t *testing.T) {
	a := newAccount(t)
	for _, answer := range []string{"", "n\n", "what\n"} {
		if status, _, errs := a.reap(t, answer, "-all"); status != 2 || !strings.Contains(errs, "nothing was ended") || !strings.Contains(errs, "lee@desk") {
			t.Errorf("answer %q: exit %d\n%s", answer, status, errs)
		}
	}
	// Whoever is no terminal cannot answer.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-runpod-url", a.URL, "-all"}, r, &out, &errs); status != 2 || !strings.Contains(errs.String(), "-yes") {
		t.Errorf("in a pipe: exit %d\n%s", status, errs.String())
	}
	a.want(t, true, true)
	if status, _, errs := a.reap(t, "y\n", "-all"); status != 0 {
		t.Errorf("exit %d\n%s", status, errs)
	}
	a.want(t, false, false)
	if status, _, errs := a.reap(t, "", "-all", "-yes"); status != 0 {
		t.Errorf("a second time: exit %d\n%s", status, errs)
	}
}

func TestReapTellsWhatItCouldNotDo(t *testing.T) {
	a := newAccount(t)
	t.Setenv("RUNPOD_API_KEY", "rpa_WRONG")
	status, _, errs := a.reap(t, "")
	if status != 1 || !strings.Contains(errs, "the key is not accepted") {
		t.Errorf("a wrong key: exit %d\n%s", status, errs)
	}
	a.want(t, true, true)
}

func TestReapRefuses(t *testing.T) {
	a := newAccount(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-provider", "simulated"}, "simulated"},
		{[]string{"everything"}, "everything"},
		{[]string{"-al"}, "-all"},
		{[]string{"-age", "old"}, "old"},
	} {
		if status, _, errs := a.reap(t, "", tt.args...); status != 2 || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: exit %d\n%s", tt.args, status, errs)
		}
	}
	t.Setenv("RUNPOD_API_KEY", "")
	if status, _, errs := a.reap(t, ""); status != 2 || !strings.Contains(errs, "RUNPOD_API_KEY") {
		t.Errorf("no key: exit %d\n%s", status, errs)
	}
	if status, _, errs := a.reap(t, "", "-h"); status != 0 || !strings.Contains(errs, "-dry-run") {
		t.Errorf("-h: exit %d\n%s", status, errs)
	}
	a.want(t, true, true)
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// engine puts a container engine on the PATH that answers by a script.
func engine(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// Containers that a run has left are mine to remove, whichever the provider; a
// colleague's are not, with -all neither.
func TestContainers(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	const answers = `
echo "$@" >> LOG
case "$*" in
*--all*label=dail.owner=kim@box*) echo c1 ;;
*--all*) echo c1 c2 ;;
container*) printf '/dail-r1-n4-agent0\037kim@box\037r1\0372026-11-24T10:00:00Z' ;;
esac`
	a := newAccount(t)
	engine(t, strings.ReplaceAll(answers, "LOG", log))
	for _, tc := range []struct {
		args    []string
		code    int
		want    string
		removed bool
	}{
		{[]string{"-provider", "docker", "-dry-run"}, 0, "would end   container dail-r1-n4-agent0  of kim@box, run r1", false},
		{[]string{"-provider", "docker"}, 0, "ended       container dail-r1-n4-agent0", true},
		{[]string{"-all", "-yes"}, 0, "ended       container dail-r1-n4-agent0", true},
	} {
		os.Remove(log)
		code, stdout, stderr := a.reap(t, "", tc.args...)
		asked, _ := os.ReadFile(log)
		if code != tc.code || !strings.Contains(stdout, tc.want) || strings.Contains(string(asked), "rm --force") != tc.removed || strings.Contains(string(asked), "c2") {
			t.Errorf("%v: exit status %d\n%s%s\nasked of the engine:\n%s", tc.args, code, stdout, stderr, asked)
		}
	}
	// A refusal comes before anything is ended, here too.
	os.Remove(log)
	if code, stdout, _ := a.reap(t, "", "-provider", "simulated"); code != 2 || stdout != "" {
		t.Errorf("a refusal: exit status %d\n%s", code, stdout)
	}
	if asked, err := os.ReadFile(log); err == nil {
		t.Errorf("before a refusal the engine was asked:\n%s", asked)
	}
	// Machines come first: an engine that hangs keeps no paid one alive.
	b := newAccount(t)
	engine(t, `[ "$1" = ps ] && [ "$2" = --quiet ] && exit 0; exec sleep 1000`)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	var out, errs bytes.Buffer
	run(ctx, []string{"-runpod-url", b.URL}, strings.NewReader(""), writer(func(p []byte) (int, error) {
		if strings.Contains(string(p), b.mine) {
			stop()
		}
		return out.Write(p)
	}), &errs)
	if stop(); !strings.Contains(out.String(), "ended       "+b.mine) {
		t.Errorf("an engine that hangs:\n%s%s", out.String(), errs.String())
	}
	b.want(t, false, true)
	engine(t, "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
	if code, _, stderr := a.reap(t, "", "-provider", "docker"); code != 2 || !strings.Contains(stderr, "Cannot connect") {
		t.Errorf("without an engine: exit status %d, %s", code, stderr)
	}
}
