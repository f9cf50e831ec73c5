package dail_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/x/dail/internal/virtual"
	"github.com/x/dail/report"
	"github.com/x/dail/sim"
)

const methodology = "docs/methodology.md"

// schemaNode is as much of the schema as the page shows.
type schemaNode struct {
	Ref         string                `json:"$ref"`
	Type        any                   `json:"type"`
	Description string                `json:"description"`
	Properties  map[string]schemaNode `json:"properties"`
	Items       json.RawMessage       `json:"items"`
	Defs        map[string]schemaNode `json:"$defs"`
}

func (n schemaNode) kind() string {
	switch t := n.Type.(type) {
	case string:
		var items schemaNode
		if t == "array" && json.Unmarshal(n.Items, &items) == nil {
			return "list of " + items.kind()
		}
		return t
	case []any:
		return fmt.Sprint(t[0])
	}
	return "`" + strings.TrimPrefix(n.Ref, "#/$defs/") + "`"
}

func (n schemaNode) number() bool { return n.kind() == "number" || n.kind() == "integer" }

func reportSchema(t *testing.T) schemaNode {
	t.Helper()
	var s schemaNode
	if err := json.Unmarshal(report.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// fieldTables are the page's last part.
func fieldTables(s schemaNode) string {
	var b strings.Builder
	table := func(name string, n schemaNode) {
		fmt.Fprintf(&b, "### `%s`\n\n%s\n\n| key | type | meaning |\n| --- | --- | --- |\n", name, n.Description)
		for _, key := range slices.Sorted(maps.Keys(n.Properties)) {
			p := n.Properties[key]
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, p.kind(), strings.ReplaceAll(p.Description, "|", "\\|"))
		}
		b.WriteString("\n")
	}
	table("report", s)
	for _, name := range slices.Sorted(maps.Keys(s.Defs)) {
		if n := s.Defs[name]; len(n.Properties) > 0 {
			table(name, n)
		}
	}
	return strings.TrimSpace(b.String())
}

// enginePage is what a server shows, without a level.
func enginePage(t *testing.T) string {
	t.Helper()
	l, err := virtual.Start(sim.Config{Step: sim.Fixed{TTFT: 1, ITL: 1}}, virtual.DevLoad(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	page, err := l.Page()
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// bucketTable are the bounds that a server's histograms have.
func bucketTable(page string) string {
	var b strings.Builder
	b.WriteString("| histogram | upper bounds, s |\n| --- | --- |\n")
	for _, name := range []string{"vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds", "vllm:e2e_request_latency_seconds"} {
		var bounds []string
		for _, m := range regexp.MustCompile(regexp.QuoteMeta(name)+`_bucket\{[^}]*le="([^"]+)"`).FindAllStringSubmatch(page, -1) {
			bounds = append(bounds, m[1])
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.Join(bounds, ", "))
	}
	return strings.TrimSpace(b.String())
}

// The page's tables are those of the schema and of a server.
func TestMethodologyIsUpToDate(t *testing.T) {
	have, err := os.ReadFile(methodology)
	if err != nil {
		t.Fatal(err)
	}
	want := have
	for name, table := range map[string]string{"fields": fieldTables(reportSchema(t)), "buckets": bucketTable(enginePage(t))} {
		between := regexp.MustCompile(`(?s)<!-- ` + name + ` -->.*<!-- /` + name + ` -->`)
		if !between.Match(want) {
			t.Fatalf("%s has no <!-- %s --> any more", methodology, name)
		}
		want = between.ReplaceAllLiteral(want, []byte("<!-- "+name+" -->\n"+table+"\n<!-- /"+name+" -->"))
	}
	if *update {
		if err := os.WriteFile(methodology, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(have, want) {
		t.Errorf("%s is not what the schema says: go test -run Methodology -update writes it", methodology)
	}
}

// Every number of a report stands in one of the page's tables of formulas: by
// its key, or by its object's name and its key.
func TestMethodologyExplainsEveryFigure(t *testing.T) {
	text, err := os.ReadFile(methodology)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, _ := strings.Cut(string(text), "## Every field")
	explained := map[string]bool{}
	for line := range strings.Lines(prose) {
		cells := strings.Split(line, "|")
		if len(cells) != 9 { // not a row of seven cells
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z0-9_.]+)`").FindAllStringSubmatch(cells[1], -1) {
			explained[m[1]] = true
		}
		for i, c := range cells[2:8] {
			if strings.TrimSpace(c) == "" {
				t.Errorf("%s: cell %d is empty", cells[1], i+2)
			}
		}
	}
	s := reportSchema(t)
	inputs := []string{ // what a run was given, or ids: there is nothing to compute
		"report.schema_version", "report.gpu_count", "report.price_usd_per_gpu_hour", "report.hours_per_month", "report.max_model_len",
		"level.devs", "level.agents_ok", "slo.max_ttft", "slo.min_tps", "model_meta.total_params_b", "model_meta.active_params_b",
		"agent.agent", "agent.wall_time", "agent.rounds", "gate.exit_code", "gate.seconds", "phase.turns", "phase.tool_errors", "phase.cache_read",
		"phase.retries", "phase.exit_code", "phase.wall_time", "money.hours_per_month", "money.duty_cycle", "money.devs", "at_work.t_s", "at_work.agents",
		"api.input_usd_per_mtok", "api.cache_read_usd_per_mtok", "api.cache_write_usd_per_mtok", "api.output_usd_per_mtok",
	}
	used := map[string]bool{}
	check := func(object string, n schemaNode) {
		for key, p := range n.Properties {
			full := object + "." + key
			used[key], used[full] = true, true
			if p.number() && !explained[key] && !explained[full] && !slices.Contains(inputs, full) {
				t.Errorf("%s does not explain %s", methodology, full)
			}
		}
	}
	check("report", s)
	for name, n := range s.Defs {
		check(name, n)
	}
	for key := range explained {
		if !used[key] {
			t.Errorf("%s explains %s, which no report has", methodology, key)
		}
	}
	for _, key := range inputs {
		if !used[key] {
			t.Errorf("%s is no field any more", key)
		}
	}
}

// The series that the page names are on a server's page, or were on an older
// one's.
func TestMethodologyNamesRealSeries(t *testing.T) {
	text, err := os.ReadFile(methodology)
	if err != nil {
		t.Fatal(err)
	}
	page := enginePage(t)
	old := []string{"vllm:time_per_output_token_seconds", "vllm:prompt_tokens_cached_total"}
	named := regexp.MustCompile("`((?:vllm:|dail_)[a-z0-9_]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 15 {
		t.Errorf("only %d series are named", len(named))
	}
	for _, m := range named {
		name := m[1]
		if !strings.Contains(page, "\n"+name) && !slices.Contains(old, name) && name != "dail_cassette_mismatches_total" {
			t.Errorf("no server has a series %s", name)
		}
	}
}
