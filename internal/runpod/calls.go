package runpod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Create asks for a pod, once. On an error of the kind [Unclear] it may exist.
func (c *Client) Create(ctx context.Context, req CreateRequest) (Pod, error) {
	r := request{op: "create pod", method: http.MethodPost, path: []string{"pods"}, body: req}
	return ask(ctx, c, r, func(p Pod) error { return p.check("") })
}

// Get returns a pod. One that was just made may not be found for a while.
func (c *Client) Get(ctx context.Context, id string) (Pod, error) {
	r := request{op: "get pod", method: http.MethodGet, path: []string{"pods", id}}
	return ask(ctx, c, r, func(p Pod) error { return p.check(id) })
}

func (p Pod) check(id string) error {
	switch {
	case p.ID == "":
		return errors.New("it names no pod")
	case id != "" && p.ID != id:
		return fmt.Errorf("it is about pod %q", p.ID)
	}
	return nil
}

const (
	pageSize = 1000 // the most that the API gives
	maxPages = 100
)

// List returns all pods of the account but members of clusters, or an error,
// never a part of them.
func (c *Client) List(ctx context.Context) ([]Pod, error) {
	var all []Pod
	seen := map[string]bool{}
	cursors := map[string]bool{}
	cursor := ""
	for range maxPages {
		page, err := c.page(ctx, cursor)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Pods {
			if !seen[p.ID] { // one may move to the next page while they are read
				seen[p.ID] = true
				all = append(all, p)
			}
		}
		if !page.Pagination.HasNextPage {
			return all, nil
		}
		cursor = page.Pagination.NextCursor
		if cursor == "" || cursors[cursor] {
			return nil, listFault("page %d says that there are more, and its cursor %.40q leads nowhere new", len(cursors)+1, cursor)
		}
		cursors[cursor] = true
	}
	return nil, listFault("more than %d pages, %d pods so far", maxPages, len(all))
}

func listFault(format string, args ...any) *Error {
	r := request{op: "list pods", method: http.MethodGet}
	return r.fault(Transient, format, args...)
}

type podPage struct {
	Pods       []Pod `json:"pods"`
	Pagination struct {
		NextCursor  string `json:"nextCursor"`
		HasNextPage bool   `json:"hasNextPage"`
	} `json:"pagination"`
}

func (c *Client) page(ctx context.Context, cursor string) (podPage, error) {
	// No filter is sent: one that the API does not know it ignores.
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	r := request{op: "list pods", method: http.MethodGet, path: []string{"pods"}, query: query}
	return ask(ctx, c, r, func(page podPage) error {
		if page.Pods == nil {
			return errors.New("it has no list of pods") // which is not the same as an empty one
		}
		for _, p := range page.Pods {
			if err := p.check(""); err != nil {
				return err
			}
		}
		return nil
	})
}

// Delete ends a pod. [NotFound] may also come for a pod that still exists.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.do(ctx, request{op: "delete pod", method: http.MethodDelete, path: []string{"pods", id}})
}

// Unlock takes the lock off a pod, which keeps it from being ended.
func (c *Client) Unlock(ctx context.Context, id string) error {
	return c.do(ctx, request{op: "unlock pod", method: http.MethodPatch, path: []string{"pods", id}, body: unlock{}})
}

// unlock is the body that takes a lock off.
type unlock struct {
	Locked bool `json:"locked"`
}

// GPUQuery narrows what the catalogue says of availability. It leaves no type
// out.
type GPUQuery struct {
	Cloud          string // CloudSecure where it is empty
	Count          int    // GPUs in one pod; 1 where it is 0
	MinCUDAVersion string // major.minor of the host; empty: any
}

// GPUTypes returns the catalogue, with what is free for pods now. It is no
// reservation.
func (c *Client) GPUTypes(ctx context.Context, q GPUQuery) ([]GPUType, error) {
	query := url.Values{"include": {"AVAILABILITY"}, "product": {"POD"}, "cloud": {q.Cloud}, "count": {strconv.Itoa(max(q.Count, 1))}}
	if q.Cloud == "" {
		query.Set("cloud", CloudSecure)
	}
	if q.MinCUDAVersion != "" {
		query.Set("minCudaVersion", q.MinCUDAVersion)
	}
	type catalogue struct {
		GPUs []GPUType `json:"gpus"`
	}
	r := request{op: "list GPU types", method: http.MethodGet, path: []string{"catalog", "gpus"}, query: query}
	out, err := ask(ctx, c, r, func(v catalogue) error {
		if v.GPUs == nil {
			return errors.New("it has no list of GPU types")
		}
		return nil
	})
	return out.GPUs, err
}

// NetworkVolume returns a network volume.
func (c *Client) NetworkVolume(ctx context.Context, id string) (NetworkVolume, error) {
	r := request{op: "get network volume", method: http.MethodGet, path: []string{"network-volumes", id}}
	return ask(ctx, c, r, func(v NetworkVolume) error {
		if v.ID != id || v.DataCenter == "" {
			return fmt.Errorf("it is about volume %q in data centre %q", v.ID, v.DataCenter)
		}
		return nil
	})
}

// Bill returns what a pod has cost since a time, by the hour, as far as the
// provider has counted. It is for checking a meter, not the meter.
func (c *Client) Bill(ctx context.Context, podID string, since time.Time) ([]BillingRecord, error) {
	query := url.Values{"podId": {podID}, "startTime": {since.UTC().Format(time.RFC3339)}, "bucketSize": {"hour"}}
	type bill struct {
		Records []BillingRecord `json:"records"`
	}
	r := request{op: "get bill", method: http.MethodGet, path: []string{"billing", "pods"}, query: query}
	out, err := ask(ctx, c, r, func(v bill) error {
		if v.Records == nil {
			return errors.New("it has no list of records")
		}
		return nil
	})
	return out.Records, err
}
