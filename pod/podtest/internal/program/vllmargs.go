package program

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// serveArgs is what "vllm serve" was told.
type serveArgs struct {
	model  string
	values map[string]string // by the flag's name without dashes; switches hold "true"
}

type flagKind int

const (
	text flagKind = iota
	whole
	number
	toggle // no value; also as --no-…
	object // JSON
	list   // one or more values
)

// flags are those of vLLM that dail's configurations use, and their
// neighbours (vllm-litellm.md §2.4).
func flags() map[string]flagKind {
	return map[string]flagKind{
		"host": text, "port": whole, "served-model-name": list, "download-dir": text, "gpu-memory-utilization": number,
		"max-model-len": text, "max-num-seqs": whole, "max-num-batched-tokens": whole, "tensor-parallel-size": whole,
		"pipeline-parallel-size": whole, "data-parallel-size": whole, "kv-cache-dtype": text, "tool-call-parser": text,
		"reasoning-parser": text, "enable-auto-tool-choice": toggle, "enable-expert-parallel": toggle,
		"enable-prefix-caching": toggle, "enable-chunked-prefill": toggle, "enable-prompt-tokens-details": toggle,
		"enable-force-include-usage": toggle, "enable-server-load-tracking": toggle, "enable-log-requests": toggle,
		"disable-log-requests": toggle, "disable-log-stats": toggle, "disable-custom-all-reduce": toggle, "trust-remote-code": toggle,
		"enforce-eager": toggle, "async-scheduling": toggle, "stream-interval": whole, "api-server-count": whole,
		"speculative-config": object, "rope-scaling": object, "hf-overrides": object, "compilation-config": object,
		"override-generation-config": object, "limit-mm-per-prompt": object, "chat-template": text, "chat-template-kwargs": object,
		"quantization": text, "dtype": text, "seed": whole, "block-size": whole, "swap-space": number, "cpu-offload-gb": number,
		"load-format": text, "revision": text, "tokenizer": text, "tokenizer-mode": text, "generation-config": text,
		"model-loader-extra-config": object, "attention-backend": text, "mm-encoder-tp-mode": text, "model": text,
		"uvicorn-log-level": text, "root-path": text, "distributed-executor-backend": text, "api-key": text,
	}
}

// choices of the flags that have some.
func choices(flag string) []string {
	switch flag {
	case "kv-cache-dtype":
		return strings.Fields("auto float16 bfloat16 fp8 fp8_e4m3 fp8_e5m2 fp8_inc fp8_ds_mla nvfp4 int8_per_token_head fp8_per_token_head")
	case "tool-call-parser":
		return strings.Fields(`apertus cohere_command3 cohere_command4 deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4 ernie45
			functiongemma gemma4 gigachat3 glm45 glm47 granite granite-20b-fc granite4 hermes hunyuan_a13b hy_v3 internlm jamba
			kimi_k2 kimi_k3 lfm2 llama3_json llama4_json llama4_pythonic longcat mimo minicpm5 minimax minimax_m2 minimax_m3 mistral olmo3 openai
			phi4_mini_json pythonic qwen3_coder qwen3_xml seed_oss step3 step3p5 xlam`)
	case "reasoning-parser":
		return strings.Fields(`cohere_command3 cohere_command4 deepseek_r1 deepseek_v3 deepseek_v4 ernie45 gemma4 glm45 glm47 granite holo2
			hunyuan_a13b hy_v3 kimi_k2 kimi_k3 mimo minimax_m2 minimax_m2_append_think minimax_m3 mistral nemotron_v3 olmo3
			openai_gptoss qwen3 seed_oss step3 step3p5`)
	}
	return nil
}

// parseServe reads the arguments after "serve". An error is what argparse would
// say.
func parseServe(args []string) (serveArgs, error) {
	a := serveArgs{values: map[string]string{}}
	known := flags()
	var strange []string
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag {
			if a.model != "" || strings.HasPrefix(args[i], "-") {
				strange = append(strange, args[i])
				continue
			}
			a.model = args[i]
			continue
		}
		name, value, given := strings.Cut(name, "=")
		kind, ok := known[name]
		if !ok {
			if kind, ok = known[strings.TrimPrefix(name, "no-")]; !ok || kind != toggle {
				strange = append(strange, args[i])
				continue
			}
			a.values[strings.TrimPrefix(name, "no-")] = "false"
			continue
		}
		if kind == toggle {
			if given {
				return a, saying("argument --%s: ignored explicit argument '%s'", name, value)
			}
			a.values[name] = "true"
			continue
		}
		if !given {
			if i+1 >= len(args) || strings.HasPrefix(args[i+1], "--") {
				return a, saying("argument --%s: expected one argument", name)
			}
			i++
			value = args[i]
		}
		if err := checkValue(name, kind, value); err != nil {
			return a, err
		}
		a.values[name] = value
	}
	if len(strange) > 0 {
		return a, saying("unrecognized arguments: %s", strings.Join(strange, " "))
	}
	return a, nil
}

func checkValue(name string, kind flagKind, value string) error {
	switch kind {
	case whole:
		if _, err := strconv.Atoi(value); err != nil {
			return saying("argument --%s: invalid int value: '%s'", name, value)
		}
	case number:
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return saying("argument --%s: invalid float value: '%s'", name, value)
		}
	case object:
		if !json.Valid([]byte(value)) {
			return saying("argument --%s: Value %s cannot be converted to <function loads>.", name, value)
		}
	}
	if may := choices(name); may != nil && !slices.Contains(may, value) {
		return saying("argument --%s: invalid choice: '%s' (choose from %s)", name, value, strings.Join(may, ", "))
	}
	return nil
}

// integer is a flag's value, or what stands for it where it was not given.
func (a serveArgs) integer(name string, otherwise int) int {
	if n, err := strconv.Atoi(a.values[name]); err == nil {
		return n
	}
	return otherwise
}

func (a serveArgs) text(name, otherwise string) string {
	if v, ok := a.values[name]; ok {
		return v
	}
	return otherwise
}
