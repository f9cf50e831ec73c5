package slo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/slo"
)

func TestSamplerReadsAtItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		read := 0
		s := slo.Sample(t.Context(), time.Second, func(context.Context) (*slo.Snapshot, error) {
			read++
			if read == 3 {
				return nil, errors.New("no route")
			}
			return &slo.Snapshot{At: time.Now()}, nil
		})
		time.Sleep(4*time.Second + time.Millisecond)
		if got := len(s.Series().Snapshots); got != 4 {
			t.Errorf("%d readings after 4 s, want those of 0, 1, 3 and 4", got)
		}
		got := s.Stop()
		if got.Missed != 1 || fmt.Sprint(got.Err) != "no route" {
			t.Errorf("missed %d, %v", got.Missed, got.Err)
		}
		var at []float64
		for _, p := range got.Snapshots {
			at = append(at, p.At.Sub(began).Seconds())
		}
		if diff := cmp.Diff([]float64{0, 1, 3, 4}, at); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Minute)
		if again := s.Stop(); len(again.Snapshots) != 4 {
			t.Errorf("it went on reading after Stop: %d", len(again.Snapshots))
		}
	})
}

// A reading that Stop cuts short is no fault of the server's.
func TestSamplerEndsInTheMiddleOfAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slo.Sample(t.Context(), time.Second, func(ctx context.Context) (*slo.Snapshot, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		time.Sleep(time.Millisecond)
		if got := s.Stop(); got.Missed != 0 || len(got.Snapshots) != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// series is a server read every second, on which a second's work is done in
// between.
func series(t testing.TB, s *server, seconds int, work func(second int)) slo.Series {
	t.Helper()
	var got slo.Series
	for i := range seconds + 1 {
		if i > 0 {
			work(i)
		}
		got.Snapshots = append(got.Snapshots, parse(t, s.page(), time.Duration(i)*time.Second))
	}
	return got
}

func TestSeriesAsATable(t *testing.T) {
	e := &engine{label: "0"}
	s := &server{engines: []*engine{e}, extra: `# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.123456
`}
	got := series(t, s, 2, func(second int) {
		if second == 2 {
			e.request(100, 40, 0.5, 0.1, 0.2)
		}
	})
	var b strings.Builder
	if err := got.WriteCSV(&b, start.Add(-500*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	want := `t_s,running,waiting,kv_usage,prompt_tokens,generation_tokens,first_tokens,ttft_sum_s,itl_count,itl_sum_s,preemptions
0.5,3,1,0.1235,0,0,0,0,0,0,0
1.5,3,1,0.1235,0,0,0,0,0,0,0
2.5,3,1,0.1235,100,3,1,0.5,2,0.3,0
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	if w, err := got.Between(start.Add(time.Second), start.Add(time.Hour)).Window(); err != nil || w.PromptTokens != 100 || w.Seconds() != 1 {
		t.Errorf("%+v, %v", w, err)
	}
	if w, err := got.Between(start.Add(time.Hour), start.Add(2*time.Hour)).Window(); w != nil || err != nil {
		t.Errorf("a window of nothing: %+v, %v", w, err)
	}
}
