package pod

import "encoding/json"

// podHandover is what the ledger remembers of an account: enough to tell two
// apart, and nothing to enter one with.
type podHandover struct {
	URL   string `json:"url,omitempty"`
	Cloud string `json:"cloud,omitempty"`
	Key   string `json:"key"` // its fingerprint
}

// Handover implements [Survivor].
func (r *RunPod) Handover() (public, secret []byte, err error) {
	public, err = json.Marshal(podHandover{r.URL, r.Cloud, r.Key.Fingerprint()})
	return public, []byte(r.Key.Reveal()), err
}

func openRunPod(public, secret []byte, clk Clock) (Provider, error) {
	var h podHandover
	if err := json.Unmarshal(public, &h); err != nil {
		return nil, err
	}
	return &RunPod{Key: Secret(secret), URL: h.URL, Cloud: h.Cloud, Clock: clk}, nil
}

// EndByHand implements [ByHand].
func (*RunPod) EndByHand(id string) string {
	return "runpodctl remove pod " + id + ", or https://console.runpod.io/pods"
}
