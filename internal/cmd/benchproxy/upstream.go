package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// modelName is what the server calls its model.
const modelName = "bench-model"

// upstream is a double of vLLM's /v1/chat/completions: it reads the request,
// waits, and always says the same.
type upstream struct {
	delay  time.Duration
	whole  []byte
	chunks []byte
	ctl    *control
}

// The two answers: a turn of work with a tool call, about 2 kB, and a last
// word that ends an agent's work.
const (
	answerTool = "tool"
	answerText = "text"
)

func newUpstream(delay time.Duration, answer string, ctl *control) http.Handler {
	u := &upstream{delay: delay, ctl: ctl}
	u.whole, u.chunks = completions(answer)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", u.chat)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"list","data":[{"id":%q,"object":"model","created":1700000000,"owned_by":"vllm","max_model_len":262144}]}`, modelName)
	})
	return mux
}

func (u *upstream) chat(w http.ResponseWriter, r *http.Request) {
	// Drained, not decoded: what the double costs must not hide what a gateway
	// does. Whether a stream is wanted stands in the last or the first bytes,
	// as it does in every client's body here.
	stream, err := wantsStream(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.ctl.count()
	wait := time.NewTimer(u.delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.Context().Done():
		return
	}
	if stream {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Write(u.chunks)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(u.whole)
}

// wantsStream reads r to its end and looks for "stream":true.
func wantsStream(r io.Reader) (bool, error) {
	buf := make([]byte, 32<<10)
	keep, found := 0, false
	for {
		n, err := r.Read(buf[keep:])
		text := string(buf[:keep+n])
		found = found || strings.Contains(text, `"stream":true`) || strings.Contains(text, `"stream": true`)
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return false, err
		}
		keep = copy(buf, text[max(0, len(text)-16):])
	}
}

// answerCode is what the model writes into a file.
const answerCode = `package main

import (
	"errors"
	"fmt"
	"os"
)

// run reads the file that the first argument names & prints how long it is.
func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: count <file>")
	}
	data, err := os.ReadFile(args[1])
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	lines := 0
	for _, c := range data {
		if c == '\n' {
			lines++
		}
	}
	fmt.Printf("%s: %d bytes in %d lines\n", args[1], len(data), lines)
	return nil
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`

// completions are an answer in both of vLLM's forms.
func completions(answer string) (whole, chunks []byte) {
	text := "I have read the two files. The counter is missing its check of the arguments, so I write the program anew " +
		"and handle both errors; after that I run the tests again. \u2014 Nothing else needs to change for now."
	message := map[string]any{"role": "assistant", "content": text, "refusal": nil, "annotations": nil, "audio": nil,
		"function_call": nil, "tool_calls": []any{}, "reasoning": nil}
	deltas := []map[string]any{{"role": "assistant", "content": ""}}
	for _, word := range strings.SplitAfter(text, " ") {
		deltas = append(deltas, map[string]any{"content": word})
	}
	finish := "stop"
	if answer == answerTool {
		finish = "tool_calls"
		arguments := string(mustJSON(map[string]string{"file_path": "/work/count/main.go", "content": answerCode}))
		call := func(args string) map[string]any {
			return map[string]any{"id": "chatcmpl-tool-5f3a9c0b7d", "type": "function", "function": map[string]any{"name": "Write", "arguments": args}}
		}
		message["tool_calls"] = []any{call(arguments)}
		head := call("")
		head["index"] = 0
		deltas = append(deltas, map[string]any{"tool_calls": []any{head}})
		for part := range strings.SplitAfterSeq(arguments, `\n`) {
			deltas = append(deltas, map[string]any{"tool_calls": []any{map[string]any{"index": 0, "function": map[string]any{"arguments": part}}}})
		}
	}
	usage := map[string]any{"prompt_tokens": 19000, "total_tokens": 19420, "completion_tokens": 420, "prompt_tokens_details": map[string]any{"cached_tokens": 18500}}
	object := func(kind string, choices []any) map[string]any {
		return map[string]any{"id": "chatcmpl-bench", "object": kind, "created": 1700000000, "model": modelName, "choices": choices}
	}
	o := object("chat.completion", []any{map[string]any{"index": 0, "message": message, "logprobs": nil, "finish_reason": finish, "stop_reason": nil, "token_ids": nil}})
	for k, v := range map[string]any{"usage": usage, "service_tier": nil, "system_fingerprint": nil, "prompt_logprobs": nil, "prompt_token_ids": nil, "kv_transfer_params": nil} {
		o[k] = v
	}
	var stream strings.Builder
	send := func(o map[string]any) { fmt.Fprintf(&stream, "data: %s\n\n", mustJSON(o)) }
	for _, d := range deltas {
		send(object("chat.completion.chunk", []any{map[string]any{"index": 0, "delta": d, "finish_reason": nil}}))
	}
	send(object("chat.completion.chunk", []any{map[string]any{"index": 0, "delta": map[string]any{}, "finish_reason": finish}}))
	last := object("chat.completion.chunk", []any{})
	last["usage"] = usage
	send(last)
	stream.WriteString("data: [DONE]\n\n")
	return mustJSON(o), []byte(stream.String())
}

// mustJSON encodes values of this program, which always can be.
func mustJSON(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte("null")
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
