package dashboard_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/dail/report"
	"github.com/x/dail/report/dashboard"
)

// committed is the folder of this repository's own reports.
const committed = "../../results"

// shown is the page's data, as far as the tests look at it.
type shown struct {
	Combos []struct {
		Bench, Family, Quant, HW, Source string
		GPUs                             int
		SLO                              struct{ TTFT, TPS float64 }
		Levels                           []json.RawMessage
		Runs                             []int
	}
	Runs []struct {
		ID, Path string
		Levels   []int
	}
	Bad []struct{ Path, Why string }
}

var dataElement = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)

// write makes a page and reads its data back.
func write(t *testing.T, dir string, o dashboard.Options) (string, shown, error) {
	t.Helper()
	var b bytes.Buffer
	_, err := dashboard.Write(&b, dir, o)
	found := dataElement.FindSubmatch(b.Bytes())
	if found == nil {
		t.Fatalf("no data in the page: %v\n%.500s", err, b.String())
	}
	var s shown
	if err := json.Unmarshal(found[1], &s); err != nil {
		t.Fatal(err)
	}
	return b.String(), s, err
}

// Under its own limits every level of every committed report holds on the page
// where it does in the report.
func TestVerdictsAreTheReports(t *testing.T) {
	_, page, err := write(t, committed, dashboard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := report.LoadDir(committed)
	if err != nil {
		t.Fatal(err)
	}
	type question struct {
		Level json.RawMessage `json:"level"`
		SLO   any             `json:"slo"`
	}
	var all []question
	var want []report.CombinedLevel
	for i, c := range report.Combine(files) {
		p := page.Combos[i]
		if p.HW != c.Hardware || p.Source != string(c.Source) || len(p.Levels) != len(c.Levels) {
			t.Fatalf("combination %d is %+v, want %+v", i, p, c.Key)
		}
		for k, l := range c.Levels {
			all = append(all, question{p.Levels[k], map[string]float64{"ttft": p.SLO.TTFT, "tps": p.SLO.TPS}})
			want = append(want, l)
		}
	}
	var got []struct{ Holds, Sure bool }
	ask(t, `(c) => maths.verdict(c.level, c.slo)`, all, &got)
	for i, l := range want {
		if got[i].Holds != l.HoldsSLO {
			t.Errorf("%s %d × %s N=%d: the page says %+v, the report %v (%s)", l.From[0].Path, l.From[0].Report.GPUCount, l.From[0].Report.Hardware, l.Devs, got[i], l.HoldsSLO, l.Verdict)
		}
	}
	if len(want) < 30 {
		t.Errorf("only %d levels were compared", len(want))
	}
}

func put(t *testing.T, dir, name string, r *report.Report) {
	t.Helper()
	path := filepath.Join(dir, name, report.FileName)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
}

// sample is a committed report under another name.
func sample(t testing.TB) *report.Report {
	t.Helper()
	r, err := report.Load(committed + "/qwen3-coder-fp8/l40s-1gpu/dev-load/20261124-151923/report.json")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever a report says is text. The page runs its own scripts and no other, and
// asks for nothing.
func TestAPageIsSafeAndAlone(t *testing.T) {
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)><!--`
	dir := t.TempDir()
	r := sample(t)
	r.Family, r.Hardware = evil, evil
	r.ByDevs[0].Verdict = evil
	r.ByDevs[0].Agents[0].Reason = evil
	r.ByDevs[0].Agents[0].Gates[0].Passed, r.ByDevs[0].Agents[0].Gates[0].Output = false, evil
	put(t, dir, "a", r)
	if err := os.WriteFile(filepath.Join(dir, "a", "composed.yaml"), []byte(evil), 0o644); err != nil {
		t.Fatal(err)
	}
	html, _, err := write(t, dir, dashboard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(html, "<script"); n != 4 {
		t.Errorf("%d scripts, want the data, one run, the library and the program", n)
	}
	if strings.Contains(html, "<img") || strings.Contains(html, "<!--") {
		t.Error("a report's text is in the page as markup")
	}
	policy := regexp.MustCompile(`content="(default-src[^"]*)"`).FindStringSubmatch(html)
	if policy == nil || strings.Contains(policy[1], "unsafe") || !strings.Contains(policy[1], "connect-src 'none'") || !strings.Contains(policy[1], "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
	if m := regexp.MustCompile(`(?:src|href)="(?:https?:)?//[^"]*"|@import|url\(`).FindString(html[:strings.Index(html, `id="data"`)]); m != "" {
		t.Errorf("the page points elsewhere: %s", m)
	}
	live, _, _ := write(t, dir, dashboard.Options{Live: true})
	if !strings.Contains(live, "connect-src 'self'") {
		t.Error("a live page cannot listen")
	}
}

// A report that cannot be read is named, and hides no other; an agent's file of
// the same name is no report.
func TestWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "good", sample(t))
	put(t, dir, "good/artifacts/n4/agent0/workspace", sample(t))
	if err := os.MkdirAll(filepath.Join(dir, "broken"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken", report.FileName), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, page, err := write(t, dir, dashboard.Options{})
	if err == nil || !strings.Contains(err.Error(), "broken") || len(page.Runs) != 1 || len(page.Bad) != 1 || page.Bad[0].Path != "broken/report.json" {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := dashboard.Write(&bytes.Buffer{}, filepath.Join(dir, "none"), dashboard.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, page, err := write(t, t.TempDir(), dashboard.Options{}); err != nil || page.Combos == nil {
		t.Errorf("an empty folder: %+v, %v", page, err)
	}
}

// Runs of one combination are one line; sources never are. One that is not valid
// makes their level so.
func TestRunsAreCombined(t *testing.T) {
	dir := t.TempDir()
	for i, change := range []func(*report.Report){
		func(*report.Report) {},
		func(r *report.Report) { no := false; r.ByDevs[1].Valid = &no },
		func(r *report.Report) { r.Source = report.Measured },
		func(r *report.Report) { r.Benchmark = "smoke" },
	} {
		r := sample(t)
		r.RunID = fmt.Sprintf("20270101-00000%d", i)
		change(r)
		put(t, dir, fmt.Sprint(i), r)
	}
	_, page, err := write(t, dir, dashboard.Options{})
	if err != nil || len(page.Combos) != 3 {
		t.Fatalf("%+v, %v", page.Combos, err)
	}
	c := page.Combos[1] // dev-load, simulated, after measured
	var l struct {
		N, Run int
		Parts  []json.RawMessage
		Valid  *bool
	}
	if err := json.Unmarshal(c.Levels[1], &l); err != nil {
		t.Fatal(err)
	}
	if c.Source != "simulated" || len(c.Runs) != 2 || page.Runs[c.Runs[0]].ID != "20270101-000001" || l.N != 8 || len(l.Parts) != 2 || l.Valid == nil || *l.Valid {
		t.Errorf("%+v, level %+v", c, l)
	}
}

// A run lists what it measured, whichever run a level of the combination is shown
// from.
func TestARunHasItsOwnLevels(t *testing.T) {
	page := pageOf(t, []report.Level{measured(1, 30)}, []report.Level{measured(1, 31)})
	for _, r := range page.Runs {
		if len(r.Levels) != 1 || r.Levels[0] != 4 {
			t.Errorf("%+v", r)
		}
	}
}

// A folder that is a link is the folder that it leads to.
func TestALinkedFolder(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a", sample(t))
	link := filepath.Join(t.TempDir(), "results")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	_, page, err := write(t, link, dashboard.Options{})
	if err != nil || len(page.Runs) != 1 || page.Runs[0].Path != "a/report.json" {
		t.Errorf("%+v, %v", page.Runs, err)
	}
}

// A long time series is thinned out; its peaks stay.
func TestPeaksStay(t *testing.T) {
	dir := t.TempDir()
	r := sample(t)
	put(t, dir, "a", r)
	const seconds = 601 // six a point, and one left over
	lines := []string{"t_s,running,waiting,kv_usage,generation_tokens"}
	for i := range seconds {
		line := fmt.Sprintf("%d,4,0,0.2,10", i+1)
		switch i {
		case 100: // in the middle of a group
			line = fmt.Sprintf("%d,9,5,0.2,10", i+1)
		case seconds - 1:
			line = fmt.Sprintf("%d,4,0,0.9,10", i+1)
		}
		lines = append(lines, line)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", r.ByDevs[0].Series), []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	html, _, err := write(t, dir, dashboard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"running":(\[[^]]*\]),"waiting":(\[[^]]*\]),"kv":(\[[^]]*\])`).FindStringSubmatch(html)
	if found == nil {
		t.Fatal("there is no series")
	}
	for i, want := range []float64{9, 5, 0.9} {
		var values []float64
		if err := json.Unmarshal([]byte(found[i+1]), &values); err != nil {
			t.Fatal(err)
		}
		if got := slices.Max(values); got != want || len(values) > 120 {
			t.Errorf("%d values, at most %g, want %g", len(values), got, want)
		}
	}
}

// A page that is served hears of a new report, and the next one has it.
func TestServedPagesAreLive(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a", sample(t))
	server := httptest.NewServer(dashboard.Handler(dir))
	defer server.Close()
	resp, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != ": listening" {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	put(t, dir, "b", sample(t))
	for lines.Scan() {
		if lines.Text() == "data: changed" {
			break
		}
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	page, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(page.Body); err != nil || !strings.Contains(b.String(), `"path":"b/report.json"`) || !strings.Contains(b.String(), "live();") {
		t.Errorf("the page does not have the new report (%v)", err)
	}
	if resp, err := http.Get(server.URL + "/other"); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("%v, %v", resp, err)
	}
}

// What changed between a page's making and its first question is told at once; a
// page that shows what there is hears nothing.
func TestAPageKnowsWhatItShows(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a", sample(t))
	html, _, err := write(t, dir, dashboard.Options{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	seen := regexp.MustCompile(`"seen":"([^"]+)"`).FindStringSubmatch(html)
	if seen == nil {
		t.Fatal("the page does not know what it shows")
	}
	hears := func(dir string) (told int) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*lookEvery)
			defer cancel()
			w := httptest.NewRecorder()
			dashboard.Handler(dir).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/events?seen="+seen[1], nil))
			told = strings.Count(w.Body.String(), "data: changed")
		})
		return told
	}
	if n := hears(dir); n != 0 {
		t.Errorf("a page that is up to date was told %d times", n)
	}
	put(t, dir, "b", sample(t))
	if n := hears(dir); n != 1 {
		t.Errorf("a page that is out of date was told %d times", n)
	}
}

// lookEvery is how often the folder is looked at.
const lookEvery = time.Second
