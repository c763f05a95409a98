package metaads

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
	"github.com/tandemhq/tandem/pkg/money"
)

// maxLimit is the most that a page may be asked to hold.
const maxLimit = 5000

// only chooses the fields of objects like example that a request asks for; by itself it gets those of standard. A field that there
// is not is refused.
func only(r *http.Request, example map[string]any, standard ...string) (choose func(map[string]any) map[string]any, refused *vendor.Answer) {
	fields := standard
	if given := r.URL.Query().Get("fields"); given != "" {
		fields = strings.Split(given, ",")
	}
	for _, name := range fields {
		if _, known := example[name]; !known {
			answer := invalid("Tried accessing nonexisting field (%s)", name)
			return nil, &answer
		}
	}
	return func(whole map[string]any) map[string]any {
		chosen := map[string]any{}
		for name, value := range whole {
			if value != nil && (slices.Contains(fields, name) || slices.Contains(standard, name)) {
				chosen[name] = value
			}
		}
		return chosen
	}, nil
}

// answer is a page of an edge, of which each entry is shown as show says. The address of the next page has the token in it, as Meta's has.
func answer[T any](a *vendor.Account, r *http.Request, all []T, show func(T) map[string]any) vendor.Answer {
	query := r.URL.Query()
	limit, from := 25, 0
	if given := query.Get("limit"); given != "" {
		var err error
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 || limit > maxLimit {
			return invalid("Param limit must be an integer between 1 and %d", maxLimit)
		}
	}
	if after := query.Get("after"); after != "" {
		raw, err := base64.RawURLEncoding.DecodeString(after)
		if err == nil {
			from, err = strconv.Atoi(strings.TrimPrefix(string(raw), "cursor/"))
		}
		if err != nil || from < 1 {
			return invalid("Invalid cursors values")
		}
	}
	page, more := vendor.PageOf(a, all, from, limit)
	data := []map[string]any{}
	for _, whole := range page {
		data = append(data, show(whole))
	}
	out := map[string]any{"data": data}
	if len(data) > 0 {
		cursor := func(at int) string { return base64.RawURLEncoding.EncodeToString([]byte("cursor/" + strconv.Itoa(at))) }
		paging := map[string]any{"cursors": map[string]string{"before": cursor(from), "after": cursor(from + limit)}}
		if more {
			query.Set("access_token", token(r))
			query.Set("after", cursor(from+limit))
			paging["next"] = "https://graph.facebook.com" + strings.TrimPrefix(r.URL.Path, "/vendors/graph.facebook.com") + "?" + query.Encode()
		}
		out["paging"] = paging
	}
	return vendor.OK(out)
}

// find is the ad account that a path names.
func (s server) find(a *vendor.Account, r *http.Request) (vendor.AdAccount, bool) {
	for _, one := range s.AdAccounts(a.Name, shop.MetaAds) {
		if r.PathValue("account") == id(one) {
			return one, true
		}
	}
	return vendor.AdAccount{}, false
}

func id(of vendor.AdAccount) string { return fmt.Sprintf("act_%d", of.Number) }

func unknown(r *http.Request) vendor.Answer {
	return failure(http.StatusBadRequest, 100, 33, "GraphMethodException",
		"Unsupported get request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, or does not support this operation", r.PathValue("account"))
}

func (s server) accounts(a *vendor.Account, r *http.Request) vendor.Answer {
	var all []map[string]any
	for _, one := range s.AdAccounts(a.Name, shop.MetaAds) {
		all = append(all, map[string]any{
			"id": id(one), "account_id": fmt.Sprint(one.Number), "name": one.Name, "currency": one.Currency(), "timezone_name": one.Zone.String(), "account_status": 1,
		})
	}
	choose, refused := only(r, all[0], "id", "account_id")
	if refused != nil {
		return *refused
	}
	return answer(a, r, all, choose)
}

// status is what becomes of a campaign: one that has ended is archived.
func status(of vendor.AdAccount, c shop.Campaign) string {
	if of.Ended(c) {
		return "ARCHIVED"
	}
	return "ACTIVE"
}

// whole are the currencies that are counted in whole units, all others in hundredths.
const whole = "CLP COP CRC HUF IDR ISK JPY KRW PYG TWD VND"

// units is an amount as Meta counts budgets, and how many of them are one of the currency's major unit.
func units(a shop.Amount, currency string) (n, per int64) {
	if strings.Contains(whole, currency) {
		return money.DivideHalfEven(int64(a), 10_000), 1
	}
	return money.DivideHalfEven(int64(a), 100), 100
}

func (s server) campaigns(a *vendor.Account, r *http.Request) vendor.Answer {
	of, known := s.find(a, r)
	if !known {
		return unknown(r)
	}
	wanted := []string{"ACTIVE", "PAUSED"}
	if given := r.URL.Query().Get("effective_status"); given != "" {
		if json.Unmarshal([]byte(given), &wanted) != nil {
			return invalid("Param effective_status must be an array")
		}
		for _, one := range wanted {
			if !slices.Contains([]string{"ACTIVE", "PAUSED", "DELETED", "ARCHIVED", "IN_PROCESS", "WITH_ISSUES"}, one) {
				return invalid("Param effective_status[0] must be one of {ACTIVE, PAUSED, DELETED, ARCHIVED, IN_PROCESS, WITH_ISSUES} - got %q.", one)
			}
		}
	}
	stamp := func(t time.Time) string { return t.In(of.Zone).Format("2006-01-02T15:04:05-0700") }
	var all []map[string]any
	for _, c := range of.Campaigns {
		n, _ := units(c.Budget, of.Currency())
		one := map[string]any{
			"id": fmt.Sprint(c.ID), "account_id": fmt.Sprint(of.Number), "name": c.Name, "objective": "OUTCOME_SALES", "status": status(of, c),
			"effective_status": status(of, c), "created_time": stamp(c.From.AddDate(0, 0, -3)), "updated_time": stamp(c.From), "start_time": stamp(c.From),
			"daily_budget": fmt.Sprint(n), "stop_time": nil,
		}
		if !c.To.IsZero() {
			one["stop_time"] = stamp(c.To)
		}
		if slices.Contains(wanted, status(of, c)) {
			all = append(all, one)
		}
	}
	example := map[string]any{
		"id": 0, "account_id": 0, "name": 0, "objective": 0, "status": 0, "effective_status": 0, "created_time": 0, "updated_time": 0, "start_time": 0,
		"daily_budget": 0, "stop_time": 0,
	}
	choose, refused := only(r, example, "id")
	if refused != nil {
		return *refused
	}
	return answer(a, r, all, choose)
}

func (s server) insights(a *vendor.Account, r *http.Request) vendor.Answer {
	of, known := s.find(a, r)
	if !known {
		return unknown(r)
	}
	query := r.URL.Query()
	var days struct{ Since, Until string }
	err := json.Unmarshal([]byte(query.Get("time_range")), &days)
	from, fromErr := time.Parse(time.DateOnly, days.Since)
	to, toErr := time.Parse(time.DateOnly, days.Until)
	switch {
	case err != nil || fromErr != nil || toErr != nil:
		return invalid("Must be a dictionary of since and until, in the format YYYY-MM-DD, for param time_range")
	case from.After(to):
		return invalid("Start date must be before or equal to the end date")
	case from.Before(s.Now().AddDate(0, -37, -1)):
		return failure(http.StatusBadRequest, 3018, 1504033, "OAuthException", "(#3018) The start date of the time range cannot be beyond 37 months from the current date")
	}
	switch level, increment := query.Get("level"), query.Get("time_increment"); {
	case level == "campaign" && increment == "1" && query.Get("sort") == "":
		return s.byDay(a, r, of, from, to)
	case level == "ad" && increment == "" && query.Get("sort") == `["spend_descending"]`:
		return s.byAd(a, r, of, from, to)
	}
	return invalid("Only level=campaign with time_increment=1 and level=ad by spend_descending are simulated")
}

// counted are the figures of an insight.
func counted(of vendor.AdAccount, d shop.CampaignDay) map[string]any {
	actions := []map[string]string{{"action_type": "link_click", "value": fmt.Sprint(d.Clicks)}}
	var values []map[string]string
	for _, kind := range kinds(of, d.Conversions) {
		actions = append(actions, map[string]string{"action_type": kind, "value": fmt.Sprint(d.Conversions)})
		values = append(values, map[string]string{"action_type": kind, "value": d.Value.String()})
	}
	one := map[string]any{
		"spend": d.Spend.String(), "impressions": fmt.Sprint(d.Impressions), "clicks": fmt.Sprint(d.Clicks), "actions": actions, "action_values": nil, "account_currency": of.Currency(),
	}
	if len(values) > 0 {
		one["action_values"] = values
	}
	return one
}

// byDay are the insights of campaigns, each day for itself.
func (s server) byDay(a *vendor.Account, r *http.Request, of vendor.AdAccount, from, to time.Time) vendor.Answer {
	show := func(d vendor.AdDay) map[string]any {
		one, date := counted(of, d.CampaignDay), d.Date.Format(time.DateOnly)
		one["campaign_id"], one["campaign_name"], one["date_start"], one["date_stop"] = fmt.Sprint(d.Campaign.ID), d.Campaign.Name, date, date
		return one
	}
	example := map[string]any{
		"campaign_id": 0, "campaign_name": 0, "spend": 0, "impressions": 0, "clicks": 0, "actions": 0, "action_values": 0, "date_start": 0, "date_stop": 0, "account_currency": 0,
	}
	choose, refused := only(r, example, "date_start", "date_stop")
	if refused != nil {
		return *refused
	}
	return answer(a, r, of.Days(from, to), func(d vendor.AdDay) map[string]any { return choose(show(d)) })
}

// byAd are the insights of ads, of all of the days together.
func (s server) byAd(a *vendor.Account, r *http.Request, of vendor.AdAccount, from, to time.Time) vendor.Answer {
	var all []map[string]any
	for _, ad := range of.Ads(from, to) {
		one := counted(of, ad.CampaignDay)
		one["ad_id"], one["ad_name"], one["adset_id"] = fmt.Sprint(ad.ID), ad.Name, fmt.Sprint(ad.AdSet())
		one["campaign_id"], one["campaign_name"] = fmt.Sprint(ad.Campaign.ID), ad.Campaign.Name
		one["date_start"], one["date_stop"] = from.Format(time.DateOnly), to.Format(time.DateOnly)
		all = append(all, one)
	}
	example := map[string]any{
		"ad_id": 0, "ad_name": 0, "adset_id": 0, "campaign_id": 0, "campaign_name": 0, "spend": 0, "impressions": 0, "clicks": 0, "actions": 0, "action_values": 0,
		"date_start": 0, "date_stop": 0, "account_currency": 0,
	}
	choose, refused := only(r, example, "date_start", "date_stop")
	if refused != nil {
		return *refused
	}
	return answer(a, r, all, choose)
}

// maxIDs is how many nodes are read at once.
const maxIDs = 50

// byIDs reads ads by their ids, with what they show.
func (s server) byIDs(a *vendor.Account, r *http.Request) vendor.Answer {
	ids := strings.Split(r.URL.Query().Get("ids"), ",")
	if len(ids) > maxIDs {
		return invalid("Too many IDs. Maximum: %d. Provided: %d.", maxIDs, len(ids))
	}
	outer, inner, nested := strings.Cut(r.URL.Query().Get("fields"), ",creative{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !nested || !closed {
		return invalid("Only fields with creative{…} at their end are simulated")
	}
	known := map[string]vendor.Ad{}
	for _, of := range s.AdAccounts(a.Name, shop.MetaAds) {
		for _, ad := range of.AllAds() {
			known[fmt.Sprint(ad.ID)] = ad
		}
	}
	out := map[string]any{}
	for _, id := range ids {
		ad, there := known[id]
		if !there {
			return failure(http.StatusBadRequest, 100, 33, "GraphMethodException", "Unsupported get request. Object with ID '%s' does not exist", id)
		}
		whole := map[string]any{"id": id, "name": ad.Name, "preview_shareable_link": "https://fb.me/" + id}
		shows := creative(ad)
		chosen, chosenOf := map[string]any{}, map[string]any{"id": fmt.Sprint(ad.ID + 1)}
		for _, part := range []struct {
			fields string
			from   map[string]any
			into   map[string]any
		}{{outer, whole, chosen}, {inner, shows, chosenOf}} {
			for _, name := range strings.Split(part.fields, ",") {
				value, known := part.from[name]
				if !known {
					return invalid("Tried accessing nonexisting field (%s)", name)
				}
				if value != nil {
					part.into[name] = value
				}
			}
		}
		chosen["creative"] = chosenOf
		out[id] = chosen
	}
	return vendor.OK(out)
}

// creative is what an ad shows. The texts of every other ad are in its story only.
func creative(ad vendor.Ad) map[string]any {
	file := fmt.Sprintf("https://scontent.example.com/%d", ad.ID)
	of := map[string]any{
		"object_type": "SHARE", "title": ad.Title, "body": ad.Text, "image_url": file + ".jpg", "thumbnail_url": file + "_64.jpg", "video_id": nil,
		"link_url": "https://shop.example.com/new", "object_story_spec": nil,
	}
	if ad.ID%2 == 1 {
		of["title"], of["body"], of["link_url"] = nil, nil, nil
		of["object_story_spec"] = map[string]any{"page_id": "1", "link_data": map[string]any{"message": ad.Text, "name": ad.Title, "link": "https://shop.example.com/new"}}
	}
	if ad.Video {
		of["object_type"], of["video_id"], of["image_url"] = "VIDEO", fmt.Sprint(ad.ID+2), nil
		if ad.ID%2 == 1 {
			of["object_story_spec"] = map[string]any{"page_id": "1", "video_data": map[string]any{"message": ad.Text, "title": ad.Title, "image_url": file + ".jpg"}}
		}
	}
	return of
}

// kinds are the types of action that the same purchases are counted under; an account may have no other than its pixel's.
func kinds(of vendor.AdAccount, conversions int64) []string {
	if conversions == 0 {
		return nil
	}
	if of.Number%2 == 0 {
		return []string{"offsite_conversion.fb_pixel_purchase"}
	}
	return []string{"purchase", "offsite_conversion.fb_pixel_purchase", "omni_purchase"}
}

// truth is what a sync has to arrive at.
func (s server) truth(a *vendor.Account) vendor.Truth {
	out := vendor.Truth{"campaigns": {}, "performance": {}}
	for _, of := range s.AdAccounts(a.Name, shop.MetaAds) {
		for _, c := range of.Campaigns {
			n, per := units(c.Budget, of.Currency())
			budget := n
			for range money.MinorDigits(of.Currency()) {
				budget *= 10
			}
			out["campaigns"][fmt.Sprint(c.ID)] = map[string]any{
				"vendor": shop.MetaAds, "account_id": id(of), "name": c.Name, "channel": "social", "objective": "OUTCOME_SALES", "started_at": vendor.Stamp(c.From),
				"status": map[bool]string{true: "archived", false: "active"}[of.Ended(c)], "daily_budget_minor": budget / per, "currency": of.Currency(),
			}
		}
		for _, d := range of.AllDays() {
			out["performance"][fmt.Sprintf("%d:%s", d.Campaign.ID, d.Date.Format(time.DateOnly))] = map[string]any{
				"vendor": shop.MetaAds, "account_id": id(of), "day": vendor.Stamp(d.Date), "time_zone": of.Zone.String(),
				"spend_minor": vendor.Minor(d.Spend, of.Currency()), "currency": of.Currency(), "impressions": d.Impressions, "clicks": d.Clicks, "views": d.Views,
				"conversions": float64(d.Conversions), "conversion_value_minor": vendor.Minor(d.Value, of.Currency()),
			}
		}
	}
	return out
}
