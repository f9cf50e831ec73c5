package vllm

import (
	"crypto/sha256"
	_ "embed" // the scripts
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed scripts/lib.sh
var library string

//go:embed scripts/launch.sh
var launchScript string

//go:embed scripts/serve.sh
var serveScript string

//go:embed scripts/poll.sh
var pollScript string

//go:embed scripts/gpus.sh
var gpusScript string

// volume is what the machine's root is called in configurations.
const volume = "/workspace"

var (
	versionRE  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!-]*$`)
	variableRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// script is vllm.sh: what the recipe says, then the body.
func (r Recipe) script() (string, error) {
	switch {
	case len(r.Args) == 0 || r.Args[0] == "":
		return "", errors.New("vllm: a recipe needs the arguments of vllm serve, the model first")
	case r.Version != "" && !versionRE.MatchString(r.Version):
		return "", fmt.Errorf("vllm: %q is no version of vLLM (vllm_version)", r.Version)
	}
	for _, s := range slices.Concat(r.Args, r.PipConstraints, []string{r.PipExtraIndexURL}) {
		if strings.Contains(s, "\x00") {
			return "", fmt.Errorf("vllm: argument %q %w", s, errNUL)
		}
	}
	env, err := exports(r.Env)
	if err != nil {
		return "", err
	}
	serve, port, download := r.serve()
	requirements := r.requirements()
	sum := sha256.Sum256([]byte(strings.Join(requirements, "\x00")))
	return "#!/bin/sh\n" + library +
		"\nVERSION=" + quote(r.Version) + "\nSPEC=" + hex.EncodeToString(sum[:8]) +
		"\nPORT=" + quote(port) + "\nDOWNLOAD=" + download + "\n" + env +
		"requirements() { \"$@\" " + strings.Join(quoteAll(requirements), " ") + "; }\n" +
		"serve() { \"$1\" serve " + strings.Join(serve, " ") + "; }\n\n" + serveScript, nil
}

// serve is the argument list as words of the shell, with the machine's own
// port and download folder, and what these two are by configuration.
func (r Recipe) serve() (words []string, port, download string) {
	words = quoteAll(r.Args)
	port, download = "8000", volume+"/huggingface"
	for i := 0; i+1 < len(r.Args); i++ {
		switch r.Args[i] {
		case "--port":
			port, words[i+1] = r.Args[i+1], `"$PORT"`
		case "--download-dir":
			download, words[i+1] = r.Args[i+1], `"$DOWNLOAD"`
		}
	}
	if !slices.Contains(r.Args, "--port") {
		words = append(words, "--port", `"$PORT"`)
	}
	if r.Port > 0 {
		port = strconv.Itoa(r.Port)
	}
	if rest, under := strings.CutPrefix(download, volume); under && (rest == "" || rest[0] == '/') {
		return words, port, `"$root"` + quote(rest)
	}
	return words, port, quote(download)
}

// requirements is what pip is asked to install.
func (r Recipe) requirements() []string {
	list := append([]string{"vllm==" + r.Version}, r.PipConstraints...)
	if r.PipExtraIndexURL != "" {
		list = append(list, "--extra-index-url", r.PipExtraIndexURL)
	}
	return list
}

// exports is a program that sets environment variables, in a fixed order. Its
// errors name a variable, never a value.
func exports(env map[string]string) (string, error) {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(env)) {
		switch {
		case !variableRE.MatchString(key):
			return "", fmt.Errorf("vllm: %q is no name of an environment variable", key)
		case strings.Contains(env[key], "\x00"):
			return "", fmt.Errorf("vllm: the value of %s %w", key, errNUL)
		}
		b.WriteString("export " + key + "=" + quote(env[key]) + "\n")
	}
	return b.String(), nil
}

// quote makes one word of the shell of s, whatever it holds.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteAll(list []string) []string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = quote(s)
	}
	return words
}
