package podtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// podView is a pod as the API shows it.
type podView struct {
	ID               string            `json:"id"`
	Name             string            `json:"name"`
	Status           string            `json:"status"`
	Actions          []string          `json:"actions"`
	Image            string            `json:"image"`
	Args             string            `json:"args"`
	Cmd              []string          `json:"cmd,omitempty"`
	Entrypoint       []string          `json:"entrypoint,omitempty"`
	Disk             int               `json:"disk"`
	Mounts           mounts            `json:"mounts"`
	Ports            []string          `json:"ports"`
	Env              map[string]string `json:"env"`
	Registry         *string           `json:"registry"`
	GPU              gpuView           `json:"gpu"`
	Cloud            string            `json:"cloud"`
	DataCenterID     *string           `json:"dataCenterId"`
	CUDAVersion      *string           `json:"cudaVersion"`
	SSH              sshView           `json:"ssh"`
	Template         *string           `json:"template"`
	Cost             float64           `json:"cost"`
	Locked           bool              `json:"locked"`
	Runtime          *runtimeView      `json:"runtime"`
	CreatedAt        string            `json:"createdAt"`
	StartedAt        *string           `json:"startedAt"`
	GlobalNetworking map[string]bool   `json:"globalNetworking"`
}

type gpuView struct {
	ID    string `json:"id"`
	Count int    `json:"count"`
	VCPUs int    `json:"vcpuCount"`
	RAM   int    `json:"memory"`
}

type sshView struct {
	Proxy  *endpoint `json:"proxy"`
	Direct *endpoint `json:"direct"`
}

type endpoint struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Username string `json:"username"`
	Command  string `json:"command"`
}

type runtimeView struct {
	Uptime int        `json:"uptime"`
	Ports  []portView `json:"ports,omitempty"`
}

type portView struct {
	Private int     `json:"private"`
	Public  *int    `json:"public"`
	Type    string  `json:"type"`
	IP      *string `json:"ip"`
}

// view is how the API shows a pod now. It needs s.mu.
func (s *Server) view(p *pod) podView {
	v := podView{
		ID: p.id, Name: p.name, Status: p.status, Actions: actions(p.status), Image: p.spec.Image, Args: p.spec.Args,
		Cmd: p.spec.Cmd, Entrypoint: p.spec.Entry, Disk: p.spec.Disk, Mounts: p.spec.Mounts,
		Ports: append([]string{}, p.spec.Ports...), Env: p.spec.Env, Registry: p.spec.Registry,
		GPU:   gpuView{p.gpu.ID, p.count, 8 * p.count, 64 * p.count},
		Cloud: p.cloud, Cost: p.cost(), Locked: p.locked, CreatedAt: p.created.UTC().Format(time.RFC3339Nano),
		GlobalNetworking: map[string]bool{"enabled": false},
	}
	if v.Env == nil {
		v.Env = map[string]string{}
	}
	if p.status != provisioning {
		zone, cuda := p.zone, hostCUDA
		v.DataCenterID, v.CUDAVersion = &zone, &cuda
		user := p.id + "-" + p.key[len(p.key)-8:]
		v.SSH.Proxy = &endpoint{"ssh.runpod.io", 22, user, "ssh " + user + "@ssh.runpod.io"}
	}
	if !p.started.IsZero() {
		at := p.started.UTC().Format(time.RFC3339Nano)
		v.StartedAt = &at
	}
	if port, ok := p.sshPort(); ok {
		host := "127.0.0.1"
		v.SSH.Direct = &endpoint{host, port, p.ssh.user, fmt.Sprintf("ssh %s@%s -p %d", p.ssh.user, host, port)}
		v.Runtime = &runtimeView{
			Uptime: int(s.clk.Now().Sub(p.started).Seconds()),
			// The second is one that nobody asked for, as the real API has them.
			Ports: []portView{{22, &port, "tcp", &host}, {19123, nil, "http", nil}},
		}
	}
	if _, ok := p.traits[CreatedAtV1]; ok {
		v.CreatedAt = p.created.UTC().Format("2006-01-02 15:04:05.999 +0000 UTC")
	}
	return v
}

// sshPort is where the API says that SSH is.
func (p *pod) sshPort() (int, bool) {
	switch {
	case p.status != running || !p.ssh.published || p.ssh.hide > 0:
		return 0, false
	case p.ssh.stale > 0:
		return p.ssh.stalePort, true
	}
	return p.ssh.port, true
}

// looked counts a GET for the faults that last for some. It needs s.mu.
func (p *pod) looked() {
	switch {
	case p.status != running || !p.ssh.published:
	case p.ssh.hide > 0:
		p.ssh.hide--
	case p.ssh.stale > 0:
		p.ssh.stale--
	}
}

func actions(status string) []string {
	switch status {
	case running:
		return []string{"stop", "restart", "terminate"}
	case exited, failed:
		return []string{"start", "terminate"}
	case provisioning, starting:
		return []string{"stop", "terminate"}
	}
	return []string{}
}

// podAnswer is a pod as an answer. What a trait bends out of the contract is
// sent as it is. It needs s.mu.
func (s *Server) podAnswer(status int, p *pod) answer {
	a := answer{status: status, body: s.view(p)}
	if p.bent() {
		return a.bend()
	}
	return a
}

// bent reports whether a trait makes the pod's JSON break the contract.
func (p *pod) bent() bool {
	_, v1 := p.traits[CreatedAtV1]
	_, word := p.traits[StatusUnknown]
	return v1 || word
}

func (a answer) bend() answer {
	a.raw, _ = json.Marshal(a.body) // structs of strings and numbers
	a.kind = "application/json"
	return a
}

// find returns a pod that the API knows. It needs s.mu.
func (s *Server) find(id string) (*pod, bool) {
	for _, p := range s.pods {
		if p.id == id && !s.clk.Now().Before(p.visible) {
			return p, true
		}
	}
	return nil, false
}

func (s *Server) getPod(c *call) answer {
	c.pod = c.vars["id"]
	if _, ok := s.take(c, Get500); ok {
		return refuse(http.StatusInternalServerError, "upstream failure")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.find(c.vars["id"])
	if !ok {
		return refuse(http.StatusNotFound, "pod not found")
	}
	if !p.alive() {
		if _, ok := s.take(c, GetTerminated); !ok {
			return refuse(http.StatusNotFound, "pod not found")
		}
	} else if _, ok := s.take(c, GetNotFound); ok {
		return refuse(http.StatusNotFound, "pod not found")
	}
	a := s.podAnswer(http.StatusOK, p)
	p.looked()
	return a
}

type listAnswer struct {
	Pods       []podView `json:"pods"`
	Pagination struct {
		NextCursor *string `json:"nextCursor"`
		HasNext    bool    `json:"hasNextPage"`
	} `json:"pagination"`
}

// cursor is where a list goes on: before the pod of that number, in the way of
// a fault or in the ordinary one.
type cursor struct {
	mode   string
	before int
	page   int
}

func (k cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "pods;%s;%d;%d", k.mode, k.before, k.page))
}

func parseCursor(text string) (k cursor, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return k, false
	}
	f := strings.Split(string(raw), ";")
	if len(f) != 4 || f[0] != "pods" {
		return k, false
	}
	k.mode = f[1]
	k.before, err = strconv.Atoi(f[2])
	page, err2 := strconv.Atoi(f[3])
	k.page = page
	return k, err == nil && err2 == nil && k.before >= 0 && page >= 0
}

func (s *Server) listPods(c *call) answer {
	if _, ok := s.take(c, List500); ok {
		return refuse(http.StatusInternalServerError, "upstream failure")
	}
	q := c.r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := cursor{before: len(s.pods)}
	if text := q.Get("cursor"); text != "" {
		var ok bool
		if at, ok = parseCursor(text); !ok {
			return refuse(http.StatusUnprocessableEntity, "Request validation failed.", "query parameter cursor: malformed cursor")
		}
	} else {
		for _, f := range []Fault{ListPages, ListShortPage, CursorLoop} {
			if _, ok := s.take(c, f); ok {
				at.mode = f.Name()
				break
			}
		}
	}
	limit := 1000
	if text := q.Get("limit"); text != "" {
		limit, _ = strconv.Atoi(text) // the contract has let it pass
	}
	var lag time.Duration
	if param, ok := s.take(c, ListLags); ok {
		lag = duration(param)
	}
	return s.page(s.listed(at.before, lag), at, limit)
}

// listed are the pods that a list shows, the newest first. It needs s.mu.
func (s *Server) listed(before int, lag time.Duration) []*pod {
	now := s.clk.Now()
	var out []*pod
	for _, p := range slices.Backward(s.pods) {
		if p.seq < before && p.alive() && !now.Before(p.visible) && !now.Before(p.created.Add(lag)) {
			out = append(out, p)
		}
	}
	return out
}

// page cuts a list. It needs s.mu.
func (s *Server) page(left []*pod, at cursor, limit int) answer {
	take := min(limit, len(left))
	more := take < len(left)
	switch at.mode {
	case ListPages.Name():
		pages := 3 - at.page // that are left, this one too
		if pages > 1 {
			take, more = min(limit, len(left)/pages), true
		}
	case ListShortPage.Name():
		if at.page == 0 {
			take, more = take/2, true
		}
	case CursorLoop.Name():
		more = true
	}
	var body listAnswer
	body.Pods = []podView{}
	bent := false
	next := cursor{mode: at.mode, before: at.before, page: at.page + 1}
	for _, p := range left[:take] {
		body.Pods = append(body.Pods, s.view(p))
		bent = bent || p.bent()
		next.before = p.seq
	}
	if at.mode == CursorLoop.Name() {
		next = at
	}
	if more {
		text := next.String()
		body.Pagination.NextCursor, body.Pagination.HasNext = &text, true
	}
	a := answer{status: http.StatusOK, body: body}
	if bent {
		return a.bend()
	}
	return a
}
