package store

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestOperationsAreTold(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	db = Observed(db, time.Now, func(collection, operation, result string, took time.Duration) {
		if took < 0 {
			t.Errorf("%s took %s", operation, took)
		}
		told = append(told, collection+" "+operation+" "+result)
	})
	t.Cleanup(func() { _ = db.Close() })
	d, err := System[struct{}](t.Context(), db, Def{Name: "things"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	for range 2 {
		_, _ = d.Insert(t.Context(), "a", struct{}{})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = d.Get(gone, "a")
	want := []string{"things get not_found", "things insert ok", "things insert exists", "things get cancelled"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
