package gohighlevel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/gohighlevel"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/secrets"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func app() connector.App {
	return connector.App{ClientID: sandbox.ClientID, Secret: func(context.Context) (secrets.Secret, error) { return secrets.New(sandbox.ClientSecret), nil }}
}

// world is a simulated HighLevel and a connector to it.
type world struct {
	*gohighlevel.Connector
	t       *testing.T
	url     string
	account connector.Account
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, account: connector.Account{Connection: "c1", Name: "demo", Credentials: connector.Credentials{AccessToken: secrets.New("pit-demo")}}}
	now := func() time.Time { return noon }
	h, err := sandbox.New(sandbox.Config{Seed: 7, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	w.url = server.URL
	hosts := server.URL + "/vendors/{host}"
	client := connector.NewHTTPClient(10 * time.Second)
	t.Cleanup(client.CloseIdleConnections)
	w.Connector = gohighlevel.NewConnector(connector.Web{HTTP: client, Now: now, Hosts: hosts, Pages: hosts}, app())
	return w
}

func (w *world) admin(method, path, body string, into any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/sandbox/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) fault(body string) {
	w.admin(http.MethodPost, "vendors/gohighlevel/demo/faults", body, nil)
}

func (w *world) stream(name string) connector.Stream {
	w.t.Helper()
	for _, s := range w.Streams() {
		if s.Name == name {
			return s
		}
	}
	w.t.Fatalf("there is no stream %s", name)
	return connector.Stream{}
}

func TestHowManyContactsThereAreIsTold(t *testing.T) {
	w := start(t)
	all := map[string]map[string]any{}
	w.sync("contacts", time.Time{}, all)
	s := w.stream("contacts")
	page, err := s.Pull(t.Context(), w.account, connector.Request{Size: s.PageSize})
	if err != nil || page.Left == nil || *page.Left+page.Records.Len() != len(all) {
		t.Errorf("%v left after %d of %d, %v", page.Left, page.Records.Len(), len(all), err)
	}
}

// sync reads a stream to its end into all, by the vendor's id. It returns how far it is read and in how many pages.
func (w *world) sync(stream string, since time.Time, into map[string]map[string]any) (read time.Time, pages int) {
	w.t.Helper()
	s := w.stream(stream)
	r := connector.Request{Since: since, Size: s.PageSize}
	for range 2000 {
		page, err := s.Pull(w.t.Context(), w.account, r)
		if err != nil {
			w.t.Fatal(err)
		}
		pages++
		if page.Changed.After(read) {
			read = page.Changed
		}
		text, err := json.Marshal(map[string]any{"contacts": page.Records.Contacts, "deals": page.Records.Deals, "payments": page.Records.Payments})
		if err != nil {
			w.t.Fatal(err)
		}
		var all map[string][]map[string]any
		if err := json.Unmarshal(text, &all); err != nil {
			w.t.Fatal(err)
		}
		for _, record := range all[stream] {
			into[strings.TrimPrefix(record["id"].(string), "c1:")] = record
		}
		if page.Next == "" {
			return read, pages
		}
		r.Cursor = page.Next
	}
	w.t.Fatal("no end after 2000 pages")
	return read, pages
}

func (w *world) exact(stream string, got map[string]map[string]any) {
	w.t.Helper()
	var want map[string]map[string]map[string]any
	w.admin(http.MethodGet, "vendors/gohighlevel/demo/truth", "", &want)
	if len(want[stream]) < 100 || len(got) != len(want[stream]) {
		w.t.Fatalf("%d %s, HighLevel has %d", len(got), stream, len(want[stream]))
	}
	for id, fields := range want[stream] {
		for field, value := range fields {
			if has := got[id][field]; !reflect.DeepEqual(has, value) {
				w.t.Fatalf("%s %s has %s %v, at HighLevel %v", stream, id, field, has, value)
			}
		}
	}
}

func TestRecordsAreWhatHighLevelHas(t *testing.T) {
	w := start(t)
	w.fault(`{"kind":"duplicate_page","times":-1}`)
	w.fault(`{"kind":"reorder_pages","times":-1}`)
	contacts := map[string]map[string]any{}
	for _, stream := range []string{"contacts", "deals", "payments"} {
		got := map[string]map[string]any{}
		read, pages := w.sync(stream, time.Time{}, got)
		w.exact(stream, got)
		if stream == "deals" {
			if !read.IsZero() {
				t.Error("deals are listed whole every time, but say how far they are read")
			}
			for id, d := range got {
				if who := d["contact_ids"].([]any); len(who) != 1 || contacts[strings.TrimPrefix(who[0].(string), "c1:")] == nil {
					t.Fatalf("deal %s is with %v", id, who)
				}
			}
			continue
		}
		if stream == "contacts" {
			contacts = got
		}
		// What changed meanwhile comes with the next sync, which reads little.
		id := strings.TrimPrefix(slices.Sorted(maps.Keys(got))[0], map[string]string{"contacts": "contact", "payments": "transaction"}[stream])
		if stream == "payments" {
			w.admin(http.MethodPost, "shopify/demo/orders", `{"orders":[{"total":"12.34","customer_id":990001}]}`, nil)
		} else {
			w.admin(http.MethodPost, "shopify/demo/orders", `{"orders":[{"total":"43.21","customer_id":`+id+`}]}`, nil)
		}
		_, again := w.sync(stream, read.Add(-w.stream(stream).LookBack), got)
		w.exact(stream, got)
		if again >= pages {
			t.Errorf("%s: %d pages at first, %d for what changed", stream, pages, again)
		}
	}
}

func TestFailuresAreClassified(t *testing.T) {
	w := start(t)
	for _, c := range []struct {
		fault string
		class connector.Class
	}{
		{`{"kind":"throttle"}`, connector.Throttled},
		{`{"kind":"error500"}`, connector.Transient},
		{`{"kind":"html"}`, connector.Transient},
		{`{"kind":"truncated"}`, connector.Transient},
		{`{"kind":"drop_connection"}`, connector.Transient},
		{`{"kind":"expired_token"}`, connector.Unauthorized},
	} {
		for _, s := range w.Streams() {
			w.fault(c.fault)
			if _, err := s.Pull(t.Context(), w.account, connector.Request{Size: 10}); err == nil || connector.Classify(err).Class != c.class {
				t.Errorf("%s: %s: %v", s.Name, c.fault, err)
			}
		}
	}
	w.account.Name = "elsewhere"
	if _, err := w.Identify(t.Context(), w.account); connector.Classify(err).Code != connector.CodePermissionMissing {
		t.Errorf("a location of others: %v", err)
	}
}

func TestAnAuthorizationIsGivenAndRenewed(t *testing.T) {
	w := start(t)
	flow, ctx := w.OAuth(), t.Context()
	page, err := url.Parse(flow.AuthorizeURL("", "https://app.example.com/back", "the-state", ""))
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, page.Scheme+"://"+page.Host+page.Path, strings.NewReader(page.RawQuery+"&account=branch-2"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Query().Get("state") != "the-state" {
		t.Fatalf("sent back to %v, %v", back, err)
	}
	redeem := func() (connector.Credentials, error) {
		return flow.Redeem(ctx, "", "https://app.example.com/back", back.Query().Get("code"), "")
	}
	first, err := redeem()
	if err != nil || !first.Authorized || !first.ExpiresAt.Equal(noon.Add(86399*time.Second)) {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := redeem(); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a code that was used: %v", err)
	}
	identity, err := w.Identify(ctx, connector.Account{Credentials: first})
	if err != nil || identity.ID != "branch-2" || identity.Currency != "USD" || identity.TimeZone != "Etc/UTC" || len(identity.Scopes) == 0 {
		t.Errorf("%+v, %v", identity, err)
	}
	second, err := flow.Refresh(ctx, "branch-2", first)
	if err != nil || second.RefreshToken.Reveal() == first.RefreshToken.Reveal() {
		t.Fatalf("the refresh token stays the same, %v", err)
	}
	if _, err := flow.Refresh(ctx, "branch-2", first); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a refresh token that was used: %v", err)
	}
	flow.Secret = func(context.Context) (secrets.Secret, error) { return secrets.New("wrong"), nil }
	if _, err := flow.Refresh(ctx, "branch-2", second); connector.Classify(err).Code != connector.CodeRefused {
		t.Errorf("our own mistake: %v", err)
	}
}

// answering is a connector to a HighLevel that answers by path.
func answering(t *testing.T, answers map[string]string) *gohighlevel.Connector {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Version") != "v3" {
			t.Errorf("headers %v", r.Header)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answers[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	return gohighlevel.NewConnector(connector.Web{HTTP: server.Client(), Now: func() time.Time { return noon }, Hosts: server.URL, Pages: server.URL}, app())
}

func TestTokensAreReadInBothForms(t *testing.T) {
	for _, c := range []struct{ name, answer, code string }{
		{"v3", `{"accessToken":"a","refreshToken":"r","expiresIn":86399,"locationId":"loc1"}`, ""},
		{"before", `{"access_token":"a","refresh_token":"r","expires_in":86399,"locationId":"loc1"}`, ""},
		{"an agency", `{"accessToken":"a","refreshToken":"r","expiresIn":86399,"companyId":"c"}`, connector.CodeAccountUnavailable},
		{"none", `{"locationId":"loc1"}`, connector.CodeBadAnswer},
		{"a location that is none", `{"accessToken":"a","refreshToken":"r","expiresIn":86399,"locationId":"../x"}`, connector.CodeBadAnswer},
	} {
		got, err := answering(t, map[string]string{"/oauth/token": c.answer}).OAuth().Redeem(t.Context(), "", "", "code", "")
		if c.code != "" {
			if connector.Classify(err).Code != c.code {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || got.RefreshToken.Reveal() != "r" || !got.ExpiresAt.Equal(noon.Add(86399*time.Second)) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestAmountsAndOutcomes(t *testing.T) {
	account := connector.Account{Connection: "c1", Name: "loc1", Credentials: connector.Credentials{AccessToken: secrets.New("pit-x")}}
	for _, c := range []struct {
		country, value, status string
		minor                  int64
		currency, outcome      string
	}{
		{"US", "500", "open", 50000, "USD", "open"},
		{"US", "12.345", "won", 1234, "USD", "won"},
		{"JP", "1500.5", "lost", 1500, "JPY", "lost"},
		{"DE", "0.1", "abandoned", 10, "EUR", "lost"},
		{"KW", "1.5", "floating", 1500, "KWD", "unknown"},
		{"GB", "null", "open", 0, "GBP", "open"},
	} {
		h := answering(t, map[string]string{
			"/locations/loc1":       `{"location":{"id":"loc1","country":"` + c.country + `"}}`,
			"/opportunities/search": `{"opportunities":[{"id":"o1","monetaryValue":` + c.value + `,"status":"` + c.status + `","createdAt":"2026-03-01T09:30:00.000Z","updatedAt":"2026-03-02T09:30:00.000Z"}]}`,
		})
		page, err := h.Streams()[1].Pull(t.Context(), account, connector.Request{Size: 10})
		if err != nil || len(page.Records.Deals) != 1 {
			t.Fatalf("%+v: %v", c, err)
		}
		if d := page.Records.Deals[0]; d.AmountMinor != c.minor || d.Currency != c.currency || d.Status != c.outcome || d.ClosedAt != nil {
			t.Errorf("%+v: %+v", c, d)
		}
	}
	for fields, want := range map[string]string{
		`"status":"succeeded"`: "succeeded", `"status":"succeeded","amountRefunded":10`: "partially_refunded", `"status":"succeeded","amountRefunded":100`: "refunded",
		`"status":"refunded"`: "refunded", `"status":"failed"`: "failed", `"status":"pending"`: "pending", `"status":"floating"`: "unknown",
	} {
		h := answering(t, map[string]string{"/payments/transactions": `{"data":[{"_id":"t1","currency":"usd","amount":100,"createdAt":"2026-03-01T09:30:00.000Z",` + fields + `}]}`})
		page, err := h.Streams()[2].Pull(t.Context(), account, connector.Request{Size: 10})
		if err != nil || len(page.Records.Payments) != 1 || page.Records.Payments[0].Status != want || page.Records.Payments[0].AmountMinor != 10000 {
			t.Errorf("%s: %+v, %v", fields, page, err)
		}
	}
	for path, body := range map[string]string{
		"/contacts/search":       `{"contacts":[{"id":"c1"}]}`,
		"/payments/transactions": `{"data":[{"_id":"t1","currency":"usd","amount":1e400,"createdAt":"2026-03-01T09:30:00.000Z"}]}`,
	} {
		stream := map[string]int{"/contacts/search": 0, "/payments/transactions": 2}[path]
		if page, err := answering(t, map[string]string{path: body}).Streams()[stream].Pull(t.Context(), account, connector.Request{Size: 10}); !connectortest.Impossible(page, err) {
			t.Errorf("%s: %v", body, err)
		}
	}
}
