package period

import "time"

// State says how far the figures of a bucket can be relied on.
type State string

// The states.
const (
	// Final figures do not change any more.
	Final State = "final"
	// Partial figures are of a period that is still running, or that the source's data
	// covers in part.
	Partial State = "partial"
	// Restating figures are complete, but their source may still change them.
	Restating State = "restating"
	// Missing means that the source has no data there: an additive figure is then null,
	// not 0.
	Missing State = "missing"
)

// Coverage is what a source has data of.
type Coverage struct {
	// Span is covered, whether or not anything happened in it.
	Span
	// FinalUntil is the instant before which the source changes nothing any more. When
	// zero, nothing covered changes.
	FinalUntil time.Time
}

// State is the state of a bucket as of an instant.
func (c Coverage) State(b Bucket, asOf time.Time) State {
	switch {
	case !b.Start.Before(c.End) || !c.Start.Before(b.End) || asOf.Before(b.Start):
		return Missing
	case asOf.Before(b.End) || b.Start.Before(c.Start) || c.End.Before(b.End):
		return Partial
	case !c.FinalUntil.IsZero() && c.FinalUntil.Before(b.End):
		return Restating
	}
	return Final
}
