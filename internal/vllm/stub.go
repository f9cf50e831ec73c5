package vllm

import (
	"context"
	"io"
	"io/fs"

	"github.com/x/dail/internal/clock"
)

type Machine interface {
	Run(ctx context.Context, command string, stdin io.Reader) ([]byte, error)
	Upload(ctx context.Context, path string, mode fs.FileMode, content []byte) error
}
type Recipe struct {
	Args             []string
	Version          string
	Env              map[string]string
	PipConstraints   []string
	PipExtraIndexURL string
	Composed         []byte
	Secrets          map[string]string
	Port             int
}
type Event struct {
	Phase, Text string
	Fraction    float64
}
type GPU struct {
	Name      string
	MemoryMiB int
	Driver    string
}

func Launch(ctx context.Context, m Machine, r Recipe) error { return nil }
func Watch(ctx context.Context, m Machine, clk clock.Clock, report func(Event)) (int, error) {
	return 0, nil
}
func GPUs(ctx context.Context, m Machine) ([]GPU, error)                  { return nil, nil }
func CheckGPUs(got []GPU, names []string, count int, memoryGB float64) error { return nil }
