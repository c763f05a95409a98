package shop

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Media is what a shop does on one advertising platform, and what that does for the shop. Every campaign spends about DailyBudget a
// day, more before the holidays as MonthWeights say. The spend of all of the platform's campaigns brings new customers: with x, the
// spend of a day plus Carryover times the x of the day before (geometric adstock), a day brings on average
//
//	MaxCustomers * x / (HalfSaturation + x)
//
// of them (Jin et al. 2017, "Bayesian Methods for Media Mix Modeling with Carryover and Shape Effects", with a Hill slope of 1). The
// platform's own count of conversions is another: of the clicks, ClaimRate, whoever caused them.
type Media struct {
	Platform       string  `json:"platform"`
	Campaigns      int     `json:"campaigns"`
	DailyBudget    float64 `json:"daily_budget"` // of one campaign, in the currency's major unit
	Carryover      float64 `json:"adstock_carryover"`
	HalfSaturation float64 `json:"half_saturation"` // of x, in the currency's major unit
	MaxCustomers   float64 `json:"max_customers_per_day"`
	// CPM is the price of 1,000 impressions; CTR how many of them are clicked while a creative is new.
	CPM float64 `json:"cpm"`
	CTR float64 `json:"ctr"`
	// A creative is replaced after CreativeDays; until then its CTR halves every FatigueDays.
	CreativeDays int     `json:"creative_days"`
	FatigueDays  float64 `json:"fatigue_half_life_days"`
	ClaimRate    float64 `json:"claim_rate"`
	// ViewRate is how many impressions of a video are watched; 0 without video.
	ViewRate float64 `json:"view_rate"`
}

// The advertising platforms.
const (
	MetaAds     = "meta-ads"
	GoogleAds   = "google-ads"
	TikTokAds   = "tiktok-ads"
	LinkedInAds = "linkedin-ads"
	YouTubeAds  = "youtube-ads"
)

func defaultMedia() []Media {
	return []Media{
		{MetaAds, 6, 40, 0.55, 400, 2.4, 9, 0.014, 45, 20, 0.03, 0},
		{GoogleAds, 6, 35, 0.15, 250, 1.8, 18, 0.035, 120, 90, 0.04, 0},
		{TikTokAds, 4, 25, 0.45, 300, 1.0, 6, 0.011, 30, 12, 0.02, 0.2},
		{LinkedInAds, 2, 30, 0.3, 500, 0.3, 35, 0.006, 90, 45, 0.015, 0},
		{YouTubeAds, 3, 30, 0.7, 350, 0.9, 10, 0.005, 60, 40, 0.02, 0.3},
	}
}

// claimDays is how long a platform finds conversions of a day; the first claimedAtOnce of them on the day itself.
const (
	claimDays     = 7
	claimedAtOnce = 0.6
)

// carried is how many days back adstock is followed; what is left of a spend after that is nothing.
const carried = 40

// Campaign is one campaign of a shop on a platform.
type Campaign struct {
	// ID is unique on the platform.
	ID       int64
	Platform string
	Name     string
	// From is the first of its days, To the first after them; To is zero while it runs.
	From, To time.Time
	// Budget is what it spends on an average day.
	Budget Amount

	index int
}

// CampaignDay is what a platform says of a campaign on a day.
type CampaignDay struct {
	Spend       Amount
	Impressions int64
	Clicks      int64
	Views       int64
	Conversions int64
	Value       Amount // of the conversions
}

// Campaigns are the shop's on a platform, by id. All began before the window; every third has ended in it.
func (p Parameters) Campaigns(platform string) []Campaign {
	at := slices.IndexFunc(p.Media, func(m Media) bool { return m.Platform == platform })
	if at < 0 {
		return nil
	}
	m := p.Media[at]
	kinds := []string{"Prospecting", "Retargeting", "Brand", "Bestsellers", "New arrivals", "Lookalikes"}
	list := make([]Campaign, m.Campaigns)
	for i := range list {
		rng := p.stream("campaign/"+platform, int64(i), 0)
		began := time.Unix(growthEpoch, 0).UTC().AddDate(-3, 0, rng.IntN(300))
		list[i] = Campaign{
			ID: int64(at+1)*120_000_000 + int64(i) + 1, Platform: platform, Name: fmt.Sprintf("%s %d", kinds[i%len(kinds)], 1+i/len(kinds)),
			From: began, Budget: cents(m.DailyBudget * (0.6 + 0.8*rng.Float64()) * amountScale), index: i,
		}
		if i%3 == 2 { // by a fixed date, for the sake of days that two windows share
			list[i].To = time.Unix(growthEpoch, 0).UTC().AddDate(0, rng.IntN(9), 0)
		}
	}
	return list
}

// Creative is what a campaign shows until it is replaced.
type Creative struct {
	// ID is unique on the platform.
	ID          int64
	Name        string
	Video       bool
	Title, Text string
}

// Creative is what a campaign shows on a UTC day.
func (p Parameters) Creative(c Campaign, day time.Time) Creative {
	m := p.media(c.Platform)
	number := (day.Unix()/86400 + int64(c.index)*17) / int64(m.CreativeDays)
	subjects := []string{"Linen lamp", "Oak desk", "Wool rug", "Glass vase"}
	subject := subjects[number%int64(len(subjects))]
	one := Creative{
		ID: c.ID*10_000 + number%10_000, Video: m.ViewRate > 0 || number%3 == 0, Title: subject + " from our workshop", Text: "Made to last. " + subject + ", now in the shop.",
	}
	one.Name = fmt.Sprintf("%s, image %d", subject, number)
	if one.Video {
		one.Name = fmt.Sprintf("%s, video %d", subject, number)
	}
	return one
}

// media is what the shop does on a platform.
func (p Parameters) media(platform string) Media {
	return p.Media[slices.IndexFunc(p.Media, func(m Media) bool { return m.Platform == platform })]
}

// runs tells whether a campaign is on during a day.
func (c Campaign) runs(day time.Time) bool {
	return !day.Before(c.From) && (c.To.IsZero() || day.Before(c.To))
}

// spend is what a campaign spends on a UTC day.
func (p Parameters) spend(c Campaign, day time.Time) Amount {
	if !c.runs(day) {
		return 0
	}
	rng := p.stream("spend/"+c.Platform, day.Unix(), c.index)
	// In some weeks a campaign is pushed or held back, so that spend varies beyond the season.
	push := p.stream("push/"+c.Platform, day.Unix()/(7*86400), c.index)
	return cents(float64(c.Budget) * p.MonthWeights[day.Month()-1] * (0.4 + 1.2*push.Float64()) * math.Exp(0.15*rng.NormFloat64()-0.01125))
}

// Day is what a platform says, at a time, of a campaign on a UTC day. Conversions go on being found for a week.
func (p Parameters) Day(c Campaign, day, now time.Time) CampaignDay {
	m := p.media(c.Platform)
	spend := p.spend(c, day)
	if spend == 0 || day.After(now) {
		return CampaignDay{}
	}
	rng := p.stream("day/"+c.Platform, day.Unix(), c.index)
	noisy := func(mean float64) int64 { return int64(math.Round(mean * math.Exp(0.1*rng.NormFloat64()-0.005))) }
	d := CampaignDay{Spend: spend}
	d.Impressions = noisy(float64(spend) / amountScale / m.CPM * 1000)
	age := float64((day.Unix()/86400 + int64(c.index)*17) % int64(m.CreativeDays))
	d.Clicks = min(d.Impressions, noisy(float64(d.Impressions)*m.CTR*math.Exp2(-age/m.FatigueDays)))
	d.Views = min(d.Impressions, noisy(float64(d.Impressions)*m.ViewRate))
	final := poisson(rng, min(float64(d.Clicks)*m.ClaimRate, 200))
	value := 40 + 30*rng.Float64()
	found := min(1, claimedAtOnce+(1-claimedAtOnce)*math.Floor(now.Sub(day).Hours()/24)/claimDays)
	d.Conversions = int64(math.Round(float64(final) * found))
	d.Value = cents(float64(d.Conversions) * value * amountScale)
	return d
}

// brought is how many new customers advertising brings on average on each UTC day from from (inclusive) to to (exclusive).
func (p Parameters) brought(from, to time.Time) []float64 {
	days := int(to.Sub(from) / day)
	total := make([]float64, days)
	for _, m := range p.Media {
		spends := make([]float64, days+carried)
		for _, c := range p.Campaigns(m.Platform) {
			for i := range spends {
				spends[i] += float64(p.spend(c, from.AddDate(0, 0, i-carried))) / amountScale
			}
		}
		for i := range total {
			x := 0.0
			for back := carried; back >= 0; back-- {
				x = x*m.Carryover + spends[i+carried-back]
			}
			total[i] += m.MaxCustomers * x / (m.HalfSaturation + x)
		}
	}
	return total
}
