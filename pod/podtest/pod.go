package podtest

import (
	"context"
	"maps"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/x/dail/pod/podtest/internal/machine"
)

// Pod is what is known of a pod from the landlord's side.
type Pod struct {
	ID         string
	Name       string
	Status     string // RunPod's word
	Created    time.Time
	USDPerHour float64 // while it has its GPUs
	Env        map[string]string
	SSH        string // host:port where its SSH server is published; empty: nowhere
	// Root is the folder of its disk on this host, $DAIL_ROOT; empty where it
	// has no machine.
	Root string
}

// Statuses of a pod.
const (
	provisioning = "PROVISIONING"
	starting     = "STARTING"
	running      = "RUNNING"
	exited       = "EXITED"
	failed       = "ERROR"
	terminated   = "TERMINATED"
)

// pod is one pod. What is above the blank line never changes; the rest is
// guarded by Server.mu.
type pod struct {
	id      string
	seq     int // order of creation
	key     string
	foreign bool
	created time.Time
	visible time.Time        // from when the API knows it
	gpu     GPU              // its type
	count   int              // of GPUs
	cloud   string           // SECURE or COMMUNITY
	zone    string           // data centre
	rate    float64          // USD per hour with its GPUs
	traits  map[Fault]string // faults that it carries, and their parameters
	logs    *logbook

	name     string
	spec     podSpec
	status   string
	started  time.Time // zero: never
	stopped  bool      // by an action: it has no GPUs
	locked   bool
	ended    time.Time // when billing ended; zero: it runs
	touched  bool      // foreign, and a mutating call was made on it
	periods  []period
	ssh      sshState
	machine  *machine.Machine
	hostDied bool               // by a fault
	stopLife context.CancelFunc // ends the present boot
	lifeDone chan struct{}
}

// podSpec is what PATCH can change.
type podSpec struct {
	Image    string
	Args     string
	Cmd      []string
	Entry    []string
	Disk     int
	Ports    []string
	Env      map[string]string
	Registry *string
	Mounts   mounts
}

// sshState is what the API shows of a pod's SSH server.
type sshState struct {
	published bool
	port      int
	user      string
	hide      int // GETs that do not show it yet
	stale     int // GETs that show stalePort
	stalePort int
}

// period is a time at one price.
type period struct {
	from, to   time.Time // to is zero while it lasts
	usdPerHour float64
}

func (p *pod) alive() bool { return p.ended.IsZero() }

// charge begins a period at another price.
func (p *pod) charge(at time.Time, usdPerHour float64) {
	if n := len(p.periods); n > 0 && p.periods[n-1].to.IsZero() {
		p.periods[n-1].to = at
	}
	if usdPerHour > 0 {
		p.periods = append(p.periods, period{from: at, usdPerHour: usdPerHour})
	}
}

// cost is what it costs per hour now, as the API says it.
func (p *pod) cost() float64 {
	switch p.status {
	case exited, terminated:
		return 0
	}
	return p.rate
}

// seen is what Server.Alive shows.
func (p *pod) seen() Pod {
	out := Pod{
		ID: p.id, Name: p.name, Status: p.status, Created: p.created, USDPerHour: p.rate,
		Env: maps.Clone(p.spec.Env),
	}
	if p.ssh.published {
		out.SSH = net.JoinHostPort("127.0.0.1", strconv.Itoa(p.ssh.port))
	}
	return out
}

// halt ends what runs on a pod, and waits for it.
func (s *Server) halt(p *pod) {
	s.mu.Lock()
	stop, done := p.stopLife, p.lifeDone
	s.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// Alive lists the pods that were made by calls and have not ended: those that
// somebody pays for. A stopped pod is one of them, a pod of AddForeign is not.
func (s *Server) Alive() []Pod {
	return s.which(func(p *pod) bool { return !p.foreign && p.alive() })
}

// Touched lists the foreign pods on which a mutating call was made, whether or
// not it had an effect.
func (s *Server) Touched() []Pod {
	return s.which(func(p *pod) bool { return p.foreign && p.touched })
}

// Pods lists all pods that there ever were, the oldest first.
func (s *Server) Pods() []Pod { return s.which(func(*pod) bool { return true }) }

func (s *Server) which(want func(*pod) bool) []Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Pod
	for _, p := range s.pods {
		if want(p) {
			seen := p.seen()
			if !s.cfg.NoMachines && !p.foreign {
				seen.Root = s.layout(p.id).Workspace()
			}
			out = append(out, seen)
		}
	}
	return out
}

// logLimit is how many lines a pod's log keeps.
const logLimit = 5000

// logbook is a pod's log, which streams follow.
type logbook struct {
	mu    sync.Mutex
	lines []logLine
	first int           // number of lines[0]
	more  chan struct{} // closed and replaced at every line
}

type logLine struct {
	TS     string `json:"ts"`
	Source string `json:"source"`
	Line   string `json:"line"`
	at     time.Time
}

func newLogbook() *logbook { return &logbook{more: make(chan struct{})} }

func (l *logbook) add(at time.Time, source, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, logLine{at.UTC().Format(time.RFC3339Nano), source, line, at})
	if over := len(l.lines) - logLimit; over > 0 {
		l.lines, l.first = l.lines[over:], l.first+over
	}
	close(l.more)
	l.more = make(chan struct{})
}

// since returns the lines from number n on, the number of the next one, and
// what is closed when there is more.
func (l *logbook) since(n int) ([]logLine, int, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(max(n, l.first), l.first+len(l.lines))
	return append([]logLine(nil), l.lines[n-l.first:]...), l.first + len(l.lines), l.more
}
