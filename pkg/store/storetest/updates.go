package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

// testByUpdate reads documents by their last write: who reads on from a time gets what was written since then, and once.
func testByUpdate(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	put := func(paid bool, ids ...string) time.Time {
		t.Helper()
		var puts []store.Put[order]
		for _, id := range ids {
			puts = append(puts, store.Put[order]{ID: id, Value: order{Paid: paid, Total: time.Now().UnixNano()}})
		}
		_, err := d.PutMany(t.Context(), puts)
		must(t, err)
		at := get(t, d, ids[0]).UpdatedAt
		for !time.Now().After(at.Add(time.Millisecond)) { // the next write has another time
			time.Sleep(100 * time.Microsecond)
		}
		return at
	}
	put(true, "c", "a", "b") // of one time, so by id
	second := put(false, "e", "d")
	third := put(true, "b", "f")
	all := []string{"a", "c", "d", "e", "b", "f"}
	since := func(from time.Time) store.Range { return store.Range{Field: store.UpdatedAt, From: from} }
	for _, limit := range []int{1, 2, 4, 100} {
		for _, c := range []struct {
			name string
			q    store.Query
			want []string
		}{
			{"all", store.Query{Index: "updated"}, all},
			{"since a write, its own documents too", store.Query{Index: "updated", Range: since(second)}, all[2:]},
			{"after the last write", store.Query{Index: "updated", Range: since(third.Add(time.Microsecond))}, []string{}},
			{"before a write", store.Query{Index: "updated", Range: store.Range{Field: store.UpdatedAt, To: third}}, all[:4]},
			{"within another order", store.Query{Index: "paid-updated", Equal: []any{true}, Range: since(second)}, all[4:]},
		} {
			same(t, fmt.Sprintf("%s, pages of %d", c.name, limit), list(t, d, c.q, limit), c.want)
			c.q.Descending = true
			slices.Reverse(c.want)
			same(t, fmt.Sprintf("%s, backward, pages of %d", c.name, limit), list(t, d, c.q, limit), c.want)
			slices.Reverse(c.want)
		}
	}
	page, err := d.Find(t.Context(), store.Query{Index: "updated", Limit: 3})
	must(t, err)
	behind, err := d.Behind(store.Query{Index: "updated"}, page.Items[1])
	must(t, err)
	same(t, "behind the second of a page", list(t, d, store.Query{Index: "updated", Cursor: behind}, 2), all[2:])
	// A write between two pages moves a document behind the others: it comes again, and none is left out.
	page, err = d.Find(t.Context(), store.Query{Index: "updated", Limit: 2})
	must(t, err)
	put(true, "a")
	same(t, "what follows", list(t, d, store.Query{Index: "updated", Cursor: page.Next}, 2), append(slices.Clone(all[2:]), "a"))
	// The same value again is no write.
	doc := get(t, d, "f")
	_, err = d.PutMany(t.Context(), []store.Put[order]{{ID: "f", Value: doc.Value}})
	must(t, err)
	same(t, "after nothing new", list(t, d, store.Query{Index: "updated"}, 100), append(slices.Clone(all[1:]), "a"))
	_, err = d.Sum(t.Context(), store.Query{Index: "updated"}, []string{store.UpdatedAt}, nil)
	wantError(t, "grouped by the last write", err, store.ErrBadQuery)
}
