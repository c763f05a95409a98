package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// removed is what is left of a record that was removed, so that whoever reads changes gets to know.
type removed struct {
	ConnectionID string `json:"connection_id"`
	Vendor       string `json:"vendor"`
	// At was the record's own time.
	At store.Time `json:"at"`
	// RemovedAt makes each removal of one id another value.
	RemovedAt store.Time `json:"removed_at"`
	// Version and CreatedAt are the stored record's that is to be removed, and no other of its id.
	Version   int64      `json:"version"`
	CreatedAt store.Time `json:"created_at"`
	// Pending tells that the record may be there still.
	Pending bool `json:"pending"`
}

// remove removes records, unless they were written since they were read, and tells of it: how many they were. It notes first what it is
// about to do; what a crash leaves undone, the next removal of the kind does.
func (k *Kind[T]) remove(ctx context.Context, organization string, docs []store.Doc[T]) (int, error) {
	if err := k.noteRemoval(ctx, organization, docs); err != nil {
		return 0, err
	}
	return k.finishRemoval(ctx, organization)
}

func (k *Kind[T]) noteRemoval(ctx context.Context, organization string, docs []store.Doc[T]) error {
	puts := make([]store.Put[removed], len(docs))
	for i, doc := range docs {
		head := doc.Value.Head()
		puts[i] = store.Put[removed]{ID: doc.ID, Value: removed{head.ConnectionID, head.Vendor, head.At, store.At(k.emit.Now()), doc.Version, store.At(doc.CreatedAt), true}}
	}
	if len(puts) == 0 {
		return nil
	}
	if _, err := k.removed.In(organization).PutMany(ctx, puts); err != nil {
		return fmt.Errorf("note what is to be removed of %s: %w", k.name, err)
	}
	return nil
}

// finishRemoval removes what is noted.
func (k *Kind[T]) finishRemoval(ctx context.Context, organization string) (int, error) {
	notes, total := k.removed.In(organization), 0
	for {
		page, err := notes.Find(ctx, store.Query{Index: "pending", Equal: []any{true}, Limit: integrationsapi.MaxPage})
		if err != nil {
			return total, fmt.Errorf("find what is to be removed of %s: %w", k.name, err)
		}
		if len(page.Items) == 0 {
			return total, k.forgetRemovals(ctx, organization, total)
		}
		n, err := k.removeNoted(ctx, organization, page.Items)
		total += n
		if err != nil {
			return total, fmt.Errorf("remove %s: %w", k.name, err)
		}
	}
}

// forgetRemovals forgets what was removed long ago, when there is something new.
func (k *Kind[T]) forgetRemovals(ctx context.Context, organization string, removed int) error {
	if removed == 0 {
		return nil
	}
	old := store.Range{Field: store.UpdatedAt, To: k.emit.Now().Add(-RemovalsFor - Lag)}
	if err := k.removed.In(organization).DeleteDue(ctx, store.Query{Index: byUpdate.Name, Range: old}); err != nil {
		return fmt.Errorf("forget what was removed of %s long ago: %w", k.name, err)
	}
	return nil
}

func (k *Kind[T]) removeNoted(ctx context.Context, organization string, noted []store.Doc[removed]) (int, error) {
	var done []store.Put[removed]
	times := map[string]map[string][]time.Time{} // by vendor and connection
	for _, note := range noted {
		of := note.Value
		now, err := k.documents.In(organization).Get(ctx, note.ID)
		switch {
		case err == nil && !of.CreatedAt.Equal(now.CreatedAt):
			err = store.ErrConflict
		case err == nil:
			err = k.documents.In(organization).Delete(ctx, note.ID, of.Version)
		}
		switch {
		case errors.Is(err, store.ErrConflict): // the vendor has it again
			if err := k.removed.In(organization).Delete(ctx, note.ID, note.Version); err != nil && !errors.Is(err, store.ErrNotFound) {
				return 0, err
			}
			continue
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return 0, err
		}
		if times[of.Vendor] == nil {
			times[of.Vendor] = map[string][]time.Time{}
		}
		times[of.Vendor][of.ConnectionID] = append(times[of.Vendor][of.ConnectionID], of.At.Time)
		of.Pending = false
		done = append(done, store.Put[removed]{ID: note.ID, Value: of})
	}
	for vendor, times := range times {
		messages, err := k.tell(ctx, organization, vendor, times)
		if err == nil {
			err = k.outbox.Add(ctx, messages...)
		}
		if err != nil {
			return 0, fmt.Errorf("tell of what was removed: %w", err)
		}
	}
	if len(done) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	_, err := k.removed.In(organization).PutMany(ctx, done)
	return len(done), err
}

// Sweep looks at a page of a connection's records of a kind, those whose own time is not before from, and removes those that are gone. It
// returns the cursor of the next page, empty after the last, and how many it has removed.
func (s *Service) Sweep(ctx context.Context, organization, connection, kind string, from time.Time, cursor string, gone func(integrationsapi.Head) bool) (next string, n int, err error) {
	k, ok := s.kindOf(kind)
	if !ok {
		return "", 0, fmt.Errorf("there are no records of %s", kind)
	}
	return k.sweep(ctx, organization, connection, from, cursor, gone)
}

func (k *Kind[T]) sweep(ctx context.Context, organization, connection string, from time.Time, cursor string, gone func(integrationsapi.Head) bool) (string, int, error) {
	page, err := k.documents.In(organization).Find(ctx, k.within(connection, Range{From: from}, cursor, integrationsapi.MaxPage))
	if err != nil {
		return "", 0, fmt.Errorf("look for %s that are gone: %w", k.name, err)
	}
	docs := slices.DeleteFunc(page.Items, func(doc store.Doc[T]) bool { return !gone(doc.Value.Head()) })
	n, err := k.remove(ctx, organization, docs)
	return page.Next, n, err
}
