package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tandemhq/tandem/test/measure"
)

// figure is a line of the table.
type figure struct {
	row string // of rows
	// what was measured, what it should be (empty when it is for information), what it is, and how that
	// was found.
	what, target, measured, how string
	missed                      bool
}

// atMost is a figure of a time that should not exceed limit.
func atMost(row, what string, limit, got time.Duration, how string) figure {
	return figure{row, what, "≤ " + whole(limit), measure.Duration(got), how, got > limit}
}

// whole writes a target without decimals.
func whole(d time.Duration) string {
	return strings.NewReplacer("ms", " ms", "µs", " µs", "s", " s").Replace(d.String())
}

// table is Markdown that can be read as it is. A figure that misses its target is bold.
func table(figures []figure) string {
	lines := [][]string{{"what", "target", "measured", "how"}}
	for _, f := range figures {
		measured := f.measured
		if f.missed {
			measured = "**" + measured + "**"
		}
		lines = append(lines, []string{f.what, f.target, measured, f.how})
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			b.WriteString("| " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+1))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

const (
	beginMarker = "<!-- figures:begin -->\n"
	endMarker   = "<!-- figures:end -->"
)

// writeBetweenMarkers replaces what stands between the markers of a file.
func writeBetweenMarkers(path, text string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(content), beginMarker)
	_, after, foundEnd := strings.Cut(rest, endMarker)
	if !found || !foundEnd {
		return fmt.Errorf("%s lacks the lines %s and %s", path, strings.TrimSpace(beginMarker), endMarker)
	}
	return os.WriteFile(path, []byte(before+beginMarker+text+endMarker+after), 0o644)
}
