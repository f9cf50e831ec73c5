package proxy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/proxy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	bashTool  = `{"name":"Bash","description":"Run a command","input_schema":{"type":"object","properties":{"command":{"type":"string"},"timeout":{"type":"number"}},"required":["command"]}}`
	writeTool = `{"name":"Write","description":"Write a file","input_schema":{"type":"object","properties":{"file_path":{"type":"string"},"content":{"type":"string"}}}}`
)

// ask is a Messages request with these messages and two tools.
func ask(messages string) string {
	return `{"model":"claude-x","max_tokens":32000,"stream":true,"tools":[` + bashTool + `,` + writeTool + `],"messages":` + messages + `}`
}

const hi = `[{"role":"user","content":"hi"}]`

// leaked is a completion whose tool calls stayed in the text.
var leaked = say(`{"role":"assistant","content":`+quote("I write it.\n\n<tool_call>\n<function=Write>\n<parameter=file_path>\n/tmp/a.md\n</parameter>\n<parameter=content>\n# <b> & \"c\"\n</parameter>\n</function>\n</tool_call>")+`,"tool_calls":[]}`, "stop")

var thinking = say(`{"role":"assistant","reasoning":"Let me see.","content":"\n\n","tool_calls":[{"id":"chatcmpl-tool-1","type":"function","function":{"name":"Bash","arguments":""}},{"id":"chatcmpl-tool-2","type":"function","function":{"name":"Bash","arguments":"{\"command\": \"ls\"}"}}]}`, "stop")

// TestMessagesGolden holds, for each case, what the server was asked and every
// byte that the client got.
func TestMessagesGolden(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		answer     reply
	}{
		{"text", ask(hi), text("Hello <b> & \u2028 \"you\"\nbye")},
		{"parallel_tools", ask(hi), called("Both.", "Bash", `{"command":"ls && true"}`, "Write", `{"file_path":"/a","content":"x"}`)},
		{"thinking_and_tools", ask(hi), thinking},
		{"leaked_tool_call", ask(hi), leaked},
		{"bad_arguments", ask(hi), called("", "Bash", `{"command":`)},
		{"empty_answer", ask(hi), text("")},
		{"cut_by_limit", ask(hi), say(`{"role":"assistant","content":"half a sen"}`, "length")},
		{"whole", strings.Replace(ask(hi), `"stream":true`, `"stream":false`, 1), called("Both.", "Bash", `{"command":"ls"}`, "Write", `{"file_path":`)},
		{"session", sessionBody, text("done")},
		{"options", `{"model":"claude-x","max_tokens":10,"stream":true,"temperature":0.70,"top_p":1e-1,"top_k":5,"stop_sequences":["END"],
			"tools":[` + bashTool + `,{"type":"web_search_20250305","name":"web_search"},{"name":"Later","defer_loading":true,"input_schema":{}},{"name":"Bare","input_schema":{ "properties":{"a":{}}}},{"name":"None","input_schema":{}}],
			"tool_choice":{"type":"tool","name":"Bash","disable_parallel_tool_use":true},
			"output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}},
			"metadata":{"user_id":"secret"},"thinking":{"type":"adaptive"},"context_management":{"edits":[]},"messages":` + hi + `}`,
			reply{body: strings.Replace(text("ab").body, `"stop_reason":null`, `"stop_reason":"END"`, 1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := newUpstream(t, func(int, string) reply { return tc.answer })
			gateway := proxy.NewMessages(proxy.Config{Upstream: mustURL(t, u.URL), Model: "m"})
			gateway.CountIDs()
			srv := httptest.NewServer(gateway)
			defer srv.Close()
			status, header, body := post(t, srv.URL+"/v1/messages?beta=true", tc.body)
			golden(t, "messages_"+tc.name, u, status, header.Get("Content-Type"), body)
			if strings.Contains(body, "event: ") {
				checkAnthropicStream(t, body)
			}
		})
	}
}

// TestDestreamGolden does the same for the OpenAI dialect.
func TestDestreamGolden(t *testing.T) {
	tools := `"tools":[{"type":"function","function":{"name":"Write","parameters":{"type":"object","properties":{"file_path":{"type":"string"}}}}}]`
	two := strings.Replace(text("one").body, `"choices":[`, `"choices":[{"index":1,"message":{"role":"assistant","content":"two","refusal":"no"},"logprobs":{"content":[]},"finish_reason":"length","stop_reason":7},`, 1)
	for _, tc := range []struct {
		name, body string
		answer     reply
	}{
		{"text", `{"model":"x","stream":true,"messages":` + hi + `,"odd":{"b":1,"a":[1.50]}}`, text("Hello <b>")},
		{"tools_usage", `{"model":"x","stream":true,"stream_options":{"include_usage":true},"messages":` + hi + `,` + tools + `}`, thinking},
		{"leak", `{"model":"x","stream":true,"messages":` + hi + `,` + tools + `}`, leaked},
		{"leak_whole", `{"model":"x","messages":` + hi + `,` + tools + `}`, leaked},
		{"whole", `{"model":"x","messages":` + hi + `,"n":2}`, reply{body: two}},
		{"two_choices", `{"model":"x","stream":true,"messages":` + hi + `,"n":2}`, reply{body: two}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := newUpstream(t, func(int, string) reply { return tc.answer })
			gateway := proxy.NewDestream(proxy.Config{Upstream: mustURL(t, u.URL+"/v1/")})
			gateway.CountIDs()
			srv := httptest.NewServer(gateway)
			defer srv.Close()
			status, header, body := post(t, srv.URL+"/v1/chat/completions", tc.body)
			golden(t, "destream_"+tc.name, u, status, header.Get("Content-Type"), body)
		})
	}
}

// golden compares the exchange with testdata/golden/<name>.txt.
func golden(t *testing.T, name string, u *upstream, status int, contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	for _, asked := range u.seen() {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, []byte(asked), "", " "); err != nil {
			t.Fatalf("the server was sent no JSON: %v\n%s", err, asked)
		}
		fmt.Fprintf(&b, "-- asked --\n%s\n", pretty.String())
	}
	fmt.Fprintf(&b, "-- answered %d %s --\n%s", status, contentType, body)
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run with -update to write it", err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// sessionBody is a request in the middle of a session, with all that Claude
// Code puts into one.
var sessionBody = `{"model":"claude-x","max_tokens":8192,"stream":true,
"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=sdk-cli;"},{"type":"text","text":"You are a coding agent.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"Be brief."}],
"tools":[` + bashTool + `],
"messages":[
 {"role":"user","content":[{"type":"text","text":"<system-reminder>dir</system-reminder>"},{"type":"text","text":"Build it.","cache_control":{"type":"ephemeral"}}]},
 {"role":"system","content":"# Environment\ncwd: /w"},
 {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"Three calls."},
   {"type":"tool_use","id":"toolu_1","name":"Bash","input":{"z":1,"command":"a < b"}},{"type":"tool_use","id":"toolu_2","name":"Bash","input":{}},{"type":"tool_use","id":"toolu_3","name":"Bash","input":null}]},
 {"role":"user","content":[
   {"type":"tool_result","tool_use_id":"toolu_3","is_error":true,"content":"no such file"},
   {"type":"text","text":"Go on."},
   {"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"one"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},{"type":"text","text":"two"}]},
   {"type":"tool_result","tool_use_id":"toolu_2"}]},
 {"role":"assistant","content":[{"type":"tool_use","id":"toolu_4","name":"Bash","input":{"command":"false"}}]},
 {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_4","is_error":true,"content":"Exit code 1\nbad"},{"type":"future_block","x":1}]},
 {"role":"user","content":[{"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}},{"type":"image","source":{"type":"url","url":"http://h/i.png"}}]}
]}`
