package proxy_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/x/dail/proxy"
)

// FuzzMessagesToChat holds what any translated request has: valid JSON, no
// stream, a message, known roles; and that the translation of a conversation
// without its last message is a prefix.
func FuzzMessagesToChat(f *testing.F) {
	f.Add([]byte(ask(hi)))
	f.Add([]byte(sessionBody))
	f.Add([]byte(`{"messages":[{"role":"assistant","content":null},{"role":"user","content":[]}],"tools":[{"name":"a","input_schema":{ } }]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := proxy.MessagesToChat(body)
		if err != nil {
			return
		}
		var chat struct {
			Stream   bool
			Messages []struct{ Role string }
		}
		if err := json.Unmarshal(got, &chat); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if chat.Stream {
			t.Fatalf("no stream may be asked for: %s", got)
		}
		for _, m := range chat.Messages {
			if !slices.Contains([]string{"system", "user", "assistant", "tool"}, m.Role) {
				t.Fatalf("role %q", m.Role)
			}
		}
		var req map[string]json.RawMessage
		var messages []json.RawMessage
		if json.Unmarshal(body, &req) != nil || json.Unmarshal(req["messages"], &messages) != nil || len(messages) < 2 {
			return // a key in capitals
		}
		// A later message may reveal a deferred tool, or stand under a second
		// spelling of the key.
		if strings.Contains(string(body), "defer_loading") || len(req) != len(foldKeys(req)) {
			return
		}
		list := bytes.Join(raws(messages[:len(messages)-1]), []byte(","))
		req["messages"] = append(append([]byte("["), list...), ']')
		shorter := plainJSON(t, req)
		before, err := proxy.MessagesToChat(shorter)
		if err != nil {
			t.Fatalf("%v: %s", err, shorter)
		}
		if !strings.HasPrefix(string(got), strings.TrimSuffix(strings.TrimSuffix(string(before), "]}"), "[")) {
			t.Fatalf("%s\ndoes not begin with\n%s", got, before)
		}
	})
}

func raws(list []json.RawMessage) (out [][]byte) {
	for _, r := range list {
		out = append(out, r)
	}
	return out
}

// plainJSON writes v as a JavaScript client does: < and & stay as they are.
func plainJSON(t *testing.T, v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func foldKeys(m map[string]json.RawMessage) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[strings.ToLower(k)] = true
	}
	return out
}

// FuzzChatToChat holds that Destream changes only the keys about streaming.
func FuzzChatToChat(f *testing.F) {
	f.Add([]byte(chatBody))
	f.Add([]byte(`{"stream":null,"stream_options":{"include_usage":true},"a":{"b":[1.0,"<&>"]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := proxy.ChatToChat(body)
		if err != nil {
			return
		}
		var in, out map[string]any
		if err := json.Unmarshal(body, &in); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &out); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if out["stream"] != false || out["stream_options"] != nil {
			t.Fatalf("still a stream: %s", got)
		}
		for _, m := range []map[string]any{in, out} {
			delete(m, "stream")
			delete(m, "stream_options")
		}
		if quote(in) != quote(out) {
			t.Fatalf("%s\nbecame\n%s", quote(in), quote(out))
		}
	})
}

// FuzzStream holds that whatever a server answers, both streams are well
// formed.
func FuzzStream(f *testing.F) {
	f.Add([]byte(text("hello\n\n\u2028\x00 data: x").body))
	f.Add([]byte(thinking.body))
	f.Add([]byte(called("a", "Bash", "{\n\nevent: x", "", "").body))
	f.Add([]byte(`{"choices":[{"message":null},{"index":3,"finish_reason":1,"message":{"content":[{"type":"text","text":"a"}],"tool_calls":[{"function":{"arguments":{"a":1}}}]}}]}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		stream, err := proxy.StreamMessages(answer)
		if err != nil {
			return
		}
		if err := strictStream(string(stream)); err != nil {
			t.Fatalf("%v\n%s", err, stream)
		}
		chunks, err := proxy.StreamChat(answer)
		if err != nil {
			t.Fatal(err)
		}
		body, ok := strings.CutSuffix(string(chunks), "data: [DONE]\n\n")
		if !ok {
			t.Fatalf("no [DONE]: %s", chunks)
		}
		for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
			data, ok := strings.CutPrefix(event, "data: ")
			if !ok || strings.Contains(data, "\n") || !json.Valid([]byte(data)) {
				t.Fatalf("chunk %q", event)
			}
		}
	})
}
