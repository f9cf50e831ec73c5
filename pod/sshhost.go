package pod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/internal/clock"
	"github.com/x/dail/internal/deadman"
	"github.com/x/dail/internal/remote"
)

// SSHHost is a machine of your own. Creating takes a lease on it, a file that
// keeps two runs from serving at once; terminating stops what was started and
// gives the lease back. The machine itself is left as it is.
type SSHHost struct {
	Address Address
	// KeyPath is the private key that logs in, without a passphrase.
	KeyPath string
	// USDPerHour is what the whole machine costs you; 0: the composed hardware's
	// list price.
	USDPerHour float64
	// State is the folder with the pinned host keys; empty is [StateDir].
	State string
	Clock Clock
}

// NewSSHHost reads user@box or user@box:port.
func NewSSHHost(host, keyPath string) (*SSHHost, error) {
	a, err := remote.ParseAddress(host)
	if err != nil {
		return nil, fmt.Errorf("-host: %w", err)
	}
	return &SSHHost{Address: Address(a), KeyPath: keyPath}, nil
}

// endHost ends what a run started on a machine of the user's own, if the lease
// is still that run's. The switch and Terminate name the lease.
const endHost = `d="$DAIL_ROOT/.dail"
if [ "$(head -n 1 "$d/lease" 2>/dev/null)" = "$DAIL_NAME" ]; then
  if [ -s "$d/vllm.pid" ]; then
    g=$(cat "$d/vllm.pid")
    kill -TERM -- "-$g" 2>/dev/null
    n=0; while kill -0 -- "-$g" 2>/dev/null && [ $n -lt 20 ]; do sleep 0.1; n=$((n+1)); done
    kill -KILL -- "-$g" 2>/dev/null
    rm -f "$d/vllm.pid"
  fi
  rm -f "$d/lease" "$d/heartbeat"
  echo ended
fi
`

// About implements [Provider].
func (*SSHHost) About() About {
	return About{Name: "ssh", RealModel: true, Outlives: true, Stays: true, EndSelf: endHost}
}

// Offers is the one machine, at the price that its owner names.
func (h *SSHHost) Offers(_ context.Context, run *compose.Run) ([]Offer, error) {
	o := ownOffer(run, h.USDPerHour)
	o.Zone = h.Address.Host
	return []Offer{o}, nil
}

// takeLease is told the root by $DAIL_ROOT, and the lease's lines by stdin. An
// expired lease is moved away first, and looked at once more: of two that try,
// the slower one may have moved the other's new one.
const takeLease = `set -u
d="$DAIL_ROOT/.dail"; umask 077; mkdir -p "$d" || exit 73
new=$(cat)
if [ -e "$d/lease" ]; then
  now=$(date +%s); until=$(sed -n 3p "$d/lease")
  if [ "${until:-0}" -lt "$now" ] && mv "$d/lease" "$d/lease.$$" 2>/dev/null; then
    until=$(sed -n 3p "$d/lease.$$")
    if [ "${until:-0}" -ge "$now" ]; then mv "$d/lease.$$" "$d/lease"; else rm -f "$d/lease.$$"; fi
  fi
fi
if (set -C; printf '%s\n' "$new" > "$d/lease") 2>/dev/null; then echo taken; else cat "$d/lease"; exit 75; fi
`

// Create takes the lease. Somebody else's is [ErrNoCapacity], with its owner
// and its end.
func (h *SSHHost) Create(ctx context.Context, spec Spec) (Machine, error) {
	c, err := h.dial(ctx)
	if err != nil {
		return Machine{}, h.fault("create", "", ErrInvalid, err)
	}
	defer c.Close()
	deadline := time.Now().Add(clock.Or(h.Clock).Real(spec.Marker.Deadline.Sub(clock.Or(h.Clock).Now())))
	lease := strings.Join([]string{spec.Name, spec.Marker.String(), strconv.FormatInt(deadline.Unix(), 10)}, "\n")
	out, err := c.run(ctx, takeLease, lease)
	var exit *remote.ExitError
	switch {
	case errors.As(err, &exit) && exit.Status == 75:
		held, perr := h.parse(string(out))
		who := "somebody"
		if perr == nil {
			who = fmt.Sprintf("%s (run %s) until %s", held.Marker.Owner, held.Marker.Run, held.Marker.Deadline.Format(time.DateTime))
		}
		e := h.fault("create", "", ErrNoCapacity, nil)
		e.Message = "the machine is leased to " + who
		e.Hint = "wait for its end; make reap PROVIDER=ssh HOST=… ends your own"
		return Machine{}, e
	case errors.As(err, &exit):
		return Machine{}, h.fault("create", "", ErrInvalid, err)
	case err != nil:
		return Machine{}, h.fault("create", "", ErrUnclear, err)
	}
	marker := spec.Marker
	return h.machine(spec.Name, &marker, c.root), nil
}

// Get returns the machine while the lease of that name is held.
func (h *SSHHost) Get(ctx context.Context, id string) (Machine, error) {
	all, err := h.List(ctx)
	if err != nil {
		return Machine{}, err
	}
	for _, m := range all {
		if m.ID == id {
			return m, nil
		}
	}
	return Machine{}, h.fault("get", id, ErrNotFound, nil)
}

// List is the lease that is held, if any.
func (h *SSHHost) List(ctx context.Context) ([]Machine, error) {
	c, err := h.dial(ctx)
	if err != nil {
		return nil, h.fault("list", "", ErrBusy, err)
	}
	defer c.Close()
	out, err := c.run(ctx, `cat "$DAIL_ROOT/.dail/lease" 2>/dev/null || true`, "")
	if err != nil {
		return nil, h.fault("list", "", ErrBusy, err)
	}
	if strings.TrimSpace(string(out)) == "" {
		return nil, nil
	}
	m, err := h.parse(string(out))
	if err != nil {
		return nil, h.fault("list", "", ErrInvalid, err)
	}
	m.Root = c.root
	return []Machine{m}, nil
}

// Terminate stops what was started under the lease and gives it back.
func (h *SSHHost) Terminate(ctx context.Context, id string) error {
	c, err := h.dial(ctx)
	if err != nil {
		return h.fault("terminate", id, ErrBusy, err)
	}
	defer c.Close()
	// The switch first, while the lease is ours: it would end what the next
	// lease starts.
	disarm := `if [ "$(head -n 1 "$DAIL_ROOT/.dail/lease" 2>/dev/null)" = "$DAIL_NAME" ]; then (` + "\n" + deadman.Disarm() + "\n) >/dev/null; fi\n"
	out, err := c.run(ctx, "DAIL_NAME="+remote.Quote(id)+"\n"+disarm+endHost, "")
	if err != nil {
		return h.fault("terminate", id, ErrBusy, err)
	}
	if !strings.Contains(string(out), "ended") {
		return h.fault("terminate", id, ErrNotFound, nil)
	}
	return nil
}

// Logs is the end of vLLM's log.
func (h *SSHHost) Logs(ctx context.Context, _ string, lines int) ([]string, error) {
	c, err := h.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	out, err := c.run(ctx, fmt.Sprintf(`tail -n %d "$DAIL_ROOT/.dail/vllm.log" 2>/dev/null || true`, lines), "")
	text := strings.TrimRight(string(out), "\n")
	if err != nil || text == "" {
		return nil, err
	}
	return strings.Split(text, "\n"), nil
}

// parse reads a lease: name, marker, end.
func (h *SSHHost) parse(lease string) (Machine, error) {
	lines := strings.Split(strings.TrimSpace(lease), "\n")
	if len(lines) < 2 {
		return Machine{}, fmt.Errorf("the lease on %s is no lease of ours: %.80q; remove .dail/lease there if nothing runs", h.Address, lease)
	}
	marker, err := ParseMarker(lines[1])
	if err != nil {
		return Machine{}, err
	}
	return h.machine(lines[0], &marker, ""), nil
}

func (h *SSHHost) machine(name string, marker *Marker, root string) Machine {
	a := h.Address
	return Machine{ID: name, Name: name, State: Running, Status: "leased", Marker: marker, SSH: &a,
		Zone: a.Host, Pin: a.String(), Root: root, Created: clock.Or(h.Clock).Now()}
}

func (h *SSHHost) fault(op, id string, kind, err error) *ProviderError {
	e := &ProviderError{Provider: "ssh", Op: op, ID: id, Kind: kind, Err: err}
	if err != nil {
		e.Message = err.Error()
	}
	return e
}

// hostConn is one connection, and the folder on the machine that is ours.
type hostConn struct {
	*remote.Conn
	root string
}

// findRoot prints where on a machine of the user's own dail may work.
const findRoot = `printf %s "${DAIL_ROOT:-$HOME/.cache/dail}"`

func (h *SSHHost) dial(ctx context.Context) (*hostConn, error) {
	key, err := remote.LoadKey(h.KeyPath)
	if err != nil {
		return nil, err
	}
	state, err := stateDir(h.State)
	if err != nil {
		return nil, err
	}
	pins, err := openPins(state)
	if err != nil {
		return nil, err
	}
	conn, err := remote.Dial(ctx, remote.Config{
		Address: remote.Address(h.Address), Key: key, Clock: h.Clock, HostKey: pins.Callback(h.Address.String()),
	})
	if err != nil {
		return nil, err
	}
	root, err := conn.Run(ctx, findRoot, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &hostConn{conn, string(root)}, nil
}

func (c *hostConn) run(ctx context.Context, command, stdin string) ([]byte, error) {
	return c.Run(ctx, rooted(c.root, command), strings.NewReader(stdin))
}

// Handover implements [Survivor]: the key is a file that the watchdog reads
// itself.
func (h *SSHHost) Handover() (public, secret []byte, err error) {
	key, err := filepath.Abs(remote.ExpandHome(h.KeyPath))
	if err != nil {
		return nil, nil, err
	}
	public, err = json.Marshal(hostHandover{h.Address, key, h.State})
	return public, nil, err
}

type hostHandover struct {
	Address        Address
	KeyPath, State string
}

func openHost(public, _ []byte, clk Clock) (Provider, error) {
	var o hostHandover
	if err := json.Unmarshal(public, &o); err != nil {
		return nil, err
	}
	return &SSHHost{Address: o.Address, KeyPath: o.KeyPath, State: o.State, Clock: clk}, nil
}
