package dashboard

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/x/dail/report"
)

//go:embed assets
var assets embed.FS

// Options shape a page.
type Options struct {
	// Live lets the page listen to the server that it came from, and load itself
	// anew when that says so. Without it the page fetches nothing, whatever
	// happens.
	Live bool
	// Now is when it is made; the zero value is the clock's.
	Now time.Time
}

// Write reads every report below dir and writes the page. It returns how many
// reports are in it. A report that cannot be read is named on the page and in the
// error, which wraps it; the page is whole all the same, and the error's other
// causes are those of w.
func Write(w io.Writer, dir string, o Options) (reports int, err error) {
	paths, err := find(dir)
	if err != nil {
		return 0, err
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	p := page{Built: o.Now.Format("2006-01-02 15:04 MST"), Runs: []run{}}
	if o.Live {
		p.Seen = state(paths) // before they are read: what changes meanwhile is another state
	}
	var all []report.File
	var details [][]byte
	var errs []error
	// In the order of the paths, so that the same folder gives the same page.
	for f := range read(dir, paths) {
		if f.err != nil {
			p.Bad = append(p.Bad, bad{f.name, f.err.Error()})
			errs = append(errs, f.err)
			continue
		}
		r := f.report
		all = append(all, report.File{Path: f.name, Report: light(r)})
		one := run{ID: r.RunID, Path: f.name, Date: r.Date, Cost: r.PodCostUSD, CostBasis: r.CostBasis, Truncated: r.Truncated}
		for _, l := range r.ByDevs {
			one.Levels = append(one.Levels, l.Devs)
		}
		p.Runs = append(p.Runs, one)
		details = append(details, f.detail)
	}
	p.Combos = combos(all, p.Runs)
	out := bufio.NewWriterSize(w, 1<<16)
	if err := write(out, p, details, o); err != nil {
		return len(p.Runs), errors.Join(append(errs, err)...)
	}
	return len(p.Runs), errors.Join(append(errs, out.Flush())...)
}

// find lists the reports below dir, artifacts left out: an agent may have written
// a file of that name.
func find(dir string) ([]string, error) {
	var paths []string
	err := report.Walk(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil:
			return nil
		case e.IsDir() && e.Name() == report.ArtifactsName:
			return fs.SkipDir
		case !e.IsDir() && e.Name() == report.FileName:
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	return paths, nil
}

// file is one report that was read.
type file struct {
	name   string // below the folder
	report *report.Report
	detail []byte
	err    error
}

// read reads files, several at once, and hands them over in their order.
func read(dir string, paths []string) func(func(file) bool) {
	return func(yield func(file) bool) {
		window := 2 * runtime.NumCPU()
		slots := make([]chan file, len(paths))
		var work sync.WaitGroup
		defer work.Wait()
		start := func(i int) {
			if i >= len(paths) {
				return
			}
			slots[i] = make(chan file, 1)
			work.Go(func() { slots[i] <- load(dir, paths[i]) })
		}
		for i := range min(window, len(paths)) {
			start(i)
		}
		for i := range paths {
			f := <-slots[i]
			slots[i] = nil
			start(i + window)
			if !yield(f) {
				return
			}
		}
	}
}

func load(dir, path string) file {
	f := file{name: path}
	if rel, err := filepath.Rel(dir, path); err == nil {
		f.name = filepath.ToSlash(rel)
	}
	if f.report, f.err = report.Load(path); f.err == nil {
		f.detail, f.err = json.Marshal(look(f.report, filepath.Dir(path)))
	}
	return f
}

// write writes the page's parts in their order.
func write(w io.Writer, p page, details [][]byte, o Options) error {
	styles, err := joined("app.css")
	if err != nil {
		return err
	}
	library, err := joined("vendor/chart.umd.min.js")
	if err != nil {
		return err
	}
	program, err := joined("maths.js", "words.js", "ui.js", "charts.js", "views.js", "run.js", "app.js")
	if err != nil {
		return err
	}
	if o.Live {
		program = append(program, "\nlive();\n"...)
	}
	// encoding/json writes <, > and & as escapes, so that no text of a report can
	// end its element.
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	connect := "'none'"
	if o.Live {
		connect = "'self'"
	}
	policy := fmt.Sprintf("default-src 'none'; script-src %s %s; style-src %s; img-src data:; connect-src %s; base-uri 'none'; form-action 'none'",
		hash(library), hash(program), hash(styles), connect)
	head, err := joined("page.html")
	if err != nil {
		return err
	}
	before, after, _ := bytes.Cut(head, []byte("<!--data-->"))
	before = bytes.Replace(before, []byte("<!--policy-->"), fmt.Appendf(nil, `<meta http-equiv="Content-Security-Policy" content="%s">`, policy), 1)
	before = bytes.Replace(before, []byte("<!--styles-->"), slicesOf("<style>", styles, "</style>"), 1)
	part := func(b []byte) {
		if err == nil {
			_, err = w.Write(b)
		}
	}
	part(before)
	part(slicesOf(`<script type="application/json" id="data">`, data, "</script>\n"))
	for i, d := range details {
		part(slicesOf(fmt.Sprintf(`<script type="application/json" id="run-%d">`, i), d, "</script>\n"))
	}
	part(slicesOf("<script>", library, "</script>\n"))
	part(slicesOf("<script>", program, "</script>\n"))
	part(after)
	return err
}

func slicesOf(open string, b []byte, end string) []byte {
	return append(append([]byte(open), b...), end...)
}

// joined are assets one after the other.
func joined(names ...string) ([]byte, error) {
	var all []byte
	for _, name := range names {
		b, err := fs.ReadFile(assets, "assets/"+name)
		if err != nil {
			return nil, fmt.Errorf("dashboard: %w", err)
		}
		all = append(all, b...)
	}
	return all, nil
}

// hash is how a content security policy names a script or a style.
func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// composed is a run's composed configuration; empty where there is none.
func composed(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "composed.yaml"))
	if err != nil || len(b) > maxComposed {
		return ""
	}
	return string(b)
}

// maxComposed bounds what is taken of a composed configuration, in bytes.
const maxComposed = 64 << 10
