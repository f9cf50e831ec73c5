package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/x/dail"
	"github.com/x/dail/proxy/litellm"
)

// clientModel is the model that the Claude requests name.
const clientModel = "claude-bench"

// startLiteLLM runs the pinned LiteLLM, which is installed where it is missing,
// in front of the server.
func startLiteLLM(ctx context.Context, upstream string, stderr io.Writer) (*stage, error) {
	program, err := dail.LiteLLMProgram(ctx, stderr)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "benchproxy-litellm-")
	if err != nil {
		return nil, err
	}
	l, err := litellm.Start(ctx, litellm.Config{
		Program: program, Base: upstream + "/v1", Model: "hosted_vllm/" + modelName, Dir: dir,
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	key := strings.TrimPrefix(l.Header().Get("Authorization"), "Bearer ")
	return &stage{
		url:    l.URL.String(),
		tokens: []string{key},
		stats:  func(context.Context, bool) (stats, error) { return groupStats(l.Pid()), nil },
		stop: func() {
			l.Close()
			os.RemoveAll(dir)
		},
	}, nil
}

// groupStats sums the figures of a process group from Linux's proc_pid_stat(5)
// and proc_pid_status(5); zero elsewhere.
func groupStats(group int) stats {
	const ticks = 100 // USER_HZ, fixed on every architecture of today
	var st stats
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(f) < 15 || string(f[2]) != strconv.Itoa(group) {
			continue
		}
		// Its own time, and that of the children it has waited for.
		for _, v := range f[11:15] {
			n, _ := strconv.ParseFloat(string(v), 64)
			st.CPUS += n / ticks
		}
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "status"))
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		if f := strings.Fields(rest); len(f) > 0 {
			kb, _ := strconv.ParseInt(f[0], 10, 64)
			st.MaxRSS += kb << 10
		}
	}
	return st
}
