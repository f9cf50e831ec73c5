package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/x/dail/proxy"
)

// A gateway in front of a server that speaks chat completions: the client
// speaks the Anthropic Messages API, with a token of its own.
func ExampleNewMessages() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,`+
			`"message":{"role":"assistant","content":"PONG"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`)
	}))
	defer server.Close()
	upstream, _ := url.Parse(server.URL)

	var tokens proxy.Tokens
	token := tokens.Issue(proxy.Caller{Level: "n1", Agent: 0, Phase: "hello"})
	gateway := httptest.NewServer(proxy.NewMessages(proxy.Config{
		Upstream: upstream,
		Model:    "m",
		Identify: tokens.Lookup,
		Trace:    func(r proxy.Trace) { fmt.Println(r.Agent, r.Status, r.OutputTokens) },
	}))
	defer gateway.Close()

	body := `{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"ping"}]}`
	for _, t := range []string{"wrong", token} {
		req, _ := http.NewRequest(http.MethodPost, gateway.URL+"/v1/messages", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+t)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, strings.Contains(string(text), "PONG"))
	}
	// Unordered output:
	// -1 401 0
	// 401 false
	// 0 200 2
	// 200 true
}
