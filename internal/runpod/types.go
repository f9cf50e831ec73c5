package runpod

import (
	"strings"
	"time"
)

// Words of the API. Any other may come, too: they are kept as they are.
const (
	StatusProvisioning = "PROVISIONING"
	StatusStarting     = "STARTING"
	StatusRunning      = "RUNNING" // says nothing about SSH
	StatusExited       = "EXITED"  // stopped, and still billed for its disk
	StatusError        = "ERROR"
	StatusTerminated   = "TERMINATED"

	CloudSecure    = "SECURE"
	CloudCommunity = "COMMUNITY"

	StockHigh   = "HIGH"
	StockMedium = "MEDIUM"
	StockLow    = "LOW"
	StockNone   = "NONE"
)

// CreateRequest asks for a pod.
type CreateRequest struct {
	Name          string            `json:"name"`
	Image         string            `json:"image"`
	GPU           CreateGPU         `json:"gpu"`
	Disk          int               `json:"disk"` // GB of the container's own
	Ports         []string          `json:"ports,omitempty"`
	Env           map[string]string `json:"env,omitempty"`
	Args          string            `json:"args,omitempty"` // a command line, or a JSON object {"entrypoint":[…],"cmd":[…]}
	Cloud         string            `json:"cloud,omitempty"`
	DataCenterIDs []string          `json:"dataCenterIds,omitempty"` // empty: anywhere
	Mounts        *Mounts           `json:"mounts,omitempty"`
	StartSSH      bool              `json:"startSsh,omitempty"`
}

// CreateGPU is the GPU that is asked for.
type CreateGPU struct {
	ID             string `json:"id"`
	Count          int    `json:"count,omitempty"`
	MinCUDAVersion string `json:"minCudaVersion,omitempty"` // major.minor
}

// Mounts is what is mounted into a pod.
type Mounts struct {
	Network []NetworkMount `json:"network,omitempty"` // one at most
}

// NetworkMount is a network volume and where it is mounted.
type NetworkMount struct {
	VolumeID string `json:"volumeId"`
	Path     string `json:"path"`
}

// Pod is what the API says of a pod, as far as it is needed.
type Pod struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Status       string            `json:"status"`
	Image        string            `json:"image"`
	Env          map[string]string `json:"env"`
	GPU          *GPU              `json:"gpu"` // nil: a CPU pod
	Cloud        string            `json:"cloud"`
	DataCenterID string            `json:"dataCenterId"` // empty until it is known
	CUDAVersion  string            `json:"cudaVersion"`  // the host's; empty where it is not known
	SSH          SSH               `json:"ssh"`
	Cluster      *Cluster          `json:"cluster"` // nil: it stands alone
	Cost         float64           `json:"cost"`    // USD per hour, the whole pod; 0 when EXITED or TERMINATED
	Locked       bool              `json:"locked"`
	CreatedAt    Time              `json:"createdAt"`
}

// GPU is what a pod has.
type GPU struct {
	ID    string `json:"id"`
	Count int    `json:"count"`
}

// SSH is how a pod is reached.
type SSH struct {
	// Direct is nil until a public port is assigned.
	Direct *SSHEndpoint `json:"direct"`
}

// SSHEndpoint is an SSH server.
type SSHEndpoint struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Username string `json:"username"`
}

// Cluster is what a pod is a member of. It cannot be ended alone.
type Cluster struct {
	ID string `json:"id"`
}

// GPUType is an entry of the catalogue.
type GPUType struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Memory int    `json:"memory"` // GB of one GPU
	// Secure and Community say where it is offered. Price and MaxCount of a cloud
	// mean nothing where its flag is false.
	Secure    bool     `json:"secure"`
	Community bool     `json:"community"`
	Price     Prices   `json:"price"`
	MaxCount  MaxCount `json:"maxCount"`
	// What follows comes with availability only. No data centres: none has it.
	Availability string       `json:"availability"`
	DataCenters  []DataCenter `json:"dataCenters"`
}

// Prices are USD per hour of one GPU.
type Prices struct {
	Secure    float64 `json:"secure"`
	Community float64 `json:"community"`
}

// MaxCount is how many GPUs the largest machine has.
type MaxCount struct {
	Secure    int `json:"secure"`
	Community int `json:"community"`
}

// DataCenter is where a GPU can be had.
type DataCenter struct {
	ID           string `json:"id"`
	Availability string `json:"availability"`
}

// Terms are the price of one GPU, USD per hour, and the largest number of them
// in one pod, or false where the cloud does not have the type.
func (g GPUType) Terms(cloud string) (usdPerHour float64, maxCount int, ok bool) {
	if cloud == CloudCommunity {
		return g.Price.Community, g.MaxCount.Community, g.Community
	}
	return g.Price.Secure, g.MaxCount.Secure, g.Secure
}

// NetworkVolume is a disk that outlives pods.
type NetworkVolume struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Size       int    `json:"size"` // GB
	DataCenter string `json:"dataCenter"`
}

// BillingRecord is what a pod cost in a span of time. Records lag behind.
type BillingRecord struct {
	StartTime   Time    `json:"startTime"`
	EndTime     Time    `json:"endTime"`
	PodID       string  `json:"podId"`
	TotalAmount float64 `json:"totalAmount"` // USD
	GPUAmount   float64 `json:"gpuAmount"`
	DiskAmount  float64 `json:"diskAmount"`
}

// LogLine is a line of a pod's logs.
type LogLine struct {
	Source string `json:"source"` // SourceContainer or SourceSystem
	Line   string `json:"line"`
	TS     Time   `json:"ts"`
}

// Sources of logs.
const (
	SourceContainer = "container" // what the container prints
	SourceSystem    = "system"    // what the host does: pulling the image, creating the container
)

// Time is a time that the API gave. One that cannot be read is zero, and no
// error: a list of pods must not be lost for a date.
type Time struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Time) UnmarshalJSON(raw []byte) error {
	t.Time = time.Time{}
	text := strings.TrimSpace(strings.Trim(string(raw), `"`))
	for _, layout := range []string{
		time.RFC3339Nano,
		"2006-01-02 15:04:05 -0700 MST", // v1's, with or without a fraction
		"2006-01-02 15:04:05 -0700",
		"2006-01-02T15:04:05", // without a zone: UTC
	} {
		if at, err := time.Parse(layout, text); err == nil {
			t.Time = at.UTC()
			break
		}
	}
	return nil
}
