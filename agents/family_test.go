package agents

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestMembers(t *testing.T) {
	p := func(pid, ppid, pgid int, flags ...string) proc {
		return proc{pid: pid, ppid: ppid, pgid: pgid, start: fmt.Sprint("at ", pid), marked: slices.Contains(flags, "marked")}
	}
	init, host := p(1, 0, 1), p(50, 1, 50)
	root := p(100, 50, 100).ident()
	tests := []struct {
		name    string
		all     []proc
		known   []int
		inGroup bool
		want    string
	}{
		{name: "nobody", all: []proc{init, host}},
		{name: "the root and its descendants", all: []proc{init, host, p(103, 102, 103), p(100, 50, 100), p(102, 100, 102), p(60, 50, 60)}, want: "100 102 103"},
		{name: "a marked orphan and its child", all: []proc{init, host, p(105, 1, 105, "marked"), p(106, 105, 106)}, want: "105 106"},
		{name: "an unmarked orphan", all: []proc{init, host, p(105, 1, 105)}},
		{name: "an orphan that was seen before", all: []proc{init, p(105, 1, 105)}, known: []int{105}, want: "105"},
		{name: "the group, where it counts", all: []proc{init, p(105, 1, 100)}, inGroup: true, want: "105"},
		{name: "the group, where it does not", all: []proc{init, p(105, 1, 100)}},
		{name: "a root's pid used again", all: []proc{init, {pid: 100, ppid: 50, start: "later"}, p(101, 100, 101)}},
		{name: "never init", all: []proc{p(1, 0, 1, "marked"), p(50, 1, 50)}},
		{name: "a loop", all: []proc{p(7, 8, 7, "marked"), p(8, 7, 8)}, want: "7 8"},
	}
	for _, tt := range tests {
		known := map[ident]bool{}
		for _, pid := range tt.known {
			known[p(pid, 0, 0).ident()] = true
		}
		var got []string
		for _, m := range members(tt.all, root, known, tt.inGroup) {
			got = append(got, fmt.Sprint(m.pid))
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
}
