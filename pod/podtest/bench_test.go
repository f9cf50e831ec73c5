package podtest_test

import (
	"testing"
	"time"

	"github.com/x/dail/pod/podtest"
)

// BenchmarkMachine is a pod from its create over a login and a command to its
// end: what a trial of a chaos test costs at least.
func BenchmarkMachine(b *testing.B) {
	_, a := serve(b, podtest.Config{Boot: time.Millisecond, Balance: 1e6})
	signer, line := userKey(b)
	for b.Loop() {
		p := a.create(scripted("exec sleep 100000", line))
		c := a.login(p.ID, signer)
		run(b, c, "nvidia-smi -L")
		a.want(204, "DELETE", "/pods/"+p.ID, nil, nil)
		c.Close()
	}
}

// BenchmarkGet is one checked answer.
func BenchmarkGet(b *testing.B) {
	_, a := serve(b, podtest.Config{NoMachines: true, RequestsPerMinute: 1e9})
	id := a.create(request("dail-1-a")).ID
	for b.Loop() {
		a.get(id)
	}
}
