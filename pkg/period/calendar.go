package period

import (
	"errors"
	"fmt"
	"strings"
	"time"

	// The zones are built in for machines that have no zone database, such as a
	// container from scratch. Where the machine has one, Go prefers it.
	_ "time/tzdata"
)

// ErrUnknownZone is a zone name that the IANA database does not have.
var ErrUnknownZone = errors.New("unknown time zone")

// ErrUnknownWeekStart is a name that is no weekday.
var ErrUnknownWeekStart = errors.New("unknown week start")

// Calendar turns civil dates into instants: a time zone and the day on which weeks
// begin. The zero value is not usable; make one with NewCalendar.
type Calendar struct {
	location  *time.Location
	weekStart time.Weekday
}

// NewCalendar returns the calendar of an IANA zone such as America/New_York or UTC.
// "Local" and the empty name are unknown, because they mean another zone on another
// machine. The error wraps ErrUnknownZone or ErrUnknownWeekStart.
func NewCalendar(zone string, weekStart time.Weekday) (Calendar, error) {
	if weekStart < time.Sunday || weekStart > time.Saturday {
		return Calendar{}, fmt.Errorf("%w: %d", ErrUnknownWeekStart, int(weekStart))
	}
	if zone == "" || zone == "Local" {
		return Calendar{}, fmt.Errorf("%w: %q", ErrUnknownZone, zone)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return Calendar{}, fmt.Errorf("%w: %q", ErrUnknownZone, zone)
	}
	return Calendar{location: location, weekStart: weekStart}, nil
}

// ParseWeekStart reads an English weekday, in any case.
func ParseWeekStart(s string) (time.Weekday, error) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(s, day.String()) {
			return day, nil
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrUnknownWeekStart, s)
}

// Zone is the name of the calendar's time zone.
func (c Calendar) Zone() string { return c.location.String() }

// WeekStart is the day on which the calendar's weeks begin.
func (c Calendar) WeekStart() time.Weekday { return c.weekStart }

// StartOfDay is the first instant, in UTC, at which the zone's clocks show the date
// or a later one. Where clocks skip midnight that is 01:00; where they skip the whole
// day it is the start of the next one.
func (c Calendar) StartOfDay(d Date) time.Time { return c.firstAt(d, 0) }

// firstAt is the first instant, in UTC, at which the zone's clocks show the time of
// day on the date, or anything later.
func (c Calendar) firstAt(d Date, timeOfDay time.Duration) time.Time {
	// The wanted reading of the clocks, and a start before it in every zone: offsets
	// stay under 16 hours.
	reading := time.Unix(int64(d.number())*86400, 0).Add(timeOfDay)
	for at := reading.Add(-26 * time.Hour).In(c.location); ; {
		_, offset := at.Zone()
		_, end := at.ZoneBounds()
		candidate := reading.Add(-time.Duration(offset) * time.Second)
		if candidate.Before(at) {
			// A transition jumped over the reading.
			candidate = at
		}
		if end.IsZero() || candidate.Before(end) {
			return candidate.UTC()
		}
		at = end
	}
}

// DateOf is the date whose day holds the instant. It is what the clocks show, but for
// the rare zones that turned clocks back just after midnight: there the repeated end
// of the old day belongs to the new one, so that days do not overlap.
func (c Calendar) DateOf(t time.Time) Date {
	d := dateAt(t.In(c.location))
	if next := d.AddDays(1); !t.Before(c.StartOfDay(next)) {
		return next
	}
	return d
}

// hour is the bounds of the local hour that holds an instant. Hours begin where the
// clocks show a full hour and where they are changed, so each has one offset.
func (c Calendar) hour(t time.Time) (start, end time.Time) {
	local := t.In(c.location)
	_, offset := local.Zone()
	past := time.Duration(floorMod(int(local.Unix())+offset, 3600))*time.Second + time.Duration(local.Nanosecond())
	start = local.Add(-past)
	end = start.Add(time.Hour)
	if changed := c.lastChange(local); start.Before(changed) {
		start = changed
	}
	if changed, will := c.nextChange(local); will && changed.Before(end) {
		end = changed
	}
	return start.UTC(), end.UTC()
}

// lastChange is when the offset at t began; only the last two hours are looked at.
func (c Calendar) lastChange(t time.Time) time.Time {
	_, offset := t.Zone()
	for at := t; ; {
		start, _ := at.ZoneBounds()
		if start.IsZero() || t.Sub(start) > 2*time.Hour {
			return time.Time{}
		}
		// Not every transition changes the offset; some change the name only.
		before := start.Add(-time.Nanosecond)
		if _, was := before.Zone(); was != offset {
			return start
		}
		at = before
	}
}

// nextChange is when the offset at t ends, within two hours.
func (c Calendar) nextChange(t time.Time) (time.Time, bool) {
	_, offset := t.Zone()
	for at := t; ; {
		_, end := at.ZoneBounds()
		if end.IsZero() || end.Sub(t) > 2*time.Hour {
			return time.Time{}, false
		}
		if _, becomes := end.Zone(); becomes != offset {
			return end, true
		}
		at = end
	}
}
