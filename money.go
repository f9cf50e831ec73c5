package dail

import (
	"fmt"
	"strconv"

	"github.com/x/dail/compose"
	"github.com/x/dail/report"
)

// setDuty is -duty's value. 0 is no value there, though [Config].DutyCycle is 0
// where nothing was said: whoever writes it meant something else.
func (c *Config) setDuty(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !isDuty(v) {
		return fmt.Errorf("want a fraction above 0, at most 1, such as 0.25")
	}
	c.DutyCycle = v
	return nil
}

func isDuty(v float64) bool { return v > 0 && v <= 1 }

// dutyFault refuses a duty cycle that a program filled in; 0 is none.
func dutyFault(v float64) error {
	if v == 0 || isDuty(v) {
		return nil
	}
	return fmt.Errorf("-duty %g: want a fraction above 0, at most 1, such as 0.25", v)
}

// apis reads the hosted APIs' prices from configs/apis, and from the folder
// that overlays it.
func (c Config) apis() ([]report.API, error) {
	cfg, _, err := c.layers()
	if err != nil {
		return nil, nil // compose says it
	}
	list, err := compose.APIs(cfg)
	if err != nil {
		return nil, err
	}
	var out []report.API
	for _, a := range list {
		out = append(out, report.API{
			Name: a.Name, Model: a.Model, AsOf: a.AsOf, Source: a.Source, Note: a.Note,
			Input: a.Input, CacheRead: or(a.CacheRead, a.Input), CacheWrite: or(a.CacheWrite, a.Input), Output: a.Output,
		})
	}
	return out, nil
}

// or is *v, or other where there is none.
func or(v *float64, other float64) float64 {
	if v == nil {
		return other
	}
	return *v
}
