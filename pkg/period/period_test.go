package period_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/period"
)

func calendar(t testing.TB, zone string, weekStart time.Weekday) period.Calendar {
	t.Helper()
	c, err := period.NewCalendar(zone, weekStart)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func date(t testing.TB, s string) period.Date {
	t.Helper()
	d, err := period.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// days reads "2024-01-01..2024-01-31", or one date for a single day.
func days(t testing.TB, s string) period.Range {
	t.Helper()
	from, to, found := strings.Cut(s, "..")
	if !found {
		to = from
	}
	r, err := period.NewRange(date(t, from), date(t, to))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s spans) String() string { return s.Start.Format(instant) + "/" + s.End.Format(instant) }

type spans period.Span

const instant = "2006-01-02T15:04"

func at(t testing.TB, s string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestDaysOfZones(t *testing.T) {
	tests := []struct {
		zone, day, starts string
		hours             float64
	}{
		{"America/New_York", "2024-03-10", "2024-03-10T05:00", 23},
		{"America/New_York", "2024-11-03", "2024-11-03T04:00", 25},
		{"Europe/Berlin", "2024-03-31", "2024-03-30T23:00", 23},
		{"Europe/Berlin", "2024-10-27", "2024-10-26T22:00", 25},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", 23},
		{"America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00", 25},
		{"Asia/Kathmandu", "2024-07-01", "2024-06-30T18:15", 24},
		{"Asia/Kathmandu", "2024-03-10", "2024-03-09T18:15", 24},
		{"UTC", "2024-03-10", "2024-03-10T00:00", 24},
		// Midnight came twice; the day begins with the first.
		{"America/Havana", "2024-11-03", "2024-11-03T04:00", 25},
		// Clocks went back at 00:01, so 2 November began, and 23:01 of the 1st came again.
		{"America/St_Johns", "2008-11-02", "2008-11-02T02:30", 25},
		// Samoa went over the date line and skipped this day.
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00", 0},
		// Alaska went over it the other way: 18 October began again on the 19th.
		{"America/Juneau", "1867-10-19", "1867-10-18T08:57", 48},
		{"Australia/Lord_Howe", "2024-04-07", "2024-04-06T13:00", 24.5},
	}
	for _, tt := range tests {
		c := calendar(t, tt.zone, time.Monday)
		span := c.Span(days(t, tt.day))
		if got := span.Start.Format(instant); got != tt.starts || span.End.Sub(span.Start).Hours() != tt.hours || span.Start.Location() != time.UTC {
			t.Errorf("%s %s starts %s and has %v, want %s and %v h", tt.zone, tt.day, got, span.End.Sub(span.Start), tt.starts, tt.hours)
		}
	}
	if local := c0(t, "America/Sao_Paulo").StartOfDay(date(t, "2018-11-04")).In(location(t, "America/Sao_Paulo")); local.Hour() != 1 {
		t.Errorf("São Paulo's 2018-11-04 begins at %v, want 01:00", local)
	}
}

func c0(t testing.TB, zone string) period.Calendar { return calendar(t, zone, time.Monday) }

func location(t testing.TB, zone string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDateOf(t *testing.T) {
	tests := []struct{ zone, at, want string }{
		{"America/New_York", "2024-03-10T04:59:59Z", "2024-03-09"},
		{"America/New_York", "2024-03-10T05:00:00Z", "2024-03-10"},
		{"America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03"},
		{"America/Sao_Paulo", "2018-02-18T02:30:00Z", "2018-02-17"},
		{"America/Sao_Paulo", "2018-02-18T03:00:00Z", "2018-02-18"},
		{"America/St_Johns", "2008-11-02T02:29:59Z", "2008-11-01"},
		{"America/St_Johns", "2008-11-02T02:30:30Z", "2008-11-02"},
		// Clocks show 23:15 of the 1st again, but the 2nd has begun.
		{"America/St_Johns", "2008-11-02T02:45:00Z", "2008-11-02"},
		{"Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31"},
	}
	for _, tt := range tests {
		if got := c0(t, tt.zone).DateOf(at(t, tt.at)).String(); got != tt.want {
			t.Errorf("%s in %s is of %s, want %s", tt.at, tt.zone, got, tt.want)
		}
	}
}

func TestHours(t *testing.T) {
	tests := []struct {
		zone, day string
		count     int
		keys      []string // those of the hours around the change
		from      int
	}{
		{"America/New_York", "2024-11-03", 25, []string{"2024-11-03T00:00:00-04:00", "2024-11-03T01:00:00-04:00", "2024-11-03T01:00:00-05:00", "2024-11-03T02:00:00-05:00"}, 0},
		{"America/New_York", "2024-03-10", 23, []string{"2024-03-10T00:00:00-05:00", "2024-03-10T01:00:00-05:00", "2024-03-10T03:00:00-04:00", "2024-03-10T04:00:00-04:00"}, 0},
		{"America/Sao_Paulo", "2018-11-04", 23, []string{"2018-11-04T01:00:00-02:00", "2018-11-04T02:00:00-02:00"}, 0},
		{"Asia/Kathmandu", "2024-07-01", 24, []string{"2024-07-01T00:00:00+05:45"}, 0},
		{"UTC", "2024-07-01", 24, []string{"2024-07-01T00:00:00Z"}, 0},
		// Half an hour comes again: 01:30 to 02:00 in both offsets.
		{"Australia/Lord_Howe", "2024-04-07", 25, []string{"2024-04-07T01:00:00+11:00", "2024-04-07T01:30:00+10:30", "2024-04-07T02:00:00+10:30"}, 1},
	}
	for _, tt := range tests {
		buckets, err := c0(t, tt.zone).Buckets(days(t, tt.day), period.Hour)
		if err != nil || len(buckets) != tt.count {
			t.Errorf("%s %s: %d hours (%v), want %d", tt.zone, tt.day, len(buckets), err, tt.count)
			continue
		}
		for i, want := range tt.keys {
			if got := buckets[tt.from+i].Key; got != want {
				t.Errorf("%s %s hour %d is %s, want %s", tt.zone, tt.day, tt.from+i, got, want)
			}
		}
	}
}

func TestLongPeriods(t *testing.T) {
	tests := []struct {
		zone, day string
		g         period.Granularity
		key       string
		hours     float64
	}{
		{"America/New_York", "2024-03-04", period.Week, "2024-03-04", 167},
		{"America/New_York", "2024-10-28", period.Week, "2024-10-28", 169},
		{"Europe/Berlin", "2024-03-25", period.Week, "2024-03-25", 167},
		{"America/New_York", "2024-03-01", period.Month, "2024-03", 743},
		{"America/New_York", "2024-11-01", period.Month, "2024-11", 721},
		{"Europe/Berlin", "2024-10-01", period.Month, "2024-10", 745},
		{"Europe/Berlin", "2024-12-31", period.Quarter, "2024-Q4", 24*92 + 1},
		{"Europe/Berlin", "2024-06-30", period.Year, "2024", 24 * 366},
	}
	for _, tt := range tests {
		c := c0(t, tt.zone)
		b := c.BucketOf(c.StartOfDay(date(t, tt.day)), tt.g)
		if b.Key != tt.key || b.End.Sub(b.Start).Hours() != tt.hours {
			t.Errorf("%s %s of %s is %s with %v, want %s with %v h", tt.zone, tt.g, tt.day, b.Key, b.End.Sub(b.Start), tt.key, tt.hours)
		}
	}
}

func TestWeeks(t *testing.T) {
	newYear := date(t, "2025-01-01")
	for start, want := range map[time.Weekday]string{time.Monday: "2024-12-30", time.Sunday: "2024-12-29", time.Saturday: "2024-12-28"} {
		if got := newYear.StartOf(period.Week, start).String(); got != want {
			t.Errorf("week from %s of 2025-01-01 starts %s, want %s", start, got, want)
		}
		c := calendar(t, "UTC", start)
		if got := c.BucketOf(c.StartOfDay(newYear), period.Week).Key; got != want {
			t.Errorf("bucket key %s, want %s", got, want)
		}
	}
	for day, want := range map[string][2]int{"2024-12-29": {2024, 52}, "2024-12-30": {2025, 1}, "2021-01-03": {2020, 53}, "2021-01-04": {2021, 1}, "2016-01-01": {2015, 53}} {
		if year, week := date(t, day).ISOWeek(); year != want[0] || week != want[1] {
			t.Errorf("%s is %d-W%02d, want %d-W%02d", day, year, week, want[0], want[1])
		}
	}
}

func TestMonthArithmeticClamps(t *testing.T) {
	tests := []struct {
		day    string
		months int
		want   string
	}{
		{"2024-03-31", -1, "2024-02-29"},
		{"2023-03-31", -1, "2023-02-28"},
		{"2024-02-29", -12, "2023-02-28"},
		{"2024-02-29", -48, "2020-02-29"},
		{"2024-01-31", 1, "2024-02-29"},
		{"2024-05-31", -3, "2024-02-29"},
		{"2024-12-15", 1, "2025-01-15"},
		{"2024-01-15", -1, "2023-12-15"},
		{"2024-01-15", -13, "2022-12-15"},
		{"2100-01-30", 1, "2100-02-28"},
		{"2000-01-30", 1, "2000-02-29"},
	}
	for _, tt := range tests {
		if got := date(t, tt.day).AddMonths(tt.months).String(); got != tt.want {
			t.Errorf("%s %+d months is %s, want %s", tt.day, tt.months, got, tt.want)
		}
	}
	if got := date(t, "2024-02-29").AddYears(-1).String(); got != "2023-02-28" {
		t.Errorf("2024-02-29 less a year is %s", got)
	}
}

// TestDayNumbers walks through 800 years against the standard library.
func TestDayNumbers(t *testing.T) {
	first := period.Date{Year: 1600, Month: time.January, Day: 1}
	for n := range 366 * 800 {
		d, want := first.AddDays(n), time.Unix(-11676096000+int64(n)*86400, 0).UTC()
		if d.String() != want.Format(time.DateOnly) || d.Weekday() != want.Weekday() || first.DaysUntil(d) != n {
			t.Fatalf("day %d is %s %s, want %s", n, d, d.Weekday(), want)
		}
		year, week := want.ISOWeek()
		if y, w := d.ISOWeek(); n%5 == 0 && (y != year || w != week) {
			t.Fatalf("%s is in %d-W%d, want %d-W%d", d, y, w, year, week)
		}
	}
}

func TestBucketsOfARange(t *testing.T) {
	type bucket struct {
		key     string
		span    string
		clipped bool
	}
	tests := []struct {
		name, zone, days string
		g                period.Granularity
		want             []bucket
	}{
		{"weeks cut at both ends", "UTC", "2025-01-01..2025-01-14", period.Week, []bucket{
			{"2024-12-30", "2025-01-01T00:00/2025-01-06T00:00", true},
			{"2025-01-06", "2025-01-06T00:00/2025-01-13T00:00", false},
			{"2025-01-13", "2025-01-13T00:00/2025-01-15T00:00", true},
		}},
		{"whole months", "Europe/Berlin", "2024-02-01..2024-03-31", period.Month, []bucket{
			{"2024-02", "2024-01-31T23:00/2024-02-29T23:00", false},
			{"2024-03", "2024-02-29T23:00/2024-03-31T22:00", false},
		}},
		{"one month cut at both ends", "UTC", "2024-02-02..2024-02-03", period.Month, []bucket{{"2024-02", "2024-02-02T00:00/2024-02-04T00:00", true}}},
		{"quarters", "UTC", "2024-03-31..2024-04-01", period.Quarter, []bucket{
			{"2024-Q1", "2024-03-31T00:00/2024-04-01T00:00", true},
			{"2024-Q2", "2024-04-01T00:00/2024-04-02T00:00", true},
		}},
		{"a skipped day has no bucket", "Pacific/Apia", "2011-12-29..2011-12-31", period.Day, []bucket{
			{"2011-12-29", "2011-12-29T10:00/2011-12-30T10:00", false},
			{"2011-12-31", "2011-12-30T10:00/2011-12-31T10:00", false},
		}},
		{"a range of nothing but a skipped day", "Pacific/Apia", "2011-12-30", period.Hour, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c0(t, tt.zone).Buckets(days(t, tt.days), tt.g)
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("%+v, %v", got, err)
			}
			for i, want := range tt.want {
				if b := (bucket{got[i].Key, spans(got[i].Span).String(), got[i].Clipped}); b != want {
					t.Errorf("bucket %d is %v, want %v", i, b, want)
				}
			}
		})
	}
}

func TestComparisons(t *testing.T) {
	tests := []struct {
		days string
		with period.Comparison
		want string
	}{
		{"2021-08-23..2021-08-25", period.PreviousPeriod, "2021-08-20..2021-08-22"},
		{"2021-08-18..2021-08-24", period.PreviousPeriod, "2021-08-11..2021-08-17"},
		{"2024-03-01..2024-03-31", period.PreviousPeriod, "2024-01-30..2024-02-29"},
		{"2024-12-30..2025-01-05", period.Weeks52, "2024-01-01..2024-01-07"},
		{"2024-03-31..2024-03-31", period.LastMonth, "2024-02-29..2024-02-29"},
		{"2024-03-30..2024-03-30", period.LastMonth, "2024-02-29..2024-02-29"},
		{"2024-03-10..2024-03-20", period.LastMonth, "2024-02-10..2024-02-20"},
		{"2024-03-01..2024-03-31", period.LastMonth, "2024-02-01..2024-02-29"},
		{"2024-02-01..2024-02-29", period.LastMonth, "2024-01-01..2024-01-31"},
		{"2024-02-02..2024-02-29", period.LastMonth, "2024-01-02..2024-01-29"},
		{"2024-04-01..2024-06-30", period.LastQuarter, "2024-01-01..2024-03-31"},
		{"2024-05-31..2024-05-31", period.LastQuarter, "2024-02-29..2024-02-29"},
		{"2024-02-29..2024-02-29", period.LastYear, "2023-02-28..2023-02-28"},
		{"2023-02-01..2023-02-28", period.LastYear, "2022-02-01..2022-02-28"},
		{"2025-02-01..2025-02-28", period.LastYear, "2024-02-01..2024-02-29"},
		{"2024-01-01..2024-12-31", period.LastYear, "2023-01-01..2023-12-31"},
	}
	for _, tt := range tests {
		got, err := days(t, tt.days).Compared(tt.with)
		if want := days(t, tt.want); err != nil || got != want {
			t.Errorf("%s by %s: %s..%s (%v), want %s", tt.days, tt.with, got.From, got.To, err, tt.want)
		}
	}
}

func TestRunningPeriodComparesTheSameElapsedPart(t *testing.T) {
	tests := []struct {
		name, zone, days  string
		with              period.Comparison
		now               string
		current, previous string
		running           bool
	}{
		{"over", "UTC", "2024-03-01..2024-03-31", period.LastMonth, "2024-04-01T00:00:00Z", "2024-03-01T00:00/2024-04-01T00:00", "2024-02-01T00:00/2024-03-01T00:00", false},
		{"running", "UTC", "2024-03-01..2024-03-31", period.LastMonth, "2024-03-15T10:00:00Z", "2024-03-01T00:00/2024-03-15T10:00", "2024-02-01T00:00/2024-02-15T10:00", true},
		{"longer than the month before", "UTC", "2024-03-01..2024-03-31", period.LastMonth, "2024-03-31T10:00:00Z", "2024-03-01T00:00/2024-03-31T10:00", "2024-02-01T00:00/2024-03-01T00:00", true},
		{"not begun", "UTC", "2024-03-01..2024-03-31", period.LastMonth, "2024-02-15T10:00:00Z", "2024-03-01T00:00/2024-03-01T00:00", "2024-02-01T00:00/2024-02-01T00:00", true},
		{"-48h", "UTC", "2021-08-23..2021-08-25", period.PreviousPeriod, "2021-08-25T10:00:00Z", "2021-08-23T00:00/2021-08-25T10:00", "2021-08-20T00:00/2021-08-22T10:00", true},
		// 10:00 on the day of 23 hours compares with 10:00 on the day of 24.
		{"across a change of clocks", "America/New_York", "2024-03-10", period.PreviousPeriod, "2024-03-10T14:00:00Z", "2024-03-10T05:00/2024-03-10T14:00", "2024-03-09T05:00/2024-03-09T15:00", true},
		// 02:30 did not exist on the day before, whose clocks went from 02:00 to 03:00.
		{"against a gap", "America/New_York", "2024-03-11", period.PreviousPeriod, "2024-03-11T06:30:00Z", "2024-03-11T04:00/2024-03-11T06:30", "2024-03-10T05:00/2024-03-10T07:00", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pair, err := c0(t, tt.zone).Compare(days(t, tt.days), tt.with, at(t, tt.now))
			if err != nil || spans(pair.Current).String() != tt.current || spans(pair.Previous).String() != tt.previous || pair.Running != tt.running {
				t.Errorf("%s against %s, running %v (%v)", spans(pair.Current), spans(pair.Previous), pair.Running, err)
			}
		})
	}
}

func TestRelative(t *testing.T) {
	tests := []struct {
		zone, expression string
		g                period.Granularity
		now              string
		want             string
	}{
		{"UTC", "-48h", period.Day, "2021-08-25T10:00:00Z", "2021-08-23..2021-08-25"},
		{"UTC", "-48h", period.Day, "2021-08-25T00:00:00Z", "2021-08-23..2021-08-25"},
		{"UTC", "-48h", period.Day, "2021-08-25T23:59:59Z", "2021-08-23..2021-08-25"},
		{"UTC", "-48h", period.Month, "2021-08-25T10:00:00Z", "2021-08-01..2021-08-25"},
		{"UTC", "last 7 complete days", period.Day, "2021-08-25T10:00:00Z", "2021-08-18..2021-08-24"},
		{"UTC", "last 1 complete day", period.Day, "2021-08-25T10:00:00Z", "2021-08-24..2021-08-24"},
		{"UTC", "last 2 complete weeks", period.Day, "2021-08-25T10:00:00Z", "2021-08-09..2021-08-22"},
		{"UTC", "last 1 complete months", period.Week, "2024-03-31T10:00:00Z", "2024-02-01..2024-02-29"},
		{"UTC", "last 1 complete quarter", period.Month, "2024-03-31T10:00:00Z", "2023-10-01..2023-12-31"},
		{"UTC", "last 1 complete year", period.Month, "2024-03-31T10:00:00Z", "2023-01-01..2023-12-31"},
		{"UTC", "-6d", period.Day, "2021-08-25T10:00:00Z", "2021-08-19..2021-08-25"},
		{"UTC", "-1w", period.Week, "2021-08-25T10:00:00Z", "2021-08-16..2021-08-25"},
		{"UTC", "-1mo", period.Day, "2024-03-31T10:00:00Z", "2024-02-29..2024-03-31"},
		{"UTC", "-1q", period.Day, "2024-05-31T10:00:00Z", "2024-02-29..2024-05-31"},
		{"UTC", "-1y", period.Day, "2024-02-29T10:00:00Z", "2023-02-28..2024-02-29"},
		// It is the next day in Auckland and still the day before in Los Angeles.
		{"Pacific/Auckland", "last 1 complete day", period.Day, "2021-08-25T13:00:00Z", "2021-08-25..2021-08-25"},
		{"America/Los_Angeles", "last 1 complete day", period.Day, "2021-08-25T03:00:00Z", "2021-08-23..2021-08-23"},
	}
	for _, tt := range tests {
		got, err := c0(t, tt.zone).Relative(tt.expression, tt.g, at(t, tt.now))
		if want := days(t, tt.want); err != nil || got != want {
			t.Errorf("%q by %s at %s in %s: %s..%s (%v), want %s", tt.expression, tt.g, tt.now, tt.zone, got.From, got.To, err, tt.want)
		}
	}
	for _, expression := range []string{"", "48h", "-0h", "-h", "-48", "-48min", "-999999h", "--1d", "last 0 complete days", "last 7 days", "last 7 complete hours", "last 999999 complete years", "-48h "} {
		if r, err := c0(t, "UTC").Relative(expression, period.Day, at(t, "2021-08-25T10:00:00Z")); !errors.Is(err, period.ErrInvalidRelative) {
			t.Errorf("%q: %v, %v", expression, r, err)
		}
	}
}

func TestState(t *testing.T) {
	c := c0(t, "UTC")
	bucket := c.BucketOf(at(t, "2024-03-10T12:00:00Z"), period.Day)
	covered := func(from, to, final string) period.Coverage {
		coverage := period.Coverage{Span: c.Span(days(t, from+".."+to))}
		if final != "" {
			coverage.FinalUntil = at(t, final)
		}
		return coverage
	}
	tests := []struct {
		name     string
		coverage period.Coverage
		asOf     string
		want     period.State
	}{
		{"over and covered", covered("2024-03-01", "2024-03-10", ""), "2024-03-11T00:00:00Z", period.Final},
		{"still running", covered("2024-03-01", "2024-03-31", ""), "2024-03-10T23:59:59Z", period.Partial},
		{"the source is behind", covered("2024-03-01", "2024-03-09", ""), "2024-03-12T00:00:00Z", period.Missing},
		{"the source begins later", covered("2024-03-11", "2024-03-20", ""), "2024-03-22T00:00:00Z", period.Missing},
		{"not begun", covered("2024-03-01", "2024-03-31", ""), "2024-03-09T00:00:00Z", period.Missing},
		{"may be restated", covered("2024-03-01", "2024-03-31", "2024-03-10T23:00:00Z"), "2024-03-12T00:00:00Z", period.Restating},
		{"no longer restated", covered("2024-03-01", "2024-03-31", "2024-03-11T00:00:00Z"), "2024-03-20T00:00:00Z", period.Final},
		{"covered by half", period.Coverage{Span: period.Span{Start: at(t, "2024-03-10T12:00:00Z"), End: at(t, "2024-03-20T00:00:00Z")}}, "2024-03-12T00:00:00Z", period.Partial},
	}
	for _, tt := range tests {
		if got := tt.coverage.State(bucket, at(t, tt.asOf)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestDatesAreWrittenInFourDigitsOfYear(t *testing.T) {
	for _, year := range []int{-12345, -12, -1, 0, 1, 9, 10, 987, 1970, 9999, 10000} {
		for _, d := range []period.Date{{Year: year, Month: 1, Day: 2}, {Year: year, Month: 12, Day: 31}} {
			want := fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day)
			text, err := d.MarshalText()
			if err != nil || d.String() != want || string(text) != want {
				t.Errorf("%+v is %s and %s, %v; want %s", d, d, text, err, want)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, zone := range []string{"", "Local", "Mars/Olympus", "../etc/passwd", "America/new_york_", "EST5"} {
		if _, err := period.NewCalendar(zone, time.Monday); !errors.Is(err, period.ErrUnknownZone) {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
	if _, err := period.NewCalendar("UTC", 7); !errors.Is(err, period.ErrUnknownWeekStart) {
		t.Errorf("week start 7: %v", err)
	}
	if _, err := period.ParseWeekStart("someday"); !errors.Is(err, period.ErrUnknownWeekStart) {
		t.Errorf("week start: %v", err)
	}
	if day, err := period.ParseWeekStart("saturday"); err != nil || day != time.Saturday {
		t.Errorf("saturday is %v, %v", day, err)
	}
	for _, s := range []string{"", "2024-02-30", "2023-02-29", "2024-1-1", "0000-01-01", "2024-01-01T00:00:00Z", "10000-01-01"} {
		if d, err := period.ParseDate(s); !errors.Is(err, period.ErrInvalidDate) {
			t.Errorf("date %q: %v, %v", s, d, err)
		}
	}
	if _, err := period.NewRange(date(t, "2024-01-02"), date(t, "2024-01-01")); !errors.Is(err, period.ErrReversed) {
		t.Errorf("reversed: %v", err)
	}
	c := c0(t, "Europe/Berlin")
	reversed := period.Range{From: date(t, "2024-01-02"), To: date(t, "2024-01-01")}
	if _, err := c.Buckets(reversed, period.Day); !errors.Is(err, period.ErrReversed) {
		t.Errorf("reversed: %v", err)
	}
	if _, err := c.Buckets(days(t, "2024-01-01"), "fortnight"); !errors.Is(err, period.ErrUnknownGranularity) {
		t.Errorf("granularity: %v", err)
	}
	if _, err := days(t, "2024-01-01").Compared("last_decade"); !errors.Is(err, period.ErrUnknownComparison) {
		t.Errorf("comparison: %v", err)
	}
	for g, limit := range map[period.Granularity]string{period.Hour: "2000-01-01..2001-02-19", period.Day: "2000-01-01..2027-05-18"} {
		r := days(t, limit)
		if buckets, err := c.Buckets(r, g); err != nil || len(buckets) > period.MaxBuckets || len(buckets) < period.MaxBuckets-24 {
			t.Errorf("%s of %s: %d, %v", g, limit, len(buckets), err)
		}
		r.To = r.To.AddDays(1)
		if _, err := c.Buckets(r, g); !errors.Is(err, period.ErrTooManyBuckets) {
			t.Errorf("%s of %s and a day: %v", g, limit, err)
		}
	}
}

func TestDateAsText(t *testing.T) {
	var d period.Date
	if err := d.UnmarshalText([]byte("2024-02-29")); err != nil || d != (period.Date{Year: 2024, Month: time.February, Day: 29}) {
		t.Errorf("%v, %v", d, err)
	}
	if text, err := d.MarshalText(); err != nil || string(text) != "2024-02-29" {
		t.Errorf("%s, %v", text, err)
	}
	if err := d.UnmarshalText([]byte("soon")); !errors.Is(err, period.ErrInvalidDate) || d.Day != 29 {
		t.Errorf("%v, %v", d, err)
	}
}

// zones have every oddity that the database knows: changes at midnight and just after
// it, of half an hour, of two hours, negative ones, skipped and doubled days, offsets
// with seconds.
var zones = []string{
	"UTC", "America/New_York", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "America/Havana", "America/St_Johns", "Pacific/Apia",
	"Australia/Lord_Howe", "Africa/Casablanca", "Europe/Dublin", "Antarctica/Troll", "Africa/Monrovia", "Asia/Manila", "Pacific/Kwajalein",
	"America/Juneau", "Asia/Tehran", "Africa/Cairo", "Asia/Beirut", "America/Asuncion", "Pacific/Kiritimati", "Europe/Amsterdam", "Asia/Gaza", "America/Caracas",
}

// FuzzBuckets checks for any zone, range and granularity that the buckets tile the
// range and that grouping by instant arrives at the same buckets.
func FuzzBuckets(f *testing.F) {
	f.Add(uint8(1), int32(19790), uint16(10), uint8(0), uint8(1), int64(0))
	f.Add(uint8(6), int32(14184), uint16(3), uint8(0), uint8(1), int64(90000))
	f.Add(uint8(7), int32(15337), uint16(4), uint8(1), uint8(0), int64(86400))
	f.Add(uint8(14), int32(8630), uint16(40), uint8(2), uint8(6), int64(1))
	f.Fuzz(func(t *testing.T, zone uint8, from int32, length uint16, granularity, weekStart uint8, offset int64) {
		c := calendar(t, zones[int(zone)%len(zones)], time.Weekday(weekStart%7))
		g := []period.Granularity{period.Hour, period.Day, period.Week, period.Month, period.Quarter, period.Year}[granularity%6]
		first := date(t, "1970-01-01").AddDays(int(from) % 50_000)
		r := period.Range{From: first, To: first.AddDays(int(length % 400))}
		buckets, err := c.Buckets(r, g)
		if err != nil {
			t.Fatal(err)
		}
		span := c.Span(r)
		at := span.Start
		keys := map[string]bool{}
		for i, b := range buckets {
			if !b.Start.Equal(at) || !b.Start.Before(b.End) || keys[b.Key] {
				t.Fatalf("%s %s..%s by %s: bucket %d is %+v, should start %s", c.Zone(), r.From, r.To, g, i, b, at)
			}
			if i > 0 && i < len(buckets)-1 && b.Clipped {
				t.Fatalf("bucket %d of %d is clipped: %+v", i, len(buckets), b)
			}
			keys[b.Key], at = true, b.End
			inside := b.Start.Add(time.Duration(offset&(1<<62-1)) % b.End.Sub(b.Start))
			for _, moment := range []time.Time{b.Start, inside, b.End.Add(-1)} {
				whole := c.BucketOf(moment, g)
				if whole.Key != b.Key || !whole.Contains(moment) || whole.Start.After(b.Start) || whole.End.Before(b.End) || (!b.Clipped && whole.Span != b.Span) {
					t.Fatalf("%s %s: %s is in %+v, grouped into %+v", c.Zone(), g, moment, b, whole)
				}
				if d := c.DateOf(moment); d.Before(r.From) || r.To.Before(d) {
					t.Fatalf("%s: %s is of %s, outside %s..%s", c.Zone(), moment, d, r.From, r.To)
				}
			}
		}
		if !at.Equal(span.End) {
			t.Fatalf("%s %s..%s by %s ends %s, should %s", c.Zone(), r.From, r.To, g, at, span.End)
		}
	})
}

// FuzzComparisons checks that a comparison is earlier, of the same length where that
// is promised, and that elapsed parts stay in their periods.
func FuzzComparisons(f *testing.F) {
	f.Add(uint8(1), int32(19790), uint16(30), int64(10*86400))
	f.Fuzz(func(t *testing.T, zone uint8, from int32, length uint16, elapsed int64) {
		c := calendar(t, zones[int(zone)%len(zones)], time.Monday)
		first := date(t, "1970-01-01").AddDays(int(from) % 50_000)
		r := period.Range{From: first, To: first.AddDays(int(length % 800))}
		now := c.StartOfDay(r.From).Add(time.Duration(elapsed%(86400*900)) * time.Second)
		for _, with := range []period.Comparison{period.PreviousPeriod, period.LastMonth, period.LastQuarter, period.LastYear, period.Weeks52} {
			before, err := r.Compared(with)
			if err != nil {
				t.Fatal(err)
			}
			if !before.From.Before(r.From) || before.To.Before(before.From) {
				t.Fatalf("%s..%s by %s is %s..%s", r.From, r.To, with, before.From, before.To)
			}
			if (with == period.PreviousPeriod || with == period.Weeks52) && before.Days() != r.Days() {
				t.Fatalf("%d days by %s are %d", r.Days(), with, before.Days())
			}
			pair, err := c.Compare(r, with, now)
			if err != nil {
				t.Fatal(err)
			}
			full, earlier := c.Span(r), c.Span(before)
			if !pair.Current.Start.Equal(full.Start) || pair.Current.End.After(full.End) || pair.Current.End.Before(full.Start) ||
				!pair.Previous.Start.Equal(earlier.Start) || pair.Previous.End.After(earlier.End) || pair.Previous.End.Before(earlier.Start) ||
				pair.Running != now.Before(full.End) {
				t.Fatalf("%s %s..%s by %s at %s: %+v", c.Zone(), r.From, r.To, with, now, pair)
			}
		}
	})
}

func BenchmarkBucketOf(b *testing.B) {
	c := calendar(b, "America/New_York", time.Monday)
	moment := at(b, "2024-11-03T12:00:00Z")
	for _, g := range []period.Granularity{period.Hour, period.Day, period.Month} {
		b.Run(string(g), func(b *testing.B) {
			for b.Loop() {
				c.BucketOf(moment, g)
			}
		})
	}
}
