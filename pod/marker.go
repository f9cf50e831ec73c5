package pod

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// NamePrefix begins the name of every machine that dail makes.
const NamePrefix = "dail-"

// MarkerEnv is the variable of a machine's environment that holds its [Marker].
const MarkerEnv = "DAIL_MARKER"

// NewName returns a name that no other machine has: the prefix, the time, and
// 64 random bits. A provider has no idempotency key, so the name is what an
// unclear create is looked for by.
func NewName(now time.Time) string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return fmt.Sprintf("%s%d-%s", NamePrefix, now.Unix(), hex.EncodeToString(b[:]))
}

// Marker is what a machine of ours says about itself. It holds no secret:
// whoever has the account's key can read it.
type Marker struct {
	Owner    string    // who pays attention to it: user@host
	Run      string    // id of the run that it serves
	Deadline time.Time // when it must be gone, whatever happens
	Keep     time.Time // until when its owner asked to keep it; zero: not kept
}

const markerVersion = "dail/1"

// lastSecond is the end of the year 9999: past that, times wrap around, and a
// machine that is kept would look like one that is not.
const lastSecond = 253402300799

// String is the text that stands in the machine's environment.
func (m Marker) String() string {
	keep := int64(0)
	if !m.Keep.IsZero() {
		keep = m.Keep.Unix()
	}
	return fmt.Sprintf("%s;owner=%s;run=%s;deadline=%d;keep=%d",
		markerVersion, plain(m.Owner), plain(m.Run), m.Deadline.Unix(), keep)
}

// ParseMarker reads what String wrote. Keys that it does not know are left
// out, so that an older dail understands a newer marker.
func ParseMarker(text string) (Marker, error) {
	fields := strings.Split(text, ";")
	if fields[0] != markerVersion {
		return Marker{}, fmt.Errorf("marker %.80q: want %s;owner=…;run=…;deadline=…;keep=…", text, markerVersion)
	}
	var m Marker
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "owner":
			m.Owner = plain(value) // it is printed
		case "run":
			m.Run = plain(value)
		case "deadline", "keep":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 || n > lastSecond {
				return Marker{}, fmt.Errorf("marker %.80q: %s is no time in unix seconds", text, key)
			}
			if key == "deadline" {
				m.Deadline = time.Unix(n, 0)
			} else if n > 0 {
				m.Keep = time.Unix(n, 0)
			}
		}
	}
	if m.Owner == "" || m.Deadline.IsZero() {
		return Marker{}, fmt.Errorf("marker %.80q: owner or deadline is missing", text)
	}
	return m, nil
}

// Owner is who this process works for, as it stands in markers: $DAIL_OWNER,
// else user@host. The host is its name without the domain, which changes with
// the network on some machines.
func Owner() string {
	if o := os.Getenv("DAIL_OWNER"); o != "" {
		return plain(o)
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	host, _, _ = strings.Cut(host, ".")
	return plain(name + "@" + host)
}

// plain replaces what a marker's value may not hold.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._@+-", r):
			return r
		}
		return '_'
	}, s)
}
