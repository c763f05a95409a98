package store

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
)

type thing struct {
	Kind string `json:"kind"`
}

// outrun answers a selection with what was there before another writer changed it and a third one deleted it.
type outrun struct {
	collection
	changed, deleted string
}

func (o outrun) find(ctx context.Context, org string, p plan) ([]record, error) {
	found, err := o.collection.find(ctx, org, p)
	if err != nil {
		return nil, err
	}
	for i := range found {
		switch found[i].id {
		case o.changed:
			next := found[i]
			next.version++
			err = o.replace(ctx, org, next, nil)
		case o.deleted:
			err = o.delete(ctx, org, o.deleted, 0, o.clock(), nil)
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func TestDeletingWhatIsSelected(t *testing.T) {
	for name, c := range map[string]struct {
		delete func(*Documents[thing], context.Context, Query) error
		left   []string
	}{
		"all":     {(*Documents[thing]).DeleteAll, []string{"other"}},
		"the due": {(*Documents[thing]).DeleteDue, []string{"changed", "other"}},
	} {
		db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "things.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() }) // nothing of it is used again
		d, err := System[thing](t.Context(), db, Def{Name: "things", Indexes: []Index{{Name: "kind", Fields: []string{"kind"}}}})
		if err != nil {
			t.Fatal(err)
		}
		for id, kind := range map[string]string{"changed": "old", "deleted": "old", "old": "old", "other": "new"} {
			if _, err := d.Insert(t.Context(), id, thing{kind}); err != nil {
				t.Fatal(err)
			}
		}
		raced := *d
		raced.collection = outrun{d.collection, "changed", "deleted"}
		if err := c.delete(&raced, t.Context(), Query{Index: "kind", Equal: []any{"old"}}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		page, err := d.Find(t.Context(), Query{})
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, doc := range page.Items {
			left = append(left, doc.ID)
		}
		if !slices.Equal(left, c.left) {
			t.Errorf("deleting %s leaves %v, want %v", name, left, c.left)
		}
	}
}
