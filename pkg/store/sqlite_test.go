package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		path := filepath.Join(t.TempDir(), "group", "documents.db")
		return func(t *testing.T) store.DB { return openSQLite(t, store.SQLite{Path: path}) }
	})
	t.Run("KilledMigrations", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "documents.db")
		testKilledMigrations(t, path, func() store.DB { return openSQLite(t, store.SQLite{Path: path}) }, 1000)
	})
}

func TestRoomOfSQLite(t *testing.T) {
	const limit = 1 << 24
	path := filepath.Join(t.TempDir(), "documents.db")
	db := openSQLite(t, store.SQLite{Path: path})
	before, free, err := db.Room()
	if err != nil || before == 0 || free < before {
		t.Fatalf("%d bytes used, %d free, error %v", before, free, err)
	}
	for i := range 100 {
		if _, err := things(t, db).In("acme").Insert(t.Context(), fmt.Sprint(i), thing{N: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	used, _, err := db.Room()
	if err != nil || used <= before {
		t.Errorf("%d bytes used, %d after 100 documents, error %v", before, used, err)
	}
	if used, free, err := openSQLite(t, store.SQLite{Path: path, MaxBytes: limit}).Room(); err != nil || used+free != limit {
		t.Errorf("of a limit of %d bytes %d are used and %d free, error %v", limit, used, free, err)
	}
}

// endsMidway ends when its Err was asked for some times.
type endsMidway struct {
	context.Context
	asked *atomic.Int64
	end   context.CancelFunc
}

func (c endsMidway) Err() error {
	if c.asked.Add(-1) == 0 {
		c.end()
	}
	return c.Context.Err()
}

func TestPutManyStopsWhenItsContextEnds(t *testing.T) {
	documents := things(t, openSQLite(t, store.SQLite{Path: filepath.Join(t.TempDir(), "documents.db")})).In("acme")
	puts := make([]store.Put[thing], 250)
	for i := range puts {
		puts[i] = store.Put[thing]{ID: fmt.Sprint(i), Value: thing{N: int64(i)}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked atomic.Int64
	asked.Store(100)
	if _, err := documents.PutMany(endsMidway{ctx, &asked, cancel}, puts); !errors.Is(err, context.Canceled) {
		t.Errorf("put many: got error %v, want %v", err, context.Canceled)
	}
	if n, err := documents.Count(t.Context(), store.Query{}); err != nil || n != 0 {
		t.Errorf("%d documents are there, error %v; want none", n, err)
	}
}

func openSQLite(t testing.TB, o store.SQLite) store.DB {
	t.Helper()
	db, err := o.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
