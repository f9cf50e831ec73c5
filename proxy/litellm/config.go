package litellm

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"gopkg.in/yaml.v3"
)

// Config is what LiteLLM is started with. Program, Base, Model and Dir have no
// default.
type Config struct {
	Program Program
	// Base is the address of the server it asks, with /v1.
	Base string
	// Key is what it presents there; empty is "none". It is handed over in the
	// environment.
	Key string
	// Model is what it asks for, in LiteLLM's form: hosted_vllm/<served name>.
	// Every model that a client names is this one.
	Model string
	// Dir takes litellm.yaml, litellm.log and a private home folder. It is made
	// where it is missing.
	Dir string
	// Start bounds the time until it answers; 0 is two minutes.
	Start time.Duration
	// Request bounds one answer; 0 is half an hour.
	Request time.Duration
}

// Variables by which the secrets reach LiteLLM.
const (
	masterKeyVar   = "LITELLM_MASTER_KEY"
	upstreamKeyVar = "DAIL_UPSTREAM_KEY"
)

func (c Config) withDefaults() Config {
	if c.Key == "" {
		c.Key = "none"
	}
	if c.Start == 0 {
		c.Start = 2 * time.Minute
	}
	if c.Request == 0 {
		c.Request = 30 * time.Minute
	}
	return c
}

func (c Config) check() error {
	var errs []error
	if c.Program.Python == "" {
		errs = append(errs, errors.New("Config.Program is empty: Install returns one"))
	}
	if malicious(c.Program.Version) {
		errs = append(errs, fmt.Errorf("version %s was a malicious upload that steals credentials", c.Program.Version))
	}
	if u, err := url.Parse(c.Base); err != nil || u.Scheme == "" || u.Host == "" {
		errs = append(errs, fmt.Errorf("Config.Base %q (VLLM_BASE): want an address such as http://127.0.0.1:8000/v1", c.Base))
	}
	if c.Model == "" {
		errs = append(errs, errors.New("Config.Model (LITELLM_UPSTREAM_MODEL) is empty: want hosted_vllm/<served name>"))
	}
	if c.Dir == "" {
		errs = append(errs, errors.New("Config.Dir is empty: want a folder for its configuration and its log"))
	}
	return errors.Join(errs...)
}

type yamlMap = map[string]any

// yaml is LiteLLM's configuration. It holds no secret.
func (c Config) yaml() ([]byte, error) {
	seconds := c.Request.Seconds()
	return yaml.Marshal(yamlMap{
		"model_list": []yamlMap{{
			"model_name": "*",
			"litellm_params": yamlMap{
				"model":          c.Model,
				"api_base":       c.Base,
				"api_key":        "os.environ/" + upstreamKeyVar,
				"timeout":        seconds,
				"stream_timeout": seconds,
			},
		}},
		"litellm_settings": yamlMap{
			"drop_params":     true,
			"modify_params":   true,
			"request_timeout": seconds,
			"num_retries":     0,
			"telemetry":       false,
			"use_chat_completions_url_for_anthropic_messages": true,
		},
		"router_settings": yamlMap{"num_retries": 0, "disable_cooldowns": true},
		"general_settings": yamlMap{
			"master_key":                        "os.environ/" + masterKeyVar,
			"forward_client_headers_to_llm_api": true,
		},
	})
}
