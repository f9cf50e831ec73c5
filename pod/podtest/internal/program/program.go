// Package program holds the programs that a pod has and this host lacks: vllm,
// nvidia-smi, runpodctl, curl. Each is the running program once more under
// another name, by a symbolic link in the machine's bin folder:
//
//	bin/vllm -> /path/to/the/test/binary
//
// Beside that folder lies etc/podtest.json, an [Image], which says how they
// behave on this machine.
package program

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/x/dail/compose"
)

// Image is what the programs of a machine know of it.
type Image struct {
	API  string // base URL of REST v2
	GPU  GPU
	VLLM VLLM
}

// GPU is what nvidia-smi shows.
type GPU struct {
	Name      string
	MemoryMiB int
	Count     int
	Lost      bool // nvidia-smi fails
}

// VLLM is how vllm behaves.
type VLLM struct {
	Version string
	Startup time.Duration
	RunFile string        // JSON of a compose.Run; empty: a small fixed engine
	Files   string        // folder of the benchmark's files
	Fails   string        // what it says when it fails while it starts; empty: it does not
	Dies    time.Duration // it fails when it has served for so long; 0: it does not
	Stalls  bool          // it stops for ever while it starts
}

// Names lists the programs; curl is for hosts that have none.
func Names() []string { return []string{"vllm", "nvidia-smi", "runpodctl", "curl"} }

const imageFile = "podtest.json"

// Install puts the programs into a machine's folders.
func Install(image Image, bin, etc string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range Names() {
		if name == "curl" {
			if _, err := exec.LookPath(name); err == nil {
				continue // the host's own is on the machine's PATH
			}
		}
		link := filepath.Join(bin, name)
		if err := os.Symlink(self, link); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return SaveImage(image, etc)
}

// SaveImage writes what the programs know.
func SaveImage(image Image, etc string) error {
	text, err := json.MarshalIndent(image, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(etc, imageFile)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// SaveRun writes a composed run where vllm finds it, with the one file of the
// benchmark that it needs, into dir.
func SaveRun(run *compose.Run, dir string) (runFile string, err error) {
	plain := *run
	plain.Benchmark.Dir = nil // a file system is no data; vllm is given the folder
	text, err := json.Marshal(&plain)
	if err != nil {
		return "", fmt.Errorf("the run: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if name := run.Benchmark.Cassette; name != "" {
		cassette, err := readFile(run, name)
		if err != nil {
			return "", fmt.Errorf("the run's cassette: %w", err)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, cassette, 0o600); err != nil {
			return "", err
		}
	}
	runFile = filepath.Join(dir, "run.json")
	return runFile, os.WriteFile(runFile, text, 0o600)
}

// Run is the program of that name, if it was called as one of a machine's:
// ok is false where there is no such machine. It returns the exit status.
func Run(argv0 string, args []string) (status int, ok bool) {
	name := filepath.Base(argv0)
	path, err := exec.LookPath(argv0)
	if err != nil {
		return 0, false
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "..", "etc", imageFile))
	if err != nil {
		return 0, false
	}
	var image Image
	if err := json.Unmarshal(text, &image); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s: %v\n", name, imageFile, err)
		return 1, true
	}
	switch name {
	case "vllm":
		return vllm(image, args), true
	case "nvidia-smi":
		return nvidiaSMI(image.GPU, args, os.Stdout, os.Stderr), true
	case "runpodctl":
		return runpodctl(image.API, args, os.Stdout, os.Stderr), true
	case "curl":
		return curl(args, os.Stdin, os.Stdout, os.Stderr), true
	}
	return 0, false
}

// readFile reads a file of the run's benchmark.
func readFile(run *compose.Run, name string) ([]byte, error) {
	if run.Benchmark.Dir == nil {
		return nil, fmt.Errorf("the run names %s, but its Benchmark.Dir is nil", name)
	}
	return fs.ReadFile(run.Benchmark.Dir, name)
}
