package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

func testIndexUse(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	fill(t, d, 30)
	bounds := store.Range{Field: "placed", From: day, To: day.Add(4 * time.Hour)}
	for _, q := range []store.Query{
		{},
		{Index: "placed"},
		{Index: "placed", Range: bounds},
		{Index: "status", Equal: []any{"new"}},
		{Index: "status", Equal: []any{"new"}, Range: bounds},
		{Index: "email", Equal: []any{"3@example.org"}},
		{Index: "total", Equal: []any{3}},
		{Index: "city", Equal: []any{"Oslo", "c1"}},
		{Index: "updated"},
		{Index: "updated", Range: store.Range{Field: store.UpdatedAt, From: day, To: time.Now().Add(time.Hour)}},
		{Index: "paid-updated", Equal: []any{true}, Range: store.Range{Field: store.UpdatedAt, From: day}},
	} {
		for _, descending := range []bool{false, true} {
			q.Descending, q.Limit, q.Cursor = descending, 1, ""
			for page := range 2 {
				explained, err := d.Explain(t.Context(), q, nil, nil)
				must(t, err)
				equal(t, fmt.Sprintf("index of page %d of %+v (%s)", page, q, explained.Detail), explained.Index, q.Index)
				found, err := d.Find(t.Context(), q)
				must(t, err)
				if q.Cursor = found.Next; q.Cursor == "" {
					break
				}
			}
		}
	}
	explained, err := d.Explain(t.Context(), store.Query{Index: "status", Equal: []any{"new"}}, []string{"placed"}, []string{"total"})
	must(t, err)
	equal(t, "index of a sum", explained.Index, "status")
}

func testIndexChange(t *testing.T, place Place) {
	type v1 struct {
		Name string `json:"name"`
		City string `json:"city"`
	}
	def := func(indexes ...store.Index) store.Def { return store.Def{Name: "people", Indexes: indexes} }
	byName := store.Index{Name: "a", Fields: []string{"name"}}
	open := func(db store.DB, def store.Def) (*store.Documents[v1], error) {
		c, err := store.Tenant[v1](t.Context(), db, def)
		if err != nil {
			return nil, err
		}
		return c.In("acme"), nil
	}
	db := place(t)
	d, err := open(db, def(byName))
	must(t, err)
	insert(t, d, "1", v1{"zoe", "Oslo"})
	insert(t, d, "2", v1{"ann", "Paris"})
	insert(t, d, "3", v1{"max", "Oslo"})
	same(t, "by name", list(t, d, store.Query{Index: "a"}, 10), []string{"2", "3", "1"})
	_, err = open(db, def(byName))
	must(t, err)
	if _, err = open(db, def()); err == nil {
		t.Error("one database opened a collection by two definitions")
	}
	must(t, db.Close())

	byCity := store.Index{Name: "a", Fields: []string{"city"}, Include: []string{"name"}} // the same name
	renamed := store.Index{Name: "b", Fields: []string{"name"}}                           // the same fields
	db = place(t)
	d, err = open(db, def(byCity, renamed))
	must(t, err)
	same(t, "by city", list(t, d, store.Query{Index: "a"}, 1), []string{"1", "3", "2"})
	same(t, "by name", list(t, d, store.Query{Index: "b"}, 1), []string{"2", "3", "1"})
	for _, index := range []string{"a", "b"} {
		explained, err := d.Explain(t.Context(), store.Query{Index: index}, nil, nil)
		must(t, err)
		equal(t, "index used after the change", explained.Index, index)
	}

	// An older program that still has the store open keeps answering, without the indexes that a newer one dropped.
	old := d
	dropping := place(t)
	_, err = open(dropping, def())
	must(t, err)
	same(t, "by city, its index dropped", list(t, old, store.Query{Index: "a"}, 1), []string{"1", "3", "2"})
	must(t, dropping.Close())
	must(t, db.Close())

	db = place(t)
	_, err = open(db, def(store.Index{Name: "a", Fields: []string{"city"}, Unique: true}))
	wantError(t, "unique index over documents with equal values", err, store.ErrDuplicate)
	d, err = open(db, def(store.Index{Name: "a", Fields: []string{"name"}, Unique: true}))
	must(t, err)
	_, err = d.Insert(t.Context(), "4", v1{Name: "ann"})
	wantError(t, "insert under an index that became unique", err, store.ErrDuplicate)
	must(t, db.Close())

	d, err = open(place(t), def())
	must(t, err)
	insert(t, d, "4", v1{Name: "ann"}) // no longer unique
}

func testBadDefinitions(t *testing.T, place Place) {
	db := place(t)
	type value struct {
		Name   string    `json:"name"`
		Moment time.Time `json:"moment"`
		List   []string  `json:"list"`
		Inner  address   `json:"inner"`
		Hidden string    `json:"-"`
	}
	fields := func(fields ...string) store.Def {
		return store.Def{Name: "values", Indexes: []store.Index{{Name: "index", Fields: fields}}}
	}
	for name, def := range map[string]store.Def{
		"no name":                 {},
		"name with a quote":       {Name: `a"b`},
		"index without a name":    {Name: "values", Indexes: []store.Index{{Fields: []string{"name"}}}},
		"index without fields":    fields(),
		"index declared twice":    {Name: "values", Indexes: []store.Index{{Name: "a", Fields: []string{"name"}}, {Name: "a", Fields: []string{"inner.city"}}}},
		"two indexes of one kind": {Name: "values", Indexes: []store.Index{{Name: "a", Fields: []string{"name"}}, {Name: "b", Fields: []string{"name"}}}},
		"misspelled field":        fields("names"),
		"Go name of a field":      fields("Name"),
		"misspelled inner field":  fields("inner.town"),
		"field of a text":         fields("name.first"),
		"hidden field":            fields("Hidden"),
		"time that does not sort": fields("moment"),
		"list":                    fields("list"),
		"object":                  fields("inner"),
		"SQL as a field":          fields(`name"') --`),
		"unique last write":       {Name: "values", Indexes: []store.Index{{Name: "a", Fields: []string{store.UpdatedAt}, Unique: true}}},
		"last write included":     {Name: "values", Indexes: []store.Index{{Name: "a", Fields: []string{"name"}, Include: []string{store.UpdatedAt}}}},
		"owner of a tenant":       {Name: "values", Indexes: []store.Index{{Name: "a", Fields: []string{"name"}}}, Owner: "a"},
	} {
		if _, err := store.Tenant[value](t.Context(), db, def); err == nil {
			t.Errorf("definition with %s was accepted", name)
		}
	}
	_, err := store.Tenant[value](t.Context(), db, fields("name", "inner.city"))
	must(t, err)
	if _, err := store.System[value](t.Context(), db, fields("name", "inner.city")); err == nil {
		t.Error("a tenant collection was opened as a system collection")
	}
}
