//go:build race

package machine

// extraEnv keeps programs that are built with the race detector from waiting a
// second at their end.
var extraEnv = []string{"GORACE=atexit_sleep_ms=0"}
