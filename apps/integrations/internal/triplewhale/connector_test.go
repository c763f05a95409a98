package triplewhale_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/triplewhale"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

const vendor = triplewhale.Vendor

func byKey(key, shop string) connector.Account {
	return connector.Account{Connection: "c1", Name: shop, Credentials: connector.Credentials{AccessToken: secrets.New(key)}}
}

func TestEverythingOfEveryShopIsReadOnce(t *testing.T) {
	s := connectortest.New(t)
	c := triplewhale.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	for _, fault := range []string{"duplicate_page", "reorder_pages"} {
		s.Fault(vendor, "demo", map[string]any{"kind": fault, "times": 5})
	}
	s.Campaigns(c, "demo", a, 3)
	if figures := s.Performance(c, "demo", a, time.Time{}, 150); connectortest.Conversions(figures) == 0 {
		t.Error("no conversions")
	}
	s.AllMet(vendor, "demo")
}

// TestAKeyOpensTheShopThatIsNamed is about keys: each opens all the shops of a person, and one is meant.
func TestAKeyOpensTheShopThatIsNamed(t *testing.T) {
	s := connectortest.New(t)
	c := triplewhale.NewConnector(s.Web, s.App)
	for shop, zone := range map[string]string{"demo.myshopify.com": "Etc/UTC", "demo-us.myshopify.com": "America/New_York"} {
		a := byKey("tw_demo_1", shop)
		identity, err := c.Identify(t.Context(), a)
		want := connector.Identity{ID: shop, Account: shop, Title: shop, Currency: "USD", TimeZone: zone, Scopes: []string{}}
		if err != nil || !reflect.DeepEqual(identity, want) {
			t.Errorf("%+v, %v; want %+v", identity, err, want)
		}
		accounts, err := c.Accounts(t.Context(), a)
		if err != nil || !reflect.DeepEqual(accounts, []connector.SubAccount{{ID: shop, Name: shop, Currency: "USD", TimeZone: zone}}) {
			t.Errorf("%+v, %v", accounts, err)
		}
		for _, r := range connectortest.Pull(t, connectortest.Stream(t, c, "campaigns"), a, time.Time{}, 1000)[0].Records.Campaigns {
			if r.AccountID != shop {
				t.Errorf("%s has %s", shop, r.ID)
			}
		}
	}
	for _, k := range []struct {
		name, key, shop string
		class           connector.Class
		code            string
	}{
		{"a key that is none", "made-up", "demo.myshopify.com", connector.Unauthorized, connector.CodeCredentialsRefused},
		{"a key that was revoked", "tw_demo_revoked", "demo.myshopify.com", connector.Unauthorized, connector.CodeCredentialsRefused},
		{"a key without the scopes", "tw_demo_narrow", "demo.myshopify.com", connector.Unauthorized, connector.CodeCredentialsRefused},
		{"somebody else's shop", "tw_demo_1", "other.myshopify.com", connector.Permanent, connector.CodePermissionMissing},
		{"a shop that there is not", "tw_demo_1", "example.com", connector.Permanent, connector.CodeAccountUnavailable},
	} {
		_, err := c.Identify(t.Context(), byKey(k.key, k.shop))
		if e := connector.Classify(err); err == nil || e.Class != k.class || e.Code != k.code || strings.Contains(err.Error(), k.key) {
			t.Errorf("%s: %v", k.name, err)
		}
	}
	normal := c.Key().Normal
	for text, want := range map[string]string{
		" Demo.MyShopify.com ": "demo.myshopify.com", "shop.example.co.uk": "shop.example.co.uk", "": "", "demo": "", "https://demo.myshopify.com": "",
		"demo.myshopify.com/admin": "", "demo..com": "", "-demo.com": "", strings.Repeat("a.", 130) + "com": "",
	} {
		if got, err := normal(text); got != want || (err != nil) != (want == "") {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestRefreshTokensAreGoodOnceUntilTheAuthorizationIsRevoked(t *testing.T) {
	s := connectortest.New(t)
	c := triplewhale.NewConnector(s.Web, s.App)
	code := s.Allow(c, "demo").Get("code")
	first, err := s.Redeem(c, code)
	if err != nil || !first.Authorized || !first.ExpiresAt.Equal(s.Now.Add(time.Hour)) || first.RefreshToken.Empty() {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := s.Redeem(c, code); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("the code again: %v", err)
	}
	other := s.App
	other.Secret = func(context.Context) (secrets.Secret, error) { return secrets.New("another"), nil }
	if _, err := s.Redeem(triplewhale.NewConnector(s.Web, other), s.Allow(c, "demo").Get("code")); connector.Classify(err).Class != connector.Permanent {
		t.Errorf("with another secret: %v", err)
	}
	a := connector.Account{Connection: "c1", Credentials: first}
	identity, err := c.Identify(t.Context(), a)
	if err != nil || identity.ID != "demo.myshopify.com" || !reflect.DeepEqual(identity.Scopes, []string{"ads-metrics:read", "attribution:read", "offline_access"}) {
		t.Errorf("%+v, %v", identity, err)
	}
	accounts, err := c.Accounts(t.Context(), a)
	if err != nil || len(accounts) != 2 || accounts[0].TimeZone != "Etc/UTC" || accounts[1].ID != "demo-us.myshopify.com" || accounts[1].Currency != "USD" {
		t.Errorf("%+v, %v", accounts, err)
	}
	s.Now = s.Now.Add(2 * time.Hour)
	if _, err := c.Identify(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("two hours later: %v", err)
	}
	second, err := c.OAuth().Refresh(t.Context(), "", first)
	if err != nil || second.RefreshToken.Reveal() == first.RefreshToken.Reveal() || second.AccessToken.Empty() {
		t.Fatalf("%+v, %v", second, err)
	}
	if _, err := c.OAuth().Refresh(t.Context(), "", first); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("the refresh token again: %v", err)
	}
	a.Credentials = second
	if _, err := c.Identify(t.Context(), a); err != nil {
		t.Error(err)
	}
	s.Now = s.Now.Add(time.Second)
	if err := c.OAuth().Revoke(t.Context(), a); err != nil {
		t.Error(err)
	}
	if _, err := c.Identify(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("once revoked: %v", err)
	}
	if _, err := c.OAuth().Refresh(t.Context(), "", second); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a refresh: %v", err)
	}
}

func TestFaultsOfTheVendor(t *testing.T) {
	s := connectortest.New(t)
	c := triplewhale.NewConnector(s.Web, s.App)
	a := s.Connect(c, "demo")
	ask := func() error { _, err := c.Identify(t.Context(), a); return err }
	s.Fails(vendor, "demo", a, ask,
		connectortest.Failure{Kind: "throttle", Class: connector.Throttled},
		connectortest.Failure{Kind: "error500", Class: connector.Transient},
		connectortest.Failure{Kind: "error500", Status: 503, Class: connector.Transient},
		connectortest.Failure{Kind: "html", Class: connector.Transient},
		connectortest.Failure{Kind: "html", Status: 504, Class: connector.Transient},
		connectortest.Failure{Kind: "truncated", Class: connector.Transient},
		connectortest.Failure{Kind: "expired_token", Class: connector.Unauthorized},
	)
	s.Admin(http.MethodPut, vendor, "demo", "limits", map[string]any{"requests": 1, "seconds": 10})
	_ = ask()
	if e := connector.Classify(ask()); e.Class != connector.Throttled || e.Wait < time.Second || e.Wait > 10*time.Second {
		t.Errorf("over the limit: %+v", e)
	}
}

var (
	from = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	to   = time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)
)

// truth is the performance of the account's first shop in those days, by channel.
func truth(t *testing.T, s *connectortest.Sandbox) map[string]map[string]float64 {
	t.Helper()
	var all map[string]map[string]map[string]any
	if err := json.Unmarshal(s.Admin(http.MethodGet, vendor, "demo", "truth", nil), &all); err != nil {
		t.Fatal(err)
	}
	sums := map[string]map[string]float64{}
	for id, r := range all["performance"] {
		parts := strings.Split(id, ":")
		if parts[0] != "demo.myshopify.com" || parts[3] < "2026-10-01" || parts[3] > "2026-10-31" {
			continue
		}
		if sums[parts[1]] == nil {
			sums[parts[1]] = map[string]float64{}
		}
		for _, name := range []string{"spend_minor", "conversion_value_minor", "clicks", "conversions"} {
			sums[parts[1]][name] += r[name].(float64)
		}
	}
	return sums
}

func shop(t *testing.T, c *triplewhale.Connector, a connector.Account) connector.SubAccount {
	t.Helper()
	all, err := c.Accounts(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func TestReturnOnAdSpendByChannel(t *testing.T) {
	s := connectortest.New(t)
	c := triplewhale.NewConnector(s.Web, s.App)
	a := byKey("tw_demo_1", "demo.myshopify.com")
	of := shop(t, c, a)
	got, err := c.ROAS(t.Context(), a, of, from, to, triplewhale.By{Model: "Triple Attribution", Window: "lifetime"})
	if err != nil {
		t.Fatal(err)
	}
	want := truth(t, s)
	spend := int64(math.MaxInt64)
	for _, one := range got {
		if one.SpendMinor > spend {
			t.Errorf("%s is out of order", one.Channel)
		}
		spend = one.SpendMinor
		if one.Channel == "organic_and_social" {
			if one.SpendMinor != 0 || one.ROAS != nil || one.RevenueMinor == 0 {
				t.Errorf("what was not paid for: %+v", one)
			}
			continue
		}
		of := want[one.Channel]
		// Days are rounded to cents each, their sum once: half a cent for each of at most 31 days of 6 campaigns.
		if near := 31.0 * 6 / 2; math.Abs(float64(one.SpendMinor)-of["spend_minor"]) > near || math.Abs(float64(one.RevenueMinor)-of["conversion_value_minor"]) > near ||
			float64(one.Clicks) != of["clicks"] || one.Orders != of["conversions"] {
			t.Errorf("%+v, at the vendor %v", one, of)
		}
		if one.ROAS == nil || math.Abs(*one.ROAS-float64(one.RevenueMinor)/float64(one.SpendMinor)) > 0.00006 {
			t.Errorf("the return of %+v", one)
		}
	}
	if len(got) != len(want)+1 {
		t.Errorf("%d channels, want %d: %+v", len(got), len(want)+1, got)
	}
	last, err := c.ROAS(t.Context(), a, of, from, to, triplewhale.By{Model: "Last Click", Window: "7_days"})
	if err != nil || len(last) != len(got) || last[0].SpendMinor != got[0].SpendMinor || last[0].RevenueMinor >= got[0].RevenueMinor {
		t.Errorf("by the last click %+v, %v", last, err)
	}
}

func TestRevenueIsWhatOrdersAndPlatformsSay(t *testing.T) {
	s := connectortest.New(t)
	c := triplewhale.NewConnector(s.Web, s.App)
	a := byKey("tw_demo_1", "demo.myshopify.com")
	of := shop(t, c, a)
	view, err := c.Revenue(t.Context(), a, of, from, to)
	if err != nil || len(view.Items) != 31 || view.Items[0].Day != "2026-10-01" || view.Items[30].Day != "2026-10-31" {
		t.Fatalf("%+v, %v", view, err)
	}
	var spend float64
	for _, sums := range truth(t, s) {
		spend += sums["spend_minor"]
	}
	if math.Abs(float64(view.SpendMinor)-spend) > 31*11 {
		t.Errorf("spent %d, at the vendor %v", view.SpendMinor, spend)
	}
	var orders, revenue int64
	for page := 1; ; page++ {
		list, err := c.Attribution(t.Context(), a, of, from, to, page, 100, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			orders, revenue = orders+1, revenue+o.TotalMinor
		}
		if list.Total != view.Orders {
			t.Fatalf("%d orders in all, revenue has %d", list.Total, view.Orders)
		}
		if list.NextCursor == "" {
			break
		}
		if list.NextCursor != fmt.Sprint(page+1) {
			t.Fatalf("after page %d comes %s", page, list.NextCursor)
		}
	}
	if orders != view.Orders || orders == 0 || revenue != view.RevenueMinor {
		t.Errorf("%d orders of %d, revenue has %d of %d", orders, revenue, view.Orders, view.RevenueMinor)
	}
	if view.ROAS == nil || math.Abs(*view.ROAS-float64(revenue)/float64(view.SpendMinor)) > 0.00006 {
		t.Errorf("a return of %v", view.ROAS)
	}
	none, err := c.Revenue(t.Context(), a, of, from.AddDate(-10, 0, 0), to.AddDate(-10, 0, 0))
	if err != nil || len(none.Items) != 0 || none.ROAS != nil {
		t.Errorf("ten years before: %+v, %v", none, err)
	}
}

func TestCreativesCostWhatTheirCampaignsDo(t *testing.T) {
	s := connectortest.New(t)
	c := triplewhale.NewConnector(s.Web, s.App)
	a := byKey("tw_demo_1", "demo-us.myshopify.com")
	of := shop(t, c, a)
	by := triplewhale.By{Model: "Triple Attribution", Window: "lifetime"}
	channels, err := c.ROAS(t.Context(), a, of, from, to, by)
	if err != nil {
		t.Fatal(err)
	}
	spent, seen := map[string]int64{}, map[string]bool{}
	for offset := 0; ; offset += 7 {
		ads, err := c.Creatives(t.Context(), a, of, from, to, by, offset, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, ad := range ads {
			if seen[ad.AdID] || ad.AdName == "" || ad.CampaignName == "" || !strings.HasPrefix(ad.AdID, ad.CampaignID) {
				t.Errorf("an ad %+v", ad)
			}
			seen[ad.AdID] = true
			spent[ad.Channel] += ad.SpendMinor
		}
		if len(ads) < 7 {
			break
		}
	}
	for _, one := range channels {
		if math.Abs(float64(spent[one.Channel]-one.SpendMinor)) > 10 {
			t.Errorf("ads of %s cost %d, the channel %d", one.Channel, spent[one.Channel], one.SpendMinor)
		}
	}
	if len(seen) < 8 {
		t.Errorf("%d ads", len(seen))
	}
}

// answering is a connector of which queries and orders are answered with texts; it keeps what they were asked with.
func answering(t *testing.T, rows, orders string) (*triplewhale.Connector, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked = append(asked, r.Header.Get("X-Api-Key")+" "+string(body))
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/me"):
			fmt.Fprint(w, `{}`)
		case strings.Contains(string(body), "shop_timezone"):
			fmt.Fprint(w, `[{"shop_timezone":"America/New_York","last":"2026-11-21"}]`)
		case strings.Contains(string(body), `"pageSize":1,`):
			fmt.Fprint(w, `{"totalForRange":1,"ordersWithJourneys":[{"order_id":1,"total_price":"1","currency":"USD","created_at":"2026-11-21T10:00:00Z"}]}`)
		case strings.HasSuffix(r.URL.Path, "/sql"):
			fmt.Fprint(w, rows)
		default:
			fmt.Fprint(w, orders)
		}
	}))
	t.Cleanup(server.Close)
	now := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	return triplewhale.NewConnector(connector.Web{HTTP: server.Client(), Now: now, Hosts: server.URL + "/{host}"}, connector.App{}), &asked
}

var shopAccount = byKey("the-key", "demo.myshopify.com")

func pull(t *testing.T, c *triplewhale.Connector, stream string) (connector.Page, error) {
	t.Helper()
	since := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	return connectortest.Stream(t, c, stream).Pull(t.Context(), shopAccount, connector.Request{Since: since, Size: 100})
}

func TestFiguresAreNormalized(t *testing.T) {
	const row = `{"event_date":"2026-11-21","channel":"facebook-ads","campaign_id":"12 0/1","spend":12.346,"impressions":"1000","clicks":14,"orders":1.25,"revenue":90.5}`
	want := []integrationsapi.Performance{{
		ID: "c1:demo.myshopify.com:facebook-ads:12+0%2F1:2026-11-21", ConnectionID: "c1", Vendor: "triplewhale", AccountID: "demo.myshopify.com",
		CampaignID: "c1:demo.myshopify.com:facebook-ads:12+0%2F1", Day: store.At(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)), TimeZone: "America/New_York",
		SpendMinor: 1235, Currency: "USD", Impressions: 1000, Clicks: 14, Conversions: 1.25, ConversionValueMinor: 9050,
	}}
	for name, body := range map[string]string{
		"as documented":       `{"success":true,"message":"The query was executed successfully.","data":[` + row + `]}`,
		"with nothing around": `[` + row + `]`,
		"with a midnight":     `[` + strings.Replace(row, "2026-11-21", "2026-11-21T00:00:00.000Z", 1) + `]`,
	} {
		c, asked := answering(t, body, "")
		got, err := pull(t, c, "performance")
		if err != nil || !reflect.DeepEqual(got.Records.Performance, want) || got.Next != "" {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
		last := (*asked)[len(*asked)-1]
		for _, part := range []string{
			"the-key ", `"shopId":"demo.myshopify.com"`, `"period":{"startDate":"2026-11-21","endDate":"2026-11-22"}`, `"currency":"USD"`, "LIMIT 100 OFFSET 0", "@startDate AND @endDate",
			"model = 'Triple Attribution'", "attribution_window = 'lifetime'",
		} {
			if !strings.Contains(last, part) {
				t.Errorf("asked %s, without %s", last, part)
			}
		}
	}
	for _, change := range [][2]string{
		{`12.346`, `"a lot"`}, {`12.346`, `1.2e-7`}, {`"spend":12.346,`, ``}, {`"impressions":"1000",`, ``}, {`"clicks":14`, `"clicks":14.5`}, {`"orders":1.25`, `"orders":"many"`},
		{`2026-11-21`, `yesterday`}, {`2026-11-21`, `2026-11-21T05:00:00Z`}, {`"facebook-ads"`, `"organic_and_social"`}, {`"12 0/1"`, `""`}, {`"12 0/1"`, `null`},
	} {
		c, _ := answering(t, `[`+strings.ReplaceAll(row, change[0], change[1])+`]`, "")
		if page, err := pull(t, c, "performance"); !connectortest.Impossible(page, err) {
			t.Errorf("with %s: %v", change[1], err)
		}
	}
	c, _ := answering(t, `[`+strings.Replace(row, `12.346`, `null`, 1)+`]`, "")
	if got, err := pull(t, c, "performance"); err != nil || got.Records.Performance[0].SpendMinor != 0 {
		t.Errorf("a sum of nothing: %+v, %v", got, err)
	}
}

func TestCampaignsAreNormalized(t *testing.T) {
	for status, want := range map[string]string{
		`"ACTIVE"`: "active", `"ENABLED"`: "active", `"PAUSED"`: "paused", `"DISABLE"`: "paused", `"ARCHIVED"`: "archived", `"REMOVED"`: "archived", `"ENDED"`: "ended", `"SOMETHING_NEW"`: "unknown", `null`: "unknown",
	} {
		c, _ := answering(t, `[{"channel":"bing","campaign_id":77,"name":"Spring","status":`+status+`,"began":"2026-03-01"}]`, "")
		got, err := pull(t, c, "campaigns")
		one := []integrationsapi.Campaign{{
			ID: "c1:demo.myshopify.com:bing:77", ConnectionID: "c1", Vendor: "triplewhale", AccountID: "demo.myshopify.com", Name: "Spring", Channel: "search",
			StartedAt: store.At(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)), Status: want, Currency: "USD",
		}}
		if err != nil || !reflect.DeepEqual(got.Records.Campaigns, one) {
			t.Errorf("%s: %+v, %v", status, got.Records.Campaigns, err)
		}
	}
}

func TestOrdersHaveTheClicksThatLedToThem(t *testing.T) {
	const order = `{"order_id":5001,"order_name":"#1001","created_at":"2026-11-21T10:00:00.000-0500","customer_id":null,"total_price":"29.33","currency":"EUR",
		"attribution":{"lastPlatformClick":[{"source":"facebook-ads","campaignId":"12","adsetId":"13","adId":"14","clickDate":"2026-11-20T08:00:00Z"},{"source":"klaviyo","campaignId":null,"clickDate":""}],"fullFirstClick":null},
		"journey":[{"time":"2026-11-21T14:59:00Z","event":"page loaded","path":"/p","productId":7001}]}`
	c, asked := answering(t, "", `{"totalForRange":"120","count":1,"ordersWithJourneys":[`+order+`],"earliestDate":null}`)
	of := shop(t, c, shopAccount)
	day := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	got, err := c.Attribution(t.Context(), shopAccount, of, day, day, 2, 50, true)
	clicked, looked := store.At(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)), store.At(time.Date(2026, 11, 21, 14, 59, 0, 0, time.UTC))
	want := triplewhale.AttributionView{Total: 120, NextCursor: "3", Items: []triplewhale.AttributedOrder{{
		OrderID: "5001", Number: "#1001", PlacedAt: store.At(time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)), TotalMinor: 2933, Currency: "EUR",
		Clicks: []triplewhale.Click{
			{Model: "lastPlatformClick", Channel: "facebook-ads", CampaignID: "12", AdSetID: "13", AdID: "14", ClickedAt: &clicked}, {Model: "lastPlatformClick", Channel: "klaviyo"},
		},
		Journey: []triplewhale.Event{{At: looked, Event: "page loaded", Path: "/p", ProductID: "7001"}},
	}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	last := (*asked)[len(*asked)-1]
	for _, part := range []string{`"shop":"demo.myshopify.com"`, `"startDate":"2026-11-21T00:00:00.000-0500"`, `"endDate":"2026-11-21T23:59:59.999-0500"`, `"page":2`, `"pageSize":50`, `"excludeJourneyData":false`} {
		if !strings.Contains(last, part) {
			t.Errorf("asked %s, without %s", last, part)
		}
	}
	for _, change := range [][2]string{{`"29.33"`, `"29.335"`}, {`"29.33"`, `"a lot"`}, {`"EUR"`, `"euros"`}, {`10:00:00.000-0500`, `noon`}, {`2026-11-20T08:00:00Z`, `some day`}} {
		c, _ := answering(t, "", `{"totalForRange":1,"ordersWithJourneys":[`+strings.ReplaceAll(order, change[0], change[1])+`]}`)
		_, err := c.Attribution(t.Context(), shopAccount, of, day, day, 1, 50, false)
		if exact := change[1] == `"29.335"`; (err == nil) != exact || !exact && connector.Classify(err).Code != connector.CodeBadAnswer {
			t.Errorf("with %s: %v", change[1], err)
		}
	}
}

func TestAnswersThatDenyThemselves(t *testing.T) {
	for _, body := range []string{`{"success":false,"message":"Unknown identifier"}`, `{"success":true,"data":[],"error":"out of memory"}`} {
		c, _ := answering(t, body, "")
		if _, err := pull(t, c, "performance"); connector.Classify(err).Code != connector.CodeRefused {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, body := range []string{`{"success":true}`, `{"data":{}}`, `"rows"`, `[1]`} {
		c, _ := answering(t, body, "")
		if page, err := pull(t, c, "performance"); !connectortest.Impossible(page, err) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestAShopWithoutOrdersIsReadOnceItHasOne is about a shop of which nothing tells the currency or what a day is.
func TestAShopWithoutOrdersIsReadOnceItHasOne(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/sql") {
			fmt.Fprint(w, `{"success":true,"data":[]}`)
			return
		}
		fmt.Fprint(w, `{"totalForRange":0,"ordersWithJourneys":[],"earliestDate":null}`)
	}))
	defer server.Close()
	c := triplewhale.NewConnector(connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL + "/{host}"}, connector.App{})
	if identity, err := c.Identify(t.Context(), shopAccount); err != nil || identity.Currency != "" || identity.TimeZone != "" {
		t.Errorf("%+v, %v", identity, err)
	}
	for _, stream := range []string{"campaigns", "performance"} {
		if page, err := pull(t, c, stream); err != nil || page.Records.Len() != 0 || page.Next != "" || !page.Changed.IsZero() {
			t.Errorf("%s: %+v, %v", stream, page, err)
		}
	}
}

func FuzzWhatTripleWhaleAnswers(f *testing.F) {
	f.Add(`{"success":false,"message":"no"}`)
	f.Add(`[{"event_date":"2026-11-21","channel":"bing","campaign_id":1,"spend":"1.5","impressions":1,"clicks":1.0,"orders":null,"revenue":-0.5}]`)
	f.Fuzz(func(t *testing.T, body string) {
		c, _ := answering(t, body, "")
		page, err := pull(t, c, "performance")
		if err != nil {
			if e := connector.Classify(err); e.Code == "" || e.Wait < 0 {
				t.Errorf("%+v", e)
			}
			return
		}
		for _, r := range page.Records.Performance {
			if len(r.ID) > 400 || r.Currency != "USD" || r.Day.IsZero() {
				t.Errorf("a record %+v", r)
			}
		}
	})
}
