package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/x/dail/proxy"
)

// TestSharedPrefixes has two agents with the same system prompt and different
// tasks; what the trace says of their prompts' beginnings is held to what the
// server was really sent.
func TestSharedPrefixes(t *testing.T) {
	u := newUpstream(t, func(int, string) reply { return text("x") })
	var tokens proxy.Tokens
	srv, rec := messagesOn(t, u, proxy.Config{Model: "m", Identify: tokens.Lookup})
	system := strings.Repeat("You are a coding agent. ", 200)
	say := func(agent int, messages string) {
		t.Helper()
		body := `{"model":"x","max_tokens":9,"stream":true,"system":` + quote(system) + `,"messages":` + messages + `}`
		req, err := http.NewRequest("POST", srv.URL+"/v1/messages", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tokens.Issue(proxy.Caller{Level: "n2", Agent: agent}))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	task := func(what string) string {
		return `{"role":"user","content":` + quote(strings.Repeat(what, 300)) + `}`
	}
	say(0, "["+task("alpha ")+"]")
	say(1, "["+task("beta ")+"]")
	say(0, "["+task("alpha ")+`,{"role":"assistant","content":"x"},`+task("gamma ")+"]")
	say(1, "["+task("delta ")+"]")
	say(2, "["+task("beta ")+"]")
	say(2, "["+task("beta ")+`,{"role":"assistant","content":"x"},`+task("gamma ")+"]")
	srv.Close()

	prompts := u.seen()
	for i, p := range prompts {
		_, prompts[i], _ = strings.Cut(p, `"messages":`)
		prompts[i] = strings.TrimSuffix(prompts[i], "}")
	}
	agents := []int{0, 1, 0, 1, 2, 2}
	for i, r := range rec.list() {
		own, shared := 0, 0
		for j := range i {
			if n := common(prompts[i], prompts[j]); agents[j] == agents[i] {
				own = max(own, n)
			} else {
				shared = max(shared, n)
			}
		}
		if r.PromptBytes != len(prompts[i]) {
			t.Errorf("request %d: %d bytes, the server got %d", i, r.PromptBytes, len(prompts[i]))
		}
		if r.OwnPrefixBytes != own/64*64 || r.SharedPrefixBytes != shared/64*64 {
			t.Errorf("request %d: own %d, shared %d bytes; want %d and %d in blocks of 64", i, r.OwnPrefixBytes, r.SharedPrefixBytes, own, shared)
		}
	}
	if n := len(rec.list()); n != len(agents) {
		t.Errorf("%d records, want %d", n, len(agents))
	}
}

func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
