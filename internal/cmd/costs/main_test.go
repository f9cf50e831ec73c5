package main

import "testing"

// What README.md says that runs cost is what the committed reports say.
func TestReadmeIsUpToDate(t *testing.T) {
	if err := run("../../../README.md", "../../../results", true); err != nil {
		t.Error(err)
	}
}
