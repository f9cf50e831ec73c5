package dail

import (
	"errors"
	"fmt"
	"time"

	"github.com/x/dail/pod"
)

// provider makes the provider of the flags, and refuses flags that belong to
// another one: who says -host means that host.
func (c Config) provider(env Env, options *pod.Options) (pod.Provider, error) {
	var errs []error
	for _, f := range []struct {
		set         bool
		flag, owner string
	}{
		{c.Endpoint != "", "-endpoint " + c.Endpoint, "endpoint"},
		{c.Host != "", "-host " + c.Host, "ssh"},
		{c.RunPodURL != "", "-runpod-url " + c.RunPodURL, "runpod"},
	} {
		if f.set && c.Provider != f.owner {
			errs = append(errs, fmt.Errorf("%s is given, but the provider is %q: say -provider %s too", f.flag, c.Provider, f.owner))
		}
	}
	if c.USDPerHour != 0 && c.Provider != "ssh" && c.Provider != "endpoint" {
		errs = append(errs, fmt.Errorf("-usd-per-hour is the price of your own machine; provider %s has its own", c.Provider))
	}
	if c.Keep > 0 && c.Provider != "runpod" && c.Provider != "ssh" {
		errs = append(errs, fmt.Errorf("-keep: provider %s leaves nothing that could be kept", c.Provider))
	}
	p, err := c.source(env, options)
	return p, errors.Join(append(errs, err)...)
}

func (c Config) source(env Env, options *pod.Options) (pod.Provider, error) {
	switch c.Provider {
	case "simulated":
		return &pod.Simulated{}, nil
	case "endpoint":
		p := pod.Endpoint{URL: c.Endpoint, USDPerHour: c.USDPerHour}
		return p, p.Check()
	case "runpod", "ssh":
	default:
		return nil, fmt.Errorf("-provider %q: there are simulated, runpod, ssh and endpoint", c.Provider)
	}
	key, keyErr := env.keyPath()
	options.KeyPath = key
	if c.Provider == "runpod" {
		p, err := env.RunPod(c.RunPodURL)
		return p, errors.Join(err, keyErr)
	}
	if c.Host == "" {
		return nil, errors.Join(errors.New("-provider ssh needs -host user@box"), keyErr)
	}
	p, err := pod.NewSSHHost(c.Host, key)
	if err != nil {
		return nil, errors.Join(err, keyErr)
	}
	p.USDPerHour = c.USDPerHour
	return p, keyErr
}

// Landlord makes the provider of the flags for a program that gives machines
// back and takes none. Its errors are *[InputError].
func (c Config) Landlord() (pod.Provider, error) {
	env, err := LoadEnv()
	if err != nil {
		return nil, err
	}
	if c.Provider == "runpod" {
		p, err := env.RunPod(c.RunPodURL)
		if err != nil {
			return nil, &InputError{err}
		}
		return p, nil
	}
	if c.Provider != "ssh" {
		return nil, refuse("-provider %s: only runpod and ssh have machines that could be left behind", c.Provider)
	}
	p, err := c.source(env, new(pod.Options))
	if err != nil {
		return nil, &InputError{err}
	}
	return p, nil
}

// options are the ceilings and secrets of a pod's life.
func (c Config) options(env Env) (pod.Options, error) {
	limits, err := env.Limits()
	if c.MaxUSD < 0 || c.MaxUSDPerHour < 0 || c.USDPerHour < 0 {
		err = errors.Join(err, errors.New("-max-usd, -max-usd-per-hour, -usd-per-hour: want no amount below 0"))
	}
	return pod.Options{
		HFToken:       env.secret("HF_TOKEN"),
		MaxUSDPerHour: c.MaxUSDPerHour,
		MaxUSD:        c.MaxUSD,
		Keep:          time.Duration(c.Keep),
		Limits:        limits,
	}, err
}

// Keep is how long a pod stays after its run: the flag's value. A bare -keep
// (or KEEP=1) is two hours.
type Keep time.Duration

// defaultKeep is long enough to look at a pod, and short enough to be
// forgotten once.
const defaultKeep = Keep(2 * time.Hour)

// String implements flag.Value.
func (k *Keep) String() string {
	if k == nil || *k == 0 {
		return ""
	}
	return time.Duration(*k).String()
}

// IsBoolFlag lets -keep stand alone.
func (*Keep) IsBoolFlag() bool { return true }

// Set implements flag.Value.
func (k *Keep) Set(s string) error {
	switch s {
	case "true", "1", "yes":
		*k = defaultKeep
		return nil
	case "false", "0", "no":
		*k = 0
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > 7*24*time.Hour {
		return fmt.Errorf("want 1, or a duration such as 90m or 4h, at most 168h")
	}
	*k = Keep(d)
	return nil
}
