package dail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/x/dail/compose"
	"github.com/x/dail/infra/toolchain"
	"github.com/x/dail/report"
)

// What makes two sessions one run: the composition, what was asked for beside it,
// the programs between the developers and the server, and the server. Each is
// refused as soon as it is known, the first three before anything is created.

// Keys of a composition that may be others in a run that goes on: more team
// sizes, and what the largest of them derives.
const (
	keyDevs         = "devs"
	keyScenarioDevs = "benchmark.devs"
	keySeqs         = "serving.max_num_seqs"
)

// same is nil where a thing is what it was, and else says what it was and is, as
// compose says it of a key.
func same(what, was, is string) error {
	if was == is {
		return nil
	}
	return fmt.Errorf("%s: was %s, is %s", what, cmp.Or(was, "not known"), cmp.Or(is, "not known"))
}

// sameComposition compares what is composed now with what was then. grown are
// the changes that more developers bring.
func (p *Plan) sameComposition(place report.Place) (grown []string, err error) {
	text, err := os.ReadFile(place.Composed())
	if err != nil {
		return nil, fmt.Errorf("its composition: %w", err)
	}
	changes, err := p.Run.Diff(text)
	if err != nil {
		return nil, err
	}
	devs := slices.ContainsFunc(changes, func(c compose.Change) bool { return c.Key == keyDevs })
	var faults []error
	for _, c := range changes {
		switch {
		case c.Key == keyScenarioDevs: // what is measured stands under devs
		case c.Key == keyDevs, c.Key == keySeqs && devs:
			grown = append(grown, c.String())
		default:
			faults = append(faults, errors.New(c.String()))
		}
	}
	return grown, errors.Join(faults...)
}

// sameWishes compares what is no part of a composition.
func (p *Plan) sameWishes(rep *report.Report) error {
	duty := 0.0
	if rep.Money != nil {
		duty = rep.Money.DutyCycle
	}
	faults := []error{
		same("-provider", rep.Provider, p.Provider.About().Name),
		same("-gateway", rep.Gateway, p.Gateway),
		same("-duty", fmt.Sprint(duty), fmt.Sprint(p.DutyCycle)),
	}
	if client := p.AgentName; rep.Agent != nil {
		if p.Agent == nil {
			client = clientName
		}
		faults = append(faults, same("agent", rep.Agent.Name, client))
	}
	if rep.HoursPerMonth != 0 {
		faults = append(faults, same("-hours-per-month", fmt.Sprint(rep.HoursPerMonth), fmt.Sprint(p.HoursPerMonth)))
	}
	if searched := rep.Devs == nil; searched != (p.SearchMax > 0) {
		faults = append(faults, same("-devs", team(searched, rep.Devs), team(!searched, p.Run.Devs)))
	} else if searched {
		if most := rep.Capacity; most != nil && most.Max > p.SearchMax {
			faults = append(faults, fmt.Errorf("-devs: was auto:%d, is auto:%d; it may only grow", most.Max, p.SearchMax))
		}
	} else if gone := slices.DeleteFunc(slices.Clone(rep.Devs), func(n int) bool { return slices.Contains(p.Run.Devs, n) }); len(gone) > 0 {
		faults = append(faults, fmt.Errorf("-devs: was %s, is %s; it may only grow", team(false, rep.Devs), team(false, p.Run.Devs)))
	}
	return errors.Join(faults...)
}

// team is a value of -devs.
func team(auto bool, devs []int) string {
	if auto {
		return "auto"
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(devs), "[]"), " ", ",")
}

// sameClients refuses other versions of the programs between the developers and
// the server, before anything is paid for.
func (r *runner) sameClients(ctx context.Context) error {
	if !r.resumed {
		return nil
	}
	p, rep := &r.plan, r.report
	var faults []error
	if rep.GatewayVersion != "" {
		faults = append(faults, same("LiteLLM", rep.GatewayVersion, r.litellm.Version))
	}
	if p.Agent == nil && rep.AgentVersion != "" {
		version, err := r.clientVersion(ctx)
		if err != nil {
			return refuse("-resume %s: the version of Claude Code: %w", r.place.RunID, err)
		}
		faults = append(faults, same("Claude Code", rep.AgentVersion, version))
	}
	if err := errors.Join(faults...); err != nil {
		return refuse("-resume %s: the levels would not belong together: %w; start a run of its own, or bring that version back", r.place.RunID, err)
	}
	return nil
}

// clientVersion is the version of the Claude Code that will be at work.
func (r *runner) clientVersion(ctx context.Context) (string, error) {
	program := r.plan.Claude
	if program == "" && r.toolchain.Dir != "" {
		program = r.toolchain.Claude()
	}
	if program == "" { // a container's
		return toolchain.ClaudeCode()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull} // it needs none of ours
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", program, err)
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ") // "2.1.330 (Claude Code)"
	return version, nil
}

// sameServer refuses levels of two kinds in one report.
func (r *runner) sameServer(s report.Session) error {
	rep := r.report
	faults := []error{
		same("the server", rep.VLLMVersion, s.VLLMVersion),
		same("the context window", fmt.Sprint(rep.MaxModelLen), fmt.Sprint(r.pod.MaxModelLen)),
		same("the runner", rep.Runner, cmp.Or(r.plan.RunnerName, runnerLocal)),
	}
	if (rep.Source == report.Simulated) != r.pod.Simulated {
		faults = append(faults, fmt.Errorf("the levels that there are are %s, and this server is not", rep.Source))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w; start a run of its own instead", err)
	}
	return nil
}
