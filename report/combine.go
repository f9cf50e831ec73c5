package report

import (
	"cmp"
	"maps"
	"slices"

	"github.com/x/dail/slo"
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
	// Hours is the month that the levels' cost_per_dev_month is of. It is the same
	// for all that were combined together, so that they can be compared.
	Hours  float64
	Latest *Report
	Files  []File // the latest first
	Levels []CombinedLevel
}

// CombinedLevel is one team size over its runs, merged as repeats are. Its money
// is at the latest run's price, and may be other than what its own run's report
// says.
type CombinedLevel struct {
	Level
	From []File // what it was merged from, the latest last
}

// Combine joins runs: team sizes that several runs measured are merged (see
// [Merge]), those of different runs stand side by side. What was judged by other
// limits is another key. The order is that of the keys' parts.
//
// All levels of a key are priced anew before they are merged: at the price per GPU
// hour of its latest run, and for one number of hours a month, which is the
// reports' where all of files agree on it, else [slo.HoursPerMonth]. The reports
// stay as they are.
func Combine(files []File) []Combined {
	hours := commonHours(files)
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
		all = append(all, combine(k, byKey[k], hours))
	}
	return all
}

func combine(k Key, files []File, hours float64) Combined {
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(a.Report.RunID, b.Report.RunID) })
	c := Combined{Key: k, Hours: hours, Latest: files[len(files)-1].Report}
	levels, from := map[int][]Level{}, map[int][]File{}
	for _, f := range files {
		for _, l := range f.Report.ByDevs {
			l = f.Report.reprice(l, c.Latest.PriceUSDPerGPUHour, hours)
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

// hours is the month that the report's costs are of.
func (r *Report) hours() float64 { return cmp.Or(r.HoursPerMonth, slo.HoursPerMonth) }

// commonHours is the month that all reports agree on, else a whole one.
func commonHours(files []File) float64 {
	for _, f := range files {
		if f.Report.hours() != files[0].Report.hours() {
			return slo.HoursPerMonth
		}
	}
	if len(files) == 0 {
		return slo.HoursPerMonth
	}
	return files[0].Report.hours()
}

// reprice is a level of the report with its money at another price per GPU hour
// and for another month.
func (r *Report) reprice(l Level, price, hours float64) Level {
	was := r.PriceUSDPerGPUHour
	if price == was && hours == r.hours() {
		return l
	}
	l.CostPerDevHour = slo.CostPerDevHour(price, r.GPUCount, l.Devs)
	l.CostPerDevMonth = slo.CostPerDevMonth(price, r.GPUCount, l.Devs, hours)
	l.CostPerMTok, l.CostPerMTokOutput = scaled(l.CostPerMTok, was, price), scaled(l.CostPerMTokOutput, was, price)
	if l.Repeats != nil {
		repeats := *l.Repeats
		repeats.Levels = slices.Clone(repeats.Levels)
		for i, one := range repeats.Levels {
			repeats.Levels[i] = r.reprice(one, price, hours)
		}
		l.Repeats = &repeats
	}
	return l
}

// scaled is a cost at another price; nil where it was free, which says nothing of
// a price.
func scaled(cost *float64, was, is float64) *float64 {
	switch {
	case cost == nil || was == is:
		return cost
	case was == 0:
		return nil
	}
	v := *cost * is / was
	return &v
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
// A level that is not valid never wins. All should come from one call of
// [Combine], which prices them alike.
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
