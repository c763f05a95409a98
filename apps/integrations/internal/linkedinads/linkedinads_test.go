package linkedinads_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/linkedinads"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

const vendor = linkedinads.Vendor

func TestEverythingOfBothAccountsIsReadOnce(t *testing.T) {
	s := connectortest.New(t)
	c := linkedinads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	s.Campaigns(c, "demo", a, 1000)
	for _, size := range []int{15_000, 4_000, 1} { // the smaller, the fewer days at once
		since := time.Time{}
		if size == 1 {
			since = s.Now.AddDate(0, 0, -740)
		}
		seen := map[string]bool{}
		for _, r := range s.Performance(c, "demo", a, since, size) {
			if seen[r.ID] {
				t.Errorf("%s twice", r.ID)
			}
			seen[r.ID] = true
		}
	}
}

func TestWhoHasAuthorizedUsAndForWhat(t *testing.T) {
	s := connectortest.New(t)
	c := linkedinads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	accounts, err := c.Accounts(t.Context(), a)
	if err != nil || len(accounts) != 2 || accounts[0].Currency != "USD" || accounts[1].TimeZone != "Etc/UTC" {
		t.Fatalf("%+v, %v", accounts, err)
	}
	identity, err := c.Identify(t.Context(), a)
	if err != nil || identity.ID == "" || identity.Account != identity.ID || identity.Title != accounts[0].Name || fmt.Sprint(identity.Scopes) != "[r_ads r_ads_reporting]" {
		t.Errorf("%+v, %v", identity, err)
	}
	a.Chosen = []string{accounts[1].ID}
	for _, page := range connectortest.Pull(t, connectortest.Stream(t, c, "campaigns"), a, time.Time{}, 1000) {
		for _, r := range page.Records.Campaigns {
			if r.AccountID != accounts[1].ID {
				t.Errorf("campaign %s is of %s, which was not chosen", r.ID, r.AccountID)
			}
		}
	}
}

// A refresh token ends a year after the person authorized us, however often it was used.
func TestRefreshTokensKeepCountingDown(t *testing.T) {
	s := connectortest.New(t)
	c := linkedinads.NewConnector(s.Web, s.App)
	flow, a, began := c.OAuth(), s.Connect(c, "demo"), s.Now
	for s.Now.Before(began.AddDate(0, 0, 300)) {
		s.Now = a.Credentials.ExpiresAt.Add(-flow.RefreshEarly())
		fresh, err := flow.Refresh(t.Context(), "", a.Credentials)
		if err != nil || fresh.ExpiresAt.Sub(s.Now) != 60*24*time.Hour || fresh.RefreshToken.Reveal() != a.Credentials.RefreshToken.Reveal() {
			t.Fatalf("%+v, %v", fresh, err)
		}
		a.Credentials = fresh
		if _, err := c.Identify(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	s.Now = began.AddDate(0, 0, 365)
	if _, err := flow.Refresh(t.Context(), "", a.Credentials); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("after a year: %v", err)
	}
	if _, err := s.Redeem(c, "made up"); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a code that is none: %v", err)
	}
	other := s.App
	other.Secret = func(context.Context) (secrets.Secret, error) { return secrets.New("another"), nil }
	if _, err := linkedinads.NewConnector(s.Web, other).OAuth().Refresh(t.Context(), "", a.Credentials); connector.Classify(err).Class != connector.Permanent {
		t.Errorf("with another secret: %v", err)
	}
	if flow.Revoke != nil {
		t.Error("LinkedIn documents no way to revoke")
	}
}

func TestFaultsOfTheVendor(t *testing.T) {
	s := connectortest.New(t)
	c := linkedinads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	ask := func() error { _, err := c.Accounts(t.Context(), a); return err }
	s.Fails(vendor, "demo", a, ask,
		connectortest.Failure{Kind: "throttle", Class: connector.Throttled, Wait: 5 * time.Second},
		connectortest.Failure{Kind: "error500", Class: connector.Transient},
		connectortest.Failure{Kind: "error500", Status: 503, Class: connector.Transient},
		connectortest.Failure{Kind: "html", Class: connector.Transient},
		connectortest.Failure{Kind: "truncated", Class: connector.Transient},
		connectortest.Failure{Kind: "expired_token", Class: connector.Unauthorized},
	)
	s.Admin(http.MethodDelete, vendor, "demo", "tokens", nil)
	if _, err := c.Identify(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("once the person has removed the app: %v", err)
	}
}

var account = connector.Account{Connection: "c1", Credentials: connector.Credentials{AccessToken: secrets.New("AQtoken")}}

const ours = `{"elements":[{"id":42,"name":"Seven","currency":"USD","status":"ACTIVE"}],"metadata":{}}`

// answering is a connector to accounts that the first answer tells of; every other request is answered with status and body. It keeps
// the last request.
func answering(t *testing.T, accounts string, status int, body string) (*linkedinads.Connector, *http.Request) {
	t.Helper()
	last := &http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/rest/adAccounts") {
			fmt.Fprint(w, accounts)
			return
		}
		*last = *r
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	now := func() time.Time { return time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC) }
	return linkedinads.NewConnector(connector.Web{HTTP: server.Client(), Now: now, Hosts: server.URL + "/{host}"}, connector.App{}), last
}

func pull(t *testing.T, c *linkedinads.Connector, stream string) (connector.Page, error) {
	t.Helper()
	s := connectortest.Stream(t, c, stream)
	return s.Pull(t.Context(), account, connector.Request{Since: time.Date(2026, 11, 9, 0, 0, 0, 0, time.UTC), Size: s.PageSize})
}

func TestFiguresAreNormalized(t *testing.T) {
	const element = `{"dateRange":{"start":{"year":2026,"month":11,"day":21},"end":{"year":2026,"month":11,"day":21}},"pivotValues":["urn:li:sponsoredCampaign:7"],
		"impressions":1000,"clicks":14,"costInLocalCurrency":"12.3450000","externalWebsiteConversions":5,"conversionValueInLocalCurrency":"110.1","videoViews":77}`
	c, last := answering(t, ours, 200, `{"elements":[`+element+`],"paging":{"start":0,"count":10}}`)
	got, err := pull(t, c, "performance")
	want := []integrationsapi.Performance{{
		ID: "c1:7:2026-11-21", ConnectionID: "c1", Vendor: vendor, AccountID: "42", CampaignID: "c1:7", Day: store.At(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)),
		TimeZone: "Etc/UTC", SpendMinor: 1234, Currency: "USD", Impressions: 1000, Clicks: 14, Views: 77, Conversions: 5, ConversionValueMinor: 11010,
	}}
	if err != nil || !reflect.DeepEqual(got.Records.Performance, want) || got.Next != "" {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	const query = "q=analytics&pivot=CAMPAIGN&timeGranularity=DAILY&dateRange=(start:(year:2026,month:11,day:9),end:(year:2026,month:11,day:22))" +
		"&accounts=List(urn%3Ali%3AsponsoredAccount%3A42)&fields=dateRange,pivotValues,impressions,clicks,costInLocalCurrency,externalWebsiteConversions,conversionValueInLocalCurrency,videoViews"
	if last.URL.Path != "/api.linkedin.com/rest/adAnalytics" || last.URL.RawQuery != query {
		t.Errorf("asked %s", last.URL)
	}
	if h := last.Header; h.Get("Authorization") != "Bearer AQtoken" || h.Get("Linkedin-Version") != linkedinads.Version || h.Get("X-Restli-Protocol-Version") != "2.0.0" {
		t.Errorf("with %v", h)
	}
	for _, change := range [][2]string{
		{"sponsoredCampaign:7", "sponsoredCampaign:07"}, {"sponsoredCampaign:7", "sponsoredAccount:7"}, {`["urn:li:sponsoredCampaign:7"]`, `[]`}, {`"impressions":1000,`, ``},
		{`"clicks":14,`, ``}, {`"costInLocalCurrency":"12.3450000",`, ``}, {`"12.3450000"`, `"a lot"`}, {`"110.1"`, `"1E300"`}, {`"month":11`, `"month":13`}, {`"day":21`, `"day":31`},
	} {
		c, _ := answering(t, ours, 200, `{"elements":[`+strings.ReplaceAll(element, change[0], change[1])+`]}`)
		if page, err := pull(t, c, "performance"); !connectortest.Impossible(page, err) {
			t.Errorf("with %s: %v", change[1], err)
		}
	}
	for written, want := range map[string]int64{`"0E-10"`: 0, `"0.0"`: 0, `1.235`: 124, `"1.5E+3"`: 150000} {
		c, _ := answering(t, ours, 200, `{"elements":[`+strings.ReplaceAll(strings.ReplaceAll(element, `"12.3450000"`, written), `"conversionValueInLocalCurrency":"110.1",`, "")+`]}`)
		if got, err := pull(t, c, "performance"); err != nil || got.Records.Performance[0].SpendMinor != want || got.Records.Performance[0].ConversionValueMinor != 0 {
			t.Errorf("a cost of %s: %+v, %v; want %d", written, got.Records, err, want)
		}
	}
}

// An answer that LinkedIn may have cut off is asked for in parts.
func TestAnswersThatMayBeCutOffAreAskedForInParts(t *testing.T) {
	const element = `{"dateRange":{"start":{"year":2026,"month":11,"day":21}},"pivotValues":["urn:li:sponsoredCampaign:7"],"impressions":1,"clicks":1,"costInLocalCurrency":"1"}`
	c, _ := answering(t, ours, 200, `{"elements":[`+strings.Repeat(element+",", 14_999)+element+`]}`)
	if _, err := pull(t, c, "performance"); connector.Classify(err).Class != connector.TooLarge {
		t.Errorf("15,000 elements: %v", err)
	}
	c, last := answering(t, ours, 200, `{"elements":[]}`)
	s := connectortest.Stream(t, c, "performance")
	r := connector.Request{Since: time.Date(2026, 11, 9, 0, 0, 0, 0, time.UTC), Size: s.PageSize / 4}
	var asked []string
	for {
		page, err := s.Pull(t.Context(), account, r)
		if err != nil {
			t.Fatal(err)
		}
		asked = append(asked, last.URL.Query().Get("dateRange"))
		if r.Cursor = page.Next; r.Cursor == "" {
			break
		}
	}
	want := []string{"(start:(year:2026,month:11,day:9),end:(year:2026,month:11,day:15))", "(start:(year:2026,month:11,day:16),end:(year:2026,month:11,day:22))"}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

func TestCampaignsAreNormalized(t *testing.T) {
	for _, k := range []struct {
		status, currency, budget string
		want                     integrationsapi.Campaign
	}{
		{"ACTIVE", "USD", `,"dailyBudget":{"amount":"40","currencyCode":"USD"}`, integrationsapi.Campaign{Status: "active", DailyBudgetMinor: 4000}},
		{"PAUSED", "USD", ``, integrationsapi.Campaign{Status: "paused"}},
		{"DRAFT", "JPY", `,"dailyBudget":{"amount":"4000.0","currencyCode":"JPY"}`, integrationsapi.Campaign{Status: "draft", DailyBudgetMinor: 4000}},
		{"COMPLETED", "USD", ``, integrationsapi.Campaign{Status: "ended"}},
		{"CANCELED", "USD", ``, integrationsapi.Campaign{Status: "ended"}},
		{"ARCHIVED", "USD", ``, integrationsapi.Campaign{Status: "archived"}},
		{"PENDING_DELETION", "USD", ``, integrationsapi.Campaign{Status: "archived"}},
		{"REMOVED", "USD", ``, integrationsapi.Campaign{Status: "archived"}},
		{"SOMETHING_NEW", "USD", ``, integrationsapi.Campaign{Status: "unknown"}},
	} {
		body := `{"elements":[{"id":7,"name":"Spring","status":"` + k.status + `","objectiveType":"LEAD_GENERATION","runSchedule":{"start":1772357400000}` + k.budget + `}],
			"metadata":{"nextPageToken":"a+b/c=="}}`
		c, last := answering(t, strings.ReplaceAll(ours, "USD", k.currency), 200, body)
		got, err := pull(t, c, "campaigns")
		k.want.ID, k.want.ConnectionID, k.want.Vendor, k.want.AccountID, k.want.Name, k.want.Currency = "c1:7", "c1", vendor, "42", "Spring", k.currency
		k.want.Channel, k.want.Objective, k.want.StartedAt = "social", "LEAD_GENERATION", store.At(time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC))
		if err != nil || !reflect.DeepEqual(got.Records.Campaigns, []integrationsapi.Campaign{k.want}) {
			t.Errorf("%+v, %v; want %+v", got.Records.Campaigns, err, k.want)
		}
		const first = "q=search&pageSize=1000&search=(status:(values:List(ACTIVE,PAUSED,DRAFT,COMPLETED,CANCELED,ARCHIVED,PENDING_DELETION,REMOVED)))"
		if last.URL.Path != "/api.linkedin.com/rest/adAccounts/42/adCampaigns" || last.URL.RawQuery != first {
			t.Errorf("asked %s", last.URL)
		}
		_, err = connectortest.Stream(t, c, "campaigns").Pull(t.Context(), account, connector.Request{Cursor: got.Next, Size: 1000})
		if want := first + "&pageToken=a%2Bb%2Fc%3D%3D"; last.URL.RawQuery != want || connector.Classify(err).Code != connector.CodeBadAnswer {
			t.Errorf("the next page is asked for with %s, %v: it is the same again", last.URL.RawQuery, err)
		}
		for _, change := range [][2]string{{`"id":7`, `"id":0`}, {"1772357400000", "0"}, {`"currencyCode":"USD"`, `"currencyCode":"EUR"`}, {`"40"`, `"many"`}} {
			changed := strings.ReplaceAll(body, change[0], change[1])
			if changed == body {
				continue
			}
			c, _ := answering(t, strings.ReplaceAll(ours, "USD", k.currency), 200, changed)
			if page, err := pull(t, c, "campaigns"); !connectortest.Impossible(page, err) {
				t.Errorf("with %s: %v", change[1], err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, k := range []struct {
		name   string
		status int
		body   string
		class  connector.Class
		code   string
		wait   time.Duration
	}{
		{"throttled", 429, `{"status":429,"serviceErrorCode":101,"code":"TOO_MANY_REQUESTS","message":"Resource level throttle limit for calls to this resource is reached."}`,
			connector.Throttled, connector.CodeThrottled, 5 * time.Second},
		{"throttled until midnight", 429, `{"status":429,"serviceErrorCode":101,"message":"Resource level throttle APPLICATION DAY limit for calls to this resource is reached."}`,
			connector.Throttled, connector.CodeThrottled, 30 * time.Minute},
		{"revoked", 401, `{"status":401,"serviceErrorCode":65601,"code":"REVOKED_ACCESS_TOKEN","message":"The token used in the request has been revoked by the user"}`,
			connector.Unauthorized, connector.CodeCredentialsRefused, 0},
		{"forbidden", 403, `{"status":403,"serviceErrorCode":100,"code":"ACCESS_DENIED","message":"Not enough permissions to access: adAnalytics"}`, connector.Permanent, connector.CodePermissionMissing, 0},
		{"sunset", 426, `{"status":426,"code":"NONEXISTENT_VERSION","message":"Requested version 20250201 is not active"}`, connector.Permanent, connector.CodeRefused, 0},
		{"ours", 400, `{"errorDetailType":"com.linkedin.common.error.BadRequest","code":"QUERY_PARAM_NOT_ALLOWED","message":"no","status":400}`, connector.Permanent, connector.CodeRefused, 0},
		{"gone", 404, `{"status":404,"code":"RESOURCE_NOT_FOUND","message":"no"}`, connector.Permanent, connector.CodeAccountUnavailable, 0},
		{"theirs", 500, `{"status":500,"code":"INTERNAL_SERVER_ERROR","message":"no"}`, connector.Transient, connector.CodeUnavailable, 0},
	} {
		c, _ := answering(t, ours, k.status, k.body)
		_, err := pull(t, c, "performance")
		var e *connector.Error
		if !errors.As(err, &e) || e.Class != k.class || e.Code != k.code || e.Wait != k.wait {
			t.Errorf("%s: %+v, %v", k.name, e, err)
		}
	}
	for body, code := range map[string]string{
		`{"elements":[]}`: connector.CodeAccountUnavailable, `{"elements":[{"user":"urn:li:organization:1"}]}`: connector.CodeBadAnswer, `{"elements":[{"user":"urn:li:person:"}]}`: connector.CodeBadAnswer,
	} {
		c, _ := answering(t, ours, 200, body)
		if _, err := c.Identify(t.Context(), account); connector.Classify(err).Code != code {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// What is strict at the simulated vendor is so that it finds mistakes: each of these requests has one.
func TestTheSimulatedVendorRefusesWhatLinkedInRefuses(t *testing.T) {
	s := connectortest.New(t)
	c := linkedinads.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	accounts, err := c.Accounts(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	analytics := "adAnalytics?q=analytics&pivot=CAMPAIGN&timeGranularity=DAILY&dateRange=(start:(year:2026,month:11,day:1),end:(year:2026,month:11,day:2))&accounts=List(urn%3Ali%3AsponsoredAccount%3A" +
		accounts[0].ID + ")&fields=impressions"
	for _, k := range []struct {
		name, query, header, value string
		status                     int
	}{
		{"nothing wrong", analytics, "", "", 200},
		{"no version", analytics, "Linkedin-Version", "", 400},
		{"an old version", analytics, "Linkedin-Version", "202411", 426},
		{"another protocol", analytics, "X-Restli-Protocol-Version", "1.0.0", 400},
		{"bare colons in a list", strings.ReplaceAll(analytics, "%3A", ":"), "", "", 400},
		{"an escaped list", strings.ReplaceAll(analytics, "List(", "List%28"), "", "", 400},
		{"a day that is none", strings.ReplaceAll(analytics, "day:2", "day:31"), "", "", 400},
		{"a field that is none", analytics + ",spend", "", "", 400},
		{"no fields", strings.ReplaceAll(analytics, "&fields=impressions", ""), "", "", 400},
		{"a parameter that is none", analytics + "&count=10", "", "", 400},
		{"a page that is too large", "adAccounts?q=search&pageSize=1001", "", "", 400},
		{"another's account", "adAccounts/1/adCampaigns?q=search", "", "", 403},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Web.API("api.linkedin.com")+"/rest/"+k.query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Bearer " + a.Credentials.AccessToken.Reveal()}, "Linkedin-Version": {linkedinads.Version}, "X-Restli-Protocol-Version": {"2.0.0"}}
		if k.header != "" {
			r.Header.Set(k.header, k.value)
		}
		resp, err := s.Web.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != k.status {
			t.Errorf("%s: %s, want %d", k.name, resp.Status, k.status)
		}
	}
}

func FuzzWhatLinkedInAnswers(f *testing.F) {
	f.Add(429, `{"message":"x DAY limit"}`)
	f.Add(200, `{"elements":[{"dateRange":{"start":{"year":2026,"month":11,"day":21}},"pivotValues":["urn:li:sponsoredCampaign:7"],"impressions":1,"clicks":1,"costInLocalCurrency":"1e-9"}]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		c, _ := answering(t, ours, status, body)
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

func TestScopesAreAskedForByASpace(t *testing.T) {
	s := connectortest.New(t)
	page, err := url.Parse(linkedinads.NewConnector(s.Web, s.App).OAuth().AuthorizeURL("", "https://app.example/callback", "state", "verifier"))
	if err != nil || page.Query().Get("scope") != "r_ads r_ads_reporting" || page.Query().Has("code_challenge") {
		t.Errorf("%s, %v", page, err)
	}
}
