package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/gohighlevel"
	"github.com/tandemhq/tandem/apps/integrations/internal/hubspot"
	"github.com/tandemhq/tandem/apps/integrations/internal/klaviyo"
	"github.com/tandemhq/tandem/apps/integrations/internal/metaads"
	"github.com/tandemhq/tandem/apps/integrations/internal/stripe"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// hooked is a vendor that sends webhooks and is authorized by OAuth.
type hooked interface {
	connector.Hooked
	connector.Authorizer
}

// senders are the vendors but for Shopify: how their connectors are made, what they send, and what is synced for it.
var senders = []struct {
	name   string
	make   func(connector.Web, connector.App) hooked
	topic  string
	stream string
	// timed tells that the signature covers a time, removed that the vendor tells of an app that was removed.
	timed, removed bool
	// own tells that accounts themselves send webhooks.
	own bool
}{
	{name: stripe.Vendor, make: func(w connector.Web, a connector.App) hooked { return stripe.NewConnector(w, a) }, topic: "charge.succeeded", stream: "payments", timed: true, removed: true, own: true},
	{name: hubspot.Vendor, make: func(w connector.Web, a connector.App) hooked { return hubspot.NewConnector(w, a) }, topic: "deal.propertyChange", stream: "deals", timed: true, own: true},
	{name: gohighlevel.Vendor, make: func(w connector.Web, a connector.App) hooked { return gohighlevel.NewConnector(w, a) }, topic: "ContactUpdate", stream: "contacts", timed: true, removed: true},
	{name: klaviyo.Vendor, make: func(w connector.Web, a connector.App) hooked { return klaviyo.NewConnector(w, a) }, topic: "event:klaviyo.subscribed_to_email_marketing", stream: "contacts", timed: true, own: true},
	{name: metaads.Vendor, make: func(w connector.Web, a connector.App) hooked { return metaads.NewConnector(w, a) }, topic: "effective_status", stream: "campaigns", removed: true},
}

// simulation is a vendor that is simulated, and what takes its webhooks.
type simulation struct {
	*fixture
	vendors *connectortest.Sandbox
	c       hooked
	server  *httptest.Server
}

func simulate(t *testing.T, build func(connector.Web, connector.App) hooked, vendor string) *simulation {
	t.Helper()
	s := &simulation{vendors: connectortest.New(t)}
	s.c = build(s.vendors.Web, s.vendors.AppOf(vendor))
	f := &fixture{t: t, starts: &starts{}, at: s.vendors.Now, metrics: prometheus.NewRegistry()}
	s.fixture = f
	var err error
	f.db, err = store.SQLite{Path: t.TempDir() + "/db", Now: f.now}.Open(t.Context())
	f.must(err)
	t.Cleanup(func() { f.must(f.db.Close()) })
	f.Service = serve(t.Context(), f.db, s.c, f.starts, f.now, f.metrics)
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answer, err := s.Challenge(r.Context(), vendor, r.URL.Query())
			if err != nil {
				w.WriteHeader(problem.From(err).Status)
			}
			_, _ = io.WriteString(w, answer)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = s.Accept(r.Context(), vendor, strings.Trim(r.URL.Path, "/"), connector.Delivery{Method: r.Method, URL: s.server.URL + r.RequestURI, Header: r.Header, Body: body})
		}
		if err != nil {
			w.WriteHeader(problem.From(err).Status)
		}
	}))
	t.Cleanup(s.server.Close)
	return s
}

// connected connects an organization to the account demo.
func (s *simulation) connected(organization string) connection.Connection {
	s.t.Helper()
	a := s.vendors.Connect(s.c, "demo")
	c, _, err := s.Connections.Connect(s.t.Context(), organization, s.c.Vendor(), a.Name, a.Credentials)
	s.must(err)
	if lister, ok := s.c.(connector.Lister); ok {
		all, err := lister.Accounts(s.t.Context(), a)
		s.must(err)
		var ids []string
		for _, one := range all {
			ids = append(ids, one.ID)
		}
		s.must(s.Connections.Reads(s.t.Context(), connection.Place{Organization: organization, Connection: c.ID}, ids))
	}
	return c
}

// subscribe has an account's webhooks sent here.
func (s *simulation) subscribe(account, path string, more map[string]any) {
	s.t.Helper()
	body := map[string]any{"address": s.server.URL + "/" + path}
	for name, value := range more {
		body[name] = value
	}
	s.vendors.Admin(http.MethodPost, s.c.Vendor(), account, "webhooks", body)
}

// happen has something happen in an account.
func (s *simulation) happen(account, topic string) {
	s.t.Helper()
	s.vendors.Admin(http.MethodPost, s.c.Vendor(), account, "webhooks/events", map[string]string{"topic": topic})
}

// came waits for what has become of the webhooks.
func (s *simulation) came(want map[string]float64) {
	s.t.Helper()
	eventually.Succeeds(s.t, 20*time.Second, "webhooks come", func() error {
		got := map[string]float64{}
		families, err := s.metrics.Gather()
		if err != nil {
			return err
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
		for outcome, n := range want { // what is refused is sent again
			if n > 0 && (outcome == forged || outcome == expired) {
				got[outcome] = min(got[outcome], n)
			}
		}
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

func TestWhatVendorsSend(t *testing.T) {
	for _, v := range senders {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, v.make, v.name)
			s.connected("o1")
			s.connected("o2")
			s.subscribe("demo", "", map[string]any{"duplicate": true, "topics": []string{v.topic}})
			s.subscribe("unconnected", "", nil)
			s.subscribe("demo", "", map[string]any{"wrong_signature": true})
			want := map[string]float64{accepted: 1, duplicate: 1, unknown: 1, forged: 1}
			s.happen("demo", v.topic)
			s.happen("unconnected", v.topic)
			s.came(want)
			if v.timed {
				s.vendors.Admin(http.MethodDelete, v.name, "demo", "webhooks", nil)
				for _, age := range []time.Duration{window + time.Second, -window - time.Second} {
					s.subscribe("demo", "", map[string]any{"age_ms": age.Milliseconds()})
				}
				s.happen("demo", v.topic)
				want[expired] = 2
				s.came(want)
			}
			s.turn()
			s.pass(coalesce)
			s.turn()
			s.wantStarted("o1 "+v.stream+" incremental", "o2 "+v.stream+" incremental")
			for _, organization := range []string{"o1", "o2"} {
				if all := s.all(organization); len(all) != 1 || all[0].Status != Processed || !strings.HasSuffix(all[0].Topic, v.topic) {
					t.Errorf("%s has %+v", organization, all)
				}
			}
		})
	}
}

func TestWhatAnAccountItselfSends(t *testing.T) {
	for _, v := range senders {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, v.make, v.name)
			one := s.connected("o1")
			s.connected("o2")
			if !v.own {
				if err := s.Accept(t.Context(), v.name, one.ID, connector.Delivery{}); problem.Code(err) != problem.CodeNotFound {
					t.Errorf("%v", err)
				}
				return
			}
			for _, secret := range []string{"the older secret", "the newer secret"} {
				if _, err := s.Connections.SetHookSecret(t.Context(), "o1", one.ID, secrets.New(secret)); err != nil {
					t.Fatal(err)
				}
			}
			for _, secret := range []string{"the older secret", "the newer secret", "no secret"} {
				s.subscribe("demo", one.ID, map[string]any{"secret": secret})
			}
			s.happen("demo", v.topic)
			s.subscribe("another", one.ID, map[string]any{"secret": "the newer secret"})
			s.happen("another", v.topic)
			s.came(map[string]float64{accepted: 1, duplicate: 1, forged: 1, unknown: 1})
			if a, b := len(s.all("o1")), len(s.all("o2")); a != 1 || b != 0 {
				t.Errorf("%d and %d deliveries", a, b)
			}
		})
	}
}

func TestAppsThatAreRemoved(t *testing.T) {
	for _, v := range senders {
		if !v.removed { // the vendor does not tell
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, v.make, v.name)
			one := s.connected("o1")
			s.pass(time.Minute)
			s.vendors.Now = s.now()
			s.subscribe("demo", "", nil)
			s.vendors.Admin(http.MethodDelete, v.name, "demo", "tokens", nil)
			s.came(map[string]float64{accepted: 1})
			s.turn()
			c, err := s.Connections.Get(t.Context(), "o1", one.ID)
			if err != nil || c.Status != connection.NeedsAttention || c.Problem == nil || c.Problem.Code != connection.CodeEnded {
				t.Errorf("%s, %+v, %v", c.Status, c.Problem, err)
			}
		})
	}
}

// TestAdAccountsThatAreReadNoMore is about webhooks that name accounts behind an authorization.
func TestAdAccountsThatAreReadNoMore(t *testing.T) {
	s := simulate(t, func(w connector.Web, a connector.App) hooked { return metaads.NewConnector(w, a) }, metaads.Vendor)
	c := s.connected("o1")
	place := connection.Place{Organization: "o1", Connection: c.ID}
	found := func(account string) int {
		places, err := s.Connections.PlacesBehind(t.Context(), metaads.Vendor, account)
		s.must(err)
		return len(places)
	}
	s.must(s.Connections.Reads(t.Context(), place, []string{"act_1", "act_2"}))
	s.must(s.Connections.Reads(t.Context(), place, []string{"act_2", "act_3"}))
	if a, b, d := found("act_1"), found("act_2"), found("act_3"); a != 0 || b != 1 || d != 1 {
		t.Errorf("%d, %d and %d connections", a, b, d)
	}
	s.must(s.Connections.Disconnect(t.Context(), "o1", metaads.Vendor, c.ID))
	s.must(s.Connections.EachDue(t.Context(), func(context.Context, string, string) error { return nil }))
	s.pass(connection.Findable + 2*sync.Every)
	s.must(s.Connections.EachDue(t.Context(), func(context.Context, string, string) error { return nil }))
	s.must(s.Connections.Reads(t.Context(), place, []string{"act_2"})) // a sync that still ran
	if n := found("act_2"); n != 0 {
		t.Errorf("%d connections after it was disconnected", n)
	}
}

func TestWhoCannotProveAnAddress(t *testing.T) {
	s := simulate(t, func(w connector.Web, a connector.App) hooked { return metaads.NewConnector(w, a) }, metaads.Vendor)
	query := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {"77"}, "hub.verify_token": {"guessed"}}
	if answer, err := s.Challenge(t.Context(), metaads.Vendor, query); answer != "" || problem.Code(err) != CodeForged {
		t.Errorf("%q, %v", answer, err)
	}
}

// reader is a vendor's Hooks.Read.
func reader(t testing.TB, vendor string) (func(connector.Delivery) (connector.News, error), []string) {
	t.Helper()
	for _, v := range senders {
		if v.name == vendor {
			c := v.make(connector.Web{Now: time.Now}, connector.App{})
			var streams []string
			for _, stream := range c.Streams() {
				streams = append(streams, stream.Name)
			}
			return c.Hooks().Read, streams
		}
	}
	t.Fatalf("no vendor %s", vendor)
	return nil, nil
}

func TestWhatWebhooksSay(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, vendor, body string
		id                 string
		want               []connector.Notice
	}{
		{
			"a charge", "stripe", `{"id":"evt_1","object":"event","type":"charge.refunded","account":"acct_1","created":1795348800}`, "evt_1",
			[]connector.Notice{{Topic: "charge.refunded", AccountID: "acct_1", Streams: []string{"payments"}, At: at}},
		},
		{
			"a dispute", "stripe", `{"id":"evt_1","object":"event","type":"charge.dispute.created","account":"acct_1","created":1795348800}`, "evt_1",
			[]connector.Notice{{Topic: "charge.dispute.created", AccountID: "acct_1", Streams: []string{"payments"}, At: at}},
		},
		{
			"an own endpoint's customer", "stripe", `{"id":"evt_1","object":"event","type":"customer.updated"}`, "evt_1",
			[]connector.Notice{{Topic: "customer.updated", Streams: []string{"customers"}}},
		},
		{
			"what no record has", "stripe", `{"id":"evt_1","object":"event","type":"customer.subscription.updated","account":"acct_1"}`, "evt_1",
			[]connector.Notice{{Topic: "customer.subscription.updated", AccountID: "acct_1"}},
		},
		{
			"a removal", "stripe", `{"id":"evt_1","object":"event","type":"account.application.deauthorized","account":"acct_1"}`, "evt_1",
			[]connector.Notice{{Topic: "account.application.deauthorized", AccountID: "acct_1", Ended: "set"}},
		},
		{"no event", "stripe", `{"id":"evt_1","object":"charge","type":"charge.refunded"}`, "", nil},
		{"no account's id", "stripe", `{"id":"evt_1","object":"event","type":"charge.refunded","account":"me"}`, "", nil},
		{
			"a batch of two accounts", "hubspot", `[
				{"eventId":1,"subscriptionId":25,"portalId":33,"occurredAt":1795348800000,"subscriptionType":"contact.propertyChange","propertyName":"email","objectId":7,"attemptNumber":0},
				{"eventId":1,"subscriptionId":25,"portalId":34,"occurredAt":1795348800000,"subscriptionType":"object.creation","objectTypeId":"0-3","objectId":8,"attemptNumber":2},
				{"eventId":2,"subscriptionId":26,"portalId":33,"subscriptionType":"contact.privacyDeletion","objectId":9},
				{"eventId":3,"subscriptionId":27,"portalId":33,"subscriptionType":"company.creation","objectId":10}]`, "",
			[]connector.Notice{
				{ID: "1/25/7/email/1795348800000", Topic: "contact.propertyChange", AccountID: "33", Streams: []string{"contacts"}, At: at},
				{ID: "1/25/8//1795348800000", Topic: "object.creation", AccountID: "34", Streams: []string{"deals"}, At: at},
				{ID: "2/26/9//0", Topic: "contact.privacyDeletion", AccountID: "33", Forget: connector.Forget{Person: "9"}},
				{ID: "3/27/10//0", Topic: "company.creation", AccountID: "33"},
			},
		},
		{"no batch", "hubspot", `{"eventId":1}`, "", nil},
		{"an event of no account", "hubspot", `[{"eventId":1,"subscriptionType":"contact.creation"}]`, "", nil},
		{
			"a contact", "gohighlevel", `{"type":"ContactTagUpdate","locationId":"loc1","webhookId":"w1","timestamp":"2026-11-22T12:00:00Z"}`, "w1",
			[]connector.Notice{{Topic: "ContactTagUpdate", AccountID: "loc1", Streams: []string{"contacts"}, At: at}},
		},
		{
			"an opportunity", "gohighlevel", `{"type":"OpportunityStageUpdate","locationId":"loc1","webhookId":"w1","timestamp":"2026-11-22T12:00:00Z"}`, "w1",
			[]connector.Notice{{Topic: "OpportunityStageUpdate", AccountID: "loc1", Streams: []string{"deals"}, At: at}},
		},
		{
			"a location's removal", "gohighlevel", `{"type":"UNINSTALL","appId":"a1","locationId":"loc1"}`, "",
			[]connector.Notice{{Topic: "UNINSTALL", AccountID: "loc1", Ended: "set"}},
		},
		{"an agency's removal", "gohighlevel", `{"type":"UNINSTALL","appId":"a1","companyId":"c1"}`, "", []connector.Notice{{Topic: "UNINSTALL", Ended: "set"}}},
		{"of nothing", "gohighlevel", `{"type":"ContactCreate"}`, "", nil},
		{
			"a batch", "klaviyo", `{"data":[
				{"external_id":"e1","topic":"event:klaviyo.opened_email"},{"external_id":"e2","topic":"event:klaviyo.opened_email"},
				{"external_id":"e3","topic":"event:klaviyo.unsubscribed_from_email_marketing"},{"external_id":"e4","topic":"event:shopify.placed_order"}],
				"meta":{"klaviyo_account_id":"AbC123"}}`, "",
			[]connector.Notice{
				{Topic: "event:klaviyo.opened_email", AccountID: "AbC123"},
				{ID: "e3", Topic: "event:klaviyo.unsubscribed_from_email_marketing", AccountID: "AbC123", Streams: []string{"contacts"}},
				{ID: "e4", Topic: "event:shopify.placed_order", AccountID: "AbC123", Streams: []string{"contacts"}},
			},
		},
		{"too large a batch", "klaviyo", `{"data":[` + strings.Repeat(`{"topic":"a"},`, 1000) + `{"topic":"a"}]}`, "", nil},
		{
			"two ad accounts", "meta-ads", `{"object":"ad_account","entry":[
				{"id":"act_1","time":1795348800,"changes":[{"field":"with_issues_ad_objects","value":{}},{"field":"creative_fatigue","value":{}}]},
				{"id":"2","time":1795348800,"changes":[{"field":"effective_status","value":{}}]}]}`, "",
			[]connector.Notice{
				{Topic: "ad_account.with_issues_ad_objects", SubAccount: "act_1", Streams: []string{"campaigns"}, At: at},
				{Topic: "ad_account.creative_fatigue", SubAccount: "act_1", At: at},
				{Topic: "ad_account.effective_status", SubAccount: "act_2", Streams: []string{"campaigns"}, At: at},
			},
		},
		{
			"permissions", "meta-ads", `{"object":"permissions","entry":[{"id":"5","changes":[
				{"field":"ads_read","value":{"verb":"granted"}},{"field":"ads_read","value":{"verb":"revoked"}},{"field":"email","value":{"verb":"revoked"}},{"field":"connected","value":{"verb":"disconnected"}}]}]}`, "",
			[]connector.Notice{
				{Topic: "permissions.ads_read", AccountID: "5"}, {Topic: "permissions.ads_read", AccountID: "5", Ended: "set"},
				{Topic: "permissions.email", AccountID: "5"}, {Topic: "permissions.connected", AccountID: "5", Ended: "set"},
			},
		},
		{"a page's feed", "meta-ads", `{"object":"page","entry":[{"id":"5","changes":[{"field":"feed"}]}]}`, "", []connector.Notice{}},
		{"of no object", "meta-ads", `{}`, "", nil},
	} {
		read, _ := reader(t, c.vendor)
		got, err := read(connector.Delivery{Header: http.Header{}, Body: []byte(c.body)})
		if (err == nil) != (c.want != nil) || got.ID != c.id || len(got.Notices) != len(c.want) {
			t.Errorf("%s of %s: %+v, %v", c.name, c.vendor, got, err)
			continue
		}
		for i, n := range got.Notices {
			for _, text := range []*string{&n.Ended, &n.ByHand} {
				if *text != "" {
					*text = "set"
				}
			}
			if !reflect.DeepEqual(n, c.want[i]) {
				t.Errorf("%s of %s: %+v, want %+v", c.name, c.vendor, n, c.want[i])
			}
		}
	}
}

// TestABatchThatIsSentAgainInOtherParts has events of HubSpot known by themselves, whatever else is in their deliveries.
func TestABatchThatIsSentAgainInOtherParts(t *testing.T) {
	f := start(t)
	f.connect("o1", "one")
	event := func(id string) connector.Notice {
		return connector.Notice{ID: id, Topic: "contact.creation", Account: "one", Streams: []string{"contacts"}}
	}
	for i, n := range [][]connector.Notice{{event("a"), event("b")}, {event("b"), event("c")}, {event("a"), event("c")}} {
		f.must(f.send(connector.News{ID: fmt.Sprint(i), Notices: n}, "", "new", f.now()))
	}
	f.wantCounts(map[string]float64{accepted: 2, duplicate: 1})
	if n := len(f.all("o1")); n != 3 {
		t.Errorf("%d deliveries", n)
	}
}

// FuzzReadHooks has nothing panic, and no notice be of something that the vendor's connector does not have.
func FuzzReadHooks(f *testing.F) {
	for i, body := range []string{
		`{"id":"evt_1","object":"event","type":"charge.succeeded","account":"acct_1","created":1}`,
		`[{"eventId":1,"portalId":33,"subscriptionType":"contact.creation","objectId":7,"occurredAt":1}]`,
		`{"type":"UNINSTALL","locationId":"loc1","webhookId":"w1","timestamp":"2026-11-22T12:00:00Z"}`,
		`{"data":[{"external_id":"e","topic":"event:klaviyo.opened_email"}],"meta":{"klaviyo_account_id":"AbC123"}}`,
		`{"object":"permissions","entry":[{"id":"5","time":1,"changes":[{"field":"ads_read","value":{"verb":"revoked"}}]}]}`,
	} {
		f.Add(uint8(i), body)
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		v := senders[int(which)%len(senders)]
		read, streams := reader(t, v.name)
		news, err := read(connector.Delivery{Header: http.Header{}, Body: []byte(body)})
		if err != nil {
			return
		}
		for _, n := range news.Notices {
			if n.Topic == "" || !json.Valid([]byte(body)) || n.SubAccount != "" && n.AccountID != "" {
				t.Errorf("%+v of %q", n, body)
			}
			for _, stream := range n.Streams {
				if !slices.Contains(streams, stream) {
					t.Errorf("%s has no stream %s", v.name, stream)
				}
			}
		}
	})
}
