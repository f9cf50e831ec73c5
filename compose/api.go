package compose

import (
	"net/url"
	"time"
)

// API is a hosted API that a team could pay instead of a GPU: one file of
// configs/apis. Prices are list prices in USD per million tokens.
type API struct {
	Key    string `yaml:"-"`      // the file's name
	Name   string `yaml:"name"`   // who sells it
	Model  string `yaml:"model"`  // the model's id there
	AsOf   string `yaml:"as_of"`  // YYYY-MM-DD, the day on which the prices were seen
	Source string `yaml:"source"` // address of the price list
	Note   string `yaml:"note"`   // what the prices leave out; may be empty

	Input  float64 `yaml:"input_usd_per_mtok"`
	Output float64 `yaml:"output_usd_per_mtok"`
	// CacheRead and CacheWrite are nil where the vendor names no such price:
	// those tokens then cost what Input costs.
	CacheRead  *float64 `yaml:"cache_read_usd_per_mtok"`
	CacheWrite *float64 `yaml:"cache_write_usd_per_mtok"`
}

// APIs reads every apis/*.yaml of the layers, sorted by key. A later layer's
// file takes the place of an earlier one's of the same name; layers without
// such a folder are no fault. Every fault of every file is reported, as by
// [Merge].
func APIs(layers []Layer) ([]API, error) {
	f := &faults{}
	sources := files(layers, "apis", f)
	var out []API
	for _, key := range keys(sources) {
		text, ok := sources[key].read(f)
		if !ok {
			continue
		}
		a := API{Key: key}
		checkAPI(&a, decode(sources[key].show(), text, &a, f, nil))
		out = append(out, a)
	}
	if f.any() {
		return nil, f.err()
	}
	return out, nil
}

func checkAPI(a *API, d *document) {
	d.require("name", "model", "as_of", "source", "input_usd_per_mtok", "output_usd_per_mtok")
	d.text("name", a.Name)
	d.text("model", a.Model)
	d.atLeast("input_usd_per_mtok", a.Input, 0)
	d.atLeast("output_usd_per_mtok", a.Output, 0)
	for _, c := range []struct {
		key string
		v   *float64
	}{{"cache_read_usd_per_mtok", a.CacheRead}, {"cache_write_usd_per_mtok", a.CacheWrite}} {
		if c.v != nil {
			d.atLeast(c.key, *c.v, 0)
		}
	}
	if d.has("as_of") {
		if _, err := time.Parse(time.DateOnly, a.AsOf); err != nil {
			d.at("as_of", "write the day on which the prices were seen as 2026-11-09", "%s is not a date", quoted(a.AsOf))
		}
	}
	if d.has("source") {
		if u, err := url.Parse(a.Source); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			d.at("source", "write the address of the vendor's price list, https://…", "%s is no address", quoted(a.Source))
		}
	}
}
