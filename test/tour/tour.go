// Package tour runs the five-minute tour of the README and compares what its commands print with what
// the README says they print.
package tour

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Stop is one command of the tour, and what the README shows of its output.
type Stop struct {
	// Line is where the command begins, counted from 1.
	Line int
	// Command is shell, of one line or several. Variables and functions outlive it.
	Command string
	// Output is what it prints, "" when the README shows none. "…" stands for any text and "~1.5" for
	// any number; white space does not count.
	Output string
}

const (
	begin = "<!-- tour:begin -->"
	end   = "<!-- tour:end -->"
)

// Parse reads the tour out of Markdown: between the markers, each sh block is a command, and a json or
// text block after it is its output.
func Parse(markdown string) ([]Stop, error) {
	var stops []Stop
	var language string // of the block that the line is in
	var block []string
	inTour, answered, opened := false, true, 0
	for i, line := range strings.Split(markdown, "\n") {
		switch {
		case line == begin || line == end:
			if inTour == (line == begin) || language != "" {
				return nil, fmt.Errorf("line %d: %s where none can be", i+1, line)
			}
			inTour = line == begin
		case !inTour:
		case language == "" && strings.HasPrefix(line, "```"):
			language, block, opened = strings.TrimPrefix(line, "```"), nil, i+1
		case language != "" && line == "```":
			text := strings.Join(block, "\n")
			switch {
			case language == "sh":
				stops, answered = append(stops, Stop{Line: opened + 1, Command: text}), false
			case language != "json" && language != "text":
				return nil, fmt.Errorf("line %d: a block of %q; the tour has sh, json and text", opened, language)
			case answered:
				return nil, fmt.Errorf("line %d: output without a command", opened)
			default:
				stops[len(stops)-1].Output, answered = text, true
			}
			language = ""
		case language != "":
			block = append(block, line)
		}
	}
	switch {
	case inTour || language != "":
		return nil, errors.New("the tour, or a block in it, does not end")
	case len(stops) == 0:
		return nil, errors.New("there is no tour")
	}
	return stops, nil
}

var (
	space    = regexp.MustCompile(`\s+`)
	wildcard = regexp.MustCompile(`…|~-?[0-9]+(\.[0-9]+)?`)
)

// Matches tells whether a command printed what the README shows.
func (s Stop) Matches(printed string) bool {
	shown := space.ReplaceAllString(s.Output, "")
	var pattern strings.Builder
	for {
		at := wildcard.FindStringIndex(shown)
		if at == nil {
			break
		}
		pattern.WriteString(regexp.QuoteMeta(shown[:at[0]]))
		if shown[at[0]] == '~' {
			pattern.WriteString(`-?[0-9]+(\.[0-9]+)?`)
		} else {
			pattern.WriteString(`.*`)
		}
		shown = shown[at[1]:]
	}
	pattern.WriteString(regexp.QuoteMeta(shown))
	// Everything in it is quoted or a constant, so it compiles.
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(space.ReplaceAllString(printed, ""))
}

// Reads tells a command that changes nothing and may be repeated until it answers as shown.
func (s Stop) Reads() bool { return !strings.Contains(s.Command, " -d ") }
