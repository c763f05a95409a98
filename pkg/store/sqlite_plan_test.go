package store

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestDurablePragmas checks what a killed process cannot show: that a commit waits for the disk.
func TestDurablePragmas(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "documents.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "fullfsync": "1"} {
		var got string
		if err := db.(*sqliteDB).writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", pragma, got, err, want)
		}
	}
}

// TestSQLitePlans checks more than the suite can for all servers: no query sorts what the index has in order, each is a search
// by all its conditions, and a sum over included fields reads no document.
func TestSQLitePlans(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "documents.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	def := Def{Name: "c", Indexes: []Index{{Name: "name", Fields: []string{"name", "at"}, Unique: true, Include: []string{"n"}}, {Name: "at", Fields: []string{"at"}}}}
	c, err := Tenant[cursorValue](t.Context(), db, def)
	if err != nil {
		t.Fatal(err)
	}
	d := c.In("acme")
	var puts []Put[cursorValue]
	for _, id := range []string{"1", "2", "3", "4"} {
		puts = append(puts, Put[cursorValue]{ID: id, Value: cursorValue{Name: "a" + id}})
	}
	if _, err := d.PutMany(t.Context(), puts); err != nil {
		t.Fatal(err)
	}
	for _, q := range []Query{
		{}, {Index: "name"}, {Index: "at"}, {Index: "name", Equal: []any{"a1"}}, {Index: "name", Equal: []any{nil}},
		{Index: "name", Range: Range{Field: "name", From: "a"}}, {Index: "name", Equal: []any{"a1"}, Range: Range{Field: "at", To: Time{}}},
	} {
		for _, descending := range []bool{false, true} {
			q.Descending, q.Limit, q.Cursor = descending, 1, ""
			page, err := d.Find(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, q.Cursor = range []string{"", page.Next} {
				plan, err := d.Explain(t.Context(), q, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if plan.Sorts || plan.Index != q.Index || strings.Contains(plan.Detail, "SCAN") {
					t.Errorf("%+v is answered by %+v", q, plan)
				}
			}
		}
	}
	for _, by := range [][]string{nil, {"name"}, {"name", "at"}} {
		plan, err := d.Explain(t.Context(), Query{Index: "name"}, by, []string{"n"})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Sorts || plan.Index != "name" || plan.Covers != (by == nil) { // with groups it reads one document a group
			t.Errorf("sum by %v is answered by %+v", by, plan)
		}
	}
	plan, err := d.Explain(t.Context(), Query{Index: "at"}, nil, []string{"n"})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Covers {
		t.Errorf("a sum over a field that the index lacks reads no document: %+v", plan)
	}
}
