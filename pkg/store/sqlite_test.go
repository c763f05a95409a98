package store_test

import (
	"path/filepath"
	"testing"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		path := filepath.Join(t.TempDir(), "group", "documents.db")
		return func(t *testing.T) store.DB { return openSQLite(t, store.SQLite{Path: path}) }
	})
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
