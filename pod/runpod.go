package pod

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/x/dail/internal/runpod"
)

// RunPod rents machines of runpod.io, by its REST v2. Key is all that it
// needs. It must not be copied after the first call.
type RunPod struct {
	// Key is the account's API key. It prints as [redacted].
	Key Secret
	// URL is the API's base URL: another one than RunPod's is a test double's.
	URL string
	// Client does the calls; nil is http.DefaultClient.
	Client *http.Client
	// Clock is the time of waits between calls; nil is the wall clock.
	Clock Clock
	// Volume is a network volume that holds weights. It is mounted where a
	// model's weights_cached says so, and binds the pod to its data centre.
	Volume *Volume
	// Cloud is SECURE where it is empty, or COMMUNITY, which is cheaper and
	// promises no public address.
	Cloud string

	once   sync.Once
	client *runpod.Client
}

// Volume is a network volume.
type Volume struct {
	ID string
	// DataCenter is where it lies; where it is empty, RunPod is asked.
	DataCenter string
}

const (
	// volumePath is where a volume is mounted: below the folder in which the
	// machine's side works, and not at it, because two pods may share a volume,
	// and the one's heartbeat must not hold the other's switch. Its folder for
	// weights is the one that the original lab filled.
	volumePath    = defaultRoot + "/volume"
	volumeWeights = volumePath + "/huggingface"
	runPodMinDisk = 20 // GB; less gave false answers of no capacity
)

func (r *RunPod) api() *runpod.Client {
	r.once.Do(func() {
		r.client = &runpod.Client{Key: runpod.Key(r.Key.Reveal()), URL: r.URL, HTTP: r.Client, Clock: r.Clock}
	})
	return r.client
}

func (r *RunPod) cloud() (string, error) {
	switch c := strings.ToUpper(cmp.Or(r.Cloud, runpod.CloudSecure)); c {
	case runpod.CloudSecure, runpod.CloudCommunity:
		return c, nil
	}
	return "", fmt.Errorf("there is no cloud %q: want %s or %s", r.Cloud, runpod.CloudSecure, runpod.CloudCommunity)
}

// About implements [Provider].
func (r *RunPod) About() About {
	return About{
		Name: "runpod", RealModel: true, Paid: true, Outlives: true,
		EndSelf: endRunPod(cmp.Or(r.URL, runpod.DefaultURL)),
	}
}

// Create implements [Provider]. The request is sent once.
func (r *RunPod) Create(ctx context.Context, spec Spec) (Machine, error) {
	req, err := r.request(spec)
	if err != nil {
		return Machine{}, r.refuse("create", ErrInvalid, err.Error(), "")
	}
	p, err := r.api().Create(ctx, req)
	if err != nil {
		return Machine{}, r.fault("create", "", err)
	}
	return runPodMachine(p), nil
}

// request is what RunPod is asked for. Of ours, the machine's environment
// holds nothing but what the contract of the two sides names, and no secret:
// whoever may read the account sees it.
func (r *RunPod) request(spec Spec) (runpod.CreateRequest, error) {
	run := spec.Run
	cloud, err := r.cloud()
	if err != nil {
		return runpod.CreateRequest{}, err
	}
	if spec.Offer.GPU == "" {
		return runpod.CreateRequest{}, errors.New("the offer names no GPU type")
	}
	req := runpod.CreateRequest{
		Name:  spec.Name,
		Image: run.Model.Image,
		GPU: runpod.CreateGPU{
			ID: spec.Offer.GPU, Count: cmp.Or(spec.Offer.GPUs, run.GPUs), MinCUDAVersion: imageCUDA(run.Model.Image),
		},
		Disk:  max(run.Model.ContainerDiskGB, runPodMinDisk),
		Ports: []string{"22/tcp"},
		Env: map[string]string{
			"HW_PROVIDER": cmp.Or(run.Hardware.Provider, "runpod"),
			"HW_INSTANCE": cmp.Or(run.Hardware.Instance, run.Hardware.Key),
			MarkerEnv:     spec.Marker.String(),
		},
		Cloud: cloud,
		// With PUBLIC_KEY set, it adds no other key; images may look at either.
		StartSSH: true,
	}
	if spec.PublicKey != "" {
		req.Env["PUBLIC_KEY"] = spec.PublicKey
	}
	if spec.Offer.Zone != "" {
		req.DataCenterIDs = []string{spec.Offer.Zone}
	}
	if r.Volume != nil && run.Model.WeightsCached {
		req.Mounts = &runpod.Mounts{Network: []runpod.NetworkMount{{VolumeID: r.Volume.ID, Path: volumePath}}}
	}
	if spec.Boot != "" {
		args, err := json.Marshal(map[string][]string{"cmd": {"bash", "-c", spec.Boot}})
		if err != nil {
			return runpod.CreateRequest{}, err
		}
		req.Args = string(args)
	}
	return req, nil
}

// Get implements [Provider].
func (r *RunPod) Get(ctx context.Context, id string) (Machine, error) {
	p, err := r.api().Get(ctx, id)
	if err != nil {
		return Machine{}, r.fault("get", id, err)
	}
	return runPodMachine(p), nil
}

// List implements [Provider]. Members of clusters, which cannot be ended one by
// one and are never ours, are left out.
func (r *RunPod) List(ctx context.Context) ([]Machine, error) {
	pods, err := r.api().List(ctx)
	if err != nil {
		return nil, r.fault("list", "", err)
	}
	all := make([]Machine, len(pods))
	for i, p := range pods {
		all[i] = runPodMachine(p)
	}
	return all, nil
}

// Terminate implements [Provider]. A pod that somebody has locked is unlocked;
// a member of a cluster is [ErrConflict].
func (r *RunPod) Terminate(ctx context.Context, id string) error {
	err := r.api().Delete(ctx, id)
	switch runpod.KindOf(err) {
	case runpod.Conflict, runpod.Invalid, runpod.Denied: // what it answers for a lock is nowhere written
		err = r.unlock(ctx, id, err)
	}
	if err != nil {
		return r.fault("terminate", id, err)
	}
	return nil
}

// unlock deletes a pod whose delete was refused, where its lock may be why.
func (r *RunPod) unlock(ctx context.Context, id string, refused error) error {
	p, err := r.api().Get(ctx, id)
	if err != nil || p.Cluster != nil || !p.Locked {
		return refused // which says more
	}
	if err := r.api().Unlock(ctx, id); err != nil {
		return err
	}
	return r.api().Delete(ctx, id)
}

// Logs implements [Provider]: what the host says (pulling the image, creating
// the container) and what the container prints, in the order of time.
func (r *RunPod) Logs(ctx context.Context, id string, lines int) ([]string, error) {
	sources := []string{runpod.SourceSystem, runpod.SourceContainer}
	logs := make([][]runpod.LogLine, len(sources))
	errs := make([]error, len(sources))
	var both sync.WaitGroup
	for i, source := range sources {
		both.Go(func() { logs[i], errs[i] = r.api().Logs(ctx, id, source, lines) })
	}
	both.Wait()
	if errs[0] != nil && errs[1] != nil {
		return nil, r.fault("logs", id, errs[0])
	}
	for _, log := range logs {
		for i := 1; i < len(log); i++ {
			if log[i].TS.IsZero() { // it stays where it is
				log[i].TS = log[i-1].TS
			}
		}
	}
	all := slices.Concat(logs...)
	slices.SortStableFunc(all, func(a, b runpod.LogLine) int { return a.TS.Compare(b.TS.Time) })
	text := make([]string, 0, min(len(all), lines))
	for _, l := range all[max(0, len(all)-lines):] {
		text = append(text, strings.TrimSpace(l.Source+": "+printable(l.Line)))
	}
	return text, nil
}

// printable leaves out of a line what would move a terminal's cursor.
func printable(line string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, line)
}

// runPodMachine reads a pod. Its marker counts only under a name of ours: an
// environment is easily copied from one pod to another.
func runPodMachine(p runpod.Pod) Machine {
	m := Machine{
		ID: p.ID, Name: p.Name, State: Pending, Status: p.Status,
		USDPerHour: p.Cost, Zone: p.DataCenterID, Created: p.CreatedAt.Time,
	}
	switch p.Status {
	case runpod.StatusRunning:
		m.State = Running
	case runpod.StatusExited, runpod.StatusError:
		m.State = Failed
	case runpod.StatusTerminated:
		m.State = Gone
	}
	if d := p.SSH.Direct; d != nil && d.Host != "" && d.Port > 0 {
		m.SSH = &Address{User: cmp.Or(d.Username, "root"), Host: d.Host, Port: d.Port}
	}
	if strings.HasPrefix(p.Name, NamePrefix) {
		if marker, err := ParseMarker(p.Env[MarkerEnv]); err == nil {
			m.Marker = &marker
		}
	}
	return m
}
