package pod

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// StateDir is where dail keeps what must survive the program: the ledger, the
// watchdogs' logs, pinned host keys. It is $DAIL_STATE, else
// $XDG_STATE_HOME/dail, else ~/.local/state/dail, on macOS
// ~/Library/Application Support/dail. The path is absolute; the folder may not
// be there yet.
func StateDir() (string, error) {
	if dir := os.Getenv("DAIL_STATE"); dir != "" {
		return filepath.Abs(dir) // a watchdog does not share our working folder
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "dail"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for dail's state: %w; set DAIL_STATE", err)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "dail"), nil
	}
	return filepath.Join(home, ".local", "state", "dail"), nil
}

// stateDir is the folder that was asked for, or StateDir's.
func stateDir(dir string) (string, error) {
	if dir == "" {
		return StateDir()
	}
	return filepath.Abs(dir)
}

// entryState is how far a machine's life is, as its ledger entry says.
type entryState string

// The states of an entry, in the order of a life.
const (
	stateIntended    entryState = "intended"    // it is about to be asked for
	stateUnclear     entryState = "unclear"     // it was asked for, and may exist
	stateCreated     entryState = "created"     // it exists
	stateServing     entryState = "serving"     // it is ready
	stateTerminating entryState = "terminating" // it was asked to end
)

const entryVersion = 1

// entry is what is known of one machine, so that whoever is left can find and
// end it. It holds no secret.
type entry struct {
	Version    int        `json:"version"`
	Name       string     `json:"name"`
	Provider   string     `json:"provider"`
	Account    string     `json:"account,omitempty"` // the public half of the provider's handover
	Owner      string     `json:"owner"`
	Run        string     `json:"run"`
	State      entryState `json:"state"`
	ID         string     `json:"id,omitempty"` // once it is known
	USDPerHour float64    `json:"usd_per_hour,omitempty"`
	Intent     time.Time  `json:"intent"` // when it was about to be asked for
	Deadline   time.Time  `json:"deadline"`
	Keep       time.Time  `json:"keep,omitzero"` // see Marker.Keep
	Host       string     `json:"host,omitempty"`
	Program    process    `json:"program"`  // who answers for the machine
	Watchdog   process    `json:"watchdog"` // and who does if that one is gone
}

// alive reports whether the program that answers for the machine still runs.
// Of a program on another computer, which shares the folder, nothing can be
// known: it counts as alive.
func alive(e entry) bool { return e.Host != hostname() || e.Program.alive() }

// watched is alive for the watchdog.
func watched(e entry) bool { return e.Host != hostname() || e.Watchdog.alive() }

// ledger is a folder with one file per machine. Several processes use it at
// once; each file has one writer at a time, and whoever reads sees a whole one.
type ledger struct{ dir string }

// openLedger makes the folder where it is missing.
func openLedger(state string) (*ledger, error) {
	l := ledgerIn(state)
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w; set DAIL_STATE to a folder that can be written", err)
	}
	return l, nil
}

// ledgerIn is the ledger of a folder in which it has been opened before.
func ledgerIn(state string) *ledger { return &ledger{dir: filepath.Join(state, "ledger")} }

func (l *ledger) path(name string) string { return filepath.Join(l.dir, name+".json") }

// put writes an entry. When it returns nil, the entry survives a power cut.
func (l *ledger) put(e entry) error {
	e.Version = entryVersion
	if err := e.check(); err != nil {
		return fmt.Errorf("ledger entry %q: %w", e.Name, err)
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("ledger entry %s: %w", e.Name, err)
	}
	if err := l.write(e.Name, append(text, '\n')); err != nil {
		return fmt.Errorf("ledger entry %s could not be written: %w", e.Name, err)
	}
	return nil
}

func (l *ledger) write(name string, text []byte) error {
	f, err := os.CreateTemp(l.dir, "."+name+"-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), l.path(name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return l.sync()
}

// sync makes renames and removals last.
func (l *ledger) sync() error {
	d, err := os.Open(l.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove takes an entry away; one that is not there is no error.
func (l *ledger) remove(name string) error {
	err := os.Remove(l.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = l.sync()
	}
	if err != nil {
		return fmt.Errorf("ledger entry %s could not be removed: %w", name, err)
	}
	return nil
}

// has reports whether there is an entry of a name. It says yes unless it is
// certain: a folder that is gone proves nothing.
func (l *ledger) has(name string) bool {
	if _, err := os.Stat(l.dir); err != nil {
		return true
	}
	_, err := os.Lstat(l.path(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// get reads one entry; fs.ErrNotExist where there is none.
func (l *ledger) get(name string) (entry, error) {
	text, err := os.ReadFile(l.path(name))
	if err != nil {
		return entry{}, fmt.Errorf("ledger entry %s: %w", name, err)
	}
	e, err := decodeEntry(name, text)
	if err != nil {
		return entry{}, &entryError{name, l.path(name), err}
	}
	return e, nil
}

// entryError is an entry that cannot be read. Its machine may well exist.
type entryError struct {
	Name, Path string
	Err        error
}

func (e *entryError) Error() string {
	return fmt.Sprintf("ledger file %s cannot be read, and the machine %s may still cost money: look for it at your provider, then remove the file: %v",
		e.Path, e.Name, e.Err)
}

func (e *entryError) Unwrap() error { return e.Err }

// entries reads the whole ledger. Files that cannot be read are returned by
// name, and are never the same as no entry.
func (l *ledger) entries() ([]entry, []*entryError, error) {
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("ledger: %w", err)
	}
	var good []entry
	var bad []*entryError
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok || strings.HasPrefix(name, ".") {
			continue // a file that is being written
		}
		e, err := l.get(name)
		var unread *entryError
		switch {
		case err == nil:
			good = append(good, e)
		case errors.Is(err, fs.ErrNotExist): // removed since the folder was read
		case errors.As(err, &unread):
			bad = append(bad, unread)
		default:
			bad = append(bad, &entryError{name, l.path(name), err})
		}
	}
	return good, bad, nil
}

// decodeEntry reads what put wrote under a name.
func decodeEntry(name string, text []byte) (entry, error) {
	var e entry
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&e); err != nil {
		return entry{}, err
	}
	if dec.More() {
		return entry{}, errors.New("something follows the entry")
	}
	if e.Version != entryVersion {
		return entry{}, fmt.Errorf("it is of version %d, this dail reads %d: use the newer dail", e.Version, entryVersion)
	}
	if e.Name != name {
		return entry{}, fmt.Errorf("it is about %q", e.Name)
	}
	// In one form, so that entries can be compared.
	for _, t := range []*time.Time{&e.Intent, &e.Deadline, &e.Keep} {
		*t = t.UTC()
	}
	return e, e.check()
}

// check refuses what nobody could act by.
func (e *entry) check() error {
	switch {
	case e.Name == "" || e.Name != plain(e.Name) || strings.HasPrefix(e.Name, "."):
		return errors.New("no name for a file")
	case e.Provider == "" || e.Run == "":
		return errors.New("provider or run is missing")
	case e.Intent.IsZero() || e.Deadline.IsZero():
		return errors.New("intent or deadline is missing")
	}
	switch e.State {
	case stateIntended, stateUnclear:
	case stateCreated, stateServing, stateTerminating:
	default:
		return fmt.Errorf("%q is no state", e.State)
	}
	return nil
}
