package pod

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/x/dail/internal/clock"
)

// endCase is a cloud with a machine of ours of a certain age, and one of
// somebody else, in a bubble whose time is the test's.
func endCase(t *testing.T, age time.Duration, test func(t *testing.T, c *fakeCloud, m Machine)) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCloud(clock.Wall{})
		c.add("somebody-elses", nil)
		m := c.add(NewName(time.Now()), nil)
		time.Sleep(age)
		test(t, c, m)
		if !slices.Contains(c.alive(), "somebody-elses") {
			t.Error("a foreign machine was ended")
		}
	})
}

func onlyForeign(t *testing.T, c *fakeCloud) {
	t.Helper()
	if diff := cmp.Diff([]string{"somebody-elses"}, c.alive()); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
}

// within runs f under a limit and says how long it took.
func within(t *testing.T, limit time.Duration, f func(ctx context.Context) error) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("time is up"))
	defer cancel()
	began := time.Now()
	err := f(ctx)
	return time.Since(began), err
}

func TestEndConfirmsWithoutWaiting(t *testing.T) {
	endCase(t, time.Hour, func(t *testing.T, c *fakeCloud, m Machine) {
		took, err := within(t, time.Minute, func(ctx context.Context) error { return end(ctx, c, nil, m.ID, m.Name) })
		if err != nil || took != 0 {
			t.Errorf("%v after %v", err, took)
		}
		onlyForeign(t, c)
		if diff := cmp.Diff([]string{"terminate id2", "get id2", "list"}, c.callsMade()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}

func TestEndGoesOnUntilNothingIsLeft(t *testing.T) {
	tests := []struct {
		name  string
		age   time.Duration
		fault func(context.Context, string, string) error
		setup func(c *fakeCloud)
		took  time.Duration
		asked int // how often it was told to end
	}{
		{name: "refused three times", age: time.Hour, fault: refuse("terminate", 3, ErrBusy), took: 7 * time.Second, asked: 4},
		{name: "unclear, and not done", age: time.Hour, fault: refuse("terminate", 1, ErrUnclear), took: time.Second, asked: 2},
		{name: "in a state that forbids it", age: time.Hour, fault: refuse("terminate", 2, ErrConflict), took: 3 * time.Second, asked: 3},
		{name: "the key is refused for a moment", age: time.Hour, fault: refuse("terminate", 2, ErrUnauthorized), took: 3 * time.Second, asked: 3},
		{name: "404 while it is there", age: time.Hour, fault: refuse("terminate", 2, ErrNotFound), took: 3 * time.Second, asked: 3},
		{name: "its page cannot be had", age: time.Hour, fault: refuse("get", 1, ErrBusy), took: time.Second, asked: 2},
		{name: "its page is gone, the list shows it", age: time.Hour, fault: refuse("get", -1, ErrNotFound), setup: func(c *fakeCloud) { c.hideAfter = 5 * time.Second }, took: 7 * time.Second, asked: 4},
		{name: "the list cannot be had", age: time.Hour, fault: refuse("list", 2, ErrBusy), took: 3 * time.Second, asked: 3},
		{name: "still shown after it was asked", age: time.Hour, setup: func(c *fakeCloud) { c.hideAfter = 40 * time.Second }, took: 45 * time.Second, asked: 7},
		{name: "so new that nobody knows it", age: 0, setup: func(c *fakeCloud) { c.showAfter = 20 * time.Second }, took: 30 * time.Second, asked: 6},
		{name: "ended by somebody else long ago", age: time.Hour, setup: func(c *fakeCloud) { c.machines[1].ended = c.clk.Now() }, took: 0, asked: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			endCase(t, tt.age, func(t *testing.T, c *fakeCloud, m Machine) {
				c.fault = tt.fault
				if tt.setup != nil {
					tt.setup(c)
				}
				took, err := within(t, 2*time.Minute, func(ctx context.Context) error { return end(ctx, c, nil, m.ID, m.Name) })
				if err != nil || took != tt.took {
					t.Errorf("%v after %v, want %v", err, took, tt.took)
				}
				if n := c.count("terminate " + m.ID); n != tt.asked {
					t.Errorf("it was asked %d times, want %d", n, tt.asked)
				}
				onlyForeign(t, c)
			})
		})
	}
}

func TestEndTakesEverythingOfTheName(t *testing.T) {
	for _, id := range []string{"id2", ""} {
		endCase(t, time.Hour, func(t *testing.T, c *fakeCloud, m Machine) {
			c.add(m.Name, nil)
			took, err := within(t, time.Minute, func(ctx context.Context) error { return end(ctx, c, nil, id, m.Name) })
			if err != nil || took != 0 {
				t.Errorf("%v after %v", err, took)
			}
			onlyForeign(t, c)
		})
	}
}

func TestEndWithoutANameTakesOnlyTheID(t *testing.T) {
	endCase(t, time.Hour, func(t *testing.T, c *fakeCloud, m Machine) {
		c.add("", nil) // somebody's machine without a name
		if err := end(t.Context(), c, nil, m.ID, ""); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"somebody-elses", ""}, c.alive()); diff != "" {
			t.Errorf("machines (-want +got):\n%s", diff)
		}
	})
}

// A call that hangs leaves time for the next.
func TestEndOutlivesACallThatHangs(t *testing.T) {
	endCase(t, time.Hour, func(t *testing.T, c *fakeCloud, m Machine) {
		hangs := 1
		c.fault = func(ctx context.Context, op, _ string) error {
			if op == "terminate" && hangs > 0 {
				hangs--
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		took, err := within(t, time.Minute, func(ctx context.Context) error { return end(ctx, c, nil, m.ID, m.Name) })
		if err != nil || took != callTimeout+endWait {
			t.Errorf("%v after %v", err, took)
		}
		onlyForeign(t, c)
	})
}

func TestEndSaysWhatIsLeft(t *testing.T) {
	tests := []struct {
		name  string
		fault func(context.Context, string, string) error
		setup func(*fakeCloud)
		id    string
		took  time.Duration
		want  []string
	}{
		{"the provider is down", refuse("terminate", -1, ErrBusy), nil, "id2", 2 * time.Minute,
			[]string{"id2", "dail-", "$2.00/h", "cannot answer now", "words of the provider", "req-7", "time is up", "fakectl rm id2"}},
		{"a wrong key", refuse("terminate", -1, ErrUnauthorized), nil, "id2", 3 * time.Second,
			[]string{"id2", "dail-", "the key is not accepted", "fakectl rm id2"}},
		{"a wrong key, and no id", refuse("list", -1, ErrUnauthorized), nil, "", 3 * time.Second,
			[]string{"dail-", "the key is not accepted", "fake's console"}},
		{"shown for ever", nil, func(c *fakeCloud) { c.hideAfter = time.Hour }, "id2", 2 * time.Minute,
			[]string{"was taken", "UP", "time is up", "fakectl rm id2"}},
		{"two of them", refuse("terminate", -1, ErrBusy), func(c *fakeCloud) { c.add(c.machines[1].Name, nil) }, "", 2 * time.Minute,
			[]string{"id2, id3", "fakectl rm id2; fakectl rm id3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			endCase(t, time.Hour, func(t *testing.T, c *fakeCloud, m Machine) {
				c.fault = tt.fault
				if tt.setup != nil {
					tt.setup(c)
				}
				took, err := within(t, 2*time.Minute, func(ctx context.Context) error { return end(ctx, c, nil, tt.id, m.Name) })
				var left *LeftError
				if !errors.As(err, &left) || took != tt.took {
					t.Fatalf("%v after %v, want a LeftError after %v", err, took, tt.took)
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the error does not say %q: %v", want, err)
					}
				}
			})
		})
	}
}

func TestFindWaitsForALateList(t *testing.T) {
	endCase(t, 0, func(t *testing.T, c *fakeCloud, m Machine) {
		c.showAfter = 12 * time.Second
		took, err := within(t, time.Minute, func(ctx context.Context) error {
			found, err := find(ctx, c, nil, m.Name, 7, 5*time.Second)
			if len(found) != 1 || found[0].ID != m.ID {
				t.Errorf("found %v", found)
			}
			return err
		})
		if err != nil || took != 15*time.Second {
			t.Errorf("%v after %v", err, took)
		}

		took, err = within(t, time.Minute, func(ctx context.Context) error {
			found, err := find(ctx, c, nil, "dail-1-none", 7, 5*time.Second)
			if len(found) != 0 {
				t.Errorf("found %v", found)
			}
			return err
		})
		if err != nil || took != 30*time.Second {
			t.Errorf("none: %v after %v", err, took)
		}

		c.fault = refuse("list", -1, ErrBusy)
		if _, err = find(t.Context(), c, nil, "dail-1-none", 2, time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("a list that could not be had was taken for an empty one: %v", err)
		}
		_, err = within(t, time.Second, func(ctx context.Context) error {
			_, err := find(ctx, c, nil, m.Name, 7, 5*time.Second)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "time is up") {
			t.Errorf("%v", err)
		}
	})
}

func TestSettleEndsWhatAppearsLate(t *testing.T) {
	for _, late := range []time.Duration{0, 20 * time.Second, 5 * time.Minute, lateAfter - time.Second} {
		endCase(t, 0, func(t *testing.T, c *fakeCloud, m Machine) {
			c.showAfter = late
			took, err := within(t, time.Hour, func(ctx context.Context) error { return settle(ctx, c, nil, m.Name, time.Now()) })
			if err != nil || took < late || took > late+lateEvery {
				t.Errorf("late by %v: %v after %v", late, err, took)
			}
			onlyForeign(t, c)
		})
	}
}

func TestSettleGivesUpWhatNeverAppears(t *testing.T) {
	endCase(t, 0, func(t *testing.T, c *fakeCloud, _ Machine) {
		intent := time.Now()
		time.Sleep(time.Minute)
		took, err := within(t, time.Hour, func(ctx context.Context) error { return settle(ctx, c, nil, "dail-1-none", intent) })
		if err != nil || took != lateAfter-time.Minute {
			t.Errorf("%v after %v", err, took)
		}

		// Past the time one good look is enough, but it has to be a good one.
		c.fault = refuse("list", 3, ErrBusy)
		took, err = within(t, time.Hour, func(ctx context.Context) error { return settle(ctx, c, nil, "dail-1-none", intent) })
		if err != nil || took != 3*lateEvery {
			t.Errorf("%v after %v", err, took)
		}

		c.fault = refuse("list", -1, ErrUnauthorized)
		took, err = within(t, time.Hour, func(ctx context.Context) error { return settle(ctx, c, nil, "dail-1-none", intent) })
		if !errors.Is(err, ErrUnauthorized) || took != 2*lateEvery {
			t.Errorf("a wrong key: %v after %v", err, took)
		}

		c.fault = nil
		_, err = within(t, time.Second, func(ctx context.Context) error { return settle(ctx, c, nil, "dail-1-none", time.Now()) })
		var left *LeftError
		if !errors.As(err, &left) || !strings.Contains(err.Error(), "may still appear") || !strings.Contains(err.Error(), "time is up") {
			t.Errorf("given up early: %v", err)
		}
	})
}

func TestNameTime(t *testing.T) {
	now := time.Unix(1790000000, 0)
	if got, ok := nameTime(NewName(now)); !ok || !got.Equal(now) {
		t.Errorf("%v, %v", got, ok)
	}
	for _, name := range []string{"", "dail-", "dail-x-y", "dail-12", "dail--5-a", "other-12-a"} {
		if got, ok := nameTime(name); ok {
			t.Errorf("%q was made at %v", name, got)
		}
	}
}
