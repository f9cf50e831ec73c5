package podtest_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/x/dail/pod/podtest"
)

func helper(t *testing.T, what string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PODTEST_HELPER="+what, "PODTEST_ROOT="+t.TempDir())
	cmd.Stderr = os.Stderr
	return cmd
}

// A server whose program is killed takes its machines with it, whatever they
// run.
func TestKilledServerLeavesNothing(t *testing.T) {
	t.Parallel()
	cmd := helper(t, "landlord")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill := func() {
		if !killed {
			killed = true
			cmd.Process.Kill()
			cmd.Wait() // killed: an error says no more
		}
	}
	defer kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url, key, _ := strings.Cut(strings.TrimSpace(line), " ")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	a := api{t, url, key, client}

	// PID 1 ignores what can be ignored, and has a child, an orphan and, where
	// it can, a daemon. The shell's parent is the machine itself.
	p := a.create(scripted(`trap '' TERM HUP INT PIPE
		sleep 100000 & echo $! >child
		(sleep 100000 >/dev/null 2>&1 </dev/null & echo $! >orphan)
		if command -v setsid >/dev/null; then setsid sh -c 'echo $$ >daemon; exec sleep 100000' >/dev/null 2>&1 </dev/null & fi
		echo $PPID >machine; echo $$ >init; while :; do sleep 1; done`, ""))
	dir := filepath.Join(envOf(cmd, "PODTEST_ROOT"), p.ID, "workspace")
	names := []string{"child", "orphan", "machine", "init"}
	if _, err := exec.LookPath("setsid"); err == nil {
		names = append(names, "daemon")
	}
	pids := map[string]int{}
	for _, name := range names {
		pids[name] = pidIn(t, filepath.Join(dir, name))
		if !alive(pids[name]) {
			t.Fatalf("%s does not live", name)
		}
	}
	kill()
	for name, pid := range pids {
		eventually(t, name+" is dead", func() bool { return !alive(pid) || zombie(pid) })
	}
}

func envOf(cmd *exec.Cmd, name string) string {
	for _, v := range cmd.Env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// zombie reports whether a process is dead and only its number is left: in a
// container whose init reaps nothing, that is all there is to see.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " Z ")
}

// Without Main a server would start this program over and over.
func TestMainIsMissing(t *testing.T) {
	t.Parallel()
	out, err := helper(t, "no main").Output()
	if err != nil || !strings.Contains(string(out), "podtest.Main() must be the first line") {
		t.Errorf("%s, %v", out, err)
	}
}

// Close ends what is alive, whoever forgot it.
func TestClose(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	srv, err := podtest.NewServer(podtest.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	a := api{t, srv.URL, srv.Key, client}
	p := a.create(scripted("echo $$ >pid; exec sleep 100000", ""))
	pid := pidIn(t, filepath.Join(root, p.ID, "workspace", "pid"))
	hanging := make(chan error, 1)
	srv.Inject(podtest.CreateHangs, 1)
	go func() {
		_, err := a.try(t.Context(), "POST", "/pods", request("dail-1-b"))
		hanging <- err
	}()
	eventually(t, "a call that hangs", func() bool { return len(srv.Pods()) == 2 })
	for range 2 {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("PID 1 outlived the server")
	}
	if err := <-hanging; err == nil {
		t.Error("a call that hung was answered by Close")
	}
	if len(srv.Alive()) != 2 || len(srv.Bill()) != 2 || len(srv.Violations()) != 0 {
		t.Errorf("after Close: alive %v, bill %v, violations %v", srv.Alive(), srv.Bill(), srv.Violations())
	}
	if _, err := os.Stat(filepath.Join(root, p.ID, "workspace", "pid")); err != nil {
		t.Errorf("the disk in a given Root is not kept: %v", err)
	}
}
