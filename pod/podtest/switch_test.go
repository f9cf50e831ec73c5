package podtest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/x/dail/pod/podtest"
)

// The way out from the inside: the script of PID 1 ends its own pod with the
// pod's own key, which is good for that and nothing else.
func TestPodEndsItself(t *testing.T) {
	t.Parallel()
	srv, a := serve(t, podtest.Config{})
	keyed := func(script string) string {
		return strings.NewReplacer("@API@", srv.URL, "@GRAPHQL@", strings.TrimSuffix(srv.URL, "/v2")+"/graphql").Replace(
			`while [ ! -f end ]; do sleep 0.05; done; cfg() { printf 'header = "Authorization: Bearer %s"\n' "$RUNPOD_API_KEY"; };` + script + `; sleep 100000`)
	}
	del := `cfg | curl -sS -K - -X DELETE -o out -w '%{http_code}' @API@/pods/$RUNPOD_POD_ID >code`
	for _, tc := range []struct {
		name, script string
		fault        podtest.Fault
		ends         bool
		code         string
	}{
		{"DELETE", del, "", true, ""},
		{"DELETE denied", del, podtest.PodKeyDenied, false, "403"},
		{"GraphQL", `cfg | curl -sS -K - -H 'Content-Type: application/json' -d '{"query":"mutation { podTerminate(input: {podId: \"'$RUNPOD_POD_ID'\"}) }"}' -o out -w '%{http_code}' @GRAPHQL@ >code`, "", true, ""},
		{"GraphQL denied", `cfg | curl -sS -K - -H 'Content-Type: application/json' -d '{"query":"mutation { podTerminate(input: {podId: \"'$RUNPOD_POD_ID'\"}) }"}' -o out -w '%{http_code}' @GRAPHQL@ >code`, podtest.GraphQLDenied, false, "200"},
		{"runpodctl", `runpodctl remove pod $RUNPOD_POD_ID`, "", true, ""},
		{"another pod", `cfg | curl -sS -K - -X DELETE -o out -w '%{http_code}' @API@/pods/@OTHER@ >code`, "", false, "403"},
		{"the list", `cfg | curl -sS -K - -o out -w '%{http_code}' @API@/pods >code`, "", false, "403"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			other := srv.AddForeign("other", nil)
			a := a
			a.t = t
			p := a.create(scripted(strings.ReplaceAll(keyed(tc.script), "@OTHER@", other), ""))
			if tc.fault != "" {
				srv.Inject(tc.fault, 1)
			}
			dir := root(srv, p.ID)
			eventually(t, "the machine is there", func() bool { return os.WriteFile(filepath.Join(dir, "end"), nil, 0o600) == nil })
			if tc.ends {
				eventually(t, "the pod is gone", func() bool { return a.do("GET", "/pods/"+p.ID, nil).Status == 404 })
				events := srv.Events()
				if !slices.ContainsFunc(events, func(e podtest.Event) bool { return e.ByPod && e.Pod == p.ID && e.Status < 300 }) {
					t.Errorf("the pod did not end itself: %v", events[max(0, len(events)-5):])
				}
				return
			}
			eventually(t, "an answer", func() bool {
				code, err := os.ReadFile(filepath.Join(dir, "code"))
				return err == nil && string(code) == tc.code
			})
			a.get(p.ID)
			a.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
		})
	}
	if len(srv.Touched()) > 0 {
		t.Errorf("touched: %v", srv.Touched())
	}
}
