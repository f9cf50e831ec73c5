package pod_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/x/dail/internal/clock"
	"github.com/x/dail/pod"
	"github.com/x/dail/pod/podtest"
)

// rented is a provider on a double that holds every call to RunPod's OpenAPI
// document.
func rented(t *testing.T, clk pod.Clock) (*pod.RunPod, *podtest.Server) {
	t.Helper()
	srv, err := podtest.NewServer(podtest.Config{NoMachines: true, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range srv.Violations() {
			t.Errorf("violation: %s", v)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return &pod.RunPod{Key: pod.Secret(srv.Key), URL: srv.URL, Clock: clk}, srv
}

// From the catalogue to the end, and every call is one that the document has.
func TestRunPodHoldsTheContract(t *testing.T) {
	ctx := context.Background()
	r, srv := rented(t, clock.Wall{})
	srv.AddForeign("theirs", nil)
	srv.Inject(podtest.Locked, 1)
	offers, err := r.Offers(ctx, l40s())
	if err != nil {
		t.Fatal(err)
	}
	s := spec()
	s.Offer = offers[0]
	made, err := r.Create(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Get(ctx, made.ID)
	if err != nil || got.Marker == nil || *got.Marker != s.Marker || got.USDPerHour != s.Offer.USDPerHour || got.Created.IsZero() {
		t.Errorf("%+v, %v; want the marker %+v and the offer's price %v", got, err, s.Marker, s.Offer.USDPerHour)
	}
	srv.Inject(podtest.ListPages, 1)
	all, err := r.List(ctx)
	if err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := r.Logs(ctx, made.ID, 20); err != nil {
		t.Error(err)
	}
	if err := r.Terminate(ctx, made.ID); err != nil {
		t.Error(err)
	}
	all, err = r.List(ctx)
	if err != nil || len(all) != 1 || all[0].Name != "theirs" || len(srv.Alive()) > 0 || len(srv.Touched()) > 0 {
		t.Errorf("listed: %+v, %v; alive: %+v; touched: %+v", all, err, srv.Alive(), srv.Touched())
	}
	if err := r.Terminate(ctx, made.ID); !errors.Is(err, pod.ErrNotFound) {
		t.Errorf("a second time: %v", err)
	}
}

// What a create's error promises is true of the account.
func TestRunPodSaysWhetherAPodMayExist(t *testing.T) {
	for _, f := range podtest.Faults() {
		switch f {
		case podtest.CreateHangs, podtest.CreateCut, podtest.Create500, podtest.CreateLate, podtest.CreateFails, podtest.CreateBrokenJSON,
			podtest.CreateTwice, podtest.NoCapacity, podtest.BadRequest, podtest.NoCredit, podtest.Denied, podtest.Unprocessable, podtest.CreateRate,
			podtest.Cloudflare, podtest.Gone, podtest.Unauthorized, podtest.RateLimited, podtest.Unavailable, podtest.CallCut:
		default:
			continue
		}
		t.Run(f.Name(), func(t *testing.T) {
			t.Parallel()
			r, srv := rented(t, clock.Fast{Origin: time.Now(), Times: 20}) // a hang lasts half a minute
			s := spec()
			srv.Inject(f, 1)
			_, err := r.Create(context.Background(), s)
			if n := len(srv.Pods()); err != nil && !errors.Is(err, pod.ErrUnclear) && n > 0 {
				t.Errorf("%d pods were made, and the error says none: %v", n, err)
			}
			if n := len(srv.Pods()); err == nil && n == 0 {
				t.Error("no pod was made, and no error says so")
			}
			if n := len(srv.Pods()); n > 1 && f != podtest.CreateTwice {
				t.Errorf("%d pods were made by one create", n)
			}
		})
	}
}
