package sync_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/runs"
)

// streams are those of the vendor.
var streams = []string{"orders", "customers", "products"}

// customers are what each has ordered and spent, by the records of orders and by those of customers.
func (f *fixture) customers() (byOrders, bySelf map[string]string) {
	f.t.Helper()
	orders, err := f.records.Orders.Page(f.t.Context(), org, "", records.Range{}, "", 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	counts, sums := map[string]int{}, map[string]int64{}
	for _, o := range orders.Items {
		counts[o.CustomerID]++
		sums[o.CustomerID] += o.TotalMinor
	}
	customers, err := f.records.Customers.Page(f.t.Context(), org, "", records.Range{}, "", 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	byOrders, bySelf = map[string]string{}, map[string]string{}
	for id, n := range counts {
		byOrders[id] = fmt.Sprintf("%d orders of %d", n, sums[id])
	}
	for _, c := range customers.Items {
		bySelf[c.ID] = fmt.Sprintf("%d orders of %d", c.Orders, c.SpentMinor)
	}
	return byOrders, bySelf
}

func (f *fixture) prices() map[string]int64 {
	f.t.Helper()
	products, err := f.records.Products.Page(f.t.Context(), org, f.connection, records.Range{}, "", 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	prices := map[string]int64{}
	for _, p := range products.Items {
		prices[p.ID[len(f.connection)+1:]] = p.PriceMaxMinor
	}
	return prices
}

func TestEveryStreamIsSyncedByItself(t *testing.T) {
	f := open(t, 450)
	for stream, want := range map[string]sync.Counts{
		"orders": {Records: 450, Changed: 450, Pages: 18}, "customers": {Records: 97, Changed: 97, Pages: 4}, "products": {Records: 24, Changed: 24, Pages: 1},
	} {
		if counts := f.syncOf(stream, sync.Backfill); counts != want {
			t.Errorf("%s: %+v, want %+v", stream, counts, want)
		}
	}
	f.check()
	if byOrders, bySelf := f.customers(); len(bySelf) != 97 || !reflect.DeepEqual(byOrders, bySelf) {
		t.Errorf("customers %v, by their orders %v", bySelf, byOrders)
	}

	f.clock.pass(time.Hour)
	f.place(90001, 4200)
	f.admin("POST orders", `{"orders":[{"id":1000,"total":"0.07"}]}`) // changes its customer too
	f.expect(1000, "1", time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC), 7)
	f.admin("POST products", `{"products":[{"id":7001,"title":"Linen Lamp","price":"12.34"},{"id":8001,"title":"Oak Chair","price":"99.00"}]}`)
	for _, stream := range streams {
		if counts := f.syncOf(stream, sync.Incremental); counts.Changed != 2 || counts.Pages != 1 {
			t.Errorf("what changed of %s: %+v, want 2", stream, counts)
		}
	}
	f.check()
	if byOrders, bySelf := f.customers(); !reflect.DeepEqual(byOrders, bySelf) {
		t.Errorf("customers %v, by their orders %v", bySelf, byOrders)
	}
	if prices := f.prices(); len(prices) != 25 || prices["7001"] != 1234 || prices["8001"] != 9900 {
		t.Errorf("prices %v", prices)
	}
}

func TestAStreamThatFailsStopsNoOther(t *testing.T) {
	f := open(t, 60)
	f.broken["customers"] = &connector.Error{Class: connector.Permanent, Code: connector.CodePermissionMissing, Message: "the access token does not allow reading this"}
	run := map[string]runs.Run{}
	for _, stream := range streams { // all at work before the first is done
		run[stream] = f.startOf(stream, sync.Incremental)
	}
	states := func() map[string]string {
		t.Helper()
		c, err := f.connections.Get(t.Context(), org, f.connection)
		if err != nil || c.Status != connection.Active {
			t.Fatalf("%+v, %v", c, err)
		}
		states := map[string]string{}
		for _, s := range f.connections.View(c).Streams {
			switch {
			case s.Problem != nil:
				states[s.Stream] = s.Problem.Code
			case s.SyncedAt != nil:
				states[s.Stream] = "fresh"
			default:
				states[s.Stream] = "never"
			}
		}
		return states
	}
	if got, want := states(), map[string]string{"orders": "never", "customers": "never", "products": "never"}; !reflect.DeepEqual(got, want) {
		t.Errorf("before: %v, want %v", got, want)
	}
	for stream, want := range map[string]runs.Status{"customers": runs.Failed, "orders": runs.Succeeded, "products": runs.Succeeded} {
		if ended := f.drive(run[stream].ID, 50); ended.Status != want {
			t.Errorf("%s %s, want %s", stream, ended.Status, want)
		}
	}
	if got, want := states(), map[string]string{"orders": "fresh", "customers": connector.CodePermissionMissing, "products": "fresh"}; !reflect.DeepEqual(got, want) {
		t.Errorf("after: %v, want %v", got, want)
	}
	f.check()
	delete(f.broken, "customers")
	f.syncOf("customers", sync.Incremental)
	if got := states()["customers"]; got != "fresh" {
		t.Errorf("customers %s once it works again", got)
	}
}
