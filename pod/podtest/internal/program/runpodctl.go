package program

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// runpodctl removes a pod: "remove pod ID", as the versions that are baked into
// images say it, or "pod delete ID". The key is $RUNPOD_API_KEY.
func runpodctl(api string, args []string, stdout, stderr io.Writer) int {
	words := strings.Join(args, " ")
	id := ""
	for _, verb := range []string{"remove pod ", "pod delete ", "pod remove "} {
		if rest, ok := strings.CutPrefix(words, verb); ok {
			id = rest
		}
	}
	if id == "" || strings.Contains(id, " ") {
		fmt.Fprintf(stderr, "Error: unknown command %q for \"runpodctl\"\n", words)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, api+"/pods/"+id, nil)
	if err != nil {
		fmt.Fprintln(stderr, "Error:", err)
		return 1
	}
	req.Header.Set("Authorization", "Bearer "+os.Getenv("RUNPOD_API_KEY"))
	req.Header.Set("User-Agent", "runpodctl/podtest")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(stderr, "Error:", err)
		return 1
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // for the message only
		fmt.Fprintf(stderr, "Error: %s: %s\n", resp.Status, body)
		return 1
	}
	fmt.Fprintf(stdout, "pod %q removed\n", id)
	return 0
}
