package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// WriteFile writes the page of a folder's reports to a file, whole or not at all.
// It returns what [Write] does.
func WriteFile(path, dir string) (reports int, err error) {
	var b bytes.Buffer
	reports, err = Write(&b, dir, Options{})
	if b.Len() == 0 {
		return reports, err
	}
	tmp, ferr := os.CreateTemp(filepath.Dir(path), ".dashboard-*")
	if ferr != nil {
		return 0, fmt.Errorf("dashboard: %w", ferr)
	}
	defer os.Remove(tmp.Name()) // nothing once it is renamed
	_, ferr = tmp.Write(b.Bytes())
	ferr = errors.Join(ferr, tmp.Chmod(0o644), tmp.Close())
	if ferr == nil {
		ferr = os.Rename(tmp.Name(), path)
	}
	if ferr != nil {
		return 0, fmt.Errorf("dashboard: %w", ferr)
	}
	return reports, err
}

// lookEvery is how often a folder is looked at for new reports.
const lookEvery = time.Second

// Serve serves the page of a folder's reports at an address until ctx is done. It
// is made anew whenever it is asked for, and pages that are open load themselves
// again when a report has changed. ready is told the URL (nil: nobody).
func Serve(ctx context.Context, address, dir string, ready func(url string)) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("dashboard: %w; -listen names another address, such as 127.0.0.1:0 for any free port", err)
	}
	server := &http.Server{Handler: Handler(dir), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	if ready != nil {
		ready("http://" + l.Addr().String() + "/")
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("dashboard: %w", err)
	}
	return nil
}

// Handler serves the page at / and its changes at /events, for a program that has
// a server already. It answers to whoever reaches it.
func Handler(dir string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		if n, err := Write(&b, dir, Options{Live: true}); err != nil && n == 0 && b.Len() == 0 {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(b.Bytes())
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { events(w, r, dir) })
	return mux
}

// events tells of each change of the reports until whoever asked has gone, the
// first one since the page was made that has seen the state that it names.
func events(w http.ResponseWriter, r *http.Request, dir string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	look := func() string {
		paths, err := find(dir)
		if err != nil {
			return ""
		}
		return state(paths)
	}
	seen := cmp.Or(r.FormValue("seen"), look())
	// Whoever reads this may count on hearing of all that changes from here on.
	fmt.Fprint(w, ": listening\n\n")
	if out.Flush() != nil {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if now := look(); now != seen {
			seen = now
			if _, err := fmt.Fprint(w, "data: changed\n\n"); err != nil || out.Flush() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// state sums up which reports there are, and when each was last written.
func state(paths []string) string {
	var newest time.Time
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return fmt.Sprintf("%d-%d", len(paths), newest.UnixMicro())
}
