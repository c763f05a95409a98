package metaads_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/metaads"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

const vendor = metaads.Vendor

func TestEverythingOfEveryAdAccountIsReadOnce(t *testing.T) {
	s := connectortest.New(t)
	c := metaads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	for _, fault := range []string{"duplicate_page", "reorder_pages"} {
		s.Fault(vendor, "demo", map[string]any{"kind": fault, "times": 5})
	}
	s.Campaigns(c, "demo", a, 2)
	if figures := s.Performance(c, "demo", a, time.Time{}, 30); connectortest.Conversions(figures) == 0 {
		t.Error("no conversions")
	}
	s.AllMet(vendor, "demo")
	since := connectortest.Pull(t, connectortest.Stream(t, c, "performance"), a, s.Now.AddDate(0, 0, -28), 500)
	for _, page := range since {
		for _, r := range page.Records.Performance {
			if r.Day.Before(time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("%s came again", r.ID)
			}
		}
	}
	if len(since) != 2 {
		t.Errorf("%d pages for the last 28 days of two accounts", len(since))
	}
}

func TestWhoHasAuthorizedUsAndForWhat(t *testing.T) {
	s := connectortest.New(t)
	c := metaads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	identity, err := c.Identify(t.Context(), a)
	if err != nil || identity.ID == "" || identity.Account != identity.ID || identity.Title != "demo" || !slices.Contains(identity.Scopes, "ads_read") {
		t.Errorf("%+v, %v", identity, err)
	}
	accounts, err := c.Accounts(t.Context(), a)
	if err != nil || len(accounts) != 2 || accounts[0].TimeZone == accounts[1].TimeZone || accounts[0].Currency != "USD" || !strings.HasPrefix(accounts[0].ID, "act_") {
		t.Errorf("%+v, %v", accounts, err)
	}
	a.Chosen = []string{accounts[1].ID}
	for _, page := range connectortest.Pull(t, connectortest.Stream(t, c, "campaigns"), a, time.Time{}, 200) {
		for _, r := range page.Records.Campaigns {
			if r.AccountID != accounts[1].ID {
				t.Errorf("campaign %s is of %s, which was not chosen", r.ID, r.AccountID)
			}
		}
	}
	if _, err := c.OAuth().Redeem(t.Context(), "", "https://app.example/callback", "made up", ""); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a code that is none: %v", err)
	}
}

func TestWhatSomebodyDeclinedIsMissing(t *testing.T) {
	for _, k := range []struct {
		permission, status string
		code               string
	}{
		{"ads_read", "granted", ""},
		{"ads_management", "granted", ""},
		{"ads_read", "declined", connector.CodePermissionMissing},
		{"email", "granted", connector.CodePermissionMissing},
	} {
		c, _ := answering(t, 200, "", "USD", fmt.Sprintf(`{"id":"1","name":"Ada","data":[{"permission":%q,"status":%q}]}`, k.permission, k.status))
		_, err := c.Identify(t.Context(), account)
		if (err == nil) != (k.code == "") || err != nil && connector.Classify(err).Code != k.code {
			t.Errorf("%s %s: %v", k.permission, k.status, err)
		}
	}
}

func TestTokensAreExchangedWhileTheyLive(t *testing.T) {
	s := connectortest.New(t)
	c := metaads.NewConnector(s.Web, s.App)
	flow := c.OAuth()
	a := s.Connect(c, "demo")
	first := a.Credentials
	if left := first.ExpiresAt.Sub(s.Now); left < 59*24*time.Hour || first.RefreshToken.Reveal() != first.AccessToken.Reveal() || !first.Authorized {
		t.Errorf("a token for %s", left)
	}
	s.Now = first.ExpiresAt.Add(-flow.RefreshEarly())
	fresh, err := flow.Refresh(t.Context(), "", first)
	if err != nil || fresh.AccessToken.Reveal() == first.AccessToken.Reveal() || fresh.ExpiresAt.Sub(s.Now) < 59*24*time.Hour {
		t.Errorf("%+v, %v", fresh, err)
	}
	s.Now = first.ExpiresAt
	if _, err := flow.Refresh(t.Context(), "", first); connector.Classify(err).Class != connector.Unauthorized || connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("of a token that has ended: %v", err)
	}
	a.Credentials = fresh
	if _, err := c.Identify(t.Context(), a); err != nil {
		t.Error(err)
	}
	if err := flow.Revoke(t.Context(), a); err != nil {
		t.Error(err)
	}
	if _, err := c.Identify(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("once revoked: %v", err)
	}
	other := s.App
	other.Secret = func(context.Context) (secrets.Secret, error) { return secrets.New("another"), nil }
	if _, err := metaads.NewConnector(s.Web, other).OAuth().Refresh(t.Context(), "", fresh); connector.Classify(err).Class != connector.Permanent {
		t.Errorf("with another secret: %v", err)
	}
}

func TestFaultsOfTheVendor(t *testing.T) {
	s := connectortest.New(t)
	c := metaads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	ask := func() error { _, err := c.Identify(t.Context(), a); return err }
	s.Fails(vendor, "demo", a, ask,
		connectortest.Failure{Kind: "throttle", Class: connector.Throttled},
		connectortest.Failure{Kind: "throttle", Status: 200, Class: connector.Throttled},
		connectortest.Failure{Kind: "error500", Class: connector.Transient},
		connectortest.Failure{Kind: "error500", Status: 200, Class: connector.Transient},
		connectortest.Failure{Kind: "html", Class: connector.Transient},
		connectortest.Failure{Kind: "truncated", Class: connector.Transient},
		connectortest.Failure{Kind: "expired_token", Class: connector.Unauthorized},
	)
}

var account = connector.Account{Connection: "c1", Credentials: connector.Credentials{AccessToken: secrets.New("EAAtoken")}}

// answering is a connector of which every request but that for ad accounts is answered with status, header and body; it keeps the last.
func answering(t *testing.T, status int, usage, currency, body string) (*metaads.Connector, *http.Request) {
	t.Helper()
	last := &http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		if strings.HasSuffix(r.URL.Path, "/me/adaccounts") {
			fmt.Fprintf(w, `{"data":[{"id":"act_7","name":"Seven","currency":%q,"timezone_name":"America/New_York"}]}`, currency)
			return
		}
		*last = *r
		w.Header().Set("X-Business-Use-Case-Usage", usage)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	now := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	app := connector.App{ClientID: "1", Secret: func(context.Context) (secrets.Secret, error) { return secrets.New("hush"), nil }}
	return metaads.NewConnector(connector.Web{HTTP: server.Client(), Now: now, Hosts: server.URL + "/{host}"}, app), last
}

func pull(t *testing.T, c *metaads.Connector, stream string) (connector.Page, error) {
	t.Helper()
	since := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	return connectortest.Stream(t, c, stream).Pull(t.Context(), account, connector.Request{Since: since, Size: 100})
}

func TestFiguresAreNormalized(t *testing.T) {
	const row = `{"data":[{"campaign_id":"120210001","spend":"12.345","impressions":"1000","clicks":"14",
		"actions":[{"action_type":"link_click","value":"13"},{"action_type":"purchase","value":"5"},{"action_type":"offsite_conversion.fb_pixel_purchase","value":"4"},
			{"action_type":"omni_purchase","value":"5.5"},{"action_type":"video_view","value":"77"}],
		"action_values":[{"action_type":"purchase","value":"100"},{"action_type":"omni_purchase","value":"110.1"}],"date_start":"2026-11-21","date_stop":"2026-11-21"}],
		"paging":{"cursors":{"before":"a","after":"b"}}}`
	c, asked := answering(t, 200, "", "USD", row)
	got, err := pull(t, c, "performance")
	day := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	want := []integrationsapi.Performance{{
		ID: "c1:120210001:2026-11-21", ConnectionID: "c1", Vendor: "meta-ads", AccountID: "act_7", CampaignID: "c1:120210001", Day: store.At(day),
		TimeZone: "America/New_York", SpendMinor: 1234, Currency: "USD", Impressions: 1000, Clicks: 14, Views: 77, Conversions: 5.5, ConversionValueMinor: 11010,
	}}
	if err != nil || !reflect.DeepEqual(got.Records.Performance, want) || got.Next != "" {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	// It is seven o'clock in New York.
	if q := asked.URL.Query(); q.Get("time_range") != `{"since":"2026-11-21","until":"2026-11-22"}` || q.Get("limit") != "100" || q.Get("level") != "campaign" {
		t.Errorf("asked %v", q)
	}
	if asked.Header.Get("Authorization") != "Bearer EAAtoken" || strings.Contains(asked.URL.String(), "EAAtoken") || strings.Contains(asked.URL.String(), "hush") ||
		asked.URL.Query().Get("appsecret_proof") != "3ae5edc78a5ae676f848bfc4c96a36eb1aaa7c043358fcaa6220e90e20cc5925" {
		t.Errorf("asked %s with %v", asked.URL, asked.Header)
	}
	for _, change := range [][2]string{
		{`"campaign_id":"120210001"`, `"campaign_id":"x/y"`}, {`"spend":"12.345"`, `"spend":"a lot"`}, {`"spend":"12.345",`, ``}, {`"impressions":"1000",`, ``},
		{`"date_stop":"2026-11-21"`, `"date_stop":"2026-11-22"`}, {`"date_start":"2026-11-21"`, `"date_start":"yesterday"`},
		{`"after":"b"}`, `"after":""},"next":"https://elsewhere.example/"`},
	} {
		c, _ := answering(t, 200, "", "USD", strings.ReplaceAll(row, change[0], change[1]))
		if page, err := pull(t, c, "performance"); !connectortest.Impossible(page, err) {
			t.Errorf("with %s: %v", change[1], err)
		}
	}
}

func TestCampaignsAreNormalized(t *testing.T) {
	for _, k := range []struct {
		fields, currency string
		want             integrationsapi.Campaign
	}{
		{`"effective_status":"ACTIVE","start_time":"2026-03-01T09:30:00-0500","created_time":"2026-02-01T00:00:00+0000","daily_budget":"4000"`, "USD",
			integrationsapi.Campaign{Status: "active", StartedAt: store.At(time.Date(2026, 3, 1, 14, 30, 0, 0, time.UTC)), DailyBudgetMinor: 4000}},
		{`"effective_status":"DELETED","created_time":"2026-02-01T00:00:00+0000"`, "USD",
			integrationsapi.Campaign{Status: "archived", StartedAt: store.At(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))}},
		{`"effective_status":"SOMETHING_NEW","created_time":"2026-02-01T00:00:00+0000","daily_budget":"4000"`, "JPY", // no minor unit, and none at Meta
			integrationsapi.Campaign{Status: "unknown", StartedAt: store.At(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)), DailyBudgetMinor: 4000}},
		{`"effective_status":"PAUSED","created_time":"2026-02-01T00:00:00+0000","daily_budget":"4000"`, "HUF", // hundredths, and none at Meta
			integrationsapi.Campaign{Status: "paused", StartedAt: store.At(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)), DailyBudgetMinor: 400000}},
		{`"effective_status":"PAUSED","created_time":"2026-02-01T00:00:00+0000","daily_budget":"4000"`, "KWD", // thousandths, and hundredths at Meta
			integrationsapi.Campaign{Status: "paused", StartedAt: store.At(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)), DailyBudgetMinor: 40000}},
	} {
		c, _ := answering(t, 200, "", k.currency, `{"data":[{"id":"5","name":"Spring","objective":"OUTCOME_SALES",`+k.fields+`}]}`)
		got, err := pull(t, c, "campaigns")
		k.want.ID, k.want.ConnectionID, k.want.Vendor, k.want.AccountID, k.want.Name = "c1:5", "c1", "meta-ads", "act_7", "Spring"
		k.want.Channel, k.want.Objective, k.want.Currency = "social", "OUTCOME_SALES", k.currency
		if err != nil || !reflect.DeepEqual(got.Records.Campaigns, []integrationsapi.Campaign{k.want}) {
			t.Errorf("%+v, %v; want %+v", got.Records.Campaigns, err, k.want)
		}
	}
}

func TestErrorsInWhateverStatus(t *testing.T) {
	failed := func(code, subcode string) string {
		return `{"error":{"message":"no","type":"OAuthException","code":` + code + `,"error_subcode":` + subcode + `,"fbtrace_id":"x"}}`
	}
	const regain = `{"1":[{"type":"ads_insights","estimated_time_to_regain_access":2},{"type":"ads_management","estimated_time_to_regain_access":5}],"2":[]}`
	for _, k := range []struct {
		name, body, usage string
		class             connector.Class
		code              string
		wait              time.Duration
	}{
		{"the app is throttled", failed("4", "0"), "", connector.Throttled, connector.CodeThrottled, 10 * time.Second},
		{"the person", failed("17", "2446079"), "{", connector.Throttled, connector.CodeThrottled, 10 * time.Second},
		{"the page", failed("32", "0"), "", connector.Throttled, connector.CodeThrottled, 10 * time.Second},
		{"the account", failed("613", "1487742"), "", connector.Throttled, connector.CodeThrottled, 10 * time.Second},
		{"the account's use", failed("80000", "2446079"), regain, connector.Throttled, connector.CodeThrottled, 5 * time.Minute},
		{"the account's use, for days", failed("80014", "0"), strings.ReplaceAll(regain, "5", "5000"), connector.Throttled, connector.CodeThrottled, time.Hour},
		{"the token", failed("190", "460"), "", connector.Unauthorized, connector.CodeCredentialsRefused, 0},
		{"permission", failed("10", "0"), "", connector.Permanent, connector.CodePermissionMissing, 0},
		{"permission for ads", failed("200", "0"), "", connector.Permanent, connector.CodePermissionMissing, 0},
		{"no such account", failed("100", "33"), "", connector.Permanent, connector.CodeAccountUnavailable, 0},
		{"our mistake", failed("100", "0"), "", connector.Permanent, connector.CodeRefused, 0},
		{"the version", failed("2635", "0"), "", connector.Permanent, connector.CodeRefused, 0},
		{"their mistake", failed("1", "0"), "", connector.Transient, connector.CodeUnavailable, 0},
		{"down", failed("2", "0"), "", connector.Transient, connector.CodeUnavailable, 0},
		{"by its word", `{"error":{"code":99999,"is_transient":true}}`, "", connector.Transient, connector.CodeUnavailable, 0},
		{"too much", `{"error":{"code":1,"message":"Please reduce the amount of data you're asking for, then retry your request"}}`, "", connector.TooLarge, connector.CodeRefused, 0},
		{"too much to read in time", failed("2", "1504018"), "", connector.TooLarge, connector.CodeRefused, 0},
	} {
		for _, status := range []int{200, 400} {
			c, _ := answering(t, status, k.usage, "USD", k.body)
			_, err := pull(t, c, "performance")
			var e *connector.Error
			if !errors.As(err, &e) || e.Class != k.class || e.Code != k.code || e.Wait != k.wait {
				t.Errorf("%s with status %d: %+v, %v", k.name, status, e, err)
			}
		}
	}
}

func FuzzWhatMetaAnswers(f *testing.F) {
	f.Add(200, `{"1":[{"estimated_time_to_regain_access":5}]}`, `{"error":{"code":17}}`)
	f.Add(400, `{"1":[{"estimated_time_to_regain_access":-1e308}]}`, `{"data":[{"campaign_id":"1","spend":"1","impressions":"1","date_start":"2026-01-01","date_stop":"2026-01-01"}]}`)
	f.Fuzz(func(t *testing.T, status int, usage, body string) {
		if status < 200 || status > 599 || strings.ContainsAny(usage, "\r\n\x00") {
			return
		}
		c, _ := answering(t, status, usage, "USD", body)
		page, err := pull(t, c, "performance")
		if err == nil {
			for _, r := range page.Records.Performance {
				if r.ID == "" || r.Currency != "USD" || r.Day.IsZero() {
					t.Errorf("a record %+v", r)
				}
			}
			return
		}
		if e := connector.Classify(err); e.Wait < 0 || e.Wait > time.Hour {
			t.Errorf("waits %s", e.Wait)
		}
	})
}
