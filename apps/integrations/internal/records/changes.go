package records

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// Lag is how old a change is before it can be read as one. A write has its time before it is visible, by putTime at most, and the
	// clocks of processes that write differ by less than what is left: so nothing that becomes visible later has a time before that of
	// what was read, and whoever reads on from a watermark misses nothing.
	Lag = 10 * time.Second
	// RemovalsFor is for how long it is told that a record was removed.
	RemovalsFor = 60 * 24 * time.Hour
	// putTime bounds a write of records.
	putTime = 7 * time.Second
)

// CodeForgotten says that changes since a time are not known any more: all records have to be read anew.
const CodeForgotten = "changes_forgotten"

// ChangesInput selects changes.
type ChangesInput struct {
	Since  string `query:"since" maxLength:"40" doc:"watermark of an answer before (RFC 3339); all records without it" example:"1997-03-01T12:00:00.000000Z"`
	Cursor string `query:"cursor" maxLength:"4000" doc:"next_cursor of the page before, with the same since"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Most changes of the page"`
}

func (k *Kind[T]) bindChanges(r *group.Routes, path string, needs group.Option) {
	group.Get(r, path, k.listChanges, needs, group.Problems(http.StatusGone, http.StatusUnprocessableEntity), group.Doc("List changes of "+k.title,
		"What is new, different or removed since a watermark, in the order in which it came to be so. Read all pages, then begin the next time with the watermark of the last one: so nothing is missed, and nothing comes twice but what changed again.",
		fmt.Sprintf("A change can be read %d seconds after it was made, and a removal for %d days: a watermark that is older is refused with changes_forgotten.", int(Lag.Seconds()), int(RemovalsFor.Hours()/24))))
}

// ahead is how far in the future a watermark may be, which another process's clock has told.
const ahead = time.Minute

func (k *Kind[T]) listChanges(ctx context.Context, in *ChangesInput) (*integrationsapi.Changes[T], error) {
	var since time.Time
	if in.Since != "" {
		t, err := parseInstant(in.Since)
		if err != nil {
			return nil, problem.Invalid("query.since", "want an instant such as 1997-01-01T00:00:00Z")
		}
		if t.Before(k.emit.Now().Add(-RemovalsFor)) {
			return nil, problem.New(http.StatusGone, CodeForgotten, "what was removed so long ago is not known any more; read all records anew, without since")
		}
		if t.After(k.emit.Now().Add(ahead)) {
			return nil, problem.Invalid("query.since", "is in the future; want the watermark of an answer before")
		}
		since = t
	}
	changes, err := k.Changes(ctx, identity.Organization(ctx), since, in.Cursor, in.Limit)
	return &changes, err
}

// reading is the cursor of changes.
type reading struct {
	Since store.Time `json:"since,omitzero"`
	Until store.Time `json:"until"`
	// Written and Removed are where the reading of either is; WrittenAll and RemovedAll tell that there is no more of it.
	Written    string `json:"written,omitempty"`
	Removed    string `json:"removed,omitempty"`
	WrittenAll bool   `json:"written_all,omitempty"`
	RemovedAll bool   `json:"removed_all,omitempty"`
}

func parseReading(cursor string, since time.Time) (at reading, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil || !at.Since.Equal(since) || at.Until.IsZero() {
		return at, store.ErrBadCursor
	}
	return at, nil
}

// query selects what was written in the time of the reading.
func (at reading) query(cursor string, limit int) store.Query {
	q := store.Query{Index: byUpdate.Name, Range: store.Range{Field: store.UpdatedAt, To: at.Until}, Cursor: cursor, Limit: limit}
	if !at.Since.IsZero() {
		q.Range.From = at.Since
	}
	return q
}

// Changes reads a page of what was written or removed since a time, which is Changes.Watermark of a reading before or zero, until Lag
// ago, in that order: store.ErrBadCursor. A record that changes while pages are read is left out then, and comes with the next reading.
func (k *Kind[T]) Changes(ctx context.Context, organization string, since time.Time, cursor string, limit int) (integrationsapi.Changes[T], error) {
	since = store.At(since).Time
	at := reading{Since: store.At(since), Until: store.At(k.emit.Now().Add(-Lag))}
	if at.Until.Before(since) { // by another process's clock
		at.Until = at.Since
	}
	if cursor != "" {
		var err error
		if at, err = parseReading(cursor, since); err != nil {
			return integrationsapi.Changes[T]{}, err
		}
	}
	written, err := unread(ctx, k.documents.In(organization), at.query(at.Written, limit), at.WrittenAll)
	if err != nil {
		return integrationsapi.Changes[T]{}, fmt.Errorf("read changes of %s: %w", k.name, err)
	}
	gone, err := unread(ctx, k.removed.In(organization), at.query(at.Removed, limit), at.RemovedAll)
	if err != nil {
		return integrationsapi.Changes[T]{}, fmt.Errorf("read what was removed of %s: %w", k.name, err)
	}
	page := integrationsapi.Changes[T]{Items: []integrationsapi.Change[T]{}, Watermark: at.Until}
	for len(page.Items) < limit {
		w, g := written.next(), gone.next()
		switch {
		case w == nil && g == nil:
		case g == nil || w != nil && cmp.Or(w.UpdatedAt.Compare(g.UpdatedAt), cmp.Compare(w.ID, g.ID)) < 0:
			written.taken++
			page.Items = append(page.Items, integrationsapi.Change[T]{ID: w.ID, ChangedAt: store.At(w.UpdatedAt), Record: &w.Value})
			continue
		default:
			gone.taken++
			there, err := k.there(ctx, organization, g)
			if err != nil {
				return page, err
			}
			if !there {
				page.Items = append(page.Items, integrationsapi.Change[T]{ID: g.ID, ChangedAt: store.At(g.UpdatedAt), Removed: true})
			}
			continue
		}
		break
	}
	if at.Written, at.WrittenAll, err = written.rest(k.documents.In(organization), at.query("", limit), at.Written); err != nil {
		return page, err
	}
	if at.Removed, at.RemovedAll, err = gone.rest(k.removed.In(organization), at.query("", limit), at.Removed); err != nil {
		return page, err
	}
	if at.WrittenAll && at.RemovedAll {
		return page, nil
	}
	text, err := json.Marshal(at)
	page.NextCursor = base64.RawURLEncoding.EncodeToString(text)
	return page, err
}

// there tells that what was to be removed is there: its removal is not done, and is stamped anew when it is; or the vendor has it again,
// which another process may have stored with an earlier time than the removal has.
func (k *Kind[T]) there(ctx context.Context, organization string, g *store.Doc[removed]) (bool, error) {
	if g.Value.Pending {
		return true, nil
	}
	_, err := k.documents.In(organization).Get(ctx, g.ID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return true, err
}

// side is one of the two orders that changes are merged of.
type side[V any] struct {
	store.Page[V]
	taken int
}

func unread[V any](ctx context.Context, d *store.Documents[V], q store.Query, all bool) (*side[V], error) {
	if all {
		return &side[V]{}, nil
	}
	page, err := d.Find(ctx, q)
	return &side[V]{Page: page}, err
}

// next is the first that was not taken; nil after the last of the page.
func (s *side[V]) next() *store.Doc[V] {
	if s.taken == len(s.Items) {
		return nil
	}
	return &s.Items[s.taken]
}

// rest is the cursor behind what was taken, and whether there is no more.
func (s *side[V]) rest(d *store.Documents[V], q store.Query, before string) (cursor string, all bool, err error) {
	switch {
	case s.taken == len(s.Items):
		return s.Next, s.Next == "", nil
	case s.taken == 0:
		return before, false, nil
	}
	cursor, err = d.Behind(q, s.Items[s.taken-1])
	return cursor, false, err
}
