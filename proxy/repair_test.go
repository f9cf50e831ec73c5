package proxy_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/proxy"
)

func TestArgumentsAreMended(t *testing.T) {
	const bad = "bad_arguments"
	for _, tc := range []struct {
		name, args, want string
		finish           string // "" is tool_calls
		repair           string // "" is none
	}{
		{"as they should be", `{"command":"ls", "count":3}`, `{"command":"ls", "count":3}`, "", ""},
		{"text in a text", `"{\"command\":\"a \\\"b\\\"\"}"`, `{"command":"a \"b\""}`, "", "arguments:double_encoded"},
		{"a text that is none", `"ls"`, `"ls"`, "", bad},
		{"a list", `[1]`, `[1]`, "", bad},
		{"raw line breaks", "{\"command\":\"a\n\tb\\n\"}", `{"command":"a\n\tb\n"}`, "", "arguments:control_characters"},
		{"raw line breaks between members", "{\n\"command\":\n\"a\"\n}", "{\n\"command\":\n\"a\"\n}", "", ""},
		{"a bracket too much", `{"command":"ls"}}`, `{"command":"ls"}`, "", "arguments:trailing"},
		{"tags behind it", "{\"command\":\"ls\"}\n</function>\n</tool_call>", `{"command":"ls"}`, "", "arguments:trailing"},
		{"something else behind it", `{"command":"ls"} {"command":"rm"}`, `{"command":"ls"} {"command":"rm"}`, "", bad},
		{"a bracket too few", `{"command":"ls","env":{"A":["b"]`, `{"command":"ls","env":{"A":["b"]}}`, "", "arguments:unclosed"},
		{"a bracket too few, cut off", `{"command":"ls","env":{"A":["b"]`, `{"command":"ls","env":{"A":["b"]`, "length", bad},
		{"cut off in a text", `{"command":"rm -rf /tmp`, `{"command":"rm -rf /tmp`, "", bad},
		{"cut off behind a key", `{"command":"ls","env"`, `{"command":"ls","env"`, "", bad},
		{"wrong bracket", `{"command":["ls"}`, `{"command":["ls"}`, "", bad},
		{"closing tag", `{"count":1,"command":"ls\n</parameter>"}`, `{"count":1,"command":"ls"}`, "", "arguments:closing_tags"},
		{"all closing tags", `{"command":"a < b\n</parameter>\n</function>\n</tool_call>\n"}`, `{"command":"a < b"}`, "", "arguments:closing_tags"},
		{"closing tag in the middle", `{"command":"ls\n</parameter>","count":1}`, `{"command":"ls\n</parameter>","count":1}`, "", ""},
		{"closing tag of markup", `{"command":"<function=a>\n</function>"}`, `{"command":"<function=a>\n</function>"}`, "", ""},
		{"closing tag alone", `{"command":"  </parameter>"}`, `{"command":"  </parameter>"}`, "", ""},
		{"closing tag in prose", `{"command":"the tag </parameter> ends it"}`, `{"command":"the tag </parameter> ends it"}`, "", ""},
		{"types", `{"timeout":"1.5","count":"3","background":"True","env":"{\"A\": 1}"}`, `{"timeout":1.5,"count":3,"background":true,"env":{"A": 1}}`, "", "arguments:types"},
		{"types that fit no other", `{"count":"3.5","background":"yes","command":"12","any":"{}"}`, `{"count":"3.5","background":"yes","command":"12","any":"{}"}`, "", ""},
		{"order and spelling of the rest", `{ "x/y" : 1.50, "count":"3", "\u0061":"\u0062" }`, `{"x/y":1.50,"count":3,"a":"\u0062"}`, "", "arguments:types"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			finish := tc.finish
			if finish == "" {
				finish = "tool_calls"
			}
			got := proxy.Mend("", "", finish, "Bash", tc.args, []byte(leakTools))
			if got.Calls[0].Arguments != tc.want {
				t.Errorf("%s\nwant %s", got.Calls[0].Arguments, tc.want)
			}
			if names := strings.Join(got.Repairs, " "); names != tc.repair || got.Finish != finish {
				t.Errorf("repairs %q, want %q; finish %s", names, tc.repair, got.Finish)
			}
		})
	}
}

func TestReasoningIsTakenOutOfTheText(t *testing.T) {
	const call = `<tool_call>{"name":"Ping"}</tool_call>`
	for _, tc := range []struct {
		name, content, reasoning, finish string
		want                             proxy.Mended
	}{
		{"tags", "<think>\nhm\n</think>\n\nHello.", "", "stop", proxy.Mended{Content: "Hello.", Reasoning: "hm", Finish: "stop", Repairs: []string{"reasoning:think"}}},
		{"empty", "\n<think>\n\n</think>\n\nHello.", "", "stop", proxy.Mended{Content: "Hello.", Finish: "stop", Repairs: []string{"reasoning:think"}}},
		{"MiniMax", "<mm:think>hm</mm:think>Hello.", "", "stop", proxy.Mended{Content: "Hello.", Reasoning: "hm", Finish: "stop", Repairs: []string{"reasoning:mm:think"}}},
		{"opened by the template", "hm\nhm\n</think>\n\nHello.", "", "stop", proxy.Mended{Content: "Hello.", Reasoning: "hm\nhm", Finish: "stop", Repairs: []string{"reasoning:think"}}},
		{"more of it", "<think>b</think>Hello.", "a", "stop", proxy.Mended{Content: "Hello.", Reasoning: "a\nb", Finish: "stop", Repairs: []string{"reasoning:think"}}},
		{"cut off", "<think>hm and", "", "length", proxy.Mended{Reasoning: "hm and", Finish: "length", Repairs: []string{"reasoning:think"}}},
		{"and a call behind it", "<think>hm</think>\n" + call, "", "stop", proxy.Mended{Reasoning: "hm", Finish: "tool_calls", Calls: []proxy.LeakCall{{"Ping", "{}"}}, Repairs: []string{"reasoning:think", "leak:hermes_json"}}},
		{"a call inside it", "", "I must ping.\n" + call, "stop", proxy.Mended{Reasoning: "I must ping.", Finish: "tool_calls", Calls: []proxy.LeakCall{{"Ping", "{}"}}, Repairs: []string{"leak:in_reasoning", "leak:hermes_json"}}},

		{"never closed", "<think>hm", "", "stop", proxy.Mended{Content: "<think>hm", Finish: "stop"}},
		{"prose", "The <think> tag and </think> are for that.", "", "stop", proxy.Mended{Content: "The <think> tag and </think> are for that.", Finish: "stop"}},
		{"prose at a line's end", "It ends with </think>\nand then", "", "stop", proxy.Mended{Content: "It ends with </think>\nand then", Finish: "stop"}},
		{"an example", "```\n<think>a\n</think>\n```", "", "stop", proxy.Mended{Content: "```\n<think>a\n</think>\n```", Finish: "stop"}},
		{"closed where reasoning was found", "a\n</think>\nb", "x", "stop", proxy.Mended{Content: "a\n</think>\nb", Reasoning: "x", Finish: "stop"}},
		{"a call inside it, and an answer", "Done.", call, "stop", proxy.Mended{Content: "Done.", Reasoning: call, Finish: "stop"}},
		{"a call in the middle of it", "", call + " or not?", "stop", proxy.Mended{Reasoning: call + " or not?", Finish: "stop"}},
		{"a call inside it, cut off", "", call, "length", proxy.Mended{Reasoning: call, Finish: "length"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := proxy.Mend(tc.content, tc.reasoning, tc.finish, "", "", []byte(leakTools))
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Every repair reaches both clients as what it should have been, and the
// record under its name.
func TestRepairsReachTheClients(t *testing.T) {
	for _, tc := range []struct{ name, message, finish, repair, input string }{
		{"glm", `{"role":"assistant","content":"Now.\n<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>"}`, "stop", "leak:glm_xml", `{"command":"ls"}`},
		{"minimax", `{"role":"assistant","content":"Now.\n<minimax:tool_call><invoke name=\"Bash\"><parameter name=\"command\">ls</parameter></invoke></minimax:tool_call>"}`, "stop", "leak:minimax_xml", `{"command":"ls"}`},
		{"llama", `{"role":"assistant","content":"{\"name\":\"Bash\",\"parameters\":{\"command\":\"ls\"}}"}`, "stop", "leak:llama_json", `{"command":"ls"}`},
		{"thinking", `{"role":"assistant","content":"<think>hm</think>Now.\n<tool_call>{\"name\":\"Bash\",\"arguments\":{\"command\":\"ls\"}}</tool_call>"}`, "stop", "reasoning:think", `{"command":"ls"}`},
		{"arguments", `{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"Bash","arguments":"{\"command\":\"ls\\n</parameter>\"}"}}]}`, "tool_calls", "arguments:closing_tags", `{"command":"ls"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := func(int, string) reply { return say(tc.message, tc.finish) }
			messages, rec := messagesOn(t, newUpstream(t, answer), proxy.Config{Model: "m"})
			tools := `[{"name":"Bash","input_schema":{"type":"object","properties":{"command":{"type":"string"}}}}]`
			body := strings.TrimSuffix(strings.Replace(ask(hi), `"stream":true`, `"stream":false`, 1), "}") + `,"tools":` + tools + `}`
			status, _, got := post(t, messages.URL+"/v1/messages", body)
			if status != 200 || !strings.Contains(got, `"stop_reason":"tool_use"`) || !strings.Contains(got, `"input":`+tc.input) || strings.Contains(got, "think>") {
				t.Errorf("%d %s", status, got)
			}
			if r := rec.list(); len(r) != 1 || !slices.Contains(r[0].Repairs, tc.repair) {
				t.Errorf("records %+v", r)
			}

			for _, stream := range []bool{false, true} {
				rec := &records{}
				u := newUpstream(t, answer)
				chat := httptest.NewServer(proxy.NewDestream(proxy.Config{Upstream: mustURL(t, u.URL), Trace: rec.add}))
				defer chat.Close()
				body := fmt.Sprintf(`{"model":"m","stream":%t,"messages":[{"role":"user","content":"hi"}],"tools":%s}`, stream, leakTools)
				status, _, got := post(t, chat.URL+"/v1/chat/completions", body)
				if status != 200 || !strings.Contains(got, `"finish_reason":"tool_calls"`) || !strings.Contains(got, `"arguments":`+quote(tc.input)) || strings.Contains(got, "think>") {
					t.Errorf("stream %t: %d %s", stream, status, got)
				}
				if r := rec.list(); len(r) != 1 || !slices.Contains(r[0].Repairs, tc.repair) {
					t.Errorf("records %+v", r)
				}
			}
		})
	}
}

// FuzzMend holds what every repair has: what was mended is an object, a second
// repair finds nothing more to do, and an answer that was not mended is as it
// was.
func FuzzMend(f *testing.F) {
	for _, args := range []string{`{"command":"ls"}`, `"{\"a\":1}"`, "{\"a\":\"b\nc\"}", `{"a":1}}`, `{"a":[1`, `{"command":"ls\n</parameter>"}`, `{"count":"3"}`} {
		f.Add("", "", args, false)
	}
	f.Add("<think>a</think>b", "", "", true)
	f.Add("", "x <tool_call>{\"name\":\"Ping\"}</tool_call>", "", false)
	f.Fuzz(func(t *testing.T, content, reasoning, args string, cut bool) {
		finish, name := "stop", "Bash"
		if cut {
			finish = "length"
		}
		if args == "" {
			name = ""
		}
		got := proxy.Mend(content, reasoning, finish, name, args, []byte(leakTools))
		mended := slices.ContainsFunc(got.Repairs, func(n string) bool { return n != "bad_arguments" })
		if !mended && (got.Content != content || got.Reasoning != reasoning || name != "" && got.Calls[0].Arguments != args) {
			t.Fatalf("changed without a word: %+v", got)
		}
		for _, c := range got.Calls {
			var o map[string]any
			if valid := json.Unmarshal([]byte(c.Arguments), &o) == nil && o != nil; valid == slices.Contains(got.Repairs, "bad_arguments") {
				t.Fatalf("%q is an object: %v; repairs %v", c.Arguments, valid, got.Repairs)
			}
		}
		if name == "" {
			return
		}
		again := proxy.Mend(got.Content, got.Reasoning, got.Finish, name, got.Calls[0].Arguments, []byte(leakTools))
		if d := cmp.Diff(got.Calls, again.Calls); d != "" {
			t.Fatalf("a second repair changes the call: %s", d)
		}
	})
}

// docs/repairs.md lists what is mended, by the names that the code gives.
func TestRepairsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/repairs.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_:]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = true
	}
	names := proxy.RepairNames()
	for _, name := range names {
		if !listed[name] {
			t.Errorf("%s is not on the page", name)
		}
	}
	for name := range listed {
		if !slices.Contains(names, name) {
			t.Errorf("the page lists %s, which nothing is called", name)
		}
	}
}
