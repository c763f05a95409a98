package legal

import (
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

// versions are the versions of one kind, the first one first.
type versions []document

// at is a version that was published and not withdrawn.
func (v versions) at(version int) (document, bool) {
	if version < 1 || version > len(v) || v[version-1].WithdrawnAt != nil {
		return document{}, false
	}
	return v[version-1], true
}

// inForce tells whether d has taken effect. It may have been replaced since.
func (d document) inForce(now time.Time) bool {
	return d.WithdrawnAt == nil && (d.InForceAt != nil || !now.Before(d.EffectiveAt.Time))
}

// current is the version in force: the latest of those that have taken effect. One that takes effect only
// after a later one never is.
func (v versions) current(now time.Time) (document, bool) {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].inForce(now) {
			return v[i], true
		}
	}
	return document{}, false
}

// required is the span of versions of which everybody must have accepted one: from the latest mandatory one that took
// effect to the one in force. So a correction that is not mandatory asks nobody again, and a newcomer accepts
// it as it is.
func (v versions) required(now time.Time) (first, last int, required bool) {
	current, _ := v.current(now)
	for _, d := range v[:current.Version] {
		if d.Mandatory && d.inForce(now) {
			first, required = d.Version, true
		}
	}
	return first, current.Version, required
}

// announced are the versions that are to replace the one in force.
func (v versions) announced(now time.Time) versions {
	current, _ := v.current(now)
	var all versions
	for _, d := range v[current.Version:] {
		if d.WithdrawnAt == nil {
			all = append(all, d)
		}
	}
	return all
}

// takeEffect notes which versions are in force by now, and tells whether one was not before.
func (s *series) takeEffect(now store.Time) bool {
	changed := false
	for i := range s.Versions {
		if d := &s.Versions[i]; d.InForceAt == nil && d.inForce(now.Time) {
			d.InForceAt, changed = &now, true
		}
	}
	s.schedule()
	return changed
}

// schedule works out when the next version takes effect.
func (s *series) schedule() {
	s.DueAt = nil
	for _, d := range s.Versions {
		if waits := d.InForceAt == nil && d.WithdrawnAt == nil; waits && (s.DueAt == nil || d.EffectiveAt.Before(s.DueAt.Time)) {
			s.DueAt = &d.EffectiveAt
		}
	}
}
