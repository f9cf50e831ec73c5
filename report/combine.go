package report

import (
	"cmp"
	"maps"
	"slices"
)

// Key is what makes levels comparable: the same work on the same server, known
// in the same way and judged by the same limits.
type Key struct {
	Benchmark, Family, Quant, Hardware string
	GPUs                               int
	Source                             Source
	SLO                                SLO // its percentile is never empty
}

// Key is the report's own.
func (r *Report) Key() Key {
	limits := r.SLO
	limits.Percentile = cmp.Or(limits.Percentile, "p50")
	return Key{r.Benchmark, r.Family, r.Quant, r.Hardware, r.GPUCount, r.Source, limits}
}

// Combined is one key over all of its runs. Prices and the saturated throughput
// are the latest run's.
type Combined struct {
	Key
	Latest *Report
	Files  []File // the latest first
	Levels []CombinedLevel
}

// CombinedLevel is one team size over its runs, merged as repeats are.
type CombinedLevel struct {
	Level
	From []File // what it was merged from, the latest last
}

// Combine joins runs: team sizes that several runs measured are merged (see
// [Merge]), those of different runs stand side by side. What was judged by other
// limits is another key. The order is that of the keys' parts.
func Combine(files []File) []Combined {
	byKey := map[Key][]File{}
	for _, f := range files {
		byKey[f.Report.Key()] = append(byKey[f.Report.Key()], f)
	}
	keys := slices.SortedFunc(maps.Keys(byKey), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Benchmark, b.Benchmark), cmp.Compare(a.Family, b.Family), cmp.Compare(a.Quant, b.Quant),
			cmp.Compare(a.Hardware, b.Hardware), cmp.Compare(a.GPUs, b.GPUs), cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.SLO.MaxTTFT, b.SLO.MaxTTFT), cmp.Compare(a.SLO.MinTPS, b.SLO.MinTPS), cmp.Compare(a.SLO.Percentile, b.SLO.Percentile))
	})
	var all []Combined
	for _, k := range keys {
		all = append(all, combine(k, byKey[k]))
	}
	return all
}

func combine(k Key, files []File) Combined {
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(a.Report.RunID, b.Report.RunID) })
	c := Combined{Key: k, Latest: files[len(files)-1].Report}
	levels, from := map[int][]Level{}, map[int][]File{}
	for _, f := range files {
		for _, l := range f.Report.ByDevs {
			levels[l.Devs], from[l.Devs] = append(levels[l.Devs], l), append(from[l.Devs], f)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(levels)) {
		c.Levels = append(c.Levels, CombinedLevel{Merge(levels[n]), from[n]})
	}
	c.Files = slices.Clone(files)
	slices.Reverse(c.Files)
	return c
}

// Best is the level that answers, as [Report.Best] has it: the largest that holds
// with a load that was real.
func (c Combined) Best() (CombinedLevel, bool) {
	var best CombinedLevel
	for _, l := range c.Levels {
		if l.HoldsSLO && (l.Valid == nil || *l.Valid) && l.Devs > best.Devs {
			best = l
		}
	}
	return best, best.Devs > 0
}

// Rank sorts what could serve somebody by what a developer costs there at the
// largest team that holds, the cheapest first; what holds for nobody comes last.
// A level that is not valid never wins.
func Rank(all []Combined) []Combined {
	ranked := slices.Clone(all)
	slices.SortStableFunc(ranked, func(a, b Combined) int {
		x, okA := a.Best()
		y, okB := b.Best()
		switch {
		case okA && okB:
			return cmp.Compare(x.CostPerDevMonth, y.CostPerDevMonth)
		case okA:
			return -1
		case okB:
			return 1
		}
		return 0
	})
	return ranked
}
