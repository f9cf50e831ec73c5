// Package podtest is RunPod on loopback: a server that answers REST v2 by
// RunPod's own OpenAPI document, and whose pods are machines that one can log
// in to. It is to a program that rents GPUs what net/http/httptest is to one
// that speaks HTTP: a user's tests need nothing else installed and spend no
// money.
//
//	func TestMain(m *testing.M) {
//		podtest.Main() // a pod's programs are this test binary under other names
//		os.Exit(m.Run())
//	}
//
//	func TestMine(t *testing.T) {
//		srv, err := podtest.NewServer(podtest.Config{Run: run})
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer srv.Close()
//		srv.Inject(podtest.NoCapacity, 2)      // the first two creates find no machine
//		// … run the program against srv.URL with the key srv.Key …
//		if left := srv.Alive(); len(left) > 0 {
//			t.Errorf("still billed: %v", left)
//		}
//	}
//
// # What is real
//
// A request is held to the document before it is answered, and an answer
// before it is sent; an answer of ours that does not fit is a 500 and one of
// [Server.Violations]. Billing runs from the create to the moment at which a
// delete took effect ([Server.Bill]).
//
// A pod is a folder and a tree of processes on this host. Its SSH server (in
// this package; or OpenSSH's, see [Config].Sshd) lets in the key of the pod's
// PUBLIC_KEY and nobody else, runs commands, forwards to the loopback, and
// gives a command the environment that sshd would give it, which is not that of
// PID 1. PID 1 runs the create request's args with RUNPOD_POD_ID,
// RUNPOD_API_KEY (a key for this pod only) and the request's env, and is
// started again when it exits. First on the PATH are vllm (which serves
// dail's simulated engine, never a model), nvidia-smi, runpodctl and, where
// the host has none, curl. $DAIL_ROOT is the volume's mount point. When a
// pod is terminated, and when this process dies by whatever signal, everything
// that runs on it is killed.
//
// # What is not
//
// A machine is no sandbox: its processes are the host's, with the user's
// rights, and see the host's files. Two machines share the loopback, so each
// gets a port of its own for vLLM, $DAIL_PORT. Disks are not limited. There are
// no CPU pods, templates, clusters or registries. On macOS a process that has
// left its session and lost its parent cannot be found any more, and outlives
// its pod.
//
// # Faults
//
// [Faults] lists what can go wrong, from a create that hangs after the pod was
// made to a vLLM that dies when it is ready; [Server.Inject] switches it on.
// Faults can be combined.
package podtest
