package vllmcontract_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// tools has one function, whose arguments can only be {"city":"Paris"}.
var tools = []object{{"type": "function", "function": object{
	"name": "get_weather", "description": "Says the weather.", "parameters": object{
		"type": "object", "properties": object{"city": object{"type": "string", "enum": []string{"Paris"}}},
		"required": []string{"city"}, "additionalProperties": false,
	}}}}

// weather asks for a tool call. White space is free in a grammar of JSON, so a
// random model needs room.
var weather = object{"messages": user(weatherPrompt), "tools": tools, "max_tokens": 2000, "seed": 1}

func named(name string) object { return object{"type": "function", "function": object{"name": name}} }

// The grammars make the real model say this; the simulator has it in its cassette.
var (
	saysCall = object{"regex": `I look\.\n<tool_call>\n\{"name": "get_weather", "arguments": \{"city": "Paris"\}\}\n</tool_call>`}
	saysLeak = object{"regex": `I look\.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>`}
)

// called checks that an answer is one call of get_weather for Paris.
func called(c *completion, content, finish string) error {
	ch := c.Choices[0]
	calls := *ch.Message.ToolCalls
	if len(calls) != 1 || calls[0].Type != "function" || !strings.HasPrefix(calls[0].ID, "chatcmpl-tool-") || calls[0].Function.Name != "get_weather" || !forParis(calls[0].Function.Arguments) {
		return fmt.Errorf("want a call of get_weather, got %+v", c)
	}
	if ch.Message.Content == nil || strings.TrimRight(*ch.Message.Content, "\n") != content || ch.FinishReason != finish || ch.StopReason != nil {
		return fmt.Errorf("want content %q and finish_reason %q, got %+v", content, finish, c)
	}
	return nil
}

func forParis(arguments string) bool {
	var v map[string]string
	return json.Unmarshal([]byte(arguments), &v) == nil && len(v) == 1 && v["city"] == "Paris"
}

func toolTerm(name string, body object, content, finish string) term {
	return term{name: name, test: func(ctx context.Context, s *server) error {
		c, err := answered(s.chat(ctx, body))
		if err != nil {
			return err
		}
		return called(c, content, finish)
	}}
}

var toolTerms = []term{
	toolTerm("a named tool is called, and ends with stop", weather.with("tool_choice", named("get_weather")), "", "stop"),
	toolTerm("a required tool is called", weather.with("tool_choice", "required"), "", "tool_calls"),
	toolTerm("a call in the model's words is parsed", weather.with("structured_outputs", saysCall), "I look.", "tool_calls"),
	{name: "a call is streamed in pieces", test: func(ctx context.Context, s *server) error {
		chunks, err := s.streamed(ctx, weather.with("structured_outputs", saysCall))
		text, name, arguments, finish := "", "", "", ""
		for _, c := range chunks {
			d := c.Choices[0].Delta
			if d.Content != nil {
				text += *d.Content
			}
			for _, t := range d.ToolCalls {
				if t.Function.Name != nil {
					name += *t.Function.Name
				}
				if t.Function.Arguments != nil {
					arguments += *t.Function.Arguments
				}
			}
			if f := c.Choices[0].FinishReason; f != nil {
				finish = *f
			}
		}
		if err == nil && (strings.TrimSpace(text) != "I look." || name != "get_weather" || !forParis(arguments) || finish != "tool_calls") {
			err = fmt.Errorf("text %q, call %s(%s), finish_reason %q", text, name, arguments, finish)
		}
		return err
	}},
	// What proxy repairs: the hermes parser knows no XML.
	{name: "a call in a form that the parser does not know stays text", test: func(ctx context.Context, s *server) error {
		c, err := answered(s.chat(ctx, weather.with("structured_outputs", saysLeak)))
		if err != nil {
			return err
		}
		if ch := c.Choices[0]; len(*ch.Message.ToolCalls) != 0 || ch.FinishReason != "stop" || !strings.Contains(*ch.Message.Content, "<function=get_weather>") {
			return fmt.Errorf("%+v", c)
		}
		return nil
	}, simOtherwise: "it never loses a call"},
	{name: "the gateway finds a call that was left in the text", test: func(ctx context.Context, s *server) error {
		return s.destream(ctx, func(chat func(object) reply) error {
			c, err := answered(chat(weather.with("model", s.model, "structured_outputs", saysLeak)))
			if err != nil {
				return err
			}
			calls := *c.Choices[0].Message.ToolCalls
			if len(calls) != 1 || calls[0].Function.Name != "get_weather" || !forParis(calls[0].Function.Arguments) || c.Choices[0].FinishReason != "tool_calls" {
				return fmt.Errorf("%+v", c)
			}
			return nil
		})
	}},
}
