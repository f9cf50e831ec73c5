package compose

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Checks of single values, shared by the three axes. Each looks at a key only
// if the file has it and its value could be read, so that a fault is reported
// once.

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// name reports a value that could not be a folder's name: names become part
// of the path of the results.
func (d *document) name(key, v string) {
	if d.has(key) && !plainName.MatchString(v) {
		d.at(key, "use letters, digits, dots, dashes and underscores, and begin with a letter or a digit",
			"%s cannot be a name", quoted(v))
	}
}

func (d *document) text(key, v string) {
	if d.has(key) && strings.TrimSpace(v) == "" {
		d.at(key, "write it, or remove the key", "it is empty")
	}
}

func (d *document) atLeast(key string, v, least float64) {
	if d.has(key) && v < least {
		d.at(key, "", "%v is too small: at least %v", v, least)
	}
}

func (d *document) positive(key string, v float64) {
	if d.has(key) && v <= 0 {
		d.at(key, "", "%v is not above 0", v)
	}
}

func (d *document) within(key string, v, low, high float64) {
	if d.has(key) && (v < low || v > high) {
		d.at(key, "", "%v is outside %v to %v", v, low, high)
	}
}

func (d *document) fraction(key string, v float64) {
	if d.has(key) && (v <= 0 || v > 1) {
		d.at(key, "", "%v is not a fraction: above 0, at most 1", v)
	}
}

func (d *document) oneOf(key, v string, names ...string) {
	if d.has(key) && !slices.Contains(names, v) {
		d.at(key, didYouMean(v, names), "%s is not known", quoted(v))
	}
}

func (d *document) nonEmpty(key string, n int) {
	if d.has(key) && n == 0 {
		d.at(key, "name at least one", "the list is empty")
	}
}

// unique reports the second of two equal ids, key being a format with the
// index, and where the first is.
func (d *document) unique(format string, ids []string) {
	first := map[string]int{}
	for i, id := range ids {
		key := fmt.Sprintf(format, i)
		if !d.has(key) {
			continue
		}
		if j, ok := first[id]; ok {
			d.at(key, "give each its own", "%s is taken by the one on line %d", quoted(id), d.mark(fmt.Sprintf(format, j)).line)
			continue
		}
		first[id] = i
	}
}

var (
	secretName  = regexp.MustCompile(`(?i)(^|[_-])(TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$`)
	secretValue = regexp.MustCompile(`^(hf_|rpa_|sk-|ghp_)[A-Za-z0-9_-]{16,}$`)
)

const secretHint = "configurations are kept beside the results and get published: put it into .env"

// env reports what must not be in a configuration: composed.yaml holds no
// secret because no file that it is made from may hold one.
func (d *document) env(key string, env map[string]string) {
	for _, name := range keys(env) {
		if secretName.MatchString(name) || secretValue.MatchString(env[name]) {
			d.at(join(key, name), secretHint, "this looks like a secret")
		}
		if name == "" || strings.ContainsAny(name, "= \t\n\x00") {
			d.at(join(key, name), "", "%s cannot be the name of an environment variable", quoted(name))
		}
	}
}

// composedFlags are the flags of vllm serve that dail composes itself; vLLM
// takes the last of two, so one in extra_args would quietly undo what was
// composed, and the memory check and the report with it.
var composedFlags = map[string]string{
	"--model":                   "model",
	"--host":                    "host",
	"--port":                    "port",
	"--served-model-name":       "served_model_name",
	"--download-dir":            "download_dir",
	"--gpu-memory-utilization":  "gpu_memory_utilization",
	"--max-model-len":           "max_model_len",
	"--max-num-seqs":            "max_num_seqs",
	"--max-num-batched-tokens":  "max_num_batched_tokens",
	"--tensor-parallel-size":    "tensor_parallel_size",
	"-tp":                       "tensor_parallel_size",
	"--kv-cache-dtype":          "kv_cache_dtype",
	"--tool-call-parser":        "tool_call_parser",
	"--reasoning-parser":        "reasoning_parser",
	"--enable-auto-tool-choice": "enable_auto_tool_choice",
}

// foreignFlags are those that ask for GPUs beyond the tensor-parallel ones, or
// carry a secret.
var foreignFlags = map[string]string{
	"--pipeline-parallel-size": "all GPUs of a run are used for tensor parallelism: remove it",
	"-pp":                      "all GPUs of a run are used for tensor parallelism: remove it",
	"--data-parallel-size":     "all GPUs of a run are used for tensor parallelism: remove it",
	"-dp":                      "all GPUs of a run are used for tensor parallelism: remove it",
	"--api-key":                "vLLM listens on loopback and needs no key; agents get tokens of their own",
	"--hf-token":               "put HF_TOKEN into .env",
}

func (d *document) args(key string, args []string) {
	if !d.has(key) {
		return
	}
	for i, arg := range args {
		at := fmt.Sprintf("%s[%d]", key, i)
		flag, _, _ := strings.Cut(arg, "=")
		flag = strings.ReplaceAll(flag, "_", "-")
		switch {
		case secretValue.MatchString(arg):
			d.at(at, secretHint, "this looks like a secret")
		case strings.ContainsAny(arg, "\n\x00"):
			d.at(at, "", "an argument cannot hold a line break")
		case composedFlags[flag] != "":
			d.at(at, fmt.Sprintf("set the key %s instead, here or under the scenario's serving:", composedFlags[flag]),
				"%s is composed, and given twice the last one would win", flag)
		case foreignFlags[flag] != "":
			d.at(at, foreignFlags[flag], "%s is not for extra_args", flag)
		}
	}
}

func (d *document) indexURL(key, v string) {
	if !d.has(key) {
		return
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		d.at(key, "write it as https://host/path", "%s is not a web address", quoted(v))
		return
	}
	if u.User != nil {
		d.at(key, secretHint, "the address holds a user name or a password")
	}
}

// served reports a name that clients could not ask for: Claude Code cannot use
// one with a slash (vllm-litellm.md §2.4).
func (d *document) served(key, v string) {
	if d.has(key) && (v == "" || strings.ContainsAny(v, "/ \t\n")) {
		d.at(key, "use a short alias without slashes and spaces", "%s cannot be asked for by Claude Code", quoted(v))
	}
}
