// Costs rewrites README.md's table of what runs cost from the reports under
// results/, between the lines <!-- costs --> and <!-- /costs -->.
//
//	costs [-check] [README.md results]
//
// With -check nothing is written; it exits with 1 if the table is out of date.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/x/dail/report"
)

func main() {
	check := flag.Bool("check", false, "write nothing; exit with 1 where the table is out of date")
	flag.Parse()
	readme, results := "README.md", "results"
	if flag.NArg() == 2 {
		readme, results = flag.Arg(0), flag.Arg(1)
	}
	if err := run(readme, results, *check); err != nil {
		fmt.Fprintln(os.Stderr, "costs:", err)
		os.Exit(1)
	}
}

func run(readme, results string, check bool) error {
	files, err := report.LoadDir(results)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	const begin, end = "<!-- costs -->\n", "<!-- /costs -->"
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines <!-- costs --> and <!-- /costs -->", readme)
	}
	fresh := head + begin + "\n" + report.Costs(files) + "\n" + end + tail
	if fresh == string(old) {
		return nil
	}
	if check {
		return errors.New("the table of costs is not what the reports say: make costs rewrites it")
	}
	return os.WriteFile(readme, []byte(fresh), 0o644)
}
