package dashboard

import (
	"slices"

	"github.com/x/dail/report"
)

// The page's data. Keys are short because there may be thousands of levels; what
// they mean is said here, and nowhere else.

// page is all that is parsed when the page is opened.
type page struct {
	Built  string  `json:"built"`          // when, for people
	Seen   string  `json:"seen,omitempty"` // the state of the folder that a live page shows
	Combos []combo `json:"combos"`
	Runs   []run   `json:"runs"`
	Bad    []bad   `json:"bad,omitempty"`
}

// bad is a report that could not be read.
type bad struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// combo is one benchmark on one model and hardware from one source, over all of
// its runs. Prices, SLO and Θmax are the latest run's.
type combo struct {
	Benchmark string   `json:"bench"`
	Family    string   `json:"family"`
	Quant     string   `json:"quant"`
	Hardware  string   `json:"hw"`
	GPUs      int      `json:"gpus"`
	Source    string   `json:"source"`
	Price     float64  `json:"price"` // USD per GPU hour
	PriceAsOf string   `json:"asof,omitempty"`
	PriceFrom string   `json:"pricefrom,omitempty"`
	Hours     float64  `json:"hours"` // of a month
	SLO       limits   `json:"slo"`
	Theta     *float64 `json:"theta,omitempty"` // output tokens an hour, saturated
	APIs      []api    `json:"apis,omitempty"`
	Levels    []level  `json:"levels"`
	Runs      []int    `json:"runs"` // places in page.Runs, the latest first
	MaxLen    int      `json:"maxlen,omitempty"`
}

type limits struct {
	TTFT       float64 `json:"ttft"`
	TPS        float64 `json:"tps"`
	Percentile string  `json:"pct"`
}

// api is a hosted API's prices, in USD per million tokens.
type api struct {
	Name   string  `json:"name"`
	Model  string  `json:"model"`
	AsOf   string  `json:"asof"`
	Note   string  `json:"note,omitempty"`
	Input  float64 `json:"in"`
	Read   float64 `json:"read"`
	Write  float64 `json:"write"`
	Output float64 `json:"out"`
}

// figures are what a verdict is read from.
type figures struct {
	TTFT  *float64    `json:"ttft"` // s, of the SLO's percentile
	TPS   *float64    `json:"tps"`
	TTFTB *[2]float64 `json:"ttftb,omitempty"` // bounds; an upper one of -1 is unknown
	TPSB  *[2]float64 `json:"tpsb,omitempty"`
}

// part is what is judged anew under other limits: one measurement of one team
// size.
type part struct {
	figures
	// All is while all N were at work, null where that was too short.
	All    *figures `json:"all,omitempty"`
	Denied bool     `json:"denied,omitempty"` // it does not hold under any limits
	Open   bool     `json:"open,omitempty"`   // it is not certain under any limits
}

// level is one team size. Its figures are the means of its parts.
type level struct {
	N      int    `json:"n"`
	Holds  bool   `json:"holds"`
	Sure   bool   `json:"sure"`  // the verdict does not hang on where in a bucket the truth lies
	Valid  *bool  `json:"valid"` // null: its work is not judged yet
	Limits bool   `json:"machine,omitempty"`
	Why    string `json:"why"`
	part
	Parts    []part         `json:"parts,omitempty"` // missing where the level is its only one
	Share    *float64       `json:"share,omitempty"` // part of the resampled windows that hold
	ConfTTFT *[2]float64    `json:"cttft,omitempty"`
	ConfTPS  *[2]float64    `json:"ctps,omitempty"`
	MeanTPS  *float64       `json:"mean,omitempty"`
	TTFT90   *float64       `json:"ttft90,omitempty"`
	TPS90    *float64       `json:"tps90,omitempty"`
	MTok     *float64       `json:"mtok,omitempty"` // USD per million tokens where a GPU hour costs 1
	MTokOut  *float64       `json:"mtokout,omitempty"`
	PerHour  *float64       `json:"perhour,omitempty"` // tokens
	Hit      *float64       `json:"hit,omitempty"`
	Util     *float64       `json:"util,omitempty"`
	Penalty  *float64       `json:"penalty,omitempty"`
	OK       int            `json:"ok"` // agents that did real work
	Use      *usage         `json:"use,omitempty"`
	CV       map[string]int `json:"cv,omitempty"` // in tenths of a percent, by figure
	Run      int            `json:"run"`          // the latest it comes from
	Stopped  string         `json:"stopped,omitempty"`
}

// usage is what the server counted.
type usage struct {
	Prompt  int64   `json:"prompt"`
	Cached  int64   `json:"cached"`
	Output  int64   `json:"output"`
	Seconds float64 `json:"s"`
}

// run is one report, as a line of a list. What else is known of it stands in an
// element of its own, which is parsed when it is looked at.
type run struct {
	ID        string   `json:"id"`
	Path      string   `json:"path"`
	Date      string   `json:"date"`
	Cost      *float64 `json:"cost,omitempty"`
	CostBasis string   `json:"basis,omitempty"`
	Truncated string   `json:"trunc,omitempty"`
	Combo     int      `json:"combo"`
	Levels    []int    `json:"levels,omitempty"` // its own team sizes
}

// use is what the server counted in a level of a report.
func use(r *report.Report, n int) *usage {
	only := *r
	only.ByDevs = slices.DeleteFunc(slices.Clone(r.ByDevs), func(l report.Level) bool { return l.Devs != n })
	only.Money = nil
	only.Compare(0, nil)
	if m := only.Money; m != nil && m.Usage != nil {
		return &usage{m.Usage.Prompt, m.Usage.Cached, m.Usage.Output, m.Usage.Seconds}
	}
	return nil
}

// combos are the combinations of light reports, whose paths are their places in
// runs.
func combos(files []report.File, runs []run) []combo {
	place := map[*report.Report]int{}
	for i, f := range files {
		place[f.Report] = i
	}
	list := []combo{}
	for i, g := range report.Combine(files) {
		r := g.Latest
		c := combo{
			Benchmark: g.Benchmark, Family: g.Family, Quant: g.Quant, Hardware: g.Hardware, GPUs: g.GPUs, Source: string(g.Source), Hours: g.Hours,
			Price: r.PriceUSDPerGPUHour, PriceAsOf: r.PriceAsOf, PriceFrom: r.PriceSource, MaxLen: r.MaxModelLen,
			SLO: limits{g.SLO.MaxTTFT, g.SLO.MinTPS, g.SLO.Percentile},
		}
		if r.ThetaMax != nil {
			c.Theta = &r.ThetaMax.OutputTokensPerHour
		}
		if r.Money != nil {
			for _, a := range r.Money.APIs {
				c.APIs = append(c.APIs, api{a.Name, a.Model, a.AsOf, a.Note, a.Input, a.CacheRead, a.CacheWrite, a.Output})
			}
		}
		for _, f := range g.Files {
			c.Runs = append(c.Runs, place[f.Report])
			runs[place[f.Report]].Combo = i
		}
		for _, l := range g.Levels {
			last := l.From[len(l.From)-1].Report
			out := merged(l, c.GPUs)
			out.Run, out.Use = place[last], use(last, l.Devs)
			c.Levels = append(c.Levels, out)
		}
		list = append(list, c)
	}
	return list
}
