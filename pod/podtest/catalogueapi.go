package podtest

import (
	"net/http"
	"slices"
	"strings"
)

type clouds[T any] struct {
	Secure    T `json:"secure"`
	Community T `json:"community"`
}

type gpuType struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Pool         *string         `json:"pool"`
	Manufacturer string          `json:"manufacturer"`
	Memory       int             `json:"memory"`
	Secure       bool            `json:"secure"`
	Community    bool            `json:"community"`
	Price        clouds[float64] `json:"price"`
	MaxCount     clouds[int]     `json:"maxCount"`
	Availability string          `json:"availability,omitempty"`
	DataCenters  []resourceStock `json:"dataCenters,omitempty"`
	CUDAVersions []cudaVersion   `json:"cudaVersions,omitempty"`
}

type cudaVersion struct {
	Version   string `json:"version"`
	Available bool   `json:"available"`
}

// hostCUDA is what every machine's driver reports.
const hostCUDA = "13.0"

func (s *Server) gpuType(g GPU, c *call) gpuType {
	t := gpuType{
		ID: g.ID, Name: g.Name, Manufacturer: "NVIDIA", Memory: g.MemoryGB,
		Secure: g.Secure > 0, Community: g.Community > 0,
		Price:    clouds[float64]{g.Secure, g.Community},
		MaxCount: clouds[int]{g.maxCount(), g.maxCount()},
	}
	if !t.Secure {
		t.Price.Secure, t.MaxCount.Secure = 9.99, 0 // as the real one: a placeholder where the flag is false
	}
	if !t.Community {
		t.Price.Community, t.MaxCount.Community = 9.99, 0
	}
	q := c.r.URL.Query()
	if q.Get("include") == "" {
		return t
	}
	cloud := q.Get("cloud")
	t.Availability = "NONE"
	if g.price(cloud) == 0 || (q.Has("minCudaVersion") && olderThan(hostCUDA, q.Get("minCudaVersion"))) {
		return t
	}
	for _, z := range g.zones() {
		if z.Stock == "NONE" || !inCountries(z.ID, q.Get("countryCodes")) {
			continue
		}
		t.DataCenters = append(t.DataCenters, resourceStock{z.ID, siteName(z.ID), z.Stock})
		if rank(z.Stock) > rank(t.Availability) {
			t.Availability = z.Stock
		}
	}
	t.CUDAVersions = []cudaVersion{{hostCUDA, true}}
	return t
}

// inCountries reports whether a zone is in one of the countries of a filter:
// US-KS-2 is in the US, EU-RO-1 in RO.
func inCountries(zone, codes string) bool {
	parts := strings.Split(zone, "-")
	country := parts[0]
	if country != "US" && country != "CA" && len(parts) > 1 {
		country = parts[1]
	}
	return codes == "" || slices.Contains(strings.Split(codes, ","), country)
}

func siteName(id string) string {
	for _, d := range sites() {
		if d.ID == id {
			return d.Name
		}
	}
	return id
}

// availabilityRules are those that the contract's schemas cannot say.
func availabilityRules(c *call) (answer, bool) {
	q := c.r.URL.Query()
	including := q.Get("include") != ""
	for _, name := range []string{"product", "count", "cloud", "countryCodes", "cudaVersions", "minCudaVersion"} {
		if q.Has(name) && !including {
			return refuse(http.StatusBadRequest, name+" is valid only with include=AVAILABILITY"), false
		}
	}
	switch {
	case including && !q.Has("product"):
		return refuse(http.StatusBadRequest, "product is required with include=AVAILABILITY"), false
	case q.Has("cudaVersions") && q.Has("minCudaVersion"):
		return refuse(http.StatusBadRequest, "cudaVersions and minCudaVersion are mutually exclusive"), false
	}
	return answer{}, true
}

func (s *Server) listGPUs(c *call) answer {
	if a, ok := availabilityRules(c); !ok {
		return a
	}
	all := []gpuType{}
	for _, g := range s.cfg.GPUs {
		t := s.gpuType(g, c)
		if c.r.URL.Query().Has("countryCodes") && len(t.DataCenters) == 0 {
			continue
		}
		all = append(all, t)
	}
	return answer{status: 200, body: map[string]any{"gpus": all}}
}

func (s *Server) getGPU(c *call) answer {
	if a, ok := availabilityRules(c); !ok {
		return a
	}
	g, ok := s.gpu(c.vars["id"])
	if !ok {
		return refuse(http.StatusNotFound, "gpu type not found")
	}
	return answer{status: 200, body: s.gpuType(g, c)}
}

func (s *Server) listSites(c *call) answer {
	q := c.r.URL.Query()
	all := []site{}
	for _, d := range sites() {
		if q.Has("regions") && !slices.Contains(strings.Split(q.Get("regions"), ","), d.Region) {
			continue
		}
		all = append(all, s.withStock(d, c))
	}
	return answer{status: 200, body: map[string]any{"dataCenters": all}}
}

func (s *Server) withStock(d site, c *call) site {
	if !strings.Contains(c.r.URL.Query().Get("include"), "GPU_AVAILABILITY") {
		return d
	}
	for _, g := range s.cfg.GPUs {
		if level := g.stock(d.ID); level != "NONE" {
			d.GPUAvailability = append(d.GPUAvailability, resourceStock{g.ID, g.Name, level})
		}
	}
	return d
}

func (s *Server) getSite(c *call) answer {
	for _, d := range sites() {
		if d.ID == c.vars["id"] {
			return answer{status: 200, body: s.withStock(d, c)}
		}
	}
	return refuse(http.StatusNotFound, "data center not found")
}
