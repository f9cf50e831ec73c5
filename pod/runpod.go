package pod

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/x/dail/compose"
	"github.com/x/dail/internal/runpod"
)

// RunPod rents machines of runpod.io, by its REST v2. Key must be set; a
// RunPod must not be copied.
type RunPod struct {
	Key Secret
	// URL is another base URL: a test double's. Empty is the real one.
	URL string
	// Client, where it is not nil, carries the requests.
	Client *http.Client
	Clock  Clock
	// Cloud is SECURE where it is empty, or COMMUNITY: cheaper, without a
	// promise of a public address.
	Cloud string
	// Volume, where there is one, is mounted into pods of models whose weights
	// are cached, and pins them to its data centre.
	Volume *Volume

	once   sync.Once
	client *runpod.Client
}

// Volume is a network volume and where it lies.
type Volume struct{ ID, DataCenter string }

func (r *RunPod) api() *runpod.Client {
	r.once.Do(func() {
		r.client = &runpod.Client{Key: runpod.Key(r.Key.Reveal()), URL: r.URL, HTTP: r.Client, Clock: r.Clock}
	})
	return r.client
}

func (r *RunPod) cloud() string { return cmp.Or(strings.ToUpper(r.Cloud), runpod.CloudSecure) }

// About implements [Provider].
func (r *RunPod) About() About {
	return About{Name: "runpod", RealModel: true, Paid: true, Outlives: true, EndSelf: endPod(cmp.Or(r.URL, runpod.DefaultURL))}
}

// Offers reads the catalogue: the run's GPU type in every data centre that has
// it, the fullest first, and last wherever RunPod finds one.
func (r *RunPod) Offers(ctx context.Context, run *compose.Run) ([]Offer, error) {
	if len(run.Hardware.GPUTypeIDs) == 0 {
		return nil, r.own("offers", ErrInvalid, "hardware "+run.Hardware.Key+" names no gpu_type_ids", "")
	}
	want, cloud := run.Hardware.GPUTypeIDs[0], r.cloud()
	types, err := r.api().GPUTypes(ctx, runpod.GPUQuery{Cloud: cloud, Count: run.GPUs, MinCUDAVersion: minCUDA(run.Model.Image)})
	if err != nil {
		return nil, r.fault("offers", "", err)
	}
	i := slices.IndexFunc(types, func(g runpod.GPUType) bool { return g.ID == want })
	if i < 0 {
		return nil, r.own("offers", ErrInvalid, fmt.Sprintf("the catalogue has no GPU %q", want),
			"set gpu_type_ids of configs/hardware/"+run.Hardware.Key+".yaml to one that it has: "+nearest(want, types))
	}
	g := types[i]
	price, most, ok := g.Terms(cloud)
	if !ok {
		return nil, r.own("offers", ErrNoCapacity, fmt.Sprintf("%s is not offered in the %s cloud", want, cloud), "")
	}
	if most > 0 && run.GPUs > most {
		return nil, r.own("offers", ErrInvalid, fmt.Sprintf("a pod has at most %d × %s, and %d are asked for", most, want, run.GPUs), "lower -gpus, or choose another hardware")
	}
	base := Offer{GPU: want, GPUs: run.GPUs, USDPerHour: price * float64(run.GPUs), PriceSource: "RunPod's catalogue"}
	if base.USDPerHour <= 0 {
		return nil, r.own("offers", ErrInvalid, "the catalogue has no price for "+want, "")
	}
	offers := r.places(base, g, run)
	if len(offers) == 0 {
		return nil, r.own("offers", ErrNoCapacity, fmt.Sprintf("no data centre has %d × %s now", run.GPUs, want),
			"try again later, or a card that is there: "+available(types, g.Memory, cloud))
	}
	return offers, nil
}

// places are the candidates of one GPU type.
func (r *RunPod) places(base Offer, g runpod.GPUType, run *compose.Run) []Offer {
	at := func(zone, stock string) Offer {
		o := base
		o.Zone, o.Stock = zone, stock
		return o
	}
	if v := r.volume(run); v != nil {
		// A pod must be where its volume is; the catalogue is no reservation, so
		// the create decides.
		return []Offer{at(v.DataCenter, "")}
	}
	dcs := slices.Clone(g.DataCenters)
	slices.SortStableFunc(dcs, func(a, b runpod.DataCenter) int { return stock(b.Availability) - stock(a.Availability) })
	var offers []Offer
	for _, dc := range dcs {
		if stock(dc.Availability) > 0 {
			offers = append(offers, at(dc.ID, dc.Availability))
		}
	}
	if len(offers) > 0 || stock(g.Availability) > 0 {
		offers = append(offers, at("", g.Availability))
	}
	return offers
}

func (r *RunPod) volume(run *compose.Run) *Volume {
	if run.Model.WeightsCached {
		return r.Volume
	}
	return nil
}

// stock orders RunPod's words for how much there is.
func stock(level string) int {
	return slices.Index([]string{"NONE", "LOW", "MEDIUM", "HIGH"}, level)
}

// nearest names the catalogue's types that share the most with what was asked.
func nearest(want string, types []runpod.GPUType) string {
	words := strings.Fields(strings.ToLower(want))
	common := func(g runpod.GPUType) int {
		n := 0
		for _, w := range words {
			if strings.Contains(strings.ToLower(g.ID), w) {
				n++
			}
		}
		return n
	}
	sorted := slices.Clone(types)
	slices.SortStableFunc(sorted, func(a, b runpod.GPUType) int { return common(b) - common(a) })
	var ids []string
	for _, g := range sorted[:min(3, len(sorted))] {
		ids = append(ids, g.ID)
	}
	return strings.Join(ids, ", ")
}

// available names the cards of at least as much memory that can be had.
func available(types []runpod.GPUType, memory int, cloud string) string {
	var ids []string
	for _, g := range types {
		if price, _, ok := g.Terms(cloud); ok && g.Memory >= memory && stock(g.Availability) > 0 {
			ids = append(ids, fmt.Sprintf("%s ($%.2f/h)", g.ID, price))
		}
	}
	if len(ids) == 0 {
		return "none of its size is"
	}
	return strings.Join(ids[:min(4, len(ids))], ", ")
}

var imageCUDA = regexp.MustCompile(`-cu(?:da)?(\d\d)(\d)\d?-`)

// minCUDA is the CUDA version that an image needs of its host, by its tag:
// …-cu1281-… needs 12.8. Empty where the tag does not say.
func minCUDA(image string) string {
	m := imageCUDA.FindStringSubmatch(image + "-")
	if m == nil {
		return ""
	}
	return m[1] + "." + m[2]
}

// Create implements [Provider].
func (r *RunPod) Create(ctx context.Context, spec Spec) (Machine, error) {
	run := spec.Run
	body := runpod.CreateRequest{
		Name:  spec.Name,
		Image: run.Model.Image,
		GPU:   runpod.CreateGPU{ID: spec.Offer.GPU, Count: run.GPUs, MinCUDAVersion: minCUDA(run.Model.Image)},
		Disk:  max(run.Model.ContainerDiskGB, 20), // less gave false answers of no capacity
		Ports: []string{"22/tcp"},
		Env: map[string]string{
			"HW_PROVIDER": run.Hardware.Provider, "HW_INSTANCE": run.Hardware.Instance,
			"PUBLIC_KEY": spec.PublicKey, MarkerEnv: spec.Marker.String(),
		},
		Cloud: r.cloud(),
		// It keeps the PUBLIC_KEY that is there, so no other key enters; images
		// without the convention look at PUBLIC_KEY alone.
		StartSSH: true,
	}
	if spec.Offer.Zone != "" {
		body.DataCenterIDs = []string{spec.Offer.Zone}
	}
	if v := r.volume(run); v != nil {
		body.Mounts = &runpod.Mounts{Network: []runpod.NetworkMount{{VolumeID: v.ID, Path: defaultRoot}}}
	}
	if spec.Boot != "" {
		args, err := json.Marshal(map[string][]string{"cmd": {"bash", "-c", spec.Boot}})
		if err != nil {
			return Machine{}, r.own("create", ErrInvalid, err.Error(), "")
		}
		body.Args = string(args)
	}
	p, err := r.api().Create(ctx, body)
	if err != nil {
		return Machine{}, r.fault("create", "", err)
	}
	return machineOf(p), nil
}

// Get implements [Provider].
func (r *RunPod) Get(ctx context.Context, id string) (Machine, error) {
	p, err := r.api().Get(ctx, id)
	if err != nil {
		return Machine{}, r.fault("get", id, err)
	}
	return machineOf(p), nil
}

// List implements [Provider].
func (r *RunPod) List(ctx context.Context) ([]Machine, error) {
	pods, err := r.api().List(ctx)
	if err != nil {
		return nil, r.fault("list", "", err)
	}
	var all []Machine
	for _, p := range pods {
		all = append(all, machineOf(p))
	}
	return all, nil
}

// Terminate implements [Provider]. A pod that somebody locked is unlocked
// first: it is ours, and it costs money.
func (r *RunPod) Terminate(ctx context.Context, id string) error {
	err := r.api().Delete(ctx, id)
	if runpod.KindOf(err) == runpod.Conflict {
		if p, gerr := r.api().Get(ctx, id); gerr == nil && p.Locked {
			if err = r.api().Unlock(ctx, id); err == nil {
				err = r.api().Delete(ctx, id)
			}
		}
	}
	if err != nil {
		return r.fault("terminate", id, err)
	}
	return nil
}

// Logs implements [Provider].
func (r *RunPod) Logs(ctx context.Context, id string, lines int) ([]string, error) {
	got, err := r.api().Logs(ctx, id, "", lines)
	if err != nil {
		return nil, r.fault("logs", id, err)
	}
	var text []string
	for _, l := range got {
		text = append(text, l.Source+": "+l.Line)
	}
	return text, nil
}

// machineOf reads a pod. A marker counts only under a name of ours.
func machineOf(p runpod.Pod) Machine {
	m := Machine{ID: p.ID, Name: p.Name, Status: p.Status, USDPerHour: p.Cost, Zone: p.DataCenterID, Created: p.CreatedAt.Time}
	switch p.Status {
	case "RUNNING":
		m.State = Running
	case "EXITED", "ERROR":
		m.State = Failed
	case "TERMINATED":
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

// Handover implements [Survivor].
func (r *RunPod) Handover() (public, secret []byte, err error) {
	public, err = json.Marshal(podHandover{URL: r.URL, Cloud: r.Cloud})
	return public, []byte(r.Key.Reveal()), err
}

type podHandover struct{ URL, Cloud string }

func openPods(public, secret []byte, clk Clock) (Provider, error) {
	var h podHandover
	if err := json.Unmarshal(public, &h); err != nil {
		return nil, err
	}
	return &RunPod{Key: Secret(secret), URL: h.URL, Cloud: h.Cloud, Clock: clk}, nil
}

// graphQL is where the older API lives, beside a base URL of v2.
func graphQL(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v2") + "/graphql"
	return u.String()
}
