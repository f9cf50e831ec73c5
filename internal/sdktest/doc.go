// Package sdktest reads what the gateways of package proxy say with the
// official clients of the two APIs. It is a module of its own, so that their
// dependencies never reach the SDK's go.mod.
//
// The clients are strict where our own tests would have to guess: they refuse a
// stream whose events are in the wrong order, they put deltas together by their
// own rules, and they turn an error into a value of a type.
package sdktest
