package podtest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"
)

// AddForeign makes a pod of somebody else in the same account: it is listed,
// it has no machine, and whoever changes it is found by [Server.Touched]. It
// returns the pod's id.
func (s *Server) AddForeign(name string, env map[string]string) string {
	gpu := Catalogue()[0]
	if len(s.cfg.GPUs) > 0 {
		gpu = s.cfg.GPUs[0]
	}
	now := s.clk.Now()
	p := &pod{
		id: newID(14), key: "rpa_pod_" + rand.Text(), foreign: true, created: now, visible: now, started: now,
		gpu: gpu, count: 1, cloud: "SECURE", zone: "US-KS-2", rate: gpu.Secure, logs: newLogbook(), name: name, status: running,
		spec: podSpec{Image: "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404", Disk: 50, Ports: []string{"22/tcp"}, Env: maps.Clone(env)},
	}
	p.logs.add(now, "system", "start container")
	s.mu.Lock()
	defer s.mu.Unlock()
	p.seq = len(s.pods)
	s.pods = append(s.pods, p)
	return p.id
}

// addLookAlikes makes foreign pods that a careless reaper would take for ours:
// our prefix without a marker; a colleague's, kept until tomorrow; one that is
// only named like ours, long ago.
func (s *Server) addLookAlikes(n int) {
	now := s.clk.Now()
	alikes := []struct {
		age    time.Duration
		marker string
	}{
		{time.Hour, ""},
		{2 * time.Hour, fmt.Sprintf("dail/1;owner=eve@elsewhere;run=r1;deadline=%d;keep=%d", now.Add(24*time.Hour).Unix(), now.Add(24*time.Hour).Unix())},
		{100 * time.Hour, "not-a-marker"},
	}
	for i := range n {
		a := alikes[i%len(alikes)]
		env := map[string]string{"HF_HOME": "/workspace"}
		if a.marker != "" {
			env["DAIL_MARKER"] = a.marker
		}
		s.AddForeign(fmt.Sprintf("dail-%d-%s", now.Add(-a.age).Unix(), newID(16)), env)
	}
}

// strike makes a fault happen to every machine that runs, and reports whether
// there was one.
func (s *Server) strike(in injected) bool {
	s.mu.Lock()
	var targets []*pod
	for _, p := range s.pods {
		if p.machine != nil && p.ssh.published && p.status == running {
			targets = append(targets, p)
		}
	}
	s.mu.Unlock()
	for _, p := range slices.Clone(targets) {
		s.hit(p, in.name)
	}
	return len(targets) > 0
}
