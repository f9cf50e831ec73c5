package main

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	in := strings.Join([]string{
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: SKIP: set DAIL_CLAUDE\n"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestB"}`,
		`{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:3: got 1, want 2\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestC"}`,
		`{"Action":"fail","Package":"p","Elapsed":1.5}`,
		`{"Action":"pass","Package":"q","Elapsed":0.2}`,
		`{"Action":"build-output","ImportPath":"r","Output":"r.go:1: broken\n"}`,
		`{"Action":"fail","Package":"r"}`,
		`{"Action":"output","Package":"x","Test":"TestPanics","Output":"panic: boom\n"}`,
		`{"Action":"fail","Package":"x"}`,
	}, "\n")
	var out strings.Builder
	s, err := summarize(strings.NewReader(in), &out)
	if err != nil {
		t.Fatal(err)
	}
	s.print(&out)
	want := `    c_test.go:3: got 1, want 2
FAIL	p	1.5s
ok  	q	0.2s
r.go:1: broken
FAIL	r	0.0s
panic: boom
FAIL	x	0.0s

skipped:
  p TestB: b_test.go:3: SKIP: set DAIL_CLAUDE

1 passed, 3 failed, 1 skipped
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

// A line that is no event is a failure of go itself: it must not pass.
func TestSummarizeFailsOnNoise(t *testing.T) {
	s, err := summarize(strings.NewReader("go: cannot find main module\n"), &strings.Builder{})
	if err != nil || s.failed != 1 {
		t.Errorf("failed = %d, %v", s.failed, err)
	}
}
