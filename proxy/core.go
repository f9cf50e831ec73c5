package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// core is what the two gateways share: complete, repair, emit.
type core struct {
	cfg      Config
	sessions sessions
	prefixes prefixes
	bodies   buffers
	inFlight atomic.Int64
	// newID makes an id with this prefix; tests replace it.
	newID func(prefix string) string
}

func newCore(cfg Config) *core {
	return &core{
		cfg:   cfg.withDefaults(),
		newID: func(prefix string) string { return prefix + rand.Text() },
	}
}

// An ask is one chat completion to request.
type ask struct {
	// requestID is sent to the server as X-Request-Id.
	requestID string
	// tools are the request's own, for repairs.
	tools toolset
	// body returns the request's JSON with this limit of output tokens:
	// asAsked, noLimit, or a positive number.
	body func(maxTokens int) []byte
	// question is the prompt and its tools as they are sent, for the record.
	question [][]byte
	// prompt returns the body of a /tokenize request for the same prompt.
	prompt func() []byte
}

const (
	asAsked = 0  // the limit that the client asked for
	noLimit = -1 // none: the server gives what its context leaves
)

// A dialect is the client's side of one request: how faults, keep-alives and
// answers look in its API. Each method returns bytes to be written as they
// are.
type dialect interface {
	// fault writes a whole HTTP error and returns its status.
	fault(w http.ResponseWriter, f *fault) int
	// lateFault ends a stream whose header has been sent.
	lateFault(f *fault) []byte
	// keepAlive is sent while the answer is being made.
	keepAlive() []byte
	// stream is the whole answer as an event stream.
	stream(done *completion) []byte
	// whole is the answer as one JSON object.
	whole(done *completion) []byte
	// stopReason is why the answer ended, in the client's words.
	stopReason(done *completion) string
}

// serve answers one inference request, and leaves what it saw in span.
func (c *core) serve(w http.ResponseWriter, r *http.Request, d dialect, a ask, s *span) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s.rec.QueueS = s.since()

	// The prompt is hashed while the server works, but not before the request
	// has left.
	noted := make(chan struct{})
	note := func() {
		defer close(noted)
		s.body(a.question...)
	}
	later := time.AfterFunc(time.Millisecond, note)
	out := newClient(w)
	beat := c.startBeat(cancel, out, d, s)
	got := c.answer(ctx, a, s.start)
	// From here on nothing else writes to the client or to the record.
	committed := beat.stop()
	if later.Stop() {
		note()
	}
	<-noted
	s.rec.UpstreamS = got.at
	if got.done != nil {
		s.rec.PromptTokens = got.done.Usage.Prompt
		s.rec.CachedTokens = got.done.Usage.cached()
		s.rec.OutputTokens = got.done.Usage.Output
		s.rec.Repairs = got.done.repairs
		if len(got.done.repairs) > 0 {
			c.cfg.Logger.InfoContext(ctx, "proxy: repaired an answer", "request", s.rec.ID, "repairs", got.done.repairs)
		}
	}
	if committed {
		s.rec.Status = http.StatusOK
	}
	switch {
	case r.Context().Err() != nil:
		s.rec.Error = "the client left before the answer was complete"
	case out.err != nil:
		s.rec.Error = "write to the client: " + out.err.Error()
	case got.fault != nil && committed:
		s.rec.Error = got.fault.Error()
		c.logFault(ctx, s, got.fault)
		out.write(d.lateFault(got.fault))
	case got.fault != nil:
		c.refuse(w, d, got.fault, s)
	default:
		s.rec.StopReason = d.stopReason(got.done)
		c.emit(out, d, got.done, s, committed)
	}
}

// refuse answers with an HTTP error.
func (c *core) refuse(w http.ResponseWriter, d dialect, f *fault, s *span) {
	s.rec.Error = f.Error()
	c.logFault(context.Background(), s, f)
	s.rec.Status = d.fault(w, f)
}

func (c *core) logFault(ctx context.Context, s *span, f *fault) {
	c.cfg.Logger.WarnContext(ctx, "proxy: request failed", "request", s.rec.ID, "agent", s.rec.Agent, "phase", s.rec.Phase, "status", f.status, "error", f.message)
}

// emit writes the answer.
func (c *core) emit(out *client, d dialect, done *completion, s *span, committed bool) {
	var body []byte
	if s.rec.Streamed {
		body = d.stream(done)
		if !committed {
			out.commit()
		}
	} else {
		body = d.whole(done)
		out.w.Header().Set("Content-Type", "application/json")
	}
	s.rec.Status = http.StatusOK
	s.rec.FirstByteS = s.since()
	if out.write(body); out.err != nil {
		s.rec.Error = "write to the client: " + out.err.Error()
	}
}

// An answer is how a request to the server ended; one of done and fault is
// set. at is when, in seconds since the request's arrival.
type answer struct {
	done  *completion
	fault *fault
	at    float64
}

// answer asks the server and repairs what it says.
func (c *core) answer(ctx context.Context, a ask, start time.Time) answer {
	done, clamped, f := c.complete(ctx, a)
	at := time.Since(start).Seconds()
	if f != nil {
		return answer{fault: f, at: at}
	}
	if clamped {
		done.repairs = append(done.repairs, "clamp:max_tokens")
	}
	for i := range done.Choices {
		done.repairs = append(done.repairs, repair(&done.Choices[i], a.tools, c.newID)...)
	}
	slices.Sort(done.repairs)
	done.repairs = slices.Compact(done.repairs)
	return answer{done: done, at: at}
}

// readBody reads the request's body, up to the limit.
func (c *core) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *fault) {
	// Size the buffer by the header, since io.ReadAll would copy a 75 kB body
	// a dozen times while it grows.
	r.Body = http.MaxBytesReader(w, r.Body, c.cfg.BodyLimit)
	body, err := readAll(r.Body, r.ContentLength, c.bodies.get())
	if err == nil {
		return body, nil
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &fault{
			status:  http.StatusRequestEntityTooLarge,
			message: "the request body is longer than " + itoa(int(tooLarge.Limit)) + " bytes (Config.BodyLimit)",
		}
	}
	return nil, &fault{status: http.StatusBadRequest, message: "read the request body: " + err.Error()}
}

// readAll reads r to its end, into buf or a new buffer of the expected size.
func readAll(r io.Reader, expected int64, buf []byte) ([]byte, error) {
	size := int64(512)
	if expected > 0 && expected < answerLimit {
		size = expected + 1 // one more, so that the end is seen without growing
	}
	if buf = buf[:0]; int64(cap(buf)) < size {
		buf = make([]byte, 0, size)
	}
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}
