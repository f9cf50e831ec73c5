package report

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestColoursOnlyOnATerminalThatWantsThem(t *testing.T) {
	tty, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	env := func(name, value string) func(string) string {
		return func(n string) string {
			if n == name {
				return value
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		got, want bool
	}{
		"terminal":                  {colours(tty, env("", "")), true},
		"terminal with NO_COLOR":    {colours(tty, env("NO_COLOR", "1")), false},
		"terminal that cannot":      {colours(tty, env("TERM", "dumb")), false},
		"file":                      {colours(file, env("", "")), false},
		"anything else than a file": {colours(&bytes.Buffer{}, env("", "")), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: colours %v, want %v", name, c.got, c.want)
		}
	}
}

func TestDuration(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 6.6: "7s", 59.6: "1m00s", 312: "5m12s", 3599.7: "1h00m", 3725: "1h02m"} {
		if got := duration(seconds); got != want {
			t.Errorf("%v s is %q, want %q", seconds, got, want)
		}
	}
}
