package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httputil"
)

// Destream is a gateway that speaks OpenAI chat completions on both sides. It
// is an [http.Handler]:
//
//	POST /v1/chat/completions  asked without streaming, answered as the client
//	                           wants; keys it does not know pass through
//	any  /v1/responses         404 that says what to set in LiteLLM instead
//	everything else            passed to the server and back as it is, with the
//	                           server's own status and headers
type Destream struct {
	core *core
	pass *httputil.ReverseProxy
}

// NewDestream returns a gateway for cfg. It starts nothing and holds nothing
// open but the transport's idle connections.
func NewDestream(cfg Config) *Destream {
	d := &Destream{core: newCore(cfg)}
	d.pass = &httputil.ReverseProxy{
		Rewrite:   d.rewrite,
		Transport: d.core.cfg.Transport,
		// A stream that passes through must not wait in a buffer.
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			openAIError(w, d.core.unreachable(r.Context(), err))
		},
	}
	return d
}

// InFlight returns how many inference requests are under way.
func (d *Destream) InFlight() int { return int(d.core.inFlight.Load()) }

// rewrite turns a request that passes through towards the server.
func (d *Destream) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(d.core.cfg.Upstream)
	if d.core.cfg.Identify != nil {
		r.Out.Header.Del("Authorization")
		r.Out.Header.Del("X-Api-Key")
	}
	for k, v := range d.core.cfg.Header {
		r.Out.Header[http.CanonicalHeaderKey(k)] = v
	}
}

// ServeHTTP implements [http.Handler].
func (d *Destream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/v1/chat/completions" && r.Method == http.MethodPost:
		d.chat(w, r)
		return
	case r.URL.Path == "/v1/responses":
		openAIError(w, &fault{
			status:  http.StatusNotFound,
			message: "/v1/responses is not served here, only /v1/chat/completions is; in LiteLLM name the model hosted_vllm/<name> and set litellm_settings.use_chat_completions_url_for_anthropic_messages: true",
		})
		return
	}
	if _, ok := d.core.cfg.identify(r); !ok {
		openAIError(w, unknownToken())
		return
	}
	if d.core.cfg.Upstream == nil {
		openAIError(w, d.core.unreachable(r.Context(), errNoUpstream))
		return
	}
	d.pass.ServeHTTP(w, r)
}

// chat answers one inference request.
func (d *Destream) chat(w http.ResponseWriter, r *http.Request) {
	s := d.core.begin(w, r, "chat")
	defer s.end()
	face := &openAI{newID: d.core.newID}
	caller, ok := d.core.cfg.identify(r)
	s.caller(caller)
	if !ok {
		d.core.refuse(w, face, unknownToken(), s)
		return
	}
	body, f := d.core.readBody(w, r)
	if f != nil {
		d.core.refuse(w, face, f, s)
		return
	}
	req, err := parseChat(body, d.core.cfg.Model)
	if err != nil {
		d.core.refuse(w, face, &fault{status: http.StatusBadRequest, message: err.Error()}, s)
		return
	}
	face.includeUsage = req.includeUsage
	s.rec.Streamed = req.stream
	d.core.serve(w, r, face, req.ask(s.rec.ID), s)
}

// opaqueChat is a chat request of which only a few keys are understood; the
// others are sent on as they came.
type opaqueChat struct {
	keys         fields
	stream       bool
	includeUsage bool
}

// parseChat reads a chat request. An empty model leaves the client's name.
func parseChat(body []byte, model string) (*opaqueChat, error) {
	r := &jsonReader{b: body}
	req := &opaqueChat{keys: r.fields()}
	if err := r.done(); err != nil {
		return nil, err
	}
	if req.keys == nil {
		return nil, errors.New("the body must be a JSON object")
	}
	if raw := req.keys["stream"]; !isNull(raw) && json.Unmarshal(raw, &req.stream) != nil {
		return nil, errors.New("stream: must be true or false")
	}
	var options struct {
		IncludeUsage bool `json:"include_usage"`
	}
	if raw := req.keys["stream_options"]; !isNull(raw) && json.Unmarshal(raw, &options) != nil {
		return nil, errors.New("stream_options: must be an object, include_usage true or false")
	}
	req.includeUsage = options.IncludeUsage
	// vLLM refuses stream_options where no stream is asked for.
	delete(req.keys, "stream_options")
	req.keys["stream"] = json.RawMessage("false")
	if model != "" {
		req.keys["model"] = compact(model)
	}
	return req, nil
}

func (r *opaqueChat) ask(requestID string) ask {
	return ask{
		requestID: requestID,
		tools:     toolset{raw: r.tools()},
		question:  [][]byte{r.keys["tools"], r.keys["messages"]},
		body:      r.body,
		prompt:    r.prompt,
	}
}

// tools are the request's own; nil where it has none.
func (r *opaqueChat) tools() json.RawMessage {
	if isNull(r.keys["tools"]) {
		return nil
	}
	return r.keys["tools"]
}

// limitKeys are the two names of the limit of output tokens, the newer first.
func limitKeys() []string { return []string{"max_completion_tokens", "max_tokens"} }

func (r *opaqueChat) body(maxTokens int) []byte {
	if maxTokens == asAsked {
		return r.keys.json()
	}
	keys := fields{}
	for k, v := range r.keys {
		keys[k] = v
	}
	set := false
	for _, k := range limitKeys() {
		if isNull(keys[k]) {
			continue
		}
		delete(keys, k)
		if maxTokens > 0 && !set {
			keys[k] = json.RawMessage(itoa(maxTokens))
			set = true
		}
	}
	return keys.json()
}

// prompt is the /tokenize request for the same prompt.
func (r *opaqueChat) prompt() []byte {
	keys := fields{"add_generation_prompt": json.RawMessage("true")}
	for _, k := range []string{"model", "messages", "tools", "chat_template_kwargs"} {
		if raw := r.keys[k]; !isNull(raw) {
			keys[k] = raw
		}
	}
	return keys.json()
}
