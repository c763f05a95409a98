package records_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
)

func open(t *testing.T) (*records.Service, store.DB) {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "integrations.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := records.New(t.Context(), db, events.Emitter{Group: integrationsapi.Name, Now: time.Now, NewID: uuid.NewString})
	if err != nil {
		t.Fatal(err)
	}
	return s, db
}

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func order(connection string, id int, placed time.Time) integrationsapi.Order {
	return integrationsapi.Order{
		ID: fmt.Sprintf("%s:%d", connection, id), ConnectionID: connection, Vendor: "shopify", Number: fmt.Sprintf("#%d", id),
		PlacedAt: store.At(placed), UpdatedAt: store.At(placed), TotalMinor: 100, Currency: "USD", Items: 1, Status: integrationsapi.OrderPaid,
	}
}

func put(t *testing.T, s *records.Service, organization string, orders ...integrationsapi.Order) int {
	t.Helper()
	changed, err := s.Put(t.Context(), organization, connector.Records{Orders: orders})
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// told takes the events out of the outbox.
func told(t *testing.T, db store.DB) []integrationsapi.RecordsChanged {
	t.Helper()
	messages, err := db.Outbox().Pending(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all []integrationsapi.RecordsChanged
	for _, m := range messages {
		raw, err := events.Decode(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		var changed integrationsapi.RecordsChanged
		if err := json.Unmarshal(raw.Data, &changed); err != nil {
			t.Fatal(err)
		}
		if raw.Organization != "o1" || changed.Vendor != "shopify" {
			t.Errorf("event %+v of %q", changed, raw.Organization)
		}
		all = append(all, changed)
		if err := db.Outbox().Done(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func ids(t *testing.T, s *records.Service, organization, connection string, r records.Range) []string {
	t.Helper()
	var all []string
	for cursor := ""; ; {
		page, err := s.Orders.Page(t.Context(), organization, connection, r, cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Items {
			all = append(all, o.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

func TestWhatIsTheSameIsNoChange(t *testing.T) {
	s, db := open(t)
	a, b := order("c1", 1, day), order("c1", 2, day.Add(time.Hour))
	if n := put(t, s, "o1", a, b, a); n != 2 {
		t.Errorf("%d changed, want 2", n)
	}
	if n := len(told(t, db)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	if n := put(t, s, "o1", b, a); n != 0 {
		t.Errorf("%d changed by the same again, want 0", n)
	}
	if got := told(t, db); len(got) != 0 {
		t.Errorf("events %v of no change", got)
	}
	b.Status = integrationsapi.OrderRefunded
	if n := put(t, s, "o1", a, b); n != 1 {
		t.Errorf("%d changed, want 1", n)
	}
	if got := ids(t, s, "o1", "", records.Range{}); fmt.Sprint(got) != "[c1:1 c1:2]" {
		t.Errorf("orders %v", got)
	}
}

func TestEventsNameRangesThatHoldTheRecords(t *testing.T) {
	s, db := open(t)
	recent, old := day, day.AddDate(-2, 0, 0)
	put(t, s, "o1", order("c1", 1, recent.Add(time.Hour)), order("c1", 2, old), order("c1", 3, recent), order("c1", 4, recent.Add(30*time.Hour)))
	want := []integrationsapi.RecordsChanged{
		{ConnectionID: "c1", Vendor: "shopify", Kind: "orders", From: old, To: old.Add(time.Microsecond)},
		{ConnectionID: "c1", Vendor: "shopify", Kind: "orders", From: recent, To: recent.Add(30*time.Hour + time.Microsecond)},
	}
	if got := told(t, db); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events\n%v\nwant\n%v", got, want)
	}

	var scattered []integrationsapi.Order
	for i := range 250 {
		scattered = append(scattered, order("c1", 100+i, day.AddDate(0, 0, -7*i)))
	}
	put(t, s, "o1", scattered...)
	ranges := told(t, db)
	if len(ranges) == 0 || len(ranges) > 16 {
		t.Errorf("%d events for 250 scattered orders", len(ranges))
	}
	for _, o := range scattered {
		held := false
		for _, r := range ranges {
			held = held || !o.PlacedAt.Before(r.From) && o.PlacedAt.Before(r.To)
		}
		if !held {
			t.Errorf("no range holds the order of %s", o.PlacedAt)
		}
	}
}

func TestRangesAreHalfOpenAndOneConnectionsOrdersCanBeRead(t *testing.T) {
	s, _ := open(t)
	put(t, s, "o1", order("c1", 1, day), order("c2", 1, day.Add(time.Hour)), order("c1", 2, day.Add(24*time.Hour)), order("c1", 3, day.Add(48*time.Hour)))
	for _, c := range []struct {
		connection string
		r          records.Range
		want       string
	}{
		{"", records.Range{}, "[c1:1 c2:1 c1:2 c1:3]"},
		{"", records.Range{From: day, To: day.Add(48 * time.Hour)}, "[c1:1 c2:1 c1:2]"},
		{"", records.Range{From: day.Add(time.Microsecond)}, "[c2:1 c1:2 c1:3]"},
		{"c1", records.Range{To: day.Add(48 * time.Hour)}, "[c1:1 c1:2]"},
		{"c2", records.Range{}, "[c2:1]"},
		{"c3", records.Range{}, "[]"},
		{"", records.Range{From: day, To: day}, "[]"},
	} {
		if got := ids(t, s, "o1", c.connection, c.r); fmt.Sprint(got) != c.want {
			t.Errorf("%q %v: %v, want %s", c.connection, c.r, got, c.want)
		}
	}
}

func TestAnotherOrganizationSeesNothing(t *testing.T) {
	s, _ := open(t)
	put(t, s, "o1", order("c1", 1, day), order("c1", 2, day), order("c1", 3, day))
	if got := ids(t, s, "o2", "", records.Range{}); len(got) != 0 {
		t.Errorf("another organization sees %v", got)
	}
	if got := ids(t, s, "o2", "c1", records.Range{}); len(got) != 0 {
		t.Errorf("another organization sees %v by naming the connection", got)
	}
	page, err := s.Orders.Page(t.Context(), "o1", "", records.Range{}, "", 2)
	if err != nil || page.NextCursor == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	if _, err := s.Orders.Page(t.Context(), "o2", "", records.Range{}, page.NextCursor, 2); !errors.Is(err, store.ErrBadCursor) {
		t.Errorf("a cursor of another organization: %v, want %v", err, store.ErrBadCursor)
	}
	if _, err := s.Put(context.Background(), "", connector.Records{Orders: []integrationsapi.Order{order("c1", 1, day)}}); !errors.Is(err, store.ErrNoOrganization) {
		t.Errorf("records of nobody: %v, want %v", err, store.ErrNoOrganization)
	}
}

func TestALargePageIsKeptWhole(t *testing.T) {
	s, db := open(t)
	var page []integrationsapi.Order
	for i := range 2500 { // in several writes
		page = append(page, order("c1", i, day.AddDate(0, 0, i)))
	}
	if n := put(t, s, "o1", page...); n != len(page) {
		t.Errorf("%d changed, want %d", n, len(page))
	}
	from, to := time.Time{}, time.Time{}
	for _, changed := range told(t, db) {
		if from.IsZero() || changed.From.Before(from) {
			from = changed.From
		}
		if changed.To.After(to) {
			to = changed.To
		}
	}
	if !from.Equal(day) || !to.After(day.AddDate(0, 0, len(page)-1)) {
		t.Errorf("told of %v to %v", from, to)
	}
	page[2400].TotalMinor++
	if n := put(t, s, "o1", page...); n != 1 {
		t.Errorf("%d changed, want that of one order", n)
	}
	if all := told(t, db); len(all) != 1 { // of the write in which it is
		t.Errorf("told of %d ranges", len(all))
	}
}

// TestEveryKindIsKept is about what holds for each kind of its own: where its records go, their time, and who is told of them.
func TestEveryKindIsKept(t *testing.T) {
	s, db := open(t)
	at := store.At(day)
	all := connector.Records{
		Orders:    []integrationsapi.Order{order("c1", 1, day)},
		Customers: []integrationsapi.Customer{{ID: "c1:1", ConnectionID: "c1", Vendor: "shopify", Email: "ada@example.com", CreatedAt: at, UpdatedAt: at, Currency: "USD"}},
		Products:  []integrationsapi.Product{{ID: "c1:1", ConnectionID: "c1", Vendor: "shopify", Title: "Linen Lamp", CreatedAt: at, UpdatedAt: at, Status: integrationsapi.ProductActive, Currency: "USD"}},
	}
	for _, want := range []int{3, 0} {
		if n, err := s.Put(t.Context(), "o1", all); err != nil || n != want {
			t.Errorf("%d changed, %v; want %d", n, err, want)
		}
	}
	kinds := map[string]records.Range{}
	for _, changed := range told(t, db) {
		kinds[changed.Kind] = records.Range{From: changed.From, To: changed.To}
	}
	now := records.Range{From: day, To: day.Add(time.Microsecond)}
	if want := map[string]records.Range{"orders": now, "customers": now, "products": now}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("told of %v, want %v", kinds, want)
	}
	for organization, want := range map[string]connector.Records{"o1": all, "o2": {}} {
		for _, r := range []records.Range{{}, now} {
			if got := everything(t, s, organization, r); got.Len() != want.Len() || want.Len() > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%s has %+v in %v, want %+v", organization, got, r, want)
			}
		}
	}
	if got := everything(t, s, "o1", records.Range{To: day}); got.Len() != 0 {
		t.Errorf("before: %+v", got)
	}
	if n, err := db.EraseOrganization(t.Context(), "o1"); err != nil || n != 3 || everything(t, s, "o1", records.Range{}).Len() != 0 {
		t.Errorf("%d erased, %v", n, err)
	}
}

// everything is the first page of every kind.
func everything(t *testing.T, s *records.Service, organization string, r records.Range) connector.Records {
	t.Helper()
	orders, ordersErr := s.Orders.Page(t.Context(), organization, "c1", r, "", 10)
	customers, customersErr := s.Customers.Page(t.Context(), organization, "c1", r, "", 10)
	products, productsErr := s.Products.Page(t.Context(), organization, "c1", r, "", 10)
	if err := errors.Join(ordersErr, customersErr, productsErr); err != nil {
		t.Fatal(err)
	}
	return connector.Records{Orders: orders.Items, Customers: customers.Items, Products: products.Items}
}
