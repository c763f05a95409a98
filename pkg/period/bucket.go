package period

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Granularity is the length of a bucket.
type Granularity string

// The granularities.
const (
	Hour    Granularity = "hour"
	Day     Granularity = "day"
	Week    Granularity = "week"
	Month   Granularity = "month"
	Quarter Granularity = "quarter"
	Year    Granularity = "year"
)

var granularities = []Granularity{Hour, Day, Week, Month, Quarter, Year}

var (
	// ErrUnknownGranularity is a word that is no granularity.
	ErrUnknownGranularity = errors.New("unknown granularity")
	// ErrReversed is a range that ends before it begins.
	ErrReversed = errors.New("range ends before it begins")
	// ErrTooManyBuckets is a range of more than MaxBuckets buckets.
	ErrTooManyBuckets = errors.New("too many buckets")
)

// MaxBuckets is the most buckets that a range may have.
const MaxBuckets = 10_000

// ParseGranularity reads hour, day, week, month, quarter or year.
func ParseGranularity(s string) (Granularity, error) {
	if g := Granularity(s); slices.Contains(granularities, g) {
		return g, nil
	}
	return "", fmt.Errorf("%w: %q", ErrUnknownGranularity, s)
}

// Range is the days from From to To, both included: what people and query
// parameters say. Calendar.Span makes it half-open instants, once.
type Range struct {
	From Date `json:"from"`
	To   Date `json:"to"`
}

// NewRange returns the range of the days from from to to, both included. It fails
// with ErrReversed.
func NewRange(from, to Date) (Range, error) {
	if to.Before(from) {
		return Range{}, fmt.Errorf("%w: %s to %s", ErrReversed, from, to)
	}
	return Range{From: from, To: to}, nil
}

// Days counts the days of the range.
func (r Range) Days() int { return r.From.DaysUntil(r.To) + 1 }

// Span is the instants from Start, included, to End, excluded, both UTC.
type Span struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Contains reports whether the instant is in the span.
func (s Span) Contains(t time.Time) bool { return !t.Before(s.Start) && t.Before(s.End) }

// Span is the instants of a range of days.
func (c Calendar) Span(r Range) Span {
	return Span{Start: c.StartOfDay(r.From), End: c.StartOfDay(r.To.AddDays(1))}
}

// Bucket is one period of a series.
type Bucket struct {
	Span
	// Key names the whole period: 2024-11-03 for a day, the first day for a week,
	// 2024-11, 2024-Q4 and 2024, and for an hour its start as local time with offset,
	// 2024-11-03T01:00:00-04:00, because a local hour may come twice. Keys of one
	// granularity sort in the order of time, those of hours by their Start.
	Key string `json:"key"`
	// Clipped says that the range cuts the period, so the bucket is a part of it.
	Clipped bool `json:"clipped"`
}

// Buckets divides a range: the buckets follow each other without gap or overlap and
// cover exactly the range's span. The first and the last may be parts of a period. A
// day that the zone skipped has no bucket. The error wraps ErrReversed,
// ErrTooManyBuckets or ErrUnknownGranularity.
func (c Calendar) Buckets(r Range, g Granularity) ([]Bucket, error) {
	if _, err := ParseGranularity(string(g)); err != nil {
		return nil, err
	}
	if _, err := NewRange(r.From, r.To); err != nil {
		return nil, err
	}
	var buckets []Bucket
	add := func(b Bucket) error {
		if len(buckets) == MaxBuckets {
			return fmt.Errorf("%w: %s to %s by %s has more than %d", ErrTooManyBuckets, r.From, r.To, g, MaxBuckets)
		}
		buckets = append(buckets, b)
		return nil
	}
	if g == Hour {
		span := c.Span(r)
		for at := span.Start; at.Before(span.End); {
			b := c.hourBucket(at)
			if err := add(b); err != nil {
				return nil, err
			}
			at = b.End
		}
		return buckets, nil
	}
	after := r.To.AddDays(1)
	start := c.StartOfDay(r.From)
	for first := r.From.StartOf(g, c.weekStart); first.Before(after); {
		next := first.periods(g, 1)
		clipped := first.Before(r.From) || after.Before(next)
		end := c.StartOfDay(earlier(next, after))
		if start.Before(end) {
			if err := add(Bucket{Span: Span{start, end}, Key: first.key(g), Clipped: clipped}); err != nil {
				return nil, err
			}
		}
		first, start = next, end
	}
	return buckets, nil
}

func earlier(d, e Date) Date {
	if e.Before(d) {
		return e
	}
	return d
}

// BucketOf is the whole period that holds an instant. Its key is the one that Buckets
// gives, so grouping records by it and filling empty buckets agree. g must be one of
// the granularities.
func (c Calendar) BucketOf(t time.Time, g Granularity) Bucket {
	if g == Hour {
		return c.hourBucket(t)
	}
	first := c.DateOf(t).StartOf(g, c.weekStart)
	return Bucket{Span: Span{c.StartOfDay(first), c.StartOfDay(first.periods(g, 1))}, Key: first.key(g)}
}

func (c Calendar) hourBucket(t time.Time) Bucket {
	start, end := c.hour(t)
	// RFC 3339 has no seconds of offset, which zones had before standard time.
	key := start.In(c.location).Format("2006-01-02T15:04:05Z07:00:00")
	key = strings.TrimSuffix(key, ":00")
	return Bucket{Span: Span{start, end}, Key: key}
}
