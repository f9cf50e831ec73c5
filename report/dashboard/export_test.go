package dashboard

import "github.com/x/dail/report"

// Keeps judges a level that was measured once, as the page is told to.
func Keeps(l report.Level, by report.SLO) (holds, sure bool) {
	return judged(l, by).keeps(by)
}
