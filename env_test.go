package dail_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/x/dail"
)

// inFolderWith works in a new folder that holds this .env, without the
// variables that a developer may have set.
func inFolderWith(t *testing.T, dotenv string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"RUNPOD_API_KEY", "SSH_KEY_PATH", "HF_TOKEN", "DAIL_NETWORK_VOLUME_ID", "DAIL_DATA_CENTER_ID", "MAX_RUN", "MAX_STARTUP", "STALL_STARTUP", "STALL_GEN"} {
		t.Setenv(name, "")
	}
	if err := os.WriteFile(".env", []byte(dotenv), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEnvironmentWinsOverDotenv(t *testing.T) {
	inFolderWith(t, "# a comment\nRUNPOD_API_KEY=from-the-file\nexport HF_TOKEN='hf_file'\nMAX_RUN=1800\n")
	t.Setenv("HF_TOKEN", "hf_environment")
	env, err := dail.LoadEnv()
	if err != nil {
		t.Fatal(err)
	}
	if got := env.Get("RUNPOD_API_KEY"); got != "from-the-file" {
		t.Errorf("from the file: %q", got)
	}
	if got := env.Get("HF_TOKEN"); got != "hf_environment" {
		t.Errorf("from both: %q", got)
	}
	if got := os.Getenv("RUNPOD_API_KEY"); got != "" {
		t.Errorf("the file's key is in the environment, where every child of this process finds it: %q", got)
	}
	limits, err := env.Limits()
	if err != nil || limits.Run != 30*time.Minute || limits.MaxStartup != 0 {
		t.Errorf("limits %+v, %v", limits, err)
	}
}

func TestEnvironmentIsRefusedWithoutShowingIt(t *testing.T) {
	tests := []struct{ name, dotenv, want string }{
		{"a line that is none", "RUNPOD_API_KEY=\"rpa_secret\nwithout an end", ".env.example"},
		{"a limit that is no number", "MAX_RUN=soon", "MAX_RUN"},
		{"half a volume", "RUNPOD_API_KEY=rpa_secret\nDAIL_NETWORK_VOLUME_ID=vol", "DAIL_DATA_CENTER_ID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inFolderWith(t, tt.dotenv)
			_, err := dail.Config{Provider: "runpod"}.Plan()
			if !errors.As(err, new(*dail.InputError)) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v; want an InputError that says %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "rpa_secret") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
