package toolchain_test

import (
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/x/dail/infra/toolchain"
)

// The version that is named is the one that is installed.
func TestClaudeCodeIsTheLocksOwn(t *testing.T) {
	text, err := fs.ReadFile(toolchain.FS(), "package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		t.Fatal(err)
	}
	got, err := toolchain.ClaudeCode()
	if want := lock.Packages["node_modules/@anthropic-ai/claude-code"].Version; err != nil || got != want || want == "" {
		t.Errorf("%q, %v; the lock has %q", got, err, want)
	}
}
