package sync_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	stdsync "sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/shopify"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/host/hosttest"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/vault"
)

const (
	org  = "o1"
	shop = "demo"
	// pageSize keeps the shops small that have several pages.
	pageSize = 25
)

// smallPages is the real connector with pages of pageSize. The streams in broken fail.
type smallPages struct {
	*shopify.Connector
	broken map[string]*connector.Error
	// spoilAll tells that no record has a time.
	spoilAll *bool
}

func (c smallPages) Streams() []connector.Stream {
	streams := c.Connector.Streams()
	for i := range streams {
		streams[i].PageSize = pageSize
		pull, name := streams[i].Pull, streams[i].Name
		streams[i].Pull = func(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
			if err := c.broken[name]; err != nil {
				return connector.Page{}, err
			}
			page, err := pull(ctx, a, r)
			for i := range page.Records.Orders {
				if *c.spoilAll {
					page.Records.Orders[i].PlacedAt = store.Time{}
				}
			}
			return page, err
		}
	}
	return streams
}

// clock moves as a real one does, a little more whenever it is read, and as far as a test wants.
type clock struct {
	mu   stdsync.Mutex
	at   time.Time
	read time.Time // when it was read last
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	now := time.Now()
	if !c.read.IsZero() {
		c.at = c.at.Add(now.Sub(c.read))
	}
	c.read = now
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// launches remembers executions instead of driving them: the test does.
type launches struct {
	mu   stdsync.Mutex
	last map[string]runs.Key
}

func (l *launches) Host(topology.Group, runs.Drive) {}
func (l *launches) Start(context.Context) error     { return nil }
func (l *launches) Stop(context.Context) error      { return nil }
func (l *launches) Launch(_ context.Context, k runs.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[k.Run] = k
	return nil
}

// wire is the way to the vendor: it counts requests, and a test can act before one.
type wire struct {
	mu     stdsync.Mutex
	count  int
	before func(n int)
	// points are what queries have cost at the vendor.
	points float64
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.count++
	n, before := w.count, w.before
	w.mu.Unlock()
	if before != nil {
		before(n)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = resp.Body.Close()
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil { // the caller meets it too
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), iotest.ErrReader(err)))
	}
	if cost := costPattern.FindSubmatch(body); cost != nil {
		points, err := strconv.ParseFloat(string(cost[1]), 64)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.points += points
		w.mu.Unlock()
	}
	return resp, nil
}

var costPattern = regexp.MustCompile(`"actualQueryCost":(\d+)`)

func (w *wire) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// onRequest acts before the n-th request from now.
func (w *wire) onRequest(n int, act func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n += w.count
	w.before = func(i int) {
		if i == n {
			act()
		}
	}
}

type fixture struct {
	*sync.Service
	t           *testing.T
	db          store.DB
	clock       *clock
	wire        *wire
	runner      *runs.Runner
	executor    *launches
	connections *connection.Service
	records     *records.Service
	sandbox     string
	path        string            // of the database
	want        map[string]string // the orders that there are at the vendor
	connection  string
	broken      map[string]*connector.Error // streams of the vendor that fail
	spoilAll    bool                        // no order of the vendor can be one
	more        []connector.Connector       // beside the shops'
}

// open connects a shop with n orders. Several have the same time, as pages are told apart by it.
func open(t *testing.T, n int) *fixture {
	t.Helper()
	f := &fixture{
		t: t, clock: &clock{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}, wire: &wire{},
		executor: &launches{last: map[string]runs.Key{}}, want: map[string]string{}, broken: map[string]*connector.Error{},
	}
	var csv strings.Builder
	csv.WriteString("order_id,customer_id,ordered_at,items,total,currency\n")
	for i := range n {
		placed := time.Date(2024, 1, 1+i/20, 12, 0, 0, 0, time.UTC)
		fmt.Fprintf(&csv, "%d,%d,%s,%d,%d.%02d,USD\n", 1000+i, 1+i%97, placed.Format(time.RFC3339), 1+i%3, i%200, i%100)
		f.expect(1000+i, strconv.Itoa(1+i%97), placed, int64(i%200*100+i%100))
	}
	file := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(file, []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	handler, err := sandbox.New(sandbox.Config{OrdersFile: file, Now: f.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	f.sandbox = server.URL
	f.path = filepath.Join(t.TempDir(), "integrations.db")
	f.store(0)
	f.restart()
	f.connection = f.connect(org, shop, "shpat_0123456789")
	return f
}

// store opens the database, with room for so many bytes, 0 for any.
func (f *fixture) store(bytes int64) {
	f.t.Helper()
	db, err := store.SQLite{Path: f.path, MaxBytes: bytes}.Open(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	f.db = db
	f.t.Cleanup(func() {
		if err := db.Close(); err != nil {
			f.t.Error(err)
		}
	})
}

// restart is a new process on the same database; nobody tells the old one, whose lease goes on.
func (f *fixture) restart() {
	f.t.Helper()
	now, newID := f.clock.now, uuid.NewString
	emit := events.Emitter{Group: integrationsapi.Name, Now: now, NewID: newID}
	must := func(err error) {
		f.t.Helper()
		if err != nil {
			f.t.Fatal(err)
		}
	}
	var err error
	f.runner, err = runs.NewRunner(f.t.Context(), runs.Options{
		Group: integrationsapi.Name, DB: f.db, Executor: f.executor, Owner: newID(), Now: now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	must(err)
	client := &http.Client{Transport: f.wire, Timeout: 300 * time.Millisecond}
	vendor, err := shopify.NewConnector(f.sandbox+"/shopify/{shop}", "", connector.App{}, client, now)
	must(err)
	keys := secrets.Map{"credentials-key": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, vault.KeySize))}
	f.connections, err = connection.New(f.t.Context(), connection.Options{
		DB: f.db, Vault: vault.New(keys, "credentials-key", now), Connectors: append([]connector.Connector{smallPages{vendor, f.broken, &f.spoilAll}}, f.more...),
		Emit: emit, Quota: quota.NewClient(hosttest.NewAuthority()), Every: sync.Every, Now: now, NewID: newID,
	})
	must(err)
	f.records, err = records.New(f.t.Context(), f.db, emit)
	must(err)
	f.Service, err = sync.New(f.t.Context(), sync.Options{
		DB: f.db, Runs: f.runner, Connections: f.connections, Records: f.records, Emit: emit, Now: now, NewID: newID,
	})
	must(err)
	must(f.runner.Register(f.RunKind()))
}

func (f *fixture) connect(organization, shop, token string) string {
	f.t.Helper()
	c, _, err := f.connections.Connect(f.t.Context(), organization, shopify.Vendor, shop+".myshopify.com", connector.Credentials{AccessToken: secrets.New(token)})
	if err != nil {
		f.t.Fatal(err)
	}
	return c.ID
}

func (f *fixture) start(mode sync.Mode) runs.Run { return f.startOf("orders", mode) }

func (f *fixture) startOf(stream string, mode sync.Mode) runs.Run {
	f.t.Helper()
	run, err := f.Start(f.t.Context(), org, sync.Input{ConnectionID: f.connection, Stream: stream, Mode: mode})
	if err != nil {
		f.t.Fatal(err)
	}
	return run
}

// drive goes on with a run until it has ended, letting pass the time that it waits. slices bounds how long that may take.
func (f *fixture) drive(id string, slices int) runs.Run {
	f.t.Helper()
	for range slices {
		outcome, err := f.runner.Drive(f.t.Context(), f.executor.last[id])
		if err != nil {
			f.t.Fatal(err)
		}
		if outcome.Done {
			break
		}
		f.clock.pass(outcome.Wait)
	}
	run, err := f.Get(f.t.Context(), org, id)
	if err != nil {
		f.t.Fatal(err)
	}
	return run
}

// view is a sync as its owner sees it.
func (f *fixture) view(id string) sync.View {
	f.t.Helper()
	run, err := f.Get(f.t.Context(), org, id)
	if err != nil {
		f.t.Fatal(err)
	}
	v, err := sync.ViewOf(run)
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

// sync runs a sync to its good end.
func (f *fixture) sync(mode sync.Mode) sync.Counts { return f.syncOf("orders", mode) }

func (f *fixture) syncOf(stream string, mode sync.Mode) sync.Counts {
	f.t.Helper()
	run := f.drive(f.startOf(stream, mode).ID, 200)
	if run.Status != runs.Succeeded {
		f.t.Fatalf("the sync is %s: %+v", run.Status, run.Error)
	}
	var counts sync.Counts
	if err := json.Unmarshal(run.Progress, &counts); err != nil {
		f.t.Fatal(err)
	}
	return counts
}

// admin asks the sandbox itself, as in "POST faults".
func (f *fixture) admin(what, body string) {
	f.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	r, err := http.NewRequest(method, f.sandbox+"/sandbox/shopify/"+shop+"/"+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		answer, _ := io.ReadAll(resp.Body) // for the message only
		f.t.Errorf("%s: %s %s", what, resp.Status, answer)
	}
}

// adminInto asks the sandbox itself, and decodes what it says.
func (f *fixture) adminInto(what string, into any) {
	f.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.sandbox+"/sandbox/shopify/"+shop+"/"+path, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %s, %v", what, resp.Status, err)
	}
}

// place adds an order at the vendor, or changes its total.
func (f *fixture) place(id int, minor int64) {
	f.t.Helper()
	placed := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.admin("POST orders", fmt.Sprintf(`{"orders":[{"id":%d,"customer_id":7,"created_at":%q,"total":"%d.%02d"}]}`, id, placed.Format(time.RFC3339), minor/100, minor%100))
	f.expect(id, "7", placed, minor)
}

func (f *fixture) expect(id int, customer string, placed time.Time, minor int64) {
	f.want[strconv.Itoa(id)] = fmt.Sprintf("%s %s %d USD", customer, placed.UTC().Format(time.RFC3339), minor)
}

// check compares the records with the vendor's orders, each once.
func (f *fixture) check() {
	f.t.Helper()
	got := map[string]string{}
	for cursor := ""; ; {
		page, err := f.records.Orders.Page(f.t.Context(), org, "", records.Range{}, cursor, 1000)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, o := range page.Items {
			id, ok := strings.CutPrefix(o.ID, f.connection+":")
			customer, _ := strings.CutPrefix(o.CustomerID, f.connection+":")
			if _, twice := got[id]; !ok || twice {
				f.t.Errorf("order %s is there twice or has no place", o.ID)
			}
			got[id] = fmt.Sprintf("%s %s %d %s", customer, o.PlacedAt.Format(time.RFC3339), o.TotalMinor, o.Currency)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(got) != len(f.want) {
		f.t.Errorf("%d orders, want %d", len(got), len(f.want))
	}
	for id, want := range f.want {
		if got[id] != want {
			f.t.Errorf("order %s is %q, want %q", id, got[id], want)
			return
		}
	}
}

// told takes the data of a topic's events out of the outbox, and forgets those of other topics.
func told[T any](f *fixture, topic events.Topic[T]) []T {
	f.t.Helper()
	all := []T{}
	for {
		messages, err := f.db.Outbox().Pending(f.t.Context(), 1000)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(messages) == 0 {
			return all
		}
		for _, m := range messages {
			if m.Topic == topic.Wire() {
				raw, err := events.Decode(m.Data)
				if err != nil {
					f.t.Fatal(err)
				}
				var data T
				if err := json.Unmarshal(raw.Data, &data); err != nil {
					f.t.Fatal(err)
				}
				all = append(all, data)
			}
			if err := f.db.Outbox().Done(f.t.Context(), m.ID); err != nil {
				f.t.Fatal(err)
			}
		}
	}
}
