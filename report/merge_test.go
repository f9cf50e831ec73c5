package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/x/dail/report"
)

// How far repeats lie apart is told of the figures that all of them have.
func TestOnlyAKnownVariationIsTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		lose  func(*report.Level)
		want  string
		never string
	}{
		{"all is known", func(*report.Level) {}, "the mean of 2 repeats; varied: mean tok/s by 0.0 %, mean TTFT by 0.0 % (CV)", "no such"},
		{"no speed in one", func(l *report.Level) { l.MeanTPS = nil }, "the mean of 2 repeats; varied: mean TTFT by 0.0 % (CV)", "tok/s by"},
		{"neither", func(l *report.Level) { l.MeanTPS, l.MeanTTFT = nil, nil }, "the mean of 2 repeats", "varied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sample()
			first, second := r.ByDevs[0], r.ByDevs[0]
			c.lose(&second)
			r.ByDevs[0] = report.Merge([]report.Level{first, second})
			text := strings.Join(strings.Fields(report.Text(r, false)), " ")
			if !strings.Contains(text, c.want) || strings.Contains(text, c.never) {
				t.Errorf("want %q and never %q in:\n%s", c.want, c.never, text)
			}
		})
	}
}

// Whether repeats hold at p90 is known where each of them knows it.
func TestMergeAtP90(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		name          string
		first, second *bool
		want          any
	}{
		{"both", &yes, &yes, true},
		{"one does not", &yes, &no, false},
		{"one does not say", &yes, nil, nil},
		{"the first does not say", nil, &yes, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, second := sample().ByDevs[0], sample().ByDevs[0]
			first.HoldsSLOP90, second.HoldsSLOP90 = c.first, c.second
			got := report.Merge([]report.Level{first, second}).HoldsSLOP90
			if (got == nil) != (c.want == nil) || got != nil && *got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Repeats hold where each of them does. That is certain where each certainly does;
// that they do not is certain as soon as one certainly does not.
func TestMergedVerdict(t *testing.T) {
	type verdict struct{ holds, certain bool }
	yes, maybe, no, hardly := verdict{true, true}, verdict{true, false}, verdict{false, true}, verdict{false, false}
	for _, c := range []struct {
		name    string
		repeats []verdict
		want    verdict
		told    string
	}{
		{"all hold", []verdict{yes, yes}, yes, "holds in all of 2 repeats; the latest: the verdict of 2"},
		{"one may not", []verdict{yes, maybe}, maybe, "holds in all of 2 repeats"},
		{"one does not", []verdict{no, yes}, no, "does not hold in 1 of 2 repeats: the verdict of 1"},
		{"one hardly does", []verdict{yes, hardly, yes}, hardly, "does not hold in 1 of 3 repeats: the verdict of 2"},
		{"one certainly does not, one hardly", []verdict{no, hardly}, no, "does not hold in 2 of 2 repeats: the verdict of 1"},
		{"the same, otherwise ordered", []verdict{hardly, maybe, no}, no, "does not hold in 2 of 3 repeats: the verdict of 3"},
		{"the latest tells", []verdict{no, no}, no, "does not hold in 2 of 2 repeats: the verdict of 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var levels []report.Level
			for i, v := range c.repeats {
				l := sample().ByDevs[0]
				l.HoldsSLO, l.HoldsSLOCertain, l.Verdict = v.holds, v.certain, fmt.Sprintf("the verdict of %d", i+1)
				levels = append(levels, l)
			}
			m := report.Merge(levels)
			if got := (verdict{m.HoldsSLO, m.HoldsSLOCertain}); got != c.want || !strings.HasPrefix(m.Verdict, c.told) {
				t.Errorf("%+v %q, want %+v %q", got, m.Verdict, c.want, c.told)
			}
		})
	}
}
