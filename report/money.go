package report

import (
	"math"

	"github.com/x/dail/slo"
)

// Money is what a level's tokens and its GPUs' price mean beside a hosted API,
// for people rather than for agents that are always busy. It is about the
// level that [Report.Best] names; where none holds the SLO, about the largest
// one with a real load. All of it is computed by [Report.Complete] from the
// rest of the report, the duty cycle and the APIs' prices.
type Money struct {
	HoursPerMonth float64 `json:"hours_per_month"` // that the GPUs are paid for
	// DutyCycle is the part of those hours in which one person's agent is at
	// work, above 0, at most 1; 0 where nobody said, and every developer then
	// is an agent that is always busy.
	DutyCycle float64 `json:"duty_cycle,omitempty"`
	Devs      int     `json:"devs,omitempty"` // agents of the level; 0 where there is none
	HoldsSLO  bool    `json:"holds_slo"`
	Usage     *Usage  `json:"usage,omitempty"`
	// People are those who could share the server; nil without a duty cycle,
	// or where no level holds.
	People   *People   `json:"people,omitempty"`
	APIs     []API     `json:"apis,omitempty"`
	SLOPrice *SLOPrice `json:"slo_price,omitempty"`
}

// Usage is what the server counted in the level's whole window, or in those of
// its repeats together.
type Usage struct {
	Prompt  int64   `json:"prompt"`  // cached ones included
	Cached  int64   `json:"cached"`  // prompt tokens that its prefix cache held
	Output  int64   `json:"output"`  // generated tokens
	Seconds float64 `json:"seconds"` // length of the window
	// CachedEstimated is set where the server's counts do not say how many
	// were cached, and the hit rate had to serve.
	CachedEstimated bool `json:"cached_estimated,omitempty"`
}

// People is a number of agents that are always busy as a number of people; see
// [slo.People].
type People struct {
	Mean float64 `json:"mean"` // with so many, the level's N are busy on average
	Safe int     `json:"safe"` // with so many, more than N are busy in at most 5 % of the time
	// USDPerPersonMonth is the GPUs' cost per month ÷ Safe.
	USDPerPersonMonth float64 `json:"usd_per_person_month"`
}

// API is a hosted API: who sells what at which list price, in USD per million
// tokens, and what the level's tokens would have cost there. A developer is a
// person where the duty cycle is known, else an agent that is always busy. The
// pointers are nil where they cannot be known.
type API struct {
	Name       string  `json:"name"`
	Model      string  `json:"model"`
	AsOf       string  `json:"as_of"` // YYYY-MM-DD, when the prices were seen
	Source     string  `json:"source,omitempty"`
	Note       string  `json:"note,omitempty"` // what the prices leave out
	Input      float64 `json:"input_usd_per_mtok"`
	CacheRead  float64 `json:"cache_read_usd_per_mtok"`
	CacheWrite float64 `json:"cache_write_usd_per_mtok"`
	Output     float64 `json:"output_usd_per_mtok"`

	USDPerDevHour     *float64 `json:"usd_per_dev_hour,omitempty"` // of an agent at work
	USDPerDevMonth    *float64 `json:"usd_per_dev_month,omitempty"`
	USDPerMTokBlended *float64 `json:"usd_per_mtok_blended,omitempty"` // all tokens of the level alike
	// BreakEvenDevs is the smallest team for which the GPUs cost no more than
	// the API. Its developers are taken to use as many tokens as the level's.
	BreakEvenDevs *int `json:"break_even_devs,omitempty"`
	// CheaperAtN says whether a team of BreakEvenDevs is within what holds the
	// SLO: the level's N, or that many people (safe); nil where none holds.
	CheaperAtN *bool `json:"cheaper_at_n,omitempty"`
}

func (a API) price() slo.APIPrice {
	return slo.APIPrice{Input: a.Input, CacheRead: a.CacheRead, CacheWrite: a.CacheWrite, Output: a.Output}
}

// SLOPrice is what keeping the SLO costs: a token's price at the largest team
// that holds it against that on the saturated server.
type SLOPrice struct {
	AtN        float64 `json:"usd_per_mtok_output_at_n"`
	AtThetaMax float64 `json:"usd_per_mtok_output_at_theta_max"`
	Premium    float64 `json:"premium"` // the first ÷ the second
}

// Compare asks for the money section: duty as in [Money], not known where it is
// 0 or no fraction, and the prices of apis, whose results are filled in. [Report.Complete]
// keeps it up to date from then on. It works on a loaded report of the
// original lab too, as far as that holds what is needed.
func (r *Report) Compare(duty float64, apis []API) {
	r.Money = &Money{DutyCycle: duty, APIs: append([]API(nil), apis...)}
	r.money()
}

// money brings the section up to date. A report that nobody asked to compare
// has one where it says something: the SLO's price, where Θmax was probed.
func (r *Report) money() {
	m := Money{HoursPerMonth: r.hours()}
	if r.Money != nil {
		m.DutyCycle, m.APIs = r.Money.DutyCycle, r.Money.APIs
	}
	if !(m.DutyCycle > 0 && m.DutyCycle <= 1) {
		m.DutyCycle = 0
	}
	l, ok := r.moneyLevel()
	if ok {
		m.Devs, m.HoldsSLO = l.Devs, l.HoldsSLO
		m.Usage = r.usage(l)
	}
	perMonth := slo.CostPerHour(r.PriceUSDPerGPUHour, r.GPUCount) * m.HoursPerMonth
	if m.HoldsSLO && m.DutyCycle > 0 {
		if mean, safe, err := slo.People(m.Devs, m.DutyCycle); err == nil {
			m.People = &People{Mean: mean, Safe: safe, USDPerPersonMonth: perMonth / float64(safe)}
		}
	}
	for i := range m.APIs {
		m.bill(&m.APIs[i], perMonth)
	}
	if m.HoldsSLO && r.ThetaMax != nil && l.CostPerMTokOutput != nil {
		m.SLOPrice = sloPrice(*l.CostPerMTokOutput, slo.CostPerHour(r.PriceUSDPerGPUHour, r.GPUCount), r.ThetaMax.OutputTokensPerHour)
	}
	if r.Money == nil && m.SLOPrice == nil {
		return
	}
	r.Money = &m
}

// moneyLevel is the level that the section is about.
func (r *Report) moneyLevel() (Level, bool) {
	if best, ok := r.Best(); ok {
		return best, true
	}
	var largest Level
	for _, l := range r.ByDevs {
		if (l.Valid == nil || *l.Valid) && l.Devs > largest.Devs {
			largest = l
		}
	}
	largest.HoldsSLO = false
	return largest, largest.Devs > 0
}

// usage is what the server counted; nil where it did not. What clients counted
// does not do: the original's are off by up to a factor of two.
//
// Cached tokens are the prompt less what was computed of it. The original's
// computed tokens are prompt − hits, with each attempt to schedule a request
// counted among the hits, so there the hit rate has to serve.
//
// Of a level that was repeated it is the repeats' together: its own rates are
// their means, its counts the latest's.
func (r *Report) usage(l Level) *Usage {
	if l.Repeats != nil && len(l.Repeats.Levels) > 0 {
		var sum Usage
		for _, one := range l.Repeats.Levels {
			u := r.usage(one)
			if u == nil {
				return nil
			}
			sum.Prompt, sum.Cached, sum.Output = sum.Prompt+u.Prompt, sum.Cached+u.Cached, sum.Output+u.Output
			sum.Seconds += u.Seconds
			sum.CachedEstimated = sum.CachedEstimated || u.CachedEstimated
		}
		return &sum
	}
	if l.ServerTokens == nil || l.ServerTokens.Prompt < 0 || l.ServerTokens.Generation < 0 {
		return nil
	}
	u := Usage{Prompt: l.ServerTokens.Prompt, Output: l.ServerTokens.Generation}
	switch {
	case l.Window != nil && l.Window.Whole.Seconds > 0:
		u.Seconds = l.Window.Whole.Seconds
	case l.TokensPerHour != nil && *l.TokensPerHour > 0:
		u.Seconds = float64(u.Prompt+u.Output) / *l.TokensPerHour * 3600
	default:
		return nil
	}
	prompt := float64(u.Prompt)
	var cached float64
	switch {
	case l.ComputedTokensPerHour != nil && !l.ComputedEstimated && r.Source != Imported:
		cached = prompt - (*l.ComputedTokensPerHour*u.Seconds/3600 - float64(u.Output))
	case l.PrefixCacheHitRate != nil:
		cached, u.CachedEstimated = prompt**l.PrefixCacheHitRate, true
	default:
		return nil
	}
	u.Cached = min(u.Prompt, int64(math.Round(max(0, min(prompt, cached)))))
	return &u
}

// bill fills in what the level's tokens would have cost at an API.
func (m *Money) bill(a *API, gpuPerMonth float64) {
	a.USDPerDevHour, a.USDPerDevMonth, a.USDPerMTokBlended, a.BreakEvenDevs, a.CheaperAtN = nil, nil, nil, nil, nil
	if m.Usage == nil {
		return
	}
	u := *m.Usage
	cost, err := a.price().Cost(slo.Usage{Prompt: u.Prompt, Cached: u.Cached, Output: u.Output})
	if err != nil {
		return
	}
	hour, ok := slo.APIPerDevHour(cost, u.Seconds, m.Devs)
	if !ok {
		return
	}
	month := slo.APIPerDevMonth(hour, m.HoursPerMonth, m.DutyCycle)
	a.USDPerDevHour, a.USDPerDevMonth = number(hour), number(month)
	if blended, ok := slo.CostPerMTok(cost, float64(u.Prompt+u.Output)); ok {
		a.USDPerMTokBlended = number(blended)
	}
	if devs, ok := slo.BreakEven(gpuPerMonth, month); ok {
		a.BreakEvenDevs = &devs
	}
	if m.HoldsSLO {
		cheaper := a.BreakEvenDevs != nil && *a.BreakEvenDevs <= m.team()
		a.CheaperAtN = &cheaper
	}
}

// team is how many developers the level stands for.
func (m *Money) team() int {
	if m.People != nil {
		return m.People.Safe
	}
	return m.Devs
}

func sloPrice(atN, costPerHour, outputPerHour float64) *SLOPrice {
	full, ok := slo.CostPerMTok(costPerHour, outputPerHour)
	if !ok {
		return nil
	}
	premium, ok := slo.SLOPremium(atN, full)
	if !ok || number(premium) == nil {
		return nil
	}
	return &SLOPrice{AtN: atN, AtThetaMax: full, Premium: premium}
}
