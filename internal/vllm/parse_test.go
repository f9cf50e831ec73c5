package vllm_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/x/dail/internal/vllm"
)

// TestParse holds the wordings that the recorded starts do not have.
func TestParse(t *testing.T) {
	for line, want := range map[string]vllm.Event{
		"Multi-thread loading shards:  50% Completed | 2/4 [00:01<00:01,  1.6it/s]":                                          {Phase: vllm.PhaseLoad, Text: "loading the weights: 2 of 4 shards", Fraction: 0.5},
		"Loading pt checkpoint shards: 100% Completed | 1/1 [00:01<00:00,  1.6it/s]":                                         {Phase: vllm.PhaseLoad, Text: "loading the weights: 1 of 1 shards", Fraction: 1},
		"Capturing CUDA graph shapes:  50%|█████     | 17/34 [00:09<00:09,  1.7it/s]":                                        {Phase: vllm.PhaseGraphs, Text: "capturing CUDA graphs: 17 of 34", Fraction: 0.5},
		"(…)del-00001-of-00016.safetensors:  12%|█▏        | 483M/4.00G [00:03<00:25, 140MB/s]":                              {Phase: vllm.PhaseDownload},
		"INFO 05-02 09:11:02 [gpu_executor.py:1] # GPU blocks: 27000, # CPU blocks: 2048":                                    {Phase: vllm.PhaseKV, Text: "the KV cache has 27000 blocks"},
		"INFO 05-02 09:15:50 [gpu_model_runner.py:1347] Model loading took 3.4213 GiB and 0.900000 seconds":                  {Phase: vllm.PhaseLoad, Text: "the model takes 3.4 GiB per GPU"},
		"(EngineCore_DP0 pid=1) (Worker_TP0 pid=2) INFO 11-24 03:03:20 [monitor.py:34] torch.compile takes 43.84 s in total": {Phase: vllm.PhaseCompile, Text: "compiled in 43.8 s"},
		"  Downloading torch-2.8.0-cp312-cp312-manylinux_2_28_x86_64.whl (888.0 MB)":                                         {Phase: vllm.PhaseInstall},
		"Application startup complete.":                               {Phase: vllm.PhaseReady, Text: "vLLM is up"},
		"INFO:     Application startup complete.":                     {Phase: vllm.PhaseReady, Text: "vLLM is up"},
		"dail-phase: install using the image's vLLM 0.11.0":           {Phase: vllm.PhaseInstall, Text: "using the image's vLLM 0.11.0"},
		"Loading safetensors checkpoint shards: 9% Completed | 9/0 [": {Phase: vllm.PhaseLoad},
	} {
		if got, ok := vllm.Parse(line); !ok || got != want {
			t.Errorf("%s\n got %v %+v\nwant %+v", line, ok, got, want)
		}
	}
	for _, line := range []string{
		"", "hello",
		`INFO 11-24 03:00:08 [x.py:1] non: {'note': 'Application startup complete.'}`,
		"User said: Application startup complete.",
		"ERROR 11-24 03:00:08 [x.py:1] Starting to load model x",
		"Application startup failed. Exiting.",
		"Processed prompts:  50%|█████     | 1/2 [00:00<00:00]",
	} {
		if got, ok := vllm.Parse(line); ok {
			t.Errorf("%q is taken for %+v", line, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"start-0.11.0-venv.log", "start-0.23.0-tp8.log"} {
		for line := range strings.FieldsFuncSeq(read(&testing.T{}, name), func(r rune) bool { return r == '\n' || r == '\r' }) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		e, ok := vllm.Parse(line)
		if !ok && e != (vllm.Event{}) {
			t.Errorf("%+v of a line that says nothing", e)
		}
		if ok && e.Phase == "" || e.Fraction < 0 || e.Fraction > 1 {
			t.Errorf("%+v", e)
		}
		if strings.ContainsFunc(e.Text, unicode.IsControl) || len(e.Text) > 300 {
			t.Errorf("text %q", e.Text)
		}
	})
}

func FuzzDiagnose(f *testing.F) {
	for _, name := range []string{"fail-context-too-long.log", "fail-gated.log", "fail-install.log"} {
		f.Add(read(&testing.T{}, name))
	}
	f.Add("User-specified max_model_len (1) is greater than the derived max_model_len (x=99999999999999999999999)")
	f.Fuzz(func(t *testing.T, log string) {
		c, ok := vllm.Diagnose(strings.Split(log, "\n"))
		if ok != (c.Name != "") || ok && (c.Text == "" || c.Advice == "") || c.MaxModelLen < 0 {
			t.Errorf("%v %+v", ok, c)
		}
		if strings.ContainsFunc(c.Text+c.Advice, unicode.IsControl) || len(c.Text) > 700 {
			t.Errorf("%+v", c)
		}
	})
}
