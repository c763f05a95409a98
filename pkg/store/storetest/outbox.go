package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/tandemhq/tandem/pkg/store"
)

func woken(db store.DB) bool {
	select {
	case <-db.Outbox().Wake():
		return true
	default:
		return false
	}
}

func testOutbox(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	equal(t, "messages of an empty store", len(pending(t, db, 10)), 0)
	doc := insert(t, d, "1", order{}, noted("a"), noted("b"))
	if !woken(db) || woken(db) {
		t.Error("a write with messages must signal once")
	}
	insert(t, d, "2", order{})
	if woken(db) {
		t.Error("a write without messages signalled")
	}
	doc, err := d.Replace(t.Context(), doc, noted("c"))
	must(t, err)
	_, err = d.PutMany(t.Context(), []store.Put[order]{{ID: "3"}, {ID: "4"}}, noted("d"))
	must(t, err)
	_, err = d.Update(t.Context(), "2", func(*order) ([]store.Message, error) { return []store.Message{noted("e")}, nil })
	must(t, err)
	must(t, d.Delete(t.Context(), "2", 0, noted("f")))
	insert(t, d, "5", order{}, noted("g"))
	other, err := store.System[order](t.Context(), db, store.Def{Name: "other"})
	must(t, err)
	insert(t, other, "1", order{}, noted("h"))

	all := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	same(t, "in write order", pending(t, db, 100), all)
	same(t, "the oldest", pending(t, db, 3), all[:3])
	same(t, "still there until done", pending(t, db, 100), all)
	done(t, db)
	done(t, db, "a", "d", "unknown")
	done(t, db, "a")
	same(t, "after some are done", pending(t, db, 100), []string{"b", "c", "e", "f", "g", "h"})
	must(t, db.Close())

	db, d = ordersIn(t, place)
	_, err = store.System[order](t.Context(), db, store.Def{Name: "other"})
	must(t, err)
	same(t, "after opening again", pending(t, db, 100), []string{"b", "c", "e", "f", "g", "h"})
	done(t, db, all...)
	equal(t, "messages after all are done", len(pending(t, db, 100)), 0)
	same(t, "documents, their messages done", list(t, d, store.Query{}, 10), []string{"1", "3", "4", "5"})
	same(t, "document, its messages done", get(t, d, "1"), doc)

	insert(t, d, "6", order{}, store.Message{Topic: "t"}, store.Message{Topic: "t"})
	made, err := db.Outbox().Pending(t.Context(), 10)
	must(t, err)
	if len(made) != 2 || made[0].ID == "" || made[0].ID == made[1].ID {
		t.Errorf("messages without an id became %+v", made)
	}
	_, err = d.Insert(t.Context(), "7", order{}, store.Message{ID: "no topic"})
	if err == nil {
		t.Error("a message without a topic was stored")
	}
}

func testOutboxAtomic(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	doc := insert(t, d, "1", order{Email: text("a@b")})
	newer, err := d.Replace(t.Context(), doc)
	must(t, err)
	insert(t, d, "2", order{Email: text("c@d")})
	for name, refused := range map[string]error{
		"insert of an id that exists": second(d.Insert(t.Context(), "1", order{}, noted("x"))),
		"insert of a unique key":      second(d.Insert(t.Context(), "3", order{Email: text("a@b")}, noted("x"))),
		"replace of an old version":   second(d.Replace(t.Context(), doc, noted("x"))),
		"replace of nothing":          second(d.Replace(t.Context(), store.Doc[order]{ID: "9", Version: 1}, noted("x"))),
		"delete of an old version":    d.Delete(t.Context(), "1", 1, noted("x")),
		"delete of nothing":           d.Delete(t.Context(), "9", 0, noted("x")),
		"put of a unique key":         second(d.PutMany(t.Context(), []store.Put[order]{{ID: "4"}, {ID: "5", Value: order{Email: text("a@b")}}, {ID: "6"}}, noted("x"))),
	} {
		if refused == nil {
			t.Errorf("%s was stored", name)
		}
	}
	equal(t, "messages of refused writes", len(pending(t, db, 10)), 0)
	if woken(db) {
		t.Error("a refused write signalled")
	}
	same(t, "document after refused writes", get(t, d, "1"), newer)

	// Every stored message belongs to an update that was stored, however many attempts it took.
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			_, err := d.Update(t.Context(), "1", func(o *order) ([]store.Message, error) {
				o.Total++
				return []store.Message{noted(fmt.Sprint("total ", o.Total))}, nil
			})
			if err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
		})
	}
	wait.Wait()
	same(t, "messages of updates at once", pending(t, db, 100), []string{"total 1", "total 2", "total 3", "total 4", "total 5", "total 6", "total 7", "total 8"})
}

func second[T any](_ T, err error) error { return err }

// testOutboxOfDeleted has messages outlive their document without keeping anything of it visible.
func testOutboxOfDeleted(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	insert(t, d, "quiet", order{Email: text("a@b"), Total: 1, Status: text("new")}, noted("inserted"))
	must(t, d.Delete(t.Context(), "quiet", 0))
	insert(t, d, "loud", order{Email: text("a@b"), Total: 2, Status: text("new")})
	must(t, d.Delete(t.Context(), "loud", 1, noted("deleted")))

	invisible := func() {
		t.Helper()
		for _, id := range []string{"quiet", "loud"} {
			_, err := d.Get(t.Context(), id)
			wantError(t, "get "+id, err, store.ErrNotFound)
			wantError(t, "delete "+id, d.Delete(t.Context(), id, 0), store.ErrNotFound)
			_, err = d.Replace(t.Context(), store.Doc[order]{ID: id, Version: 1})
			wantError(t, "replace "+id, err, store.ErrNotFound)
		}
		for index := range keyed {
			same(t, "by "+index, list(t, d, store.Query{Index: index}, 10), []string{})
			n, err := d.Count(t.Context(), store.Query{Index: index})
			must(t, err)
			equal(t, "count by "+index, n, 0)
		}
		groups, err := d.Sum(t.Context(), store.Query{}, []string{"status"}, []string{"total"})
		must(t, err)
		equal(t, "groups", len(groups), 0)
	}
	invisible()
	same(t, "messages", pending(t, db, 10), []string{"inserted", "deleted"})

	again := insert(t, d, "loud", order{Email: text("a@b"), Total: 3}, noted("inserted again"))
	equal(t, "version of a successor", again.Version, 1)
	same(t, "successor", get(t, d, "loud"), again)
	same(t, "messages with the successor's", pending(t, db, 10), []string{"inserted", "deleted", "inserted again"})
	must(t, d.Delete(t.Context(), "loud", 0))
	invisible()
	same(t, "messages after all", pending(t, db, 10), []string{"inserted", "deleted", "inserted again"})
	done(t, db, "inserted", "deleted", "inserted again")
	invisible()
	equal(t, "messages after done", len(pending(t, db, 10)), 0)
	insert(t, d, "quiet", order{Email: text("a@b")})
	equal(t, "messages after a new insert", len(pending(t, db, 10)), 0)
}

// testOutboxPartlyDone publishes in batches that cut through the messages of one write.
func testOutboxPartlyDone(t *testing.T, place Place) {
	db, d := ordersIn(t, place)
	var want []string
	for i := range 9 {
		var messages []store.Message
		for k := range 3 {
			messages = append(messages, noted(fmt.Sprintf("%d-%d", i, k)))
			want = append(want, fmt.Sprintf("%d-%d", i, k))
		}
		if i%3 == 0 {
			insert(t, d, fmt.Sprint(i), order{}, messages...)
			continue
		}
		_, err := d.Update(t.Context(), fmt.Sprint(i-i%3), func(o *order) ([]store.Message, error) { o.Total++; return messages, nil })
		must(t, err)
	}
	for len(want) > 0 {
		n := min(4, len(want))
		batch := pending(t, db, 4)
		same(t, "batch", batch, want[:n])
		done(t, db, batch...)
		want = want[n:]
	}
	equal(t, "messages left", len(pending(t, db, 4)), 0)
}
