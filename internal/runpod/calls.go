package runpod

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/x/dail/internal/clock"
)

// Create makes a pod, once.
func (c *Client) Create(ctx context.Context, p CreatePod) (Pod, error) {
	var made Pod
	q := call{op: "create pod", method: http.MethodPost, path: "/pods", body: p, into: &made, timeout: time.Minute}
	if err := c.do(ctx, q); err != nil {
		return Pod{}, err
	}
	if made.ID == "" {
		return Pod{}, &Error{Op: q.op, Method: q.method, Path: q.path, Status: http.StatusCreated, Sent: true,
			Err: errors.New("the answer names no pod")}
	}
	return made, nil
}

// Pod returns one pod.
func (c *Client) Pod(ctx context.Context, id string) (Pod, error) {
	var p Pod
	err := c.do(ctx, call{op: "get pod " + id, method: http.MethodGet, path: "/pods/" + url.PathEscape(id), into: &p})
	return p, err
}

// maxPages bounds a list: an account has no hundred thousand pods.
const maxPages = 100

// Pods returns all pods of the account, page by page. A page may be short
// although more follow; a cursor that comes again is an error, because what is
// missing then cannot be known.
func (c *Client) Pods(ctx context.Context) ([]Pod, error) {
	var all []Pod
	seen := map[string]bool{}
	cursor := ""
	for range maxPages {
		var page struct {
			Pods       *[]Pod `json:"pods"`
			Pagination struct {
				NextCursor  string `json:"nextCursor"`
				HasNextPage bool   `json:"hasNextPage"`
			} `json:"pagination"`
		}
		q := call{op: "list pods", method: http.MethodGet, path: "/pods", into: &page, query: url.Values{}}
		if cursor != "" {
			q.query.Set("cursor", cursor)
		}
		if err := c.do(ctx, q); err != nil {
			return nil, err
		}
		if page.Pods == nil {
			return nil, &Error{Op: q.op, Method: q.method, Path: q.path, Status: http.StatusOK, Err: errors.New("the answer holds no list of pods")}
		}
		all = append(all, *page.Pods...)
		if !page.Pagination.HasNextPage {
			return all, nil
		}
		cursor = page.Pagination.NextCursor
		if cursor == "" || seen[cursor] {
			return nil, &Error{Op: q.op, Method: q.method, Path: q.path, Status: http.StatusOK, Err: errors.New("the list goes in circles: its cursor comes again")}
		}
		seen[cursor] = true
	}
	return nil, &Error{Op: "list pods", Method: http.MethodGet, Path: "/pods", Status: http.StatusOK, Err: fmt.Errorf("the list has more than %d pages", maxPages)}
}

// Delete asks for the end of a pod.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.do(ctx, call{op: "terminate pod " + id, method: http.MethodDelete, path: "/pods/" + url.PathEscape(id)})
}

// Unlock lets a locked pod be terminated.
func (c *Client) Unlock(ctx context.Context, id string) error {
	return c.do(ctx, call{op: "unlock pod " + id, method: http.MethodPatch, path: "/pods/" + url.PathEscape(id),
		body: map[string]bool{"locked": false}})
}

// GPUs returns the catalogue with what can be had now, for pods of count GPUs
// in one cloud, on hosts of at least a CUDA version (empty: any).
func (c *Client) GPUs(ctx context.Context, cloud string, count int, minCUDA string) ([]GPU, error) {
	query := url.Values{"include": {"AVAILABILITY"}, "product": {"POD"}, "cloud": {cloud}, "count": {strconv.Itoa(count)}}
	if minCUDA != "" {
		query.Set("minCudaVersion", minCUDA)
	}
	var list struct {
		GPUs []GPU `json:"gpus"`
	}
	err := c.do(ctx, call{op: "read the GPU catalogue", method: http.MethodGet, path: "/catalog/gpus", query: query, into: &list})
	return list.GPUs, err
}

// logsPatience is how long a log is listened to: the stream never ends.
const logsPatience = 5 * time.Second

// Logs returns the last lines of the start (image pull, container errors) and
// of the container, oldest first.
func (c *Client) Logs(ctx context.Context, id string, lines int) ([]string, error) {
	clk := clock.Or(c.Clock)
	var all []string
	for _, source := range []string{"system", "container"} {
		some, err := c.logs(ctx, clk, id, source, lines)
		if err != nil {
			return all, err
		}
		for _, line := range some {
			all = append(all, source+": "+line)
		}
	}
	return all, nil
}

func (c *Client) logs(ctx context.Context, clk clock.Clock, id, source string, lines int) ([]string, error) {
	e := &Error{Op: "read the log of pod " + id, Method: http.MethodGet, Path: "/pods/" + url.PathEscape(id) + "/logs"}
	ctx, cancel := clk.WithTimeout(ctx, logsPatience, nil)
	defer cancel()
	base := c.URL
	if base == "" {
		base = BaseURL
	}
	target := strings.TrimRight(base, "/") + e.Path + "?" + url.Values{"source": {source}, "tail": {strconv.Itoa(lines)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(c.Key))
	req.Header.Set("User-Agent", UserAgent)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.client().Do(req)
	if err != nil {
		e.Err = err
		return nil, e
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		e.Status, e.RequestID = resp.StatusCode, resp.Header.Get("X-Request-Id")
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		e.problem(text)
		return nil, e
	}
	return readLog(resp.Body, lines), nil
}

// readLog reads events until as many lines came as were asked for, or the
// stream ends or is cut: what came until then is worth having.
func readLog(r io.Reader, lines int) []string {
	var got []string
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for len(got) < lines && in.Scan() {
		data, ok := strings.CutPrefix(in.Text(), "data:")
		if !ok {
			continue
		}
		var event struct {
			Line string `json:"line"`
		}
		if json.Unmarshal([]byte(data), &event) == nil && event.Line != "" {
			got = append(got, strings.TrimRight(event.Line, "\r\n"))
		}
	}
	return got
}
