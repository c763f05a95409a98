package dashboard

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/store"
)

func (p *process) columnsOf(t testing.TB, organization string) *columns {
	t.Helper()
	st, err := p.documents.state(t.Context(), organization)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.cache.columns(t.Context(), organization, st)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatAnotherProcessPublishedIsSeenAtOnce(t *testing.T) {
	db, s := openDB(t), newShop(order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	here, there := start(t, db, s), start(t, db, s)
	there.changed(t, "2024-03-01", "2024-03-01")
	// More changes than a state remembers, so that some are behind by one and some by too many.
	for i := range 3 * keptChanges {
		s.add(organization, order(10+i, "2024-03-01T12:00:00Z", fmt.Sprint("c", i), 100))
		there.changed(t, "2024-03-01", "2024-03-01")
		if i%20 == 19 || i < 5 {
			want := counted(s.orders[organization])
			if got := here.on(t, "2024-03-01"); got != want {
				t.Fatalf("after %d changes: %s, want %s", i, got, want)
			}
		}
	}
}

func TestOnlyChangedDaysAreReadAgain(t *testing.T) {
	p, s := single(t,
		order(1, "2024-03-01T10:00:00Z", "ann", 1000), order(2, "2024-03-02T10:00:00Z", "bob", 1000), order(3, "2024-03-03T10:00:00Z", "bob", 1000))
	p.changed(t, "2024-03-01", "2024-03-03")
	before := p.columnsOf(t, organization)
	if again := p.columnsOf(t, organization); again != before {
		t.Error("nothing changed and the columns are others")
	}
	s.add(organization, order(4, "2024-03-02T11:00:00Z", "eve", 1), order(5, "2024-03-04T11:00:00Z", "ann", 1))
	p.changed(t, "2024-03-02", "2024-03-02")
	p.changed(t, "2024-03-04", "2024-03-04")
	after := p.columnsOf(t, organization)
	if after.rows != 5 || before.rows != 3 || len(after.blocks) != 4 {
		t.Fatalf("%d rows became %d in %d days", before.rows, after.rows, len(after.blocks))
	}
	for i, same := range []bool{true, false, true} {
		if (after.blocks[i] == before.blocks[i]) != same {
			t.Errorf("day %d: kept is %t", i, !same)
		}
	}
}

func TestRestoredDatabase(t *testing.T) {
	p, s := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-01", "2024-03-01")
	backup, err := p.documents.state(t.Context(), organization)
	if err != nil {
		t.Fatal(err)
	}
	old, err := p.documents.days.In(organization).Get(t.Context(), "2024-03-01")
	if err != nil {
		t.Fatal(err)
	}
	s.add(organization, order(2, "2024-03-01T11:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-01", "2024-03-01")
	if got := p.on(t, "2024-03-01"); got != "2 1 20.00 10.00" {
		t.Fatalf("before: %s", got)
	}
	for _, err := range []error{
		p.documents.put(t.Context(), organization, []dayRollUp{old.Value}),
		p.documents.states.In(organization).Delete(t.Context(), stateID, 0),
		func() error {
			_, err := p.documents.states.In(organization).Insert(t.Context(), stateID, backup.Value)
			return err
		}(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := p.on(t, "2024-03-01"); got != "1 1 10.00 10.00" {
		t.Errorf("after the restore: %s", got)
	}
}

// TestSameVersionOfAnotherLife has a state that was made anew and has come to the version that is in memory.
func TestSameVersionOfAnotherLife(t *testing.T) {
	p, s := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-01", "2024-03-01")
	if got := p.on(t, "2024-03-01"); got != "1 1 10.00 10.00" {
		t.Fatalf("before: %s", got)
	}
	if err := p.documents.states.In(organization).Delete(t.Context(), stateID, 0); err != nil {
		t.Fatal(err)
	}
	s.add(organization, order(2, "2024-03-01T11:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-01", "2024-03-01")
	if got := p.on(t, "2024-03-01"); got != "2 1 20.00 10.00" {
		t.Errorf("after: %s", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	p, s := single(t)
	p.cache = newCache(p.documents, 4*entryCost)
	for round := range 2 {
		for i := range 12 {
			organization := fmt.Sprintf("shop-%d", i)
			s.add(organization, order(i, "2024-03-01T10:00:00Z", "ann", 1000))
			if err := p.tell(t.Context(), organization, "2024-03-01", "2024-03-01"); err != nil {
				t.Fatal(err)
			}
			w := p.get(t, organization, "from=2024-03-01&to=2024-03-01")
			if want := fmt.Sprintf(`"orders":%d,"customers":1`, round+1); !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %s", organization, w.Body)
			}
		}
	}
	if n := len(p.cache.entries); n != p.cache.recent.Len() || n > 4 || n < 2 {
		t.Errorf("%d organizations are kept", n)
	}
	rows := 0
	for _, e := range p.cache.entries {
		rows += e.Value.(*cached).rows
	}
	if rows != p.cache.rows {
		t.Errorf("%d rows are kept, counted %d", rows, p.cache.rows)
	}
}

func TestUnsoundRollUps(t *testing.T) {
	sound := dayRollUp{
		Day: "2024-03-01", Customers: []string{"", "ann"}, Currencies: []string{"USD"},
		Second: []uint32{1, 2}, Customer: []uint32{1, 0}, Currency: []uint32{0, 0}, Orders: []uint32{1, 1}, Minor: []int64{1, 2},
	}
	if _, err := newNames().block(sound); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*dayRollUp){
		"day":      func(r *dayRollUp) { r.Day = "1 March" },
		"short":    func(r *dayRollUp) { r.Minor = r.Minor[:1] },
		"customer": func(r *dayRollUp) { r.Customer = []uint32{2, 0} },
		"currency": func(r *dayRollUp) { r.Currencies = nil },
		"order":    func(r *dayRollUp) { r.Second = []uint32{2, 1} },
	} {
		spoiled := sound
		spoil(&spoiled)
		if _, err := newNames().block(spoiled); err == nil {
			t.Errorf("%s: taken as sound", name)
		}
		p, _ := single(t)
		if err := p.documents.put(t.Context(), organization, []dayRollUp{spoiled}); err != nil {
			t.Fatal(err)
		}
		if err := p.documents.publish(t.Context(), organization, published{readAt: p.now()}); err != nil {
			t.Fatal(err)
		}
		if w := p.get(t, organization, ""); w.Code != http.StatusInternalServerError {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestDaysAreFoundByIndex(t *testing.T) {
	p, _ := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-01", "2024-03-01")
	plan, err := p.documents.days.In(organization).Explain(t.Context(), daysQuery(span{0, 30000}), []string{"day"}, nil)
	if err != nil || plan.Index != byDay {
		t.Errorf("listing days: %+v, %v", plan, err)
	}
	plan, err = p.documents.days.In(organization).Explain(t.Context(), daysQuery(span{0, 30000}), nil, nil)
	if err != nil || plan.Index != byDay || plan.Sorts {
		t.Errorf("reading days: %+v, %v", plan, err)
	}
}

func TestDayOf(t *testing.T) {
	for _, tt := range []struct {
		at   string
		want string
	}{
		{"1970-01-01T00:00:00Z", "1970-01-01"}, {"1969-12-31T23:59:59Z", "1969-12-31"}, {"1969-12-31T00:00:00Z", "1969-12-31"},
		{"2024-02-29T23:59:59.999999Z", "2024-02-29"}, {"0001-01-01T00:00:00Z", "0001-01-01"}, {"9999-12-31T12:00:00Z", "9999-12-31"},
	} {
		var at store.Time
		if err := at.UnmarshalText([]byte(tt.at)); err != nil {
			t.Fatal(err)
		}
		day := dayOf(at.Time)
		back, err := parseDay(day.String())
		if day.String() != tt.want || back != day || err != nil {
			t.Errorf("%s is of %s, read back %v, %v", tt.at, day, back, err)
		}
	}
}

func TestFarDays(t *testing.T) {
	p, s := single(t, order(1, "9999-12-31T12:00:00Z", "ann", 1000), order(2, "0100-01-01T00:00:00Z", "ann", 500))
	p.changed(t, "0001-01-01", "9999-12-31")
	p.changed(t, "9999-12-31", "9999-12-31")
	if c := p.columnsOf(t, organization); c.rows != 2 {
		t.Errorf("%d rows", c.rows)
	}
	for _, read := range s.reads {
		if !strings.HasSuffix(read, "..9999-12-31") {
			t.Errorf("asked for %s, which ends with a year that RFC 3339 does not have", read)
		}
	}
	p.clock.set("9999-01-01T00:00:00Z")
	d := p.dashboard(t, "from=5000-01-01&to=9998-12-31&granularity=year")
	if got := brief(d.Totals.Figures) + ", before " + brief(d.PreviousPeriod.Totals.Figures); got != "0 0 0.00 null, before 1 1 5.00 5.00" {
		t.Errorf("got %s", got)
	}
}
