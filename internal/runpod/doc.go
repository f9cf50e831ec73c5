// Package runpod speaks RunPod's REST v2 (https://api.runpod.io/v2), as far as
// somebody needs it who rents pods and gives them back: pods, their logs, the
// GPU catalogue, network volumes and the bill.
//
// It knows the wire and nothing of a pod's life. What may be sent again is: a
// GET or a DELETE after a failure, anything after a 429. A POST that may have
// happened is sent once, and its error then says so ([Error.Unclear]). Field
// names and rules are those of the provider's OpenAPI document, a copy of which
// the tests hold requests and answers against (pod/podtest/openapi).
//
//	c := &runpod.Client{Key: key}
//	p, err := c.Create(ctx, runpod.CreatePod{Name: "dail-1790000000-…", Image: "…", GPU: &runpod.CreateGPU{ID: "NVIDIA L40S", Count: 1}, Disk: 100})
package runpod
