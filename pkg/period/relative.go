package period

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// ErrInvalidRelative is a relative range that cannot be read.
var ErrInvalidRelative = errors.New("invalid relative range")

// maxRelative bounds a relative range's number; it keeps all arithmetic far from
// overflow and leaves more than MaxBuckets hours.
const maxRelative = 100_000

var (
	sinceExpression    = regexp.MustCompile(`^-([0-9]{1,6})(h|d|w|mo|q|y)$`)
	completeExpression = regexp.MustCompile(`^last ([0-9]{1,6}) complete (day|week|month|quarter|year)s?$`)
)

// Relative reads a range that depends on the present time.
//
// "-48h" (units h, d, w, mo, q and y) goes back that far and covers all of the
// buckets of g that it touches, to today: at 2021-08-25, by day, 23 to 25 August.
// Today is still running.
//
// "last 7 complete days" (or weeks, months, quarters, years) ends with the last such
// period that is over: at any time of 2021-08-25, 18 to 24 August.
//
// The error wraps ErrInvalidRelative or ErrUnknownGranularity.
func (c Calendar) Relative(expression string, g Granularity, now time.Time) (Range, error) {
	if _, err := ParseGranularity(string(g)); err != nil {
		return Range{}, err
	}
	today := c.DateOf(now)
	if m := sinceExpression.FindStringSubmatch(expression); m != nil {
		n, err := strconv.Atoi(m[1])
		if err == nil && n > 0 && n <= maxRelative {
			return Range{c.back(today, now, n, m[2]).StartOf(g, c.weekStart), today}, nil
		}
	}
	if m := completeExpression.FindStringSubmatch(expression); m != nil {
		n, err := strconv.Atoi(m[1])
		if err == nil && n > 0 && n <= maxRelative {
			unit := Granularity(m[2])
			after := today.StartOf(unit, c.weekStart)
			return Range{after.periods(unit, -n), after.AddDays(-1)}, nil
		}
	}
	return Range{}, fmt.Errorf(`%w: %q is neither like "-48h" nor like "last 7 complete days"`, ErrInvalidRelative, expression)
}

func (c Calendar) back(today Date, now time.Time, n int, unit string) Date {
	switch unit {
	case "h":
		return c.DateOf(now.Add(-time.Duration(n) * time.Hour))
	case "w":
		return today.periods(Week, -n)
	case "mo":
		return today.periods(Month, -n)
	case "q":
		return today.periods(Quarter, -n)
	case "y":
		return today.periods(Year, -n)
	}
	return today.periods(Day, -n)
}

// periods is the date n periods later.
func (d Date) periods(g Granularity, n int) Date {
	switch g {
	case Week:
		return d.AddDays(7 * n)
	case Month:
		return d.AddMonths(n)
	case Quarter:
		return d.AddMonths(3 * n)
	case Year:
		return d.AddMonths(12 * n)
	}
	return d.AddDays(n)
}
