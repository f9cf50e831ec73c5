package pod_test

import (
	"strings"
	"testing"
	"time"

	"github.com/x/dail/pod"
)

func TestMarkerIsReadAsItWasWritten(t *testing.T) {
	m := pod.Marker{Owner: "kim@box", Run: "20261124-101500-ab12", Deadline: time.Unix(1790000000, 0), Keep: time.Unix(1790000100, 0)}
	const want = "dail/1;owner=kim@box;run=20261124-101500-ab12;deadline=1790000000;keep=1790000100"
	if m.String() != want {
		t.Errorf("%s, want %s", m, want)
	}
	if got, err := pod.ParseMarker(want + ";later=more"); err != nil || got != m {
		t.Errorf("%v, %v", got, err)
	}
	m.Keep = time.Time{}
	if got, err := pod.ParseMarker(m.String()); err != nil || got != m || !strings.HasSuffix(m.String(), ";keep=0") {
		t.Errorf("not kept: %v, %v", got, err)
	}
	odd := pod.Marker{Owner: "kim;keep=1\n$(x)", Run: "a b", Deadline: m.Deadline}
	if got, err := pod.ParseMarker(odd.String()); err != nil || !got.Keep.IsZero() || strings.ContainsAny(odd.String(), " $()\n") {
		t.Errorf("a value got out of its field: %s (%v, %v)", odd, got, err)
	}
}

func TestMarkerOfSomebodyElseIsNone(t *testing.T) {
	for _, text := range []string{
		"", "dail", "dail/2;owner=a;deadline=1", "skypilot/1;owner=a;deadline=1",
		"dail/1", "dail/1;owner=a", "dail/1;deadline=1", "dail/1;owner=a;deadline=soon", "dail/1;owner=a;deadline=-1",
		"dail/1;owner=a;deadline=1;keep=x",
	} {
		if m, err := pod.ParseMarker(text); err == nil {
			t.Errorf("%q was taken for %v", text, m)
		}
	}
}

func TestOwner(t *testing.T) {
	t.Setenv("DAIL_OWNER", "team a; rm")
	if got := pod.Owner(); got != "team_a__rm" {
		t.Errorf("%q", got)
	}
	t.Setenv("DAIL_OWNER", "")
	if got := pod.Owner(); !strings.Contains(got, "@") {
		t.Errorf("%q", got)
	}
}

func TestNamesAreUniqueAndCarryTheTime(t *testing.T) {
	now := time.Unix(1790000000, 0)
	a, b := pod.NewName(now), pod.NewName(now)
	if a == b || !strings.HasPrefix(a, pod.NamePrefix+"1790000000-") {
		t.Errorf("%s, %s", a, b)
	}
}

// A marker never breaks its reader, and what was read is written in a form
// that is read the same.
func FuzzParseMarker(f *testing.F) {
	f.Add("dail/1;owner=kim@box;run=r;deadline=1790000000;keep=0")
	f.Add("dail/1;owner=kim@box;run=r;deadline=1790000000;keep=1790000001;new=1")
	f.Add("dail/1;owner;deadline=1")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := pod.ParseMarker(text)
		if err != nil {
			return
		}
		again, err := pod.ParseMarker(m.String())
		if err != nil || again.String() != m.String() || !again.Deadline.Equal(m.Deadline) || !again.Keep.Equal(m.Keep) {
			t.Fatalf("%q became %s: %v", text, m, err)
		}
	})
}
