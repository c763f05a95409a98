package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tandemhq/tandem/pkg/store"
)

func testOrganizations(t *testing.T, place Place) {
	db := place(t)
	c := openOrders(t, db)
	acme, other := c.In("acme"), c.In("other")
	doc := insert(t, acme, "1", order{Email: text("a@b"), Total: 7})
	insert(t, acme, "2", order{Total: 7})
	insert(t, other, "1", order{Email: text("a@b"), Total: 1})
	equal(t, "the other organization's document of the same id and unique key", get(t, other, "1").Value.Total, 1)

	_, err := other.Get(t.Context(), "2")
	wantError(t, "get another organization's document", err, store.ErrNotFound)
	wantError(t, "delete another organization's document", other.Delete(t.Context(), "2", 0), store.ErrNotFound)
	_, err = other.Replace(t.Context(), doc)
	wantError(t, "replace another organization's document", err, store.ErrBadID)
	_, err = other.Update(t.Context(), "2", func(*order) ([]store.Message, error) { return nil, nil })
	wantError(t, "update another organization's document", err, store.ErrNotFound)

	for _, index := range []string{"", "total", "email", "placed"} {
		same(t, "ids by "+index, list(t, other, store.Query{Index: index}, 10), []string{"1"})
		n, err := other.Count(t.Context(), store.Query{Index: index})
		must(t, err)
		equal(t, "count by "+index, n, 1)
		groups, err := other.Sum(t.Context(), store.Query{Index: index}, nil, []string{"total"})
		must(t, err)
		same(t, "sum by "+index, groups, []store.Group{{Key: []any{}, Count: 1, Sums: []int64{1}}})
	}
	page, err := acme.Find(t.Context(), store.Query{Limit: 1})
	must(t, err)
	_, err = other.Find(t.Context(), store.Query{Limit: 1, Cursor: page.Next})
	wantError(t, "another organization's cursor", err, store.ErrBadCursor)

	system, err := store.System[order](t.Context(), db, store.Def{Name: "logins"})
	must(t, err)
	insert(t, system, "1", order{Total: 3})
	insert(t, system, "acme/1", order{Total: 4})
	equal(t, "system document", get(t, system, "1").Organization, "")
	same(t, "system documents", list(t, system, store.Query{}, 10), []string{"1", "acme/1"})
}

func testWithoutOrganization(t *testing.T, place Place) {
	db, acme := ordersIn(t, place)
	doc := insert(t, acme, "1", order{})
	for _, op := range operations(t.Context(), openOrders(t, db).In(""), doc) {
		wantError(t, op.name, op.err(), store.ErrNoOrganization)
	}
	same(t, "documents afterwards", list(t, acme, store.Query{}, 10), []string{"1"})
	equal(t, "messages afterwards", len(pending(t, db, 10)), 0)
}

func testUniqueKeys(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	refused := func(what string, err error) {
		t.Helper()
		wantError(t, what, err, store.ErrDuplicate)
		var duplicate *store.DuplicateError
		if !errors.As(err, &duplicate) || duplicate.Index != "email" || duplicate.Collection != "orders" {
			t.Errorf("%s: error %v does not name the index", what, err)
		}
	}
	insert(t, d, "1", order{Email: text("a@b")})
	second := insert(t, d, "2", order{Email: text("c@d")})
	insert(t, d, "none", order{})
	insert(t, d, "none either", order{})

	_, err := d.Insert(t.Context(), "3", order{Email: text("a@b")})
	refused("insert", err)
	changed := second
	changed.Value.Email = text("a@b")
	_, err = d.Replace(t.Context(), changed)
	refused("replace", err)
	_, err = d.Update(t.Context(), "2", func(o *order) ([]store.Message, error) { o.Email = text("a@b"); return nil, nil })
	refused("update", err)
	_, err = d.PutMany(t.Context(), []store.Put[order]{{ID: "2", Value: order{Email: text("a@b")}}})
	refused("put many over a document", err)
	_, err = d.PutMany(t.Context(), []store.Put[order]{{ID: "3", Value: order{Email: text("a@b")}}}, noted("never"))
	refused("put many", err)
	same(t, "after refused writes", get(t, d, "2"), second)
	same(t, "documents", list(t, d, store.Query{}, 10), []string{"1", "2", "none", "none either"})

	must(t, d.Delete(t.Context(), "1", 0, noted("deleted")))
	_, err = d.Replace(t.Context(), changed) // freed by the delete
	must(t, err)
	insert(t, d, "1", order{Email: text("c@d")}) // freed by the replace
	_, err = d.First(t.Context(), store.Query{Index: "email", Equal: []any{"c@d"}})
	must(t, err)
}

func testUniqueRace(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	var wait sync.WaitGroup
	var won atomic.Int64
	for i := range 16 {
		wait.Go(func() {
			_, err := d.Insert(t.Context(), fmt.Sprint(i), order{Email: text("a@b")})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, store.ErrDuplicate) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	equal(t, "writers that got the unique key", won.Load(), 1)
}

func testPutMany(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	put := func(puts []store.Put[order], messages ...store.Message) int {
		t.Helper()
		n, err := d.PutMany(t.Context(), puts, messages...)
		must(t, err)
		return n
	}
	var puts []store.Put[order]
	for i := range 250 {
		puts = append(puts, store.Put[order]{ID: fmt.Sprintf("%03d", i), Value: order{Total: int64(i)}})
	}
	equal(t, "first put", put(puts, noted("first")), 250)
	n, err := d.Count(t.Context(), store.Query{})
	must(t, err)
	equal(t, "documents", n, 250)
	before := get(t, d, "007")
	equal(t, "version", before.Version, 1)

	equal(t, "identical put", put(puts, noted("nothing changed")), 0)
	same(t, "document after an identical put", get(t, d, "007"), before)

	puts[7].Value.Total = 1000
	puts = append(puts, store.Put[order]{ID: "new"}, store.Put[order]{ID: "new", Value: order{Total: 2}})
	equal(t, "one changed, one new", put(puts, noted("second"), noted("third")), 2)
	after := get(t, d, "007")
	equal(t, "version of the changed", after.Version, 2)
	equal(t, "creation of the changed", after.CreatedAt, before.CreatedAt)
	equal(t, "version of an unchanged", get(t, d, "008").Version, 1)
	equal(t, "the last of two puts with one id", get(t, d, "new").Value.Total, 2)
	same(t, "messages", pending(t, db, 10), []string{"first", "second", "third"})

	equal(t, "nothing put", put(nil, noted("nothing")), 0)
	must(t, d.Delete(t.Context(), "007", 0, noted("deleted")))
	equal(t, "put over a deleted document", put(puts[7:8]), 1)
	equal(t, "total of the document put anew", get(t, d, "007").Value.Total, 1000)
	same(t, "messages", pending(t, db, 10), []string{"first", "second", "third", "deleted"})
	done(t, db, "first", "second", "third", "deleted")
	equal(t, "total after its messages are done", get(t, d, "007").Value.Total, 1000)
}

// testPutManyRace has pages of the same documents put at once, as a sync does whose run is taken over while it still writes.
func testPutManyRace(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	var wait sync.WaitGroup
	var changed atomic.Int64
	for w := range 4 {
		wait.Go(func() {
			var puts []store.Put[order]
			for i := range 50 {
				puts = append(puts, store.Put[order]{ID: fmt.Sprint(i), Value: order{Total: int64(i)}})
			}
			n, err := d.PutMany(t.Context(), puts, noted(fmt.Sprint("page of ", w)))
			if err != nil {
				t.Error(err)
			}
			changed.Add(int64(n))
		})
	}
	wait.Wait()
	n, err := d.Count(t.Context(), store.Query{})
	must(t, err)
	equal(t, "documents", n, 50)
	if changed.Load() < 50 {
		t.Errorf("%d changed of 50 new documents", changed.Load())
	}
	if len(pending(t, db, 10)) == 0 {
		t.Error("no page's message was stored")
	}
}

// testInsertMany has documents inserted of which some are there.
func testInsertMany(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	before := insert(t, d, "1", order{Total: 1})
	insert(t, d, "gone", order{})
	must(t, d.Delete(t.Context(), "gone", 0, noted("deleted")))
	puts := []store.Put[order]{{ID: "2", Value: order{Total: 2}}, {ID: "1", Value: order{Total: 9}}, {ID: "2", Value: order{Total: 9}}, {ID: "gone", Value: order{Total: 3}}}
	there, err := d.InsertMany(t.Context(), puts)
	must(t, err)
	same(t, "there already", there, []string{"1"})
	same(t, "what was there", get(t, d, "1"), before)
	equal(t, "the first of two with one id", get(t, d, "2").Value.Total, 2)
	equal(t, "version of the new", get(t, d, "2").Version, 1)
	equal(t, "inserted over a deleted document", get(t, d, "gone").Value.Total, 3)
	done(t, db, "deleted")
	equal(t, "and still there without its messages", get(t, d, "gone").Value.Total, 3)
	there, err = d.InsertMany(t.Context(), puts)
	must(t, err)
	same(t, "all there", there, []string{"2", "1", "gone"})
	there, err = d.InsertMany(t.Context(), nil)
	must(t, err)
	equal(t, "none", len(there), 0)

	insert(t, d, "unique", order{Email: text("a@b")})
	_, err = d.InsertMany(t.Context(), []store.Put[order]{{ID: "3", Value: order{Email: text("a@b")}}})
	wantError(t, "with a value that is another's", err, store.ErrDuplicate)
}
