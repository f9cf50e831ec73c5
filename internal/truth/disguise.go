package truth

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Disguise turns the families of a page into those that another server shows.
type Disguise func(families map[string]*dto.MetricFamily)

// Renamed gives a family another name.
func Renamed(from, to string) Disguise {
	return func(f map[string]*dto.MetricFamily) {
		if family, ok := f[from]; ok {
			delete(f, from)
			family.Name = &to
			f[to] = family
		}
	}
}

// Without drops the families that begin so.
func Without(prefixes ...string) Disguise {
	return func(f map[string]*dto.MetricFamily) {
		for name := range f {
			if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
				delete(f, name)
			}
		}
	}
}

// WithoutCreated drops the times at which series were made, as a server with
// PROMETHEUS_DISABLE_CREATED_SERIES shows itself.
func WithoutCreated(f map[string]*dto.MetricFamily) {
	for name := range f {
		if strings.HasSuffix(name, "_created") {
			delete(f, name)
		}
	}
}

// Beside adds what else a page may hold: another model's series of the same
// names would be another engine's, Python's and the web server's are nobody's.
func Beside(f map[string]*dto.MetricFamily) {
	name, kind, v := "python_gc_objects_collected_total", dto.MetricType_COUNTER, 7.0
	f[name] = &dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{{Counter: &dto.Counter{Value: &v}}}}
}

// disguised joins the pages of a server's engines, numbered by label, into one.
func disguised(pages [][]byte, born time.Duration, show []Disguise) ([]byte, error) {
	all := map[string]*dto.MetricFamily{}
	for i, page := range pages {
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
		if err != nil {
			return nil, err
		}
		for name, f := range families {
			for _, m := range f.Metric {
				relabel(m, i)
				if strings.HasSuffix(name, "_created") {
					at := float64(epoch.Add(born).UnixMilli()) / 1000
					m.Gauge.Value = &at
				}
			}
			switch have := all[name]; {
			case have == nil:
				all[name] = f
			case labelled(f):
				have.Metric = append(have.Metric, f.Metric...)
			}
		}
	}
	for _, d := range show {
		d(all)
	}
	var b bytes.Buffer
	enc := expfmt.NewEncoder(&b, expfmt.NewFormat(expfmt.TypeTextPlain))
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := enc.Encode(all[name]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// relabel gives a series its engine's number.
func relabel(m *dto.Metric, engine int) {
	for _, l := range m.Label {
		if l.GetName() == "engine" {
			number := string(rune('0' + engine))
			l.Value = &number
		}
	}
}

// labelled reports whether the family's series belong to an engine.
func labelled(f *dto.MetricFamily) bool {
	return slices.ContainsFunc(f.Metric[0].Label, func(l *dto.LabelPair) bool { return l.GetName() == "engine" })
}

// samples are a page's counters, summed over their labels: read by nothing that
// dail's own reading rests on.
func samples(page []byte) map[string]float64 {
	sums := map[string]float64{}
	for line := range strings.Lines(string(page)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if i := strings.IndexByte(series, '{'); i >= 0 {
			series, value = series[:i], line[strings.LastIndexByte(line, ' ')+1:]
		}
		var v float64
		if _, err := fmt.Sscan(value, &v); err == nil {
			sums[series] += v
		}
	}
	return sums
}
