package slo

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// saturation is one probe under way.
type saturation struct {
	Probe
	client *http.Client
	own    bool // the client is ours
	period time.Duration
	end    context.CancelCauseFunc
	words  []uint32 // tokens that the server has
	salt   uint64
	asked  atomic.Uint64 // prompts made

	began    atomic.Int64
	allBegan chan struct{} // closed when every stream has had its first token
	answered atomic.Int64
	failed   atomic.Int64

	// Of Saturate's own goroutine.
	windowOpen bool
	counted    float64 // tokens, at the last look
	countedAt  time.Time

	mu        sync.Mutex
	lastError error
	wrongLen  int // answers of another length
	example   int // the last such length
}

const (
	looks = 40 // at the server, within the window
	// A stream gives up after so many failures on end, a pause after each.
	maxFailures = 5
	failPause   = 500 * time.Millisecond
	// maxAnswer bounds an answer in memory; one of 32k tokens is 200 KB.
	maxAnswer = 64 << 20
)

func newSaturation(p Probe) *saturation {
	s := &saturation{Probe: p, client: p.Client, allBegan: make(chan struct{})}
	s.period = min(max(p.Duration/looks, 50*time.Millisecond), 3*time.Second)
	if s.client == nil {
		t := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: p.Concurrency + 1}
		s.client, s.own = &http.Client{Transport: t}, true
	}
	if s.Seed == 0 {
		var b [8]byte
		crand.Read(b[:]) // never fails
		s.Seed = binary.LittleEndian.Uint64(b[:])
	}
	s.salt = rand.New(rand.NewPCG(s.Seed, 0)).Uint64()
	return s
}

// idle gives back the connections of our own client.
func (s *saturation) idle() {
	if s.own {
		s.client.CloseIdleConnections()
	}
}

// watch waits until d is over or until is closed, and looks at the server
// meanwhile: its gauges go to each, and a server that makes no token is given
// up. It ends with the cause of ctx where a stream, or the caller, ended that.
func (s *saturation) watch(ctx context.Context, d time.Duration, until <-chan struct{}, each func(*Snapshot)) error {
	opened := time.Now()
	over := time.NewTimer(d)
	defer over.Stop()
	tick := time.NewTicker(s.period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-until:
			return nil
		case <-over.C:
			return nil
		case <-tick.C:
		}
		snap, err := s.scrape(ctx)
		if err != nil {
			return err
		}
		var tokens, running float64
		for _, e := range snap.Engines {
			tokens += e.counters[promptTokens].v + e.counters[generationTokens].v
			running += e.Running
		}
		if now := time.Now(); s.countedAt.IsZero() || tokens != s.counted {
			s.counted, s.countedAt = tokens, now
		} else if still := now.Sub(s.countedAt); still >= s.Stall {
			return fmt.Errorf("%w for %v%s", ErrStalled, still.Round(time.Second), s.lastWords())
		}
		each(snap)
		if s.Progress != nil {
			s.Progress(ProbeStatus{
				Window: s.windowOpen, Elapsed: time.Since(opened), Of: d, Began: int(s.began.Load()),
				Requests: int(s.answered.Load()), Errors: int(s.failed.Load()), Running: running,
			})
		}
	}
}

func (s *saturation) scrape(ctx context.Context) (*Snapshot, error) {
	wait, cancel := context.WithTimeout(ctx, probeScrapeWait)
	defer cancel()
	snap, err := Scrape(wait, s.client, s.URL)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, s.lastWords())
	}
	return snap, nil
}

// stream asks one request after the other until ctx ends. The first one is of
// another length in each stream, up to a whole one: streams that begin together
// would go on in step, all prompts and then all answers, and a window that is
// no whole number of such waves would have too much of the one or the other.
//
// Only as long as a stream waits for its first token does it read one; a server
// need not write thousands of small messages a second while it is measured.
func (s *saturation) stream(ctx context.Context, i int) {
	rng := rand.New(rand.NewPCG(s.Seed, uint64(i)+1))
	var beganOnce sync.Once
	first := func() {
		beganOnce.Do(func() {
			if s.began.Add(1) == int64(s.Concurrency) {
				close(s.allBegan)
			}
		})
	}
	failures := 0
	for warm := false; ctx.Err() == nil; {
		var err error
		if prompt := s.prompt(rng); warm {
			err = s.ask(ctx, prompt)
		} else {
			err = s.askFirst(ctx, prompt, max(1, s.OutputTokens*(i+1)/s.Concurrency), first)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			warm, failures = true, 0
			s.answered.Add(1)
			continue
		}
		s.failed.Add(1)
		s.mu.Lock()
		s.lastError = err
		s.mu.Unlock()
		if failures++; failures >= maxFailures || final(err) {
			s.end(err)
			return
		}
		pause := time.NewTimer(failPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// lastWords is what the last failed request ended with, to be put behind
// another sentence.
func (s *saturation) lastWords() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastError == nil {
		return ""
	}
	return "; the last failed request: " + s.lastError.Error()
}

func (s *saturation) misshapen() (n, example int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrongLen, s.example
}

// text is tokenized once, to learn numbers of tokens that the model has.
const text = "the of and to in is that for it as was with be by on not he this are at from his but an they which or we had one" +
	" you were all her she there would their will when who him been has more if no out do so can what up said about other into than" +
	" its time only could new them man some these then two first may any like now my such make over our even most me state after" +
	" also made many did must before back see through way where get much go well your know should down work year because come people" +
	" just say each those take day good how long little use world own very still between life being under same last never house use" +
	" ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 (){}[];:=+-*/" // for a tokenizer that knows single letters only

// headTokens begin a prompt and spell its number, in fewer tokens than any
// block of a prefix cache has; so no two prompts share one. minTokens of
// different kinds give 32^8 such numbers.
const (
	headTokens = 8
	minTokens  = 32
)

// learnTokens asks for tokens to make prompts of. A prompt goes out as numbers
// and not as text, so that it has exactly the tokens it should.
func (s *saturation) learnTokens(ctx context.Context) error {
	body, err := s.post(ctx, "/tokenize", map[string]any{"model": s.Model, "prompt": text, "add_special_tokens": false})
	if err != nil {
		return err
	}
	defer body.Close()
	var answer struct {
		Tokens      []uint32 `json:"tokens"`
		MaxModelLen int      `json:"max_model_len"`
	}
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("%s/tokenize: its answer cannot be read: %w", s.URL, err)
	}
	if need := s.PromptTokens + s.OutputTokens; answer.MaxModelLen > 0 && need > answer.MaxModelLen {
		return fmt.Errorf("%d prompt and %d output tokens are more than the %d that the server takes: ask for fewer", s.PromptTokens, s.OutputTokens, answer.MaxModelLen)
	}
	slices.Sort(answer.Tokens)
	s.words = slices.Compact(answer.Tokens)
	if len(s.words) < minTokens {
		return fmt.Errorf("%s/tokenize made %d different tokens of a text of some hundred words, want at least %d: is this vLLM's?", s.URL, len(s.words), minTokens)
	}
	return nil
}

// prompt makes one that begins like no other.
func (s *saturation) prompt(rng *rand.Rand) []uint32 {
	number := s.salt + s.asked.Add(1)
	ids := make([]uint32, s.PromptTokens)
	for i := range ids {
		if i < headTokens {
			ids[i] = s.words[number%uint64(len(s.words))]
			number /= uint64(len(s.words))
			continue
		}
		ids[i] = s.words[rng.IntN(len(s.words))]
	}
	return ids
}

type completionBody struct {
	Model     string   `json:"model"`
	Prompt    []uint32 `json:"prompt"`
	MaxTokens int      `json:"max_tokens"`
	MinTokens int      `json:"min_tokens"`
	IgnoreEOS bool     `json:"ignore_eos"`
	Stream    bool     `json:"stream"`
}

// ask has one prompt answered, whole.
func (s *saturation) ask(ctx context.Context, prompt []uint32) error {
	body, err := s.post(ctx, "/v1/completions", completionBody{s.Model, prompt, s.OutputTokens, s.OutputTokens, true, false})
	if err != nil {
		return err
	}
	defer body.Close()
	var answer struct {
		Usage *struct {
			Completion int `json:"completion_tokens"`
		} `json:"usage"`
	}
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("%s/v1/completions: its answer cannot be read: %w", s.URL, err)
	}
	if u := answer.Usage; u != nil && u.Completion != s.OutputTokens {
		s.mu.Lock()
		s.wrongLen, s.example = s.wrongLen+1, u.Completion
		s.mu.Unlock()
	}
	return nil
}

// askFirst has one prompt answered as a stream, and calls first at its first
// token.
func (s *saturation) askFirst(ctx context.Context, prompt []uint32, output int, first func()) error {
	body, err := s.post(ctx, "/v1/completions", completionBody{s.Model, prompt, output, output, true, true})
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(io.LimitReader(body, maxAnswer))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if data = bytes.TrimSpace(data); !ok {
			continue
		}
		if string(data) == "[DONE]" {
			return nil
		}
		var chunk struct {
			Choices []json.RawMessage `json:"choices"`
			Error   json.RawMessage   `json:"error"`
		}
		switch err := json.Unmarshal(data, &chunk); {
		case err != nil:
			return fmt.Errorf("%s/v1/completions: a piece of its answer cannot be read: %w", s.URL, err)
		case len(chunk.Error) > 0 && string(chunk.Error) != "null":
			return &serverError{"/v1/completions", 0, words(data)}
		case len(chunk.Choices) > 0:
			first()
		}
	}
	return fmt.Errorf("%s/v1/completions: the answer ended in its middle: %w", s.URL, cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
}

// post returns the body of a 200; the caller closes it.
func (s *saturation) post(ctx context.Context, path string, question any) (io.ReadCloser, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err // holds the method and the URL
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return nil, &serverError{path, resp.StatusCode, words(said)}
	}
	return resp.Body, nil
}
