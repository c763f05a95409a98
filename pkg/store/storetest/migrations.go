package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/tandemhq/tandem/pkg/store"
)

// person is a value of version 0, and renamed one of version 2. Marks counts how often the value was migrated, which must be once for
// each version.
type (
	person struct {
		Name  string `json:"name"`
		Marks string `json:"marks"`
	}
	renamed struct {
		First string `json:"first"`
		Last  string `json:"last"`
		Marks string `json:"marks"`
	}
)

// Renaming are migrations in two versions, of which the second one changes what documents are found by.
var Renaming = []store.Migration{
	func(_ string, value json.RawMessage) (json.RawMessage, error) {
		var p map[string]string
		if err := json.Unmarshal(value, &p); err != nil {
			return nil, err
		}
		p["marks"] += "1"
		return json.Marshal(p)
	},
	func(_ string, value json.RawMessage) (json.RawMessage, error) {
		var p person
		if err := json.Unmarshal(value, &p); err != nil {
			return nil, err
		}
		first, last, found := strings.Cut(p.Name, " ")
		if !found {
			return nil, errors.New("want a first and a last name")
		}
		return json.Marshal(renamed{first, last, p.Marks + "2"})
	},
}

// People is the collection at a version.
func People(migrations ...store.Migration) store.Def {
	d := store.Def{Name: "people", Migrations: migrations}
	if len(migrations) < 2 {
		d.Indexes = []store.Index{{Name: "name", Fields: []string{"name"}, Unique: true}}
	} else {
		d.Indexes = []store.Index{{Name: "last", Fields: []string{"last"}}, {Name: "full", Fields: []string{"last", "first"}, Unique: true}}
	}
	return d
}

const organizations = 3

// Populate stores n documents of version 0 in each of three organizations.
func Populate(t *testing.T, db store.DB, n int) {
	t.Helper()
	c, err := store.Tenant[person](t.Context(), db, People())
	must(t, err)
	for org := range organizations {
		puts := make([]store.Put[person], n)
		for i := range puts {
			puts[i] = store.Put[person]{ID: fmt.Sprintf("p%05d", i), Value: person{Name: fmt.Sprintf("Ann%d Lee%05d", i, i)}}
		}
		_, err := c.In(fmt.Sprint("org", org)).PutMany(t.Context(), puts)
		must(t, err)
	}
}

// Migrated opens the collection at version 2 and looks whether each of n documents an organization was migrated once.
func Migrated(t *testing.T, db store.DB, n int) *store.Collection[renamed] {
	t.Helper()
	c, err := store.Tenant[renamed](t.Context(), db, People(Renaming...))
	must(t, err)
	for org := range organizations {
		d, seen := c.In(fmt.Sprint("org", org)), 0
		must(t, d.Each(t.Context(), store.Query{Index: "last"}, func(doc store.Doc[renamed]) error {
			want := renamed{fmt.Sprintf("Ann%d", seen), fmt.Sprintf("Lee%05d", seen), "12"}
			if doc.Value != want || doc.Version != 1 || !doc.CreatedAt.Equal(doc.UpdatedAt) || doc.ID != fmt.Sprintf("p%05d", seen) {
				return fmt.Errorf("%s at version %d of %v is %+v, want %+v", doc.ID, doc.Version, doc.UpdatedAt, doc.Value, want)
			}
			seen++
			return nil
		}))
		equal(t, "documents", seen, n)
	}
	return c
}

// testMigrations takes documents through two versions, at once and one after the other, while older code has them open.
func testMigrations(t *testing.T, place Place) {
	const n = 80 // in all more than are migrated at a time
	db := place(t)
	Populate(t, db, n)
	old, err := store.Tenant[person](t.Context(), db, People())
	must(t, err)
	before := get(t, old.In("org1"), "p00005")

	next := place(t)
	one, err := store.Tenant[person](t.Context(), next, People(Renaming[0]))
	must(t, err)
	equal(t, "of version 1", get(t, one.In("org1"), "p00005").Value.Marks, "1")
	newest := Migrated(t, place(t), n)
	Migrated(t, place(t), n) // again

	// Older code is told, whether it had the collection open or not.
	for what, err := range map[string]error{
		"replace by version 0": second(old.In("org1").Replace(t.Context(), before)),
		"delete by version 0":  old.In("org1").Delete(t.Context(), "p00005", 0),
		"delete of a version":  old.In("org1").Delete(t.Context(), "p00005", before.Version),
		"delete with messages": old.In("org1").Delete(t.Context(), "p00005", 0, store.Message{Topic: "t"}),
		"put by version 0":     second(old.In("org1").PutMany(t.Context(), []store.Put[person]{{ID: "p00005"}})),
		"ping at version 0":    db.Ping(t.Context()),
		"ping at version 1":    next.Ping(t.Context()),
		"update by version 1":  second(one.In("org1").Update(t.Context(), "p00005", func(p *person) ([]store.Message, error) { p.Name = ""; return nil, nil })),
		"opened by version 1":  second(store.Tenant[person](t.Context(), place(t), People(Renaming[0]))),
	} {
		wantError(t, what, err, store.ErrNewer)
	}
	var newer *store.NewerError
	if _, err := store.Tenant[person](t.Context(), place(t), People()); !errors.As(err, &newer) || newer.Collection != "people" || newer.Stored != 2 || newer.Known != 0 {
		t.Errorf("opened by version 0: %v", err)
	}
	// What it can still insert is migrated all the same.
	if _, err := old.In("org1").Insert(t.Context(), "late", person{Name: "Eve Late"}); err == nil {
		equal(t, "inserted by version 0", get(t, newest.In("org1"), "late").Value, renamed{"Eve", "Late", "12"})
		doc, err := newest.In("org1").Update(t.Context(), "late", func(r *renamed) ([]store.Message, error) { r.Marks += "!"; return nil, nil })
		must(t, err)
		equal(t, "updated by version 2", get(t, newest.In("org1"), "late").Value.Marks, "12!")
		must(t, newest.In("org1").Delete(t.Context(), "late", doc.Version))
		insert(t, old.In("org1"), "late", person{Name: "Eve Late"})
		again, err := store.Tenant[renamed](t.Context(), place(t), People(Renaming...))
		must(t, err)
		same(t, "found after the next start", list(t, again.In("org1"), store.Query{Index: "last", Equal: []any{"Late"}}, 10), []string{"late"})
	} else {
		wantError(t, "insert by version 0", err, store.ErrNewer)
	}

	// A new collection has nothing to migrate, and what is written now is of the newest version.
	fresh, err := store.System[renamed](t.Context(), place(t), store.Def{Name: "fresh", Migrations: Renaming})
	must(t, err)
	for _, d := range []*store.Documents[renamed]{fresh, newest.In("org1")} {
		insert(t, d, "new", renamed{First: "Zoe", Last: "Zed"})
		_, err := d.PutMany(t.Context(), []store.Put[renamed]{{ID: "put", Value: renamed{First: "Yan", Last: "Zed"}}})
		must(t, err)
		_, err = d.InsertMany(t.Context(), []store.Put[renamed]{{ID: "many", Value: renamed{First: "Xin", Last: "Zed"}}})
		must(t, err)
	}
	db = place(t)
	again, err := store.Tenant[renamed](t.Context(), db, People(Renaming...))
	must(t, err)
	fresh, err = store.System[renamed](t.Context(), db, store.Def{Name: "fresh", Migrations: Renaming})
	must(t, err)
	for _, d := range []*store.Documents[renamed]{fresh, again.In("org1")} {
		for id, first := range map[string]string{"new": "Zoe", "put": "Yan", "many": "Xin"} {
			equal(t, id, get(t, d, id).Value, renamed{First: first, Last: "Zed"})
		}
	}
}

// testMigrationsAtOnce has several processes start together.
func testMigrationsAtOnce(t *testing.T, place Place) {
	const n = 80
	Populate(t, place(t), n)
	var work sync.WaitGroup
	for range 4 {
		db := place(t)
		work.Go(func() {
			if _, err := store.Tenant[renamed](t.Context(), db, People(Renaming...)); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	Migrated(t, place(t), n)
}

// testMigrationsCutOff ends migrations at random documents, by an error or by their caller, until one gets through. The versions
// before the last are tried for as long.
func testMigrationsCutOff(t *testing.T, place Place) {
	const n = 90
	Populate(t, place(t), n)
	for round := range 12 {
		left := rand.IntN(1 + 2*organizations*n/12*(round+1))
		ctx, cancel := context.WithCancel(t.Context())
		cut := make([]store.Migration, 1+rand.IntN(2))
		for v := range cut {
			cut[v] = func(id string, value json.RawMessage) (json.RawMessage, error) {
				if left--; left < 0 && round%2 == 0 {
					return nil, fmt.Errorf("document %s", id)
				} else if left < 0 {
					cancel()
				}
				return Renaming[v](id, value)
			}
		}
		var err error
		if len(cut) == 1 {
			_, err = store.Tenant[person](ctx, place(t), People(cut...))
		} else {
			_, err = store.Tenant[renamed](ctx, place(t), People(cut...))
		}
		cancel()
		if err != nil && !errors.Is(err, store.ErrNewer) && !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "migrate document p") {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	Migrated(t, place(t), n)
}
