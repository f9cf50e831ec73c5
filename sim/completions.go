package sim

import (
	"net/http"
	"time"
	"unicode/utf8"
)

type completion struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	Choices           []completionChoice `json:"choices"`
	ServiceTier       *string            `json:"service_tier"`
	SystemFingerprint *string            `json:"system_fingerprint"`
	Usage             *usage             `json:"usage"`
	KVTransferParams  *string            `json:"kv_transfer_params"`
}

type completionChoice struct {
	Index          int     `json:"index"`
	Text           string  `json:"text"`
	Logprobs       *string `json:"logprobs"`
	FinishReason   *string `json:"finish_reason"`
	StopReason     *string `json:"stop_reason"`
	PromptLogprobs *string `json:"prompt_logprobs"`
	TokenIDs       []int   `json:"token_ids"`
}

type completionChunk struct {
	ID      string                  `json:"id"`
	Object  string                  `json:"object"`
	Created int64                   `json:"created"`
	Model   string                  `json:"model"`
	Choices []completionChunkChoice `json:"choices"`
	Usage   *usage                  `json:"usage,omitempty"`
}

type completionChunkChoice struct {
	Index        int     `json:"index"`
	Text         string  `json:"text"`
	Logprobs     *string `json:"logprobs"`
	FinishReason *string `json:"finish_reason"`
	StopReason   *string `json:"stop_reason"`
}

// defaultCompletion is how many tokens a text completion has where max_tokens
// is not given; a chat answer may fill the context.
const defaultCompletion = 16

// serveCompletions answers /v1/completions: enough of it for a saturation
// probe. No cassette plays here.
func (s *Server) serveCompletions(w http.ResponseWriter, r *http.Request) {
	var req completionRequest
	if err := readJSON(w, r, &req); err != nil {
		fail(w, err)
		return
	}
	if err := req.check(s.cfg.Model); err != nil {
		fail(w, err)
		return
	}
	prompt := req.Prompt.encode(s.tok)
	if len(prompt) == 0 {
		fail(w, badRequest("prompt", "prompt: at least one token is required"))
		return
	}
	chars := utf8.RuneCountInString(req.Prompt.text)
	limit, err := req.limit(len(prompt), chars, s.cfg.MaxModelLen, defaultCompletion)
	if err != nil {
		fail(w, err)
		return
	}
	a := freeAnswer(s.tok, &req.sampling, limit, promptKey(prompt))
	job := Job{Prompt: prompt, Output: a.ids, Finish: a.finish, MaxTokens: limit}
	id, created := "cmpl-"+s.answerID(r, job), time.Now().Unix()
	if req.Stream {
		s.streamCompletion(w, r, &req, id, created, job, a)
		return
	}
	cached := 0
	if err := s.generate(r.Context(), job, func(_, c int, _ bool) error { cached = c; return nil }); err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, completion{
		ID: id, Object: "text_completion", Created: created, Model: s.cfg.Model,
		Choices: []completionChoice{{Text: a.reply().text, FinishReason: &a.finish}},
		Usage:   newUsage(len(prompt), len(job.Output), cached),
	})
}

func (s *Server) streamCompletion(w http.ResponseWriter, r *http.Request, req *completionRequest, id string, created int64, job Job, a *answer) {
	var out *events
	sent, cachedTokens := 0, 0
	chunk := func(choices []completionChunkChoice, u *usage) completionChunk {
		return completionChunk{id, "text_completion", created, s.cfg.Model, choices, u}
	}
	err := s.generate(r.Context(), job, func(total, cached int, done bool) error {
		cachedTokens = cached
		if out == nil {
			out = newEvents(w)
		}
		choice := completionChunkChoice{}
		a.deltas(sent, total, func(d delta) { choice.Text += d.text })
		sent = total
		if done {
			choice.FinishReason = &a.finish
		}
		err := out.send(chunk([]completionChunkChoice{choice}, nil))
		out.flush()
		return err
	})
	switch {
	case r.Context().Err() != nil: // the client has gone
	case out == nil:
		fail(w, err)
	default:
		if err == nil && req.StreamOptions != nil && req.StreamOptions.IncludeUsage {
			_ = out.send(chunk([]completionChunkChoice{}, newUsage(len(job.Prompt), len(job.Output), cachedTokens)))
		}
		out.end(err)
	}
}
