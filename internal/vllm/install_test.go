//go:build unix

package vllm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/vllm"
)

// fakePython makes environments and installs the fake vllm into them.
const fakePython = `
case "$*" in
"-m venv "*)
  mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip install "*)
  for a; do printf '%s\n' "$a" >>"$DAIL_ROOT/pip"; done
  echo "Collecting vllm==0.12.0"
  [ ! -f "$DAIL_ROOT/pip-fails" ] || { echo "ERROR: No matching distribution found for vllm==0.12.0"; exit 1; }
  [ -d "$TMPDIR" ] && touch "$TMPDIR/wheel" || exit 9
  cp "$DAIL_ROOT/../bin/vllm" "${0%/*}/vllm"
  echo "Successfully installed vllm-0.12.0" ;;
*) exit 8 ;;
esac`

func other() vllm.Recipe {
	r := recipe()
	r.Version = "0.12.0"
	r.PipConstraints = []string{"transformers<5", "x; python_version > '3'"}
	r.PipExtraIndexURL = "https://wheels.example/cu129"
	return r
}

func TestAnotherVersionIsInstalledOnce(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		m.program("python3", fakePython)
		m.play(serving)
		m.launch(other())
		told, _, err := m.watch()
		must(t, err)
		want := "the image has vLLM 0.11.0, not 0.12.0\ninstalling vLLM 0.12.0 into " + m.root + "/venv-0.12.0\n" +
			"the packages are installed\nstarting vllm serve on port 4711\n"
		if !strings.HasPrefix(told, want) {
			t.Errorf("told:\n%s\nwant first:\n%s", told, want)
		}
		asked := m.read("pip")
		if diff := cmp.Diff(strings.Split("vllm==0.12.0\ntransformers<5\nx; python_version > '3'\n--extra-index-url\nhttps://wheels.example/cu129\n", "\n"),
			strings.Split(asked[strings.Index(asked, "vllm=="):], "\n")); diff != "" {
			t.Errorf("asked of pip (-want +got):\n%s", diff)
		}
		if _, err := os.Stat(filepath.Join(m.root, ".dail/tmp")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the install's rubbish is left: %v", err)
		}

		m.launch(other())
		told, _, err = m.watch()
		must(t, err)
		if m.read("pip") != asked || !strings.Contains(told, "using "+m.root+"/venv-0.12.0\n") {
			t.Errorf("installed again:\n%s", told)
		}
		again := other()
		again.PipConstraints = nil
		m.launch(again)
		_, _, err = m.watch()
		must(t, err)
		if m.read("pip") == asked {
			t.Error("other requirements were not installed")
		}
	})
}

func TestUvIsTakenWhereItIs(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		m.program("uv", `
for a; do printf '%s\n' "$a" >>"$DAIL_ROOT/uv"; done
case "$1" in
venv) mkdir -p "$4/bin" ;;
pip) cp "$DAIL_ROOT/../bin/vllm" "${5%/*}/vllm" ;;
esac`)
		m.play(serving)
		m.launch(other())
		_, _, err := m.watch()
		must(t, err)
		if asked := m.read("uv"); !strings.Contains(asked, "vllm==0.12.0\ntransformers<5\n") || !strings.Contains(asked, "unsafe-best-match\n") {
			t.Errorf("asked of uv:\n%s", asked)
		}
	})
}

func TestAFailedInstallIsExplained(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		m.program("python3", fakePython)
		m.write("pip-fails", "")
		m.launch(other())
		_, _, err := m.watch()
		var start *vllm.StartError
		if !errors.As(err, &start) || start.Phase != vllm.PhaseInstall || start.Status != 1 || start.Cause == nil || start.Cause.Name != "pip-missing" {
			t.Errorf("%v", err)
		}
		// What is half made is made anew.
		must(t, os.Remove(filepath.Join(m.root, "pip-fails")))
		m.play(serving)
		m.launch(other())
		_, _, err = m.watch()
		must(t, err)
	})
}

func TestWithoutPythonTheInstallSaysSo(t *testing.T) {
	m := newLocal(t, "sh")
	m.launch(other())
	_, _, err := m.watch()
	var start *vllm.StartError
	if !errors.As(err, &start) || start.Phase != vllm.PhaseInstall || start.Status != 127 || !strings.Contains(err.Error(), "Python") {
		t.Errorf("%v", err)
	}
}

func TestStopEndsAnInstall(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		gate := m.gate("started")
		m.program("python3", `echo >"$DAIL_ROOT/started"; exec sleep 600`)
		m.launch(other())
		must(t, gate.SetReadDeadline(deadline()))
		_, err := gate.Read(make([]byte, 1))
		must(t, err)
		pid := m.pid()
		must(t, vllm.Stop(t.Context(), m))
		if alive(pid) {
			t.Error("it lives after Stop")
		}
		if _, err := os.Stat(filepath.Join(m.root, "args")); err == nil {
			t.Error("vllm was started after all")
		}
	})
}

// TestGPUsAreAskedOfTheMachine runs the real script against an nvidia-smi.
func TestGPUsAreAskedOfTheMachine(t *testing.T) {
	onEach(t, func(t *testing.T, m *local) {
		if _, err := vllm.GPUs(t.Context(), m); err == nil || !strings.Contains(err.Error(), "no nvidia-smi") {
			t.Errorf("without nvidia-smi: %v", err)
		}
		m.program("nvidia-smi", `[ "$*" = "--query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits" ] && echo "NVIDIA L40S, 46068, 550.54.15"`)
		gpus, err := vllm.GPUs(t.Context(), m)
		if err != nil || len(gpus) != 1 || gpus[0].MemoryMiB != 46068 {
			t.Errorf("%v, %v", gpus, err)
		}
		m.program("nvidia-smi", `echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver." >&2; exit 9`)
		if _, err := vllm.GPUs(t.Context(), m); err == nil || !strings.Contains(err.Error(), "has failed because") {
			t.Errorf("with a broken driver: %v", err)
		}
	})
}
