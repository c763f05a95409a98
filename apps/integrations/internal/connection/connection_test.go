package connection_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// vendor knows accounts by name and refuses the token "bad".
type vendor struct{ err error }

func (vendor) Vendor() string              { return "acme" }
func (vendor) Streams() []connector.Stream { return []connector.Stream{{Name: "orders"}} }

func (v vendor) Identify(_ context.Context, a connector.Account) (connector.Identity, error) {
	return connector.Identity{ID: "id-of-" + a.Name, Account: a.Name, Title: a.Name, Currency: "EUR", TimeZone: "Etc/UTC", Scopes: []string{"read"}}, v.err
}

const every = 15 * time.Minute

type fixture struct {
	*connection.Service
	db   store.DB
	dir  string
	now  time.Time
	keys secrets.Map
	// looked is what happens when the clock is looked at; nil for nothing.
	looked func()
	places
}

// places are those that a plan has for connections, as many as limit says; 0 for no limit.
type places struct {
	limit int
	mu    sync.Mutex
	taken map[string]bool
}

func (p *places) Take(_ context.Context, organization string, r quota.Resource, id string, amount int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == nil {
		p.taken = map[string]bool{}
	}
	at := organization + "/" + id
	if p.limit > 0 && !p.taken[at] && len(p.taken) >= p.limit {
		return quota.Exceeded(r, int64(len(p.taken)), int64(p.limit))
	}
	p.taken[at] = amount == 1
	return nil
}

func (p *places) Release(_ context.Context, organization string, _ quota.Resource, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, organization+"/"+id)
	return nil
}

func key(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, vault.KeySize))
}

func open(t *testing.T, vendors ...connector.Connector) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), keys: secrets.Map{"credentials-key": key(1)}}
	db, err := store.OpenSQLite(t.Context(), filepath.Join(f.dir, "integrations.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	f.db = db
	f.Service = f.serve(t, vendors...)
	return f
}

// serve is one process on the database.
func (f *fixture) serve(t *testing.T, vendors ...connector.Connector) *connection.Service {
	t.Helper()
	now := func() time.Time {
		if f.looked != nil {
			f.looked()
		}
		return f.now
	}
	s, err := connection.New(t.Context(), connection.Options{
		DB: f.db, Vault: vault.New(f.keys, "credentials-key", now), Connectors: vendors,
		Emit: events.Emitter{Group: integrationsapi.Name, Now: now, NewID: uuid.NewString}, Quota: &f.places, Every: every, Now: now, NewID: uuid.NewString,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func credentials(token string) connector.Credentials {
	return connector.Credentials{AccessToken: secrets.New(token)}
}

func (f *fixture) connect(t *testing.T, organization, account, token string) (connection.Connection, bool) {
	t.Helper()
	c, created, err := f.Connect(t.Context(), organization, "acme", account, credentials(token))
	if err != nil {
		t.Fatal(err)
	}
	return c, created
}

func (f *fixture) topics(t *testing.T) []string {
	t.Helper()
	messages, err := f.db.Outbox().Pending(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	topics := []string{}
	for _, m := range messages {
		topics = append(topics, m.Topic)
		if err := f.db.Outbox().Done(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	return topics
}

func TestAConnectionIsVerifiedSealedAndTold(t *testing.T) {
	f := open(t, vendor{})
	c, created := f.connect(t, "o1", "shop-1", "token-one")
	if !created || c.Account != "shop-1" || c.Currency != "EUR" || c.Status != connection.Active {
		t.Errorf("created %t: %+v", created, c)
	}
	if got := f.topics(t); fmt.Sprint(got) != "[tandem.integrations.connection.created]" {
		t.Errorf("events %v", got)
	}
	_, account, err := f.Open(t.Context(), "o1", c.ID, connection.Use{Purpose: connection.ForTest})
	if err != nil || account.Credentials.AccessToken.Reveal() != "token-one" || account.Name != "shop-1" || account.Connection != c.ID {
		t.Errorf("opened %+v, %v", account, err)
	}
	view, err := json.Marshal(f.View(c))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(view, []byte("token-one")) || bytes.Contains(view, []byte("redential")) || bytes.Contains(view, []byte("nvelope")) {
		t.Errorf("the view tells of credentials: %s", view)
	}
	if printed := fmt.Sprintf("%v %+v %#v", c, c, account); strings.Contains(printed, "token-one") {
		t.Errorf("printed: %s", printed)
	}
	files, err := os.ReadDir(f.dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(f.dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("token-one")) {
			t.Errorf("%s holds the token", file.Name())
		}
	}
}

func TestAnAccountHasOneConnection(t *testing.T) {
	f := open(t, vendor{})
	first, _ := f.connect(t, "o1", "shop-1", "token-one")
	f.now = f.now.Add(time.Hour)
	again, created := f.connect(t, "o1", "shop-1", "token-two")
	if created || again.ID != first.ID {
		t.Errorf("created %t, connection %s after %s", created, again.ID, first.ID)
	}
	if _, account, err := f.Open(t.Context(), "o1", first.ID, connection.Use{Purpose: connection.ForTest}); err != nil || account.Credentials.AccessToken.Reveal() != "token-two" {
		t.Errorf("credentials of the second time: %v", err)
	}
	if other, created := f.connect(t, "o2", "shop-1", "token-one"); !created || other.ID == first.ID {
		t.Error("two organizations share a connection")
	}

	var wait sync.WaitGroup
	var mu sync.Mutex
	found := map[string]int{}
	for range 8 {
		wait.Go(func() {
			c, _, err := f.Connect(t.Context(), "o3", "acme", "shop-1", credentials("token"))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[c.ID]++
		})
	}
	wait.Wait()
	if len(found) != 1 {
		t.Errorf("connected at once 8 times: %v, want one connection", found)
	}
}

// A plan's places are taken by connections that live, however often they are renewed, and come free with them.
func TestConnectionsTakePlacesOfThePlan(t *testing.T) {
	f := open(t, vendor{})
	f.limit = 2
	f.connect(t, "o1", "first", "t")
	f.connect(t, "o1", "first", "t2")
	second, _ := f.connect(t, "o1", "second", "t")
	full := func() {
		t.Helper()
		_, _, err := f.Connect(t.Context(), "o1", "acme", "third", credentials("t"))
		if problem.Code(err) != problem.CodeQuota {
			t.Fatalf("a third connection of two: %v; want %s", err, problem.CodeQuota)
		}
	}
	full()
	if err := f.Disconnect(t.Context(), "o1", "acme", second.ID); err != nil {
		t.Fatal(err)
	}
	third, _ := f.connect(t, "o1", "third", "t")
	if _, _, err := f.Connect(t.Context(), "o1", "acme", "second", credentials("t")); problem.Code(err) != problem.CodeQuota {
		t.Errorf("connecting the former one again: %v; want %s", err, problem.CodeQuota)
	}
	if err := f.Disconnect(t.Context(), "o1", "acme", third.ID); err != nil {
		t.Fatal(err)
	}
	f.connect(t, "o1", "second", "t")
	full()
}

func TestDisconnectErasesCredentialsAndCanBeUndone(t *testing.T) {
	f := open(t, vendor{})
	c, _ := f.connect(t, "o1", "shop-1", "token-one")
	f.topics(t)
	for range 2 {
		if err := f.Disconnect(t.Context(), "o1", "acme", c.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.topics(t); fmt.Sprint(got) != "[tandem.integrations.connection.disconnected]" {
		t.Errorf("events of two disconnects: %v", got)
	}
	gone, err := f.Get(t.Context(), "o1", c.ID)
	if err != nil || gone.Credentials != nil || gone.Status != connection.Disconnected || gone.DisconnectedAt == nil {
		t.Errorf("%+v, %v", gone, err)
	}
	if _, _, err := f.Open(t.Context(), "o1", c.ID, connection.Use{Purpose: connection.ForTest}); problem.Code(err) != connection.CodeDisconnected {
		t.Errorf("opened: %v", err)
	}
	back, created := f.connect(t, "o1", "shop-1", "token-two")
	if created || back.ID != c.ID || back.Status != connection.Active || back.DisconnectedAt != nil {
		t.Errorf("connected again: %t %+v", created, back)
	}
	if got := f.topics(t); fmt.Sprint(got) != "[tandem.integrations.connection.created]" {
		t.Errorf("events of connecting again: %v", got)
	}
}

func TestDisconnectWithoutAnIDNeedsExactlyOneConnection(t *testing.T) {
	f := open(t, vendor{})
	if err := f.Disconnect(t.Context(), "o1", "acme", ""); problem.Code(err) != problem.CodeNotFound {
		t.Errorf("none: %v", err)
	}
	first, _ := f.connect(t, "o1", "shop-1", "x")
	second, _ := f.connect(t, "o1", "shop-2", "x")
	if err := f.Disconnect(t.Context(), "o1", "acme", ""); problem.Code(err) != problem.CodeValidation || !strings.Contains(err.Error(), "query.connection_id") {
		t.Errorf("two: %v", err)
	}
	if err := f.Disconnect(t.Context(), "o1", "acme", first.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.Disconnect(t.Context(), "o1", "acme", ""); err != nil {
		t.Errorf("one left: %v", err)
	}
	if c, err := f.Get(t.Context(), "o1", second.ID); err != nil || c.Status != connection.Disconnected {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAnotherOrganizationsConnectionIsNotThere(t *testing.T) {
	f := open(t, vendor{})
	c, _ := f.connect(t, "o1", "shop-1", "x")
	_, getErr := f.Get(t.Context(), "o2", c.ID)
	_, _, openErr := f.Open(t.Context(), "o2", c.ID, connection.Use{Purpose: connection.ForTest})
	for name, err := range map[string]error{
		"get": getErr, "open": openErr, "disconnect": f.Disconnect(t.Context(), "o2", "acme", c.ID),
		"disconnect the only one": f.Disconnect(t.Context(), "o2", "acme", ""), "another vendor": f.Disconnect(t.Context(), "o1", "other", c.ID),
	} {
		if problem.Code(err) != problem.CodeNotFound {
			t.Errorf("%s: %v, want not_found", name, err)
		}
	}
	if list, _, err := f.List(t.Context(), "o2", "acme", "", 50); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if still, err := f.Get(t.Context(), "o1", c.ID); err != nil || still.Status != connection.Active {
		t.Errorf("%+v, %v", still, err)
	}
}

func TestWhatAVendorsRefusalBecomes(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{&connector.Error{Class: connector.Unauthorized, Code: connector.CodeCredentialsRefused}, 422, "credentials_refused"},
		{&connector.Error{Class: connector.Permanent, Code: connector.CodePermissionMissing}, 422, "vendor_permission_missing"},
		{&connector.Error{Class: connector.Permanent, Code: connector.CodeAccountUnavailable}, 422, "vendor_account_unavailable"},
		{&connector.Error{Class: connector.Transient, Code: connector.CodeUnavailable}, 503, "vendor_unavailable"},
		{&connector.Error{Class: connector.Throttled, Code: connector.CodeThrottled, Wait: 3 * time.Second}, 503, "vendor_throttled"},
		{connector.BadAnswer("rubbish"), 502, "vendor_answer_invalid"},
		{errors.New("no idea"), 503, "vendor_unavailable"},
	} {
		f := open(t, vendor{c.err})
		_, _, err := f.Connect(t.Context(), "o1", "acme", "shop-1", credentials("x"))
		if p := problem.From(err); p.Code != c.code || p.Status != c.status {
			t.Errorf("%v: %d %s, want %d %s", c.err, p.Status, p.Code, c.status, c.code)
		}
		if list, _, err := f.List(t.Context(), "o1", "acme", "", 50); err != nil || len(list) != 0 {
			t.Errorf("%v: kept %v, %v", c.err, list, err)
		}
	}
}

func TestOnlyTheCredentialsThatWereRefusedNeedAttention(t *testing.T) {
	f := open(t, vendor{})
	before, _ := f.connect(t, "o1", "shop-1", "old")
	f.connect(t, "o1", "shop-1", "new")
	why := connection.Problem{Code: connector.CodeCredentialsRefused, Message: "the vendor refuses the credentials"}
	if again, err := f.Refused(t.Context(), "o1", before, why); err != nil || !again {
		t.Fatalf("there is another token to try: %t, %v", again, err)
	}
	now, err := f.Get(t.Context(), "o1", before.ID)
	if err != nil || now.Status != connection.Active {
		t.Fatalf("after the old token was refused: %+v, %v", now, err)
	}
	if again, err := f.Refused(t.Context(), "o1", now, why); err != nil || again {
		t.Fatal(err)
	}
	if now, err = f.Get(t.Context(), "o1", before.ID); err != nil || now.Status != connection.NeedsAttention || f.View(now).Problem.Problem != why {
		t.Errorf("after the new token was refused: %+v, %v", now, err)
	}
	if _, _, err := f.Open(t.Context(), "o1", before.ID, connection.Use{Purpose: connection.ForTest}); problem.Code(err) != connection.CodeNeedsAttention {
		t.Errorf("opened: %v", err)
	}
	if back, _ := f.connect(t, "o1", "shop-1", "newer"); back.Status != connection.Active || back.Problem != nil {
		t.Errorf("connected again: %+v", back)
	}
}

func TestAWrongKeyIsTheOperatorsAndPasses(t *testing.T) {
	f := open(t, vendor{})
	c, _ := f.connect(t, "o1", "shop-1", "token-one")
	f.keys["credentials-key"] = key(2)
	restarted := f.serve(t, vendor{})
	for range 2 {
		if _, _, err := restarted.Open(t.Context(), "o1", c.ID, connection.Use{Purpose: connection.ForTest}); !errors.Is(err, vault.ErrOtherKey) || problem.Code(err) != "" {
			t.Errorf("with another key: %v", err) // a problem would end the sync for good
		}
	}
	if now, err := f.Get(t.Context(), "o1", c.ID); err != nil || now.Status != connection.Active || now.Problem != nil {
		t.Errorf("with another key: %+v, %v", now, err)
	}
	f.keys["credentials-key"] = key(1)
	if _, account, err := restarted.Open(t.Context(), "o1", c.ID, connection.Use{Purpose: connection.ForTest}); err != nil || account.Credentials.AccessToken.Reveal() != "token-one" {
		t.Errorf("with the key put back: %v", err)
	}
}

// tamper changes the sealed credentials of a connection of o1.
func (f *fixture) tamper(t *testing.T, id string) {
	t.Helper()
	kept, err := store.Tenant[connection.Connection](t.Context(), f.db, store.Def{Name: "connections", Indexes: []store.Index{
		{Name: "account", Fields: []string{"vendor", "account_id"}, Unique: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kept.In("o1").Update(t.Context(), id, func(c *connection.Connection) ([]store.Message, error) {
		c.Credentials.Envelope[len(c.Credentials.Envelope)-1] ^= 1
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestCredentialsThatWereChangedNeedAttention(t *testing.T) {
	f := open(t, vendor{})
	c, _ := f.connect(t, "o1", "shop-1", "token-one")
	f.tamper(t, c.ID)
	if _, _, err := f.Open(t.Context(), "o1", c.ID, connection.Use{Purpose: connection.ForTest}); problem.Code(err) != connection.CodeUnreadable {
		t.Errorf("opened: %v", err)
	}
	if now, err := f.Get(t.Context(), "o1", c.ID); err != nil || now.Status != connection.NeedsAttention || now.Problem.Code != connection.CodeUnreadable {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestAWatermarkNeverGoesBack(t *testing.T) {
	f := open(t, vendor{})
	c, _ := f.connect(t, "o1", "shop-1", "x")
	at := func(hours int) store.Time { return store.At(f.now.Add(time.Duration(hours) * time.Hour)) }
	for _, read := range []connection.Stream{
		{Watermark: at(5)}, {Watermark: at(3), SyncedAt: at(7), RunID: "run-2"}, {Watermark: at(4), SyncedAt: at(6), RunID: "run-1"}, {},
	} {
		if err := f.Read(t.Context(), "o1", c.ID, "orders", read); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.Get(t.Context(), "o1", c.ID)
	if want := (connection.Stream{Watermark: at(5), SyncedAt: at(7), RunID: "run-2"}); err != nil || !reflect.DeepEqual(got.Streams["orders"], want) {
		t.Errorf("%+v, %v; want %+v", got.Streams, err, want)
	}
}

func TestConnectionsFallDueOnceEachInterval(t *testing.T) {
	f := open(t, vendor{})
	other := f.serve(t, vendor{})
	due := func(s *connection.Service) (visited []string) {
		t.Helper()
		err := s.EachDue(t.Context(), func(_ context.Context, organization, id string) error {
			visited = append(visited, organization+"/"+id)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return visited
	}
	at := map[time.Duration]bool{} // when they fall due, to the minute
	var ids []string
	for i := range 20 {
		c, _ := f.connect(t, fmt.Sprintf("o%d", i%3), fmt.Sprintf("shop-%d", i), "x")
		ids = append(ids, c.ID)
	}
	began, total := f.now, map[string]int{}
	for ; f.now.Sub(began) <= 2*every; f.now = f.now.Add(time.Minute) {
		for _, id := range append(due(f.Service), due(other)...) {
			total[id]++
			at[f.now.Sub(began)] = true
			if f.now.Sub(began) < every {
				t.Errorf("due %s after it was connected", f.now.Sub(began))
			}
		}
	}
	if len(total) != 20 || len(at) < 5 {
		t.Errorf("%d connections of 20 fell due, in %d different minutes", len(total), len(at))
	}
	for id, n := range total {
		if n != 1 {
			t.Errorf("%s fell due %d times in its first interval", id, n)
		}
	}

	if err := f.Disconnect(t.Context(), "o0", "acme", ids[0]); err != nil {
		t.Fatal(err)
	}
	c, err := f.Get(t.Context(), "o1", ids[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refused(t.Context(), "o1", c, connection.Problem{Code: "credentials_refused"}); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(10 * every)
	if late := due(f.Service); len(late) != 18 {
		t.Errorf("after a long pause %d fell due, want 18: all but one disconnected and one in need of attention, once each", len(late))
	}
	if again := due(f.Service); len(again) != 0 {
		t.Errorf("at the same time again: %v", again)
	}
	found := func() int {
		t.Helper()
		due(f.Service)
		places, err := f.Places(t.Context(), "acme", "", "shop-0")
		if err != nil {
			t.Fatal(err)
		}
		return len(places)
	}
	if f.now = f.now.Add(connection.Findable - 11*every); found() != 1 {
		t.Error("the disconnected one is not found, while its vendor may still tell what to erase")
	}
	if f.now = f.now.Add(2 * every); found() != 0 {
		t.Error("the disconnected one is found for ever")
	}
}

func TestAVisitThatFailsDoesNotStopTheOthers(t *testing.T) {
	f := open(t, vendor{})
	for i := range 3 {
		f.connect(t, "o1", fmt.Sprintf("shop-%d", i), "x")
	}
	f.now = f.now.Add(2 * every)
	visited, broken := 0, errors.New("broken")
	err := f.EachDue(t.Context(), func(context.Context, string, string) error {
		visited++
		return broken
	})
	if visited != 3 || !errors.Is(err, broken) {
		t.Errorf("visited %d, %v", visited, err)
	}
}
