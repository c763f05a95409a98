// Package storetest is the conformance suite of pkg/store: what every backend must do, as tests that read as its manual.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

// Place is where one database is kept: each call opens it again, closed when t ends.
type Place func(t *testing.T) store.DB

// Run runs the suite; fresh makes an empty place.
func Run(t *testing.T, fresh func(t *testing.T) Place) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, place Place)
	}{
		{"Documents", testDocuments},
		{"Versions", testVersions},
		{"NoLostUpdate", testNoLostUpdate},
		{"Values", testValues},
		{"BadIDs", testBadIDs},
		{"Organizations", testOrganizations},
		{"WithoutOrganization", testWithoutOrganization},
		{"UniqueKeys", testUniqueKeys},
		{"UniqueRace", testUniqueRace},
		{"PutMany", testPutMany},
		{"PutManyRace", testPutManyRace},
		{"InsertMany", testInsertMany},
		{"Order", testOrder},
		{"RandomQueries", testRandomQueries},
		{"CursorStable", testCursorStable},
		{"ByUpdate", testByUpdate},
		{"BadCursors", testBadCursors},
		{"BadQueries", testBadQueries},
		{"IndexUse", testIndexUse},
		{"IndexChange", testIndexChange},
		{"Migrations", testMigrations},
		{"MigrationsAtOnce", testMigrationsAtOnce},
		{"MigrationsCutOff", testMigrationsCutOff},
		{"BadDefinitions", testBadDefinitions},
		{"Integers", testIntegers},
		{"Times", testTimes},
		{"Sum", testSum},
		{"Outbox", testOutbox},
		{"OutboxAtomic", testOutboxAtomic},
		{"OutboxOfDeleted", testOutboxOfDeleted},
		{"OutboxPartlyDone", testOutboxPartlyDone},
		{"OutboxAdd", testOutboxAdd},
		{"EraseOrganization", testEraseOrganization},
		{"Refresh", testRefresh},
		{"Cancelled", testCancelled},
		{"TwoHandles", testTwoHandles},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

// order is the document of most tests: every kind of indexed field, some of them optional.
type order struct {
	Customer string         `json:"customer"`
	Status   *string        `json:"status,omitempty"` // missing when nil
	Email    *string        `json:"email"`            // null when nil
	Placed   store.Time     `json:"placed"`
	Total    int64          `json:"total"`
	Rate     float64        `json:"rate"`
	Paid     bool           `json:"paid"`
	Ship     address        `json:"ship"`
	Extra    map[string]any `json:"extra,omitempty"`
}

type address struct {
	City string `json:"city"`
}

var orders = store.Def{Name: "orders", Indexes: []store.Index{
	{Name: "placed", Fields: []string{"placed"}},
	{Name: "status", Fields: []string{"status", "placed"}, Include: []string{"total"}},
	{Name: "email", Fields: []string{"email"}, Unique: true},
	{Name: "total", Fields: []string{"total"}},
	{Name: "paid", Fields: []string{"paid", "rate"}},
	{Name: "city", Fields: []string{"ship.city", "customer", "total"}},
	{Name: "updated", Fields: []string{store.UpdatedAt}},
	{Name: "paid-updated", Fields: []string{"paid", store.UpdatedAt}},
}}

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func text(s string) *string { return &s }

func openOrders(t *testing.T, db store.DB) *store.Collection[order] {
	t.Helper()
	c, err := store.Tenant[order](t.Context(), db, orders)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ordersIn(t *testing.T, place Place) (store.DB, *store.Documents[order]) {
	t.Helper()
	db := place(t)
	return db, openOrders(t, db).In("acme")
}

func insert[T any](t *testing.T, d *store.Documents[T], id string, value T, messages ...store.Message) store.Doc[T] {
	t.Helper()
	doc, err := d.Insert(t.Context(), id, value, messages...)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func get[T any](t *testing.T, d *store.Documents[T], id string) store.Doc[T] {
	t.Helper()
	doc, err := d.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// same compares values of any shape by their JSON.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	gotText, err := json.Marshal(got)
	must(t, err)
	wantText, err := json.Marshal(want)
	must(t, err)
	equal(t, what, string(gotText), string(wantText))
}

// list is the ids that q selects, over pages of the given size.
func list[T any](t *testing.T, d *store.Documents[T], q store.Query, limit int) []string {
	t.Helper()
	ids := []string{}
	for q.Limit = limit; ; {
		page, err := d.Find(t.Context(), q)
		must(t, err)
		if len(page.Items) > limit {
			t.Fatalf("a page of %d items, limit %d", len(page.Items), limit)
		}
		for _, doc := range page.Items {
			ids = append(ids, doc.ID)
		}
		if page.Next == "" {
			return ids
		}
		q.Cursor = page.Next
	}
}

// noted makes a message whose id is also its data.
func noted(id string) store.Message {
	return store.Message{ID: id, Topic: "orders.changed", Data: []byte(id)}
}

func pending(t *testing.T, db store.DB, limit int) []string {
	t.Helper()
	messages, err := db.Outbox().Pending(t.Context(), limit)
	must(t, err)
	ids := []string{}
	for _, m := range messages {
		if m.Topic != "orders.changed" || string(m.Data) != m.ID {
			t.Errorf("message %s came back with topic %q and data %q", m.ID, m.Topic, m.Data)
		}
		ids = append(ids, m.ID)
	}
	return ids
}

func done(t *testing.T, db store.DB, ids ...string) {
	t.Helper()
	must(t, db.Outbox().Done(t.Context(), ids...))
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
