package vllmcontract_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/x/dail/slo"
)

// The saturation probe takes for granted that prompts may be sent as numbers
// of tokens which /tokenize told of, are counted as they are and share nothing,
// that an answer is exactly as long as was asked, and that what is abandoned
// ends.
var probeTerms = []term{
	{name: "a saturation probe has the shape that it asks for", test: func(ctx context.Context, s *server) error {
		theta, err := slo.Saturate(ctx, slo.Probe{
			URL: s.url, Model: s.model, Concurrency: 4, Duration: 2 * time.Second, PromptTokens: 2*blockSize + 5, OutputTokens: 7, Client: s.client,
		})
		if err != nil {
			return err
		}
		f := theta.Figures
		switch hit := f.PrefixCacheHitRate; {
		case len(theta.Notes) > 0:
			return fmt.Errorf("its notes: %q", theta.Notes)
		case theta.Errors > 0 || theta.Requests == 0 || f.Started == 0:
			return fmt.Errorf("%d requests began, %d ended, %d failed", f.Started, theta.Requests, theta.Errors)
		case hit == nil || *hit != 0:
			return fmt.Errorf("prompts that share nothing have the hit rate %v", hit)
		case f.PromptTokens != f.Started*(2*blockSize+5) || f.ComputedTokens != f.PromptTokens+f.GenerationTokens:
			return fmt.Errorf("%d requests have %d prompt tokens; %d generated, %d computed", f.Started, f.PromptTokens, f.GenerationTokens, f.ComputedTokens)
		case theta.MeanRunning > 4 || theta.MeanRunning <= 0:
			return fmt.Errorf("%v requests ran on average", theta.MeanRunning)
		}
		wait, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := s.settled(wait); err != nil {
			return errors.Join(errors.New("the server still runs what was abandoned"), err)
		}
		return nil
	}},
}
