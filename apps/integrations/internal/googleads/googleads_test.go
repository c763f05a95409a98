package googleads_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/googleads"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

func is(token string) googleads.Secret {
	return func(context.Context) (secrets.Secret, error) { return secrets.New(token), nil }
}

// open is the connector of a vendor at the simulated Google Ads, and an account that a person authorized.
func open(t *testing.T, vendor string) (*connectortest.Sandbox, *googleads.Connector, connector.Account) {
	t.Helper()
	s := connectortest.New(t)
	c := googleads.NewConnector(s.Web, s.App, is(sandbox.GoogleDeveloperToken))
	if vendor == googleads.YouTube {
		c = googleads.NewYouTube(s.Web, s.App, is(sandbox.GoogleDeveloperToken))
	}
	return s, c, s.Connect(c, "demo")
}

func TestEverythingOfBothAccountsIsReadOnceByTheVendorThatItIsOf(t *testing.T) {
	for _, vendor := range []string{googleads.Vendor, googleads.YouTube} {
		t.Run(vendor, func(t *testing.T) {
			s, c, a := open(t, vendor)
			s.Fault(vendor, "demo", map[string]any{"kind": "reorder_pages", "times": 3})
			s.Fault(vendor, "demo", map[string]any{"kind": "duplicate_page", "times": 2})
			accounts := map[string]bool{}
			for _, r := range s.Campaigns(c, "demo", a, 10_000) {
				accounts[r.AccountID] = true
			}
			if len(accounts) != 2 {
				t.Errorf("they are of %v", accounts)
			}
			s.Performance(c, "demo", a, time.Time{}, 10_000)
			s.AllMet(vendor, "demo")
		})
	}
}

func TestASyncWithNothingNewIsFewCalls(t *testing.T) {
	s, c, a := open(t, googleads.Vendor)
	s.Admin(http.MethodDelete, googleads.Vendor, "demo", "requests", nil)
	for _, stream := range c.Streams() {
		since := time.Time{}
		if stream.LookBack > 0 {
			since = s.Now.Add(-stream.LookBack)
		}
		for _, page := range connectortest.Pull(t, stream, a, since, stream.PageSize) {
			for _, r := range page.Records.Performance {
				if r.Day.Before(s.Now.AddDate(0, 0, -29)) {
					t.Errorf("%s came again", r.ID)
				}
			}
		}
	}
	var counts struct{ Total int }
	if err := json.Unmarshal(s.Admin(http.MethodGet, googleads.Vendor, "demo", "requests", nil), &counts); err != nil || counts.Total == 0 || counts.Total > 10 {
		t.Errorf("%d calls, %v", counts.Total, err)
	}
}

func TestWhoHasAuthorizedUsAndForWhat(t *testing.T) {
	_, c, a := open(t, googleads.Vendor)
	identity, err := c.Identify(t.Context(), a)
	if err != nil || len(identity.ID) != 10 || identity.Account != identity.ID || identity.Title != "demo" || !slices.Equal(identity.Scopes, []string{"https://www.googleapis.com/auth/adwords"}) {
		t.Errorf("%+v, %v", identity, err)
	}
	accounts, err := c.Accounts(t.Context(), a)
	if err != nil || len(accounts) != 2 || accounts[0].TimeZone == accounts[1].TimeZone || accounts[0].Currency != "USD" {
		t.Fatalf("%+v, %v", accounts, err)
	}
	if accounts[0].ID == identity.ID || accounts[0].Via != "" || accounts[1].Via != identity.ID {
		t.Errorf("%+v: want the manager %s left out, the first account by itself and the second by way of it", accounts, identity.ID)
	}
	a.Chosen = []string{accounts[1].ID}
	for _, page := range connectortest.Pull(t, connectortest.Stream(t, c, "campaigns"), a, time.Time{}, 10_000) {
		for _, r := range page.Records.Campaigns {
			if r.AccountID != accounts[1].ID {
				t.Errorf("campaign %s is of %s, which was not chosen", r.ID, r.AccountID)
			}
		}
	}
}

func TestAuthorizations(t *testing.T) {
	s, c, a := open(t, googleads.Vendor)
	page, err := url.Parse(c.OAuth().AuthorizeURL("", "https://app.example/callback", "state", "verifier"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"access_type": "offline", "prompt": "consent", "scope": "https://www.googleapis.com/auth/adwords", "code_challenge_method": "S256"} {
		if got := page.Query().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	first := a.Credentials
	if left := first.ExpiresAt.Sub(s.Now); left < 59*time.Minute || first.RefreshToken.Reveal() == "" {
		t.Fatalf("a token for %s that cannot be refreshed", left)
	}
	s.Now = first.ExpiresAt.Add(time.Second)
	if _, err := c.Identify(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("with a token that has ended: %v", err)
	}
	fresh, err := c.OAuth().Refresh(t.Context(), "", first)
	if err != nil || fresh.RefreshToken.Reveal() != first.RefreshToken.Reveal() || fresh.AccessToken.Reveal() == first.AccessToken.Reveal() {
		t.Fatalf("%+v, %v", fresh, err)
	}
	a.Credentials = fresh
	if _, err := c.Identify(t.Context(), a); err != nil {
		t.Error(err)
	}
	if err := c.OAuth().Revoke(t.Context(), a); err != nil {
		t.Error(err)
	}
	if _, err := c.Identify(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("once revoked: %v", err)
	}
	if _, err := c.OAuth().Refresh(t.Context(), "", fresh); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("refreshed once revoked: %v", err)
	}
	if err := c.OAuth().Revoke(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("revoked again: %v", err)
	}
	if _, err := s.Redeem(c, "made up"); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a code that is none: %v", err)
	}
	other := s.App
	other.Secret = is("another")
	if _, err := googleads.NewConnector(s.Web, other, is("x")).OAuth().Refresh(t.Context(), "", fresh); connector.Classify(err).Class != connector.Permanent {
		t.Errorf("with another secret: %v", err)
	}
}

func TestFaultsOfTheVendor(t *testing.T) {
	s, c, a := open(t, googleads.Vendor)
	for _, f := range []struct {
		kind   string
		status int
		class  connector.Class
	}{
		{"throttle", 0, connector.Throttled},
		{"throttle", 503, connector.Throttled}, // by the word of the answer
		{"error500", 0, connector.Transient},
		{"error500", 503, connector.Transient},
		{"html", 0, connector.Transient},
		{"truncated", 0, connector.Transient},
		{"expired_token", 0, connector.Unauthorized},
	} {
		s.Fault(googleads.Vendor, "demo", map[string]any{"kind": f.kind, "status": f.status})
		_, err := c.Identify(t.Context(), a)
		e := connector.Classify(err)
		if err == nil || e.Class != f.class || e.Class == connector.Throttled && e.Wait != time.Second || strings.Contains(err.Error(), a.Credentials.AccessToken.Reveal()) {
			t.Errorf("%s with status %d: %v, %+v", f.kind, f.status, err, e)
		}
	}
	_, err := googleads.NewConnector(s.Web, s.App, is("another")).Identify(t.Context(), a)
	if e := connector.Classify(err); e.Class != connector.Permanent || e.Code != connector.CodeRefused || strings.Contains(err.Error(), "another") {
		t.Errorf("with another developer token: %v", err)
	}
	broken := func(context.Context) (secrets.Secret, error) {
		return secrets.Secret{}, errors.New("the store is down")
	}
	if _, err := googleads.NewConnector(s.Web, s.App, broken).Identify(t.Context(), a); err == nil || connector.Classify(err).Class != connector.Transient {
		t.Errorf("without a secret store: %v", err)
	}
}

var account = connector.Account{Connection: "c1", Credentials: connector.Credentials{AccessToken: secrets.New("ya29.token")}}

const (
	ours     = `{"results":[{"customerClient":{"id":"42","descriptiveName":"Seven","currencyCode":"USD","timeZone":"America/New_York","manager":false}}]}`
	onlyOurs = `{"resourceNames":["customers/42"]}`
)

// asked is what the vendor got to see.
type asked struct {
	Path      string
	Header    http.Header
	Query     string `json:"query"`
	PageToken string `json:"pageToken"`
}

// answering is a connector to accounts that the first two answers tell of; every query of campaigns is answered with status and body.
func answering(t *testing.T, accessible, clients string, status int, body string) (*googleads.Connector, *asked) {
	t.Helper()
	last := &asked{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		var in asked
		if r.Method == http.MethodPost && json.NewDecoder(r.Body).Decode(&in) != nil {
			t.Error("a body that is no JSON")
		}
		switch {
		case r.Method == http.MethodGet:
			fmt.Fprint(w, accessible)
		case strings.Contains(in.Query, "FROM customer_client"):
			fmt.Fprint(w, clients)
		default:
			in.Path, in.Header = r.URL.Path, r.Header
			*last = in
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}))
	t.Cleanup(server.Close)
	now := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	web := connector.Web{HTTP: server.Client(), Now: now, Hosts: server.URL + "/{host}"}
	return googleads.NewConnector(web, connector.App{ClientID: "1", Secret: is("hush")}, is("developer")), last
}

func pull(t *testing.T, c *googleads.Connector, stream string) (connector.Page, error) {
	t.Helper()
	since := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	return connectortest.Stream(t, c, stream).Pull(t.Context(), account, connector.Request{Since: since, Size: 10_000})
}

func TestFiguresAreNormalized(t *testing.T) {
	const row = `{"results":[{"campaign":{"resourceName":"customers/42/campaigns/7","id":"7"},"segments":{"date":"2026-11-21"},
		"metrics":{"costMicros":"12345000","impressions":"1000","clicks":"14","conversions":5.5,"conversionsValue":110.125,"videoTrueviewViews":"77"}}],
		"fieldMask":"campaign.id","nextPageToken":"more"}`
	c, last := answering(t, onlyOurs, ours, 200, row)
	got, err := pull(t, c, "performance")
	want := []integrationsapi.Performance{{
		ID: "c1:7:2026-11-21", ConnectionID: "c1", Vendor: "google-ads", AccountID: "42", CampaignID: "c1:7", Day: store.At(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)),
		TimeZone: "America/New_York", SpendMinor: 1234, Currency: "USD", Impressions: 1000, Clicks: 14, Views: 77, Conversions: 5.5, ConversionValueMinor: 11012,
	}}
	if err != nil || !reflect.DeepEqual(got.Records.Performance, want) || got.Next == "" {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	const query = "SELECT campaign.id, segments.date, metrics.cost_micros, metrics.impressions, metrics.clicks, metrics.conversions, metrics.conversions_value, " +
		"metrics.video_trueview_views FROM campaign WHERE segments.date BETWEEN '2026-11-21' AND '2026-11-22' AND campaign.advertising_channel_type NOT IN ('VIDEO', 'DEMAND_GEN')"
	if last.Path != "/googleads.googleapis.com/v25/customers/42/googleAds:search" || last.Query != query || last.PageToken != "" {
		t.Errorf("asked %+v", last)
	}
	if last.Header.Get("Authorization") != "Bearer ya29.token" || last.Header.Get("developer-token") != "developer" || last.Header.Values("login-customer-id") != nil {
		t.Errorf("with %v", last.Header)
	}
	if _, err := connectortest.Stream(t, c, "performance").Pull(t.Context(), account, connector.Request{Cursor: got.Next, Size: 10_000}); connector.Classify(err).Code != connector.CodeBadAnswer {
		t.Errorf("a next page that is the same: %v", err)
	}
	if last.PageToken != "more" {
		t.Errorf("the next page is asked for with %q", last.PageToken)
	}
	for _, change := range [][2]string{
		{`"id":"7"`, `"id":"x/y"`}, {`"costMicros":"12345000"`, `"costMicros":"a lot"`}, {`"costMicros":"12345000",`, ``}, {`"impressions":"1000",`, ``},
		{`"clicks":"14",`, ``}, {`"conversions":5.5,`, ``}, {`"conversionsValue":110.125,`, ``}, {`110.125`, `1e300`}, {`"date":"2026-11-21"`, `"date":"yesterday"`},
	} {
		c, _ := answering(t, onlyOurs, ours, 200, strings.ReplaceAll(row, change[0], change[1]))
		if page, err := pull(t, c, "performance"); !connectortest.Impossible(page, err) {
			t.Errorf("with %s: %v", change[1], err)
		}
	}
	for currency, want := range map[string][2]int64{"JPY": {12, 110}, "KWD": {12345, 110125}, "CLF": {123450, 1101250}} {
		c, _ := answering(t, onlyOurs, strings.ReplaceAll(ours, "USD", currency), 200, row)
		if got, err := pull(t, c, "performance"); err != nil || got.Records.Performance[0].SpendMinor != want[0] || got.Records.Performance[0].ConversionValueMinor != want[1] {
			t.Errorf("in %s: %+v, %v; want %v", currency, got.Records.Performance, err, want)
		}
	}
	for _, wrong := range []string{"usd", ""} {
		c, _ := answering(t, onlyOurs, strings.ReplaceAll(ours, "USD", wrong), 200, row)
		if page, err := pull(t, c, "performance"); !connectortest.Impossible(page, err) {
			t.Errorf("in %q: %v", wrong, err)
		}
	}
}

func TestCampaignsAreNormalized(t *testing.T) {
	for _, k := range []struct {
		status, serving, channel, budget string
		want                             integrationsapi.Campaign
	}{
		{"ENABLED", "SERVING", "SEARCH", `"amountMicros":"40000000"`, integrationsapi.Campaign{Status: "active", Channel: "search", DailyBudgetMinor: 4000}},
		{"ENABLED", "NONE", "SHOPPING", ``, integrationsapi.Campaign{Status: "active", Channel: "shopping"}},
		{"ENABLED", "PENDING", "DISPLAY", ``, integrationsapi.Campaign{Status: "scheduled", Channel: "display"}},
		{"ENABLED", "ENDED", "PERFORMANCE_MAX", ``, integrationsapi.Campaign{Status: "ended", Channel: "other"}},
		{"ENABLED", "SUSPENDED", "VIDEO", ``, integrationsapi.Campaign{Status: "paused", Channel: "video"}},
		{"PAUSED", "SERVING", "DEMAND_GEN", ``, integrationsapi.Campaign{Status: "paused", Channel: "video"}},
		{"REMOVED", "ENDED", "SOMETHING_NEW", ``, integrationsapi.Campaign{Status: "archived", Channel: "other"}},
		{"SOMETHING_NEW", "SERVING", "SEARCH", ``, integrationsapi.Campaign{Status: "unknown", Channel: "search"}},
	} {
		body := `{"results":[{"campaign":{"id":"7","name":"Spring","status":"` + k.status + `","servingStatus":"` + k.serving + `","advertisingChannelType":"` + k.channel +
			`","startDateTime":"2026-03-01 09:30:00"},"campaignBudget":{` + k.budget + `}}]}`
		c, _ := answering(t, onlyOurs, ours, 200, body)
		got, err := pull(t, c, "campaigns")
		k.want.ID, k.want.ConnectionID, k.want.Vendor, k.want.AccountID, k.want.Name, k.want.Currency = "c1:7", "c1", "google-ads", "42", "Spring", "USD"
		k.want.StartedAt = store.At(time.Date(2026, 3, 1, 14, 30, 0, 0, time.UTC)) // of New York
		if err != nil || !reflect.DeepEqual(got.Records.Campaigns, []integrationsapi.Campaign{k.want}) {
			t.Errorf("%+v, %v; want %+v", got.Records.Campaigns, err, k.want)
		}
		for _, change := range [][2]string{{`"id":"7"`, `"id":""`}, {"2026-03-01 09:30:00", "2026-03-01"}} {
			c, _ := answering(t, onlyOurs, ours, 200, strings.ReplaceAll(body, change[0], change[1]))
			if page, err := pull(t, c, "campaigns"); !connectortest.Impossible(page, err) {
				t.Errorf("with %s: %v", change[1], err)
			}
		}
	}
}

// failed is a google.rpc.Status with one error of the API.
func failed(kind, code, more string) string {
	return `{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.Help"},
		{"@type":"type.googleapis.com/google.ads.googleads.v25.errors.GoogleAdsFailure","errors":[{"errorCode":{"` + kind + `":"` + code + `"},"message":"no"` + more + `}],"requestId":"x"}]}}`
}

func TestErrors(t *testing.T) {
	delay := func(text string) string {
		return `,"details":{"quotaErrorDetails":{"rateScope":"DEVELOPER","rateName":"x","retryDelay":"` + text + `"}}`
	}
	for _, k := range []struct {
		status           int
		kind, code, more string
		class            connector.Class
		named            string
		wait             time.Duration
	}{
		{429, "quotaError", "RESOURCE_EXHAUSTED", delay("1800s"), connector.Throttled, connector.CodeThrottled, 30 * time.Minute},
		{429, "quotaError", "RESOURCE_EXHAUSTED", delay("86400s"), connector.Throttled, connector.CodeThrottled, time.Hour},
		{429, "quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", delay("1.5s"), connector.Throttled, connector.CodeThrottled, 1500 * time.Millisecond},
		{429, "quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", delay("soon"), connector.Throttled, connector.CodeThrottled, 5 * time.Second},
		{429, "quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", delay("-3s"), connector.Throttled, connector.CodeThrottled, 5 * time.Second},
		{429, "quotaError", "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION", "", connector.Throttled, connector.CodeThrottled, 5 * time.Second},
		{403, "quotaError", "ACCESS_PROHIBITED", "", connector.Permanent, connector.CodePermissionMissing, 0},
		{401, "authenticationError", "OAUTH_TOKEN_REVOKED", "", connector.Unauthorized, connector.CodeCredentialsRefused, 0},
		{401, "authenticationError", "TWO_STEP_VERIFICATION_NOT_ENROLLED", "", connector.Unauthorized, connector.CodeCredentialsRefused, 0},
		{401, "authenticationError", "NOT_ADS_USER", "", connector.Permanent, connector.CodeAccountUnavailable, 0},
		{401, "authenticationError", "DEVELOPER_TOKEN_INVALID", "", connector.Permanent, connector.CodeRefused, 0},
		{400, "authenticationError", "CLIENT_CUSTOMER_ID_INVALID", "", connector.Permanent, connector.CodeRefused, 0},
		{403, "authorizationError", "USER_PERMISSION_DENIED", "", connector.Permanent, connector.CodePermissionMissing, 0},
		{403, "authorizationError", "CUSTOMER_NOT_ENABLED", "", connector.Permanent, connector.CodeAccountUnavailable, 0},
		{403, "authorizationError", "DEVELOPER_TOKEN_NOT_APPROVED", "", connector.Permanent, connector.CodeRefused, 0},
		{400, "requestError", "DEVELOPER_TOKEN_PARAMETER_MISSING", "", connector.Permanent, connector.CodeRefused, 0},
		{400, "requestError", "EXPIRED_PAGE_TOKEN", "", connector.Permanent, connector.CodeRefused, 0},
		{400, "queryError", "UNRECOGNIZED_FIELD", "", connector.Permanent, connector.CodeRefused, 0},
		{500, "internalError", "TRANSIENT_ERROR", "", connector.Transient, connector.CodeUnavailable, 0},
		{400, "internalError", "DEADLINE_EXCEEDED", "", connector.Transient, connector.CodeUnavailable, 0},
		{503, "somethingNew", "NEW", "", connector.Transient, connector.CodeUnavailable, 0},
	} {
		c, _ := answering(t, onlyOurs, ours, k.status, failed(k.kind, k.code, k.more))
		_, err := pull(t, c, "performance")
		var e *connector.Error
		if !errors.As(err, &e) || e.Class != k.class || e.Code != k.named || e.Wait != k.wait {
			t.Errorf("%s %s with status %d: %+v, %v", k.kind, k.code, k.status, e, err)
		}
	}
}

// Of several accounts that an authorization opens, one that is closed must not keep the others from being read.
func TestAccountsThatAreClosedAreLeftOut(t *testing.T) {
	closed := failed("authorizationError", "CUSTOMER_NOT_ENABLED", "")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var in asked
		_ = json.NewDecoder(r.Body).Decode(&in)
		id := strings.Split(r.URL.Path+"////", "/")[4]
		if id == "9" {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprint(w, map[string]string{
			"": `{"resourceNames":["customers/100","customers/42","customers/9"]}`, "9": closed,
			// An account that the service has no row of is asked for itself.
			"42":  map[bool]string{true: `{}`, false: `{"results":[{"customer":{"id":"42","currencyCode":"EUR","timeZone":"Europe/Berlin"}}]}`}[strings.Contains(in.Query, "customer_client")],
			"100": `{"results":[{"customerClient":{"id":"100","manager":true}},{"customerClient":{"id":"42","manager":false}},{"customerClient":{"id":"7","manager":false}}]}`,
		}[id])
	}))
	t.Cleanup(server.Close)
	web := connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL + "/{host}"}
	c := googleads.NewConnector(web, connector.App{}, is("developer"))
	got, err := c.Accounts(t.Context(), account)
	want := []connector.SubAccount{{ID: "7", Via: "100"}, {ID: "42", Currency: "EUR", TimeZone: "Europe/Berlin"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if identity, err := c.Identify(t.Context(), account); err != nil || identity.ID != "42" || identity.Title != "42" {
		t.Errorf("%+v, %v", identity, err)
	}
}

func TestAnAuthorizationMayOpenNothing(t *testing.T) {
	for _, body := range []string{`{}`, `{"resourceNames":[]}`} {
		c, _ := answering(t, body, ours, 200, `{}`)
		if _, err := c.Identify(t.Context(), account); connector.Classify(err).Code != connector.CodeAccountUnavailable {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, body := range []string{`{"resourceNames":["customers/4/2"]}`, `{"resourceNames":["people/42"]}`, `{"resourceNames":["customers/"]}`} {
		c, _ := answering(t, body, ours, 200, `{}`)
		if _, err := c.Identify(t.Context(), account); connector.Classify(err).Code != connector.CodeBadAnswer {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzWhatGoogleAnswers(f *testing.F) {
	f.Add(429, failed("quotaError", "RESOURCE_EXHAUSTED", `,"details":{"quotaErrorDetails":{"retryDelay":"9e99s"}}`))
	f.Add(200, `{"results":[{"campaign":{"id":"7"},"segments":{"date":"2026-11-21"},"metrics":{"costMicros":"1","impressions":"1","clicks":"1","conversions":1e308,"conversionsValue":1}}]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		c, _ := answering(t, onlyOurs, ours, status, body)
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
