package proxy

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// maxSessions bounds how many conversations are remembered; the one that has
// been silent longest is forgotten first. A session takes about 500 bytes.
const maxSessions = 4096

// rememberedBodies is how many of a session's last bodies are known again. A
// retry follows its original at once, save for a title or compaction call
// between them.
const rememberedBodies = 8

// sessions remembers of each conversation what tells a retry from a new
// request, and when its last request ended. The zero value is ready.
type sessions struct {
	mu    sync.Mutex
	byKey map[string]*list.Element // of *session
	order list.List                // most recently used first
}

type session struct {
	key    string
	bodies []string // the last ones, oldest first
	ended  time.Time
	active int
}

// arrive notes a request. gap is the time in seconds since the session's last
// request ended; 0 for the first, for a retry (that waited, it ran no tool) and
// while another request of the session is under way.
func (s *sessions) arrive(key, bodyHash string, now time.Time) (sess *session, retry bool, gap float64) {
	if key == "" {
		return nil, false, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess = s.get(key)
	retry = slices.Contains(sess.bodies, bodyHash)
	if !retry {
		if len(sess.bodies) == rememberedBodies {
			sess.bodies = slices.Delete(sess.bodies, 0, 1)
		}
		sess.bodies = append(sess.bodies, bodyHash)
	}
	if !retry && sess.active == 0 && !sess.ended.IsZero() {
		gap = max(0, now.Sub(sess.ended).Seconds())
	}
	sess.active++
	return sess, retry, gap
}

// leave notes the end of a request that arrive returned.
func (s *sessions) leave(sess *session, now time.Time) {
	if sess == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess.active--
	sess.ended = now
}

func (s *sessions) get(key string) *session {
	if e, ok := s.byKey[key]; ok {
		s.order.MoveToFront(e)
		return e.Value.(*session)
	}
	if s.byKey == nil {
		s.byKey = make(map[string]*list.Element)
	}
	if s.order.Len() >= maxSessions {
		oldest := s.order.Back()
		s.order.Remove(oldest)
		delete(s.byKey, oldest.Value.(*session).key)
	}
	sess := &session{key: key}
	s.byKey[key] = s.order.PushFront(sess)
	return sess
}
