package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

func testDocuments(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	before := time.Now()
	value := order{Customer: "ann", Placed: store.At(day), Total: 1999, Ship: address{"Paris"}}
	inserted := insert(t, d, "1", value)
	same(t, "read back", get(t, d, "1"), inserted)
	same(t, "value", inserted.Value, value)
	equal(t, "id", inserted.ID, "1")
	equal(t, "organization", inserted.Organization, "acme")
	equal(t, "version", inserted.Version, 1)
	if c := inserted.CreatedAt; c.Before(before.Truncate(time.Microsecond)) || c.After(time.Now()) || c != inserted.UpdatedAt || c.Location() != time.UTC {
		t.Errorf("created at %v, updated at %v", c, inserted.UpdatedAt)
	}
	_, err := d.Insert(t.Context(), "1", order{})
	wantError(t, "insert again", err, store.ErrExists)
	same(t, "after a refused insert", get(t, d, "1"), inserted)

	changed := inserted
	changed.Value.Total = 5
	replaced, err := d.Replace(t.Context(), changed)
	must(t, err)
	equal(t, "version after replace", replaced.Version, 2)
	equal(t, "created after replace", replaced.CreatedAt, inserted.CreatedAt)
	same(t, "read replaced", get(t, d, "1"), replaced)

	updated, err := d.Update(t.Context(), "1", func(o *order) ([]store.Message, error) {
		equal(t, "total seen by update", o.Total, 5)
		o.Total++
		return nil, nil
	})
	must(t, err)
	equal(t, "version after update", updated.Version, 3)
	same(t, "read updated", get(t, d, "1"), updated)

	untouched, err := d.Update(t.Context(), "1", func(*order) ([]store.Message, error) { return nil, nil })
	must(t, err)
	equal(t, "version after an update that changes nothing", untouched.Version, 3)
	stop := errors.New("stop")
	_, err = d.Update(t.Context(), "1", func(o *order) ([]store.Message, error) { o.Total = 0; return nil, stop })
	equal(t, "error of an update's own", err, stop)
	equal(t, "total after a stopped update", get(t, d, "1").Value.Total, 6)

	must(t, d.Delete(t.Context(), "1", 3))
	_, err = d.Get(t.Context(), "1")
	wantError(t, "get deleted", err, store.ErrNotFound)
	wantError(t, "delete deleted", d.Delete(t.Context(), "1", 0), store.ErrNotFound)
	_, err = d.Replace(t.Context(), updated)
	wantError(t, "replace deleted", err, store.ErrNotFound)
	_, err = d.Update(t.Context(), "1", func(*order) ([]store.Message, error) { return nil, nil })
	wantError(t, "update deleted", err, store.ErrNotFound)
	equal(t, "version after a second insert", insert(t, d, "1", value).Version, 1)
}

func testVersions(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	first := insert(t, d, "1", order{Total: 1})
	second, err := d.Replace(t.Context(), first)
	must(t, err)
	_, err = d.Replace(t.Context(), first)
	wantError(t, "replace an old version", err, store.ErrConflict)
	wantError(t, "delete an old version", d.Delete(t.Context(), "1", first.Version), store.ErrConflict)
	equal(t, "version after refused writes", get(t, d, "1").Version, second.Version)

	must(t, d.Delete(t.Context(), "1", 0))
	insert(t, d, "1", order{Total: 2})
	_, err = d.Replace(t.Context(), first)
	wantError(t, "replace version 1 of a deleted document over version 1 of its successor", err, store.ErrConflict)
	first.CreatedAt = time.Time{}
	_, err = d.Replace(t.Context(), first)
	must(t, err)
}

func testNoLostUpdate(t *testing.T, place Place) {
	const writers, updates = 32, 2
	_, d := ordersIn(t, place)
	insert(t, d, "1", order{})
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for range updates {
				_, err := d.Update(t.Context(), "1", func(o *order) ([]store.Message, error) {
					o.Total++
					return nil, nil
				})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wait.Wait()
	doc := get(t, d, "1")
	equal(t, "total", doc.Value.Total, writers*updates)
	equal(t, "version", doc.Version, 1+writers*updates)
}

func testValues(t *testing.T, place Place) {
	db := place(t)
	c, err := store.Tenant[json.RawMessage](t.Context(), db, store.Def{Name: "values"})
	must(t, err)
	d := c.In("acme")
	for i, value := range []string{
		`{}`, `[]`, `null`, `true`, `"text"`, `0`, `-1.5`, `9223372036854775807`, `-9223372036854775808`, `18446744073709551615`,
		`1e+300`, `0.1`, `[[],{},null,[1,"a",false]]`, `{"a.b":1,"$set":{"$x":2},"":3}`, `{"z":1,"a":2}`,
		`{"deep":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`,
		`"é 漢字 🙂 \" \\ / \n \t"`, `"\u003ctag\u003e \u0026 \u2028"`,
	} {
		id := fmt.Sprint(i)
		insert(t, d, id, json.RawMessage(value))
		equal(t, "value", string(get(t, d, id).Value), value)
	}
	_, err = d.Insert(t.Context(), "bad", json.RawMessage(`{`))
	if err == nil {
		t.Error("a value that is no JSON was stored")
	}
	large := order{Customer: strings.Repeat("x", 2<<20)}
	insert(t, openOrders(t, db).In("acme"), "large", large)
	same(t, "2 MiB", len(get(t, openOrders(t, db).In("acme"), "large").Value.Customer), 2<<20)

	type numbers struct {
		U uint64  `json:"u"`
		F float64 `json:"f"`
	}
	n, err := store.System[numbers](t.Context(), db, store.Def{Name: "numbers"})
	must(t, err)
	for i, value := range []numbers{{math.MaxUint64, math.MaxFloat64}, {1 << 63, math.SmallestNonzeroFloat64}, {0, 1e20}, {1, -1e21}, {2, 1.0 / 3}} {
		insert(t, n, fmt.Sprint(i), value)
		equal(t, "numbers", get(t, n, fmt.Sprint(i)).Value, value)
	}
}

func testRefresh(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	refreshed := func(d *store.Documents[order], have store.Doc[order]) store.Doc[order] {
		t.Helper()
		doc, err := d.Refresh(t.Context(), have)
		must(t, err)
		return doc
	}
	inserted := insert(t, d, "1", order{Customer: "ann"})
	same(t, "known by its id only", refreshed(d, store.Doc[order]{ID: "1"}), inserted)
	have := inserted
	have.Value.Customer = "the caller's own"
	same(t, "unchanged", refreshed(d, have), have)

	changed := inserted
	changed.Value.Customer = "bob"
	changed, err := d.Replace(t.Context(), changed)
	must(t, err)
	same(t, "changed", refreshed(d, have), changed)

	must(t, d.Delete(t.Context(), "1", 0))
	_, err = d.Refresh(t.Context(), have)
	wantError(t, "deleted", err, store.ErrNotFound)
	anew := insert(t, d, "1", order{Customer: "cid"})
	same(t, "inserted anew, at the same version", refreshed(d, have), anew)

	other := openOrders(t, db).In("other")
	_, err = other.Refresh(t.Context(), anew)
	wantError(t, "another organization's", err, store.ErrNotFound)
	theirs := insert(t, other, "1", order{Customer: "dot"})
	anew.CreatedAt = theirs.CreatedAt
	same(t, "another organization's of the same id, version and time", refreshed(other, anew), theirs)
}

func testBadIDs(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	for _, id := range []string{"", strings.Repeat("x", 401), "a\x00b", "a\nb", "\xff"} {
		_, err := d.Insert(t.Context(), id, order{})
		wantError(t, fmt.Sprintf("insert %.20q", id), err, store.ErrBadID)
		_, err = d.Get(t.Context(), id)
		wantError(t, fmt.Sprintf("get %.20q", id), err, store.ErrBadID)
		_, err = d.PutMany(t.Context(), []store.Put[order]{{ID: id}})
		wantError(t, fmt.Sprintf("put %.20q", id), err, store.ErrBadID)
		if id != "" {
			_, err = openOrders(t, db).In(id).Get(t.Context(), "1")
			wantError(t, fmt.Sprintf("organization %.20q", id), err, store.ErrBadID)
		}
	}
	_, err := openOrders(t, db).In("a/b").Get(t.Context(), "1")
	wantError(t, "organization with a slash", err, store.ErrBadID)
	for _, id := range []string{strings.Repeat("x", 400), "a/b", `"quoted" 'id' $x.y`, "é"} {
		insert(t, d, id, order{Customer: id})
		equal(t, "document "+id[:1], get(t, d, id).Value.Customer, id)
	}
}

func testCancelled(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	doc := insert(t, d, "1", order{})
	ctx := cancelled(t)
	for _, op := range operations(ctx, d, doc) {
		wantError(t, op.name, op.err(), context.Canceled)
	}
	_, err := db.Outbox().Pending(ctx, 1)
	wantError(t, "pending", err, context.Canceled)
	wantError(t, "done", db.Outbox().Done(ctx, "1"), context.Canceled)
	wantError(t, "ping", db.Ping(ctx), context.Canceled)

	must(t, db.Ping(t.Context()))
	same(t, "documents after cancelled writes", list(t, d, store.Query{}, 10), []string{"1"})
	same(t, "document after cancelled writes", get(t, d, "1"), doc)
	equal(t, "messages of cancelled writes", len(pending(t, db, 10)), 0)
}

type operation struct {
	name string
	err  func() error
}

// operations is every operation once, on doc or on the id "new".
func operations(ctx context.Context, d *store.Documents[order], doc store.Doc[order]) []operation {
	change := func(o *order) ([]store.Message, error) { o.Total++; return nil, nil }
	return []operation{
		{"get", func() error { _, err := d.Get(ctx, doc.ID); return err }},
		{"refresh", func() error { _, err := d.Refresh(ctx, doc); return err }},
		{"insert", func() error { _, err := d.Insert(ctx, "new", order{}, noted("new")); return err }},
		{"replace", func() error { _, err := d.Replace(ctx, doc, noted("new")); return err }},
		{"update", func() error { _, err := d.Update(ctx, doc.ID, change); return err }},
		{"put many", func() error { _, err := d.PutMany(ctx, []store.Put[order]{{ID: "new"}}, noted("new")); return err }},
		{"insert many", func() error { _, err := d.InsertMany(ctx, []store.Put[order]{{ID: "new"}}); return err }},
		{"put none", func() error { _, err := d.PutMany(ctx, nil); return firstError(err, ctx.Err()) }},
		{"delete", func() error { return d.Delete(ctx, doc.ID, 0, noted("new")) }},
		{"find", func() error { _, err := d.Find(ctx, store.Query{}); return err }},
		{"first", func() error { _, err := d.First(ctx, store.Query{}); return err }},
		{"each", func() error { return d.Each(ctx, store.Query{}, func(store.Doc[order]) error { return nil }) }},
		{"delete all", func() error { return d.DeleteAll(ctx, store.Query{}) }},
		{"delete due", func() error { return d.DeleteDue(ctx, store.Query{}) }},
		{"count", func() error { _, err := d.Count(ctx, store.Query{}); return err }},
		{"sum", func() error { _, err := d.Sum(ctx, store.Query{}, nil, []string{"total"}); return err }},
		{"explain", func() error { _, err := d.Explain(ctx, store.Query{}, nil, nil); return err }},
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func testTwoHandles(t *testing.T, place Place) {
	a, b := openOrders(t, place(t)).In("acme"), openOrders(t, place(t)).In("acme")
	doc := insert(t, a, "1", order{Total: 1})
	same(t, "written by one handle, read by the other", get(t, b, "1"), doc)
	_, err := b.Replace(t.Context(), doc)
	must(t, err)
	_, err = a.Replace(t.Context(), doc)
	wantError(t, "version that the other handle replaced", err, store.ErrConflict)

	var wait sync.WaitGroup
	for _, d := range []*store.Documents[order]{a, b} {
		for range 4 {
			wait.Go(func() {
				for range 5 {
					_, err := d.Update(t.Context(), "1", func(o *order) ([]store.Message, error) { o.Total++; return nil, nil })
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wait.Wait()
	equal(t, "total", get(t, a, "1").Value.Total, 1+2*4*5)
}
