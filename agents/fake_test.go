package agents_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes this binary its own fake Claude Code: started with
// DAIL_TEST_CLAUDE set, it plays the script that its prompt names. At the end
// it sees that no goroutine of the package is left.
func TestMain(m *testing.M) {
	if os.Getenv("DAIL_TEST_CLAUDE") != "" {
		prompt, _ := io.ReadAll(os.Stdin)
		fakeClaude(string(prompt))
	}
	code := m.Run()
	if code == 0 {
		if stack := leaked(); stack != "" {
			fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", stack)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines that run code of this package.
func leaked() string {
	var found []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		buf := make([]byte, 1<<20)
		found = nil
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "x/dail/agents.") {
				found = append(found, g)
			}
		}
		if len(found) == 0 {
			return ""
		}
	}
	return strings.Join(found, "\n\n")
}

const (
	initLine = `{"type":"system","subtype":"init","session_id":"s-1","model":"qwen","claude_code_version":"9.9.9","tools":["Bash","Write"]}`
	// One message in two events, one per content block.
	textLine = `{"type":"assistant","message":{"id":"m1","model":"qwen","content":[{"type":"text","text":"I will write."}]}}`
	callLine = `{"type":"assistant","message":{"id":"m1","model":"qwen","content":[{"type":"tool_use","id":"t1","name":"Write","input":{}}]}}`
	okLine   = `{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"done"}]}}`
	badCall  = `{"type":"assistant","message":{"id":"m2","model":"qwen","content":[{"type":"tool_use","id":"t2","name":"Bash","input":{}}]}}`
	badLine  = `{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t2","content":"Exit code 1","is_error":true}]}}`
	lastLine = `{"type":"assistant","message":{"id":"m3","model":"qwen","content":[{"type":"text","text":"All done."}]}}`
	success  = `{"type":"result","subtype":"success","is_error":false,"result":"All done.","num_turns":5,"usage":{"input_tokens":1},"modelUsage":{"qwen":{"inputTokens":300,"cacheCreationInputTokens":20,"cacheReadInputTokens":50,"outputTokens":70},"small":{"inputTokens":10,"outputTokens":2}}}`
	maxTurns = `{"type":"result","subtype":"error_max_turns","is_error":true,"num_turns":9,"errors":["Reached maximum number of turns (8)"]}`
	apiError = `{"type":"assistant","message":{"id":"x1","model":"<synthetic>","content":[{"type":"text","text":"API Error: 529 overloaded"}]},"error":"server_error"}`
	apiEnd   = `{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"terminal_reason":"api_error","result":"API Error: 529 overloaded"}`
	retry    = `{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":500,"error_status":529,"error":"overloaded"}`
)

// fakeClaude plays one script and exits.
func fakeClaude(script string) {
	say := func(lines ...string) {
		for _, l := range lines {
			fmt.Println(l)
		}
	}
	forever := func() { time.Sleep(time.Hour) }
	if after, ok := strings.CutPrefix(script, "only agent1:"); ok {
		script = "ok"
		if strings.HasSuffix(os.Getenv("ANTHROPIC_AUTH_TOKEN"), "-agent1") {
			script = after
		}
	}
	say(initLine)
	switch script {
	case "ok":
		say(textLine, callLine, okLine, badCall, badLine, lastLine, success)
	case "max turns":
		say(textLine, callLine, maxTurns)
		os.Exit(1)
	case "api error":
		say(retry, retry, apiError, apiEnd)
		os.Exit(1)
	case "crash":
		fmt.Fprintln(os.Stderr, "panic: token is", os.Getenv("ANTHROPIC_AUTH_TOKEN"))
		os.Exit(1)
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		forever()
	case "hang":
		say(textLine)
		forever()
	case "hang, ignoring SIGTERM":
		signal.Ignore(syscall.SIGTERM)
		say(textLine)
		forever()
	case "hang after result":
		say(textLine, success, `{"type":"system","subtype":"status","after":"the result"}`)
		forever()
	case "garbage":
		say("plain text", "{", `{"type":`, `[1,2]`, `{"type":"no such type"}`, "\xff\xfe", "", `{"type":"assistant","message":7}`, textLine, success)
		fmt.Print(`{"type":"system","subtype":"cut`)
	case "long line":
		say(textLine)
		fmt.Printf(`{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":%q}]}}`+"\n", strings.Repeat("x", 5<<20))
		say(lastLine, success)
	case "tell":
		env, _ := json.Marshal(map[string]any{"env": os.Environ(), "args": os.Args[1:]})
		text, _ := json.Marshal(string(env))
		fmt.Printf(`{"type":"result","subtype":"success","is_error":false,"result":%s}`+"\n", text)
	case "flood":
		for {
			say(textLine)
		}
	case "wipe":
		_ = os.RemoveAll("../phases")
		say(textLine, success)
	case "note":
		// Whether the first phase's file is there says in which one this is.
		if _, err := os.Stat("note"); err == nil {
			_ = os.WriteFile("second", nil, 0o644)
		}
		_ = os.WriteFile("note", nil, 0o644)
		say(textLine, success)
	case "daemons":
		cmd := exec.Command("sh", "-c", daemons)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		_ = cmd.Run()
		say(textLine, success)
	default:
		fmt.Fprintf(os.Stderr, "no script %q\n", script)
		os.Exit(3)
	}
	os.Exit(0)
}

// daemons leaves behind what a killpg cannot reach. Each sleeps for a time of
// its own, by which ps shows it.
const daemons = `
(setsid sleep 971 &)
(cd / && env -i setsid sh -c '(sleep 972 >/dev/null 2>&1 </dev/null &)' &)
setsid sh -c 'trap "" TERM HUP INT; sleep 973; sleep 973' >/dev/null 2>&1 &
setsid sh -c 'sh -c "setsid sleep 974 &" &' &
`
