package dail

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/x/dail/report"
	"github.com/x/dail/trace"
)

// setAside gives everything that an earlier session left of levels that are not
// in the report another name, so that they can be measured anew beside it: their
// folders, time series, and records in the trace.
func (r *runner) setAside(suffix string) error {
	kept := levelsIn(r.report)
	entries, err := os.ReadDir(r.place.Artifacts())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); !slices.Contains(kept, name) && !setAsideBefore(name) {
			if err := aside(r.levelDir(name), r.levelDir(name+suffix)); err != nil {
				return err
			}
		}
	}
	series, err := filepath.Glob(filepath.Join(r.place.Dir(), seriesName("*")))
	if err != nil {
		return err
	}
	for _, path := range series {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "series-"), ".csv")
		if !slices.Contains(kept, name) && !setAsideBefore(name) {
			if err := aside(path, filepath.Join(r.place.Dir(), seriesName(name+suffix))); err != nil {
				return err
			}
		}
	}
	return relabel(r.place.Trace(), func(level string) string {
		if level == "" || slices.Contains(kept, level) || setAsideBefore(level) {
			return level
		}
		return level + suffix
	})
}

// setAsideBefore tells the names that setAside gives.
func setAsideBefore(name string) bool { return strings.Contains(name, "-session") }

// levelsIn are the names of the levels that a report has.
func levelsIn(rep *report.Report) (names []string) {
	if rep.Baseline != nil {
		names = append(names, stepBaseline)
	}
	for _, l := range rep.ByDevs {
		repeats := 1
		if l.Repeats != nil {
			repeats = len(l.Repeats.Levels)
		}
		for i := range repeats {
			names = append(names, repeatName(l.Devs, i))
		}
	}
	return names
}

// aside renames a file or folder, and never onto another one.
func aside(from, to string) error {
	free := to
	for i := 2; ; i++ {
		if _, err := os.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(from, free)
		} else if err != nil {
			return err
		}
		free = fmt.Sprintf("%s-%d", to, i)
	}
}

// relabel gives the levels of a trace other names. It writes a new file in the
// old one's place, also where no name changes: a program that was killed may
// have left half a line at its end, to which nothing can be appended.
func relabel(path string, name func(level string) string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	records, err := trace.Read(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var b bytes.Buffer
	w := trace.NewWriter(&b)
	for _, rec := range records {
		rec.Level = name(rec.Level)
		w.Write(rec) // its failure is kept
	}
	temp := path + ".new"
	if err := errors.Join(w.Err(), os.WriteFile(temp, b.Bytes(), 0o644)); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
