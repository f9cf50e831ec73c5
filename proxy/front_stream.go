package proxy

import (
	"bytes"
	"encoding/json"
)

// frontStream reads along in a stream of the Messages API, for the figures in
// it. It keeps the lines of the few events that hold one, and no others.
type frontStream struct {
	begun bool // the answer itself has begun: no keep-alive, no empty opening
	ended bool // message_stop has been seen

	event string // of the event under way
	line  []byte // begun, its end not seen yet
	whole frontEvent
	fault string
}

// lineLimit bounds a line that is kept.
const lineLimit = 1 << 20

// read takes the next piece of the stream.
func (s *frontStream) read(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.keep(p)
			return
		}
		s.keep(p[:i])
		s.closeLine()
		p = p[i+1:]
	}
}

// keep adds to the line under way, unless nobody will want it.
func (s *frontStream) keep(p []byte) {
	if len(s.line) >= len("event: ") && bytes.HasPrefix(s.line, []byte("data:")) && !s.wanted() {
		return
	}
	if len(s.line)+len(p) <= lineLimit {
		s.line = append(s.line, p...)
	}
}

func (s *frontStream) wanted() bool {
	return s.event == "message_start" || s.event == "message_delta" || s.event == "error"
}

func (s *frontStream) closeLine() {
	line := bytes.TrimSuffix(s.line, []byte("\r"))
	if name, ok := bytes.CutPrefix(line, []byte("event:")); ok {
		s.event = string(bytes.TrimSpace(name))
		switch s.event {
		case "content_block_start", "message_delta":
			s.begun = true
		case "message_stop":
			s.ended = true
		}
	} else if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && s.wanted() {
		if s.event == "error" {
			s.fault = errorMessage(0, data)
		} else {
			s.whole.read(data)
		}
	}
	s.line = s.line[:0]
}

// note puts what was seen into the record.
func (s *frontStream) note(sp *span) {
	sp.rec.StopReason = s.whole.StopReason
	s.whole.Usage.note(sp)
	if s.fault != "" {
		sp.rec.Error = "the server ended the stream with an error: " + s.fault
	}
}

// frontEvent is what an answer, or an event of one, says of the whole.
type frontEvent struct {
	StopReason string
	Usage      frontUsage
}

// frontUsage are cumulative counts; nil is not said. Cached tokens are not
// among Input in this API.
type frontUsage struct {
	Input     *int `json:"input_tokens"`
	CacheRead *int `json:"cache_read_input_tokens"`
	CacheNew  *int `json:"cache_creation_input_tokens"`
	Output    *int `json:"output_tokens"`
}

// read adds what an event, or a whole answer, says; later words win. It
// reports whether b could be read.
func (e *frontEvent) read(b []byte) bool {
	var v struct {
		StopReason string     `json:"stop_reason"`
		Usage      frontUsage `json:"usage"`
		Delta      struct {
			StopReason string `json:"stop_reason"`
		} `json:"delta"`
		Message struct {
			Usage frontUsage `json:"usage"`
		} `json:"message"`
	}
	if json.Unmarshal(b, &v) != nil {
		return false
	}
	for _, reason := range []string{v.StopReason, v.Delta.StopReason} {
		if reason != "" {
			e.StopReason = reason
		}
	}
	e.Usage.add(v.Message.Usage)
	e.Usage.add(v.Usage)
	return true
}

func (u *frontUsage) add(v frontUsage) {
	for _, f := range []struct {
		to   **int
		from *int
	}{{&u.Input, v.Input}, {&u.CacheRead, v.CacheRead}, {&u.CacheNew, v.CacheNew}, {&u.Output, v.Output}} {
		if f.from != nil {
			*f.to = f.from
		}
	}
}

func (u frontUsage) note(s *span) {
	value := func(n *int) int {
		if n == nil {
			return 0
		}
		return *n
	}
	s.rec.CachedTokens = value(u.CacheRead)
	s.rec.PromptTokens = value(u.Input) + value(u.CacheRead) + value(u.CacheNew)
	s.rec.OutputTokens = value(u.Output)
}
