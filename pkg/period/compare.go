package period

import (
	"errors"
	"fmt"
	"time"
)

// Comparison says with which earlier period one is compared.
type Comparison string

// The comparisons.
const (
	// PreviousPeriod is as many days, right before.
	PreviousPeriod Comparison = "previous_period"
	// LastMonth, LastQuarter and LastYear are the same days one, three or twelve months
	// earlier, clamped to the length of the month; whole months stay whole months.
	LastMonth   Comparison = "last_month"
	LastQuarter Comparison = "last_quarter"
	LastYear    Comparison = "last_year"
	// Weeks52 is 364 days earlier: the same days of the week.
	Weeks52 Comparison = "52_weeks"
)

// ErrUnknownComparison is a word that is no comparison.
var ErrUnknownComparison = errors.New("unknown comparison")

// Compared is the range that r is compared with. The error wraps
// ErrUnknownComparison.
func (r Range) Compared(with Comparison) (Range, error) {
	switch with {
	case PreviousPeriod:
		return r.days(-r.Days()), nil
	case LastMonth:
		return r.months(-1), nil
	case LastQuarter:
		return r.months(-3), nil
	case LastYear:
		return r.months(-12), nil
	case Weeks52:
		return r.days(-364), nil
	}
	return Range{}, fmt.Errorf("%w: %q", ErrUnknownComparison, with)
}

func (r Range) days(n int) Range { return Range{r.From.AddDays(n), r.To.AddDays(n)} }

func (r Range) months(n int) Range {
	moved := Range{r.From.AddMonths(n), r.To.AddMonths(n)}
	if r.From.Day == 1 && r.To == r.To.lastOfMonth() {
		moved.To = moved.To.lastOfMonth()
	}
	return moved
}

// Pair is a period and what it is compared with.
type Pair struct {
	Current  Span `json:"current"`
	Previous Span `json:"previous"`
	// Running says that the period is not over: Current then ends now, and Previous
	// after the same elapsed part.
	Running bool `json:"running"`
}

// Compare gives the spans of a range and of its comparison at the time now. The
// elapsed part of a running range is counted in days and time of day, not in hours,
// so that 10:00 compares with 10:00 on both sides of a change of clocks; it ends at
// the latest with the earlier period. Both spans of a range that has not begun are
// empty. The error wraps ErrUnknownComparison.
func (c Calendar) Compare(r Range, with Comparison, now time.Time) (Pair, error) {
	before, err := r.Compared(with)
	if err != nil {
		return Pair{}, err
	}
	pair := Pair{Current: c.Span(r), Previous: c.Span(before)}
	if !now.Before(pair.Current.End) {
		return pair, nil
	}
	pair.Running = true
	if now.Before(pair.Current.Start) {
		pair.Current.End, pair.Previous.End = pair.Current.Start, pair.Previous.Start
		return pair, nil
	}
	pair.Current.End = now.UTC()
	today := c.DateOf(now)
	same := before.From.AddDays(r.From.DaysUntil(today))
	if end := c.firstAt(same, c.timeOfDay(now)); end.Before(pair.Previous.End) {
		pair.Previous.End = end
	}
	return pair, nil
}

// timeOfDay is what the zone's clocks show at t since midnight.
func (c Calendar) timeOfDay(t time.Time) time.Duration {
	local := t.In(c.location)
	return time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute +
		time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
}
