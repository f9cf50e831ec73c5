// Package vllmcontract holds what dail takes for granted of a vLLM server: the
// requests it accepts, the shape of its answers and errors, what it counts in
// /metrics. Its tests ask the same of two servers: of our simulator, always,
// and of a real vLLM, where DAIL_VLLM_URL names one:
//
//	scripts/vllm-cpu go test ./internal/vllmcontract
//
// Where the two differ, the difference is written down, in
// testdata/differences-VERSION.golden, or the test fails.
package vllmcontract
