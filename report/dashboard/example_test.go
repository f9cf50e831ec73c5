package dashboard_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/x/dail/report"
	"github.com/x/dail/report/dashboard"
)

// All reports below a folder become one page.
func ExampleWrite() {
	dir, err := os.MkdirTemp("", "results-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	r := report.Report{RunID: "20261124-101500", Family: "qwen3-coder", Hardware: "l40s", GPUCount: 1, Source: report.Simulated}
	if err := r.Write(filepath.Join(dir, report.FileName)); err != nil {
		fmt.Println(err)
		return
	}
	f, err := os.Create(filepath.Join(dir, "dashboard.html"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	n, err := dashboard.Write(f, dir, dashboard.Options{})
	fmt.Println(n, err)
	// Output: 1 <nil>
}
