package persons_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/persons"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	ada   = "ada@example.com"
	grace = "grace@example.com"
)

var day = store.At(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))

type fixture struct {
	*persons.Service
	t       *testing.T
	db      store.DB
	records *records.Service
	bad     *quarantine
}

func start(t *testing.T) *fixture {
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
	emit := events.Emitter{Group: integrationsapi.Name, Now: time.Now, NewID: uuid.NewString}
	kept, err := records.New(t.Context(), db, emit)
	if err != nil {
		t.Fatal(err)
	}
	bad := &quarantine{}
	return &fixture{persons.New(kept, bad, db.Outbox(), emit), t, db, kept, bad}
}

// quarantine has bad records of one organization, o1.
type quarantine struct{ bad []sync.BadRecord }

func (q *quarantine) BadAbout(_ context.Context, organization, connection string, about func(sync.BadRecord) bool) (found []sync.BadRecord, _ error) {
	for _, b := range q.bad {
		if organization == "o1" && (connection == "" || connection == b.ConnectionID) && about(b) {
			found = append(found, b)
		}
	}
	return found, nil
}

func (q *quarantine) Discard(_ context.Context, _, id string) error {
	q.bad = slices.DeleteFunc(q.bad, func(b sync.BadRecord) bool { return b.ID == id })
	return nil
}

// left are the ids of those that are left.
func (q *quarantine) left() (ids []string) {
	for _, b := range q.bad {
		ids = append(ids, b.ID)
	}
	return ids
}

func customer(id int, connection, email string) integrationsapi.Customer {
	return integrationsapi.Customer{ID: fmt.Sprintf("%s:%d", connection, id), ConnectionID: connection, Vendor: "shopify", Email: email, CreatedAt: day, UpdatedAt: day}
}

func contact(id int, connection, email string) integrationsapi.Contact {
	return integrationsapi.Contact{ID: fmt.Sprintf("%s:%d", connection, id), ConnectionID: connection, Vendor: "hubspot", Email: email, CreatedAt: day, UpdatedAt: day}
}

func payment(id int, connection, email string) integrationsapi.Payment {
	return integrationsapi.Payment{
		ID: fmt.Sprintf("%s:ch_%d", connection, id), ConnectionID: connection, Vendor: "stripe", Email: email, CreatedAt: day, AmountMinor: 100, Currency: "USD", Status: "succeeded",
	}
}

// everybody is what syncs bring, of two people at several vendors.
func everybody() connector.Records {
	return connector.Records{
		Customers: []integrationsapi.Customer{customer(1, "c1", ada), customer(2, "c1", grace), customer(3, "c1", ""), customer(1, "c2", ada)},
		Contacts:  []integrationsapi.Contact{contact(51, "h1", ada), contact(52, "h1", grace)},
		Payments:  []integrationsapi.Payment{payment(1, "s1", ada), payment(2, "s1", ada), payment(3, "s1", grace)},
	}
}

func (f *fixture) put(organization string, all connector.Records) {
	f.t.Helper()
	if _, err := f.records.Put(f.t.Context(), organization, all); err != nil {
		f.t.Fatal(err)
	}
}

// found is how much there is of a person: customers, contacts, payments.
func (f *fixture) found(organization, email string) [3]int {
	f.t.Helper()
	p, err := f.Find(f.t.Context(), organization, email)
	if err != nil {
		f.t.Fatal(err)
	}
	return [3]int{len(p.Customers), len(p.Contacts), len(p.Payments)}
}

func (f *fixture) want(what string, found map[string][3]int) {
	f.t.Helper()
	for email, n := range found {
		if got := f.found("o1", email); got != n {
			f.t.Errorf("%s: %v of %s, want %v", what, got, email, n)
		}
	}
}

func TestAPersonIsErasedAndStaysSo(t *testing.T) {
	f := start(t)
	f.put("o1", everybody())
	f.put("o2", everybody())
	f.want("before", map[string][3]int{ada: {2, 1, 2}, grace: {1, 1, 1}})

	done, err := f.Erase(t.Context(), "o1", " Ada@Example.com ")
	if want := (persons.Erased{Erased: records.Erased{Customers: 2, Contacts: 1, Payments: 2}}); err != nil || *done != want {
		t.Fatalf("erased %+v, %v; want %+v", done, err, want)
	}
	f.want("after", map[string][3]int{ada: {}, grace: {1, 1, 1}})
	if got := f.found("o2", ada); got != [3]int{2, 1, 2} {
		t.Errorf("another organization has %v left", got)
	}
	page, err := f.records.Payments.Page(t.Context(), "o1", "", records.Range{}, "", 10)
	if err != nil || len(page.Items) != 3 || page.Items[0].AmountMinor != 100 {
		t.Errorf("payments %+v, %v; want all of them, with their amounts", page.Items, err)
	}
	if again, err := f.Erase(t.Context(), "o1", ada); err != nil || *again != (persons.Erased{}) {
		t.Errorf("erased again %+v, %v", again, err)
	}

	f.put("o1", everybody()) // by a sync
	f.want("after a sync", map[string][3]int{ada: {}, grace: {1, 1, 1}})
	if err := f.Readmit(t.Context(), "o1", ada); err != nil {
		t.Fatal(err)
	}
	f.put("o1", everybody())
	f.want("readmitted", map[string][3]int{ada: {2, 1, 2}})

	for _, email := range []string{"", "nobody", "@example.com", "nobody@", "m@g", "ada@example.com grace@example.com"} {
		if _, err := f.Erase(t.Context(), "o1", email); problem.Code(err) != problem.CodeValidation {
			t.Errorf("erase %q: %v", email, err)
		}
	}
}

// TestAnErasureDuringASyncMissesNothing writes and erases at the same time: whatever comes first, nothing is left of the person.
func TestAnErasureDuringASyncMissesNothing(t *testing.T) {
	f := start(t)
	var ended atomic.Bool
	wrote := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			if _, err := f.records.Put(t.Context(), "o1", connector.Records{Customers: []integrationsapi.Customer{customer(n, "c1", ada)}}); err != nil || ended.Load() {
				wrote <- err
				return
			}
		}
	}()
	for f.found("o1", ada)[0] < 20 {
	}
	if _, err := f.Erase(t.Context(), "o1", ada); err != nil {
		t.Error(err)
	}
	ended.Store(true)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	f.want("erased while a sync wrote", map[string][3]int{ada: {}})
}

// TestAKilledSyncLeavesNobody writes past an erasure, as a process does that dies before it has looked again: the next that has the page
// erases the rest.
func TestAKilledSyncLeavesNobody(t *testing.T) {
	f := start(t)
	erased, err := store.Tenant[struct {
		At store.Time `json:"at"`
	}](t.Context(), f.db, store.Def{Name: "erased-persons"})
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{ada, "h1:52"} {
		f.put("o1", everybody())
		if _, err := erased.In("o1").Insert(t.Context(), records.Digest("o1", of), struct {
			At store.Time `json:"at"`
		}{day}); err != nil {
			t.Fatal(err)
		}
	}
	f.put("o1", everybody())
	f.want("read again", map[string][3]int{ada: {}, grace: {1, 0, 1}})
}

func TestWhatMentionsAPersonIsTheirs(t *testing.T) {
	f := start(t)
	bad := func(id, connection, stream, record, raw string) sync.BadRecord {
		return sync.BadRecord{ID: id, ConnectionID: connection, Stream: stream, RecordID: record, Raw: raw}
	}
	all := []sync.BadRecord{
		bad("hers", "c1", "orders", "5", `{"customer":{"email":"Ada@Example.com"}}`),
		bad("in a text", "c1", "orders", "6", `["write to \u003cada@example.com\u003e.\nSoon"]`),
		bad("cut off", "h1", "contacts", "51", `{"email":"ada@example.com`),
		bad("another's", "c1", "orders", "7", `{"email":"joada@example.com","other":"ada@example.com.au","more":"x.ada@example.com"}`),
		bad("a customer", "c1", "customers", "1", `{}`),
		bad("an order of that number", "c1", "orders", "1", `{}`),
		bad("another shop's", "c2", "customers", "1", `{}`),
	}
	f.bad.bad = slices.Clone(all)
	if p, err := f.Find(t.Context(), "o1", ada); err != nil || len(p.Quarantined) != 3 {
		t.Errorf("found %+v, %v", p, err)
	}
	done, err := f.Erase(t.Context(), "o1", ada)
	if want := []string{"another's", "a customer", "an order of that number", "another shop's"}; err != nil || done.Quarantined != 3 || !slices.Equal(f.bad.left(), want) {
		t.Errorf("erased %+v, %v; left %q, want %q", done, err, f.bad.left(), want)
	}
	ctx := identity.AsGroup(t.Context(), topology.Integrations, "o1")
	if err := f.Forget(ctx, "o1", "c1", connector.Forget{Person: "1"}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"another's", "an order of that number", "another shop's"}; !slices.Equal(f.bad.left(), want) {
		t.Errorf("forgotten; left %q, want %q", f.bad.left(), want)
	}
	if err := f.Forget(ctx, "o1", "c1", connector.Forget{Everything: true}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"another shop's"}; !slices.Equal(f.bad.left(), want) {
		t.Errorf("with the shop gone; left %q, want %q", f.bad.left(), want)
	}
}

func TestWhatAVendorHasErasedIsForgotten(t *testing.T) {
	f := start(t)
	ctx := identity.AsGroup(t.Context(), topology.Integrations, "o1")
	all := everybody()
	all.Payments = append(all.Payments, payment(4, "c1", ada))
	f.put("o1", all)
	for range 2 { // it may be told of again
		if err := f.Forget(ctx, "o1", "c1", connector.Forget{Person: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	f.want("forgotten in one shop", map[string][3]int{ada: {1, 1, 2}, grace: {1, 1, 1}})
	late := customer(1, "c1", "")
	f.put("o1", connector.Records{Customers: []integrationsapi.Customer{customer(1, "c1", ada), late}}) // a page that was on its way
	f.want("a late page", map[string][3]int{ada: {1, 1, 2}})
	if err := f.Forget(ctx, "o1", "h1", connector.Forget{Person: "51"}); err != nil {
		t.Fatal(err)
	}
	f.want("forgotten by the list, too", map[string][3]int{ada: {1, 0, 2}, grace: {1, 1, 1}})
	if err := f.Forget(ctx, "o1", "c1", connector.Forget{Everything: true}); err != nil {
		t.Fatal(err)
	}
	f.want("with the shop gone", map[string][3]int{ada: {1, 0, 2}, grace: {0, 1, 1}})

	messages, err := f.db.Outbox().Pending(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var last audit.Entry
	for _, m := range messages {
		if raw, err := events.Decode(m.Data); err != nil {
			t.Fatal(err)
		} else if m.Topic == audit.Recorded.Wire() {
			last = audit.Entry{}
			if err := json.Unmarshal(raw.Data, &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := map[string]string{"connection_id": "c1", "records": "3", "quarantined": "0"}
	if last.Action != "integrations.records.forget" || last.Resource != "connection:c1" || !reflect.DeepEqual(last.Details, want) {
		t.Errorf("the last audit entry is %+v, want details %v", last, want)
	}
}

func TestAPersonHasWhatIsKeptUnderTheirAddress(t *testing.T) {
	f := start(t)
	f.put("o1", connector.Records{Customers: []integrationsapi.Customer{customer(1, "c1", ada), customer(2, "c1", grace), customer(3, "c1", "")}})
	for _, c := range []struct {
		person privacy.Person
		want   map[string]any
	}{
		{privacy.Person{Organization: "o1", User: "u1", Email: ada}, map[string]any{"customers": []integrationsapi.Customer{customer(1, "c1", ada)}}},
		{privacy.Person{Organization: "o1", User: "u1", Email: "somebody@example.com"}, nil},
		{privacy.Person{Organization: "o1", User: "u1"}, nil},
		{privacy.Person{Organization: "o2", User: "u1", Email: ada}, nil},
	} {
		if got, err := f.Export(t.Context(), c.person); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %v, %v; want %v", c.person, got, err, c.want)
		}
	}
}
