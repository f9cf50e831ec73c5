package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.html")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	results := t.TempDir()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		args []string
		code int
		want string
	}{
		{"one file", t.Context(), []string{"-results", "../../results", "-o", path}, 0, " reports"},
		{"no such folder", t.Context(), []string{"-results", filepath.Join(results, "none"), "-o", path}, 1, "none"},
		{"a port that is taken", t.Context(), []string{"-results", results, "-listen", taken.Addr().String()}, 1, "-listen names another"},
		{"Ctrl-C", stopped, []string{"-results", results, "-listen", "127.0.0.1:0"}, 0, "Ctrl-C ends it"},
		{"a stray word", t.Context(), []string{"now"}, 2, "no flag"},
		{"help", t.Context(), []string{"-h"}, 0, "-listen"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(tc.ctx, tc.args, &out, &errs); code != tc.code || !strings.Contains(out.String()+errs.String(), tc.want) {
				t.Errorf("exit status %d, want %d with %q\n%s%s", code, tc.code, tc.want, out.String(), errs.String())
			}
		})
	}
	if info, err := os.Stat(path); err != nil || info.Size() < 300_000 {
		t.Errorf("%v, %v", info, err)
	}
}
