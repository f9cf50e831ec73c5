package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/dail/internal/clock"
)

func TestFastRunsTimesAsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := clock.Fast{Origin: began, Times: 20}
		if err := f.Sleep(context.Background(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("a minute took %v of the wall, want 3s", got)
		}
		if got := f.Now().Sub(began); got != time.Minute {
			t.Errorf("the clock moved %v, want 1m", got)
		}

		cause := errors.New("too late")
		ctx, cancel := f.WithTimeout(context.Background(), 20*time.Second, cause)
		defer cancel()
		<-ctx.Done()
		if context.Cause(ctx) != cause {
			t.Errorf("cause %v", context.Cause(ctx))
		}
		if got := time.Since(began); got != 4*time.Second {
			t.Errorf("the timeout came after %v of the wall, want 4s", got)
		}
	})
}

func TestFastTravelsAsText(t *testing.T) {
	f := clock.Fast{Origin: time.Unix(1790000000, 123), Times: 12.5}
	text, err := f.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var got clock.Fast
	if err := got.UnmarshalText(text); err != nil || !got.Origin.Equal(f.Origin) || got.Times != f.Times {
		t.Errorf("%s came back as %+v, %v", text, got, err)
	}
	for _, bad := range []string{"", "x", "5*", "5*0", "5*-1"} {
		if err := got.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestWallSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := clock.Or(nil).Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
