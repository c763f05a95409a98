package googleads

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// customer is a customer as Google calls its accounts.
type customer struct {
	id, name, zone, currency string
	manager                  bool
	// direct tells that a person has access other than by way of the manager.
	direct bool
	// ads are the account's campaigns of each of the platform's vendors.
	ads map[string]vendor.AdAccount
}

// customers are a business's: a manager, and below it the two with campaigns, of which the person has access to the first without it.
func (s *server) customers(a *vendor.Account) []customer {
	google, youtube := s.world.AdAccounts(a.Name, shop.GoogleAds), s.world.AdAccounts(a.Name, shop.YouTubeAds)
	list := []customer{{id: idOf(google[0].Business), name: a.Name, zone: "Etc/UTC", currency: google[0].Currency(), manager: true, direct: true}}
	for i, of := range google {
		list = append(list, customer{
			id: idOf(of.Number), name: of.Name, zone: of.Zone.String(), currency: of.Currency(), direct: i == 0,
			ads: map[string]vendor.AdAccount{shop.GoogleAds: of, shop.YouTubeAds: youtube[i]},
		})
	}
	return list
}

// idOf makes an id of ten digits, as Google has them.
func idOf(number int64) string { return strconv.FormatInt(1_000_000_000+number%8_999_999_990, 10) }

// customer is the one that a request is about, if the person may read it in the way that is asked for.
func (s *server) customer(a *vendor.Account, r *http.Request) (customer, *vendor.Answer) {
	var refused vendor.Answer
	id, login := r.PathValue("customer"), r.Header.Get("login-customer-id")
	if strings.Trim(id, "0123456789") != "" || len(id) != 10 {
		refused = failure(http.StatusBadRequest, "INVALID_ARGUMENT", "requestError", "INVALID_CUSTOMER_ID", "Invalid customer ID '"+id+"'.", nil)
		return customer{}, &refused
	}
	if strings.Trim(login, "0123456789") != "" {
		refused = failure(http.StatusBadRequest, "INVALID_ARGUMENT", "headerError", "INVALID_LOGIN_CUSTOMER_ID", "The login customer ID could not be validated.", nil)
		return customer{}, &refused
	}
	all := s.customers(a)
	for _, c := range all {
		if c.id == id && (c.direct && (login == "" || login == id) || login == all[0].id) {
			return c, nil
		}
	}
	refused = failure(http.StatusForbidden, "PERMISSION_DENIED", "authorizationError", "USER_PERMISSION_DENIED",
		"User doesn't have permission to access customer. Note: If you're accessing a client customer, the manager's customer id must be set in the 'login-customer-id' header.", nil)
	return customer{}, &refused
}

// values are the fields of something by their names; nil for what it has not.
type values func(name string) any

func valuesOf(fields map[string]any) values { return func(name string) any { return fields[name] } }

// rows are what a query about a customer finds. What it selects of one is made when a page has it.
func (s *server) rows(a *vendor.Account, of customer, q query) []values {
	var all []values
	switch q.resource {
	case "customer":
		all = []values{valuesOf(of.values("customer"))}
	case "customer_client":
		for _, c := range s.customers(a) {
			if !of.manager && c.id != of.id {
				continue
			}
			fields := c.values("customer_client")
			fields["customer_client.resource_name"] = "customers/" + of.id + "/customerClients/" + c.id
			fields["customer_client.client_customer"] = "customers/" + c.id
			fields["customer_client.level"], fields["customer_client.hidden"] = "1", false
			if c.id == of.id {
				fields["customer_client.level"] = "0"
			}
			all = append(all, valuesOf(fields))
		}
	case "campaign":
		all = of.campaigns(q)
	}
	return slices.DeleteFunc(all, func(has values) bool { return !q.matches(has) })
}

// row is what a query selects, as JSON has it. The names of resources come without being asked for.
func (q query) row(has values) map[string]any {
	row := map[string]any{}
	put := func(name string) {
		value := has(name)
		if value == nil {
			return
		}
		resource, field, _ := strings.Cut(name, ".")
		of, _ := row[camel(resource)].(map[string]any)
		if of == nil {
			of = map[string]any{}
			row[camel(resource)] = of
		}
		of[camel(field)] = value
	}
	for _, name := range q.fields {
		put(name)
		put(resourceOf(name) + ".resource_name")
	}
	put(q.resource + ".resource_name")
	return row
}

// values are a customer's fields below the name of a resource.
func (c customer) values(resource string) map[string]any {
	return map[string]any{
		resource + ".resource_name": "customers/" + c.id, resource + ".id": c.id, resource + ".descriptive_name": c.name, resource + ".currency_code": c.currency,
		resource + ".time_zone": c.zone, resource + ".manager": c.manager, resource + ".test_account": false, resource + ".status": "ENABLED",
	}
}

// campaigns are a customer's, one of each for a query without figures, and one of each day on which something happened otherwise.
func (c customer) campaigns(q query) []values {
	var all []values
	for _, platform := range []string{shop.GoogleAds, shop.YouTubeAds} {
		ads, ok := c.ads[platform]
		if !ok {
			continue // a manager
		}
		fields := map[int64]values{}
		for _, one := range ads.Campaigns {
			fields[one.ID] = valuesOf(c.campaign(ads, one))
			if !q.hasMetrics() {
				all = append(all, fields[one.ID])
			}
		}
		if !q.hasMetrics() {
			continue
		}
		from, to := time.Time{}, time.Time{}
		for _, condition := range q.conditions {
			if condition.field == "segments.date" { // checked to be dates
				from, _ = time.Parse(time.DateOnly, condition.values[0])
				to, _ = time.Parse(time.DateOnly, condition.values[len(condition.values)-1])
			}
		}
		days := ads.Days(from, to)
		for i := range days {
			day, campaign := &days[i], fields[days[i].Campaign.ID]
			all = append(all, func(name string) any {
				if value := ofDay(day, name); value != nil {
					return value
				}
				return campaign(name)
			})
		}
	}
	return all
}

// ofDay is what a field of a day's own says; nil for all others.
func ofDay(day *vendor.AdDay, name string) any {
	switch name {
	case "segments.date":
		return day.Date.Format(time.DateOnly)
	case "metrics.cost_micros":
		return micros(day.Spend)
	case "metrics.impressions":
		return strconv.FormatInt(day.Impressions, 10)
	case "metrics.clicks":
		return strconv.FormatInt(day.Clicks, 10)
	case "metrics.video_trueview_views":
		return strconv.FormatInt(day.Views, 10)
	case "metrics.conversions":
		return float64(day.Conversions)
	case "metrics.conversions_value":
		return float64(day.Value) / 1e4
	}
	return nil
}

// micros is an amount in millionths, as text.
func micros(a shop.Amount) string { return strconv.FormatInt(int64(a)*100, 10) }

// types are the kinds of campaigns that a platform's are, by turns of their ids.
var types = map[string][]string{
	shop.GoogleAds:  {"SEARCH", "PERFORMANCE_MAX", "DISPLAY", "SHOPPING"},
	shop.YouTubeAds: {"VIDEO", "DEMAND_GEN"},
}

func typeOf(c shop.Campaign) string {
	of := types[c.Platform]
	return of[c.ID%int64(len(of))]
}

// began is the midnight, in the account's time zone, of the day on which a campaign began.
func began(ads vendor.AdAccount, c shop.Campaign) time.Time {
	year, month, day := c.From.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, ads.Zone)
}

func (c customer) campaign(ads vendor.AdAccount, one shop.Campaign) map[string]any {
	id := strconv.FormatInt(one.ID, 10)
	values := c.values("customer")
	for name, value := range map[string]any{
		"campaign.resource_name": "customers/" + c.id + "/campaigns/" + id, "campaign.id": id, "campaign.name": one.Name, "campaign.status": "ENABLED",
		"campaign.serving_status": "SERVING", "campaign.advertising_channel_type": typeOf(one), "campaign.start_date_time": began(ads, one).Format(time.DateTime),
		"campaign.campaign_budget":      "customers/" + c.id + "/campaignBudgets/" + id,
		"campaign_budget.resource_name": "customers/" + c.id + "/campaignBudgets/" + id, "campaign_budget.id": id, "campaign_budget.period": "DAILY",
		"campaign_budget.amount_micros": micros(one.Budget),
	} {
		values[name] = value
	}
	if !one.To.IsZero() {
		values["campaign.end_date_time"] = one.To.AddDate(0, 0, -1).Format(time.DateOnly) + " 23:59:59"
	}
	if ads.Ended(one) {
		values["campaign.serving_status"] = "ENDED"
	}
	return values
}

// truth is what a sync of one of the platform's vendors has to arrive at.
func (s *server) truth(a *vendor.Account, platform string) vendor.Truth {
	met := map[string]string{"SEARCH": "search", "PERFORMANCE_MAX": "other", "DISPLAY": "display", "SHOPPING": "shopping", "VIDEO": "video", "DEMAND_GEN": "video"}
	out := vendor.Truth{"campaigns": {}, "performance": {}}
	for _, ads := range s.world.AdAccounts(a.Name, platform) {
		account := idOf(ads.Number)
		for _, c := range ads.Campaigns {
			out["campaigns"][strconv.FormatInt(c.ID, 10)] = map[string]any{
				"vendor": platform, "account_id": account, "name": c.Name, "channel": met[typeOf(c)], "started_at": vendor.Stamp(began(ads, c)),
				"status":             map[bool]string{true: "ended", false: "active"}[ads.Ended(c)],
				"daily_budget_minor": vendor.Minor(c.Budget, ads.Currency()), "currency": ads.Currency(),
			}
		}
		for _, d := range ads.AllDays() {
			out["performance"][fmt.Sprintf("%d:%s", d.Campaign.ID, d.Date.Format(time.DateOnly))] = map[string]any{
				"vendor": platform, "account_id": account, "day": vendor.Stamp(d.Date), "time_zone": ads.Zone.String(), "currency": ads.Currency(),
				"spend_minor": vendor.Minor(d.Spend, ads.Currency()), "impressions": d.Impressions, "clicks": d.Clicks, "views": d.Views,
				"conversions": float64(d.Conversions), "conversion_value_minor": vendor.Minor(d.Value, ads.Currency()),
			}
		}
	}
	return out
}
