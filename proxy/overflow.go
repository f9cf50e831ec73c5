package proxy

import (
	"regexp"
	"strconv"
)

// An overflow is what the server said when prompt and answer do not fit its
// context.
type overflow struct {
	// limit is the context length in tokens; 0 where it was not said.
	limit int
	// prompt is the prompt's length in tokens; 0 where it was not said.
	prompt int
	// exact is false where prompt is a lower bound: vLLM from 0.15 stops
	// counting once the prompt and the wanted answer exceed the context.
	exact bool
}

// tooLong is the fault of a prompt that leaves no room for an answer, in the
// words at which Claude Code compacts its conversation.
func (o overflow) tooLong() *fault {
	return &fault{
		status:   400,
		message:  "prompt is too long: " + itoa(o.prompt) + " tokens > " + itoa(o.limit) + " maximum",
		overflow: &o,
	}
}

// overflowRules are the texts of vLLM's releases; each finds one number.
type overflowRules struct {
	topic                 *regexp.Regexp
	limit, exact, atLeast []*regexp.Regexp
}

var overflowTexts = overflowRules{
	topic: regexp.MustCompile(`maximum context length|max_model_len|max(?:imum)? model length`),
	limit: compileAll(
		`maximum context length(?: is|:)? (?:of )?\(?(\d+)`,
		`max_model_len\s*[=:]\s*(?:\w+=)?(\d+)`,
		`max(?:imum)? model length of (\d+)`,
	),
	exact: compileAll(
		`\((\d+) in the messages`,
		`(?:request|prompt|messages) (?:has|have|contains?|resulted in) (\d+) (?:input )?tokens`,
		`(?:prompt|input) \(length (\d+)\)`,
		`[Ii]nput length \(?(\d+)\)?`,
	),
	atLeast: compileAll(`(?:has|contains?) at least (\d+) input tokens`),
}

func compileAll(patterns ...string) []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, p := range patterns {
		all = append(all, regexp.MustCompile(p))
	}
	return all
}

// parseOverflow reads the server's message; nil where it is about something
// else. limit is 0 where the message does not say it. The texts it knows, by release: "This model's maximum context length
// is L tokens. However, you requested R tokens (P in the messages, A in the
// completion)" (to 0.14), "… your request has P input tokens" ,
// "… your prompt contains at least P input tokens" (from 0.15), and those of a
// max_tokens that alone exceeds the context.
func parseOverflow(message string) *overflow {
	o := &overflow{limit: firstNumber(overflowTexts.limit, message)}
	if o.limit == 0 && !overflowTexts.topic.MatchString(message) {
		return nil
	}
	if o.prompt = firstNumber(overflowTexts.exact, message); o.prompt > 0 {
		o.exact = true
	} else {
		o.prompt = firstNumber(overflowTexts.atLeast, message)
	}
	return o
}

func firstNumber(rules []*regexp.Regexp, s string) int {
	for _, re := range rules {
		if m := re.FindStringSubmatch(s); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				return n
			}
		}
	}
	return 0
}
