package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Names of the indexes.
const (
	bySequence = "sequence"
	byTime     = "at"
	byActor    = "actor"
	byResource = "resource"
	byModule   = "module"
	byResult   = "result"
	byCreation = "created-at"
	byUser     = "user"
	byDue      = "due-at"
	byRequest  = "request"
)

// only is the id of what an organization has one document of.
const only = "only"

// head is the end of an organization's log, and its beginning since records were deleted by their age. It is written after
// the records that it tells of, so it may lag behind; it is never ahead.
type head struct {
	Last mark `json:"last"`
	// Cut is the last record that was deleted: the first that is left continues its hash.
	Cut mark `json:"cut"`
}

// retention is how long an organization keeps its log.
type retention struct {
	Days int `json:"days"`
}

// erased says that a person was erased from the log, so that entries of what they did before do not bring them back.
type erased struct {
	At store.Time `json:"at"`
}

// closed says that an organization is gone, so that late entries do not begin its log anew.
type closed struct {
	At store.Time `json:"at"`
}

// request is a data request. Its run has the same id.
type request struct {
	Organization string                  `json:"organization"`
	User         string                  `json:"user"`
	Kind         privacy.Kind            `json:"kind"`
	By           string                  `json:"by"`
	State        state                   `json:"state"`
	CreatedAt    store.Time              `json:"created_at"`
	DeadlineAt   store.Time              `json:"deadline_at"`
	FinishedAt   *store.Time             `json:"finished_at,omitempty"`
	Parts        map[topology.Group]part `json:"parts,omitempty"`
	// Archive is the ZIP, while it is there.
	Archive *blob `json:"archive,omitempty"`
	// DueAt is when the archive, or the request itself, is deleted.
	DueAt store.Time `json:"due_at"`
}

// state is where a request stands. The ends of a failed one are its run's.
type state string

const (
	collecting state = "collecting"
	finishing  state = "finishing" // no part is taken any more
	ready      state = "ready"
	done       state = "done"
	expired    state = "expired"
)

// part is what a group did for a request.
type part struct {
	Documents int64      `json:"documents,omitempty"`
	Problem   string     `json:"problem,omitempty"`
	Data      *blob      `json:"data,omitempty"`
	Bytes     int64      `json:"bytes,omitempty"` // of Data, also when that is gone
	At        store.Time `json:"at"`
}

type documents struct {
	records  *store.Collection[record] // by event
	heads    *store.Collection[head]
	settings *store.Collection[retention]
	erased   *store.Collection[erased] // by user
	closed   *store.Documents[closed]  // by organization

	// These belong to no tenant's collection: what is due is deleted for all at once, and a run knows a request by its id.
	requests *store.Documents[request]
	chunks   *store.Documents[chunk]
}

func openDocuments(ctx context.Context, db store.DB) (d documents, err error) {
	open := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("open the %s: %w", what, err)
		}
		return nil
	}
	d.records, err = store.Tenant[record](ctx, db, store.Def{Name: "audit_records", Indexes: []store.Index{
		{Name: bySequence, Fields: []string{"sequence"}, Unique: true},
		{Name: byTime, Fields: []string{"at", "sequence"}},
		{Name: byActor, Fields: []string{"who.subject", "at", "sequence"}},
		{Name: byResource, Fields: []string{"resource", "at", "sequence"}},
		{Name: byModule, Fields: []string{"module", "at", "sequence"}},
		{Name: byResult, Fields: []string{"result", "at", "sequence"}},
	}})
	wrong := open("audit log", err)
	d.heads, err = store.Tenant[head](ctx, db, store.Def{Name: "audit_heads"})
	wrong = errors.Join(wrong, open("heads of the audit logs", err))
	d.settings, err = store.Tenant[retention](ctx, db, store.Def{Name: "audit_retention"})
	wrong = errors.Join(wrong, open("retention of the audit logs", err))
	d.erased, err = store.Tenant[erased](ctx, db, store.Def{Name: "audit_erased"})
	wrong = errors.Join(wrong, open("erased people", err))
	d.closed, err = store.System[closed](ctx, db, store.Def{Name: "audit_closed"})
	wrong = errors.Join(wrong, open("closed audit logs", err))
	d.requests, err = store.System[request](ctx, db, store.Def{Name: "data_requests", Indexes: []store.Index{
		{Name: byCreation, Fields: []string{"organization", "created_at"}},
		{Name: byUser, Fields: []string{"organization", "user", "created_at"}},
		{Name: byDue, Fields: []string{"due_at"}},
	}})
	wrong = errors.Join(wrong, open("data requests", err))
	d.chunks, err = store.System[chunk](ctx, db, store.Def{Name: "data_request_chunks", Indexes: []store.Index{
		{Name: byRequest, Fields: []string{"request"}},
	}})
	return d, errors.Join(wrong, open("archives of data requests", err))
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
