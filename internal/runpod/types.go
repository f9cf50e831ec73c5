package runpod

import (
	"encoding/json"
	"fmt"
	"time"
)

// CreatePod is the body of POST /pods: the fields that we use.
type CreatePod struct {
	Name          string            `json:"name"`
	Image         string            `json:"image"`
	GPU           *CreateGPU        `json:"gpu,omitempty"`
	Disk          int               `json:"disk"` // GB; a body without it was refused live
	Ports         []string          `json:"ports,omitempty"`
	Env           map[string]string `json:"env,omitempty"`
	Args          string            `json:"args,omitempty"`
	Cloud         string            `json:"cloud,omitempty"` // SECURE, COMMUNITY
	DataCenterIDs []string          `json:"dataCenterIds,omitempty"`
	Mounts        *Mounts           `json:"mounts,omitempty"`
	StartSSH      bool              `json:"startSsh,omitempty"`
}

// CreateGPU is the one GPU type that is asked for.
type CreateGPU struct {
	ID             string `json:"id"`
	Count          int    `json:"count"`
	MinCUDAVersion string `json:"minCudaVersion,omitempty"`
}

// Mounts are a pod's volumes.
type Mounts struct {
	Network []NetworkMount `json:"network,omitempty"`
}

// NetworkMount is a network volume in a pod.
type NetworkMount struct {
	VolumeID string `json:"volumeId"`
	Path     string `json:"path"`
}

// Pod is what the API says of a pod: the fields that we read.
type Pod struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Status       string            `json:"status"` // PROVISIONING STARTING RUNNING EXITED ERROR TERMINATED, or a word to come
	Env          map[string]string `json:"env"`
	DataCenterID string            `json:"dataCenterId"`
	CUDAVersion  string            `json:"cudaVersion"`
	Cost         float64           `json:"cost"` // USD per hour, the whole pod
	Locked       bool              `json:"locked"`
	CreatedAt    Time              `json:"createdAt"`
	SSH          struct {
		Direct *SSH `json:"direct"`
	} `json:"ssh"`
	GPU *struct {
		ID    string `json:"id"`
		Count int    `json:"count"`
	} `json:"gpu"`
}

// SSH is where a pod's own sshd is published.
type SSH struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Username string `json:"username"`
}

// Time reads RFC 3339, and the format of v1; what is neither is the zero time,
// because no decision hangs on it.
type Time struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if at, err := time.Parse(layout, s); err == nil {
			t.Time = at
			return nil
		}
	}
	return nil
}

// GPU is one type of the catalogue.
type GPU struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Memory    int    `json:"memory"` // GB
	Secure    bool   `json:"secure"`
	Community bool   `json:"community"`
	// Price is USD per hour of one GPU; a figure counts only where the flag of
	// its cloud is set.
	Price        ByCloud[float64] `json:"price"`
	MaxCount     ByCloud[int]     `json:"maxCount"`
	Availability string           `json:"availability"` // NONE LOW MEDIUM HIGH
	DataCenters  []DataCenter     `json:"dataCenters"`
}

// ByCloud is a figure for each of the two clouds.
type ByCloud[T any] struct {
	Secure    T `json:"secure"`
	Community T `json:"community"`
}

// Of is the figure for one cloud.
func (b ByCloud[T]) Of(cloud string) T {
	if cloud == Community {
		return b.Community
	}
	return b.Secure
}

// In reports whether a GPU type is offered in a cloud.
func (g GPU) In(cloud string) bool {
	if cloud == Community {
		return g.Community
	}
	return g.Secure
}

// The clouds.
const (
	Secure    = "SECURE"
	Community = "COMMUNITY"
)

// DataCenter is where a GPU type can be had.
type DataCenter struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Availability string `json:"availability"`
}

// Key is an API key. It never prints itself.
type Key string

const redacted = "[redacted]"

// String implements fmt.Stringer.
func (Key) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Key) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb prints the key.
func (Key) Format(f fmt.State, _ rune) { f.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
