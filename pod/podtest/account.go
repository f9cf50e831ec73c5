package podtest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
)

// volume is a network volume.
type volume struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Size       int    `json:"size"`
	DataCenter string `json:"dataCenter"`
	Type       string `json:"type"`
}

// routes says which handler answers which operation of the document.
func (s *Server) routes() map[string]handler {
	return map[string]handler{
		"listPods": s.listPods, "createPod": s.createPod, "getPod": s.getPod, "updatePod": s.updatePod,
		"deletePod": s.deletePod, "podAction": s.podAction, "getPodLogs": s.podLogs,
		"listGpuTypes": s.listGPUs, "getGpuType": s.getGPU,
		"listDataCenters": s.listSites, "getDataCenter": s.getSite,
		"listPodBilling": s.podBilling,
		"getSshKeys":     s.getKeys, "updateSshKeys": s.putKeys,
		"listNetworkVolumes": s.listVolumes, "createNetworkVolume": s.createVolume, "getNetworkVolume": s.getVolume,
		"updateNetworkVolume": s.updateVolume, "deleteNetworkVolume": s.deleteVolume,
	}
}

func (s *Server) getKeys(*call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return answer{status: 200, body: map[string]any{"keys": append([]string{}, s.sshKeys...)}}
}

func (s *Server) putKeys(c *call) answer {
	var req struct {
		Keys []string `json:"keys"`
	}
	if err := c.decode(&req); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	s.mu.Lock()
	s.sshKeys = req.Keys
	s.mu.Unlock()
	return s.getKeys(c)
}

// volume returns a network volume.
func (s *Server) volume(id string) (volume, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.volumes {
		if v.ID == id {
			return v, true
		}
	}
	return volume{}, false
}

func (s *Server) listVolumes(*call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return answer{status: 200, body: map[string]any{"networkVolumes": append([]volume{}, s.volumes...)}}
}

func (s *Server) createVolume(c *call) answer {
	v := volume{ID: newID(10), Type: "STANDARD"}
	if err := c.decode(&v); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	if !slices.ContainsFunc(sites(), func(d site) bool { return d.ID == v.DataCenter }) {
		return refuse(http.StatusBadRequest, fmt.Sprintf("data center %q is not known", v.DataCenter))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.volumes = append(s.volumes, v)
	return answer{status: http.StatusCreated, body: v}
}

func (s *Server) getVolume(c *call) answer {
	v, ok := s.volume(c.vars["id"])
	if !ok {
		return refuse(http.StatusNotFound, "network volume not found")
	}
	return answer{status: 200, body: v}
}

func (s *Server) updateVolume(c *call) answer {
	var req struct {
		Name *string `json:"name"`
		Size *int    `json:"size"`
	}
	if err := c.decode(&req); err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.volumes {
		v := &s.volumes[i]
		if v.ID != c.vars["id"] {
			continue
		}
		if req.Size != nil && *req.Size < v.Size {
			return refuse(http.StatusBadRequest, "a network volume cannot be made smaller")
		}
		set(&v.Name, req.Name)
		set(&v.Size, req.Size)
		return answer{status: 200, body: *v}
	}
	return refuse(http.StatusNotFound, "network volume not found")
}

func (s *Server) deleteVolume(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.volumes, func(v volume) bool { return v.ID == c.vars["id"] })
	if i < 0 {
		return refuse(http.StatusNotFound, "network volume not found")
	}
	s.volumes = slices.Delete(s.volumes, i, i+1)
	return answer{status: http.StatusNoContent}
}

// terminateQuery finds podTerminate and its argument, written out or as a
// variable.
var (
	terminateQuery = regexp.MustCompile(`podTerminate\s*\(\s*input\s*:\s*(?:\{\s*podId\s*:\s*(?:"([^"]*)"|\$(\w+))\s*\}|\$(\w+))`)
	myselfQuery    = regexp.MustCompile(`myself\s*\{[^}]*clientBalance`)
)

// graphQL answers what of the old API is still needed: ending a pod from the
// inside, and the balance.
func (s *Server) graphQL(c *call) answer {
	var req struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	if c.r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, "The requested method is not allowed for this path.")
	}
	if err := c.decode(&req); err != nil {
		return refuse(http.StatusBadRequest, "the body is not JSON")
	}
	fault := func(message string) answer {
		return answer{status: 200, body: map[string]any{"errors": []map[string]string{{"message": message}}}}
	}
	if c.podKey != "" {
		if _, ok := s.take(c, GraphQLDenied); ok {
			return fault("Unauthorized")
		}
	}
	if m := terminateQuery.FindStringSubmatch(req.Query); m != nil {
		id := m[1]
		if m[2] != "" {
			id, _ = req.Variables[m[2]].(string)
		} else if m[3] != "" {
			input, _ := req.Variables[m[3]].(map[string]any)
			id, _ = input["podId"].(string)
		}
		return s.graphQLTerminate(c, id, fault)
	}
	if myselfQuery.MatchString(req.Query) && c.podKey == "" {
		return answer{status: 200, body: map[string]any{"data": map[string]any{"myself": map[string]any{
			"clientBalance": s.credit(), "currentSpendPerHr": s.spending(), "spendLimit": 80,
		}}}}
	}
	return fault("podtest answers podTerminate and myself{clientBalance} only")
}

func (s *Server) graphQLTerminate(c *call, id string, fault func(string) answer) answer {
	if c.podKey != "" && c.podKey != id {
		return fault("Unauthorized")
	}
	c.vars = map[string]string{"id": id}
	s.mu.Lock()
	p, _, ok := s.changing(c)
	s.mu.Unlock()
	if !ok {
		return fault("pod not found to terminate")
	}
	// A denied key is a fault of REST, and the others say what becomes of a
	// DELETE; here the pod is simply ended.
	s.terminate(p)
	if c.podKey == "" {
		s.halt(p)
	} else {
		c.after = func() { s.background(func() { s.halt(p) }) }
	}
	return answer{status: 200, body: map[string]any{"data": map[string]any{"podTerminate": nil}}}
}
