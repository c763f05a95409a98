package tiktokads_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/tiktokads"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

const vendor = tiktokads.Vendor

func TestEverythingOfEveryAdvertiserIsReadOnce(t *testing.T) {
	s := connectortest.New(t)
	c := tiktokads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	for _, fault := range []string{"duplicate_page", "reorder_pages"} {
		s.Fault(vendor, "demo", map[string]any{"kind": fault, "times": 5})
	}
	s.Campaigns(c, "demo", a, 1)
	if figures := s.Performance(c, "demo", a, time.Time{}, 20); connectortest.Conversions(figures) == 0 {
		t.Error("no conversions")
	}
	s.AllMet(vendor, "demo")
}

func TestAnAuthorizationLastsUntilItIsRevoked(t *testing.T) {
	s := connectortest.New(t)
	c := tiktokads.NewConnector(s.Web, s.App)
	back := s.Allow(c, "demo")
	if back.Get("code") != "" || back.Get(c.OAuth().CodeIn) == "" {
		t.Fatalf("sent back with %v", back)
	}
	credentials, err := s.Redeem(c, back.Get("auth_code"))
	if err != nil || !credentials.Authorized || !credentials.ExpiresAt.IsZero() || !credentials.RefreshToken.Empty() {
		t.Fatalf("%+v, %v", credentials, err)
	}
	for _, code := range []string{back.Get("auth_code"), "made up"} {
		if _, err := s.Redeem(c, code); connector.Classify(err).Code != connector.CodeGrantRevoked {
			t.Errorf("the code %.20s…: %v", code, err)
		}
	}
	other := s.App
	other.Secret = func(context.Context) (secrets.Secret, error) { return secrets.New("another"), nil }
	if _, err := s.Redeem(tiktokads.NewConnector(s.Web, other), s.Allow(c, "demo").Get("auth_code")); connector.Classify(err).Class != connector.Permanent {
		t.Errorf("with another secret: %v", err)
	}
	a := connector.Account{Connection: "c1", Credentials: credentials}
	s.Now = s.Now.AddDate(10, 0, 0)
	identity, err := c.Identify(t.Context(), a)
	if err != nil || identity.ID == "" || identity.Account != identity.ID || identity.Title != "demo" {
		t.Errorf("ten years later: %+v, %v", identity, err)
	}
	accounts, err := c.Accounts(t.Context(), a)
	if err != nil || len(accounts) != 2 || accounts[0].TimeZone != "Etc/UTC" || accounts[1].TimeZone != "America/New_York" || accounts[0].Currency != "USD" {
		t.Errorf("%+v, %v", accounts, err)
	}
	if err := c.OAuth().Revoke(t.Context(), a); err != nil {
		t.Error(err)
	}
	if _, err := c.Identify(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("once revoked: %v", err)
	}
	if _, err := c.OAuth().Refresh(t.Context(), "", credentials); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("a refresh: %v", err)
	}
}

func TestFaultsOfTheVendor(t *testing.T) {
	s := connectortest.New(t)
	c := tiktokads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	ask := func() error { _, err := c.Identify(t.Context(), a); return err }
	s.Fails(vendor, "demo", a, ask,
		connectortest.Failure{Kind: "throttle", Class: connector.Throttled},
		connectortest.Failure{Kind: "throttle", Status: 429, Class: connector.Throttled},
		connectortest.Failure{Kind: "error500", Class: connector.Transient},
		connectortest.Failure{Kind: "error500", Status: 200, Class: connector.Transient},
		connectortest.Failure{Kind: "html", Class: connector.Transient},
		connectortest.Failure{Kind: "html", Status: 504, Class: connector.Transient},
		connectortest.Failure{Kind: "truncated", Class: connector.Transient},
		connectortest.Failure{Kind: "expired_token", Class: connector.Unauthorized},
	)
}

var account = connector.Account{Connection: "c1", Credentials: connector.Credentials{AccessToken: secrets.New("token")}}

// answering is a connector of which every request but those for advertisers is answered with a body; it keeps the last.
func answering(t *testing.T, currency, body string) (*tiktokads.Connector, *http.Request) {
	t.Helper()
	last := &http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/oauth2/advertiser/get/"):
			fmt.Fprint(w, `{"code":0,"data":{"list":[{"advertiser_id":"7","advertiser_name":"Seven"}]}}`)
		case strings.HasSuffix(r.URL.Path, "/advertiser/info/"):
			fmt.Fprintf(w, `{"code":0,"data":{"list":[{"advertiser_id":"7","name":"Seven","currency":%q,"timezone":"Etc/GMT+5","display_timezone":"America/New_York"}]}}`, currency)
		default:
			*last = *r
			fmt.Fprint(w, body)
		}
	}))
	t.Cleanup(server.Close)
	now := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	app := connector.App{ClientID: "1", Secret: func(context.Context) (secrets.Secret, error) { return secrets.New("hush"), nil }}
	return tiktokads.NewConnector(connector.Web{HTTP: server.Client(), Now: now, Hosts: server.URL + "/{host}"}, app), last
}

func pull(t *testing.T, c *tiktokads.Connector, stream string) (connector.Page, error) {
	t.Helper()
	since := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	return connectortest.Stream(t, c, stream).Pull(t.Context(), account, connector.Request{Since: since, Size: 100})
}

func TestFiguresAreNormalized(t *testing.T) {
	const row = `{"code":0,"message":"OK","data":{"page_info":{"page":1,"page_size":100,"total_number":1,"total_page":1},"list":[
		{"dimensions":{"campaign_id":"18001","stat_time_day":"2026-11-21 00:00:00"},
		 "metrics":{"spend":"12.346","impressions":"1000","clicks":"14","video_play_actions":"700","complete_payment":"3","total_complete_payment_rate":"90.5",
			"total_purchase":"2","total_purchase_value":"10","onsite_shopping":"-"}}]}}`
	c, asked := answering(t, "USD", row)
	got, err := pull(t, c, "performance")
	want := []integrationsapi.Performance{{
		ID: "c1:18001:2026-11-21", ConnectionID: "c1", Vendor: "tiktok-ads", AccountID: "7", CampaignID: "c1:18001",
		Day: store.At(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)), TimeZone: "America/New_York", SpendMinor: 1235, Currency: "USD",
		Impressions: 1000, Clicks: 14, Views: 700, Conversions: 5, ConversionValueMinor: 10050,
	}}
	if err != nil || !reflect.DeepEqual(got.Records.Performance, want) || got.Next != "" {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if q := asked.URL.Query(); q.Get("start_date") != "2026-11-21" || q.Get("end_date") != "2026-11-22" || q.Get("page_size") != "100" || q.Get("page") != "1" {
		t.Errorf("asked %v", q)
	}
	if asked.Header.Get("Access-Token") != "token" || strings.Contains(asked.URL.String(), "hush") || !strings.HasSuffix(asked.URL.Path, "/open_api/v1.3/report/integrated/get/") {
		t.Errorf("asked %s with %v", asked.URL, asked.Header)
	}
	for _, change := range [][2]string{
		{`"18001"`, `"x/y"`}, {`"12.346"`, `"a lot"`}, {`"spend":"12.346",`, ``}, {`"impressions":"1000",`, ``}, {`"complete_payment":"3"`, `"complete_payment":"three"`},
		{`00:00:00`, `05:00:00`}, {`2026-11-21`, `yesterday`}, {`"page":1`, `"page":2`}, {`"data":{`, `"other":{`},
	} {
		c, _ := answering(t, "USD", strings.ReplaceAll(row, change[0], change[1]))
		if page, err := pull(t, c, "performance"); !connectortest.Impossible(page, err) {
			t.Errorf("with %s: %v", change[1], err)
		}
	}
}

func TestCampaignsAreNormalized(t *testing.T) {
	for _, k := range []struct {
		fields, currency, status string
		budget                   int64
	}{
		{`"operation_status":"ENABLE","secondary_status":"CAMPAIGN_STATUS_ENABLE","budget_mode":"BUDGET_MODE_DAY","budget":40.5`, "USD", "active", 4050},
		{`"operation_status":"ENABLE","secondary_status":"CAMPAIGN_STATUS_ENABLE","budget_mode":"BUDGET_MODE_DYNAMIC_DAILY_BUDGET","budget":4000.0`, "JPY", "active", 4000},
		{`"operation_status":"DISABLE","secondary_status":"CAMPAIGN_STATUS_DISABLE","budget_mode":"BUDGET_MODE_TOTAL","budget":4000`, "USD", "paused", 0},
		{`"operation_status":"DISABLE","secondary_status":"CAMPAIGN_STATUS_DELETE","budget_mode":"BUDGET_MODE_INFINITE","budget":0`, "USD", "archived", 0},
		{`"operation_status":"SOMETHING_NEW"`, "USD", "unknown", 0},
	} {
		c, asked := answering(t, k.currency, `{"code":0,"data":{"page_info":{"page":1,"total_page":1},"list":[
			{"campaign_id":"5","campaign_name":"Spring","objective_type":"WEB_CONVERSIONS","create_time":"2026-03-01 09:30:00",`+k.fields+`}]}}`)
		got, err := pull(t, c, "campaigns")
		want := []integrationsapi.Campaign{{
			ID: "c1:5", ConnectionID: "c1", Vendor: "tiktok-ads", AccountID: "7", Name: "Spring", Channel: "social", Objective: "WEB_CONVERSIONS",
			StartedAt: store.At(time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)), Status: k.status, DailyBudgetMinor: k.budget, Currency: k.currency,
		}}
		if err != nil || !reflect.DeepEqual(got.Records.Campaigns, want) {
			t.Errorf("%+v, %v; want %+v", got.Records.Campaigns, err, want)
		}
		if asked.URL.Query().Get("filtering") != `{"primary_status":"STATUS_ALL"}` {
			t.Errorf("asked %v", asked.URL.Query())
		}
	}
}

func TestErrorsInside200(t *testing.T) {
	for _, k := range []struct {
		name    string
		code    int
		message string
		class   connector.Class
		known   string
		wait    time.Duration
	}{
		{"too many in a second", 40100, "Too many requests. Please retry in some time.", connector.Throttled, connector.CodeThrottled, 2 * time.Second},
		{"too many in a minute", 40100, "Due to too many requests, requests from App 7 are temporarily restricted.", connector.Throttled, connector.CodeThrottled, 5 * time.Minute},
		{"too many of the advertiser's", 40133, "", connector.Throttled, connector.CodeThrottled, 2 * time.Second},
		{"too many of the interface's", 40016, "", connector.Throttled, connector.CodeThrottled, 2 * time.Second},
		{"an old token", 40102, "", connector.Unauthorized, connector.CodeCredentialsRefused, 0},
		{"no token", 40104, "", connector.Unauthorized, connector.CodeCredentialsRefused, 0},
		{"a wrong token", 40105, "", connector.Unauthorized, connector.CodeCredentialsRefused, 0},
		{"no permission", 40001, "", connector.Permanent, connector.CodePermissionMissing, 0},
		{"our mistake", 40002, "", connector.Permanent, connector.CodeRefused, 0},
		{"their mistake", 50000, "", connector.Transient, connector.CodeUnavailable, 0},
		{"a service of theirs", 50002, "", connector.Transient, connector.CodeUnavailable, 0},
		{"a part", 20001, "", connector.Transient, connector.CodeUnavailable, 0},
	} {
		c, _ := answering(t, "USD", fmt.Sprintf(`{"code":%d,"message":%q,"request_id":"r","data":{"list":[]}}`, k.code, k.message))
		_, err := pull(t, c, "performance")
		var e *connector.Error
		if !errors.As(err, &e) || e.Class != k.class || e.Code != k.known || e.Wait != k.wait {
			t.Errorf("%s: %+v, %v", k.name, e, err)
		}
	}
}

func TestAnAdvertiserThatIsNotDescribedCanBeLeftOut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/oauth2/advertiser/get/") {
			fmt.Fprint(w, `{"code":0,"data":{"list":[{"advertiser_id":"7","advertiser_name":"Seven"},{"advertiser_id":"8","advertiser_name":"Eight"}]}}`)
			return
		}
		fmt.Fprint(w, `{"code":0,"data":{"list":[{"advertiser_id":"8","name":"Eight","currency":"EUR","timezone":"Etc/GMT-1"}]}}`)
	}))
	defer server.Close()
	app := connector.App{Secret: func(context.Context) (secrets.Secret, error) { return secrets.New("hush"), nil }}
	c := tiktokads.NewConnector(connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL + "/{host}"}, app)
	got, err := c.Accounts(t.Context(), account)
	want := []connector.SubAccount{{ID: "7", Name: "Seven"}, {ID: "8", Name: "Eight", Currency: "EUR", TimeZone: "Etc/GMT-1"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzWhatTikTokAnswers(f *testing.F) {
	f.Add(`{"code":40100,"message":"restricted"}`)
	f.Add(`{"code":0,"data":{"page_info":{"page":1,"total_page":2},"list":[{"dimensions":{"campaign_id":"1","stat_time_day":"2026-11-21 00:00:00"},"metrics":{"spend":"1","impressions":"1","clicks":"1","video_play_actions":"0"}}]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		c, _ := answering(t, "USD", body)
		page, err := pull(t, c, "performance")
		if err != nil {
			if e := connector.Classify(err); e.Code == "" || e.Wait < 0 {
				t.Errorf("%+v", e)
			}
			return
		}
		for _, r := range page.Records.Performance {
			if r.ID == "" || r.Currency != "USD" || r.Day.IsZero() {
				t.Errorf("a record %+v", r)
			}
		}
	})
}
