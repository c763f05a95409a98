// Package period is the one place that knows what a day, a week or a month is:
// civil dates, ranges, the buckets of a chart in any IANA time zone, comparison
// periods and relative ranges. Stores group by the keys and bounds made here, never
// by date functions of their own, so that two stores and an empty bucket agree.
//
// Civil dates are arithmetic on days and months without a zone. Instants come from
// them in one place, Calendar, which asks the zone for its transitions instead of
// trusting that a day begins at midnight or lasts 24 hours.
package period

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Date is a day of the proleptic Gregorian calendar without a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ErrInvalidDate is a date that is not of the form 2006-01-02 or does not exist.
var ErrInvalidDate = errors.New("invalid date")

// ParseDate reads a date of the form 2006-01-02, years 0001 to 9999.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1 {
		return Date{}, fmt.Errorf("%w: %q is not a day written as 2006-01-02", ErrInvalidDate, s)
	}
	return dateAt(t), nil
}

// dateAt is the date that a time's own clock shows.
func dateAt(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}

// String writes the date as 2006-01-02.
func (d Date) String() string { return d.key(Day) }

// MarshalText implements encoding.TextMarshaler.
func (d Date) MarshalText() ([]byte, error) {
	return d.append(make([]byte, 0, len(time.DateOnly)), Day), nil
}

// UnmarshalText implements encoding.TextUnmarshaler; its errors are ParseDate's.
func (d *Date) UnmarshalText(text []byte) error {
	parsed, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// Compare is negative when d is before e, positive when after, 0 when the same.
func (d Date) Compare(e Date) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

// Before reports whether d is before e.
func (d Date) Before(e Date) bool { return d.Compare(e) < 0 }

// AddDays is the date n days later, earlier for a negative n.
func (d Date) AddDays(n int) Date { return dateOfNumber(d.number() + n) }

// AddMonths is the date n months later, earlier for a negative n. A day that the
// month does not have becomes its last: 2024-03-31 less one is 2024-02-29.
func (d Date) AddMonths(n int) Date {
	months := d.Year*12 + int(d.Month) - 1 + n
	year := floorDiv(months, 12)
	month := time.Month(months - 12*year + 1)
	return Date{year, month, min(d.Day, daysIn(year, month))}
}

// AddYears is the date n years later, clamped like AddMonths.
func (d Date) AddYears(n int) Date { return d.AddMonths(12 * n) }

// DaysUntil counts the days from d to e, negative when e is before d.
func (d Date) DaysUntil(e Date) int { return e.number() - d.number() }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday {
	// Day 0 was a Thursday.
	return time.Weekday(floorMod(d.number()+int(time.Thursday), 7))
}

// ISOWeek is the ISO 8601 week and the year it belongs to, which in the days around
// New Year is not always the date's own.
func (d Date) ISOWeek() (year, week int) {
	thursday := d.StartOf(Week, time.Monday).AddDays(3)
	first := Date{thursday.Year, time.January, 1}
	return thursday.Year, first.DaysUntil(thursday)/7 + 1
}

// lastOfMonth is the last day of the date's month.
func (d Date) lastOfMonth() Date { return Date{d.Year, d.Month, daysIn(d.Year, d.Month)} }

// StartOf is the first day of the period that holds the date. For Hour and Day it is
// the date itself; weekStart matters for Week only.
func (d Date) StartOf(g Granularity, weekStart time.Weekday) Date {
	switch g {
	case Week:
		return d.AddDays(-floorMod(int(d.Weekday()-weekStart), 7))
	case Month:
		return Date{d.Year, d.Month, 1}
	case Quarter:
		return Date{d.Year, (d.Month-1)/3*3 + 1, 1}
	case Year:
		return Date{d.Year, time.January, 1}
	}
	return d
}

// key names the period that begins with d.
func (d Date) key(g Granularity) string {
	return string(d.append(make([]byte, 0, len(time.DateOnly)), g))
}

// append writes the key to b. A series has as many as it has buckets, so package fmt, which takes ten times as long, does not.
func (d Date) append(b []byte, g Granularity) []byte {
	b = appendPadded(b, d.Year, 1000)
	switch g {
	case Year:
		return b
	case Quarter:
		return strconv.AppendInt(append(b, "-Q"...), int64(d.Month+2)/3, 10)
	}
	b = appendPadded(append(b, '-'), int(d.Month), 10)
	if g == Month {
		return b
	}
	return appendPadded(append(b, '-'), d.Day, 10)
}

// appendPadded writes n to b, with zeros in front when it is less than the power of ten. A sign takes the place of one, as it
// does in package fmt.
func appendPadded(b []byte, n, power int) []byte {
	if n < 0 {
		b, n, power = append(b, '-'), -n, power/10
	}
	for ; n < power && power > 1; power /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, int64(n), 10)
}

const (
	daysOf400Years = 146097
	// epochShift is the number of days from 0000-03-01 to 1970-01-01.
	epochShift = 719468
)

// number counts days from 1970-01-01. The year is taken to begin in March, so that
// the leap day is its last (Hinnant, chrono-compatible low-level date algorithms).
func (d Date) number() int {
	year, month := d.Year, int(d.Month)-3
	if month < 0 {
		year, month = year-1, month+12
	}
	era := floorDiv(year, 400)
	yearOfEra := year - 400*era
	dayOfYear := (153*month+2)/5 + d.Day - 1
	return era*daysOf400Years + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear - epochShift
}

func dateOfNumber(n int) Date {
	n += epochShift
	era := floorDiv(n, daysOf400Years)
	dayOfEra := n - daysOf400Years*era
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	month := (5*dayOfYear + 2) / 153
	day := dayOfYear - (153*month+2)/5 + 1
	year := yearOfEra + 400*era
	if month >= 10 {
		return Date{year + 1, time.Month(month - 9), day}
	}
	return Date{year, time.Month(month + 3), day}
}

func daysIn(year int, month time.Month) int {
	switch month {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int) int { return a - b*floorDiv(a, b) }
