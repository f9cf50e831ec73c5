package proxy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/proxy"
)

const leakTools = `[
 {"type":"function","function":{"name":"Bash","parameters":{"type":"object","properties":{"command":{"type":"string"},"timeout":{"type":"number"},"count":{"type":"integer"},"background":{"type":["boolean","null"]},"env":{"anyOf":[{"type":"object"},{"type":"array"}]},"any":{}}}}},
 {"type":"function","function":{"name":"Write","parameters":{"type":"object","properties":{"file_path":{"type":"string"},"content":{"type":"string"}}}}},
 {"type":"function","function":{"name":"Ping","parameters":{"type":"object","properties":{}}}}]`

func TestLeakedCallsAreFound(t *testing.T) {
	type call = proxy.LeakCall
	for _, tc := range []struct {
		name, text, before string
		calls              []call
		repair             string
	}{
		{"qwen", "I look.\n<tool_call>\n<function=Bash>\n<parameter=command>\nls -l\n</parameter>\n</function>\n</tool_call>", "I look.",
			[]call{{"Bash", `{"command":"ls -l"}`}}, "leak:qwen_xml"},
		{"qwen without outer tags", "<function=Bash>\n<parameter=command>ls</parameter>\n</function>", "",
			[]call{{"Bash", `{"command":"ls"}`}}, "leak:qwen_xml"},
		{"qwen without opening tag", "Go.<function=Ping>\n</function>\n</tool_call>\n", "Go.",
			[]call{{"Ping", `{}`}}, "leak:qwen_xml"},
		{"qwen, two calls", "<tool_call><function=Ping></function></tool_call>\n<tool_call>\n<function=Bash>\n<parameter=command>\na\n\nb\n</parameter></function></tool_call>", "",
			[]call{{"Ping", `{}`}, {"Bash", `{"command":"a\n\nb"}`}}, "leak:qwen_xml"},
		{"qwen types", "<function=Bash>\n<parameter=timeout>\n1.5\n</parameter>\n<parameter=count>\n3\n</parameter>\n<parameter=background>\nTrue\n</parameter>\n<parameter=env>\n{\"A\": [1]}\n</parameter>\n<parameter=any>\n{\"A\":1}\n</parameter>\n<parameter=command>\n12\n</parameter>\n</function>", "",
			[]call{{"Bash", `{"timeout":1.5,"count":3,"background":true,"env":{"A": [1]},"any":"{\"A\":1}","command":"12"}`}}, "leak:qwen_xml"},
		{"qwen, value of no allowed type stays text", "<function=Bash><parameter=count>\nmany\n</parameter><parameter=background>\n5\n</parameter></function>", "",
			[]call{{"Bash", `{"count":"many","background":"5"}`}}, "leak:qwen_xml"},
		{"qwen, closing tags inside a file", "<tool_call>\n<function=Write>\n<parameter=file_path>\n/a.md\n</parameter>\n<parameter=content>\nUse <parameter=x> and </parameter> and <tool_call> & </function>.\n\n</parameter>\n</function>\n</tool_call>", "",
			[]call{{"Write", `{"file_path":"/a.md","content":"Use <parameter=x> and </parameter> and <tool_call> & </function>.\n"}`}}, "leak:qwen_xml"},
		{"hermes", "Now:\n\n<tool_call>\n{\"name\": \"Bash\", \"arguments\": {\"command\": \"a < b\"}}\n</tool_call>\n", "Now:",
			[]call{{"Bash", `{"command":"a < b"}`}}, "leak:hermes_json"},
		{"hermes, arguments as text, no closing tag", `<tool_call>{"name":"Bash","arguments":"{\"command\":\"ls\"}"}`, "",
			[]call{{"Bash", `{"command":"ls"}`}}, "leak:hermes_json"},
		{"hermes, parameters", `<tool_call>{"name":"Bash","parameters":{"command":"</tool_call>"}}</tool_call>`, "",
			[]call{{"Bash", `{"command":"</tool_call>"}`}}, "leak:hermes_json"},
		{"hermes, no arguments", `<tool_call>{"name":"Ping"}</tool_call><tool_call>{"name":"Ping"}</tool_call>`, "",
			[]call{{"Ping", `{}`}, {"Ping", `{}`}}, "leak:hermes_json"},
		{"glm", "I write.\n<tool_call>Write\n<arg_key>file_path</arg_key>\n<arg_value>/a.md</arg_value>\n<arg_key>content</arg_key>\n<arg_value>a </arg_value> b\n</arg_value>\n</tool_call>", "I write.",
			[]call{{"Write", `{"file_path":"/a.md","content":"a </arg_value> b\n"}`}}, "leak:glm_xml"},
		{"glm without line breaks, two calls", "<tool_call>Bash<arg_key>command</arg_key><arg_value>ls</arg_value><arg_key>count</arg_key><arg_value>3</arg_value></tool_call><tool_call>Ping</tool_call>", "",
			[]call{{"Bash", `{"command":"ls","count":3}`}, {"Ping", `{}`}}, "leak:glm_xml"},
		{"glm without its end", "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>", "",
			[]call{{"Bash", `{"command":"ls"}`}}, "leak:glm_xml"},
		{"minimax", "So:\n<minimax:tool_call>\n<invoke name=\"Bash\">\n<parameter name=\"command\">ls </parameter> x</parameter>\n<parameter name=\"background\">true</parameter>\n</invoke>\n<invoke name=\"Ping\">\n</invoke>\n</minimax:tool_call>", "So:",
			[]call{{"Bash", `{"command":"ls </parameter> x","background":true}`}, {"Ping", `{}`}}, "leak:minimax_xml"},
		{"minimax without outer tags", "<invoke name=\"Ping\"></invoke>", "", []call{{"Ping", `{}`}}, "leak:minimax_xml"},
		{"llama", ` {"name": "Bash", "parameters": {"command": "ls"}} `, "", []call{{"Bash", `{"command":"ls"}`}}, "leak:llama_json"},
		{"llama, its tag, two calls", `<|python_tag|>{"type":"function","name":"Bash","parameters":{"command":"{;}"}}; {"name":"Ping","arguments":{}}`, "",
			[]call{{"Bash", `{"command":"{;}"}`}, {"Ping", `{}`}}, "leak:llama_json"},
		{"prose first, then a call", "I use `<tool_call>` for that, as in <tool_call> tags.\n<tool_call>{\"name\":\"Ping\"}</tool_call>", "I use `<tool_call>` for that, as in <tool_call> tags.",
			[]call{{"Ping", `{}`}}, "leak:hermes_json"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := proxy.FindLeak(tc.text, []byte(leakTools))
			if !ok {
				t.Fatal("not found")
			}
			if got.Before != tc.before {
				t.Errorf("text before it: %q, want %q", got.Before, tc.before)
			}
			if d := cmp.Diff(tc.calls, got.Calls); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
			for _, n := range got.Names {
				if n != tc.repair {
					t.Errorf("named %s, want %s", n, tc.repair)
				}
			}
		})
	}
}

func TestProseIsLeftAlone(t *testing.T) {
	const qwen = "<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>"
	for name, text := range map[string]string{
		"mention":               "The model writes <tool_call> and then </tool_call>.",
		"mention at the end":    "The tag is <tool_call>",
		"mention of a function": "The tag is <function=Bash>",
		"backticks":             "Write `" + qwen,
		"code fence":            "For example:\n```xml\n" + qwen + "\n```\n",
		"open code fence":       "For example:\n```xml\n" + qwen,
		"example, then prose":   "It looks like " + qwen + " in the raw output.",
		"unknown tool":          strings.Replace(qwen, "Bash", "Rm", 1),
		"unknown tool, JSON":    `<tool_call>{"name":"Rm","arguments":{}}</tool_call>`,
		"cut off":               strings.TrimSuffix(qwen, "</parameter>\n</function>\n</tool_call>"),
		"cut off, JSON":         `<tool_call>{"name":"Bash","arguments":{"comm`,
		"list as arguments":     `<tool_call>{"name":"Bash","arguments":[1]}</tool_call>`,
		"text after JSON":       `<tool_call>{"name":"Ping"} and so on`,
		"parameter twice":       "<function=Bash><parameter=command>a</parameter><parameter=command>b</parameter></function>",
		"nothing":               "",

		"glm, mention":              "It writes <tool_call>Bash",
		"glm, mention with an end":  "It writes <tool_call>Bash and </tool_call>",
		"glm, unknown tool":         "<tool_call>Rm\n<arg_key>a</arg_key>\n<arg_value>b</arg_value>\n</tool_call>",
		"glm, example, then prose":  "<tool_call>Ping</tool_call> is what it writes.",
		"glm, in a fence":           "```\n<tool_call>Ping</tool_call>\n```",
		"glm, cut off":              "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls",
		"glm, key twice":            "<tool_call>Bash<arg_key>command</arg_key><arg_value>a</arg_value><arg_key>command</arg_key><arg_value>b</arg_value></tool_call>",
		"minimax, mention":          "It writes <invoke name=\"Ping\"> and </invoke>",
		"minimax, unknown tool":     "<minimax:tool_call><invoke name=\"Rm\"></invoke></minimax:tool_call>",
		"minimax, in backticks":     "It writes `<invoke name=\"Ping\"></invoke>",
		"minimax, cut off":          "<minimax:tool_call><invoke name=\"Bash\"><parameter name=\"command\">ls</parameter>",
		"llama, in prose":           `I would call {"name": "Ping", "parameters": {}}`,
		"llama, then prose":         `{"name": "Ping", "parameters": {}} is the call.`,
		"llama, unknown tool":       `{"name": "Rm", "parameters": {}}`,
		"llama, somebody's JSON":    `{"name": "Ping", "parameters": {}, "version": 2}`,
		"llama, no parameters":      `{"name": "Ping"}`,
		"llama, list as parameters": `{"name": "Ping", "parameters": []}`,
		"llama, both words":         `{"name": "Ping", "parameters": {}, "arguments": {}}`,
		"llama, half of two":        `{"name": "Ping", "parameters": {}};`,
		"llama, other type":         `{"type": "object", "name": "Ping", "parameters": {}}`,
		"llama, in a fence":         "```json\n{\"name\": \"Ping\", \"parameters\": {}}\n```",
	} {
		if got, ok := proxy.FindLeak(text, []byte(leakTools)); ok {
			t.Errorf("%s: took %q for calls %+v", name, text, got.Calls)
		}
	}
	if _, ok := proxy.FindLeak(qwen, nil); ok {
		t.Error("a request without tools cannot have a call")
	}
}

// TestHostileTextEnds gives the parser what it is worst at, some 300 kB of it.
// Without a bound on the places it looks at, it would be at it for minutes.
func TestHostileTextEnds(t *testing.T) {
	for _, unit := range []string{"<tool_call>", "<function=Bash><parameter=command></parameter>", "</tool_call>", "<tool_call>{\"name\":\"Ping\"}",
		"<tool_call>Bash<arg_key>a</arg_key><arg_value></arg_value>", "<invoke name=\"Bash\"><parameter name=\"a\"></parameter>", "<think>", "{\"name\":"} {
		if _, ok := proxy.FindLeak("x"+strings.Repeat(unit, 7_000)+"y>", []byte(leakTools)); ok {
			t.Errorf("%s: took it for a call", unit)
		}
	}
}

func FuzzFindLeak(f *testing.F) {
	f.Add("a <tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>")
	f.Add(`<tool_call>{"name": "Bash", "arguments": {"command": "ls"}}</tool_call>`)
	f.Add("```\n<function=Ping></function>")
	f.Add("<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>")
	f.Add("<minimax:tool_call>\n<invoke name=\"Bash\">\n<parameter name=\"command\">ls</parameter>\n</invoke>\n</minimax:tool_call>")
	f.Add(`<|python_tag|>{"name":"Bash","parameters":{"command":"ls"}};{"name":"Ping","parameters":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := proxy.FindLeak(text, []byte(leakTools))
		if !ok {
			return
		}
		if len(got.Calls) == 0 || len(got.Calls) != len(got.Names) {
			t.Fatalf("calls %v, names %v", got.Calls, got.Names)
		}
		if !strings.HasPrefix(text, got.Before) {
			t.Fatalf("%q does not begin with %q", text, got.Before)
		}
		for _, c := range got.Calls {
			var o map[string]any
			if err := json.Unmarshal([]byte(c.Arguments), &o); err != nil || o == nil {
				t.Fatalf("arguments %q: %v", c.Arguments, err)
			}
			if !strings.Contains(leakTools, `"name":"`+c.Name+`"`) {
				t.Fatalf("unknown tool %q", c.Name)
			}
		}
	})
}
