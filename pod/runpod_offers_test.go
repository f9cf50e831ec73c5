package pod_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/compose"
	"github.com/x/dail/pod"
)

// gpus is a catalogue of the types that the tests need.
const gpus = `{"gpus":[
	{"id":"NVIDIA L40S","memory":48,"secure":true,"community":true,"price":{"secure":0.99,"community":0.79},"maxCount":{"secure":8,"community":4},
	 "availability":"HIGH","dataCenters":[{"id":"US-TX-3","availability":"LOW"},{"id":"EU-RO-1","availability":"NONE"},{"id":"US-KS-2","availability":"HIGH"},{"id":"CA-MTL-1","availability":"MEDIUM"},{"id":"EU-SE-1","availability":"HIGH"}]},
	{"id":"NVIDIA A40","memory":48,"secure":true,"community":false,"price":{"secure":0.49,"community":9.99},"maxCount":{"secure":8,"community":0},
	 "availability":"LOW","dataCenters":[{"id":"EU-SE-1","availability":"LOW"}]},
	{"id":"NVIDIA RTX A6000","memory":48,"secure":true,"price":{"secure":0.59},"maxCount":{"secure":8},"availability":"NONE"},
	{"id":"NVIDIA H100 80GB HBM3","memory":80,"secure":true,"price":{"secure":3.99},"maxCount":{"secure":8},"availability":"LOW","dataCenters":[{"id":"US-KS-2","availability":"LOW"}]},
	{"id":"NVIDIA L40","memory":48,"secure":false,"community":true,"price":{"secure":0.01,"community":0.69},"maxCount":{"secure":0,"community":8},"availability":"NONE"},
	{"id":"NVIDIA L4","memory":24,"secure":true,"price":{"secure":0.39},"maxCount":{"secure":8},"availability":"HIGH","dataCenters":[{"id":"US-KS-2","availability":"HIGH"}]},
	{"id":"NVIDIA H200","memory":141,"secure":true,"price":{"secure":0},"maxCount":{"secure":8},"availability":"HIGH"},
	{"id":"NVIDIA B200","memory":180,"secure":true,"price":{"secure":6.79},"maxCount":{"secure":8},"availability":"PLENTY"}]}`

// places are offers in short.
func places(offers []pod.Offer) string {
	var all []string
	for _, o := range offers {
		all = append(all, fmt.Sprintf("%d×%s@%s %.2f %s", o.GPUs, strings.TrimPrefix(o.GPU, "NVIDIA "), o.Zone, o.USDPerHour, o.Stock))
	}
	return strings.Join(all, "|")
}

func TestRunPodOffers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*pod.RunPod, *compose.Run)
		want   string
	}{
		{"the fullest first, then anywhere", func(*pod.RunPod, *compose.Run) {},
			"2×L40S@US-KS-2 1.98 HIGH|2×L40S@EU-SE-1 1.98 HIGH|2×L40S@CA-MTL-1 1.98 MEDIUM|2×L40S@US-TX-3 1.98 LOW|2×L40S@ 1.98 HIGH"},
		{"the other cloud's price", func(r *pod.RunPod, run *compose.Run) { r.Cloud, run.GPUs = "COMMUNITY", 1 },
			"1×L40S@US-KS-2 0.79 HIGH|1×L40S@EU-SE-1 0.79 HIGH|1×L40S@CA-MTL-1 0.79 MEDIUM|1×L40S@US-TX-3 0.79 LOW|1×L40S@ 0.79 HIGH"},
		{"types in the hardware's order, those left out that cannot be had", func(_ *pod.RunPod, run *compose.Run) {
			run.Hardware.GPUTypeIDs = []string{"NVIDIA H100 80GB HBM3", "NVIDIA RTX A6000", "NVIDIA A40", "NVIDIA L99"}
		}, "2×H100 80GB HBM3@US-KS-2 7.98 LOW|2×H100 80GB HBM3@ 7.98 LOW|2×A40@EU-SE-1 0.98 LOW|2×A40@ 0.98 LOW"},
		{"the volume's data centre only", func(r *pod.RunPod, run *compose.Run) {
			r.Volume, run.Model.WeightsCached = &pod.Volume{ID: "vol", DataCenter: "us-tx-3"}, true
		}, "2×L40S@US-TX-3 1.98 LOW"},
		{"the volume's data centre, which RunPod knows", func(r *pod.RunPod, run *compose.Run) {
			r.Volume, run.Model.WeightsCached = &pod.Volume{ID: "vol"}, true
		}, "2×L40S@US-TX-3 1.98 LOW"},
		{"a volume that the model does not use", func(r *pod.RunPod, run *compose.Run) {
			r.Volume, run.Hardware.GPUTypeIDs = &pod.Volume{ID: "vol", DataCenter: "US-TX-3"}, []string{"NVIDIA A40"}
		}, "2×A40@EU-SE-1 0.98 LOW|2×A40@ 0.98 LOW"},
		{"a word for the stock that is not known", func(_ *pod.RunPod, run *compose.Run) {
			run.Hardware.GPUTypeIDs = []string{"NVIDIA B200"}
		}, "2×B200@ 13.58 PLENTY"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, c := runPod(t, map[string][]reply{
				"GET /v2/catalog/gpus":        {{200, gpus}},
				"GET /v2/network-volumes/vol": {{200, `{"id":"vol","name":"v","size":100,"dataCenter":"US-TX-3","type":"STANDARD"}`}},
			})
			run := l40s()
			tc.change(r, run)
			offers, err := r.Offers(context.Background(), run)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, places(offers)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if offers[0].PriceSource == "" {
				t.Error("where the price comes from is not said")
			}
			calls := c.called()
			if !strings.Contains(calls[len(calls)-1], fmt.Sprintf("count=%d&include=AVAILABILITY&minCudaVersion=12.8&product=POD", run.GPUs)) {
				t.Errorf("asked %q", calls)
			}
		})
	}
}

func TestRunPodHasNoOffer(t *testing.T) {
	id := func(ids ...string) func(*pod.RunPod, *compose.Run) {
		return func(_ *pod.RunPod, run *compose.Run) { run.Hardware.GPUTypeIDs = ids }
	}
	for _, tc := range []struct {
		name   string
		change func(*pod.RunPod, *compose.Run)
		kind   error
		words  []string // in this order
	}{
		{"sold out", id("NVIDIA RTX A6000"), pod.ErrNoCapacity,
			[]string{"2 × NVIDIA RTX A6000: nowhere", "2 × NVIDIA A40 (96 GB, $0.98/h)", "2 × NVIDIA L40S", "H100"}},
		{"sold out, the largest", func(r *pod.RunPod, run *compose.Run) {
			run.Hardware.GPUTypeIDs, run.GPUs = []string{"NVIDIA RTX A6000"}, 9
		},
			pod.ErrInvalid, []string{"at most 8 × NVIDIA RTX A6000, and 9"}},
		{"not in this cloud", id("NVIDIA L40"), pod.ErrNoCapacity, []string{"SECURE does not have NVIDIA L40", "NVIDIA A40"}},
		{"misspelt", id("NVIDIA L4OS"), pod.ErrInvalid, []string{`no GPU type "NVIDIA L4OS"`, "NVIDIA L40S"}},
		{"by its short name", id("H100 SXM"), pod.ErrInvalid, []string{"the nearest are NVIDIA H100 80GB HBM3"}},
		{"without a price", id("NVIDIA H200"), pod.ErrInvalid, []string{"no price"}},
		{"two types, one sold out", id("H100 SXM", "NVIDIA RTX A6000"), pod.ErrNoCapacity, []string{"H100 SXM", "nowhere", "free now"}},
		{"not where the volume is", func(r *pod.RunPod, run *compose.Run) {
			r.Volume, run.Model.WeightsCached = &pod.Volume{ID: "vol", DataCenter: "US-KS-2"}, true
			run.Hardware.GPUTypeIDs = []string{"NVIDIA A40"}
		}, pod.ErrNoCapacity, []string{"not in US-KS-2, where the network volume is", "NVIDIA L40S", "H100"}},
		{"a volume elsewhere", func(r *pod.RunPod, run *compose.Run) {
			r.Volume, run.Model.WeightsCached = &pod.Volume{ID: "vol", DataCenter: "EU-RO-1"}, true
		}, pod.ErrInvalid, []string{"in the data centre US-KS-2, not in EU-RO-1", "DAIL_DATA_CENTER_ID=US-KS-2"}},
		{"a volume that is not there", func(r *pod.RunPod, run *compose.Run) {
			r.Volume, run.Model.WeightsCached = &pod.Volume{ID: "gone"}, true
		}, pod.ErrInvalid, []string{"no network volume", "DAIL_NETWORK_VOLUME_ID"}},
		{"a volume in the wrong cloud", func(r *pod.RunPod, run *compose.Run) {
			r.Volume, run.Model.WeightsCached, r.Cloud = &pod.Volume{ID: "vol"}, true, "COMMUNITY"
		}, pod.ErrInvalid, []string{"SECURE"}},
		{"weights that fit nowhere", func(_ *pod.RunPod, run *compose.Run) {
			run.Model.WeightsCached, run.Model.Architecture = true, &compose.Architecture{WeightsGB: 230}
		}, pod.ErrInvalid, []string{"230 GB", "DAIL_NETWORK_VOLUME_ID"}},
		{"a key that is refused", func(*pod.RunPod, *compose.Run) {}, pod.ErrUnauthorized, []string{"RUNPOD_API_KEY"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers := map[string][]reply{
				"GET /v2/catalog/gpus":        {{200, gpus}},
				"GET /v2/network-volumes/vol": {{200, `{"id":"vol","name":"v","size":100,"dataCenter":"US-KS-2","type":"STANDARD"}`}},
			}
			if tc.kind == pod.ErrUnauthorized {
				answers["GET /v2/catalog/gpus"] = []reply{problem(401, "missing bearer token")}
			}
			r, _ := runPod(t, answers)
			run := l40s()
			tc.change(r, run)
			offers, err := r.Offers(context.Background(), run)
			if !errors.Is(err, tc.kind) || len(offers) > 0 {
				t.Fatalf("%d offers, %v; want %v", len(offers), err, tc.kind)
			}
			rest := err.Error()
			for _, w := range tc.words {
				_, after, ok := strings.Cut(rest, w)
				if !ok {
					t.Fatalf("%v\ndoes not say %q here: %s", err, w, rest)
				}
				rest = after
			}
		})
	}
}

func TestImagesSayTheirCUDA(t *testing.T) {
	for image, want := range map[string]string{
		"runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404":          "12.8",
		"runpod/pytorch:1.0.7-cu1300-torch291-ubuntu2404":          "13.0",
		"runpod/base:1.0.2-cuda1281-ubuntu2404":                    "12.8",
		"runpod/pytorch:2.1.0-py3.10-cuda11.8.0-devel-ubuntu22.04": "11.8",
		"x:1-cu128": "12.8",
		"registry.example:5000/x:cu121-y@sha256:cu999": "12.1",
		"vllm/vllm-openai:v0.11.0":                     "",
		"runpod/base:1.0.2-ubuntu2404":                 "",
		"registry.cu128:5000/cu118/image":              "",
		"x:focus128":                                   "",
		"x:cu12811":                                    "",
	} {
		r, c := runPod(t, map[string][]reply{"GET /v2/catalog/gpus": {{200, gpus}}})
		run := l40s()
		run.Model.Image = image
		if _, err := r.Offers(context.Background(), run); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(c.called()[0], "minCudaVersion=")
		if got, _, _ = strings.Cut(got, "&"); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}
