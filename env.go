package dail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/joho/godotenv"

	"github.com/x/dail/pod"
)

// Env is where secrets and a machine's own settings are read from: the
// process's environment, and under it a .env file. What the file says is never
// put into the environment, so no child of this process inherits it.
type Env struct {
	file   map[string]string
	lookup func(string) (string, bool)
}

// LoadEnv reads .env from the working directory, where there is one.
func LoadEnv() (Env, error) { return loadEnv(".env", os.LookupEnv) }

func loadEnv(path string, lookup func(string) (string, bool)) (Env, error) {
	file, err := godotenv.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// The library's error quotes the line, and the line may hold a key.
		return Env{}, refuse("%s cannot be read as KEY=value lines; compare it with .env.example", path)
	}
	return Env{file, lookup}, nil
}

// Get returns a variable, the empty text where it is set nowhere.
func (e Env) Get(name string) string {
	if e.lookup != nil {
		if v, ok := e.lookup(name); ok && v != "" {
			return v
		}
	}
	return e.file[name]
}

// secret is Get for what must not be shown.
func (e Env) secret(name string) pod.Secret { return pod.Secret(e.Get(name)) }

// Limits reads the ceilings of a pod's life: STALL_STARTUP, MAX_STARTUP,
// STALL_GEN and MAX_RUN, each in seconds.
func (e Env) Limits() (pod.Limits, error) {
	var l pod.Limits
	var errs []error
	for name, d := range map[string]*time.Duration{
		"STALL_STARTUP": &l.StallStartup, "MAX_STARTUP": &l.MaxStartup,
		"STALL_GEN": &l.StallGeneration, "MAX_RUN": &l.Run,
	} {
		text := e.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			errs = append(errs, fmt.Errorf("%s=%q: want whole seconds, at least 1", name, text))
			continue
		}
		*d = time.Duration(n) * time.Second
	}
	return l, errors.Join(errs...)
}

// RunPod is the provider as the environment describes it: RUNPOD_API_KEY, and
// DAIL_NETWORK_VOLUME_ID with DAIL_DATA_CENTER_ID for a volume that holds
// weights. url is empty but for a test double.
func (e Env) RunPod(url string) (*pod.RunPod, error) {
	p := &pod.RunPod{Key: e.secret("RUNPOD_API_KEY"), URL: url}
	if p.Key == "" {
		return nil, errors.New("provider runpod needs RUNPOD_API_KEY (runpod.io console → Settings → API Keys), in the environment or in .env")
	}
	volume, dc := e.Get("DAIL_NETWORK_VOLUME_ID"), e.Get("DAIL_DATA_CENTER_ID")
	switch {
	case (volume == "") != (dc == ""):
		return nil, errors.New("DAIL_NETWORK_VOLUME_ID and DAIL_DATA_CENTER_ID belong together: a volume is used in its own data centre only")
	case volume != "":
		p.Volume = &pod.Volume{ID: volume, DataCenter: dc}
	}
	return p, nil
}

// keyPath is the private SSH key for machines that are logged in to.
func (e Env) keyPath() (string, error) {
	path := e.Get("SSH_KEY_PATH")
	if path == "" {
		return "", errors.New("SSH_KEY_PATH is not set: the path of a private SSH key without a passphrase " +
			`(ssh-keygen -t ed25519 -N "" -f ~/.ssh/dail makes one), in the environment or in .env`)
	}
	return path, pod.CheckKey(path)
}
