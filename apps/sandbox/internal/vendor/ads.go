package vendor

import (
	"cmp"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/pkg/money"
)

// AdAccount is one of the accounts that a business advertises from on a platform.
type AdAccount struct {
	// Number is unique on the platform, Business that of the business.
	Number, Business int64
	Name             string
	Zone             *time.Location
	Campaigns        []shop.Campaign

	platform   string
	parameters shop.Parameters
	now        time.Time
	read       *AdDays
}

// AdAccounts are the two that a business has on every platform, in different time zones; its campaigns are split between them.
func (w World) AdAccounts(business, platform string) []AdAccount {
	h := fnv.New32a()
	_, _ = h.Write([]byte(business)) // never fails
	number := int64(h.Sum32()) * 10
	p := w.Parameters(business)
	list := make([]AdAccount, 2)
	for i, of := range []struct{ name, zone string }{{"Europe", "Etc/UTC"}, {"North America", "America/New_York"}} {
		zone, err := time.LoadLocation(of.zone)
		if err != nil {
			zone = time.UTC // a machine without time zones, of which those of the platform fail as well
		}
		list[i] = AdAccount{Number: number + int64(i) + 1, Business: number, Name: business + ", " + of.name, Zone: zone, platform: platform, parameters: p, now: w.Now(), read: w.AdDays}
	}
	for i, c := range p.Campaigns(platform) {
		list[i%2].Campaigns = append(list[i%2].Campaigns, c)
	}
	return list
}

// Currency is the account's.
func (a AdAccount) Currency() string { return a.parameters.Currency }

// Ended tells whether a campaign runs no more.
func (a AdAccount) Ended(c shop.Campaign) bool { return !c.To.IsZero() && !a.now.Before(c.To) }

// AdDay is what a platform says of a campaign on a day.
type AdDay struct {
	Campaign shop.Campaign
	// Date is the day in the account's time zone, as the midnight of its date in UTC.
	Date time.Time
	shop.CampaignDay
}

// AdDays remembers some of the days that were asked for last: they are asked for page by page. It is safe for concurrent use.
type AdDays struct {
	mu   sync.Mutex
	days map[adDays][]AdDay
}

// adDays is what days depend on; what platforms say of a day changes at midnight.
type adDays struct {
	account         int64
	platform        string
	from, to, today time.Time
}

// remembered bounds the lists that are remembered.
const remembered = 32

func (r *AdDays) get(key adDays) ([]AdDay, bool) {
	if r == nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	days, ok := r.days[key]
	return days, ok
}

func (r *AdDays) put(key adDays, days []AdDay) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.days == nil || len(r.days) >= remembered {
		r.days = map[adDays][]AdDay{}
	}
	r.days[key] = days
}

// Days are the days on which campaigns were shown, of those from from to to, both inclusive, by date and campaign. They begin with
// the shop's history and end with today in the account's time zone. The list is shared.
func (a AdAccount) Days(from, to time.Time) []AdDay {
	if from.Before(a.parameters.From) {
		from = a.parameters.From
	}
	local := a.now.In(a.Zone)
	key := adDays{a.Number, a.platform, from, to, date(local)}
	days, ok := a.read.get(key)
	if !ok {
		days = a.days(from, to, local)
		a.read.put(key, days)
	}
	return days
}

// date is the midnight in UTC of t's date.
func date(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func (a AdAccount) days(from, to, local time.Time) []AdDay {
	clock := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), 0, time.UTC)
	var list []AdDay
	for date := from; !date.After(to) && !date.After(clock); date = date.AddDate(0, 0, 1) {
		for _, c := range a.Campaigns {
			if d := a.parameters.Day(c, date, clock); d.Impressions > 0 {
				list = append(list, AdDay{c, date, d})
			}
		}
	}
	return list
}

// Ad is what a platform says of an ad in a period.
type Ad struct {
	Campaign shop.Campaign
	shop.Creative
	shop.CampaignDay
}

// AdSet is the id of the ad set, or ad group, that the ad is in.
func (a Ad) AdSet() int64 { return a.Campaign.ID*10 + 1 }

// Ads are those that were shown from from to to, both inclusive, those that cost most first.
func (a AdAccount) Ads(from, to time.Time) []Ad {
	byID := map[int64]*Ad{}
	for _, d := range a.Days(from, to) {
		shown := a.parameters.Creative(d.Campaign, d.Date)
		ad := byID[shown.ID]
		if ad == nil {
			ad = &Ad{Campaign: d.Campaign, Creative: shown}
			byID[shown.ID] = ad
		}
		ad.Spend, ad.Impressions, ad.Clicks, ad.Views = ad.Spend+d.Spend, ad.Impressions+d.Impressions, ad.Clicks+d.Clicks, ad.Views+d.Views
		ad.Conversions, ad.Value = ad.Conversions+d.Conversions, ad.Value+d.Value
	}
	var list []Ad
	for _, ad := range byID {
		list = append(list, *ad)
	}
	slices.SortFunc(list, func(a, b Ad) int { return cmp.Or(cmp.Compare(b.Spend, a.Spend), cmp.Compare(a.ID, b.ID)) })
	return list
}

// AllAds are all of them.
func (a AdAccount) AllAds() []Ad { return a.Ads(time.Time{}, a.now.AddDate(0, 0, 1)) }

// AllDays are all of them.
func (a AdAccount) AllDays() []AdDay {
	return a.days(a.parameters.From, a.now.AddDate(0, 0, 1), a.now.In(a.Zone))
}

// PageOf is the part of a list that begins at from and has at most size entries, as a page of the account's; faults that wait for a page
// spoil it. More tells that others follow.
func PageOf[T any](a *Account, all []T, from, size int) (page []T, more bool) {
	from = min(max(from, 0), len(all))
	to := min(from+size, len(all))
	page = slices.Clone(all[from:to])
	if from > 0 && len(page) > 0 {
		if _, due := a.Take(DuplicatePage); due {
			again := min((size+4)/5, from)
			page = append(slices.Clone(all[from-again:from]), page...)
		}
	}
	if len(page) > 1 {
		if _, due := a.Take(ReorderPages); due {
			rand.New(rand.NewPCG(uint64(from), uint64(len(all)))).Shuffle(len(page), func(i, j int) { page[i], page[j] = page[j], page[i] })
		}
	}
	return page, to < len(all)
}

// Minor is an amount in a currency's minor units, rounded half to even.
func Minor(a shop.Amount, currency string) int64 {
	unit := int64(10_000)
	for range min(money.MinorDigits(currency), 4) {
		unit /= 10
	}
	return money.DivideHalfEven(int64(a), unit)
}

// Stamp is a time as records have it.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
