// Package litellm is the list of what the LiteLLM gateway is installed from:
// every package with its version and the hashes of its files, for Linux and
// macOS and Python 3.10 or newer.
//
//	program, err := litellm.Install(ctx, infra.Requirements(), cacheDir, os.Stderr)
//
// To move a pin, edit requirements.in here and make requirements.txt anew:
//
//	uv pip compile --universal --python-version 3.10 --generate-hashes --no-header requirements.in -o requirements.txt
//
// then run make test-real, which drives dev-load through it. Never 1.82.7 or
// 1.82.8: they were malicious uploads.
package litellm

import _ "embed"

//go:embed requirements.txt
var requirements []byte

// Requirements returns requirements.txt, as pip reads it.
func Requirements() []byte { return append([]byte(nil), requirements...) }
