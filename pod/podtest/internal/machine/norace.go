//go:build !race

package machine

var extraEnv []string
