package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
		case !e.IsDir() || e.Name() != "artifacts":
			return nil
		}
		beside := filepath.Join(filepath.Dir(path), FileName)
		if info, err := os.Lstat(beside); err != nil || !info.Mode().IsRegular() {
			return fs.SkipDir // somebody else's folder of that name
		}
		a := Artifacts{Path: path}
		r, err := Load(beside)
		if err != nil {
			a.Needed = "its report cannot be read"
			bad = append(bad, err)
		} else {
			a.Run = r.RunID
			a.Needed = r.needsArtifacts()
		}
		bad = append(bad, a.measure())
		all = append(all, a)
		return fs.SkipDir
	})
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return all, errors.Join(bad...)
}

// needsArtifacts says what of the report still hangs on the agents' work.
func (r *Report) needsArtifacts() string {
	for _, l := range r.ByDevs {
		if l.Gates == GatesPending {
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

// Remove removes the folder. Where links in it lead is left alone.
func (a Artifacts) Remove() error {
	if a.Needed != "" {
		return fmt.Errorf("report: %s: %s", a.Path, a.Needed)
	}
	if err := os.RemoveAll(a.Path); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
