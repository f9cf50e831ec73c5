package report_test

import (
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
