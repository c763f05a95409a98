package storetest

import (
	"fmt"
	"testing"

	"github.com/tandemhq/tandem/pkg/store"
)

// testEraseOrganization has everything of one organization go, and nothing else.
func testEraseOrganization(t *testing.T, place Place) {
	const many = 501 // more than go at a time
	db := place(t)
	c := openOrders(t, db)
	var puts []store.Put[order]
	for i := range many {
		puts = append(puts, store.Put[order]{ID: fmt.Sprint(i), Value: order{Email: text(fmt.Sprint(i))}})
	}
	_, err := c.In("acme").PutMany(t.Context(), puts)
	must(t, err)
	invoices := store.Def{Name: "invoices"}
	closed, err := store.Tenant[order](t.Context(), db, invoices)
	must(t, err)
	insert(t, closed.In("acme"), "1", order{})
	insert(t, closed.In("acme"), "2", order{}, noted("waiting"))
	insert(t, closed.In("acme 2"), "1", order{})
	insert(t, c.In("other"), "1", order{Email: text("1")})
	system, err := store.System[order](t.Context(), db, store.Def{Name: "logins"})
	must(t, err)
	insert(t, system, "acme", order{})
	insert(t, system, "acme/1", order{Customer: "acme"})
	owned := store.Def{Name: "owned", Indexes: []store.Index{{Name: "customer", Fields: []string{"customer", "placed"}}}, Owner: "customer"}
	keys, err := store.System[order](t.Context(), db, owned)
	must(t, err)
	for i := range many {
		insert(t, keys, fmt.Sprint(i), order{Customer: "acme"})
	}
	insert(t, keys, "announced", order{Customer: "acme"}, noted("key"))
	insert(t, keys, "acme", order{Customer: "acme 2"})
	insert(t, keys, "nobody's", order{})
	must(t, db.Close())

	db = place(t) // in which the invoices are not open
	c = openOrders(t, db)
	keys, err = store.System[order](t.Context(), db, owned)
	must(t, err)
	for _, bad := range []struct {
		organization string
		err          error
	}{{"", store.ErrNoOrganization}, {"acme/1", store.ErrBadID}, {"a\x00", store.ErrBadID}} {
		n, err := db.EraseOrganization(t.Context(), bad.organization)
		wantError(t, fmt.Sprintf("erase %q", bad.organization), err, bad.err)
		equal(t, fmt.Sprintf("documents erased of %q", bad.organization), n, 0)
	}
	if _, err := db.EraseOrganization(cancelled(t), "acme"); err == nil {
		t.Error("erased for a caller who has left")
	}
	n, err := db.EraseOrganization(t.Context(), "nobody")
	must(t, err)
	equal(t, "documents erased of nobody", n, 0)
	n, err = db.EraseOrganization(t.Context(), "acme")
	must(t, err)
	equal(t, "documents erased", n, many+2+many+1)
	n, err = db.EraseOrganization(t.Context(), "acme")
	must(t, err)
	equal(t, "documents erased the second time", n, 0)

	closed, err = store.Tenant[order](t.Context(), db, invoices)
	must(t, err)
	system, err = store.System[order](t.Context(), db, store.Def{Name: "logins"})
	must(t, err)
	same(t, "orders", list(t, c.In("acme"), store.Query{Index: "email"}, 10), []string{})
	same(t, "invoices", list(t, closed.In("acme"), store.Query{}, 10), []string{})
	same(t, "the other organization's orders", list(t, c.In("other"), store.Query{Index: "email"}, 10), []string{"1"})
	same(t, "another organization's invoices", list(t, closed.In("acme 2"), store.Query{}, 10), []string{"1"})
	same(t, "system documents", list(t, system, store.Query{}, 10), []string{"acme", "acme/1"})
	same(t, "owned documents", list(t, keys, store.Query{}, 10), []string{"acme", "nobody's"})
	same(t, "messages that waited", pending(t, db, 10), []string{"waiting", "key"})
	insert(t, closed.In("acme"), "2", order{}, noted("again"))
	n, err = db.EraseOrganization(t.Context(), "acme")
	must(t, err)
	equal(t, "documents erased of what came after", n, 1)
	same(t, "messages after all", pending(t, db, 10), []string{"waiting", "key", "again"})
	done(t, db, "waiting", "key", "again")
	same(t, "invoices, their messages done", list(t, closed.In("acme"), store.Query{}, 10), []string{})
}

// testOutboxAdd has messages without a document.
func testOutboxAdd(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	outbox := db.Outbox()
	must(t, outbox.Add(t.Context()))
	if woken(db) {
		t.Error("nothing was added and it signalled")
	}
	must(t, outbox.Add(t.Context(), noted("a"), noted("b")))
	if !woken(db) || woken(db) {
		t.Error("what is added must signal once")
	}
	insert(t, d, "1", order{}, noted("c"))
	must(t, outbox.Add(t.Context(), noted("d")))
	if err := outbox.Add(t.Context(), noted("x"), store.Message{ID: "no topic"}); err == nil {
		t.Error("a message without a topic was added")
	}
	if err := outbox.Add(cancelled(t), noted("x")); err == nil {
		t.Error("added for a caller who has left")
	}
	same(t, "in order with those of writes", pending(t, db, 10), []string{"a", "b", "c", "d"})
	done(t, db, "a")
	must(t, db.Close())

	db, _ = ordersIn(t, place)
	same(t, "after opening again", pending(t, db, 10), []string{"b", "c", "d"})
	done(t, db, "b", "c", "d")
	same(t, "after all are done", pending(t, db, 10), []string{})
	must(t, db.Outbox().Add(t.Context(), store.Message{Topic: "t"}))
	made, err := db.Outbox().Pending(t.Context(), 10)
	must(t, err)
	if len(made) != 1 || made[0].ID == "" {
		t.Errorf("a message without an id became %+v", made)
	}
}
