package container

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Labels of everything that this package makes.
const (
	labelRun   = "dail.run"
	labelOwner = "dail.owner"
	labelImage = "dail.image"
)

// ReapOptions shapes Reap.
type ReapOptions struct {
	// Owner is whose containers are removed. Empty: everybody's.
	Owner string
	// Age spares containers that are younger.
	Age time.Duration
	// DryRun removes nothing.
	DryRun bool
}

// Found is a container that Reap came upon.
type Found struct {
	ID, Name, Owner, Run string
	Created              time.Time // zero where the engine's words for it cannot be read
	// Removed says that it is gone; where it is not, Err says why, and is nil for
	// one that was spared.
	Removed bool
	Err     error
}

// Reap removes containers that this package made, by their labels, and touches no
// other. It needs none of the programs that made them.
func Reap(ctx context.Context, e Engine, o ReapOptions) ([]Found, error) {
	args := []string{"ps", "--all", "--quiet", "--no-trunc", "--filter", "label=" + labelRun}
	if o.Owner != "" {
		args = append(args, "--filter", "label="+labelOwner+"="+o.Owner)
	}
	asked, cancel := e.bounded(ctx)
	ids, err := e.output(asked, args...)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	var all []Found
	var errs []error
	for _, id := range strings.Fields(ids) {
		f, err := e.inspect(ctx, id)
		switch {
		case err != nil && isGone(err):
			continue
		case err != nil:
			errs = append(errs, err)
			continue
		}
		// One whose age cannot be read is young, where only the old are meant.
		old := o.Age <= 0 || !f.Created.IsZero() && time.Since(f.Created) >= o.Age
		if !o.DryRun && old {
			_, f.Err = e.remove(ctx, id)
			f.Removed = f.Err == nil
			errs = append(errs, f.Err)
		}
		all = append(all, f)
	}
	return all, errors.Join(errs...)
}

// inspect asks for a container's labels and age.
func (e Engine) inspect(ctx context.Context, id string) (Found, error) {
	const sep = "\x1f"
	format := strings.Join([]string{
		"{{.Name}}", `{{index .Config.Labels "` + labelOwner + `"}}`, `{{index .Config.Labels "` + labelRun + `"}}`,
		`{{.Created}}`,
	}, sep)
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	text, err := e.output(ctx, "container", "inspect", "--format", format, id)
	if err != nil {
		return Found{}, fmt.Errorf("container: %w", err)
	}
	part := strings.Split(text, sep)
	if len(part) != 4 {
		return Found{}, fmt.Errorf("container: %s: its description cannot be read: %.200q", id, text)
	}
	f := Found{ID: id, Name: strings.TrimPrefix(part[0], "/"), Owner: part[1], Run: part[2]}
	// Docker says it as RFC 3339, podman as Go prints a time.
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if at, err := time.Parse(layout, part[3]); err == nil {
			f.Created = at
			break
		}
	}
	return f, nil
}
