package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

// fill stores documents with many equal, null and missing fields, and tells them by id.
func fill(t *testing.T, d *store.Documents[order], n int) map[string]order {
	t.Helper()
	stored := map[string]order{}
	var puts []store.Put[order]
	for i := range n {
		o := order{
			Customer: fmt.Sprint("c", i%5), Placed: store.At(day.Add(time.Duration(i%7) * time.Hour)), Total: int64(i%11) - 5,
			Rate: float64(i%3) / 2, Paid: i%2 == 0, Ship: address{[]string{"Oslo", "Paris", "Århus"}[i%3]},
		}
		if i%4 != 0 {
			o.Status = text([]string{"new", "paid", "sent"}[i%3])
		}
		if i%3 == 0 {
			o.Email = text(fmt.Sprint(i, "@example.org"))
		}
		id := fmt.Sprintf("o%03d", (i*37)%1000)
		stored[id] = o
		puts = append(puts, store.Put[order]{ID: id, Value: o})
	}
	_, err := d.PutMany(t.Context(), puts)
	must(t, err)
	return stored
}

// keyed are the indexes' fields as comparable values; nil first.
var keyed = map[string][]func(order) any{
	"":       {},
	"placed": {func(o order) any { return o.Placed.String() }},
	"status": {func(o order) any { return optional(o.Status) }, func(o order) any { return o.Placed.String() }},
	"email":  {func(o order) any { return optional(o.Email) }},
	"total":  {func(o order) any { return o.Total }},
	"paid":   {func(o order) any { return o.Paid }, func(o order) any { return o.Rate }},
	"city":   {func(o order) any { return o.Ship.City }, func(o order) any { return o.Customer }, func(o order) any { return o.Total }},
}

var rangeFields = map[string][]string{"placed": {"placed"}, "status": {"status", "placed"}, "email": {"email"}, "total": {"total"},
	"paid": {"paid", "rate"}, "city": {"ship.city", "customer", "total"}}

func optional(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

func compareValues(a, b any) int {
	switch {
	case a == nil || b == nil:
		return cmp.Compare(fmt.Sprint(b == nil), fmt.Sprint(a == nil))
	}
	switch a := a.(type) {
	case string:
		return cmp.Compare(a, b.(string))
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(a, b.(float64))
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

// expected is what q must select of stored, found by looking at every document.
func expected(stored map[string]order, q store.Query) []string {
	keys := keyed[q.Index]
	ids := []string{}
	for id, o := range stored {
		selected := true
		for i, want := range q.Equal {
			selected = selected && compareValues(keys[i](o), want) == 0
		}
		if q.Range.Field != "" {
			v := keys[len(q.Equal)](o)
			selected = selected && (q.Range.From == nil && q.Range.To == nil || v != nil) &&
				(q.Range.From == nil || compareValues(v, q.Range.From) >= 0) && (q.Range.To == nil || compareValues(v, q.Range.To) < 0)
		}
		if selected {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		order := cmp.Compare(a, b)
		for i := len(keys) - 1; i >= 0; i-- {
			order = cmp.Or(compareValues(keys[i](stored[a]), keys[i](stored[b])), order)
		}
		if q.Descending {
			return -order
		}
		return order
	})
	return ids
}

func testOrder(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	stored := fill(t, d, 24)
	for index := range keyed {
		for _, descending := range []bool{false, true} {
			q := store.Query{Index: index, Descending: descending}
			want := expected(stored, q)
			for _, limit := range []int{2, 7, 100} {
				same(t, fmt.Sprintf("index %q, descending %t, pages of %d", index, descending, limit), list(t, d, q, limit), want)
			}
			first, err := d.First(t.Context(), q)
			must(t, err)
			equal(t, "first by "+index, first.ID, want[0])
			var visited []string
			must(t, d.Each(t.Context(), q, func(doc store.Doc[order]) error { visited = append(visited, doc.ID); return nil }))
			same(t, "each by "+index, visited, want)
		}
	}
	_, err := d.First(t.Context(), store.Query{Index: "email", Equal: []any{"nobody"}})
	wantError(t, "first of none", err, store.ErrNotFound)
	stop, visits := errors.New("stop"), 0
	err = d.Each(t.Context(), store.Query{}, func(store.Doc[order]) error { visits++; return stop })
	equal(t, "error of a visit", err, stop)
	equal(t, "visits until an error", visits, 1)
}

func testRandomQueries(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	stored := fill(t, d, 40)
	var samples []order
	for _, id := range expected(stored, store.Query{}) {
		samples = append(samples, stored[id])
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		q, limit := randomQuery(random, samples), 3+random.IntN(20)
		want := expected(stored, q)
		same(t, fmt.Sprintf("%+v, pages of %d", q, limit), list(t, d, q, limit), want)
		n, err := d.Count(t.Context(), q)
		must(t, err)
		equal(t, fmt.Sprintf("count of %+v", q), n, int64(len(want)))
	}
}

func randomQuery(random *rand.Rand, samples []order) store.Query {
	indexes := []string{"", "placed", "status", "email", "total", "paid", "city"}
	q := store.Query{Index: indexes[random.IntN(len(indexes))], Descending: random.IntN(2) == 0}
	keys := keyed[q.Index]
	sample := func() order { return samples[random.IntN(len(samples))] }
	from := sample()
	for i := range random.IntN(len(keys) + 1) {
		q.Equal = append(q.Equal, keys[i](from))
	}
	if len(q.Equal) < len(keys) && random.IntN(3) > 0 {
		key := keys[len(q.Equal)]
		q.Range = store.Range{Field: rangeFields[q.Index][len(q.Equal)], From: key(sample()), To: key(sample())}
	}
	return q
}

func testCursorStable(t *testing.T, place Place) {
	c := openOrders(t, place(t))
	for _, index := range []string{"", "placed", "status"} {
		for _, descending := range []bool{false, true} {
			d := c.In(fmt.Sprint("org ", index, descending))
			stored := fill(t, d, 15)
			q := store.Query{Index: index, Descending: descending}
			same(t, fmt.Sprintf("documents by %q, descending %t, among others' writes", index, descending),
				listAmongWrites(t, d, q, stored), expected(stored, q))
		}
	}
}

// listAmongWrites pages through q while others write before, at and behind the cursor and delete what it points at. It tells
// the ids it met of those in stored.
func listAmongWrites(t *testing.T, d *store.Documents[order], q store.Query, stored map[string]order) []string {
	t.Helper()
	ids := []string{}
	q.Limit = 3
	for n := 0; ; n++ {
		page, err := d.Find(t.Context(), q)
		must(t, err)
		for _, doc := range page.Items {
			if _, original := stored[doc.ID]; original {
				ids = append(ids, doc.ID)
			}
		}
		if page.Next == "" || n > 100 {
			return ids
		}
		last := page.Items[len(page.Items)-1]
		insert(t, d, fmt.Sprint("a", n), order{Placed: store.At(day.Add(-time.Hour))})
		insert(t, d, fmt.Sprint("o", n), last.Value.without())
		insert(t, d, fmt.Sprint("z", n), order{Placed: store.At(day.Add(time.Hour * 1000)), Status: text("zzz")})
		must(t, d.Delete(t.Context(), last.ID, 0))
		q.Cursor = page.Next
	}
}

func (o order) without() order {
	o.Email = nil
	return o
}

func testBadCursors(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	fill(t, d, 10)
	q := store.Query{Index: "status", Equal: []any{"new"}, Limit: 1}
	page, err := d.Find(t.Context(), q)
	must(t, err)
	cursor := page.Next
	if cursor == "" {
		t.Fatal("no second page to point at")
	}
	bad := map[string]store.Query{}
	with := func(name string, q store.Query, cursor string) { q.Cursor = cursor; bad[name] = q }
	for i := range cursor {
		with(fmt.Sprintf("changed at %d", i), q, cursor[:i]+string(cursor[i]^1)+cursor[i+1:])
	}
	with("cut", q, cursor[:len(cursor)-2])
	with("extended", q, cursor+"AA")
	with("padded", q, cursor+"=")
	with("with a line break", q, cursor[:5]+"\n"+cursor[5:])
	with("garbage", q, "%%%")
	with("zeros", q, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	with("of another index", store.Query{Index: "placed", Limit: 1}, cursor)
	with("of the id order", store.Query{Limit: 1}, cursor)
	with("of other values", store.Query{Index: "status", Equal: []any{"paid"}, Limit: 1}, cursor)
	with("of fewer values", store.Query{Index: "status", Limit: 1}, cursor)
	with("of the other direction", store.Query{Index: "status", Equal: []any{"new"}, Descending: true, Limit: 1}, cursor)
	with("of no range", store.Query{Index: "status", Equal: []any{"new"}, Range: store.Range{Field: "placed", From: day}, Limit: 1}, cursor)
	for name, q := range bad {
		_, err := d.Find(t.Context(), q)
		wantError(t, "cursor "+name, err, store.ErrBadCursor)
	}
	q.Cursor, q.Limit = cursor, 5
	_, err = d.Find(t.Context(), q)
	must(t, err) // another limit is no other query
}

func testBadQueries(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	fill(t, d, 10)
	for name, q := range map[string]store.Query{
		"unknown index":               {Index: "nosuch"},
		"values without an index":     {Equal: []any{"1"}},
		"too many values":             {Index: "placed", Equal: []any{day, day}},
		"text for an integer":         {Index: "total", Equal: []any{"1"}},
		"integer for a text":          {Index: "status", Equal: []any{1}},
		"list as a value":             {Index: "status", Equal: []any{[]string{"new"}}},
		"function as a value":         {Index: "status", Equal: []any{func() {}}},
		"range on a later field":      {Index: "status", Range: store.Range{Field: "placed", From: day}},
		"range on no field":           {Index: "status", Range: store.Range{From: day}},
		"range without an index":      {Range: store.Range{Field: "placed", From: day}},
		"range of the wrong type":     {Index: "placed", Range: store.Range{Field: "placed", To: 5}},
		"negative limit":              {Limit: -1},
		"integer for a time in range": {Index: "placed", Range: store.Range{Field: "placed", From: 5}},
	} {
		_, err := d.Find(t.Context(), q)
		wantError(t, name, err, store.ErrBadQuery)
	}
	for _, args := range [][2][]string{{{"nosuch"}, {"total"}}, {{"status"}, {"nosuch"}}, {nil, {"status"}}, {nil, {"rate"}}, {{"ship"}, nil}, {{"a'b"}, nil}} {
		_, err := d.Sum(t.Context(), store.Query{}, args[0], args[1])
		wantError(t, fmt.Sprint("sum by ", args), err, store.ErrBadQuery)
	}
	same(t, "limit beyond the largest", len(list(t, d, store.Query{}, math.MaxInt)), 10)
}

func testIntegers(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	values := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 53, -9, -1, 0, 1, 2, 10, 1<<53 - 1, 1 << 53, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64}
	var want []string
	for i, v := range values {
		id := fmt.Sprintf("%02d", (i*5)%len(values)) // ids do not follow the values
		want = append(want, id)
		insert(t, d, id, order{Total: v})
		equal(t, "read back", get(t, d, id).Value.Total, v)
	}
	same(t, "by value", list(t, d, store.Query{Index: "total"}, 2), want)
	for i, v := range values {
		same(t, fmt.Sprint("equal to ", v), list(t, d, store.Query{Index: "total", Equal: []any{v}}, 5), want[i:i+1])
		same(t, fmt.Sprint("from ", v), list(t, d, store.Query{Index: "total", Range: store.Range{Field: "total", From: v}}, 100), want[i:])
	}
}

func testTimes(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	zone := time.FixedZone("east", 5*3600+1800)
	times := []time.Time{
		{}, day.Add(-time.Microsecond), day, day.Add(time.Microsecond), day.Add(time.Millisecond), day.Add(1100 * time.Millisecond),
		day.Add(2 * time.Second).In(zone), day.Add(time.Hour), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	}
	var want []string
	for i, at := range times {
		id := fmt.Sprint((i * 4) % len(times))
		want = append(want, id)
		insert(t, d, id, order{Placed: store.At(at)})
		equal(t, "read back", get(t, d, id).Value.Placed, store.At(at))
	}
	same(t, "by time", list(t, d, store.Query{Index: "placed"}, 2), want)
	bounded := store.Query{Index: "placed", Range: store.Range{Field: "placed", From: day.In(zone), To: store.At(day.Add(time.Hour))}}
	same(t, "from inclusive, to exclusive, in any zone", list(t, d, bounded, 2), want[2:7])
	same(t, "equal", list(t, d, store.Query{Index: "placed", Equal: []any{day}}, 2), want[2:3])
}

func testSum(t *testing.T, place Place) {
	_, d := ordersIn(t, place)
	sum := func(q store.Query, by, fields []string) []store.Group {
		t.Helper()
		groups, err := d.Sum(t.Context(), q, by, fields)
		must(t, err)
		return groups
	}
	same(t, "of nothing", sum(store.Query{}, nil, []string{"total"}), []store.Group(nil))
	for i, o := range []order{
		{Status: text("new"), Total: 1, Paid: true, Rate: 1, Placed: store.At(day)},
		{Status: text("new"), Total: 1 << 60, Paid: false, Rate: 0.5, Placed: store.At(day)},
		{Status: text("sent"), Total: -3, Paid: true, Rate: 1, Placed: store.At(day.Add(time.Hour))},
		{Total: 1<<53 + 1, Paid: true, Placed: store.At(day)},
	} {
		insert(t, d, fmt.Sprint(i), o)
	}
	status := store.Query{Index: "status"}
	same(t, "by status, missing first", sum(status, []string{"status"}, []string{"total"}), []store.Group{
		{Key: []any{nil}, Count: 1, Sums: []int64{1<<53 + 1}}, {Key: []any{"new"}, Count: 2, Sums: []int64{1<<60 + 1}}, {Key: []any{"sent"}, Count: 1, Sums: []int64{-3}}})
	same(t, "of one status", sum(store.Query{Index: "status", Equal: []any{"new"}}, nil, []string{"total", "total"}),
		[]store.Group{{Key: []any{}, Count: 2, Sums: []int64{1<<60 + 1, 1<<60 + 1}}})
	same(t, "by two fields, counts only", sum(store.Query{}, []string{"paid", "rate"}, nil), []store.Group{
		{Key: []any{false, 0.5}, Count: 1, Sums: []int64{}}, {Key: []any{true, 0.0}, Count: 1, Sums: []int64{}}, {Key: []any{true, 1.0}, Count: 2, Sums: []int64{}}})
	groups := sum(store.Query{Index: "placed", Range: store.Range{Field: "placed", From: day, To: day.Add(time.Hour)}}, []string{"placed", "ship.city"}, []string{"total"})
	same(t, "by time, in a range", groups, []store.Group{{Key: []any{store.At(day), ""}, Count: 3, Sums: []int64{1 + 1<<60 + 1<<53 + 1}}})
	same(t, "by a later field of the index", sum(store.Query{Index: "paid"}, []string{"rate"}, []string{"total"}), []store.Group{
		{Key: []any{0.0}, Count: 1, Sums: []int64{1<<53 + 1}}, {Key: []any{0.5}, Count: 1, Sums: []int64{1 << 60}}, {Key: []any{1.0}, Count: 2, Sums: []int64{-2}}})
	same(t, "by the index's fields the other way round", sum(store.Query{Index: "paid"}, []string{"rate", "paid"}, nil), []store.Group{
		{Key: []any{0.0, true}, Count: 1, Sums: []int64{}}, {Key: []any{0.5, false}, Count: 1, Sums: []int64{}}, {Key: []any{1.0, true}, Count: 2, Sums: []int64{}}})
	for i, want := range []any{false, true} {
		if got := sum(store.Query{}, []string{"paid"}, nil)[i].Key[0]; got != want {
			t.Errorf("a boolean key is a %T", got)
		}
	}
	insert(t, d, "big", order{Total: math.MaxInt64})
	if _, err := d.Sum(t.Context(), store.Query{}, nil, []string{"total"}); err == nil {
		t.Error("a sum beyond int64 was answered")
	}
}
