package pathtable

import (
	"net/http/httptest"
	"testing"

	"github.com/x/dail"
	"github.com/x/dail/proxy"
	"github.com/x/dail/proxy/litellm"
)

// startLiteLLM runs the pinned LiteLLM between our two gateways, as a run does,
// and returns where an agent is pointed and LiteLLM's version.
func startLiteLLM(t *testing.T, destream string) (at, version string) {
	t.Helper()
	program, err := dail.LiteLLMProgram(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	l, err := litellm.Start(t.Context(), litellm.Config{
		Program: program, Base: destream + "/v1", Model: "hosted_vllm/m", Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(proxy.NewFront(proxy.Config{Upstream: l.URL, Header: l.Header(), KeepAlive: beat, HeaderWait: headerWait}))
	t.Cleanup(func() {
		front.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return front.URL, l.Version
}
