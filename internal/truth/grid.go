package truth

import (
	"fmt"
	"time"

	"github.com/x/dail"
	"github.com/x/dail/compose"
	"github.com/x/dail/internal/virtual"
	"github.com/x/dail/sim"
)

// Grid is the engines that the figures are held to.
func Grid() ([]Case, error) {
	var cases []Case
	cards := map[string]sim.Config{}
	for _, hardware := range []string{"l4", "rtx-a5000", "l40s", "a100-80gb", "h200"} {
		plan, err := dail.Config{Hardware: hardware, Devs: "auto"}.Plan()
		if err != nil {
			return nil, err
		}
		cfg, err := sim.ConfigOf(plan.Run)
		if err != nil {
			return nil, err
		}
		cards[hardware] = cfg
		for _, n := range []int{1, 4, 12} {
			cases = append(cases, Case{Name: fmt.Sprintf("%s, %d agents", hardware, n), Config: cfg, Load: virtual.DevLoad(n, uint64(n))})
		}
	}
	cases = append(cases, special(cards)...)
	cases = append(cases, paced()...)
	return append(cases, shown(cards["l40s"], cards["h200"])...), nil
}

// short is a load whose answers are few and whose prompts share little.
func short(n int, seed uint64) virtual.Load {
	return virtual.Load{N: n, System: 200, Spread: 0.5, Seed: seed, Phases: []virtual.Phase{
		{Task: 1500, Turns: 6, Output: 60, Result: 100, Tool: 200 * time.Millisecond},
		{Task: 3000, Turns: 4, Output: 120, Result: 400, Tool: time.Second},
	}}
}

// special are engines under stress.
func special(cards map[string]sim.Config) []Case {
	with := func(card string, change func(*sim.Config)) sim.Config {
		cfg := cards[card]
		change(&cfg)
		return cfg
	}
	small := func(c *sim.Config) { c.MaxModelLen, c.KVTokens = 16_000, 20_000 }
	impatient := short(8, 5)
	impatient.Patience = 3 * time.Second
	busy := virtual.DevLoad(6, 9)
	busy.Busy = true
	long := virtual.Load{N: 4, Spread: 0.3, Seed: 3, Phases: []virtual.Phase{{Task: 30_000, Turns: 6, Output: 80, Result: 50, Tool: time.Second}}}
	return []Case{
		{Name: "a small KV cache that preempts", Config: with("l40s", small), Load: short(10, 1)},
		{Name: "a small KV cache, slow card", Config: with("l4", small), Load: short(6, 2)},
		{Name: "four sequences at most, twelve agents queue", Config: with("l40s", func(c *sim.Config) { c.MaxNumSeqs = 4 }), Load: short(12, 3)},
		{Name: "one sequence at most", Config: with("h200", func(c *sim.Config) { c.MaxNumSeqs = 1 }), Load: short(5, 4)},
		{Name: "long prompts in small chunks", Config: with("l40s", func(c *sim.Config) { c.MaxNumBatchedTokens = 512 }), Load: long},
		{Name: "long prompts in large chunks", Config: with("h200", func(c *sim.Config) { c.MaxNumBatchedTokens = 16384 }), Load: long},
		{Name: "speculative decoding", Config: with("l40s", func(c *sim.Config) { c.Speculative = compose.Speculative{Tokens: 3, Acceptance: 0.7} }), Load: short(6, 6)},
		{Name: "speculative decoding that fails", Config: with("h200", func(c *sim.Config) { c.Speculative = compose.Speculative{Tokens: 5, Acceptance: 0.05} }), Load: short(6, 7)},
		{Name: "no jitter", Config: with("l40s", func(c *sim.Config) { c.Jitter = 0 }), Load: short(4, 8)},
		{Name: "much jitter", Config: with("l40s", func(c *sim.Config) { c.Jitter = 0.6 }), Load: short(4, 8)},
		{Name: "clients that leave", Config: with("l4", func(*sim.Config) {}), Load: impatient},
		{Name: "a window in the middle", Config: cards["l40s"], Load: busy, From: 100 * time.Second, To: 700 * time.Second},
		{Name: "a window in the middle, fast card", Config: cards["h200"], Load: busy, From: 33 * time.Second, To: 444 * time.Second},
		{Name: "blocks of 32 tokens", Config: with("l40s", func(c *sim.Config) { c.BlockSize = 32 }), Load: short(6, 10)},
	}
}

// paced are engines of known times, at and beside the bounds of vLLM's buckets.
func paced() []Case {
	var cases []Case
	for _, p := range []sim.Fixed{
		{TTFT: time.Second, ITL: 50 * time.Millisecond},
		{TTFT: 2500 * time.Millisecond, ITL: 10 * time.Millisecond},
		{TTFT: 99 * time.Millisecond, ITL: 51 * time.Millisecond},
		{TTFT: 101 * time.Millisecond, ITL: 49 * time.Millisecond},
		{TTFT: 12 * time.Second, ITL: 200 * time.Millisecond},
	} {
		cases = append(cases, Case{Name: fmt.Sprintf("always %v and %v", p.TTFT, p.ITL), Config: sim.Config{Step: p}, Load: short(3, 1)})
	}
	return cases
}

// shown are the same engines behind other servers' pages.
func shown(slow, fast sim.Config) []Case {
	old := []Disguise{
		Renamed("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
		Renamed("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
		Renamed("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
		Renamed("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
		Without("vllm:prompt_tokens_by_source", "vllm:prompt_tokens_cached", "dail_", "vllm:inter_token_latency_seconds_created"),
	}
	bare := []Disguise{
		Renamed("vllm:prefix_cache_queries_total", "vllm:prefix_cache_queries"),
		Renamed("vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits"),
		Without("vllm:prompt_tokens_by_source", "vllm:prompt_tokens_cached"),
		WithoutCreated,
	}
	load := short(6, 11)
	work := virtual.DevLoad(4, 12)
	work.Busy = true
	return []Case{
		{Name: "vLLM 0.8's names", Config: slow, Load: load, Show: old},
		{Name: "vLLM 0.8's names, in the middle", Config: slow, Load: work, From: time.Minute, To: 11 * time.Minute, Show: old},
		{Name: "names without _total", Config: fast, Load: load, Show: bare},
		{Name: "no times of creation", Config: slow, Load: load, Show: []Disguise{WithoutCreated, Beside}},
		{Name: "two engines", Config: slow, Second: &slow, Load: load},
		{Name: "two engines, one of them fast", Config: slow, Second: &fast, Load: load},
		{Name: "two engines with old names", Config: fast, Second: &slow, Load: load, Show: old},
		{Name: "two engines, in the middle", Config: slow, Second: &fast, Load: work, From: time.Minute, To: 10 * time.Minute},
		{Name: "restarted", Config: slow, Load: load, Restart: 20 * time.Second},
		{Name: "restarted in the middle, counts higher after", Config: slow, Load: work, From: 5 * time.Second, Restart: 20 * time.Second, To: 6 * time.Minute},
		{Name: "restarted, no times of creation", Config: slow, Load: work, From: 2 * time.Minute, Restart: 20 * time.Second, To: 3 * time.Minute, Show: []Disguise{WithoutCreated}},
		{Name: "two engines, both restarted", Config: fast, Second: &slow, Load: load, Restart: 15 * time.Second},
	}
}
