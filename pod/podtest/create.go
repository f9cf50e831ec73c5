package podtest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// createRequest is the body of POST /v2/pods.
type createRequest struct {
	Name          string            `json:"name"`
	Image         string            `json:"image"`
	Args          string            `json:"args"`
	Cmd           []string          `json:"cmd"`
	Entrypoint    []string          `json:"entrypoint"`
	Disk          int               `json:"disk"`
	Ports         []string          `json:"ports"`
	Env           map[string]string `json:"env"`
	Registry      *string           `json:"registry"`
	Cloud         string            `json:"cloud"`
	DataCenterIDs []string          `json:"dataCenterIds"`
	Mounts        mounts            `json:"mounts"`
	StartSSH      bool              `json:"startSsh"`
	TemplateID    string            `json:"templateId"`
	CPU           *struct{}         `json:"cpu"`
	GPU           *struct {
		ID                  string   `json:"id"`
		Count               int      `json:"count"`
		MinCUDAVersion      string   `json:"minCudaVersion"`
		AllowedCUDAVersions []string `json:"allowedCudaVersions"`
	} `json:"gpu"`
}

type mounts struct {
	Persistent *struct {
		Size int    `json:"size"`
		Path string `json:"path"`
	} `json:"persistent,omitempty"`
	Network []struct {
		VolumeID string `json:"volumeId"`
		Path     string `json:"path"`
	} `json:"network,omitempty"`
}

// noCapacity is RunPod's sentence; a client must know it by heart, since the
// status alone does not tell it from a broken rule.
const noCapacity = "There are no longer any instances available with the requested specifications. Please refresh and try again."

// createPod is POST /v2/pods. In the order of RunPod's answers: the rules that
// a schema cannot say, the credit, the capacity; then the pod exists.
func (s *Server) createPod(c *call) answer {
	if a, acted := s.createRefused(c); acted {
		return a
	}
	var req createRequest
	if err := c.decode(&req); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	if req.GPU != nil && req.GPU.Count == 0 {
		req.GPU.Count = 1
	}
	if req.Cloud == "" {
		req.Cloud = "SECURE"
	}
	if a, ok := s.createRules(req); !ok {
		return a
	}
	gpu, zone, a, ok := s.place(req)
	if !ok {
		return a
	}
	if s.credit() < gpu.price(req.Cloud)*float64(req.GPU.Count) {
		return refuse(http.StatusPaymentRequired, "insufficient balance: a pod needs credit for at least one hour")
	}
	var visible time.Duration
	late, isLate := s.take(c, CreateLate)
	if isLate {
		visible = duration(late)
	}
	p := s.newPod(req, gpu, zone, visible)
	if _, ok := s.take(c, CreateTwice); ok {
		p = s.newPod(req, gpu, zone, visible)
	}
	c.pod = p.id
	return s.created(c, p, isLate)
}

// createRefused is what can go wrong before a pod is made.
func (s *Server) createRefused(c *call) (answer, bool) {
	for _, f := range []struct {
		fault Fault
		say   func(param string) answer
	}{
		{CreateRate, func(wait string) answer {
			return retryAfter(duration(wait), "rate limit exceeded for the minute window")
		}},
		{CreateFails, func(string) answer { return refuse(http.StatusInternalServerError, "create pod: upstream failure") }},
		{Unprocessable, func(string) answer {
			return refuse(http.StatusUnprocessableEntity, "Request validation failed.", "$: additional properties 'bogus' not allowed", "$.disk: minimum: got 0, want 1")
		}},
		{BadRequest, func(string) answer {
			return refuse(http.StatusBadRequest, "the request breaks a rule: globalNetworking is not supported here")
		}},
		{NoCredit, func(string) answer { return refuse(http.StatusPaymentRequired, "insufficient balance") }},
		{Denied, func(string) answer { return refuse(http.StatusForbidden, "access to the requested pool is denied") }},
		{NoCapacity, func(string) answer { return refuse(http.StatusBadRequest, noCapacity) }},
	} {
		if param, ok := s.take(c, f.fault); ok {
			return f.say(param), true
		}
	}
	return answer{}, false
}

// createRules are the rules between the fields.
func (s *Server) createRules(req createRequest) (answer, bool) {
	bad := func(format string, args ...any) (answer, bool) {
		return refuse(http.StatusBadRequest, fmt.Sprintf(format, args...)), false
	}
	http10 := 0
	for _, p := range req.Ports {
		number, proto, _ := strings.Cut(p, "/")
		if n, err := strconv.Atoi(number); err != nil || n < 1 || (proto != "tcp" && proto != "http") {
			return bad("port %q: want <number>/tcp or <number>/http", p)
		}
		if proto == "http" {
			http10++
		}
	}
	switch {
	case (req.GPU == nil) == (req.CPU == nil):
		return bad("exactly one of gpu or cpu must be set")
	case req.CPU != nil:
		return bad(noCapacity) // podtest has no CPU pods
	case req.TemplateID != "":
		return refuse(http.StatusNotFound, "template not found"), false
	case req.Disk == 0:
		return bad("a template id or pod configuration parameters are required")
	case len(req.Env) > 50:
		return bad("at most 50 environment variables are allowed, got %d", len(req.Env))
	case http10 > 10:
		return bad("at most 10 http ports are allowed, got %d", http10)
	case req.GPU.MinCUDAVersion != "" && len(req.GPU.AllowedCUDAVersions) > 0:
		return bad("minCudaVersion and allowedCudaVersions are mutually exclusive")
	case req.Mounts.Persistent != nil && len(req.Mounts.Network) > 0:
		return bad("mounts.persistent and mounts.network are mutually exclusive")
	case len(req.Mounts.Network) > 0 && req.Cloud != "SECURE":
		return bad("network volumes are only available in the SECURE cloud")
	}
	return answer{}, true
}

// place finds a machine.
func (s *Server) place(req createRequest) (GPU, string, answer, bool) {
	none := refuse(http.StatusBadRequest, noCapacity)
	gpu, known := s.gpu(req.GPU.ID)
	if !known {
		return gpu, "", refuse(http.StatusBadRequest, fmt.Sprintf("gpu type %q is not known", req.GPU.ID)), false
	}
	zones := req.DataCenterIDs
	if n := req.Mounts.Network; len(n) > 0 {
		v, ok := s.volume(n[0].VolumeID)
		if !ok {
			return gpu, "", refuse(http.StatusNotFound, "network volume not found"), false
		}
		if len(zones) > 0 && !slices.Contains(zones, v.DataCenter) {
			return gpu, "", refuse(http.StatusBadRequest, "the network volume is in another data center: "+v.DataCenter), false
		}
		zones = []string{v.DataCenter}
	}
	allowed := req.GPU.AllowedCUDAVersions
	if gpu.price(req.Cloud) == 0 || req.GPU.Count > gpu.maxCount() || olderThan(hostCUDA, req.GPU.MinCUDAVersion) ||
		(len(allowed) > 0 && !slices.Contains(allowed, hostCUDA)) {
		return gpu, "", none, false
	}
	best := ""
	for _, z := range gpu.zones() {
		if len(zones) > 0 && !slices.Contains(zones, z.ID) {
			continue
		}
		if z.Stock != "NONE" && (best == "" || rank(z.Stock) > rank(gpu.stock(best))) {
			best = z.ID
		}
	}
	if best == "" {
		return gpu, "", none, false
	}
	return gpu, best, answer{}, true
}

// olderThan compares major.minor; "" is older than nothing.
func olderThan(version, floor string) bool {
	if floor == "" {
		return false
	}
	parse := func(v string) (major, minor int) {
		a, b, _ := strings.Cut(v, ".")
		major, _ = strconv.Atoi(a) // digits: the contract says so
		minor, _ = strconv.Atoi(b)
		return major, minor
	}
	am, an := parse(version)
	bm, bn := parse(floor)
	return am < bm || (am == bm && an < bn)
}

// newPod makes a pod and starts its life. From here on it is billed.
func (s *Server) newPod(req createRequest, gpu GPU, zone string, visible time.Duration) *pod {
	now := s.clk.Now()
	env := maps.Clone(req.Env)
	p := &pod{
		id: newID(14), key: "rpa_pod_" + rand.Text(), created: now, visible: now.Add(visible),
		gpu: gpu, count: req.GPU.Count, cloud: req.Cloud, zone: zone,
		traits: map[Fault]string{}, logs: newLogbook(), name: req.Name, status: provisioning,
		spec: podSpec{Image: req.Image, Args: req.Args, Cmd: req.Cmd, Entry: req.Entrypoint, Disk: req.Disk,
			Ports: req.Ports, Env: env, Registry: req.Registry, Mounts: req.Mounts},
	}
	for _, info := range faultTable() {
		if info.kind != onPod {
			continue
		}
		if param, ok := s.faults.take(info.fault); ok {
			p.traits[info.fault] = param
		}
	}
	p.rate = round(gpu.price(req.Cloud) * float64(p.count))
	if param, ok := p.traits[CostAbove]; ok {
		if usd, err := strconv.ParseFloat(param, 64); err == nil {
			p.rate = usd
		} else {
			p.rate = round(10 * p.rate)
		}
	}
	_, p.locked = p.traits[Locked]
	p.charge(now, p.rate)

	s.mu.Lock()
	defer s.mu.Unlock()
	if req.StartSSH && p.spec.Env["PUBLIC_KEY"] == "" && len(s.sshKeys) > 0 {
		if p.spec.Env == nil {
			p.spec.Env = map[string]string{}
		}
		p.spec.Env["PUBLIC_KEY"] = strings.Join(s.sshKeys, "\n")
	}
	p.seq = len(s.pods)
	s.pods = append(s.pods, p)
	s.begin(p)
	return p
}

func round(usd float64) float64 { return math.Round(usd*1e6) / 1e6 }

// newID is a random id as RunPod's look.
func newID(n int) string { return strings.ToLower(rand.Text())[:n] }

// created answers a create whose pod exists.
func (s *Server) created(c *call, p *pod, late bool) answer {
	if _, ok := s.take(c, CreateHangs); ok {
		return answer{hang: true}
	}
	if _, ok := s.take(c, CreateCut); ok {
		return answer{cut: true}
	}
	if wait, ok := s.take(c, CreateSlow); ok {
		if s.clk.Sleep(c.r.Context(), duration(wait)) != nil {
			return answer{cut: true}
		}
	}
	if _, ok := s.take(c, Create500); ok || late {
		return refuse(http.StatusInternalServerError, "create pod: the operation could not be completed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.podAnswer(http.StatusCreated, p)
	if _, ok := s.take(c, CreateBrokenJSON); ok {
		return answer{status: http.StatusCreated, kind: "application/json", raw: []byte(`{"id":"` + p.id[:4])}
	}
	return a
}
