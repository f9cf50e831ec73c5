package podtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is something that goes wrong: a name, and for some a parameter after a
// colon, as in "create-late:20s". See [Fault.With].
type Fault string

// Faults of the calls. Each acts on as many calls as it was injected for.
const (
	CreateHangs      Fault = "create-hangs"       // the pod is made, the POST is never answered
	CreateCut        Fault = "create-cut"         // the pod is made, the connection is cut without an answer
	CreateSlow       Fault = "create-slow"        // the pod is made, the 201 comes only after the parameter (2s)
	Create500        Fault = "create-500"         // the pod is made, the answer is 500
	CreateLate       Fault = "create-late"        // 500; the pod is made, and seen only after the parameter (20s)
	CreateFails      Fault = "create-fails"       // 500, and no pod is made
	CreateBrokenJSON Fault = "create-broken-json" // the pod is made, the 201 is not JSON
	CreateTwice      Fault = "create-twice"       // two pods of that name are made; the answer names the second
	NoCapacity       Fault = "no-capacity"        // 400 with the sentence for no capacity
	BadRequest       Fault = "bad-request"        // 400 with a rule that was broken
	NoCredit         Fault = "no-credit"          // 402
	Denied           Fault = "denied"             // 403: this pool is not open to the account
	Unprocessable    Fault = "unprocessable"      // 422 with errors[]
	CreateRate       Fault = "create-429"         // 429 on the POST; parameter: Retry-After (1s)

	GetNotFound   Fault = "get-404"        // GET of a pod that is there: 404
	Get500        Fault = "get-500"        // GET of a pod: 500
	GetTerminated Fault = "get-terminated" // GET of a pod that is gone: 200, TERMINATED

	List500       Fault = "list-500"        // 500 on a list
	ListPages     Fault = "list-pages"      // the list comes in three pages, of which the first may be empty
	ListShortPage Fault = "list-short-page" // the first page holds fewer than it may, and says hasNextPage
	CursorLoop    Fault = "cursor-loop"     // every page says that there is a next one, and it is the same
	ListLags      Fault = "list-lags"       // the list leaves out pods younger than the parameter (20s)

	DeleteRate    Fault = "delete-429"      // 429; parameter: Retry-After (1s)
	DeleteMissing Fault = "delete-404"      // 404, and the pod lives on
	Delete500     Fault = "delete-500"      // 500, and the pod lives on
	DeleteDone500 Fault = "delete-done-500" // 500, and the pod is gone
	DeleteCut     Fault = "delete-cut"      // the connection is cut, and the pod is gone
	DeleteHangs   Fault = "delete-hangs"    // no answer, and the pod lives on
	DeleteBusy    Fault = "delete-409"      // 409, and the pod lives on
	DeleteIgnored Fault = "delete-ignored"  // 204, and the pod lives on
	DeleteLate    Fault = "delete-late"     // 204, and the pod ends only after the parameter (5s)
	PodKeyDenied  Fault = "pod-key-denied"  // DELETE with a pod's own key: 403
	GraphQLDenied Fault = "graphql-denied"  // GraphQL with a pod's own key: an error

	Cloudflare   Fault = "cloudflare"   // 403, not JSON: "error code: 1010"
	Gone         Fault = "gone"         // 410
	Unauthorized Fault = "unauthorized" // 401
	RateLimited  Fault = "rate-limited" // 429; parameter: Retry-After (1s)
	Unavailable  Fault = "unavailable"  // 503
	CallCut      Fault = "call-cut"     // the connection is cut, and nothing was done
	LogsSilent   Fault = "logs-silent"  // a log stream that stays open and says nothing
)

// Faults of pods. Each is carried by as many of the next pods as it was
// injected for.
const (
	SSHNever      Fault = "ssh-never"      // RUNNING for ever without an SSH address
	SSHLate       Fault = "ssh-late"       // RUNNING without an SSH address for the parameter's number of GETs (3)
	SSHStale      Fault = "ssh-stale"      // an address where nobody listens is shown first, for the parameter's number of GETs (2)
	SSHRefuses    Fault = "ssh-refuses"    // the address is there, connections are refused for ever
	CostAbove     Fault = "cost-above"     // it costs ten times the catalogue's price, or the parameter in USD an hour
	StatusError   Fault = "status-error"   // ERROR in the place of RUNNING
	StatusExited  Fault = "status-exited"  // EXITED in the place of RUNNING
	StatusUnknown Fault = "status-unknown" // a word in the place of RUNNING that the contract does not have
	StuckPending  Fault = "stuck-pending"  // PROVISIONING for ever
	CreatedAtV1   Fault = "created-at-v1"  // createdAt in the format of v1
	Locked        Fault = "locked"         // it is locked: a DELETE is refused until a PATCH unlocks it

	WrongGPU  Fault = "wrong-gpu"   // nvidia-smi shows another GPU: the parameter ("NVIDIA A40")
	GPULost   Fault = "gpu-lost"    // nvidia-smi fails: the GPU is lost
	GPUFewer  Fault = "gpu-fewer"   // nvidia-smi shows one GPU fewer than asked
	VLLMFails Fault = "vllm-fails"  // vllm ends while it starts; parameter: its last words
	VLLMDies  Fault = "vllm-dies"   // vllm ends when it has served for the parameter (1s) of wall time
	VLLMStall Fault = "vllm-stalls" // vllm's log stops growing while it starts, for ever
	PID1Loops Fault = "pid1-loops"  // PID 1 is killed the parameter's number of times (3), as soon as it runs
)

// Faults that happen at once, to every machine that runs; where none does, to
// each of the next pods as soon as it can be reached.
const (
	SSHDrops       Fault = "ssh-drops"        // all SSH connections end
	SSHFreezes     Fault = "ssh-freezes"      // all SSH connections stay open, and no byte moves on them any more
	SSHMoves       Fault = "ssh-moves"        // the SSH server moves to another port
	HostKeyChanges Fault = "host-key-changes" // all SSH connections end, and the server has another key
	ContainerCrash Fault = "container-crash"  // PID 1 is killed; the container starts again on the same disk
	HostDies       Fault = "host-dies"        // everything on the machine dies; the API still says RUNNING
	ForeignPods    Fault = "foreign-pods"     // pods of others with names and markers like ours; needs no machine
)

// kindOf a fault: what it acts on.
type kindOf int

const (
	onCall kindOf = iota
	onPod
	atOnce
)

type faultInfo struct {
	fault Fault
	kind  kindOf
	param string // where none is given; empty: it takes none
}

// faultTable is every fault, in the order of the constants.
func faultTable() []faultInfo {
	return []faultInfo{
		{CreateHangs, onCall, ""}, {CreateCut, onCall, ""}, {CreateSlow, onCall, "2s"}, {Create500, onCall, ""},
		{CreateLate, onCall, "20s"}, {CreateFails, onCall, ""}, {CreateBrokenJSON, onCall, ""}, {CreateTwice, onCall, ""},
		{NoCapacity, onCall, ""}, {BadRequest, onCall, ""}, {NoCredit, onCall, ""}, {Denied, onCall, ""},
		{Unprocessable, onCall, ""}, {CreateRate, onCall, "1s"},
		{GetNotFound, onCall, ""}, {Get500, onCall, ""}, {GetTerminated, onCall, ""},
		{List500, onCall, ""}, {ListPages, onCall, ""}, {ListShortPage, onCall, ""}, {CursorLoop, onCall, ""}, {ListLags, onCall, "20s"},
		{DeleteRate, onCall, "1s"}, {DeleteMissing, onCall, ""}, {Delete500, onCall, ""}, {DeleteDone500, onCall, ""},
		{DeleteCut, onCall, ""}, {DeleteHangs, onCall, ""}, {DeleteBusy, onCall, ""}, {DeleteIgnored, onCall, ""},
		{DeleteLate, onCall, "5s"}, {PodKeyDenied, onCall, ""}, {GraphQLDenied, onCall, ""},
		{Cloudflare, onCall, ""}, {Gone, onCall, ""}, {Unauthorized, onCall, ""}, {RateLimited, onCall, "1s"},
		{Unavailable, onCall, ""}, {CallCut, onCall, ""}, {LogsSilent, onCall, ""},

		{SSHNever, onPod, ""}, {SSHLate, onPod, "3"}, {SSHStale, onPod, "2"}, {SSHRefuses, onPod, ""}, {CostAbove, onPod, "x10"},
		{StatusError, onPod, ""}, {StatusExited, onPod, ""}, {StatusUnknown, onPod, ""}, {StuckPending, onPod, ""},
		{CreatedAtV1, onPod, ""}, {Locked, onPod, ""},
		{WrongGPU, onPod, "NVIDIA A40"}, {GPULost, onPod, ""}, {GPUFewer, onPod, ""}, {VLLMFails, onPod, outOfMemory},
		{VLLMDies, onPod, "1s"}, {VLLMStall, onPod, ""}, {PID1Loops, onPod, "3"},

		{SSHDrops, atOnce, ""}, {SSHFreezes, atOnce, ""}, {SSHMoves, atOnce, ""}, {HostKeyChanges, atOnce, ""},
		{ContainerCrash, atOnce, ""}, {HostDies, atOnce, ""}, {ForeignPods, atOnce, ""},
	}
}

// outOfMemory is how vllm fails where nothing else is said.
const outOfMemory = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 44.40 GiB of which 1.31 GiB is free."

// Faults lists every fault, without parameters.
func Faults() []Fault {
	var all []Fault
	for _, f := range faultTable() {
		all = append(all, f.fault)
	}
	return all
}

// With gives the fault a parameter.
func (f Fault) With(param string) Fault { return Fault(f.Name() + ":" + param) }

// Name is the fault without its parameter.
func (f Fault) Name() string {
	name, _, _ := strings.Cut(string(f), ":")
	return name
}

// ParseFault reads a fault's name, with its parameter where it has one.
func ParseFault(text string) (Fault, error) {
	info, err := Fault(text).info()
	if err != nil {
		return "", err
	}
	_, param, given := strings.Cut(text, ":")
	if !given {
		return Fault(text), nil
	}
	if info.param == "" {
		return "", fmt.Errorf("podtest: fault %q takes no parameter", Fault(text).Name())
	}
	if _, err := time.ParseDuration(info.param); err == nil {
		if d, err := time.ParseDuration(param); err != nil || d < 0 {
			return "", fmt.Errorf("podtest: fault %q: want a duration such as %s after the colon", text, info.param)
		}
	} else if _, err := strconv.Atoi(info.param); err == nil {
		if n, err := strconv.Atoi(param); err != nil || n < 0 {
			return "", fmt.Errorf("podtest: fault %q: want a number such as %s after the colon", text, info.param)
		}
	}
	return Fault(text), nil
}

func (f Fault) info() (faultInfo, error) {
	for _, info := range faultTable() {
		if info.fault == Fault(f.Name()) {
			return info, nil
		}
	}
	return faultInfo{}, fmt.Errorf("podtest: there is no fault %q; Faults() lists them", f.Name())
}

// faultSet is what has been injected and not yet happened.
type faultSet struct {
	mu   sync.Mutex
	left []injected
}

type injected struct {
	name  Fault
	param string
	times int // below 0: for ever
}

// Inject makes a fault happen so many times; below 0: for ever; 0: no more.
// What is one time depends on the fault: a call, a pod, or now. Injecting the
// same once more replaces what is left of it. A fault that does not exist, or
// not with such a parameter, is a violation.
func (s *Server) Inject(f Fault, times int) {
	if _, err := ParseFault(string(f)); err != nil {
		s.violation("Inject: %v", err)
		return
	}
	info, _ := f.info() // it was parsed
	_, param, given := strings.Cut(string(f), ":")
	if !given {
		param = info.param
	}
	in := injected{info.fault, param, times}
	if info.fault == ForeignPods {
		s.addLookAlikes(times)
		return
	}
	if info.kind == atOnce && times != 0 && s.strike(in) {
		if in.times > 0 {
			in.times--
		}
		if in.times == 0 {
			return
		}
	}
	s.faults.put(in)
}

func (fs *faultSet) put(in injected) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.left = slices.DeleteFunc(fs.left, func(x injected) bool { return x.name == in.name && (in.times == 0 || x.param == in.param) })
	if in.times != 0 {
		fs.left = append(fs.left, in)
	}
}

// take uses one time of a fault up, where there is one.
func (fs *faultSet) take(f Fault) (param string, ok bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i := range fs.left {
		in := &fs.left[i]
		if in.name != f {
			continue
		}
		param = in.param
		if in.times > 0 {
			in.times--
		}
		if in.times == 0 {
			fs.left = slices.Delete(fs.left, i, i+1)
		}
		return param, true
	}
	return "", false
}

// take is a fault that acts on a call.
func (s *Server) take(c *call, f Fault) (param string, ok bool) {
	if param, ok = s.faults.take(f); ok {
		c.faults = append(c.faults, f)
	}
	return param, ok
}

// duration is a parameter that ParseFault has let pass.
func duration(param string) time.Duration {
	d, _ := time.ParseDuration(param)
	return d
}

// anyCallFault is what may happen to every call with a good key.
func (s *Server) anyCallFault(c *call) (answer, bool) {
	if _, ok := s.take(c, Unauthorized); ok {
		return refuse(401, "invalid bearer token"), true
	}
	if wait, ok := s.take(c, RateLimited); ok {
		return retryAfter(duration(wait), "rate limit exceeded for the minute window"), true
	}
	if _, ok := s.take(c, Unavailable); ok {
		return refuse(503, "upstream is not available"), true
	}
	return answer{}, false
}
