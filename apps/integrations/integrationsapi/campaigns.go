package integrationsapi

import "github.com/tandemhq/tandem/pkg/store"

// Campaign is what an advertiser runs on a platform, or a mailing to many.
type Campaign struct {
	// ID is what CampaignID of a performance names.
	ID           string `json:"id" doc:"Unique in the organization, the same in every sync; what campaign_id of a performance names" example:"0197a3f2-1111-7000-8000-000000000001:120210001"`
	ConnectionID string `json:"connection_id" doc:"Connection that the campaign came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string `json:"vendor" doc:"Vendor that the campaign is on" example:"meta-ads"`
	AccountID    string `json:"account_id" doc:"The vendor's id of the advertising account; that of the connected account where there is one only" example:"act_1001"`
	Name         string `json:"name" doc:"The campaign's name" example:"Spring, prospecting"`
	// Channel is one of the Channel… constants.
	Channel   string     `json:"channel" enum:"search,social,video,display,shopping,email,sms,push,other" doc:"Where people meet it" example:"social"`
	Objective string     `json:"objective,omitempty" doc:"What it is for, in the vendor's words" example:"OUTCOME_SALES"`
	StartedAt store.Time `json:"started_at" format:"date-time" doc:"When it began or is to begin, or else was made, UTC" example:"1997-03-01T00:00:00.000000Z"`
	// Status is one of the Campaign… constants.
	Status           string `json:"status" enum:"active,paused,draft,scheduled,ended,archived,unknown" doc:"Whether it runs" example:"active"`
	DailyBudgetMinor int64  `json:"daily_budget_minor,omitempty" doc:"Most to be spent in a day on average, in the currency's minor unit; missing where there is no such limit" example:"15000"`
	Currency         string `json:"currency,omitempty" doc:"ISO 4217 code; missing for mailings" example:"USD"`
}

// Where people meet a campaign.
const (
	ChannelSearch   = "search"
	ChannelSocial   = "social"
	ChannelVideo    = "video"
	ChannelDisplay  = "display"
	ChannelShopping = "shopping"
	ChannelEmail    = "email"
	ChannelSMS      = "sms"
	ChannelPush     = "push"
	ChannelOther    = "other"
)

// Whether a campaign runs.
const (
	CampaignActive    = "active"
	CampaignPaused    = "paused"
	CampaignDraft     = "draft"
	CampaignScheduled = "scheduled"
	CampaignEnded     = "ended"
	CampaignArchived  = "archived"
	CampaignUnknown   = "unknown"
)

// Head implements Record.
func (c Campaign) Head() Head {
	return Head{ID: c.ID, ConnectionID: c.ConnectionID, Vendor: c.Vendor, At: c.StartedAt, AccountID: c.AccountID}
}

// Performance is what an advertising platform says that a campaign did on one day. Platforms correct it for days and weeks.
type Performance struct {
	ID           string `json:"id" doc:"Unique in the organization, the same in every sync" example:"0197a3f2-1111-7000-8000-000000000001:120210001:1997-03-01"`
	ConnectionID string `json:"connection_id" doc:"Connection that the figures came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string `json:"vendor" doc:"Vendor that the figures are of" example:"meta-ads"`
	AccountID    string `json:"account_id" doc:"The vendor's id of the advertising account" example:"act_1001"`
	CampaignID   string `json:"campaign_id" doc:"The campaign, as its record's id" example:"0197a3f2-1111-7000-8000-000000000001:120210001"`
	// Day is a day of the account's time zone, as the midnight of its date in UTC.
	Day        store.Time `json:"day" format:"date-time" doc:"The day, of the account's time zone, written as the midnight of its date in UTC" example:"1997-03-01T00:00:00.000000Z"`
	TimeZone   string     `json:"time_zone" doc:"IANA name of the account's time zone" example:"America/New_York"`
	SpendMinor int64      `json:"spend_minor" doc:"Spent, in the currency's minor unit" example:"12345"`
	Currency   string     `json:"currency" doc:"ISO 4217 code" example:"USD"`
	// Impressions, Clicks and Views are counts; Views are those of a video, by the platform's own definition.
	Impressions int64 `json:"impressions" doc:"How often it was shown" example:"10321"`
	Clicks      int64 `json:"clicks" doc:"How often it was clicked, by the platform's own definition" example:"214"`
	Views       int64 `json:"views" doc:"How often a video was watched, by the platform's own definition; 0 without video" example:"0"`
	// Conversions and ConversionValueMinor are the platform's claim, by its own attribution. Conversions may be fractions.
	Conversions          float64 `json:"conversions" doc:"Purchases that the platform attributes to itself; may be a fraction" example:"7"`
	ConversionValueMinor int64   `json:"conversion_value_minor" doc:"Their value by the platform's count, in the currency's minor unit" example:"51233"`
}

// Head implements Record.
func (p Performance) Head() Head {
	return Head{ID: p.ID, ConnectionID: p.ConnectionID, Vendor: p.Vendor, At: p.Day, AccountID: p.AccountID}
}

// EmailPerformance is what came of a mailing, by mail or message, on one day.
type EmailPerformance struct {
	ID           string     `json:"id" doc:"Unique in the organization, the same in every sync" example:"0197a3f2-1111-7000-8000-000000000001:01HX:1997-03-01"`
	ConnectionID string     `json:"connection_id" doc:"Connection that the figures came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string     `json:"vendor" doc:"Vendor that the figures are of" example:"klaviyo"`
	CampaignID   string     `json:"campaign_id,omitempty" doc:"The mailing, as its record's id" example:"0197a3f2-1111-7000-8000-000000000001:01HX"`
	Day          store.Time `json:"day" format:"date-time" doc:"The day, of the account's time zone, written as the midnight of its date in UTC" example:"1997-03-01T00:00:00.000000Z"`
	TimeZone     string     `json:"time_zone" doc:"IANA name of the account's time zone" example:"America/New_York"`
	Recipients   int64      `json:"recipients" doc:"Messages sent" example:"5000"`
	Delivered    int64      `json:"delivered" doc:"Messages delivered" example:"4950"`
	Opens        int64      `json:"opens" doc:"Recipients who opened" example:"1500"`
	Clicks       int64      `json:"clicks" doc:"Recipients who clicked" example:"150"`
	Unsubscribes int64      `json:"unsubscribes" doc:"Recipients who unsubscribed" example:"5"`
	// Conversions and RevenueMinor are the vendor's claim, by its own attribution.
	Conversions  float64 `json:"conversions" doc:"Purchases that the vendor attributes to it" example:"12"`
	RevenueMinor int64   `json:"revenue_minor" doc:"Their value by the vendor's count, in the currency's minor unit" example:"91100"`
	Currency     string  `json:"currency" doc:"ISO 4217 code" example:"USD"`
}

// Head implements Record.
func (p EmailPerformance) Head() Head {
	return Head{ID: p.ID, ConnectionID: p.ConnectionID, Vendor: p.Vendor, At: p.Day}
}
