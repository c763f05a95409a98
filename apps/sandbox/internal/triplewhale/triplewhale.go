// Package triplewhale simulates Triple Whale's API (https://triplewhale.readme.io/reference): keys, an app that people authorize, orders
// with the clicks that led to them, and queries in a small part of ClickHouse's SQL over some tables of its data dictionary. An account
// has two shops, one of the account's name and one in America; the orders of the shop of that name and its campaigns on every platform
// are split between them. The first answers queries as they are documented, the second without anything around the rows.
package triplewhale

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const (
	name = "triplewhale"
	api  = "api.triplewhale.com/api/v2"
	// maxPage and maxPages bound the pages of orders.
	maxPage  = 100
	maxPages = 10_000
)

type server struct{ *vendor.Vendor }

// Register adds the simulated vendor.
func Register(mux *http.ServeMux, w vendor.World) {
	s := server{vendor.New(vendor.Options{
		// How long tokens live is not published.
		Name: name, World: w, KeyPrefix: "tw_", Tokens: vendor.Tokens{Access: time.Hour, Refresh: 30 * 24 * time.Hour, Rotates: true},
		Token: func(r *http.Request) string {
			if key := r.Header.Get("X-Api-Key"); key != "" {
				return key
			}
			return vendor.Bearer(r)
		},
		Words: vendor.Refusals{
			Broken: func(w http.ResponseWriter, status int) {
				vendor.WriteJSON(w, status, refuse(status, "An unexpected error occurred. Please try again later.").Body)
			},
			Unauthorized: func(w http.ResponseWriter) {
				vendor.WriteJSON(w, http.StatusUnauthorized, refuse(http.StatusUnauthorized, "Unauthorized").Body)
			},
		},
		Told: func(h http.Header, b vendor.Budget) {
			h.Set("RateLimit-Policy", fmt.Sprintf("%d;w=%g", b.Requests, b.Seconds))
		},
		Throttled: func(w http.ResponseWriter, status int, wait time.Duration) {
			if status == 0 {
				status = http.StatusTooManyRequests
			}
			seconds := int(math.Ceil(wait.Seconds()))
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
			vendor.WriteJSON(w, status, refuse(status, "Rate limit exceeded. Please wait %d seconds before retrying.", seconds).Body)
		},
	})}
	s.HandlePage(mux, vendor.Page{Path: api + "/auth/oauth2/auth"})
	s.HandleToken(mux, "POST "+api+"/auth/oauth2/token", about, s.token)
	s.HandleToken(mux, "POST "+api+"/auth/oauth2/revoke", about, s.revoke)
	s.Handle(mux, "GET "+api+"/users/api-keys/me", s.me)
	s.Handle(mux, "GET "+api+"/developers/oauth2/granted-shops", s.granted)
	s.Handle(mux, "POST "+api+"/attribution/get-orders-with-journeys-v2", s.journeys)
	s.Handle(mux, "POST "+api+"/orcabase/api/sql", s.query)
	s.RegisterAdmin(mux)
	s.RegisterTruth(mux, s.truth)
}

// refuse is an error as the API words them.
func refuse(status int, format string, args ...any) vendor.Answer {
	return vendor.Answer{Status: status, Body: map[string]any{"success": false, "message": fmt.Sprintf(format, args...)}}
}

// about is the code or token that a request of OAuth is about.
func about(r *http.Request) string {
	for _, field := range []string{"code", "refresh_token", "token"} {
		if text := r.PostFormValue(field); text != "" {
			return text
		}
	}
	return ""
}

// app tells whether a request is the app's, which says so in the form and nowhere else.
func (s server) app(r *http.Request) bool {
	_, _, basic := r.BasicAuth()
	return !basic && s.App(r.PostFormValue("client_id"), r.PostFormValue("client_secret"))
}

func (s server) token(r *http.Request) vendor.Answer {
	granted, refused := s.Grant(r, s.app(r), nil)
	if refused != nil {
		return *refused
	}
	body := map[string]any{"access_token": granted.Access, "token_type": "bearer", "expires_in": granted.ExpiresIn, "scope": granted.Scopes}
	if slices.Contains(strings.Fields(granted.Scopes), "offline_access") {
		body["refresh_token"] = granted.Refresh
	}
	return vendor.OK(body)
}

func (s server) revoke(r *http.Request) vendor.Answer {
	if !s.app(r) {
		return vendor.Answer{Status: http.StatusUnauthorized, Body: map[string]string{"error": "invalid_client"}}
	}
	// Whether there was such a token makes no difference (RFC 7009, section 2.2).
	if granted, good := s.Refresh(r.PostFormValue("token")); good {
		granted.Account.Revoke(s.Now())
	}
	return vendor.Answer{Status: http.StatusOK}
}

// byKey tells whether a request has a key rather than a token.
func byKey(r *http.Request) bool { return r.Header.Get("X-Api-Key") != "" }

// allowed tells whether a request may do what a scope names. Keys may do everything here, but one that ends in _narrow nothing that reads.
func (s server) allowed(r *http.Request, scope string) bool {
	if byKey(r) {
		return !strings.HasSuffix(r.Header.Get("X-Api-Key"), "_narrow")
	}
	return slices.Contains(strings.Fields(s.Scopes(vendor.Bearer(r))), scope)
}

func (s server) me(_ *vendor.Account, r *http.Request) vendor.Answer {
	if !byKey(r) {
		return refuse(http.StatusUnauthorized, "Unauthorized")
	}
	return vendor.OK(map[string]any{})
}

func (s server) granted(a *vendor.Account, r *http.Request) vendor.Answer {
	if byKey(r) {
		return refuse(http.StatusUnauthorized, "Unauthorized")
	}
	shops := s.shops(a)
	return vendor.OK(map[string]any{"accountId": shops[0].domain, "additionalShopIds": []string{shops[1].domain}})
}

// place is a shop of an account.
type place struct {
	index  int
	domain string
	zone   *time.Location
	// ads are its advertising accounts, one on each platform.
	ads      []vendor.AdAccount
	orders   []*shop.Order
	currency string
}

// channels are the platforms by Triple Whale's ids of them. What runs on YouTube is Google's.
var channels = map[string]string{
	shop.MetaAds: "facebook-ads", shop.GoogleAds: "google-ads", shop.YouTubeAds: "google-ads", shop.TikTokAds: "tiktok-ads", shop.LinkedInAds: "linkedin",
}

// shops are an account's.
func (s server) shops(a *vendor.Account) []place {
	data, _ := s.Data(a.Name)
	list := []place{{domain: a.Name + ".myshopify.com"}, {domain: a.Name + "-us.myshopify.com"}}
	for i := range list {
		list[i].index, list[i].currency = i, data.Currency
		for _, platform := range []string{shop.MetaAds, shop.GoogleAds, shop.YouTubeAds, shop.TikTokAds, shop.LinkedInAds} {
			ads := s.AdAccounts(a.Name, platform)[i]
			list[i].ads, list[i].zone = append(list[i].ads, ads), ads.Zone
		}
	}
	for _, o := range data.Orders {
		if !o.Test {
			of := &list[mixed(o)%2]
			of.orders = append(of.orders, o)
		}
	}
	return list
}

// find is the shop that a request is about.
func (s server) find(a *vendor.Account, domain string) (place, *vendor.Answer) {
	for _, p := range s.shops(a) {
		if p.domain == domain {
			return p, nil
		}
	}
	var answer vendor.Answer
	switch {
	case domain == "":
		answer = refuse(http.StatusForbidden, "Access token is required")
	case strings.HasSuffix(domain, ".myshopify.com"): // somebody else's
		answer = refuse(http.StatusForbidden, "You do not have access to this shop")
	default:
		answer = refuse(http.StatusInternalServerError, "Unrecognized shop identifier")
	}
	return place{}, &answer
}

// click is one that an order is attributed to.
type click struct {
	Source     string `json:"source"`
	CampaignID string `json:"campaignId"`
	AdSetID    string `json:"adsetId"`
	AdID       string `json:"adId"`
	ClickDate  string `json:"clickDate"`
}

// touches are an order's, by model: every fifth order came by itself, every fifth by a search that nobody paid for.
func (p place) touches(o *shop.Order) map[string][]click {
	switch n := mixed(o) / 2 % 5; {
	case n == 0:
		return map[string][]click{}
	case p.searched(o):
		one := click{Source: "organic_and_social", CampaignID: "www.google.com", ClickDate: o.CreatedAt.Add(-time.Hour).UTC().Format(time.RFC3339)}
		return map[string][]click{"fullFirstClick": {one}, "fullLastClick": {one}}
	default:
		of := p.ads[int(n)%len(p.ads)]
		c := of.Campaigns[int(mixed(o)/10)%len(of.Campaigns)]
		ads := adsOf(c)
		made := func(ad string, before time.Duration) click {
			return click{channels[c.Platform], fmt.Sprint(c.ID), adSet(c), ad, o.CreatedAt.Add(-before).UTC().Format(time.RFC3339)}
		}
		first, last := made(ads[0], 50*time.Hour), made(ads[1], 3*time.Hour)
		return map[string][]click{"fullFirstClick": {first}, "fullLastClick": {last}, "lastPlatformClick": {last, first}}
	}
}

// mixed is a number that an order always has, and that tells nothing of its id: ids have steps.
func mixed(o *shop.Order) uint64 { return uint64(o.ID) * 0x9e3779b97f4a7c15 >> 33 }

// searched tells whether a search that nobody paid for led to an order.
func (p place) searched(o *shop.Order) bool { return mixed(o)/2%5 == 1 }

// adSet is the id of a campaign's only ad set, adsOf those of its two ads.
func adSet(c shop.Campaign) string { return fmt.Sprintf("%d1", c.ID) }
func adsOf(c shop.Campaign) [2]string {
	return [2]string{fmt.Sprintf("%d11", c.ID), fmt.Sprintf("%d12", c.ID)}
}

func (s server) journeys(a *vendor.Account, r *http.Request) vendor.Answer {
	body := struct {
		Shop               string `json:"shop"`
		StartDate          string `json:"startDate"`
		EndDate            string `json:"endDate"`
		Page               int    `json:"page"`
		PageSize           int    `json:"pageSize"`
		ExcludeJourneyData bool   `json:"excludeJourneyData"`
	}{Page: 1, PageSize: 50}
	if err := decode(r, &body); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	if !s.allowed(r, "attribution:read") {
		return refuse(http.StatusUnauthorized, "Unauthorized")
	}
	p, refused := s.find(a, body.Shop)
	if refused != nil {
		return *refused
	}
	from, fromErr := moment(body.StartDate, 0)
	to, toErr := moment(body.EndDate, 24*time.Hour-time.Millisecond)
	switch {
	case fromErr != nil || toErr != nil || from.After(to):
		return refuse(http.StatusBadRequest, "startDate and endDate must be in ISO 8601")
	case body.Page < 1 || body.Page > maxPages || body.PageSize < 1 || body.PageSize > maxPage:
		return refuse(http.StatusBadRequest, "page must be 1 to %d, pageSize 1 to %d", maxPages, maxPage)
	}
	all := []map[string]any{}
	for _, o := range slices.Backward(p.orders) { // the newest first
		if o.CreatedAt.Before(from) || o.CreatedAt.After(to) {
			continue
		}
		one := map[string]any{
			"order_id": o.ID, "order_name": o.Name, "created_at": o.CreatedAt.UTC().Format(time.RFC3339), "customer_id": nil, "total_price": o.Total.String(),
			"currency": o.Currency, "attribution": p.touches(o), "journey": []any{},
		}
		if o.CustomerID != 0 {
			one["customer_id"] = o.CustomerID
		}
		if !body.ExcludeJourneyData {
			one["journey"] = []map[string]any{
				{"time": o.CreatedAt.Add(-4 * time.Minute).UTC().Format(instant), "event": "add2c", "productId": "7001"},
				{"time": o.CreatedAt.Add(-5 * time.Minute).UTC().Format(instant), "event": "page loaded", "path": "/products/linen-lamp", "productId": "7001"},
			}
		}
		all = append(all, one)
	}
	page, more := vendor.PageOf(a, all, (body.Page-1)*body.PageSize, body.PageSize)
	if page == nil {
		page = []map[string]any{}
	}
	out := map[string]any{
		"totalForRange": len(all), "count": len(page), "startDate": body.StartDate, "endDate": body.EndDate, "page": body.Page, "ordersWithJourneys": page, "earliestDate": nil,
	}
	if more {
		out["earliestDate"] = page[len(page)-1]["created_at"]
	}
	return vendor.OK(out)
}

const instant = "2006-01-02T15:04:05.000-0700"

// moment reads an instant, or a date as its midnight with something added.
func moment(text string, rest time.Duration) (time.Time, error) {
	if date, err := time.Parse(time.DateOnly, text); err == nil {
		return date.Add(rest), nil
	}
	if t, err := time.Parse(instant, text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

// decode reads a request in JSON that has no other fields than into.
func decode(r *http.Request, into any) error {
	if r.Header.Get("Content-Type") != "application/json" {
		return fmt.Errorf("the Content-Type is %q", r.Header.Get("Content-Type"))
	}
	return vendor.Decode(r, into)
}

func (s server) query(a *vendor.Account, r *http.Request) vendor.Answer {
	var body struct {
		Shop     string `json:"shopId"`
		Query    string `json:"query"`
		Currency string `json:"currency"`
		Period   struct {
			Start string `json:"startDate"`
			End   string `json:"endDate"`
		} `json:"period"`
	}
	if err := decode(r, &body); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	var missing []string
	for _, f := range []struct{ name, value string }{{"query", body.Query}, {"startDate", body.Period.Start}, {"endDate", body.Period.End}} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if missing != nil {
		return refuse(http.StatusBadRequest, "Missing fields: %s", strings.Join(missing, ", "))
	}
	if !s.allowed(r, "ads-metrics:read") {
		return refuse(http.StatusUnauthorized, "Unauthorized")
	}
	p, refused := s.find(a, body.Shop)
	if refused != nil {
		return *refused
	}
	from, fromErr := time.Parse(time.DateOnly, body.Period.Start)
	to, toErr := time.Parse(time.DateOnly, body.Period.End)
	switch {
	case fromErr != nil || toErr != nil || from.After(to):
		return refuse(http.StatusBadRequest, "Use YYYY-MM-DD, with startDate on or before endDate")
	case body.Currency != "" && body.Currency != p.currency:
		return refuse(http.StatusBadRequest, "Only the shop's currency is simulated")
	}
	q, err := parse(body.Query)
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	rows, err := q.run(p.rows(q, from, to), map[string]string{"startDate": body.Period.Start, "endDate": body.Period.End})
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	page := rows
	if q.limit > 0 {
		page, _ = vendor.PageOf(a, rows, q.offset, q.limit)
	}
	if page == nil {
		page = []map[string]any{}
	}
	if p.index == 1 {
		return vendor.OK(page)
	}
	return vendor.OK(map[string]any{"success": true, "message": "The query was executed successfully.", "data": page})
}

// truth is what a sync has to arrive at.
func (s server) truth(a *vendor.Account) vendor.Truth {
	out := vendor.Truth{"campaigns": {}, "performance": {}}
	kinds := map[string]string{"facebook-ads": "social", "google-ads": "other", "tiktok-ads": "social", "linkedin": "social"}
	for _, p := range s.shops(a) {
		for _, of := range p.ads {
			for _, d := range of.AllDays() {
				channel := channels[d.Campaign.Platform]
				id := p.domain + ":" + channel + ":" + url.QueryEscape(fmt.Sprint(d.Campaign.ID))
				if out["campaigns"][id] == nil { // days come in their order, so this is the first
					out["campaigns"][id] = map[string]any{
						"vendor": name, "account_id": p.domain, "name": d.Campaign.Name, "channel": kinds[channel], "started_at": vendor.Stamp(d.Date),
						"status": map[bool]string{true: "paused", false: "active"}[of.Ended(d.Campaign)], "currency": p.currency,
					}
				}
				out["performance"][id+":"+d.Date.Format(time.DateOnly)] = map[string]any{
					"vendor": name, "account_id": p.domain, "day": vendor.Stamp(d.Date), "time_zone": p.zone.String(), "spend_minor": vendor.Minor(d.Spend, p.currency),
					"currency": p.currency, "impressions": d.Impressions, "clicks": d.Clicks, "views": 0, "conversions": float64(d.Conversions),
					"conversion_value_minor": vendor.Minor(d.Value, p.currency),
				}
			}
		}
	}
	return out
}
