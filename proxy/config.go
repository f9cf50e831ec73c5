package proxy

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/x/dail/trace"
)

// Trace is the record of one request.
type Trace = trace.Record

// Config is what both gateways need. Only Upstream has no default. The value
// is copied by [NewMessages] and [NewDestream]; changing it later has no
// effect.
type Config struct {
	// Upstream is the server's root, for example http://127.0.0.1:8000. A
	// path is kept as a prefix; a trailing /v1 is accepted and means the same
	// as none. If nil, every request that needs the server is answered 502.
	Upstream *url.URL

	// Model is the name under which the server knows the model. If empty, the
	// client's own name is sent on.
	Model string

	// MaxModelLen is the server's context length in tokens. It is used only
	// where the server reports an overflow without saying its limit. If 0,
	// the server's /v1/models is asked then.
	MaxModelLen int

	// Transport makes the requests to the server. If nil, one is made that
	// waits for the answer's header as long as it takes and asks for no
	// compression. A transport of your own must not set
	// ResponseHeaderTimeout: a server that is asked not to stream sends
	// nothing at all until it is done.
	Transport http.RoundTripper

	// Header is added to every request to the server, for example
	// Authorization. It is never logged. The client's own credentials are
	// not sent on where Identify is set, and never by Messages.
	Header http.Header

	// Identify says whose token this is; the token is what the client sent as
	// Authorization: Bearer, or as x-api-key. A request with an absent or
	// unknown token is answered 401 and reaches nothing. If nil, everybody is
	// served, as Caller{Agent: -1}.
	Identify func(token string) (Caller, bool)

	// Trace is called once for every inference request when it has ended,
	// also when it failed or the client left, and from that request's own
	// goroutine. If nil, nothing is recorded.
	Trace func(trace.Record)

	// Logger gets a line for each fault and each repair; no prompt, no answer,
	// no token. If nil, nothing is logged.
	Logger *slog.Logger

	// KeepAlive is the time between two keep-alives while the answer is being
	// made. If 0, 10 s; if negative, none is sent.
	KeepAlive time.Duration

	// HeaderWait is how long a streaming client's header is held back so that
	// an early refusal of the server can be an HTTP error. If 0, 5 s; if
	// negative, the header is sent at once.
	HeaderWait time.Duration

	// BodyLimit is the longest request body accepted, in bytes. If 0, 32 MiB.
	// A longer one is answered 413.
	BodyLimit int64
}

// Caller is who stands behind a token: an agent in a phase of a level.
type Caller struct {
	// Level names the team size, for example "n4".
	Level string
	// Agent counts from 0; -1 is an unknown caller.
	Agent int
	// Phase is the phase's id.
	Phase string
}

const (
	defaultKeepAlive  = 10 * time.Second
	defaultHeaderWait = 5 * time.Second
	defaultBodyLimit  = 32 << 20
	// answerLimit bounds what is read from the server. 32k tokens of output
	// are about 150 kB.
	answerLimit = 64 << 20
)

// withDefaults returns c with every zero replaced by what it means.
func (c Config) withDefaults() Config {
	if c.KeepAlive == 0 {
		c.KeepAlive = defaultKeepAlive
	}
	if c.HeaderWait == 0 {
		c.HeaderWait = defaultHeaderWait
	}
	if c.BodyLimit <= 0 {
		c.BodyLimit = defaultBodyLimit
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Trace == nil {
		c.Trace = func(trace.Record) {}
	}
	if c.Upstream != nil {
		u := *c.Upstream
		u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1")
		u.RawPath, u.RawQuery, u.Fragment = "", "", ""
		c.Upstream = &u
	}
	return c
}

func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		// One idle connection for each agent of a large team, so that no
		// request pays for a dial.
		MaxIdleConnsPerHost: 256,
		// A coding agent's request fits whole, so it leaves in one write; in
		// the default's 4 kB it would be copied and sent in pieces.
		WriteBufferSize:       128 << 10,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}
}

var errNoUpstream = errors.New("Config.Upstream is nil: set it to the server's root, for example http://127.0.0.1:8000")

// identify returns who sent r, and false where it may not be served.
func (c *Config) identify(r *http.Request) (Caller, bool) {
	if c.Identify == nil {
		return Caller{Agent: -1}, true
	}
	token := bearer(r.Header)
	if token == "" {
		return Caller{Agent: -1}, false
	}
	caller, ok := c.Identify(token)
	if !ok {
		return Caller{Agent: -1}, false
	}
	return caller, true
}

// bearer returns the token that the client presented: Claude Code sends
// ANTHROPIC_AUTH_TOKEN as a bearer and ANTHROPIC_API_KEY as x-api-key.
func bearer(h http.Header) string {
	auth := h.Get("Authorization")
	if len(auth) > 7 && strings.EqualFold(auth[:7], "bearer ") {
		return strings.TrimSpace(auth[7:])
	}
	return h.Get("X-Api-Key")
}
