// Package litellm installs, starts and stops LiteLLM, a gateway from the
// Anthropic Messages API to a server with OpenAI chat completions, as one
// program for a whole fleet of agents.
//
// A run puts two gateways of package proxy around it. A Destream stands behind
// it, since LiteLLM streams what a model server streams, and a Front before it,
// which alone holds its key:
//
//	agents → proxy.Front → LiteLLM → proxy.Destream → engine
//
//	program, err := litellm.Install(ctx, requirements, cacheDir, os.Stderr)
//	l, err := litellm.Start(ctx, litellm.Config{
//		Program: program,
//		Base:    "http://127.0.0.1:8011/v1", // the Destream
//		Model:   "hosted_vllm/qwen3-coder",
//		Dir:     runDir,
//	})
//	defer l.Close()
//	front := proxy.NewFront(proxy.Config{Upstream: l.URL, Header: l.Header()})
//
// # What its configuration says, and why
//
// The model is hosted_vllm/…, because LiteLLM sends openai/… models to
// /v1/responses since 1.82, which model servers do not have. Nothing is tried
// twice and no deployment is put aside after a failure: an answer takes minutes,
// and a silent second one would be load that nobody asked for. The client's
// x- headers go on to the server, so that a request has one id all the way.
package litellm
