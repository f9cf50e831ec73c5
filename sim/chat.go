package sim

import (
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"
)

// wireCall is a tool call on the wire. Index is set in streams only.
type wireCall struct {
	Index    *int     `json:"index,omitempty"`
	ID       string   `json:"id,omitempty"`
	Type     string   `json:"type,omitempty"`
	Function wireFunc `json:"function"`
}

type wireFunc struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type usage struct {
	PromptTokens     int           `json:"prompt_tokens"`
	TotalTokens      int           `json:"total_tokens"`
	CompletionTokens int           `json:"completion_tokens"`
	PromptDetails    *usageDetails `json:"prompt_tokens_details"`
}

type usageDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// newUsage counts as vLLM does with --enable-prompt-tokens-details, which we
// always have on: cached_tokens where there are any.
func newUsage(prompt, completion, cached int) *usage {
	u := &usage{PromptTokens: prompt, CompletionTokens: completion, TotalTokens: prompt + completion}
	if cached > 0 {
		u.PromptDetails = &usageDetails{CachedTokens: cached}
	}
	return u
}

// The fields of a chat.completion, nulls included, in vLLM's order.
type chatCompletion struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	Choices           []chatChoice `json:"choices"`
	ServiceTier       *string      `json:"service_tier"`
	SystemFingerprint *string      `json:"system_fingerprint"`
	Usage             *usage       `json:"usage"`
	PromptLogprobs    *string      `json:"prompt_logprobs"`
	PromptTokenIDs    []int        `json:"prompt_token_ids"`
	KVTransferParams  *string      `json:"kv_transfer_params"`
}

type chatChoice struct {
	Index        int        `json:"index"`
	Message      chatAnswer `json:"message"`
	Logprobs     *string    `json:"logprobs"`
	FinishReason string     `json:"finish_reason"`
	StopReason   *string    `json:"stop_reason"`
	TokenIDs     []int      `json:"token_ids"`
}

type chatAnswer struct {
	Role         string     `json:"role"`
	Content      *string    `json:"content"`
	Refusal      *string    `json:"refusal"`
	Annotations  *string    `json:"annotations"`
	Audio        *string    `json:"audio"`
	FunctionCall *string    `json:"function_call"`
	ToolCalls    []wireCall `json:"tool_calls"`
	Reasoning    *string    `json:"reasoning"`
}

func (s *Server) serveChat(w http.ResponseWriter, r *http.Request) {
	var req chatRequest
	if err := readJSON(w, r, &req); err != nil {
		fail(w, err)
		return
	}
	job, a, err := s.prepareChat(&req)
	if err != nil {
		fail(w, err)
		return
	}
	id := "chatcmpl-" + s.answerID(r, job)
	created := time.Now().Unix()
	if req.Stream {
		s.streamChat(w, r, &req, id, created, job, a)
		return
	}
	cached := 0
	err = s.generate(r.Context(), job, func(_, c int, _ bool) error { cached = c; return nil })
	if err != nil {
		fail(w, err)
		return
	}
	reply := a.reply()
	message := chatAnswer{Role: "assistant", ToolCalls: []wireCall{}}
	if reply.text != "" || len(reply.calls) == 0 || a.forced != "" {
		message.Content = &reply.text
	}
	for _, c := range reply.calls {
		message.ToolCalls = append(message.ToolCalls, wireCall{ID: c.ID, Type: "function", Function: wireFunc{Name: c.Name, Arguments: c.Arguments}})
	}
	writeJSON(w, http.StatusOK, chatCompletion{
		ID: id, Object: "chat.completion", Created: created, Model: s.cfg.Model,
		Choices: []chatChoice{{Message: message, FinishReason: reply.finish}},
		Usage:   newUsage(len(job.Prompt), len(job.Output), cached),
	})
}

// prepareChat checks a request and decides what will be said.
func (s *Server) prepareChat(req *chatRequest) (Job, *answer, error) {
	if err := req.check(s.cfg.Model); err != nil {
		return Job{}, nil, err
	}
	tools, err := req.toolNames()
	if err != nil {
		return Job{}, nil, err
	}
	forced, err := req.forced(tools)
	if err != nil {
		return Job{}, nil, err
	}
	messages := req.messages()
	prompt := renderChat(s.tok, req.Tools, messages)
	chars := 0
	for _, m := range messages {
		chars += utf8.RuneCountInString(m.Text)
	}
	limit, err := req.limit(len(prompt), chars, s.cfg.MaxModelLen, 0)
	if err != nil {
		return Job{}, nil, err
	}
	turn, err := s.cassette.play(messages, tools)
	if m, ok := errors.AsType[*Mismatch](err); ok {
		s.mismatch(m.Phase)
		return Job{}, nil, badRequest("", "%s", m.Error())
	}
	key := promptKey(prompt)
	var a *answer
	if turn != nil && len(turn.calls) > 0 && forced != "" {
		a = newAnswer(s.tok, "", turn.calls, limit, key) // a forced call comes without text
		a.forced = forced
	} else if turn != nil {
		a = newAnswer(s.tok, turn.text, turn.calls, limit, key)
	} else {
		a = freeAnswer(s.tok, &req.sampling, limit, key)
	}
	return Job{Prompt: prompt, Output: a.ids, Finish: a.finish, MaxTokens: limit}, a, nil
}

// answerID is the client's own name for the request, where it has one. Else it
// is unique per server and the same in every run with the same requests in the
// same order.
func (s *Server) answerID(r *http.Request, j Job) string {
	if id := r.Header.Get("X-Request-Id"); id != "" {
		return id
	}
	n := uint32(s.requestID())
	hi := hashBlock(s.cfg.Seed^promptKey(j.Prompt), []uint32{n})
	return fmt.Sprintf("%016x%08x%08x", hi, uint32(hashBlock(hi, []uint32{n})), n)
}

func (s *Server) serveTokenize(w http.ResponseWriter, r *http.Request) {
	var req struct {
		chatRequest
		Prompt *string `json:"prompt"`
	}
	if err := readJSON(w, r, &req); err != nil {
		fail(w, err)
		return
	}
	var tokens []uint32
	switch {
	case req.Prompt != nil:
		if err := req.sampling.check(s.cfg.Model); err != nil {
			fail(w, err)
			return
		}
		tokens = s.tok.Encode(*req.Prompt)
	default:
		if err := req.check(s.cfg.Model); err != nil {
			fail(w, err)
			return
		}
		tokens = renderChat(s.tok, req.Tools, req.messages())
	}
	if tokens == nil {
		tokens = []uint32{}
	}
	writeJSON(w, http.StatusOK, struct {
		Count       int      `json:"count"`
		MaxModelLen int      `json:"max_model_len"`
		Tokens      []uint32 `json:"tokens"`
		TokenStrs   []string `json:"token_strs"`
	}{len(tokens), s.cfg.MaxModelLen, tokens, nil})
}
