// Package dashboard makes one HTML file of all reports in a folder: the answer
// first, then what it rests on, down to a failing gate's output.
//
//	f, err := os.Create("results/dashboard.html")
//	n, err := dashboard.Write(f, "results", dashboard.Options{})
//
// The file opens anywhere, without a server and without a network: styles,
// program, chart library and data are in it, and its content security policy
// lets it fetch nothing. It can be mailed, hosted or printed.
//
// What the page computes itself (other prices, hours, limits, duty cycles) it
// computes by the formulas of package slo, written again in assets/maths.js; a
// test holds the two against each other. Runs of the same combination of
// benchmark, model, hardware and source are merged as repeats are
// ([report.Merge]): figures become means, the verdict is the worst. Under other
// limits each measurement is judged anew, and a level that failed by something
// that is not in the page still fails. Nothing is merged across sources, a level
// that is not valid never wins, and a figure that was not measured by us says so in
// words and by its mark's shape.
//
// Charts are drawn by Chart.js (MIT, assets/vendor): of the libraries that are
// kept up it is the smallest that has logarithmic axes, mark shapes per point and
// a way to draw error bars. Every chart stands beside the table of what it shows,
// since a canvas says nothing to a screen reader.
package dashboard
