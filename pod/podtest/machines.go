package podtest

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/x/dail/pod/podtest/internal/machine"
	"github.com/x/dail/pod/podtest/internal/program"
)

// image is what all machines' programs know.
type image = program.Image

// newImage prepares what every machine is made from.
func (s *Server) newImage() (*image, error) {
	img := &image{VLLM: program.VLLM{Version: "0.11.0", Startup: s.cfg.Startup}}
	if s.cfg.Sshd != "" {
		path, err := exec.LookPath(s.cfg.Sshd)
		if err != nil {
			return nil, fmt.Errorf("Config.Sshd: %w", err)
		}
		if s.cfg.Sshd, err = filepath.Abs(path); err != nil { // sshd insists on it
			return nil, err
		}
	}
	run := s.cfg.Run
	if run == nil {
		return img, nil
	}
	img.VLLM.Version = run.Serving.VLLMVersion
	img.VLLM.Files = filepath.Join(s.root, "image")
	var err error
	img.VLLM.RunFile, err = program.SaveRun(run, img.VLLM.Files)
	return img, err
}

func (s *Server) layout(id string) machine.Layout { return machine.Layout(filepath.Join(s.root, id)) }

// begin starts a pod's container, now or after a stop. It needs s.mu.
func (s *Server) begin(p *pod) {
	if s.closed {
		return
	}
	ctx, stop := context.WithCancel(s.ctx)
	p.stopLife, p.lifeDone = stop, make(chan struct{})
	done := p.lifeDone
	s.work.Go(func() {
		defer close(done)
		defer stop()
		s.live(ctx, p)
	})
}

// live takes a pod from its create to the end of its container: a quarter of
// the boot each for being placed, for the image, for the container's start and
// for sshd's.
func (s *Server) live(ctx context.Context, p *pod) {
	quarter := s.cfg.Boot / 4
	if _, stuck := p.traits[StuckPending]; stuck {
		<-ctx.Done()
		return
	}
	system := func(line string) { p.logs.add(s.clk.Now(), "system", line) }
	if s.clk.Sleep(ctx, quarter) != nil {
		return
	}
	s.change(p, func() { p.status = starting })
	system("create container " + p.spec.Image)
	system("Status: Image is up to date for " + p.spec.Image)
	if s.clk.Sleep(ctx, quarter) != nil {
		return
	}
	m, ok := s.boot(ctx, p, system)
	if m != nil {
		defer func() {
			s.change(p, func() { p.machine = nil })
			if err := m.Close(); err != nil {
				s.violation("pod %s: %v", p.id, err)
			}
		}()
	}
	if !ok || s.clk.Sleep(ctx, quarter) != nil {
		return
	}
	unused, give, err := machine.Hold()
	if err != nil {
		s.violation("pod %s: %v", p.id, err)
		return
	}
	defer give()
	if _, never := p.traits[SSHNever]; !never && slices.Contains(p.spec.Ports, "22/tcp") {
		port := unused
		if m != nil {
			port = m.Port()
		}
		s.publish(p, port, unused)
	}
	if s.clk.Sleep(ctx, quarter) != nil {
		return
	}
	_, refuses := p.traits[SSHRefuses]
	if m != nil && !refuses {
		if err := m.Listen(ctx); err != nil && ctx.Err() == nil {
			s.violation("pod %s: %v", p.id, err)
		}
		s.change(p, func() { p.machine = m })
		s.strikeLater(p)
	}
	if m == nil {
		<-ctx.Done()
		return
	}
	select {
	case <-ctx.Done():
	case <-m.Done():
		s.mu.Lock()
		meant := p.hostDied
		s.mu.Unlock()
		if !meant && ctx.Err() == nil {
			s.violation("pod %s: its machine has ended by itself", p.id)
		}
		<-ctx.Done()
	}
}

// change changes a pod that has not ended.
func (s *Server) change(p *pod, how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.alive() {
		how()
	}
}

// boot starts the container; false where a trait keeps it from running.
func (s *Server) boot(ctx context.Context, p *pod, system func(string)) (*machine.Machine, bool) {
	for f, word := range map[Fault]string{StatusError: failed, StatusExited: exited, StatusUnknown: "MIGRATING"} {
		if _, ok := p.traits[f]; ok {
			system("error starting container: failed to create task for container")
			s.change(p, func() { p.status = word })
			<-ctx.Done()
			return nil, false
		}
	}
	var m *machine.Machine
	if !s.cfg.NoMachines {
		var err error
		if m, err = s.startMachine(ctx, p); err != nil {
			if ctx.Err() == nil {
				s.violation("pod %s: %v", p.id, err)
				system("error starting container: " + err.Error())
				s.change(p, func() { p.status = failed })
				<-ctx.Done()
			}
			return nil, false
		}
	}
	s.change(p, func() { p.status, p.started = running, s.clk.Now() })
	system("start container")
	return m, true
}

// publish shows where SSH is, or will be.
func (s *Server) publish(p *pod, port, unused int) {
	s.change(p, func() {
		p.ssh = sshState{published: true, port: port, user: s.login(), stalePort: unused}
		// ParseFault has let the numbers pass.
		p.ssh.hide, _ = strconv.Atoi(p.traits[SSHLate])
		p.ssh.stale, _ = strconv.Atoi(p.traits[SSHStale])
	})
}

// login is who logs in: root, except on a real sshd, which runs as this user.
func (s *Server) login() string {
	if s.cfg.Sshd != "" {
		if u, err := user.Current(); err == nil {
			return u.Username
		}
	}
	return "root"
}

// startMachine makes the pod's machine, or its next container on the same disk.
func (s *Server) startMachine(ctx context.Context, p *pod) (*machine.Machine, error) {
	dir := s.layout(p.id)
	if err := dir.Make(); err != nil {
		return nil, err
	}
	if err := program.Install(s.imageOf(p), dir.Bin(), dir.Etc()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	spec := p.spec
	env := maps.Clone(spec.Env)
	s.mu.Unlock()
	command, err := spec.command()
	if err != nil {
		return nil, fmt.Errorf("args: %w", err)
	}
	key, fingerprint, err := hostKey()
	if err != nil {
		return nil, err
	}
	m := machine.Spec{
		Layout: dir, Command: command, Env: s.podEnv(p, env), Path: os.Getenv("PATH"),
		Authorized: env["PUBLIC_KEY"], HostKey: key, Sshd: s.cfg.Sshd, User: s.login(),
		RestartDelay: s.clk.Real(time.Second),
	}
	if n, ok := p.traits[PID1Loops]; ok {
		m.Crashes, _ = strconv.Atoi(n)
	}
	line := func(text string) { p.logs.add(s.clk.Now(), "container", text) }
	line("ED25519 key fingerprint:")
	line("256 " + fingerprint + " root@" + p.id + " (ED25519)")
	return machine.Start(ctx, m, line)
}

// podEnv is what RunPod adds to the environment of PID 1.
func (s *Server) podEnv(p *pod, env map[string]string) []string {
	all := map[string]string{
		"RUNPOD_POD_ID": p.id, "RUNPOD_API_KEY": p.key, "RUNPOD_DC_ID": p.zone, "RUNPOD_PUBLIC_IP": "127.0.0.1",
		"RUNPOD_TCP_PORT_22": "{{ssh-port}}", "RUNPOD_GPU_COUNT": strconv.Itoa(p.count), "RUNPOD_CPU_COUNT": strconv.Itoa(8 * p.count),
		"RUNPOD_POD_HOSTNAME": p.id, "CUDA_VERSION": hostCUDA,
	}
	if n := p.spec.Mounts.Network; len(n) > 0 {
		all["RUNPOD_VOLUME_ID"] = n[0].VolumeID
	}
	maps.Copy(all, env)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}

// imageOf is what the programs of a pod's machine know, its faults too.
func (s *Server) imageOf(p *pod) image {
	img := *s.image
	img.GPU = program.GPU{Name: p.gpu.ID, MemoryMiB: p.gpu.MemoryMiB, Count: p.count}
	if img.GPU.MemoryMiB == 0 {
		img.GPU.MemoryMiB = p.gpu.MemoryGB << 10
	}
	if other, ok := p.traits[WrongGPU]; ok {
		img.GPU.Name = other
		if g, known := s.gpu(other); known && g.MemoryMiB > 0 {
			img.GPU.MemoryMiB = g.MemoryMiB
		}
	}
	if _, ok := p.traits[GPUFewer]; ok {
		img.GPU.Count--
	}
	_, img.GPU.Lost = p.traits[GPULost]
	img.VLLM.Fails = p.traits[VLLMFails]
	_, img.VLLM.Stalls = p.traits[VLLMStall]
	img.VLLM.Dies = duration(p.traits[VLLMDies])
	return img
}

// command is what PID 1 executes: args, as a JSON object or a command line, or
// the newer cmd and entrypoint. Nothing: the image's own start, which only
// keeps the container alive.
func (p podSpec) command() ([]string, error) {
	entry, cmd := p.Entry, p.Cmd
	if p.Args != "" {
		var object struct {
			Entrypoint []string `json:"entrypoint"`
			Cmd        []string `json:"cmd"`
		}
		if json.Unmarshal([]byte(p.Args), &object) == nil {
			entry, cmd = object.Entrypoint, object.Cmd
		} else {
			words, err := machine.Words(p.Args)
			if err != nil {
				return nil, err
			}
			cmd = words
		}
	}
	return slices.Concat(entry, cmd), nil
}

// hostKey makes an SSH host key, PEM, and its fingerprint.
func hostKey() (key, fingerprint string, err error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(private, "podtest")
	if err != nil {
		return "", "", err
	}
	pub, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(block)), ssh.FingerprintSHA256(pub), nil
}

// strikeTimeout bounds how long a fault may take to happen, on the wall.
const strikeTimeout = 30 * time.Second

// hit makes a fault happen to a pod's machine, which runs.
func (s *Server) hit(p *pod, f Fault) {
	s.mu.Lock()
	m := p.machine
	s.mu.Unlock()
	if m == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, strikeTimeout)
	defer cancel()
	var err error
	switch f {
	case SSHDrops:
		err = m.Drop(ctx)
	case SSHFreezes:
		err = m.Freeze(ctx)
	case SSHMoves:
		if err = m.Move(ctx); err == nil {
			s.change(p, func() { p.ssh.port = m.Port() })
		}
	case HostKeyChanges:
		var key string
		if key, _, err = hostKey(); err == nil {
			err = m.Rekey(ctx, key)
		}
	case ContainerCrash:
		err = m.Crash(ctx)
	case HostDies:
		s.change(p, func() { p.hostDied = true })
		err = m.Close()
	}
	select {
	case <-m.Done(): // the pod has ended in the meantime
	default:
		if err != nil && ctx.Err() == nil {
			s.violation("pod %s: %s: %v", p.id, f, err)
		}
	}
}

// strikeLater makes what was injected while no machine ran happen to one that
// can now be reached.
func (s *Server) strikeLater(p *pod) {
	for _, info := range faultTable() {
		if info.kind != atOnce {
			continue
		}
		if _, ok := s.faults.take(info.fault); ok {
			s.hit(p, info.fault)
		}
	}
}
