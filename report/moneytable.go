package report

import (
	"fmt"
	"strings"

	"github.com/x/dail/slo"
)

// money prints the comparison with hosted APIs, what the team is in people, and
// the SLO's price.
func (v *view) money(r *Report) {
	m := r.Money
	if m == nil || m.Devs == 0 {
		return
	}
	v.prose("%s", m.title(r.Source))
	if !m.HoldsSLO {
		v.prose("  no team size holds the SLO: these are the tokens of %d agents, for whom the server is too slow", m.Devs)
	}
	if p := m.People; p != nil {
		v.prose("  %s are %.1f people on average; with %d people, more than %d agents are busy in at most %g %% of the time: $%.2f/person-month",
			busy(m.Devs), p.Mean, p.Safe, m.Devs, 100*slo.SafeRisk, p.USDPerPersonMonth)
	}
	v.apis(r, m)
	if s := m.SLOPrice; s != nil {
		v.prose("  the SLO's price: $%.3f per MTok output for %s, $%.3f on the saturated server (Θmax): %.1f times as much",
			s.AtN, busy(m.Devs), s.AtThetaMax, s.Premium)
	}
	v.line("")
}

func (m *Money) title(s Source) string {
	var about []string
	if l := label(s); l != "" {
		about = append(about, l)
	}
	about = append(about, fmt.Sprintf("the tokens of %d agents", m.Devs), fmt.Sprintf("%g h a month", m.HoursPerMonth))
	if m.DutyCycle > 0 {
		about = append(about, fmt.Sprintf("a developer's agent at work for %g %% of them", 100*m.DutyCycle))
	} else {
		about = append(about, "every agent always at work")
	}
	return "Money (" + strings.Join(about, ", ") + ")"
}

func busy(n int) string {
	if n == 1 {
		return "1 busy agent"
	}
	return fmt.Sprintf("%d busy agents", n)
}

// apis is a row for our own server and one for each API.
func (v *view) apis(r *Report, m *Money) {
	if len(m.APIs) == 0 || m.Usage == nil {
		return
	}
	asOf := r.PriceAsOf
	if asOf == "" {
		asOf = "–"
	}
	perDev := "–" // where none holds, nobody knows how many share the server
	if m.HoldsSLO {
		perDev = fmt.Sprintf("%.2f", r.CostPerHour*m.HoursPerMonth/float64(m.team()))
	}
	own := []cell{{text: "this server"}, {text: asOf}, {text: perDev}, {text: value("%.3f", r.perMTok(m))}, {text: "–"}}
	rows := [][]cell{{{}, {text: "prices of"}, {text: "$/dev-mo"}, {text: "$/MTok"}, {text: "cheaper from"}}, own}
	for _, a := range m.APIs {
		rows = append(rows, []cell{{text: a.Name + " " + a.Model}, {text: a.AsOf}, {text: value("%.2f", a.USDPerDevMonth)}, {text: value("%.3f", a.USDPerMTokBlended)}, m.from(a)})
	}
	names := 0
	for _, row := range rows {
		names = max(names, len([]rune(row[0].text)))
	}
	for _, row := range rows {
		row[0].text = "  " + row[0].text + strings.Repeat(" ", names-len([]rune(row[0].text)))
	}
	v.table(rows)
	share := 0.0
	if m.Usage.Prompt > 0 {
		share = 100 * float64(m.Usage.Cached) / float64(m.Usage.Prompt)
	}
	estimated := ""
	if m.Usage.CachedEstimated {
		estimated = ", as estimated by the hit rate"
	}
	v.prose("  priced as our server counted them: %d prompt tokens, %.1f %% of them from its cache%s, and %d output tokens", m.Usage.Prompt, share, estimated, m.Usage.Output)
	for _, a := range m.APIs {
		if a.Note != "" {
			v.prose("  %s: %s", a.Model, a.Note)
		}
	}
}

// from says where the break-even with an API lies, and whether the server still
// holds the SLO there.
func (m *Money) from(a API) cell {
	unit := "devs"
	if m.People != nil {
		unit = "people"
	}
	switch {
	case a.USDPerDevMonth == nil:
		return cell{text: "–"}
	case a.BreakEvenDevs == nil:
		return cell{text: "never", colour: red}
	case a.CheaperAtN == nil:
		return cell{text: fmt.Sprintf("%d %s", *a.BreakEvenDevs, unit)}
	case !*a.CheaperAtN:
		return cell{text: fmt.Sprintf("%d, but it holds %d %s", *a.BreakEvenDevs, m.team(), unit), colour: red}
	}
	return cell{text: fmt.Sprintf("%d of %d %s", *a.BreakEvenDevs, m.team(), unit), colour: green}
}

// perMTok is what our own tokens cost for the team that the section is about;
// nil where it is not known. Safe people keep fewer than N agents busy on
// average, and the GPUs are paid for all the same.
func (r *Report) perMTok(m *Money) *float64 {
	for _, l := range r.ByDevs {
		if l.Devs != m.Devs || l.CostPerMTok == nil {
			continue
		}
		v := *l.CostPerMTok
		if m.People != nil {
			v *= float64(m.Devs) / (float64(m.People.Safe) * m.DutyCycle)
		}
		return &v
	}
	return nil
}
