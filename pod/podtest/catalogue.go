package podtest

import "slices"

// GPU is a type of the catalogue.
type GPU struct {
	ID        string  // RunPod's id, which nvidia-smi prints as well
	Name      string  // RunPod's short name
	MemoryGB  int     // as the catalogue says it
	MemoryMiB int     // as nvidia-smi says it; 0: MemoryGB in GiB
	Secure    float64 // USD per GPU and hour; 0: not in that cloud
	Community float64
	MaxCount  int // GPUs in one pod at most; 0: 8
	// Zones says where there are some and how many: LOW, MEDIUM, HIGH; NONE: a
	// zone that is sold out. nil: four zones, from HIGH to LOW.
	Zones []Zone
}

// Zone is a data centre's stock of a GPU type.
type Zone struct{ ID, Stock string }

// Catalogue is RunPod's, as far as prices are known (autumn 2026). It is a
// fixture: nothing follows RunPod's prices.
func Catalogue() []GPU {
	return []GPU{
		{ID: "NVIDIA B300 SXM6 AC", Name: "B300", MemoryGB: 288, MemoryMiB: 275040, Secure: 7.89, Community: 6.94},
		{ID: "NVIDIA B200", Name: "B200", MemoryGB: 180, MemoryMiB: 183359, Secure: 6.79, Community: 5.98},
		{ID: "NVIDIA H200", Name: "H200 SXM", MemoryGB: 141, MemoryMiB: 143771, Secure: 4.59, Community: 3.59},
		{ID: "NVIDIA H100 80GB HBM3", Name: "H100 SXM", MemoryGB: 80, MemoryMiB: 81559, Secure: 3.99, Community: 2.69},
		{ID: "NVIDIA H100 NVL", Name: "H100 NVL", MemoryGB: 94, MemoryMiB: 95830, Secure: 3.19, Community: 2.59},
		{ID: "NVIDIA H100 PCIe", Name: "H100 PCIe", MemoryGB: 80, MemoryMiB: 81559, Secure: 2.89, Community: 1.99},
		{ID: "NVIDIA A100-SXM4-80GB", Name: "A100 SXM", MemoryGB: 80, MemoryMiB: 81920, Secure: 1.79, Community: 1.39},
		{ID: "NVIDIA A100 80GB PCIe", Name: "A100 PCIe", MemoryGB: 80, MemoryMiB: 81920, Secure: 1.79, Community: 1.19},
		{ID: "NVIDIA RTX PRO 6000 Blackwell Server Edition", Name: "RTX PRO 6000", MemoryGB: 96, MemoryMiB: 97887, Secure: 2.09},
		{ID: "NVIDIA RTX PRO 4500 Blackwell", Name: "RTX PRO 4500", MemoryGB: 32, MemoryMiB: 32623, Secure: 0.72},
		{ID: "NVIDIA L40S", Name: "L40S", MemoryGB: 48, MemoryMiB: 46068, Secure: 0.99, Community: 0.79},
		{ID: "NVIDIA L40", Name: "L40", MemoryGB: 48, MemoryMiB: 46068, Community: 0.69},
		{ID: "NVIDIA L4", Name: "L4", MemoryGB: 24, MemoryMiB: 23034, Secure: 0.39}, // the original lab's price
		{ID: "NVIDIA A40", Name: "A40", MemoryGB: 48, MemoryMiB: 46068, Secure: 0.49},
		{ID: "NVIDIA GeForce RTX 5090", Name: "RTX 5090", MemoryGB: 32, MemoryMiB: 32607, Community: 0.69},
		{ID: "NVIDIA GeForce RTX 4090", Name: "RTX 4090", MemoryGB: 24, MemoryMiB: 24564, Secure: 0.74, Community: 0.34},
		{ID: "NVIDIA GeForce RTX 3090", Name: "RTX 3090", MemoryGB: 24, MemoryMiB: 24576, Community: 0.22},
		{ID: "NVIDIA GeForce RTX 3070", Name: "RTX 3070", MemoryGB: 8, MemoryMiB: 8192, Secure: 0.13},
		{ID: "NVIDIA RTX A5000", Name: "RTX A5000", MemoryGB: 24, MemoryMiB: 24564, Secure: 0.27, Community: 0.16},
		{ID: "NVIDIA RTX A4000", Name: "RTX A4000", MemoryGB: 16, MemoryMiB: 16376, Secure: 0.25},
		{ID: "NVIDIA RTX 2000 Ada Generation", Name: "RTX 2000 Ada", MemoryGB: 16, MemoryMiB: 16380, Secure: 0.24},
	}
}

// site is a data centre.
type site struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Region          string          `json:"region"`
	GlobalNetwork   bool            `json:"globalNetwork"`
	VolumeTypes     []string        `json:"networkVolumeTypes"`
	Compliance      []string        `json:"compliance"`
	GPUAvailability []resourceStock `json:"gpuAvailability,omitempty"`
}

type resourceStock struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Availability string `json:"availability"`
}

func sites() []site {
	at := func(id, name, region string) site {
		return site{ID: id, Name: name, Region: region, GlobalNetwork: true,
			VolumeTypes: []string{"STANDARD"}, Compliance: []string{"SOC_2_TYPE_2"}}
	}
	return []site{
		at("US-KS-2", "US Kansas 2", "NORTH_AMERICA"),
		at("US-TX-3", "US Texas 3", "NORTH_AMERICA"),
		at("CA-MTL-1", "CA Montreal 1", "NORTH_AMERICA"),
		at("EU-RO-1", "EU Romania 1", "EUROPE"),
		at("EU-SE-1", "EU Sweden 1", "EUROPE"),
		at("EUR-IS-1", "EUR Iceland 1", "EUROPE"),
		at("AP-JP-1", "AP Japan 1", "ASIA"),
		at("OC-AU-1", "OC Australia 1", "OCEANIA"),
	}
}

func (g GPU) zones() []Zone {
	if g.Zones != nil {
		return g.Zones
	}
	return []Zone{{"US-KS-2", "HIGH"}, {"EU-RO-1", "HIGH"}, {"CA-MTL-1", "MEDIUM"}, {"EUR-IS-1", "LOW"}}
}

// stock is how many there are in a zone, or anywhere where the zone is empty.
func (g GPU) stock(zone string) string {
	best := "NONE"
	for _, z := range g.zones() {
		if (zone == "" || z.ID == zone) && rank(z.Stock) > rank(best) {
			best = z.Stock
		}
	}
	return best
}

func rank(level string) int { return slices.Index([]string{"NONE", "LOW", "MEDIUM", "HIGH"}, level) }

func (g GPU) maxCount() int {
	if g.MaxCount == 0 {
		return 8
	}
	return g.MaxCount
}

// price is what one GPU costs in a cloud; 0: it is not offered there.
func (g GPU) price(cloud string) float64 {
	if cloud == "COMMUNITY" {
		return g.Community
	}
	return g.Secure
}

func (s *Server) gpu(id string) (GPU, bool) {
	for _, g := range s.cfg.GPUs {
		if g.ID == id {
			return g, true
		}
	}
	return GPU{}, false
}
