package podtest

import (
	"net/http"
	"slices"
)

// changing finds the pod of a mutating call, and notes it where the pod is
// somebody else's. It needs s.mu.
func (s *Server) changing(c *call) (*pod, answer, bool) {
	c.pod = c.vars["id"]
	p, ok := s.find(c.vars["id"])
	if !ok || !p.alive() {
		return nil, refuse(http.StatusNotFound, "pod not found"), false
	}
	if p.foreign && c.podKey == "" {
		p.touched = true
	}
	return p, answer{}, true
}

func (s *Server) deletePod(c *call) answer {
	s.mu.Lock()
	p, a, ok := s.changing(c)
	s.mu.Unlock()
	if !ok {
		return a
	}
	return s.remove(c, p)
}

// remove ends a pod, or does what a fault makes of that.
func (s *Server) remove(c *call, p *pod) answer {
	gone := answer{status: http.StatusNoContent}
	if c.podKey != "" {
		if _, ok := s.take(c, PodKeyDenied); ok {
			return refuse(http.StatusForbidden, "access denied")
		}
	}
	if wait, ok := s.take(c, DeleteRate); ok {
		return retryAfter(duration(wait), "rate limit exceeded for the minute window")
	}
	for _, f := range []struct {
		fault Fault
		say   answer
	}{
		{DeleteMissing, refuse(http.StatusNotFound, "pod not found")},
		{Delete500, refuse(http.StatusInternalServerError, "upstream failure")},
		{DeleteBusy, refuse(http.StatusConflict, "pod belongs to a cluster and cannot be terminated here")},
		{DeleteHangs, answer{hang: true}},
		{DeleteIgnored, gone},
	} {
		if _, ok := s.take(c, f.fault); ok {
			return f.say
		}
	}
	s.mu.Lock()
	locked := p.locked
	s.mu.Unlock()
	if locked {
		return refuse(http.StatusConflict, "pod is locked")
	}
	if wait, ok := s.take(c, DeleteLate); ok {
		s.background(func() {
			if s.clk.Sleep(s.ctx, duration(wait)) == nil {
				s.terminate(p)
				s.halt(p)
			}
		})
		return gone
	}
	s.terminate(p)
	if c.podKey == "" {
		s.halt(p) // everything on it is dead before the caller hears of it
	} else {
		// The caller runs on the machine: it hears the answer, then it dies.
		c.after = func() { s.background(func() { s.halt(p) }) }
	}
	if _, ok := s.take(c, DeleteDone500); ok {
		return refuse(http.StatusInternalServerError, "upstream failure")
	}
	if _, ok := s.take(c, DeleteCut); ok {
		return answer{cut: true}
	}
	return gone
}

// terminate ends a pod's bill and its place in the API.
func (s *Server) terminate(p *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.alive() {
		return
	}
	now := s.clk.Now()
	p.charge(now, 0)
	p.ended, p.status, p.ssh.published = now, terminated, false
	p.logs.add(now, "system", "remove container")
}

// background runs f until it is done or the server has closed; f must heed
// s.ctx.
func (s *Server) background(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return // Close halts every pod
	}
	s.work.Go(f)
}

func (s *Server) updatePod(c *call) answer {
	var req struct {
		Name     *string           `json:"name"`
		Locked   *bool             `json:"locked"`
		Image    *string           `json:"image"`
		Args     *string           `json:"args"`
		Disk     *int              `json:"disk"`
		Ports    []string          `json:"ports"`
		Env      map[string]string `json:"env"`
		Template string            `json:"templateId"`
	}
	if err := c.decode(&req); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, a, ok := s.changing(c)
	if !ok {
		return a
	}
	if req.Template != "" {
		return refuse(http.StatusNotFound, "template not found")
	}
	set(&p.name, req.Name)
	set(&p.locked, req.Locked)
	set(&p.spec.Image, req.Image)
	set(&p.spec.Args, req.Args)
	set(&p.spec.Disk, req.Disk)
	if req.Ports != nil {
		p.spec.Ports = req.Ports
	}
	if req.Env != nil {
		p.spec.Env = req.Env
	}
	return s.podAnswer(http.StatusOK, p)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *Server) podAction(c *call) answer {
	var req struct {
		Action string `json:"action"`
	}
	if err := c.decode(&req); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	s.mu.Lock()
	p, a, ok := s.changing(c)
	if !ok {
		s.mu.Unlock()
		return a
	}
	allowed, locked := slices.Contains(actions(p.status), req.Action), p.locked
	s.mu.Unlock()
	switch {
	case req.Action == "terminate":
		return s.remove(c, p)
	case !allowed:
		return refuse(http.StatusConflict, "action "+req.Action+" is not valid for the pod's status")
	case locked:
		return refuse(http.StatusConflict, "pod is locked")
	}
	s.halt(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.alive() || s.closed {
		return refuse(http.StatusNotFound, "pod not found")
	}
	now := s.clk.Now()
	p.ssh = sshState{}
	if req.Action == "stop" {
		p.status, p.stopped = exited, true
		p.charge(now, stoppedRate(p.spec.Disk))
		p.logs.add(now, "system", "stop container")
		return s.podAnswer(http.StatusOK, p)
	}
	if p.stopped {
		p.stopped = false
		p.charge(now, p.rate)
	}
	p.status = starting
	s.begin(p)
	return s.podAnswer(http.StatusOK, p)
}

// stoppedRate is what a stopped pod's disk costs, USD per hour: 0.20 per GB
// and month of 730 hours.
func stoppedRate(diskGB int) float64 { return 0.20 * float64(diskGB) / 730 }
