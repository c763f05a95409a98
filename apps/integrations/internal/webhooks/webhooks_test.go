package webhooks

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/host/hosttest"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childDB); path != "" {
		runAsChild(path)
	}
	os.Exit(m.Run())
}

// acme is a vendor whose signature is the secret itself, and whose body is News.
type acme struct{ secrets []string }

func (a acme) Vendor() string { return "acme" }
func (a acme) Identify(_ context.Context, account connector.Account) (connector.Identity, error) {
	return connector.Identity{ID: "id-of-" + account.Name, Account: account.Name}, nil
}
func (a acme) Streams() []connector.Stream {
	return []connector.Stream{{Name: "orders"}, {Name: "contacts"}}
}
func (a acme) OAuth() connector.OAuth { return connector.OAuth{} }
func (a acme) Hooks() connector.Hooks {
	return connector.Hooks{
		Secrets:       connector.SeveralSecrets(func(context.Context) (secrets.Secret, error) { return secrets.New(strings.Join(a.secrets, ",")), nil }),
		OfConnections: true,
		Verify: func(of []secrets.Secret, d connector.Delivery) (time.Time, error) {
			signed, _ := time.Parse(time.RFC3339, d.Header.Get("Signed-At"))
			for _, secret := range of {
				if secret.Equal(secrets.New(d.Header.Get("Signature"))) {
					return signed, nil
				}
			}
			return signed, connector.ErrWrongSignature
		},
		Read: func(d connector.Delivery) (n connector.News, err error) {
			err = json.Unmarshal(d.Body, &n)
			return n, err
		},
		Challenge: func(_ context.Context, q url.Values) (string, error) {
			if q.Get("token") != "t" {
				return "", errors.New("wrong token")
			}
			return q.Get("challenge"), nil
		},
	}
}

// starts remembers the syncs that were started, and refuses with err.
type starts struct {
	mu   stdsync.Mutex
	err  error
	made []string
	then func()
}

func (s *starts) Start(_ context.Context, organization string, in sync.Input) (runs.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return runs.Run{}, s.err
	}
	s.made = append(s.made, organization+" "+in.Stream+" "+string(in.Mode))
	if s.then != nil {
		s.then()
	}
	return runs.Run{}, nil
}

// persons note whom they were asked to forget.
type persons struct{ forgotten []string }

func (p *persons) Forget(_ context.Context, organization, connection string, whom connector.Forget) error {
	p.forgotten = append(p.forgotten, fmt.Sprintf("%s %s %+v", organization, connection, whom))
	return nil
}

type fixture struct {
	*Service
	t       testing.TB
	db      store.DB
	vendor  *acme
	starts  *starts
	mu      stdsync.Mutex
	at      time.Time
	metrics *prometheus.Registry
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = f.at.Add(d)
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func open(t testing.TB, path string, at time.Time) *fixture {
	t.Helper()
	f := &fixture{t: t, vendor: &acme{[]string{"new", "old"}}, starts: &starts{}, at: at, metrics: prometheus.NewRegistry()}
	var err error
	f.db, err = store.SQLite{Path: path, Now: f.now}.Open(t.Context())
	f.must(err)
	t.Cleanup(func() { f.must(f.db.Close()) })
	f.Service = serve(t.Context(), f.db, f.vendor, f.starts, f.now, f.metrics)
	return f
}

func serve(ctx context.Context, db store.DB, vendor connector.Connector, starts *starts, now func() time.Time, metrics prometheus.Registerer) *Service {
	emit := events.Emitter{Group: integrationsapi.Name, Now: now, NewID: uuid.NewString}
	keys := secrets.Map{"credentials-key": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, vault.KeySize))}
	connections, err := connection.New(ctx, connection.Options{
		DB: db, Vault: vault.New(keys, "credentials-key", now), Connectors: []connector.Connector{vendor},
		Emit: emit, Quota: quota.NewClient(hosttest.NewAuthority()), Every: sync.Every, Now: now, NewID: uuid.NewString,
	})
	if err != nil {
		panic(err)
	}
	s, err := New(ctx, Options{
		DB: db, Connections: connections, Syncs: starts, Persons: &persons{}, API: &url.URL{Scheme: "https", Host: "api.example.com"}, Emit: emit, Metrics: metrics,
		Now: now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	return s
}

func start(t testing.TB) *fixture {
	return open(t, filepath.Join(t.TempDir(), "db"), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
}

func (f *fixture) connect(organization, account string) string {
	f.t.Helper()
	c, _, err := f.Connections.Connect(f.t.Context(), organization, "acme", account, connector.Credentials{AccessToken: secrets.New("k"), Authorized: true})
	f.must(err)
	return c.ID
}

// orders is a delivery that says of an account that its orders have changed.
func orders(id, account string) connector.News {
	return connector.News{ID: id, Notices: []connector.Notice{{Topic: "orders/create", Account: account, Streams: []string{"orders"}}}}
}

func (f *fixture) send(n connector.News, connection, secret string, signed time.Time) error {
	body, err := json.Marshal(n)
	f.must(err)
	d := connector.Delivery{Method: http.MethodPost, Header: http.Header{"Signature": {secret}}, Body: body}
	if !signed.IsZero() {
		d.Header.Set("Signed-At", signed.Format(time.RFC3339))
	}
	return f.Accept(f.t.Context(), "acme", connection, d)
}

func (f *fixture) all(organization string) []View {
	f.t.Helper()
	found, err := f.list(f.t.Context(), organization, "", 200)
	f.must(err)
	var all []View
	for _, doc := range found.Items {
		all = append(all, view(doc))
	}
	return all
}

// turn processes what is due and starts the syncs that are.
func (f *fixture) turn() {
	f.t.Helper()
	for more := true; more; {
		var err error
		more, err = f.process(f.t.Context())
		f.must(err)
	}
	f.must(f.start(f.t.Context()))
}

func (f *fixture) wantStarted(want ...string) {
	f.t.Helper()
	f.starts.mu.Lock()
	defer f.starts.mu.Unlock()
	if got := slices.Sorted(slices.Values(f.starts.made)); !slices.Equal(got, want) {
		f.t.Errorf("started %q, want %q", got, want)
	}
	f.starts.made = nil
}

func (f *fixture) wantCounts(want map[string]float64) {
	f.t.Helper()
	got := map[string]float64{}
	families, err := f.metrics.Gather()
	f.must(err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue() // labels are sorted: outcome, vendor
		}
	}
	if !maps.Equal(got, want) {
		f.t.Errorf("counted %v, want %v", got, want)
	}
}

func TestWhatIsTaken(t *testing.T) {
	f := start(t)
	f.connect("o1", "one")
	now := f.now()
	for _, c := range []struct {
		name, secret string
		signed       time.Time
		news         connector.News
		code         string
	}{
		{"the newer secret", "new", now, orders("1", "one"), ""},
		{"the older secret", "old", now, orders("2", "one"), ""},
		{"no time signed", "new", time.Time{}, orders("3", "one"), ""},
		{"almost too old", "new", now.Add(-window), orders("4", "one"), ""},
		{"almost too new", "new", now.Add(window), orders("5", "one"), ""},
		{"too old", "new", now.Add(-window - time.Second), orders("6", "one"), CodeExpired},
		{"too new", "new", now.Add(window + time.Second), orders("7", "one"), CodeExpired},
		{"forged", "nearly", now, orders("8", "one"), CodeForged},
		{"unsigned", "", now, orders("9", "one"), CodeForged},
		{"of an unknown account", "new", now, orders("10", "nobody"), ""},
		{"of no account", "new", now, orders("11", ""), ""},
		{"again", "new", now, orders("1", "one"), ""},
	} {
		if err := f.send(c.news, "", c.secret, c.signed); problem.Code(err) != c.code || (err == nil) != (c.code == "") {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
	}
	err := f.Accept(t.Context(), "acme", "", connector.Delivery{Header: http.Header{"Signature": {"new"}}, Body: []byte("<html>")})
	if err != nil {
		t.Errorf("signed and unreadable: %v", err)
	}
	if err := f.Accept(t.Context(), "other", "", connector.Delivery{}); problem.Code(err) != problem.CodeNotFound {
		t.Errorf("of a vendor that there is not: %v", err)
	}
	if n := len(f.all("o1")); n != 5 {
		t.Errorf("%d deliveries, want 5", n)
	}
	f.wantCounts(map[string]float64{accepted: 5, duplicate: 1, unknown: 2, unreadable: 1, forged: 2, expired: 2})
}

func TestNoSecretIsSetUp(t *testing.T) {
	f := start(t)
	f.connect("o1", "one")
	f.vendor.secrets = nil
	if err := f.send(orders("1", "one"), "", "", f.now()); problem.Code(err) != CodeNoSecret {
		t.Errorf("%v", err)
	}
	f.vendor.secrets = []string{"new"}
	f.must(f.send(orders("1", "one"), "", "new", f.now()))
	f.vendor.secrets = []string{"newest", "new"}
	f.pass(secretsKept)
	f.must(f.send(orders("2", "one"), "", "newest", f.now()))
	f.must(f.send(orders("3", "one"), "", "new", f.now()))
}

func TestManyDeliveriesAreOneSync(t *testing.T) {
	f := start(t)
	f.connect("o1", "one")
	f.connect("o2", "one") // both read the same account
	f.connect("o1", "other")
	var wait stdsync.WaitGroup
	for i := range 300 {
		wait.Go(func() {
			if err := f.send(orders(fmt.Sprint(i%250), "one"), "", "new", f.now()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	f.wantCounts(map[string]float64{accepted: 250, duplicate: 50})
	f.turn()
	f.wantStarted() // they are gathered
	f.pass(coalesce)
	f.turn()
	f.wantStarted("o1 orders incremental", "o2 orders incremental")
	f.pass(time.Hour)
	f.turn()
	f.wantStarted()
	for _, organization := range []string{"o1", "o2"} {
		found, err := f.documents.deliveries.Count(t.Context(), store.Query{Index: "organization", Equal: []any{organization}})
		if err != nil || found != 250 {
			t.Errorf("%s has %d deliveries, %v", organization, found, err)
		}
		for _, v := range f.all(organization) {
			if v.Status != Processed || v.ProcessedAt == nil || v.Reason != nil || v.Attempts != 1 {
				t.Fatalf("%+v", v)
			}
		}
	}
	waiting, err := f.db.Outbox().Pending(t.Context(), 1000)
	f.must(err)
	told := map[string]int{}
	for _, m := range waiting {
		if m.Topic == integrationsapi.TopicWebhookReceived.Wire() {
			told[m.ID]++
			if bytes.Contains(m.Data, []byte("signature")) {
				t.Errorf("%s", m.Data)
			}
		}
	}
	if len(told) != 500 {
		t.Errorf("%d events, want one for each of 500", len(told))
	}
}

func TestASyncThatRunsIsFollowedByAnother(t *testing.T) {
	f := start(t)
	f.connect("o1", "one")
	f.must(f.send(orders("1", "one"), "", "new", f.now()))
	f.starts.err = problem.New(http.StatusConflict, sync.CodeRunning, "runs")
	f.turn()
	for range 30 { // however long it runs
		f.pass(running)
		f.turn()
	}
	f.starts.err = nil
	f.pass(running)
	f.turn()
	f.wantStarted("o1 orders incremental")

	f.must(f.send(orders("2", "one"), "", "new", f.now()))
	f.turn()
	f.starts.then = func() { // one comes while the sync is started, which may not read what it is about
		f.starts.then = nil
		f.must(f.want(t.Context(), connection.Place{Organization: "o1", Connection: f.all("o1")[0].ConnectionID}, "orders", 1, f.now()))
	}
	f.pass(coalesce)
	f.turn()
	f.wantStarted("o1 orders incremental")
	f.turn()
	f.wantStarted("o1 orders incremental")
	f.pass(time.Hour)
	f.turn()
	f.wantStarted()
}

func TestASyncThatCannotBeStartedIsTriedAgainForAWhile(t *testing.T) {
	f := start(t)
	f.connect("o1", "one")
	f.must(f.send(orders("1", "one"), "", "new", f.now()))
	f.turn()
	f.starts.err = errors.New("the disk is full")
	f.pass(coalesce)
	tries := 0
	for ; ; tries++ {
		if err := f.start(t.Context()); err == nil {
			break
		}
		f.pass(time.Hour)
	}
	if tries != maxAttempts-1 {
		t.Errorf("tried %d times and once more", tries)
	}
	f.starts.err = nil
	f.pass(time.Hour)
	f.turn()
	f.wantStarted()
}

func TestWhatIsForgotten(t *testing.T) {
	f := start(t)
	gone, here := f.connect("o1", "gone"), f.connect("o1", "here")
	f.must(f.Connections.Disconnect(t.Context(), "o1", "acme", gone))
	for _, n := range []connector.Notice{
		{ID: "1", Topic: "customers/redact", Account: "here", Forget: connector.Forget{Person: "7"}},
		{ID: "2", Topic: "customers/redact", Account: "gone", Forget: connector.Forget{Person: "8"}},
		{ID: "3", Topic: "shop/redact", Account: "gone", Forget: connector.Forget{Everything: true}},
		{ID: "4", Topic: "shop/redact", Account: "here", Forget: connector.Forget{Everything: true}}, // it was connected again
	} {
		f.must(f.send(connector.News{ID: n.ID, Notices: []connector.Notice{n}}, "", "new", f.now()))
	}
	f.turn()
	want := []string{"o1 " + here + " {Person:7 Everything:false}", "o1 " + gone + " {Person:8 Everything:false}", "o1 " + gone + " {Person: Everything:true}"}
	if got := f.Persons.(*persons).forgotten; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("forgotten %q, want %q", got, want)
	}
	for _, v := range f.all("o1") {
		if parked := v.Status == Parked; parked != (v.VendorID == "4") || parked && v.Reason.Code != CodeByHand {
			t.Errorf("%+v", v)
		}
	}
}

func TestWhatIsParked(t *testing.T) {
	f := start(t)
	gone := f.connect("o1", "gone")
	f.connect("o1", "one")
	f.must(f.send(orders("1", "gone"), "", "new", f.now()))
	f.must(f.Connections.Disconnect(t.Context(), "o1", "acme", gone))
	f.must(f.send(connector.News{ID: "2", Notices: []connector.Notice{{Topic: "customers/data_request", AccountID: "id-of-one", Streams: []string{"orders"}, ByHand: "tell somebody"}}}, "", "new", f.now()))
	f.must(f.send(connector.News{ID: "3", Notices: []connector.Notice{{Topic: "themes/create", Account: "one"}}}, "", "new", f.now()))
	f.turn()
	f.pass(coalesce)
	f.turn()
	f.wantStarted()
	got := map[string]string{}
	ids := map[string]string{}
	for _, v := range f.all("o1") {
		got[v.VendorID], ids[v.VendorID] = string(v.Status), v.ID
		if v.Reason != nil {
			got[v.VendorID] += " " + v.Reason.Code
		}
	}
	want := map[string]string{"1": "parked " + connection.CodeDisconnected, "2": "parked " + CodeByHand, "3": "processed"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}

	for what, err := range map[string]error{
		"another organization's": second(f.replay(t.Context(), "o2", ids["1"])), "of none": second(f.replay(t.Context(), "o1", "nothing")),
	} {
		if problem.Code(err) != problem.CodeNotFound {
			t.Errorf("replay %s: %v", what, err)
		}
	}
	f.connect("o1", "gone")
	f.must(second(f.replay(t.Context(), "o1", ids["1"])))
	if err := second(f.replay(t.Context(), "o1", ids["1"])); problem.Code(err) != CodePending {
		t.Errorf("replay twice: %v", err)
	}
	f.turn()
	f.pass(coalesce)
	f.turn()
	f.wantStarted("o1 orders incremental")

	f.pass(Retention)
	f.must(f.Job().Run(t.Context()))
	if left := f.all("o1"); len(left) != 1 || left[0].VendorID != "2" {
		t.Errorf("%+v after their time; want the one that waits for a person", left)
	}
	f.pass(RetentionByHand - Retention)
	f.must(f.Job().Run(t.Context()))
	if n := len(f.all("o1")); n != 0 {
		t.Errorf("%d deliveries after their time", n)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnAuthorizationThatEndedAtTheVendor(t *testing.T) {
	f := start(t)
	id := f.connect("o1", "one")
	status := func() (connection.Status, string) {
		c, err := f.Connections.Get(t.Context(), "o1", id)
		f.must(err)
		if c.Problem == nil {
			return c.Status, ""
		}
		return c.Status, c.Problem.Code
	}
	ended := func(delivery string, at time.Time) {
		f.must(f.send(connector.News{ID: delivery, Notices: []connector.Notice{{Topic: "app/uninstalled", Account: "one", Ended: "removed", At: at}}}, "", "new", f.now()))
		f.turn()
	}
	ended("1", f.now().Add(-time.Minute))
	if s, _ := status(); s != connection.Active {
		t.Errorf("one of before it was connected: %s", s)
	}
	f.pass(time.Minute)
	ended("2", f.now())
	if s, code := status(); s != connection.NeedsAttention || code != connection.CodeEnded {
		t.Errorf("%s %s", s, code)
	}
	f.pass(time.Second)
	f.must(f.send(orders("3", "one"), "", "new", f.now()))
	f.turn()
	if v := f.all("o1")[0]; v.Reason == nil || v.Reason.Code != connection.CodeNeedsAttention {
		t.Errorf("a delivery of what does not work: %+v", v)
	}
}

func TestWebhooksOfAnAccount(t *testing.T) {
	f := start(t)
	one, two := f.connect("o1", "one"), f.connect("o2", "one")
	if err := f.send(orders("1", "one"), one, "", f.now()); problem.Code(err) != CodeForged {
		t.Errorf("without a secret: %v", err)
	}
	if err := f.send(orders("1", "one"), "no-connection", "new", f.now()); problem.Code(err) != CodeForged {
		t.Errorf("of a connection that there is not: %v", err)
	}
	f.must(second(f.Connections.SetHookSecret(t.Context(), "o1", one, secrets.New("mine"))))
	if err := second(f.Connections.SetHookSecret(t.Context(), "o2", one, secrets.New("theirs"))); problem.Code(err) != problem.CodeNotFound {
		t.Errorf("by another organization: %v", err)
	}
	f.must(f.send(orders("1", "one"), one, "mine", f.now()))
	for what, with := range map[string][2]string{"the app's secret": {one, "new"}, "another's secret": {two, "mine"}} {
		if err := f.send(orders("2", "one"), with[0], with[1], f.now()); problem.Code(err) != CodeForged {
			t.Errorf("by %s: %v", what, err)
		}
	}
	f.must(second(f.Connections.SetHookSecret(t.Context(), "o1", one, secrets.New("mine too"))))
	f.must(f.send(orders("3", "whatever it says"), one, "mine", f.now()))
	f.must(f.send(orders("4", "one"), one, "mine too", f.now()))
	f.pass(connection.SecretOverlap)
	if err := f.send(orders("5", "one"), one, "mine", f.now()); problem.Code(err) != CodeForged {
		t.Errorf("by the secret before, a day later: %v", err)
	}
	f.must(f.send(orders("6", "one"), one, "mine too", f.now()))
	if a, b := len(f.all("o1")), len(f.all("o2")); a != 4 || b != 0 {
		t.Errorf("%d and %d deliveries", a, b)
	}
	address, err := f.Address("acme", one)
	if want := "https://api.example.com/api/integrations/webhooks/acme/" + one; err != nil || address != want {
		t.Errorf("%s, %v", address, err)
	}
	f.must(f.Connections.Disconnect(t.Context(), "o1", "acme", one))
	if err := f.send(orders("7", "one"), one, "mine too", f.now()); problem.Code(err) != CodeForged {
		t.Errorf("after it was disconnected: %v", err)
	}
}

func TestChallenge(t *testing.T) {
	f := start(t)
	if answer, err := f.Challenge(t.Context(), "acme", url.Values{"token": {"t"}, "challenge": {"77"}}); answer != "77" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	if answer, err := f.Challenge(t.Context(), "acme", url.Values{"token": {"u"}, "challenge": {"77"}}); answer != "" || problem.Code(err) != CodeForged {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestErasedWithTheOrganization(t *testing.T) {
	f := start(t)
	f.connect("o1", "one")
	f.connect("o2", "one")
	f.must(f.send(orders("1", "one"), "", "new", f.now()))
	f.turn()
	f.must(second(f.db.EraseOrganization(t.Context(), "o1")))
	wishes, err := f.wishes.Count(t.Context(), store.Query{})
	if a, b := len(f.all("o1")), len(f.all("o2")); a != 0 || b != 1 || wishes != 1 || err != nil {
		t.Errorf("%d and %d deliveries, %d syncs asked for, %v", a, b, wishes, err)
	}
}
