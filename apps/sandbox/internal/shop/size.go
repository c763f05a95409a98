package shop

import "fmt"

// Size is how large a generated business is. What is 0 stays as it is by itself.
type Size struct {
	// Days are how many days of history it has.
	Days int `json:"days"`
	// NewPerDay is how many new customers come on an average day without advertising.
	NewPerDay float64 `json:"new_customers_per_day"`
	// Campaigns are how many it has on each advertising platform.
	Campaigns int `json:"campaigns"`
}

// What a business can be at most: customers of a day have ids of three digits, and platforms tell of three years.
const (
	maxDays      = 1000
	maxNewPerDay = 250
	maxCampaigns = 1000
)

// Validate says what is wrong with a size.
func (s Size) Validate() error {
	if s.Days < 0 || s.Days > maxDays || s.NewPerDay < 0 || s.NewPerDay > maxNewPerDay || s.Campaigns < 0 || s.Campaigns > maxCampaigns {
		return fmt.Errorf("want at most %d days, %d new customers a day and %d campaigns, none of them negative", maxDays, maxNewPerDay, maxCampaigns)
	}
	return nil
}

// Sized are the parameters of a business that is as large as s says, and the same otherwise.
func (p Parameters) Sized(s Size) Parameters {
	if s.Days > 0 {
		p.From = p.To.AddDate(0, 0, -s.Days)
	}
	if s.NewPerDay > 0 {
		p.NewPerDay = s.NewPerDay
	}
	if s.Campaigns > 0 {
		media := make([]Media, len(p.Media)) // that of others is theirs
		for i, m := range p.Media {
			m.Campaigns = s.Campaigns
			media[i] = m
		}
		p.Media = media
	}
	return p
}
