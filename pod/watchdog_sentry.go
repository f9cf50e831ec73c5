package pod

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// sentry is what a watchdog does: it waits for the end or the silence of its
// program, or a machine's deadline, and then ends what the ledger says.
type sentry struct {
	job      job
	provider Provider
	ledger   *ledger
	clk      Clock

	logMu sync.Mutex
	log   io.Writer

	beats atomic.Int64 // beats so far

	mu     sync.Mutex
	known  map[string]entry // the last that was read of each entry of the run
	busy   map[string]bool  // entries whose machines are being ended
	over   map[string]bool  // entries that were given up
	doubts map[string]entry // entries that others took out of the ledger
	unread map[string]bool  // paths that could not be read; for the log
	tasks  sync.WaitGroup
}

func newSentry(j job, p Provider, l *ledger, clk Clock, log io.Writer) *sentry {
	return &sentry{job: j, provider: p, ledger: l, clk: clk, log: log,
		known: make(map[string]entry), busy: make(map[string]bool), over: make(map[string]bool), doubts: make(map[string]entry), unread: make(map[string]bool)}
}

// say writes one line of the log.
func (s *sentry) say(format string, args ...any) {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	// A full disk is no reason to let a machine run.
	_, _ = fmt.Fprintf(s.log, "%s watchdog %d of %d: %s\n", s.clk.Now().UTC().Format(time.RFC3339), os.Getpid(), s.job.Program.PID, fmt.Sprintf(format, args...))
}

// stand is on guard until the program has ended and nothing is left of what it
// had. The result is the exit status.
//
// Silence is counted in looks without a beat, not by the clock: while this
// process itself stands still (a laptop's lid, a stopped machine), it hears
// nothing either, and that is no news of the program.
//
// A program that comes back from a silence finds its machines ended, and this
// watchdog still on guard for the next.
func (s *sentry) stand(in *bufio.Reader) int {
	s.say("on guard for run %s at %s", s.job.Run, s.job.Kind)
	open, ended := context.WithCancel(context.Background())
	defer ended()
	s.tasks.Go(func() {
		beats(in, func() { s.beats.Add(1) })
		ended()
	})
	var heard int64
	var silence time.Duration
	known := false // that the program has ended, to the last look
	for {
		wait := open
		if known {
			wait = context.Background()
		}
		_ = s.clk.Sleep(wait, lookEach)
		orphaned := ""
		silence += lookEach
		if beats := s.beats.Load(); beats != heard {
			heard, silence = beats, 0
		}
		if silence >= silentAfter {
			orphaned = fmt.Sprintf("the program has not been heard of for %v", silentAfter)
		}
		if known = open.Err() != nil; known {
			orphaned = "the program has ended"
		}
		if left := s.look(orphaned); left == 0 && known && s.verified() {
			return s.leave()
		}
	}
}

// leave is the end of the watch.
func (s *sentry) leave() int {
	s.tasks.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.over) > 0 {
		s.say("the program has ended, and %d of its entries are left in the ledger: see above", len(s.over))
		return 1
	}
	s.say("the program has ended, and nothing is left of what it had")
	return 0
}

// look reads the ledger and begins to end what is due. It returns how many
// entries have a future here: that are waited for, or being ended.
func (s *sentry) look(orphaned string) int {
	s.read()
	s.mu.Lock()
	defer s.mu.Unlock()
	left, now := 0, s.clk.Now()
	for name, e := range s.known {
		if s.over[name] {
			continue
		}
		left++
		if why := due(e, now, orphaned); why != "" && !s.busy[name] {
			s.busy[name] = true
			s.tasks.Go(func() { s.finish(e, why) })
		}
	}
	return left
}

// due says why an entry's machine is to end now; empty is not yet.
func due(e entry, now time.Time, orphaned string) string {
	switch {
	case !now.Before(e.Deadline):
		return "its deadline has passed"
	case orphaned == "" || e.Keep.After(now):
		return ""
	case !e.Keep.IsZero():
		return "it was kept until now"
	}
	return orphaned
}

// read takes in what the ledger says of this run. Only an entry that is really
// gone is forgotten: one that cannot be read stays as it was known.
func (s *sentry) read() {
	good, bad, err := s.ledger.entries()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unreadable(s.ledger.dir, err)
		return
	}
	there := make(map[string]bool)
	for _, e := range bad {
		there[e.Name] = true
		s.unreadable(e.Path, e)
	}
	for _, e := range good {
		if !s.job.covers(e) {
			continue
		}
		there[e.Name] = true
		old, ok := s.known[e.Name]
		if !ok && !s.ledger.has(e.Name) {
			continue // its machine was ended while the ledger was read
		}
		if !ok || old != e {
			s.known[e.Name] = e
			s.say("%s %s: %s, until %s%s", e.Name, e.ID, e.State, e.Deadline.UTC().Format(time.RFC3339), keptText(e))
		}
	}
	for name, e := range s.known {
		if !there[name] && !s.busy[name] {
			s.say("%s %s: taken out of the ledger by the program, or by hand", name, e.ID)
			delete(s.known, name)
			// Unless another program has certainly taken it over, the provider has
			// the last word: a file may be missing because its folder is.
			if other, err := s.ledger.get(name); err != nil || s.job.covers(other) {
				s.doubts[name] = e
			}
		}
	}
}

// verified is the last look, at the provider itself: what others took out of
// the ledger must be gone there, too. Whatever is not goes back into the
// ledger, to be ended, and the answer is no. It is one call, and only made once
// the program has ended; where it fails, the ledger's word stands.
func (s *sentry) verified() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.doubts) == 0 {
		return true
	}
	all, err := call(context.Background(), s.clk, s.provider.List)
	if err != nil {
		s.say("whether everything is gone could not be verified: %v", err)
	}
	before := len(s.known)
	for _, m := range all {
		e, ok := s.doubts[m.Name]
		if !ok || m.State == Gone {
			continue
		}
		e.ID, e.Keep = m.ID, time.Time{}
		s.say("%s %s: it is not in the ledger any more, but the provider shows it (%s)", e.Name, e.ID, m.Status)
		if err := s.ledger.put(e); err != nil {
			s.say("%v", err)
		}
		s.known[e.Name] = e
	}
	clear(s.doubts)
	return len(s.known) == before
}

// unreadable says once what cannot be read. What it said before still counts.
func (s *sentry) unreadable(path string, err error) {
	if !s.unread[path] {
		s.unread[path] = true
		s.say("%v; going by the %d entries known so far", err, len(s.known))
	}
}

func keptText(e entry) string {
	if e.Keep.IsZero() {
		return ""
	}
	return ", kept until " + e.Keep.UTC().Format(time.RFC3339)
}

// finish ends one entry's machine and then takes the entry out of the ledger.
func (s *sentry) finish(e entry, why string) {
	s.say("%s %s: ending it: %s", e.Name, e.ID, why)
	err := s.persist(e)
	if err == nil {
		err = s.ledger.remove(e.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, e.Name)
	if err != nil {
		s.say("%s %s: given up: %v", e.Name, e.ID, err)
		s.over[e.Name] = true
		return
	}
	delete(s.known, e.Name)
}

// persist ends one machine, for as long as giveUpAfter. Each attempt has its
// own time, so that the log tells what goes on.
func (s *sentry) persist(e entry) error {
	ctx, cancel := s.clk.WithTimeout(context.Background(), giveUpAfter, fmt.Errorf("%v were not enough", giveUpAfter))
	defer cancel()
	for wait := 10 * time.Second; ; wait = min(2*wait, 5*time.Minute) {
		err := s.attempt(ctx, e)
		if err == nil {
			s.say("%s %s: confirmed gone", e.Name, e.ID)
			return nil
		}
		s.say("%s %s: %v", e.Name, e.ID, err)
		if !s.ledger.has(e.Name) {
			s.say("%s %s: no longer in the ledger: somebody else has seen to it", e.Name, e.ID)
			return nil
		}
		if s.clk.Sleep(ctx, wait) != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// attempt is one try. A provider that panics has failed, no more: this process
// is the last one that looks after the machine.
func (s *sentry) attempt(ctx context.Context, e entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if e.ID != "" {
		ctx, cancel := s.clk.WithTimeout(ctx, 2*time.Minute, errAttempt)
		defer cancel()
		return end(ctx, s.provider, s.clk, e.ID, e.Name)
	}
	// The program ended, or stands still, between its intent and the answer: the
	// request may be on its way.
	ctx, cancel := s.clk.WithTimeout(ctx, lateAfter+2*time.Minute, errAttempt)
	defer cancel()
	return settle(ctx, s.provider, s.clk, e.Name, e.Intent)
}

var errAttempt = errors.New("trying again soon")
