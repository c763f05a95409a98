package googleads

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

type campaign struct {
	ID                     string `json:"id"`
	Name                   string `json:"name"`
	Status                 string `json:"status"`
	ServingStatus          string `json:"servingStatus"`
	AdvertisingChannelType string `json:"advertisingChannelType"`
	// StartDateTime is of the account's time zone, as "2006-01-02 15:04:05".
	StartDateTime string `json:"startDateTime"`
}

// metrics are pointers where the API says them of every campaign, so that what is missing is no zero.
type metrics struct {
	CostMicros         *int64   `json:"costMicros,string"`
	Impressions        *int64   `json:"impressions,string"`
	Clicks             *int64   `json:"clicks,string"`
	Conversions        *float64 `json:"conversions"`
	ConversionsValue   *float64 `json:"conversionsValue"`
	VideoTrueviewViews int64    `json:"videoTrueviewViews,string"`
}

// campaigns reads a page of an account's campaigns, those that were removed too, since figures name them.
func (c *Connector) campaigns(ctx context.Context, a connector.Account, of connector.SubAccount, r connector.Request) (connector.Page, error) {
	zone, err := time.LoadLocation(of.TimeZone)
	if err != nil {
		return connector.Page{}, connector.BadAnswer("the time zone of customer %.20q: %w", of.ID, err)
	}
	query := "SELECT campaign.id, campaign.name, campaign.status, campaign.serving_status, campaign.advertising_channel_type, campaign.start_date_time, " +
		"campaign_budget.amount_micros FROM campaign WHERE " + c.channels
	got, err := c.client.search(ctx, a, of.ID, of.Via, query, r.Cursor)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Next: got.NextPageToken}
	for _, one := range got.Results {
		connector.Add(&page, &page.Records.Campaigns, one, one.Value.Campaign.ID, func(r row) (integrationsapi.Campaign, error) {
			return r.campaign(a.Connection, c.vendor, of, zone)
		})
	}
	return page, nil
}

// channels are where the kinds of campaigns are met. Those that Google spreads over all it has are others.
var channels = map[string]string{
	"SEARCH": integrationsapi.ChannelSearch, "DISPLAY": integrationsapi.ChannelDisplay, "SHOPPING": integrationsapi.ChannelShopping,
	"VIDEO": integrationsapi.ChannelVideo, "DEMAND_GEN": integrationsapi.ChannelVideo,
}

func (r row) campaign(connection, vendor string, of connector.SubAccount, zone *time.Location) (integrationsapi.Campaign, error) {
	c := r.Campaign
	if !isID(c.ID) {
		return integrationsapi.Campaign{}, fmt.Errorf("it has no id")
	}
	started, err := time.ParseInLocation(time.DateTime, c.StartDateTime, zone)
	if err != nil {
		return integrationsapi.Campaign{}, fmt.Errorf("its start: %w", err)
	}
	normal := integrationsapi.Campaign{
		ID: connection + ":" + c.ID, ConnectionID: connection, Vendor: vendor, AccountID: of.ID, Name: c.Name,
		Channel: integrationsapi.ChannelOther, StartedAt: store.At(started), Status: c.state(), Currency: of.Currency,
	}
	if channel, known := channels[c.AdvertisingChannelType]; known {
		normal.Channel = channel
	}
	if budget := r.CampaignBudget.AmountMicros; budget != nil { // missing where the budget is one for all of the time
		if normal.DailyBudgetMinor, err = minor(*budget, of.Currency); err != nil {
			return integrationsapi.Campaign{}, err
		}
	}
	return normal, nil
}

// state is what people have set, unless the campaign is over or has not begun.
func (c campaign) state() string {
	switch {
	case c.Status == "REMOVED":
		return integrationsapi.CampaignArchived
	case c.ServingStatus == "ENDED":
		return integrationsapi.CampaignEnded
	case c.Status == "PAUSED" || c.Status == "ENABLED" && c.ServingStatus == "SUSPENDED":
		return integrationsapi.CampaignPaused
	case c.Status == "ENABLED" && c.ServingStatus == "PENDING":
		return integrationsapi.CampaignScheduled
	case c.Status == "ENABLED":
		return integrationsapi.CampaignActive
	}
	return integrationsapi.CampaignUnknown
}

// days reads a page of the figures of days. A campaign has none on days on which nothing happened.
func (c *Connector) days(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, _ int) (connector.Page, error) {
	query := "SELECT campaign.id, segments.date, metrics.cost_micros, metrics.impressions, metrics.clicks, metrics.conversions, " +
		"metrics.conversions_value, metrics.video_trueview_views FROM campaign WHERE segments.date BETWEEN '" + from.Format(time.DateOnly) + "' AND '" +
		to.Format(time.DateOnly) + "' AND " + c.channels
	got, err := c.client.search(ctx, a, of.ID, of.Via, query, cursor)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Next: got.NextPageToken}
	for _, one := range got.Results {
		id := one.Value.Campaign.ID + ":" + one.Value.Segments.Date
		connector.Add(&page, &page.Records.Performance, one, id, func(r row) (integrationsapi.Performance, error) { return r.performance(a.Connection, c.vendor, of) })
	}
	return page, nil
}

func (r row) performance(connection, vendor string, of connector.SubAccount) (integrationsapi.Performance, error) {
	m := r.Metrics
	if !isID(r.Campaign.ID) {
		return integrationsapi.Performance{}, fmt.Errorf("they are of no campaign")
	}
	if m.CostMicros == nil || m.Impressions == nil || m.Clicks == nil || m.Conversions == nil || m.ConversionsValue == nil {
		return integrationsapi.Performance{}, fmt.Errorf("figures are missing")
	}
	day, err := time.Parse(time.DateOnly, r.Segments.Date)
	if err != nil {
		return integrationsapi.Performance{}, err
	}
	spend, err := minor(*m.CostMicros, of.Currency)
	if err != nil {
		return integrationsapi.Performance{}, err
	}
	value, err := money.Nearest(strconv.FormatFloat(*m.ConversionsValue, 'f', -1, 64), of.Currency)
	if err != nil {
		return integrationsapi.Performance{}, err
	}
	campaign := connection + ":" + r.Campaign.ID
	return integrationsapi.Performance{
		ID: campaign + ":" + r.Segments.Date, ConnectionID: connection, Vendor: vendor, AccountID: of.ID, CampaignID: campaign,
		Day: store.At(day), TimeZone: of.TimeZone, SpendMinor: spend, Currency: of.Currency,
		Impressions: *m.Impressions, Clicks: *m.Clicks, Views: m.VideoTrueviewViews, Conversions: *m.Conversions, ConversionValueMinor: value,
	}, nil
}

// minor is an amount in millionths of a currency's major unit in its minor unit, rounded half to even where it has a part of one.
func minor(micros int64, currency string) (int64, error) {
	if _, err := money.Parse("0", currency); err != nil {
		return 0, err
	}
	unit := int64(1_000_000)
	for range money.MinorDigits(currency) {
		unit /= 10
	}
	return money.DivideHalfEven(micros, unit), nil
}
