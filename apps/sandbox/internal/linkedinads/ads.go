package linkedinads

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

var (
	statusSearch = regexp.MustCompile(`^\(status:\(values:List\(([A-Z_,]+)\)\)\)$`)
	dateRange    = regexp.MustCompile(`^\(start:\(year:(\d{4}),month:(\d{1,2}),day:(\d{1,2})\),end:\(year:(\d{4}),month:(\d{1,2}),day:(\d{1,2})\)\)$`)
	// In a list, the colons of a URN have to be escaped, and what makes the list must not be.
	accountList = regexp.MustCompile(`^List\(urn%3Ali%3AsponsoredAccount%3A([0-9]+)\)$`)
)

var campaignStatuses = []string{"ACTIVE", "PAUSED", "DRAFT", "COMPLETED", "CANCELED", "ARCHIVED", "PENDING_DELETION", "REMOVED"}

// adAccounts are a business's, of which the days are those of UTC, wherever it is.
func (s *server) adAccounts(a *vendor.Account) []vendor.AdAccount {
	list := s.world.AdAccounts(a.Name, shop.LinkedInAds)
	for i := range list {
		list[i].Zone = time.UTC
	}
	return list
}

// account is the ad account of an id, if the person has access to it.
func (s *server) account(a *vendor.Account, id string) (vendor.AdAccount, bool) {
	for _, of := range s.adAccounts(a) {
		if strconv.FormatInt(of.Number, 10) == id {
			return of, true
		}
	}
	return vendor.AdAccount{}, false
}

func (s *server) campaigns(a *vendor.Account, r *http.Request, q map[string]string) vendor.Answer {
	of, ok := s.account(a, r.PathValue("account"))
	if !ok {
		return refuse(http.StatusForbidden, 100, "ACCESS_DENIED", "Not enough permissions to access: partnerApiAdAccounts")
	}
	wanted := campaignStatuses
	if search, searched := q["search"]; searched {
		m := statusSearch.FindStringSubmatch(search)
		if m == nil {
			return refuse(http.StatusBadRequest, 0, "PARAM_INVALID", "Invalid value for param; wrong type or other syntax error: search")
		}
		wanted = strings.Split(m[1], ",")
		for _, status := range wanted {
			if !slices.Contains(campaignStatuses, status) {
				return refuse(http.StatusBadRequest, 0, "PARAM_INVALID", "Invalid value for param; no such status: "+status)
			}
		}
	}
	var all []map[string]any
	for _, c := range of.Campaigns {
		schedule := map[string]any{"start": c.From.UnixMilli()}
		if !c.To.IsZero() {
			schedule["end"] = c.To.UnixMilli()
		}
		if status := statusOf(of, c); slices.Contains(wanted, status) {
			all = append(all, map[string]any{
				"id": c.ID, "account": accountURN(of), "name": c.Name, "status": status, "type": "SPONSORED_UPDATES", "costType": "CPM", "objectiveType": objective,
				"runSchedule": schedule, "dailyBudget": map[string]any{"amount": c.Budget.String(), "currencyCode": of.Currency()}, "test": false,
			})
		}
	}
	return found(a, q, all)
}

// objective is that of every campaign.
const objective = "WEBSITE_CONVERSION"

func statusOf(of vendor.AdAccount, c shop.Campaign) string {
	if of.Ended(c) {
		return "COMPLETED"
	}
	return "ACTIVE"
}

// metrics are the fields of figures that are simulated.
func metrics(d vendor.AdDay) map[string]any {
	date := map[string]int{"year": d.Date.Year(), "month": int(d.Date.Month()), "day": d.Date.Day()}
	return map[string]any{
		"dateRange": map[string]any{"start": date, "end": date}, "pivotValues": []string{fmt.Sprintf("urn:li:sponsoredCampaign:%d", d.Campaign.ID)},
		"impressions": d.Impressions, "clicks": d.Clicks, "costInLocalCurrency": d.Spend.String(), "externalWebsiteConversions": d.Conversions,
		"conversionValueInLocalCurrency": d.Value.String(), "videoViews": d.Views,
	}
}

// analytics answers with the figures of a campaign on each day on which something happened.
func (s *server) analytics(a *vendor.Account, _ *http.Request, q map[string]string) vendor.Answer {
	if q["q"] != "analytics" || q["pivot"] != "CAMPAIGN" || q["timeGranularity"] != "DAILY" {
		return invalid("The simulator has the finder analytics by CAMPAIGN and DAILY only")
	}
	list := accountList.FindStringSubmatch(q["accounts"])
	days := dateRange.FindStringSubmatch(q["dateRange"])
	if list == nil || days == nil {
		return refuse(http.StatusBadRequest, 0, "PARAM_INVALID", "Invalid value for param; wrong type or other syntax error: accounts or dateRange")
	}
	from, fromOK := dateOf(days[1:4])
	to, toOK := dateOf(days[4:7])
	if !fromOK || !toOK || from.After(to) {
		return refuse(http.StatusBadRequest, 0, "PARAM_INVALID", "Invalid value for param; the range is none: dateRange")
	}
	wanted, err := url.QueryUnescape(q["fields"])
	names := strings.Split(wanted, ",")
	known := metrics(vendor.AdDay{})
	for _, name := range names {
		if _, ok := known[name]; !ok || err != nil {
			return refuse(http.StatusBadRequest, 0, "PARAM_INVALID", fmt.Sprintf("Invalid value for param; no such field %.40q: fields", name))
		}
	}
	if len(names) > maxMetrics {
		return invalid("At most %d fields", maxMetrics)
	}
	elements := []map[string]any{}
	of, ok := s.account(a, list[1]) // who may not read an account is told that nothing happened
	if ok {
		for _, d := range of.Days(from, to) {
			all, one := metrics(d), map[string]any{}
			for _, name := range names {
				one[name] = all[name]
			}
			elements = append(elements, one)
		}
	}
	elements = elements[:min(len(elements), maxElements)]
	return vendor.OK(map[string]any{"elements": elements, "paging": map[string]any{"start": 0, "count": 10, "links": []any{}}})
}

func dateOf(parts []string) (time.Time, bool) {
	var n [3]int
	for i, part := range parts {
		n[i], _ = strconv.Atoi(part) // digits
	}
	date := time.Date(n[0], time.Month(n[1]), n[2], 0, 0, 0, 0, time.UTC)
	return date, int(date.Month()) == n[1] && date.Day() == n[2]
}

// truth is what a sync has to arrive at.
func (s *server) truth(a *vendor.Account) vendor.Truth {
	out := vendor.Truth{"campaigns": {}, "performance": {}}
	for _, of := range s.adAccounts(a) {
		account := strconv.FormatInt(of.Number, 10)
		for _, c := range of.Campaigns {
			out["campaigns"][strconv.FormatInt(c.ID, 10)] = map[string]any{
				"vendor": shop.LinkedInAds, "account_id": account, "name": c.Name, "channel": "social", "objective": objective, "started_at": vendor.Stamp(c.From),
				"status":             map[string]string{"ACTIVE": "active", "COMPLETED": "ended"}[statusOf(of, c)],
				"daily_budget_minor": vendor.Minor(c.Budget, of.Currency()), "currency": of.Currency(),
			}
		}
		for _, d := range of.AllDays() {
			out["performance"][fmt.Sprintf("%d:%s", d.Campaign.ID, d.Date.Format(time.DateOnly))] = map[string]any{
				"vendor": shop.LinkedInAds, "account_id": account, "day": vendor.Stamp(d.Date), "time_zone": "Etc/UTC", "currency": of.Currency(),
				"spend_minor": vendor.Minor(d.Spend, of.Currency()), "impressions": d.Impressions, "clicks": d.Clicks, "views": d.Views,
				"conversions": float64(d.Conversions), "conversion_value_minor": vendor.Minor(d.Value, of.Currency()),
			}
		}
	}
	return out
}
