package pod

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/x/dail/compose"
	"github.com/x/dail/internal/runpod"
)

// Offers reads RunPod's catalogue: for each GPU type of the run's hardware, in
// its order, the data centres that have it, the fullest first, and then
// wherever RunPod finds one. A volume that the run uses leaves its own data
// centre only.
func (r *RunPod) Offers(ctx context.Context, run *compose.Run) ([]Offer, error) {
	const op = "offers"
	cloud, err := r.cloud()
	if err != nil {
		return nil, r.refuse(op, ErrInvalid, err.Error(), "")
	}
	if len(run.Hardware.GPUTypeIDs) == 0 {
		return nil, r.refuse(op, ErrInvalid, fmt.Sprintf("hardware %s names no gpu_type_ids", run.Hardware.Key), "")
	}
	zone, err := r.volumeZone(ctx, run, cloud)
	if err != nil {
		return nil, err
	}
	types, err := r.api().GPUTypes(ctx, runpod.GPUQuery{Cloud: cloud, Count: run.GPUs, MinCUDAVersion: imageCUDA(run.Model.Image)})
	if err != nil {
		return nil, r.fault(op, "", err)
	}
	c := catalogue{types: types, cloud: cloud, gpus: run.GPUs, zone: zone}
	if zone != "" {
		c.weights = volumeWeights
	}
	var offers []Offer
	var why []lack
	for _, id := range run.Hardware.GPUTypeIDs {
		got, l := c.offers(id)
		if offers = append(offers, got...); len(got) == 0 {
			why = append(why, l)
		}
	}
	if len(offers) == 0 {
		l := combine(why)
		return nil, r.refuse(op, l.kind, l.message, l.hint)
	}
	return offers, nil
}

// volumeZone is the data centre of the volume that the run uses; empty: none.
func (r *RunPod) volumeZone(ctx context.Context, run *compose.Run, cloud string) (string, error) {
	const op = "offers"
	m := run.Model
	if !m.WeightsCached {
		return "", nil
	}
	if r.Volume == nil {
		if a := m.Architecture; a != nil && float64(m.ContainerDiskGB) < a.WeightsGB {
			return "", r.refuse(op, ErrInvalid, fmt.Sprintf("the %v GB of weights of %s-%s are meant for a network volume, and none is given; its container disk has %d GB",
				a.WeightsGB, m.Family, m.Quant, m.ContainerDiskGB), "set DAIL_NETWORK_VOLUME_ID and DAIL_DATA_CENTER_ID")
		}
		return "", nil
	}
	if cloud != runpod.CloudSecure {
		return "", r.refuse(op, ErrInvalid, "a network volume can only be used in the cloud "+runpod.CloudSecure, "")
	}
	v, err := r.api().NetworkVolume(ctx, r.Volume.ID)
	if runpod.KindOf(err) == runpod.NotFound {
		return "", r.refuse(op, ErrInvalid, fmt.Sprintf("there is no network volume %q", r.Volume.ID), "check DAIL_NETWORK_VOLUME_ID")
	}
	if err != nil {
		return "", r.fault(op, "", err)
	}
	if want := r.Volume.DataCenter; want != "" && !strings.EqualFold(want, v.DataCenter) {
		return "", r.refuse(op, ErrInvalid, fmt.Sprintf("network volume %s is in the data centre %s, not in %s", v.ID, v.DataCenter, want),
			"set DAIL_DATA_CENTER_ID="+v.DataCenter)
	}
	return v.DataCenter, nil
}

// lack is why a GPU type makes no offer.
type lack struct {
	kind          error
	message, hint string
}

// combine is one refusal of all GPU types: no capacity where that is true of
// any, since it passes.
func combine(why []lack) lack {
	out := why[0]
	for _, l := range why[1:] {
		out.message += "; " + l.message
		if l.kind == ErrNoCapacity && out.kind != ErrNoCapacity {
			out.kind, out.hint = l.kind, l.hint
		}
	}
	return out
}

// catalogue is RunPod's, for one question.
type catalogue struct {
	types []runpod.GPUType
	cloud string
	gpus  int
	zone  string // the only data centre that will do; empty: any

	weights string // see Offer.Weights
}

// offers are the candidates of one GPU type, or why there is none.
func (c catalogue) offers(id string) ([]Offer, lack) {
	i := slices.IndexFunc(c.types, func(g runpod.GPUType) bool { return g.ID == id })
	if i < 0 {
		return nil, lack{ErrInvalid, fmt.Sprintf("RunPod's catalogue has no GPU type %q", id),
			"in gpu_type_ids of the hardware, the nearest are " + strings.Join(c.nearest(id), ", ")}
	}
	g := c.types[i]
	price, most, offered := g.Terms(c.cloud)
	switch {
	case !offered:
		return nil, lack{ErrNoCapacity, fmt.Sprintf("the cloud %s does not have %s", c.cloud, id), c.instead(g)}
	case c.gpus > most:
		return nil, lack{ErrInvalid, fmt.Sprintf("a pod has at most %d × %s, and %d are asked for", most, id, c.gpus),
			"ask for fewer GPUs, or for another hardware"}
	case !(price > 0) || math.IsInf(price, 0):
		return nil, lack{ErrInvalid, fmt.Sprintf("RunPod's catalogue has no price for %s", id), "no ceiling could be held; choose another hardware"}
	}
	offer := Offer{GPU: id, GPUs: c.gpus, USDPerHour: price * float64(c.gpus), PriceSource: "RunPod's catalogue", Weights: c.weights}
	offers := c.places(offer, g)
	if len(offers) == 0 {
		where := "nowhere"
		if c.zone != "" {
			where = fmt.Sprintf("not in %s, where the network volume is,", c.zone)
		}
		return nil, lack{ErrNoCapacity, fmt.Sprintf("%d × %s: %s free now", c.gpus, id, where), c.instead(g)}
	}
	return offers, lack{}
}

// places puts an offer into every data centre that has the type.
func (c catalogue) places(offer Offer, g runpod.GPUType) []Offer {
	centres := slices.Clone(g.DataCenters)
	slices.SortStableFunc(centres, func(a, b runpod.DataCenter) int { return stock(b.Availability) - stock(a.Availability) })
	var offers []Offer
	for _, dc := range centres {
		if stock(dc.Availability) == 0 || (c.zone != "" && dc.ID != c.zone) {
			continue
		}
		offer.Zone, offer.Stock = dc.ID, dc.Availability
		offers = append(offers, offer)
	}
	if c.zone == "" && (len(offers) > 0 || stock(g.Availability) > 0) {
		offer.Zone, offer.Stock = "", g.Availability
		offers = append(offers, offer)
	}
	return offers
}

// stock orders RunPod's words for how much there is. One that is not known, or
// missing, is more than nothing: the create will tell.
func stock(word string) int {
	if i := slices.Index([]string{runpod.StockNone, runpod.StockLow, runpod.StockMedium, runpod.StockHigh}, word); i >= 0 {
		return i
	}
	return 1
}

// instead names what can be had now in the place of a type: of about as much
// memory, the nearest first.
func (c catalogue) instead(want runpod.GPUType) string {
	var free []runpod.GPUType
	for _, g := range c.types {
		_, most, offered := g.Terms(c.cloud)
		if offered && most >= c.gpus && g.ID != want.ID && 10*g.Memory >= 8*want.Memory && len(c.places(Offer{}, g)) > 0 {
			free = append(free, g)
		}
	}
	if len(free) == 0 {
		return fmt.Sprintf("no other GPU of %d GB or more is free either; try again later", want.Memory)
	}
	far := func(g runpod.GPUType) int { return max(g.Memory-want.Memory, want.Memory-g.Memory) }
	usd := func(g runpod.GPUType) float64 {
		price, _, _ := g.Terms(c.cloud)
		return price * float64(c.gpus)
	}
	slices.SortStableFunc(free, func(a, b runpod.GPUType) int {
		return cmp.Or(cmp.Compare(far(a), far(b)), cmp.Compare(usd(a), usd(b)))
	})
	var names []string
	for _, g := range free[:min(3, len(free))] {
		names = append(names, fmt.Sprintf("%d × %s (%d GB, $%.2f/h)", c.gpus, g.ID, c.gpus*g.Memory, usd(g)))
	}
	return "free now: " + strings.Join(names, ", ") + "; or try again later"
}

// nearest are the catalogue's ids that are spelt most like id.
func (c catalogue) nearest(id string) []string {
	ids := make([]string, len(c.types))
	for i, g := range c.types {
		ids[i] = g.ID
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(alike(b, id), alike(a, id)) })
	return ids[:min(3, len(ids))]
}

// alike is the share of pairs of neighbouring letters that two names have in
// common, from 0 to 1 (Dice's coefficient). Case, blanks and signs do not count.
func alike(a, b string) float64 {
	pairs := func(s string) map[string]int {
		s = notAlnum.ReplaceAllString(strings.ToLower(s), "")
		all := map[string]int{}
		for i := range max(0, len(s)-1) {
			all[s[i:i+2]]++
		}
		return all
	}
	inA, inB := pairs(a), pairs(b)
	common, total := 0, 0
	for p, n := range inA {
		common += min(n, inB[p])
		total += n
	}
	for _, n := range inB {
		total += n
	}
	if total == 0 {
		return 0
	}
	return 2 * float64(common) / float64(total)
}

var (
	notAlnum = regexp.MustCompile(`[^a-z0-9]+`)
	// cudaTag is how images say the CUDA version in a tag: cu128, cu1281,
	// cuda12.8.1; the third number does not matter.
	cudaTag = regexp.MustCompile(`(?:^|[-_.])cu(?:da)?[-_]?(\d\d)\.?(\d)(?:\.?\d)?(?:[-_]|$)`)
)

// imageCUDA is the CUDA version, as major.minor, that an image's tag says it
// needs of the host; empty where it says none. A container on an older driver
// does not start.
func imageCUDA(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndex(image, "/")+1:]
	_, tag, _ := strings.Cut(name, ":")
	m := cudaTag.FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return m[1] + "." + m[2]
}
