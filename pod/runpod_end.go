package pod

import (
	_ "embed" // the script
	"net/url"
	"strings"
)

//go:embed runpod_end.sh
var runPodEnd string

// endRunPod is the program by which a pod ends itself; base is the base URL of
// REST v2.
func endRunPod(base string) string {
	return "api=" + shellWord(strings.TrimRight(base, "/")) + " graphql=" + shellWord(graphQL(base)) + "\n" + runPodEnd
}

// graphQL is where the older API is, beside REST v2.
func graphQL(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "" // a call of the client says what is wrong with it
	}
	u.Path, u.RawPath = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v2")+"/graphql", ""
	return u.String()
}

// shellWord makes one word of the shell of s.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
