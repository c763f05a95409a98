package connector

import (
	"context"
	"math"
	"time"
)

// CreativeLister is a connector of an advertising platform that tells what its ads show.
type CreativeLister interface {
	Lister
	// Creatives are the ads that were shown from one day to another, both inclusive, each the midnight of its date in UTC, those
	// that cost most first: a page of at most size, which is at most MaxCreatives. It is an *Error.
	Creatives(ctx context.Context, a Account, of SubAccount, from, to time.Time, cursor string, size int) (list []Creative, next string, err error)
}

// MaxCreatives is the most ads of a page: Meta describes 50 at once.
const MaxCreatives = 50

// Creative is an ad, what it shows and what came of it in a period. What a vendor does not say is empty.
type Creative struct {
	Channel      string `json:"channel" doc:"The platform: a vendor's name here, Triple Whale's id of the channel there" example:"meta-ads"`
	CampaignID   string `json:"campaign_id" doc:"The platform's id of the campaign" example:"120210001"`
	CampaignName string `json:"campaign_name" doc:"The campaign's name" example:"Spring, prospecting"`
	AdSetID      string `json:"adset_id,omitempty" doc:"The platform's id of the ad set or ad group" example:"120210011"`
	AdID         string `json:"ad_id" doc:"The platform's id of the ad" example:"120210111"`
	AdName       string `json:"ad_name" doc:"The ad's name; the latest in the period" example:"Linen lamp, video"`
	// Kind is one of the Creative… constants.
	Kind       string `json:"kind,omitempty" enum:"image,video,carousel,other" doc:"What it shows; missing where the vendor does not say" example:"video"`
	Title      string `json:"title,omitempty" doc:"Its headline" example:"Light that lasts"`
	Text       string `json:"text,omitempty" doc:"Its text" example:"Linen lamps from our workshop"`
	ImageURL   string `json:"image_url,omitempty" doc:"Its picture, or a still of its video. Vendors sign such addresses, which end after some hours" example:"https://cdn.example.com/lamp.jpg"`
	VideoURL   string `json:"video_url,omitempty" doc:"Its video, likewise" example:"https://cdn.example.com/lamp.mp4"`
	PreviewURL string `json:"preview_url,omitempty" doc:"A page of the vendor that shows the ad" example:"https://fb.me/1a2b3c"`
	LinkURL    string `json:"link_url,omitempty" doc:"Where it leads" example:"https://demo.example.com/lamps"`
	Figures
}

// What an ad shows.
const (
	CreativeImage    = "image"
	CreativeVideo    = "video"
	CreativeCarousel = "carousel"
	CreativeOther    = "other"
)

// Figures are what advertising cost and what is attributed to it.
type Figures struct {
	SpendMinor   int64    `json:"spend_minor" doc:"Spent, in the currency's minor unit" example:"12345"`
	Impressions  int64    `json:"impressions" doc:"How often it was shown" example:"10321"`
	Clicks       int64    `json:"clicks" doc:"How often it was clicked" example:"214"`
	Orders       float64  `json:"orders" doc:"Orders that are attributed to it; a fraction where a model shares them out" example:"7"`
	RevenueMinor int64    `json:"revenue_minor" doc:"Their revenue, in the currency's minor unit" example:"51233"`
	ROAS         *float64 `json:"roas,omitempty" doc:"Revenue divided by spend, to 4 places; missing where nothing was spent" example:"4.1501"`
}

// Ratio is revenue divided by spend, nil where there is none: how often nothing was returned is no number.
func Ratio(revenue, spend int64) *float64 {
	if spend <= 0 {
		return nil
	}
	r := math.Round(float64(revenue)/float64(spend)*1e4) / 1e4
	return &r
}
