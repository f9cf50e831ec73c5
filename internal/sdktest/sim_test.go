package sdktest

import (
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"

	"github.com/x/dail/proxy"
	"github.com/x/dail/sim"
)

// TestSimulatedEngine asks the engine that stands for a GPU in every simulated
// run: its usage must add up for both clients, and agree with its own count.
func TestSimulatedEngine(t *testing.T) {
	engine, err := sim.NewServer(sim.Config{Step: sim.Fixed{TTFT: time.Millisecond, ITL: time.Millisecond}, Model: "m"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	up := httptest.NewServer(engine)
	defer up.Close()
	at, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := client(t).Transport
	cfg := proxy.Config{Upstream: at, Model: "m", Transport: transport}
	native, plain := httptest.NewServer(proxy.NewMessages(cfg)), httptest.NewServer(proxy.NewDestream(cfg))
	defer native.Close()
	defer plain.Close()

	a := anthropicClient(t, native.URL)
	n, err := a.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
		Model: "x", Messages: turn.Messages,
		System: anthropic.MessageCountTokensParamsSystemUnion{OfTextBlockArray: turn.System},
		Tools: []anthropic.MessageCountTokensToolUnionParam{
			{OfTool: turn.Tools[0].OfTool}, {OfTool: turn.Tools[1].OfTool}, {OfTool: turn.Tools[2].OfTool},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range modes {
		m, err := mode.ask(t.Context(), a, turn)
		if err != nil {
			t.Fatal(err)
		}
		if used := m.Usage.InputTokens + m.Usage.CacheReadInputTokens; used != n.InputTokens || m.Usage.OutputTokens < 1 || m.StopReason != "end_turn" {
			t.Errorf("%s: %s, stop %s; count_tokens says %d", mode.name, m.Usage.RawJSON(), m.StopReason, n.InputTokens)
		}
	}
	for _, mode := range chatModes {
		done, err := mode.ask(t.Context(), openaiClient(t, plain.URL), chat)
		if err != nil {
			t.Fatal(err)
		}
		if u := done.Usage; u.PromptTokens < 1 || u.TotalTokens != u.PromptTokens+u.CompletionTokens || done.Choices[0].Message.Content == "" {
			t.Errorf("%s: %+v", mode.name, done.ChatCompletion)
		}
	}
	// A model that is not there, in each client's own words.
	cfg.Model = ""
	nativeElse, plainElse := httptest.NewServer(proxy.NewMessages(cfg)), httptest.NewServer(proxy.NewDestream(cfg))
	defer nativeElse.Close()
	defer plainElse.Close()
	_, err = modes[0].ask(t.Context(), anthropicClient(t, nativeElse.URL), turn)
	checkAnthropicError(t, err, 404, "not_found_error", "does not exist")
	_, err = chatModes[0].ask(t.Context(), openaiClient(t, plainElse.URL), chat)
	checkOpenAIError(t, err, 404, "does not exist")
}
