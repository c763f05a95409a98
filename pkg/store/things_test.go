package store_test

import (
	"testing"

	"github.com/tandemhq/tandem/pkg/store"
)

type thing struct {
	N    int64  `json:"n"`
	Name string `json:"name"`
}

var thingsDef = store.Def{Name: "things", Indexes: []store.Index{{Name: "n", Fields: []string{"n"}}}}

func things(t testing.TB, db store.DB) *store.Collection[thing] {
	t.Helper()
	c, err := store.Tenant[thing](t.Context(), db, thingsDef)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
