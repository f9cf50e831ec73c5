package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Write completes the report and writes it to path, so that a reader, or a
// machine that loses its power, finds the old file or the new one whole.
func (r *Report) Write(path string) error {
	var b bytes.Buffer
	if err := r.Encode(&b); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := replace(path, b.Bytes()); err != nil {
		return fmt.Errorf("report: write %s: %w", path, err)
	}
	return nil
}

// Encode completes the report and writes its JSON to w.
func (r *Report) Encode(w io.Writer) error {
	r.Complete()
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("report: encode: %w", err)
	}
	return nil
}

// replace writes a file beside path, gets it onto the disk, and renames it.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	// The file is whole; this keeps the rename through a loss of power.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// maxReport bounds a file that is read; a report of 32 agents is under 1 MB.
const maxReport = 64 << 20

// Load reads a report: ours, or one of the original lab, whose Source becomes
// "imported", and whose levels are valid by our rule. Keys that it does not know
// are left out.
func Load(path string) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	defer f.Close()
	r, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Read is Load from a reader.
func Read(in io.Reader) (*Report, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxReport+1))
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if len(data) > maxReport {
		return nil, fmt.Errorf("report: longer than %d MiB", maxReport>>20)
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("report: not a report: %w", at(data, err))
	}
	switch {
	case r.SchemaVersion > SchemaVersion:
		return nil, fmt.Errorf("report: schema_version is %d, this program reads up to %d: it was written by a newer dail", r.SchemaVersion, SchemaVersion)
	case r.SchemaVersion < 0:
		return nil, fmt.Errorf("report: schema_version is %d", r.SchemaVersion)
	case r.RunID == "" || r.Family == "" || r.Hardware == "":
		return nil, errors.New("report: not a report: run_id, family or hardware is missing")
	}
	for i, l := range r.ByDevs {
		if l.Devs < 1 {
			return nil, fmt.Errorf("report: by_devs[%d].devs is %d, want at least 1", i, l.Devs)
		}
	}
	r.share() // our first files wrote it in percent
	if r.SchemaVersion == 0 && r.Source == "" {
		r.Source = Imported
	}
	if r.Source == Imported {
		for i := range r.ByDevs {
			r.ByDevs[i].byOurRule()
		}
	}
	return &r, nil
}

// at adds the line to an error of the JSON decoder.
func at(data []byte, err error) error {
	var offset int64
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	default:
		return err
	}
	line := 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n"))
	return fmt.Errorf("line %d: %w", line, err)
}

// A File is a report and where it was found.
type File struct {
	Path   string
	Report *Report
}

// Walk is [filepath.WalkDir] for a folder of results, which may itself be a link;
// links below it are not followed. Paths begin with dir as it was given.
func Walk(dir string, each fs.WalkDirFunc) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("the folder of the reports: %w", err)
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		below, relErr := filepath.Rel(root, path)
		switch {
		case relErr != nil:
			return relErr
		case path == root:
			return each(dir, d, err)
		}
		return each(filepath.Join(dir, below), d, err)
	})
}

// LoadDir reads every report under dir, which may be a link, whichever way its
// folders are nested, sorted by path. A file that cannot be read does not hide the
// others: what could be read comes back together with an error that joins the
// rest's.
func LoadDir(dir string) ([]File, error) {
	var files []File
	var bad []error
	err := Walk(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil:
			bad = append(bad, err)
		case d.IsDir() && d.Name() == ArtifactsName:
			return filepath.SkipDir // agents' workspaces: nothing there is ours
		case !d.IsDir() && d.Name() == FileName:
			r, err := Load(path)
			if err != nil {
				bad = append(bad, err)
				return nil
			}
			files = append(files, File{Path: path, Report: r})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return files, errors.Join(bad...)
}

// Latest keeps, of each benchmark, configuration, source and SLO (see [Key]), the
// run with the highest run id, in the order of files.
func Latest(files []File) []File {
	newest := map[Key]string{}
	for _, f := range files {
		k := f.Report.Key()
		newest[k] = max(newest[k], f.Report.RunID)
	}
	return slices.DeleteFunc(slices.Clone(files), func(f File) bool {
		return strings.Compare(f.Report.RunID, newest[f.Report.Key()]) < 0
	})
}
