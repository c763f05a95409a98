package records

import (
	"slices"
	"time"
)

// Range is a span of time, From inclusive to To exclusive. A zero end is open.
type Range struct{ From, To time.Time }

const (
	// nearby is how far apart two records may be and still be told of as one range.
	nearby = 36 * time.Hour
	// maxRanges bounds how many ranges tell of one page of records.
	maxRanges = 16
)

// rangesOf are the spans that hold all of times, few and without long stretches of nothing between: an old record among
// new ones must not make readers look at all the years between them. It sorts times.
func rangesOf(times []time.Time) []Range {
	slices.SortFunc(times, time.Time.Compare)
	var ranges []Range
	for _, t := range times {
		end := t.Add(time.Microsecond) // the precision of what is stored
		if n := len(ranges); n > 0 && t.Sub(ranges[n-1].To) <= nearby {
			ranges[n-1].To = end
			continue
		}
		ranges = append(ranges, Range{t, end})
	}
	for len(ranges) > maxRanges {
		narrowest := 1
		for i := 2; i < len(ranges); i++ {
			if ranges[i].From.Sub(ranges[i-1].To) < ranges[narrowest].From.Sub(ranges[narrowest-1].To) {
				narrowest = i
			}
		}
		ranges[narrowest-1].To = ranges[narrowest].To
		ranges = slices.Delete(ranges, narrowest, narrowest+1)
	}
	return ranges
}
