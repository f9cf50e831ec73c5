package compose_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/benchmarks"
	"github.com/x/dail/compose"
	"github.com/x/dail/configs"
)

func TestDiffNamesEachKey(t *testing.T) {
	merge := func(devs ...int) *compose.Run {
		t.Helper()
		r, err := compose.Merge(compose.Request{
			Configs:    []compose.Layer{{Name: "configs", FS: configs.FS()}},
			Benchmarks: []compose.Layer{{Name: "benchmarks", FS: benchmarks.FS()}},
			Benchmark:  "dev-load", Model: "qwen3-coder", Hardware: "l40s", GPUs: 1, Devs: devs,
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	was, err := merge(4, 8).YAML()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*compose.Run)
		devs   []int
		want   []string
	}{
		"the same": {func(*compose.Run) {}, []int{4, 8}, nil},
		"more developers": {func(*compose.Run) {}, []int{4, 8, 16}, []string{
			"devs: was [4, 8], is [4, 8, 16]", "serving.max_num_seqs: was 8, is 16"}},
		"another limit": {func(r *compose.Run) { r.Benchmark.SLO.MinTPS = 21.5 }, []int{4, 8}, []string{"benchmark.slo.min_tps: was 20, is 21.5"}},
		"one word of many": {func(r *compose.Run) {
			p := &r.Benchmark.Task.Phases[3].Prompt
			*p = strings.Replace(*p, "release", "RELEASE", 1)
		}, []int{4, 8}, []string{"benchmark.task.phases[3].prompt: another text now, which begins in the same way: A small"}},
		"a key less": {func(r *compose.Run) { r.Serving.ToolCallParser = "" }, []int{4, 8}, []string{"serving.tool_call_parser: was"}},
		"a key more": {func(r *compose.Run) { r.Serving.Env = maps.Clone(r.Serving.Env); r.Serving.Env["A"] = "1" }, []int{4, 8}, []string{"serving.env.A: was –, is 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := merge(tc.devs...)
			tc.change(now)
			changes, err := now.Diff(was)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, c := range changes {
				text := c.String()
				if i < len(tc.want) { // the long ones by their beginning
					text = text[:min(len(text), len(tc.want[i]))]
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, err := merge(4).Diff([]byte("a: [")); err == nil {
		t.Error("no YAML, and no error")
	}
}
