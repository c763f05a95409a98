package sync

import (
	"time"

	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// paceOf is how far back a pace looks.
	paceOf = time.Minute
	// paceEvery is how far samples of it are apart.
	paceEvery = 5 * time.Second
)

// sample is how many records a sync had read at a time.
type sample struct {
	At      store.Time `json:"at"`
	Records int        `json:"records"`
}

// sample notes what has been read by now. There are two samples at least, however long ago the first was: a vendor that has us wait an
// hour is that slow.
func (at *cursor) sample(now time.Time) {
	taken := sample{store.At(now), at.Records}
	if n := len(at.Pace); n >= 2 && taken.At.Sub(at.Pace[n-2].At.Time) < paceEvery {
		at.Pace = at.Pace[:n-1]
	}
	at.Pace = append(at.Pace, taken)
	for len(at.Pace) > 2 && taken.At.Sub(at.Pace[1].At.Time) >= paceOf {
		at.Pace = at.Pace[1:]
	}
}

// rate is how many records a second are read, about in the last minute or, when the sync has ended, in all; nil where nothing can be
// said yet.
func (at cursor) rate(run runs.Run) *float64 {
	var records int
	var took time.Duration
	if n := len(at.Pace); run.Status.Final() {
		records, took = at.Records, run.FinishedAt.Sub(run.StartedAt.Time)
	} else if n >= 2 {
		records, took = at.Pace[n-1].Records-at.Pace[0].Records, at.Pace[n-1].At.Sub(at.Pace[0].At.Time)
	}
	if took <= 0 || run.StartedAt.IsZero() {
		return nil
	}
	rate := float64(records) / took.Seconds()
	return &rate
}

// estimate is how many seconds a sync that runs still takes, at its rate; nil unless the vendor has told how much there is.
func (at cursor) estimate(run runs.Run) *float64 {
	rate := at.rate(run)
	if at.Expected == nil || rate == nil || *rate <= 0 || run.Status.Final() {
		return nil
	}
	seconds := float64(max(0, *at.Expected-at.Records)) / *rate
	return &seconds
}
