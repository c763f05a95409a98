package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tandemhq/tandem/apps/analytics/analyticsapi"
	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/skip"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const organization = "org-1"

// shop is the records of integrations, of any number of organizations.
type shop struct {
	mu     sync.Mutex
	orders map[string][]integrationsapi.Order
	reads  []string     // ranges that were read, one an EachOrder
	after  func(int)    // called at the end of a read with its number, before the reader goes on
	breaks func() error // what a read ends with
}

func newShop(orders ...integrationsapi.Order) *shop {
	s := &shop{orders: map[string][]integrationsapi.Order{}}
	s.add(organization, orders...)
	return s
}

func (s *shop) add(organization string, orders ...integrationsapi.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[organization] = append(s.orders[organization], orders...)
	slices.SortStableFunc(s.orders[organization], func(a, b integrationsapi.Order) int { return a.PlacedAt.Compare(b.PlacedAt.Time) })
}

// change edits an organization's orders.
func (s *shop) change(edit func([]integrationsapi.Order) []integrationsapi.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[organization] = edit(slices.Clone(s.orders[organization]))
}

func (s *shop) EachOrder(ctx context.Context, from, to time.Time, visit func(integrationsapi.Order) error) error {
	p, _ := identity.From(ctx)
	if p.Group != topology.Analytics {
		return fmt.Errorf("read as %+v, not as the group", p)
	}
	s.mu.Lock()
	orders := s.orders[p.Organization]
	s.reads = append(s.reads, from.Format(time.DateOnly)+".."+to.Format(time.DateOnly))
	number, after, breaks := len(s.reads), s.after, s.breaks
	s.mu.Unlock()
	for _, o := range orders {
		if !o.PlacedAt.Before(from) && o.PlacedAt.Before(to) {
			if err := visit(o); err != nil {
				return err
			}
		}
	}
	if after != nil {
		after(number)
	}
	if breaks != nil {
		return breaks()
	}
	return nil
}

func order(id int, at, customer string, minor int64) integrationsapi.Order {
	placed, err := time.Parse(time.RFC3339, at)
	if err != nil {
		panic(err)
	}
	return integrationsapi.Order{
		ID: fmt.Sprintf("c:%d", id), ConnectionID: "c", CustomerID: customer, PlacedAt: store.At(placed),
		TotalMinor: minor, Currency: "USD", Status: integrationsapi.OrderPaid,
	}
}

// clock is set by tests.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at string) {
	parsed, err := time.Parse(time.RFC3339, at)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = parsed
}

// process is one process that hosts the module.
type process struct {
	*Module
	clock   *clock
	handler http.Handler
}

func openDB(t testing.TB) store.DB {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "analytics.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// start makes a process on db. Its requests come from whom the header Organization names.
func start(t testing.TB, db store.DB, orders Orders) *process {
	t.Helper()
	p := &process{clock: &clock{}}
	p.clock.set("2026-01-15T08:00:30Z")
	var err error
	if p.Module, err = New(t.Context(), db, orders, p.clock.now); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	config := huma.DefaultConfig("test", "1")
	config.CreateHooks = nil // they add a link to the schema to every answer
	api := humago.New(mux, config)
	for _, o := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Analytics}, Modules: []group.Module{p.Module}}) {
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		o.Register(api, func(ctx huma.Context, next func(huma.Context)) {
			next(huma.WithContext(ctx, identity.With(ctx.Context(), identity.Principal{Subject: "u", Organization: ctx.Header("Organization"), Roles: []string{"viewer"}})))
		})
	}
	p.handler = mux
	return p
}

func single(t testing.TB, orders ...integrationsapi.Order) (*process, *shop) {
	t.Helper()
	s := newShop(orders...)
	return start(t, openDB(t), s), s
}

// changed tells the process that orders from the day from to the day to, inclusive, changed.
func (p *process) changed(t testing.TB, from, to string) {
	t.Helper()
	if err := p.tell(t.Context(), organization, from, to); err != nil {
		t.Fatal(err)
	}
}

func (p *process) tell(ctx context.Context, organization, from, to string) error {
	first, err1 := time.Parse(time.DateOnly, from)
	last, err2 := time.Parse(time.DateOnly, to)
	if err := cmp.Or(err1, err2); err != nil {
		return err
	}
	event := events.Event[integrationsapi.RecordsChanged]{Data: integrationsapi.RecordsChanged{
		Kind: integrationsapi.KindOrders, From: first, To: last.AddDate(0, 0, 1),
	}}
	event.Organization = organization
	return p.RollUp(ctx, event)
}

// synced tells the process that a connection's incremental sync has succeeded at an instant.
func (p *process) synced(t testing.TB, connection, at string) {
	t.Helper()
	if err := p.CloseSync(t.Context(), finished(t, connection, at)); err != nil {
		t.Fatal(err)
	}
}

func finished(t testing.TB, connection, at string) events.Event[integrationsapi.SyncFinished] {
	t.Helper()
	instant, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	event := events.Event[integrationsapi.SyncFinished]{Data: integrationsapi.SyncFinished{
		ConnectionID: connection, Stream: integrationsapi.KindOrders, Mode: "incremental", Status: "succeeded", FinishedAt: instant,
	}}
	event.Organization = organization
	return event
}

func (p *process) get(t testing.TB, organization, query string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/analytics/dashboard?"+query, nil)
	r.Header.Set("Organization", organization)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w
}

func (p *process) dashboard(t testing.TB, query string) *analyticsapi.Dashboard {
	t.Helper()
	w := p.get(t, organization, query)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	decoder := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	decoder.DisallowUnknownFields()
	var d analyticsapi.Dashboard
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("%s: %v in %s", query, err, w.Body)
	}
	return &d
}

// brief is figures on one line: orders, customers, revenue, average.
func brief(f analyticsapi.Figures) string {
	part := func(v any) string {
		switch v := v.(type) {
		case *int64:
			if v != nil {
				return strconv.FormatInt(*v, 10)
			}
		case *money.Amount:
			if v != nil {
				return v.String()
			}
		}
		return "null"
	}
	return strings.Join([]string{part(f.Orders), part(f.Customers), part(f.Revenue), part(f.AverageOrderValue)}, " ")
}

// cdnow is the orders of the public data set. Where the file is missing the test is skipped, and in CI fails.
func cdnow(t testing.TB) []integrationsapi.Order {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "..", "..", "..", "shared", "data", "cdnow_orders.csv"))
	if os.IsNotExist(err) {
		skip.Missing(t, "../shared/data/cdnow_orders.csv is missing beside the repository, so the real figures are NOT checked")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var orders []integrationsapi.Order
	for _, row := range rows[1:] {
		id, err1 := strconv.Atoi(row[0])
		minor, err2 := strconv.ParseInt(strings.Replace(row[4], ".", "", 1), 10, 64)
		if err := cmp.Or(err1, err2); err != nil || strings.Index(row[4], ".") != len(row[4])-3 {
			t.Fatalf("row %v: %v", row, err)
		}
		orders = append(orders, order(id, row[2], "c:"+row[1], minor))
	}
	return orders
}
