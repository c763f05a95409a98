package metaads

import (
	"cmp"
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// adInsight is what Meta says of an ad in a period.
type adInsight struct {
	insight
	AdID         string `json:"ad_id"`
	AdName       string `json:"ad_name"`
	AdSetID      string `json:"adset_id"`
	CampaignName string `json:"campaign_name"`
}

// ad is what an ad shows (developers.facebook.com/docs/marketing-api/reference/ad-creative). What was made from a post has its texts in
// the story; a video's own address only those may ask for who may manage its page, so there is none.
type ad struct {
	Preview  string `json:"preview_shareable_link"`
	Creative struct {
		Type      string `json:"object_type"`
		Title     string `json:"title"`
		Body      string `json:"body"`
		Image     string `json:"image_url"`
		Thumbnail string `json:"thumbnail_url"`
		VideoID   string `json:"video_id"`
		Link      string `json:"link_url"`
		Story     struct {
			Link struct {
				Message  string     `json:"message"`
				Name     string     `json:"name"`
				Link     string     `json:"link"`
				Picture  string     `json:"picture"`
				Children []struct{} `json:"child_attachments"`
			} `json:"link_data"`
			Video struct {
				Message string `json:"message"`
				Title   string `json:"title"`
				Image   string `json:"image_url"`
			} `json:"video_data"`
		} `json:"object_story_spec"`
	} `json:"creative"`
}

// shown are its fields.
const shown = "id,preview_shareable_link,creative{object_type,title,body,image_url,thumbnail_url,video_id,link_url,object_story_spec}"

// kind is what it shows.
func (a ad) kind() string {
	switch of := a.Creative; {
	case of.Type == "VIDEO" || of.VideoID != "":
		return connector.CreativeVideo
	case len(of.Story.Link.Children) > 0:
		return connector.CreativeCarousel
	case of.Type == "PHOTO" || of.Type == "SHARE" && cmp.Or(of.Image, of.Story.Link.Picture) != "":
		return connector.CreativeImage
	}
	return connector.CreativeOther
}

// Creatives implements connector.CreativeLister: the ads by their insights in the order of what they cost, then what those of the page
// show, all at once by their ids (developers.facebook.com/docs/graph-api/get-started, "Read multiple nodes").
func (c *Connector) Creatives(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, size int) ([]connector.Creative, string, error) {
	days, err := timeRange(from, to)
	if err != nil {
		return nil, "", err
	}
	query := url.Values{
		"level": {"ad"}, "time_range": {days}, "sort": {`["spend_descending"]`}, "limit": {strconv.Itoa(size)},
		"fields": {"ad_id,ad_name,adset_id,campaign_id,campaign_name,spend,impressions,clicks,actions,action_values"},
	}
	var got list[adInsight]
	next, err := c.page(ctx, a, of.ID+"/insights", query, cursor, &got)
	if err != nil {
		return nil, "", err
	}
	all := make([]connector.Creative, len(got.Data))
	ids := make([]string, len(got.Data))
	for i, one := range got.Data {
		m, err := one.measure(of.Currency)
		if err != nil || !isNumber(one.AdID) {
			return nil, "", connector.BadAnswer("ad %.60q: %w", one.AdID, err)
		}
		ids[i] = one.AdID
		all[i] = connector.Creative{
			Channel: Vendor, CampaignID: one.CampaignID, CampaignName: one.CampaignName, AdSetID: one.AdSetID, AdID: one.AdID, AdName: one.AdName,
			Figures: connector.Figures{
				SpendMinor: m.Spend, Impressions: m.Impressions, Clicks: m.Clicks, Orders: m.Purchases, RevenueMinor: m.Value, ROAS: connector.Ratio(m.Value, m.Spend),
			},
		}
	}
	if len(ids) == 0 {
		return all, next, nil
	}
	var ads map[string]ad
	if err := c.get(ctx, a, "", url.Values{"ids": {strings.Join(ids, ",")}, "fields": {shown}}, &ads); err != nil {
		return nil, "", err
	}
	for i := range all {
		one, known := ads[all[i].AdID]
		if !known {
			continue
		}
		show, story := one.Creative, one.Creative.Story
		all[i].Kind, all[i].PreviewURL, all[i].LinkURL = one.kind(), one.Preview, cmp.Or(show.Link, story.Link.Link)
		all[i].Title, all[i].Text = cmp.Or(show.Title, story.Link.Name, story.Video.Title), cmp.Or(show.Body, story.Link.Message, story.Video.Message)
		all[i].ImageURL = cmp.Or(show.Image, story.Link.Picture, story.Video.Image, show.Thumbnail)
	}
	return all, next, nil
}
