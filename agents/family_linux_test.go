package agents

import (
	"os"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " S 10 20 30 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 999 99 18446744073709551615"
	for _, name := range []string{"(sh)", "(a b) c)", "(()", "()"} {
		p, err := parseStat(9, "9 "+name+rest)
		if err != nil || p.ppid != 10 || p.pgid != 20 || p.start != "4711" || p.zombie {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := parseStat(9, "9 (x)"+strings.Replace(rest, " S ", " Z ", 1)); err != nil || !p.zombie {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := stat(os.Getpid()); err != nil || p.ppid != os.Getppid() {
		t.Errorf("this process: %+v, %v", p, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("9 (sh) S 10 20 30 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 999")
	f.Add(")")
	f.Add("9 (x) S a b c")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parseStat(9, s); err == nil && (p.pid != 9 || p.start == "") {
			t.Errorf("%q: %+v", s, p)
		}
	})
}

func TestOlder(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"9", "10", true}, {"10", "9", false}, {"10", "10", false}, {"10", "11", true}} {
		if got := older(tt.a, tt.b); got != tt.want {
			t.Errorf("older(%s, %s) = %v", tt.a, tt.b, got)
		}
	}
}
