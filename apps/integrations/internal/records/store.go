package records

import (
	"context"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
)

// Kind keeps and reads the records of one kind, found by their own time, of all connections or of one.
type Kind[T integrationsapi.Record] struct {
	name string
	// at is the field of a record's own time.
	at string
	// title and by are the records and their own time for people.
	title, by string
	documents *store.Collection[T]
	// removed are those that were removed, by their ids.
	removed  *store.Collection[removed]
	outbox   store.Outbox
	policies *store.Documents[policy]
	emit     events.Emitter
	// personal and erased are of kinds that have persons' addresses.
	personal personal[T]
	erased   *store.Collection[erasedPerson]
}

// byUpdate is the order of the last write.
var byUpdate = store.Index{Name: "updated", Fields: []string{store.UpdatedAt}}

func open[T integrationsapi.Record](ctx context.Context, db store.DB, policies *store.Documents[policy], emit events.Emitter, into **Kind[T], name, at, title, by string, more ...store.Index) error {
	documents, err := store.Tenant[T](ctx, db, store.Def{Name: name, Indexes: append([]store.Index{
		{Name: at, Fields: []string{at}},
		{Name: "connection", Fields: []string{"connection_id", at}},
		byUpdate,
	}, more...)})
	if err != nil {
		return err
	}
	gone, err := store.Tenant[removed](ctx, db, store.Def{Name: name + "-removed", Indexes: []store.Index{byUpdate, {Name: "pending", Fields: []string{"pending"}}}})
	*into = &Kind[T]{name: name, at: at, title: title, by: by, documents: documents, removed: gone, outbox: db.Outbox(), policies: policies, emit: emit}
	return err
}

// within selects records of a range; of all connections when connection is empty.
func (k *Kind[T]) within(connection string, r Range, cursor string, limit int) store.Query {
	q := store.Query{Index: k.at, Range: store.Range{Field: k.at}, Cursor: cursor, Limit: limit}
	if connection != "" {
		q.Index, q.Equal = "connection", []any{connection}
	}
	if !r.From.IsZero() {
		q.Range.From = r.From
	}
	if !r.To.IsZero() {
		q.Range.To = r.To
	}
	return q
}
