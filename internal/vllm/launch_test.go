//go:build unix

package vllm_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/deadman"
	"github.com/x/dail/internal/vllm"
)

const secret = "hf_itsAsecret'$(id)\"0123456789"

// recipe has every character that a shell might take for its own.
func recipe() vllm.Recipe {
	return vllm.Recipe{
		Args: []string{
			"Qwen/Qwen3-Coder-30B", "--host", "127.0.0.1", "--port", "8000", "--served-model-name", "a b",
			"--download-dir", "/workspace/hugging face",
			"--rope-scaling", `{"rope_type":"yarn","factor":2.0}`, "--odd", "it's $(touch /tmp/x) `id` \\ \"q\" *", "--lines", "one\ntwo\n", "--empty", "",
		},
		Version:  "0.11.0",
		Env:      map[string]string{"GREETING": "it's $HOME \"here\"", "VLLM_USE_FLASHINFER_SAMPLER": "0"},
		Secrets:  map[string]string{"HF_TOKEN": secret},
		Composed: []byte("serving: {}\n"),
		Port:     8000,
	}
}

// serving is a play that comes up and stays.
const serving = `
echo "(APIServer pid=$$) INFO 11-24 03:00:08 [api_server.py:1839] vLLM API server version 0.11.0"
printf '\rLoading safetensors checkpoint shards:  50%% Completed | 1/2 [00:00<?, ?it/s]' >&2
printf '\rLoading safetensors checkpoint shards: 100%% Completed | 2/2 [00:01<00:00]\n' >&2
echo "(APIServer pid=$$) INFO:     Application startup complete."
exec sleep 600
`

func TestLaunchServes(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		m.play(serving)
		m.launch(recipe())
		told, port, err := m.watch()
		must(t, err)
		if port != 4711 {
			t.Errorf("port %d, want that of the machine's DAIL_PORT", port)
		}
		want := "using the image's vLLM 0.11.0\nstarting vllm serve on port 4711\nvLLM 0.11.0 starts\n" +
			"loading the weights: 1 of 2 shards\nloading the weights: 2 of 2 shards\nvLLM is up\n"
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}

		args := append([]string{"serve"}, recipe().Args...)
		args[5], args[9] = "4711", m.root+"/hugging face"
		if diff := cmp.Diff(args, strings.Split(strings.TrimSuffix(m.read("args"), "\x00"), "\x00")); diff != "" {
			t.Errorf("arguments (-want +got):\n%s", diff)
		}
		if got := m.read("greeting"); got != "it's $HOME \"here\"\n" {
			t.Errorf("env: %q", got)
		}
		if got := m.read("hfhome"); got != m.root+"/hugging face\n" {
			t.Errorf("HF_HOME %q", got)
		}
		if info, err := os.Stat(filepath.Join(m.root, "hugging face")); err != nil || !info.IsDir() {
			t.Errorf("the download folder: %v", err)
		}
		if m.read(".dail/composed.yaml") != "serving: {}\n" {
			t.Error("composed.yaml is not there")
		}
		if err := vllm.Ended(t.Context(), m); err != nil {
			t.Errorf("while it serves: %v", err)
		}

		pid := m.pid()
		must(t, vllm.Stop(t.Context(), m))
		if alive(pid) {
			t.Error("it lives after Stop")
		}
		must(t, vllm.Stop(t.Context(), m)) // nothing runs
		var start *vllm.StartError
		if err := vllm.Ended(t.Context(), m); !errors.As(err, &start) || !start.Exited || start.Status != 143 {
			t.Errorf("after Stop: %v", err)
		}
	})
}

func TestSecretsReachVLLMAndNothingElse(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		m.play(serving)
		spied := &spy{local: m}
		must(t, vllm.Launch(t.Context(), spied, recipe()))
		_, _, err := m.watch()
		must(t, err)

		cksum := exec.Command("cksum")
		cksum.Stdin = strings.NewReader(secret)
		want, err := cksum.Output()
		must(t, err)
		if got := m.read("token"); got != string(want) {
			t.Errorf("vLLM's HF_TOKEN has the sum %q, want %q", got, want)
		}
		if strings.Contains(spied.commands.String(), "itsAsecret") {
			t.Error("the secret was on a command line")
		}
		must(t, filepath.WalkDir(filepath.Dir(m.root), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if b, _ := os.ReadFile(path); strings.Contains(string(b), "itsAsecret") {
					t.Errorf("the secret is in %s", path)
				}
			}
			return err
		}))
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range lines {
			if b, _ := os.ReadFile(path); strings.Contains(string(b), "itsAsecret") {
				t.Errorf("the secret is in %s", path)
			}
		}
	})
}

// spy keeps what was run.
type spy struct {
	*local
	commands strings.Builder
}

func (s *spy) Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error) {
	s.commands.WriteString(command + "\n")
	return s.local.Run(ctx, command, stdin)
}

func TestLaunchingAgainReplacesTheFirst(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		m.play(serving)
		m.launch(recipe())
		_, _, err := m.watch()
		must(t, err)
		first := m.pid()

		m.play("echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1 GiB'; exit 1")
		m.launch(recipe())
		if alive(first) {
			t.Error("the first one lives on")
		}
		_, _, err = m.watch()
		var start *vllm.StartError
		if !errors.As(err, &start) || start.Cause == nil || start.Cause.Name != "gpu-memory" || start.Status != 1 {
			t.Errorf("the second start: %v", err)
		}
	})
}

func TestASlowStartIsAwaited(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		gate := m.gate("gate")
		m.play(`echo "INFO 11-24 03:00:08 [x.py:1] Starting to load model x"; read -r _ <"$DAIL_ROOT/gate"` + serving)
		m.launch(recipe())
		at := make(chan struct{})
		go func() {
			defer close(at)
			eventually(t, "vLLM loads", func() bool { return strings.Contains(m.read(".dail/vllm.log"), "Starting to load") })
			_, _ = gate.WriteString("\n")
		}()
		_, port, err := m.watch()
		<-at
		if err != nil || port != 4711 {
			t.Errorf("port %d, %v", port, err)
		}
	})
}

func TestDyingAfterReadyIsNoticed(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		gate := m.gate("gate")
		m.play(strings.ReplaceAll(serving, "exec sleep 600", `sleep 600 & read -r _ <"$DAIL_ROOT/gate"; echo "RuntimeError: CUDA error: uncorrectable ECC error encountered" >&2; exit 3`))
		m.launch(recipe())
		_, _, err := m.watch()
		must(t, err)
		pid := m.pid()
		_, err = gate.WriteString("\n")
		must(t, err)
		var ended error
		eventually(t, "the end is seen", func() bool { ended = vllm.Ended(t.Context(), m); return ended != nil })
		var start *vllm.StartError
		if !errors.As(ended, &start) || start.Status != 3 || start.Phase != vllm.PhaseReady || start.Cause == nil || start.Cause.Name != "gpu-lost" {
			t.Errorf("%v", ended)
		}
		// What it left behind would hold the GPU's memory.
		eventually(t, "its children end", func() bool { return !alive(pid) && syscall.Kill(-pid, 0) != nil || zombies(pid) })
		text, err := vllm.Log(t.Context(), m, 200)
		if err != nil || !strings.Contains(string(text), "ECC") {
			t.Errorf("the log: %q, %v", text, err)
		}
	})
}

// zombies reports whether all that is left of a group is waiting for somebody
// to ask how it ended.
func zombies(group int) bool {
	out, err := exec.Command("sh", "-c", `ps -A -o pgid= -o state= | while read -r g s; do [ "$g" != "$0" ] || echo "$s"; done`, itoa(group)).Output()
	return err == nil && !strings.ContainsFunc(string(out), func(r rune) bool { return strings.ContainsRune("RSDTI", r) })
}

func TestAKilledGroupIsAFailure(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		m.play(`echo "INFO 11-24 03:00:08 [x.py:1] Starting to load model x"; kill -s KILL 0`)
		m.launch(recipe())
		_, _, err := m.watch()
		var start *vllm.StartError
		if !errors.As(err, &start) || !start.Exited || start.Status != -1 || start.Phase != vllm.PhaseLoad {
			t.Errorf("%v", err)
		}
	})
}

// TestTheSwitchKillsVLLM: what package deadman kills is what this one starts.
func TestTheSwitchKillsVLLM(t *testing.T) {
	m := newLocal(t, "sh")
	m.play(strings.ReplaceAll(serving, "Application startup complete", "Waiting for application startup"))
	m.launch(recipe())
	m.write(".dail/keep", "99999999999") // until the switch is known to be armed
	_, err := m.Run(t.Context(), deadman.Switch{
		Silence: 20 * time.Millisecond, Tick: 20 * time.Millisecond, Ending: "exit 0", Stays: true,
	}.Arm(), nil)
	must(t, err)
	must(t, os.Remove(filepath.Join(m.root, ".dail/keep")))
	_, _, err = m.watch()
	var start *vllm.StartError
	if !errors.As(err, &start) || !start.Exited {
		t.Errorf("%v", err)
	}
	eventually(t, "the switch ends", func() bool { return strings.Contains(m.read(".dail/deadman.log"), "done") })
}

func TestADeafVLLMIsKilled(t *testing.T) {
	m := newLocal(t, "sh")
	m.play(`trap '' TERM; echo "INFO:     Application startup complete."; while :; do read -r _ <"$DAIL_ROOT/gate"; done`)
	m.gate("gate")
	m.launch(recipe())
	_, _, err := m.watch()
	must(t, err)
	pid := m.pid()
	// Stop's patience lasts no time: its first 150 naps, after which it kills. The
	// naps after that are real ones, since to die takes a process some time.
	sleep, err := os.Readlink(filepath.Join(m.bin, "sleep"))
	must(t, err)
	must(t, os.Remove(filepath.Join(m.bin, "sleep")))
	m.program("sleep", `echo >>"$DAIL_ROOT/naps"; [ "$(wc -l <"$DAIL_ROOT/naps")" -lt 150 ] || exec `+sleep+` 0.5`)
	must(t, vllm.Stop(t.Context(), m))
	if alive(pid) {
		t.Error("it lives after Stop")
	}
}

func TestBadRecipesAreRefused(t *testing.T) {
	for _, tt := range []struct {
		bend func(*vllm.Recipe)
		say  string
	}{
		{func(r *vllm.Recipe) { r.Args = nil }, "the model first"},
		{func(r *vllm.Recipe) { r.Args[2] = "a\x00b" }, "NUL"},
		{func(r *vllm.Recipe) { r.Version = "../../etc" }, "vllm_version"},
		{func(r *vllm.Recipe) { r.Env = map[string]string{"A B": "x"} }, `"A B" is no name`},
		{func(r *vllm.Recipe) { r.Secrets = map[string]string{"HF_TOKEN": "itsAsecret\x00"} }, "HF_TOKEN holds a NUL"},
	} {
		r := recipe()
		tt.bend(&r)
		err := vllm.Launch(t.Context(), answers{err: errors.New("the machine was asked")}, r)
		if err == nil || !strings.Contains(err.Error(), tt.say) || strings.Contains(err.Error(), "itsAsecret") {
			t.Errorf("%v, want %q", err, tt.say)
		}
	}
}

func TestAMachineWithoutARootSaysSo(t *testing.T) {
	m := newLocal(t, "sh")
	m.write("file", "")
	m.env = append(m.env, "DAIL_ROOT="+filepath.Join(m.root, "file"))
	err := vllm.Launch(t.Context(), m, recipe())
	if err == nil || !strings.Contains(err.Error(), "DAIL_ROOT") {
		t.Errorf("%v", err)
	}
}
