package tiktokads

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
)

// maxPeriod is how many days a report without days in it covers at most.
const maxPeriod = 365

// ad is what an ad shows (business-api.tiktok.com/portal/docs?id=1735735588640770).
type ad struct {
	ID      string   `json:"ad_id"`
	Format  string   `json:"ad_format"`
	Text    string   `json:"ad_text"`
	VideoID string   `json:"video_id"`
	Images  []string `json:"image_ids"`
	Link    string   `json:"landing_page_url"`
}

// kind is what it shows.
func (a ad) kind() string {
	switch {
	case strings.Contains(a.Format, "CAROUSEL"):
		return connector.CreativeCarousel
	case strings.Contains(a.Format, "VIDEO"):
		return connector.CreativeVideo
	case a.Format == "SINGLE_IMAGE":
		return connector.CreativeImage
	}
	return connector.CreativeOther
}

// Creatives implements connector.CreativeLister: the ads by a report in the order of what they cost, then what those of the page show,
// and the files that they show it with, by their ids.
func (c *Connector) Creatives(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, size int) ([]connector.Creative, string, error) {
	if to.Sub(from) >= maxPeriod*24*time.Hour {
		return nil, "", connector.InputRefused(fmt.Sprintf("TikTok reports on %d days at most", maxPeriod), nil)
	}
	query := url.Values{
		"advertiser_id": {of.ID}, "service_type": {"AUCTION"}, "report_type": {"BASIC"}, "data_level": {"AUCTION_AD"}, "dimensions": {array("ad_id")},
		"metrics":    {array(append(slices.Clone(metrics), "ad_name", "adgroup_id", "campaign_id", "campaign_name")...)},
		"start_date": {from.Format(time.DateOnly)}, "end_date": {to.Format(time.DateOnly)}, "order_field": {"spend"}, "order_type": {"DESC"},
	}
	rows, next, err := page[row](ctx, c, a, "report/integrated/get/", query, cursor, size)
	if err != nil || len(rows) == 0 {
		return nil, "", err
	}
	all := make([]connector.Creative, len(rows))
	ids := make([]string, len(rows))
	for i, r := range rows {
		if all[i], err = r.creative(of.Currency); err != nil {
			return nil, "", connector.BadAnswer("ad %.60q: %w", r.Dimensions.AdID, err)
		}
		ids[i] = all[i].AdID
	}
	ads, err := c.ads(ctx, a, of, ids)
	if err != nil {
		return nil, "", err
	}
	var videos, images []string
	for _, one := range ads {
		if one.VideoID != "" {
			videos = append(videos, one.VideoID)
		}
		if len(one.Images) > 0 {
			images = append(images, one.Images[0])
		}
	}
	files, err := c.files(ctx, a, of, videos, images)
	if err != nil {
		return nil, "", err
	}
	for i := range all {
		one, known := ads[all[i].AdID]
		if !known {
			continue
		}
		all[i].Kind, all[i].Text, all[i].LinkURL = one.kind(), one.Text, one.Link
		if len(one.Images) > 0 {
			all[i].ImageURL = files[one.Images[0]].Image
		}
		if v := files[one.VideoID]; one.VideoID != "" {
			all[i].VideoURL, all[i].ImageURL = v.Video, v.Image
		}
	}
	return all, next, nil
}

// creative is an ad with its figures.
func (r row) creative(currency string) (one connector.Creative, err error) {
	one = connector.Creative{
		Channel: Vendor, AdID: r.Dimensions.AdID, AdName: r.Metrics["ad_name"], AdSetID: r.Metrics["adgroup_id"], CampaignID: r.Metrics["campaign_id"], CampaignName: r.Metrics["campaign_name"],
	}
	if !isNumber(one.AdID) {
		return one, fmt.Errorf("%.60q is no id", one.AdID)
	}
	if one.SpendMinor, err = money.Nearest(r.Metrics["spend"], currency); err != nil {
		return one, fmt.Errorf("spend: %w", err)
	}
	for name, into := range map[string]*int64{"impressions": &one.Impressions, "clicks": &one.Clicks} {
		if *into, err = strconv.ParseInt(r.Metrics[name], 10, 64); err != nil {
			return one, fmt.Errorf("%s: %w", name, err)
		}
	}
	one.Orders, one.RevenueMinor, err = r.purchased(currency)
	one.ROAS = connector.Ratio(one.RevenueMinor, one.SpendMinor)
	return one, err
}

// ads are the ads of ids, deleted ones too.
func (c *Connector) ads(ctx context.Context, a connector.Account, of connector.SubAccount, ids []string) (map[string]ad, error) {
	filter, err := json.Marshal(map[string]any{"ad_ids": ids, "primary_status": "STATUS_ALL"})
	if err != nil {
		return nil, fmt.Errorf("encode the ids: %w", err)
	}
	query := url.Values{
		"advertiser_id": {of.ID}, "filtering": {string(filter)}, "fields": {array("ad_id", "ad_format", "ad_text", "video_id", "image_ids", "landing_page_url")},
	}
	got, _, err := page[ad](ctx, c, a, "ad/get/", query, "", len(ids))
	if err != nil {
		return nil, err
	}
	byID := map[string]ad{}
	for _, one := range got {
		byID[one.ID] = one
	}
	return byID, nil
}

// file is where a picture, or a video with a still of it, is.
type file struct{ Image, Video string }

// files are those of ids. TikTok has a permission of its own for them: without it there are none.
func (c *Connector) files(ctx context.Context, a connector.Account, of connector.SubAccount, videos, images []string) (map[string]file, error) {
	byID := map[string]file{}
	for _, kind := range []struct {
		path, parameter string
		ids             []string
	}{{"file/video/ad/info/", "video_ids", videos}, {"file/image/ad/info/", "image_ids", images}} {
		slices.Sort(kind.ids)
		if kind.ids = slices.Compact(kind.ids); len(kind.ids) == 0 {
			continue
		}
		var got struct {
			List []struct {
				VideoID string `json:"video_id"`
				Cover   string `json:"video_cover_url"`
				Preview string `json:"preview_url"`
				ImageID string `json:"image_id"`
				Image   string `json:"image_url"`
			} `json:"list"`
		}
		err := c.get(ctx, a, kind.path, url.Values{"advertiser_id": {of.ID}, kind.parameter: {array(kind.ids...)}}, &got)
		if err != nil && connector.Classify(err).Code != connector.CodePermissionMissing {
			return nil, err
		}
		for _, f := range got.List {
			byID[f.VideoID+f.ImageID] = file{f.Cover + f.Image, f.Preview}
		}
	}
	return byID, nil
}
