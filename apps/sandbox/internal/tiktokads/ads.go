package tiktokads

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const (
	// maxPage is the most that a page may be asked to hold, maxInfo that of advertisers that are described at once.
	maxPage = 1000
	maxInfo = 100
	// maxDays is what a report by day covers at most.
	maxDays = 30
)

func id(of vendor.AdAccount) string { return fmt.Sprint(of.Number) }

// array is a parameter that is a list.
func array(r *http.Request, name string) (values []string, refused *vendor.Answer) {
	if given := r.URL.Query().Get(name); given == "" || json.Unmarshal([]byte(given), &values) != nil {
		answer := invalid("%s: Not a valid list.", name)
		return nil, &answer
	}
	return values, nil
}

// only keeps fields of an object.
func only(whole map[string]any, fields []string) map[string]any {
	chosen := map[string]any{}
	for _, name := range fields {
		chosen[name] = whole[name]
	}
	return chosen
}

// list answers which advertisers have authorized the app.
func (s server) list(a *vendor.Account, r *http.Request) vendor.Answer {
	query := r.URL.Query()
	if !s.App(query.Get("app_id"), query.Get("secret")) {
		return failure(40101, "The app id or secret is invalid.")
	}
	var all []map[string]any
	for _, one := range s.AdAccounts(a.Name, shop.TikTokAds) {
		all = append(all, map[string]any{"advertiser_id": id(one), "advertiser_name": one.Name})
	}
	return success(map[string]any{"list": all})
}

// find is the advertiser of an id.
func (s server) find(a *vendor.Account, number string) (of vendor.AdAccount, refused *vendor.Answer) {
	for _, one := range s.AdAccounts(a.Name, shop.TikTokAds) {
		if number == id(one) {
			return one, nil
		}
	}
	answer := failure(40001, "No permission to operate advertiser %s.", number)
	return vendor.AdAccount{}, &answer
}

func (s server) info(a *vendor.Account, r *http.Request) vendor.Answer {
	ids, refused := array(r, "advertiser_ids")
	if refused != nil {
		return *refused
	}
	fields, refused := array(r, "fields")
	if refused != nil {
		return *refused
	}
	if len(ids) > maxInfo {
		return invalid("advertiser_ids: Longer than maximum length %d.", maxInfo)
	}
	var all []map[string]any
	for _, number := range ids {
		of, refused := s.find(a, number)
		if refused != nil {
			return *refused
		}
		_, offset := s.Now().In(of.Zone).Zone()
		whole := map[string]any{
			"advertiser_id": number, "name": of.Name, "currency": of.Currency(), "display_timezone": of.Zone.String(),
			"timezone": fmt.Sprintf("Etc/GMT%+d", -offset/3600), "status": "STATUS_ENABLE", "country": "US", "role": "ROLE_ADVERTISER",
		}
		for _, name := range fields {
			if _, known := whole[name]; !known {
				return invalid("fields: %q is not a valid choice.", name)
			}
		}
		all = append(all, only(whole, fields))
	}
	return success(map[string]any{"list": all})
}

// answer is a page of a list, of which each entry is shown as show says.
func answer[T any](a *vendor.Account, r *http.Request, all []T, show func(T) map[string]any) vendor.Answer {
	number, size := 1, 10
	for name, to := range map[string]*int{"page": &number, "page_size": &size} {
		if given := r.URL.Query().Get(name); given != "" {
			var err error
			if *to, err = strconv.Atoi(given); err != nil || *to < 1 {
				return invalid("%s: Must be greater than or equal to 1.", name)
			}
		}
	}
	if size > maxPage {
		return invalid("page_size: Must be less than or equal to %d.", maxPage)
	}
	page, _ := vendor.PageOf(a, all, (number-1)*size, size)
	shown := make([]map[string]any, len(page))
	for i, one := range page {
		shown[i] = show(one)
	}
	return success(map[string]any{
		"list":      shown,
		"page_info": map[string]int{"page": number, "page_size": size, "total_number": len(all), "total_page": (len(all) + size - 1) / size},
	})
}

func (s server) campaigns(a *vendor.Account, r *http.Request) vendor.Answer {
	of, refused := s.find(a, r.URL.Query().Get("advertiser_id"))
	if refused != nil {
		return *refused
	}
	fields, refused := array(r, "fields")
	if refused != nil {
		return *refused
	}
	var filter struct {
		Status string `json:"primary_status"`
	}
	if given := r.URL.Query().Get("filtering"); given != "" {
		if json.Unmarshal([]byte(given), &filter) != nil || !slices.Contains([]string{"STATUS_ALL", "STATUS_NOT_DELETE", "STATUS_DELETE"}, filter.Status) {
			return invalid("filtering.primary_status: Not a valid choice.")
		}
	}
	var all []map[string]any
	for _, c := range of.Campaigns {
		switched, second := "ENABLE", "CAMPAIGN_STATUS_ENABLE"
		if of.Ended(c) {
			switched, second = "DISABLE", "CAMPAIGN_STATUS_DELETE"
		}
		if deleted := of.Ended(c); filter.Status == "STATUS_DELETE" && !deleted || filter.Status != "STATUS_ALL" && filter.Status != "STATUS_DELETE" && deleted {
			continue
		}
		whole := map[string]any{
			"campaign_id": fmt.Sprint(c.ID), "campaign_name": c.Name, "advertiser_id": id(of), "objective_type": "WEB_CONVERSIONS", "operation_status": switched,
			"secondary_status": second, "budget_mode": "BUDGET_MODE_DAY", "budget": json.Number(c.Budget.String()),
			"create_time": c.From.UTC().Format(time.DateTime), "modify_time": c.From.UTC().Format(time.DateTime),
		}
		for _, name := range fields {
			if _, known := whole[name]; !known {
				return invalid("fields: %q is not a valid choice.", name)
			}
		}
		all = append(all, whole)
	}
	return answer(a, r, all, func(whole map[string]any) map[string]any { return only(whole, fields) })
}

// known are the metrics that reports may have here.
var known = []string{
	"campaign_name", "spend", "impressions", "clicks", "conversion", "video_play_actions", "complete_payment", "total_complete_payment_rate",
	"total_purchase", "total_purchase_value", "onsite_shopping", "total_onsite_shopping_value",
}

// named are those that reports of ads may have beside.
var named = []string{"ad_name", "adgroup_id", "campaign_id"}

// counted are the metrics of some days.
func counted(of vendor.AdAccount, c shop.Campaign, d shop.CampaignDay) map[string]any {
	metrics := map[string]any{
		"campaign_name": c.Name, "spend": d.Spend.String(), "impressions": fmt.Sprint(d.Impressions), "clicks": fmt.Sprint(d.Clicks),
		"conversion": fmt.Sprint(d.Conversions), "video_play_actions": fmt.Sprint(d.Views), "complete_payment": "0", "total_complete_payment_rate": "0.00",
		"total_purchase": "0", "total_purchase_value": "0.00", "onsite_shopping": "-", "total_onsite_shopping_value": "-",
	}
	// One of the two sells on a website, the other in an app.
	if of.Number%2 == 1 {
		metrics["complete_payment"], metrics["total_complete_payment_rate"] = fmt.Sprint(d.Conversions), d.Value.String()
	} else {
		metrics["total_purchase"], metrics["total_purchase_value"] = fmt.Sprint(d.Conversions), d.Value.String()
	}
	return metrics
}

func (s server) report(a *vendor.Account, r *http.Request) vendor.Answer {
	query := r.URL.Query()
	of, refused := s.find(a, query.Get("advertiser_id"))
	if refused != nil {
		return *refused
	}
	dimensions, refused := array(r, "dimensions")
	if refused != nil {
		return *refused
	}
	wanted, refused := array(r, "metrics")
	if refused != nil {
		return *refused
	}
	from, fromErr := time.Parse(time.DateOnly, query.Get("start_date"))
	to, toErr := time.Parse(time.DateOnly, query.Get("end_date"))
	level := query.Get("data_level")
	slices.Sort(dimensions)
	byDay := level == "AUCTION_CAMPAIGN" && slices.Equal(dimensions, []string{"campaign_id", "stat_time_day"})
	byAd := level == "AUCTION_AD" && slices.Equal(dimensions, []string{"ad_id"})
	for _, name := range wanted {
		if !slices.Contains(known, name) && (!byAd || !slices.Contains(named, name)) {
			return invalid("metrics: %q is not a valid choice.", name)
		}
	}
	switch {
	case query.Get("report_type") != "BASIC" || query.Get("service_type") != "AUCTION" || !byDay && !byAd:
		return invalid("Only BASIC reports of the service type AUCTION are simulated, of campaigns by day and of ads.")
	case fromErr != nil || toErr != nil || from.After(to):
		return invalid("start_date or end_date is invalid.")
	case byDay && to.Sub(from) >= maxDays*24*time.Hour:
		return invalid("The maximum time span is %d days when stat_time_day is a dimension.", maxDays)
	case to.Sub(from) >= 365*24*time.Hour:
		return invalid("The maximum time span is 365 days.")
	case byAd && (query.Get("order_field") != "spend" || query.Get("order_type") != "DESC"):
		return invalid("Reports of ads are simulated in the order of what they cost, the most first.")
	}
	if byAd {
		return answer(a, r, of.Ads(from, to), func(ad vendor.Ad) map[string]any {
			metrics := counted(of, ad.Campaign, ad.CampaignDay)
			metrics["ad_name"], metrics["adgroup_id"], metrics["campaign_id"] = ad.Name, fmt.Sprint(ad.AdSet()), fmt.Sprint(ad.Campaign.ID)
			return map[string]any{"dimensions": map[string]string{"ad_id": fmt.Sprint(ad.ID)}, "metrics": only(metrics, wanted)}
		})
	}
	return answer(a, r, of.Days(from, to), func(d vendor.AdDay) map[string]any {
		return map[string]any{
			"dimensions": map[string]string{"campaign_id": fmt.Sprint(d.Campaign.ID), "stat_time_day": d.Date.Format(time.DateTime)},
			"metrics":    only(counted(of, d.Campaign, d.CampaignDay), wanted),
		}
	})
}

// maxAds, maxVideos and maxImages are how many of each are asked for at once.
const (
	maxAds    = 100
	maxVideos = 60
	maxImages = 100
)

func videoID(ad vendor.Ad) string { return fmt.Sprintf("v1%d", ad.ID) }
func imageID(ad vendor.Ad) string { return fmt.Sprintf("ad-site/%d", ad.ID) }

// ads is ad/get/, of ads by their ids. Every fifth shows pictures, the others videos.
func (s server) ads(a *vendor.Account, r *http.Request) vendor.Answer {
	of, refused := s.find(a, r.URL.Query().Get("advertiser_id"))
	if refused != nil {
		return *refused
	}
	fields, refused := array(r, "fields")
	if refused != nil {
		return *refused
	}
	var filter struct {
		IDs    []string `json:"ad_ids"`
		Status string   `json:"primary_status"`
	}
	if json.Unmarshal([]byte(r.URL.Query().Get("filtering")), &filter) != nil || filter.Status != "STATUS_ALL" || len(filter.IDs) > maxAds {
		return invalid("filtering: Only ad_ids, %d at most, and STATUS_ALL are simulated.", maxAds)
	}
	var all []map[string]any
	for _, ad := range of.AllAds() {
		if !slices.Contains(filter.IDs, fmt.Sprint(ad.ID)) {
			continue
		}
		whole := map[string]any{
			"ad_id": fmt.Sprint(ad.ID), "ad_name": ad.Name, "ad_format": "SINGLE_VIDEO", "ad_text": ad.Text, "video_id": videoID(ad), "image_ids": []string{imageID(ad)},
			"landing_page_url": "https://shop.example.com/new",
		}
		if ad.ID%5 == 0 {
			whole["ad_format"], whole["video_id"] = "SINGLE_IMAGE", nil
		}
		for _, name := range fields {
			if _, known := whole[name]; !known {
				return invalid("fields: %q is not a valid choice.", name)
			}
		}
		all = append(all, whole)
	}
	return answer(a, r, all, func(whole map[string]any) map[string]any { return only(whole, fields) })
}

// videos is file/video/ad/info/, and images file/image/ad/info/.
func (s server) videos(a *vendor.Account, r *http.Request) vendor.Answer {
	return s.files(a, r, "video_ids", maxVideos, videoID, func(ad vendor.Ad) map[string]any {
		return map[string]any{
			"video_id": videoID(ad), "video_cover_url": fmt.Sprintf("https://p16.example.com/%d.jpg", ad.ID), "preview_url": fmt.Sprintf("https://v16.example.com/%d.mp4", ad.ID), "format": "mp4",
		}
	})
}

func (s server) images(a *vendor.Account, r *http.Request) vendor.Answer {
	return s.files(a, r, "image_ids", maxImages, imageID, func(ad vendor.Ad) map[string]any {
		return map[string]any{"image_id": imageID(ad), "image_url": fmt.Sprintf("https://p16.example.com/%d.jpg", ad.ID), "format": "jpeg"}
	})
}

func (s server) files(a *vendor.Account, r *http.Request, parameter string, most int, id func(vendor.Ad) string, file func(vendor.Ad) map[string]any) vendor.Answer {
	of, refused := s.find(a, r.URL.Query().Get("advertiser_id"))
	if refused != nil {
		return *refused
	}
	ids, refused := array(r, parameter)
	if refused != nil {
		return *refused
	}
	if len(ids) > most {
		return invalid("%s: Longer than maximum length %d.", parameter, most)
	}
	list := []map[string]any{}
	for _, ad := range of.AllAds() {
		if slices.Contains(ids, id(ad)) {
			list = append(list, file(ad))
		}
	}
	return success(map[string]any{"list": list})
}

// truth is what a sync has to arrive at.
func (s server) truth(a *vendor.Account) vendor.Truth {
	out := vendor.Truth{"campaigns": {}, "performance": {}}
	for _, of := range s.AdAccounts(a.Name, shop.TikTokAds) {
		for _, c := range of.Campaigns {
			out["campaigns"][fmt.Sprint(c.ID)] = map[string]any{
				"vendor": shop.TikTokAds, "account_id": id(of), "name": c.Name, "channel": "social", "objective": "WEB_CONVERSIONS",
				"started_at": vendor.Stamp(c.From), "status": map[bool]string{true: "archived", false: "active"}[of.Ended(c)],
				"daily_budget_minor": vendor.Minor(c.Budget, of.Currency()), "currency": of.Currency(),
			}
		}
		for _, d := range of.AllDays() {
			out["performance"][fmt.Sprintf("%d:%s", d.Campaign.ID, d.Date.Format(time.DateOnly))] = map[string]any{
				"vendor": shop.TikTokAds, "account_id": id(of), "day": vendor.Stamp(d.Date), "time_zone": of.Zone.String(),
				"spend_minor": vendor.Minor(d.Spend, of.Currency()), "currency": of.Currency(), "impressions": d.Impressions, "clicks": d.Clicks, "views": d.Views,
				"conversions": float64(d.Conversions), "conversion_value_minor": vendor.Minor(d.Value, of.Currency()),
			}
		}
	}
	return out
}
