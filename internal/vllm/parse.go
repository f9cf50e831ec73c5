package vllm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Phase is a part of vLLM's start, in the order in which they usually come.
// Weights that lie on the disk need no download.
type Phase string

// The phases of a start.
const (
	PhaseInstall  Phase = "install"  // vLLM itself
	PhaseStart    Phase = "start"    // its process, until it knows the model's configuration
	PhaseDownload Phase = "download" // of the weights
	PhaseLoad     Phase = "load"     // of the weights onto the GPU
	PhaseCompile  Phase = "compile"  // torch.compile
	PhaseKV       Phase = "kv"       // the KV cache is sized and made
	PhaseGraphs   Phase = "graphs"   // CUDA graphs
	PhaseServe    Phase = "serve"    // the engine is ready, its HTTP server starts
	PhaseReady    Phase = "ready"
)

// doing is what the phase is, as the end of "failed while …".
func (p Phase) doing() string {
	switch p {
	case PhaseInstall:
		return "installing"
	case PhaseDownload:
		return "downloading the weights"
	case PhaseLoad:
		return "loading the weights"
	case PhaseCompile:
		return "compiling the model"
	case PhaseKV:
		return "making the KV cache"
	case PhaseGraphs:
		return "capturing CUDA graphs"
	case PhaseServe:
		return "starting its server"
	case PhaseReady:
		return "serving"
	}
	return "starting"
}

// Event is progress of a start.
type Event struct {
	Phase Phase
	// Text says it to a person in one line. [Watch] leaves it empty where there
	// is nothing new worth a line, but something moved.
	Text string
	// Fraction is how much of the phase is done, 0 to 1; 0 where that is not known.
	Fraction float64
}

// level is how serious a line says it is.
type level int

const (
	unlevelled level = iota // a traceback, a progress bar, print
	quiet                   // DEBUG, INFO, WARNING
	loud                    // ERROR and worse
)

var (
	// vLLM writes "(EngineCore_DP0 pid=272) ERROR 11-24 03:00:00 [core.py:708] …"
	// (in 0.9 and before without the process), torch "[rank0]: …".
	processRE = regexp.MustCompile(`^(?:\((?:[A-Za-z_]+\d*\s*)+pid=\d+\)|\[rank\d+\]:?)\s*`)
	stampRE   = regexp.MustCompile(`^(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b:?\s*(?:\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?\s*)?(?:\[[\w./-]+:\d+\]\s*)?`)
	glogRE    = regexp.MustCompile(`^\[?([IWEF])\d{4} \d\d:\d\d:\d\d\S*\s`)
	warnRE    = regexp.MustCompile(`^\S+\.py:\d+: \w*Warning: `)
)

// split takes the process and the stamp off a line.
func split(line string) (level, string) {
	line = strings.TrimLeft(clean(line), " ")
	for range 3 {
		line = processRE.ReplaceAllString(line, "")
	}
	if m := stampRE.FindStringSubmatch(line); m != nil {
		line = line[len(m[0]):]
		switch m[1] {
		case "ERROR", "CRITICAL", "FATAL":
			return loud, line
		}
		return quiet, line
	}
	if m := glogRE.FindStringSubmatch(line); m != nil {
		if m[1] == "E" || m[1] == "F" {
			return loud, line
		}
		return quiet, line
	}
	if warnRE.MatchString(line) {
		return quiet, line
	}
	return unlevelled, line
}

// known are the lines that say where a start is. Each is matched at the
// beginning of the message; what a line merely quotes does not count. The
// wordings are those of vLLM 0.8 to 0.27, and of pip, uv and the Hub's client.
var known = []struct {
	phase Phase
	re    *regexp.Regexp
	text  string // with the groups of re; empty: the phase only
}{
	{PhaseReady, regexp.MustCompile(`^Application startup complete\.?$`), "vLLM is up"},

	{PhaseInstall, regexp.MustCompile(`^dail-phase: install (.+)$`), "$1"},
	{PhaseStart, regexp.MustCompile(`^dail-phase: start (.+)$`), "$1"},
	{PhaseInstall, regexp.MustCompile(`^(?:Collecting \S|Downloading \S|Using cached \S|Building |Prepared \d|Resolved \d)`), ""},
	{PhaseInstall, regexp.MustCompile(`^Installing collected packages: `), "unpacking and installing the packages"},
	{PhaseInstall, regexp.MustCompile(`^(?:Successfully installed|Installed \d+ packages)\b`), "the packages are installed"},

	{PhaseStart, regexp.MustCompile(`^vLLM API server version (\S+)`), "vLLM $1 starts"},
	{PhaseStart, regexp.MustCompile(`^(?:non-default args|args): `), ""},
	{PhaseStart, regexp.MustCompile(`^Resolved architecture: (\S+)`), "the model is a $1"},
	{PhaseStart, regexp.MustCompile(`^Using max model len (\d+)`), "context of $1 tokens"},
	{PhaseStart, regexp.MustCompile(`^Chunked prefill is enabled with max_num_batched_tokens=(\d+)`), ""},
	{PhaseStart, regexp.MustCompile(`^Initializing an? (?:V1 )?LLM engine \(v(\S+?)\)`), "the engine starts"},

	{PhaseDownload, regexp.MustCompile(`^Time spent downloading weights for .+: (\d+(?:\.\d)?)\d* seconds`), "weights downloaded in $1 s"},
	{PhaseLoad, regexp.MustCompile(`^(?:Starting to load model|Loading model from scratch|Loading weights from)\b`), ""},
	{PhaseLoad, regexp.MustCompile(`^Loading weights took (\d+(?:\.\d)?)\d* seconds`), "weights loaded in $1 s"},
	{PhaseLoad, regexp.MustCompile(`^Model loading took (\d+(?:\.\d)?)\d* (Gi?B)\b`), "the model takes $1 $2 per GPU"},

	{PhaseCompile, regexp.MustCompile(`^Using cache directory: .+ for vLLM's torch\.compile`), "compiling the model (torch.compile)"},
	{PhaseCompile, regexp.MustCompile(`^(?:Dynamo bytecode transform time|Compiling a graph for|Cache the graph|Directly load the compiled graph)`), ""},
	{PhaseCompile, regexp.MustCompile(`^torch\.compile (?:takes|(?:and initial profiling run )?took) (\d+(?:\.\d)?)\d* s`), "compiled in $1 s"},

	{PhaseKV, regexp.MustCompile(`^Available KV cache memory: (\d+(?:\.\d)?)\d* GiB`), "$1 GiB are left for the KV cache"},
	{PhaseKV, regexp.MustCompile(`^GPU KV cache size: ([\d,]+) tokens`), "the KV cache holds $1 tokens"},
	{PhaseKV, regexp.MustCompile(`^# (?:GPU|CUDA) blocks: (\d+)`), "the KV cache has $1 blocks"},
	{PhaseKV, regexp.MustCompile(`^Maximum concurrency for ([\d,]+) tokens per request: (\d+(?:\.\d+)?)x`), "room for $2 requests of $1 tokens at once"},

	{PhaseGraphs, regexp.MustCompile(`^Graph capturing finished in (\d+(?:\.\d)?)\d* secs?`), "CUDA graphs captured in $1 s"},
	{PhaseServe, regexp.MustCompile(`^init engine \(.*\) took (\d+(?:\.\d)?)\d* s`), "the engine is ready after $1 s"},
	{PhaseServe, regexp.MustCompile(`^Starting vLLM API server`), "the HTTP server starts"},
	{PhaseServe, regexp.MustCompile(`^(?:Started server process|Waiting for application startup)`), ""},
}

// bars are the progress bars (tqdm), by what stands in front.
var bars = []struct {
	phase Phase
	re    *regexp.Regexp // percent is group 1; done and all, where there are any, 2 and 3
	text  string         // %d of %d; empty: the bar is one of many, its fraction says nothing
}{
	{PhaseLoad, regexp.MustCompile(`^(?:Loading|Multi-thread loading) (?:[\w-]+ )*(?:checkpoint )?shards:\s+(\d+)% Completed \| (\d+)/(\d+) \[`), "loading the weights: %d of %d shards"},
	{PhaseDownload, regexp.MustCompile(`^(?:Fetching|Downloading) (?:\d+ files|[\w-]+):\s+(\d+)%\|[^|]*\| (\d+)/(\d+) \[`), "downloading the weights: %d of %d files"},
	{PhaseDownload, regexp.MustCompile(`^[\w.() …-]*\.(?:safetensors|bin|pt|gguf|json|model|txt):\s+(\d+)%\|`), ""},
	{PhaseGraphs, regexp.MustCompile(`^Capturing (?:CUDA|cudagraph|CUDA ?graph)[^:]*:\s+(\d+)%\|[^|]*\| (\d+)/(\d+) \[`), "capturing CUDA graphs: %d of %d"},
}

// Parse reads one line of vLLM's log, without its end; false where it says
// nothing about the progress of a start.
func Parse(line string) (Event, bool) {
	lvl, msg := split(line)
	if lvl == loud {
		return Event{}, false
	}
	if isBar(msg) {
		for _, b := range bars {
			if m := b.re.FindStringSubmatch(msg); m != nil {
				return bar(b.phase, b.text, m), true
			}
		}
		return Event{}, false
	}
	for _, k := range known {
		if m := k.re.FindStringSubmatchIndex(msg); m != nil {
			text := string(k.re.ExpandString(nil, k.text, msg, m))
			return Event{Phase: k.phase, Text: clip(redact(text), 200)}, true
		}
	}
	return Event{}, false
}

// bar is the event of a progress bar's state.
func bar(phase Phase, text string, m []string) Event {
	if text == "" {
		return Event{Phase: phase}
	}
	done, err1 := strconv.Atoi(m[2])
	all, err2 := strconv.Atoi(m[3])
	if err1 != nil || err2 != nil || all <= 0 || done > all {
		return Event{Phase: phase}
	}
	return Event{Phase: phase, Text: fmt.Sprintf(text, done, all), Fraction: float64(done) / float64(all)}
}

// isBar reports whether a line is one state of a progress bar, of which a log
// has hundreds.
func isBar(msg string) bool {
	return strings.Contains(msg, "%|") || strings.Contains(msg, "% Completed |")
}
