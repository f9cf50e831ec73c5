package vllm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// GPU is one card as the machine's driver names it.
type GPU struct {
	Name      string // e.g. "NVIDIA L40S"
	MemoryMiB int    // 0 where the driver does not say
	Driver    string
}

func (g GPU) String() string {
	return fmt.Sprintf("%s (%d MiB, driver %s)", g.Name, g.MemoryMiB, g.Driver)
}

// GPUs asks the machine's driver for its cards. A driver that does not answer,
// no driver and no card are errors in nvidia-smi's words: a bad machine.
func GPUs(ctx context.Context, m Machine) ([]GPU, error) {
	out, err := run(ctx, m, library+gpusScript)
	if err != nil {
		return nil, fmt.Errorf("asking for the GPUs: %w", err)
	}
	return parseGPUs(out)
}

func parseGPUs(out []byte) ([]GPU, error) {
	body, tail, ok := bytes.Cut(out, []byte("dail-status "))
	status, err := strconv.Atoi(strings.TrimSpace(string(tail)))
	said := clean(strings.Join(strings.Fields(string(body)), " "))
	switch {
	case !ok || err != nil:
		return nil, fmt.Errorf("asking for the GPUs: the machine answered %q", clip(clean(string(out)), 200))
	case status == 127 && said == "":
		return nil, errors.New("the machine has no nvidia-smi: it is no GPU machine, or its image lacks the driver's tools")
	case status != 0:
		return nil, fmt.Errorf("the machine's GPU driver does not work: nvidia-smi ended with status %d: %s", status, clip(redact(said), 400))
	}
	var gpus []GPU
	for line := range strings.Lines(string(body)) {
		f := strings.Split(line, ",")
		if len(f) < 3 {
			continue
		}
		g := GPU{Name: clean(strings.TrimSpace(f[0])), Driver: clean(strings.TrimSpace(f[2]))}
		if g.MemoryMiB, err = strconv.Atoi(strings.TrimSpace(f[1])); err != nil {
			g.MemoryMiB = 0 // "[N/A]" on cards that share the host's memory
		}
		gpus = append(gpus, g)
	}
	if len(gpus) == 0 {
		return nil, fmt.Errorf("nvidia-smi shows no GPU: %s", clip(redact(said), 400))
	}
	return gpus, nil
}

// memoryTolerance is how far a card's memory may lie from what was asked for:
// drivers and ECC take a few per cent, the next size of a card is a third away.
const memoryTolerance = 0.10

// CheckGPUs reports whether the machine has what was asked for: at least count
// cards, each of them one of names (the provider's ids; none: any) with about
// memoryGB (10^9 bytes; 0: any). All cards must fit, since vLLM chooses among
// them by itself.
func CheckGPUs(got []GPU, names []string, count int, memoryGB float64) error {
	var why []string
	if len(got) < count {
		why = append(why, fmt.Sprintf("there are %d of %d", len(got), count))
	}
	for i, g := range got {
		if len(names) > 0 && !sameCard(g.Name, names) {
			why = append(why, fmt.Sprintf("GPU %d is another card", i))
			continue
		}
		gb := float64(g.MemoryMiB) * (1 << 20) / 1e9
		if memoryGB > 0 && gb > 0 && math.Abs(gb-memoryGB) > memoryTolerance*memoryGB {
			why = append(why, fmt.Sprintf("GPU %d has %.1f GB of memory", i, gb))
		}
	}
	if len(why) == 0 {
		return nil
	}
	asked := fmt.Sprintf("%d × %s", count, strings.Join(names, " or "))
	if len(names) == 0 {
		asked = fmt.Sprintf("%d × any GPU", count)
	}
	if memoryGB > 0 {
		asked += fmt.Sprintf(" of %.1f GB", memoryGB)
	}
	found := make([]string, len(got))
	for i, g := range got {
		found[i] = g.String()
	}
	if len(found) == 0 {
		found = []string{"no GPU"}
	}
	return fmt.Errorf("the machine does not have the GPUs that were asked for: asked %s, found %s: %s",
		asked, strings.Join(found, ", "), strings.Join(why, ", "))
}

func sameCard(name string, names []string) bool {
	for _, n := range names {
		if cardKey(n) == cardKey(name) {
			return true
		}
	}
	return false
}

// noise are words that the same card carries in one list and lacks in another:
// the vendor, the size and kind of its memory, the socket that is the usual one.
var noise = regexp.MustCompile(`^(nvidia|corporation|tesla|geforce|quadro|\d+gb|hbm\d\w?|gddr\d\w?|sxm\d?|generation)$`)

// cardKey is the part of a card's name that tells it from others. Words that
// mean another card (PCIe, NVL, Ti, SUPER, D, Max-Q, MIG) stay.
func cardKey(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == ' ' || r == '-' || r == '_' || r == '.' })
	var key []string
	mig := false
	for _, w := range words {
		mig = mig || w == "mig"
		if mig || !noise.MatchString(w) {
			key = append(key, w)
		}
	}
	return strings.Join(key, " ")
}
