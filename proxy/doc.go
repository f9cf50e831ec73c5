// Package proxy stands between a coding agent and a model server, and makes
// the agent's API out of the server's.
//
// There are two gateways. [Messages] speaks the Anthropic Messages API, so
// Claude Code can use any server that offers OpenAI chat completions.
// [Destream] speaks chat completions itself, for a client such as LiteLLM.
// Both do the same thing in the middle, called destreaming:
//
//  1. complete: ask the server without streaming, because the tool-call
//     parsers of model servers lose calls when they stream;
//  2. repair: find tool calls that the server left in the text, parse them
//     against the request's own tools, and put them where they belong;
//  3. emit: answer the client with a stream, if it asked for one. While the
//     answer is being made the client gets keep-alives, because agents give
//     up on a silent stream.
//
// The smallest use is a handler in front of a server:
//
//	upstream, _ := url.Parse("http://127.0.0.1:8000")
//	gateway := proxy.NewMessages(proxy.Config{
//		Upstream: upstream,
//		Model:    "qwen3-coder",
//	})
//	log.Fatal(http.ListenAndServe("127.0.0.1:4100", gateway))
//
// and then, in a shell:
//
//	ANTHROPIC_BASE_URL=http://127.0.0.1:4100 ANTHROPIC_AUTH_TOKEN=any claude -p "…" --model qwen3-coder
//
// # Who asks
//
// A run that has several agents gives each of them a token of its own, so that
// a request names its agent and phase and no agent holds a key:
//
//	var tokens proxy.Tokens
//	token := tokens.Issue(proxy.Caller{Level: "n4", Agent: 0, Phase: "spec"})
//	gateway := proxy.NewMessages(proxy.Config{
//		Upstream: upstream,
//		Identify: tokens.Lookup,
//		Trace:    func(r proxy.Trace) { w.Write(r) },
//	})
//
// # Time
//
// No request has a total timeout: an answer of 30 minutes is an answer. It ends
// when the server answers or fails, or when the client leaves; a client that
// leaves ends the request to the server too, so that it stops generating.
//
// # Errors
//
// A fault that the server reports within [Config.HeaderWait] is an HTTP error
// with the right status. After that the status line has been sent, and a fault
// is an error event inside the stream.
package proxy
