package compose

import (
	"fmt"
	"slices"
	"strings"
)

// nearest returns the one of names that word was probably meant to be, or ""
// where none is close: at most a third of the word's letters may differ, or
// one name must begin with the other. Of two that are equally close, the one
// that begins alike is meant.
func nearest(word string, names []string) string {
	const shortest = 3
	best, bestAt, bestAlike := "", max(1, len(word)/3)+1, 0
	for _, n := range slices.Sorted(slices.Values(names)) {
		d, alike := distance(strings.ToLower(word), strings.ToLower(n)), commonPrefix(word, n)
		if d < bestAt || best != "" && d == bestAt && alike > bestAlike {
			best, bestAt, bestAlike = n, d, alike
		}
	}
	if best != "" || len(word) < shortest {
		return best
	}
	for _, n := range slices.Sorted(slices.Values(names)) {
		if strings.HasPrefix(n, word) || len(n) >= shortest && strings.HasPrefix(word, n) {
			return n
		}
	}
	return ""
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// distance is the number of letters to insert, delete, replace, or swap with
// their neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	// A key of a kilobyte is no typing mistake, and the table below is
	// quadratic.
	if len(x) > 64 || len(y) > 64 {
		return max(len(x), len(y))
	}
	before, prev, cur := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		cur[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(y)]
}

// didYouMean is the hint for an unknown word: the nearest name, and what there
// is.
func didYouMean(word string, names []string) string {
	have := "there is " + list(names)
	if len(names) == 0 {
		have = "there is none"
	}
	if n := nearest(word, names); n != "" {
		return fmt.Sprintf("did you mean %s? %s", n, have)
	}
	return have
}

// list joins names with commas, sorted, shortened where they are many.
func list(names []string) string {
	const most = 24
	s := slices.Sorted(slices.Values(names))
	if len(s) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(s[:most], ", "), len(s)-most)
	}
	return strings.Join(s, ", ")
}

// quoted shortens a value for a message.
func quoted(s string) string {
	const most = 60
	r := []rune(s)
	if len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", s)
}
