package pod

import (
	"fmt"
	"time"

	"github.com/x/dail/compose"
)

// Limits are the ceilings of a pod's life. A field of 0 is its default.
type Limits struct {
	// Endpoint is how long a created machine may take until it publishes an
	// address: 6 minutes. RunPod's own advice is to take a machine that needs
	// longer for a bad draw.
	Endpoint time.Duration
	// Reachable is how long from there until somebody can log in: 3 minutes.
	// sshd lags behind a container's start by up to 90 s.
	Reachable time.Duration
	// Draws is how many machines are tried before giving up: 3.
	Draws int
	// StallStartup is how long the start of vLLM may show no progress: 5 minutes.
	StallStartup time.Duration
	// MaxStartup is how long it may take altogether: 12 minutes. Weights of
	// hundreds of GB need more.
	MaxStartup time.Duration
	// StallGeneration is how long a level of up to four developers may show no
	// progress: 8 minutes, and as much again for each further four.
	StallGeneration time.Duration
	// Run is the whole life of the pod, from the first create: 1 hour.
	Run time.Duration
	// Terminate is how long giving a machine back may take before the watchdog
	// is left to it: 2 minutes.
	Terminate time.Duration
}

func (l Limits) withDefaults() Limits {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&l.Endpoint, 6*time.Minute)
	def(&l.Reachable, 3*time.Minute)
	def(&l.StallStartup, 5*time.Minute)
	def(&l.MaxStartup, 12*time.Minute)
	def(&l.StallGeneration, 8*time.Minute)
	def(&l.Run, time.Hour)
	def(&l.Terminate, 2*time.Minute)
	if l.Draws <= 0 {
		l.Draws = 3
	}
	return l
}

// Stall is how long a level of devs developers may show no progress.
func (l Limits) Stall(devs int) time.Duration {
	return l.withDefaults().StallGeneration * time.Duration((devs+3)/4)
}

// leastUseful is the shortest life that a pod is worth being taken for: its
// start alone needs as much.
const leastUseful = 10 * time.Minute

// ceilings are the limits that money sets.
type ceilings struct {
	perHour float64 // USD, the whole machine; 0: none
	total   float64 // USD, the whole run; 0: none
}

// ceilingsOf takes the options' ceilings, and the hardware file's where the
// options name none.
func ceilingsOf(opts Options, run *compose.Run) ceilings {
	c := ceilings{perHour: opts.MaxUSDPerHour, total: opts.MaxUSD}
	if c.perHour <= 0 {
		c.perHour = run.Hardware.MaxUSDPerHour
	}
	return c
}

// PriceError is a price above a ceiling that the user set.
type PriceError struct {
	What    string  // "the catalogue asks", "the pod costs"
	Price   float64 // USD per hour, the whole machine
	Ceiling string  // the ceiling in words
}

func (e *PriceError) Error() string {
	return fmt.Sprintf("%s $%.2f/h, and the ceiling is %s", e.What, e.Price, e.Ceiling)
}

// check refuses a price.
func (c ceilings) check(what string, usdPerHour float64) error {
	if c.perHour > 0 && usdPerHour > c.perHour {
		return &PriceError{what, usdPerHour, fmt.Sprintf("$%.2f/h: raise -max-usd-per-hour, or choose another hardware", c.perHour)}
	}
	if c.total > 0 && usdPerHour > 0 {
		if buys := c.buys(usdPerHour); buys < leastUseful {
			return &PriceError{what, usdPerHour, fmt.Sprintf("$%.2f for the run (-max-usd), which buys %v of it; a start alone takes up to %v",
				c.total, buys.Round(time.Second), leastUseful)}
		}
	}
	return nil
}

// buys is how long the total lasts at a price.
func (c ceilings) buys(usdPerHour float64) time.Duration {
	return time.Duration(c.total / usdPerHour * float64(time.Hour))
}

// Life is how long a machine of this price may live, from its creation: the
// run's limit, or what MaxUSD buys of it.
func (o Options) Life(usdPerHour float64) time.Duration {
	return ceilings{total: o.MaxUSD}.life(o.Limits.withDefaults().Run, usdPerHour)
}

// life is how long a machine may live: the limit, or what the money buys.
func (c ceilings) life(limit time.Duration, usdPerHour float64) time.Duration {
	if c.total > 0 && usdPerHour > 0 {
		return min(limit, c.buys(usdPerHour))
	}
	return limit
}
