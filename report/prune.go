package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Artifacts is the heavy half of a run: its agents' workspaces and transcripts.
// The report does not need it, once its gates were judged.
type Artifacts struct {
	Path  string // the folder
	Run   string // the run's id
	Files int
	Bytes int64
	// Needed says why it should stay; empty where nothing needs it.
	Needed string
}

// FindArtifacts lists the artifacts of the runs below dir: folders of that name
// beside a report, and nothing else. Links below it are not followed. A report that cannot
// be read does not hide the others, and its artifacts are needed.
func FindArtifacts(dir string) ([]Artifacts, error) {
	var all []Artifacts
	var bad []error
	err := Walk(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil:
			bad = append(bad, err)
			return nil
		case !e.IsDir() || e.Name() != ArtifactsName:
			return nil
		}
		if info, err := os.Lstat(filepath.Join(filepath.Dir(path), FileName)); err != nil || !info.Mode().IsRegular() {
			return fs.SkipDir // somebody else's folder of that name
		}
		a := Artifacts{Path: path}
		held, err := a.claim()
		if held != nil {
			err = errors.Join(err, held.Close())
		}
		bad = append(bad, err, a.measure())
		all = append(all, a)
		return fs.SkipDir
	})
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return all, errors.Join(bad...)
}

// claim locks the run and finds out whether anything needs its artifacts; the lock
// is nil where there is none to hold.
func (a *Artifacts) claim() (io.Closer, error) {
	dir := filepath.Dir(a.Path)
	held, lockErr := lock(dir)
	r, err := Load(filepath.Join(dir, FileName)) // once it is ours: until then it could change
	if err == nil {
		a.Run, a.Needed = r.RunID, r.needsArtifacts()
	} else {
		a.Needed = "its report cannot be read"
	}
	switch {
	case errors.Is(lockErr, ErrUnderWay):
		a.Needed = "the run is " + ErrUnderWay.Error()
	case lockErr != nil:
		a.Needed, err = "its folder cannot be locked", errors.Join(err, lockErr)
	}
	return held, err
}

// needsArtifacts says what of the report still hangs on the agents' work.
func (r *Report) needsArtifacts() string {
	if b := r.Baseline; b != nil && b.Gates == GatesPending {
		return "the gates of the baseline are still to be run"
	}
	for _, l := range r.ByDevs {
		pending := l.Gates == GatesPending
		if l.Repeats != nil {
			pending = pending || slices.ContainsFunc(l.Repeats.Levels, func(one Level) bool { return one.Gates == GatesPending })
		}
		if pending {
			return fmt.Sprintf("the gates of N=%d are still to be run", l.Devs)
		}
	}
	return ""
}

// measure counts what there is.
func (a *Artifacts) measure() error {
	return filepath.WalkDir(a.Path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			a.Files++
			a.Bytes += info.Size()
		}
		return err
	})
}

// Remove removes the folder. Where links in it lead is left alone. Whether anything
// needs it is asked once more, and the run locked meanwhile: somebody may have
// gone on with it since it was found.
func (a Artifacts) Remove() error {
	if a.Needed == "" {
		held, err := a.claim()
		if held != nil {
			defer held.Close()
		}
		if err != nil {
			return fmt.Errorf("report: %s stays: %w", a.Path, err)
		}
	}
	if a.Needed != "" {
		return fmt.Errorf("report: %s: %s", a.Path, a.Needed)
	}
	if err := os.RemoveAll(a.Path); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
