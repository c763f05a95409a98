package triplewhale

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/store"
)

// channels are the advertising platforms by their standard ids (https://triplewhale.readme.io/docs/ads-standardized-channel-ids), and where
// people meet their campaigns. In the same tables are mailings and what was not paid for at all, whose "campaigns" may be the hosts that
// people came from, and channels that a shop has entered by itself: those are in the reads by channel, and no records.
var channels = map[string]string{
	"adroll": integrationsapi.ChannelDisplay, "amazon": integrationsapi.ChannelOther, "applovin": integrationsapi.ChannelOther,
	"bing": integrationsapi.ChannelSearch, "criteo": integrationsapi.ChannelDisplay, "facebook-ads": integrationsapi.ChannelSocial,
	"google-ads": integrationsapi.ChannelOther, // which of Google's networks it is on, the id does not say
	"linkedin":   integrationsapi.ChannelSocial, "mountain": integrationsapi.ChannelVideo, "openai-ads": integrationsapi.ChannelOther,
	"outbrain": integrationsapi.ChannelDisplay, "pinterest-ads": integrationsapi.ChannelSocial, "reddit": integrationsapi.ChannelSocial,
	"rokt": integrationsapi.ChannelOther, "snapchat-ads": integrationsapi.ChannelSocial, "stackadapt": integrationsapi.ChannelDisplay,
	"taboola": integrationsapi.ChannelDisplay, "tiktok-ads": integrationsapi.ChannelSocial, "twitter-ads": integrationsapi.ChannelSocial,
	"vibe": integrationsapi.ChannelVideo, "walmart-ads": integrationsapi.ChannelOther,
}

// advertising is the condition that rows are of those channels.
var advertising = func() string {
	var names []string
	for name := range channels {
		names = append(names, "'"+name+"'")
	}
	slices.Sort(names)
	return "channel IN (" + strings.Join(names, ", ") + ") AND campaign_id != ''"
}()

// slice is a page of a query's rows. Its cursor is how many came before.
func slice(cursor string, size int) (offset int, clause string, err error) {
	if cursor != "" {
		if offset, err = strconv.Atoi(cursor); err != nil || offset < 1 {
			return 0, "", connector.BadAnswer("a cursor that counts nothing: %.40q", cursor)
		}
	}
	return offset, fmt.Sprintf(" LIMIT %d OFFSET %d", size, offset), nil
}

// following is the cursor after a page with so many rows, empty after the last one.
func following(offset, size, rows int) string {
	if rows < size {
		return ""
	}
	return strconv.Itoa(offset + size)
}

// maxID bounds what a record's id may be, of which a performance's has a date more.
const maxID = 380

// named is what tells a campaign from all others of a connection.
func named(of connector.SubAccount, channel, campaign string) string {
	return of.ID + ":" + channel + ":" + url.QueryEscape(campaign)
}

// recordID is a campaign's in a shop: the ids of different platforms may be the same, and two shops may have one advertising account.
func recordID(connection string, of connector.SubAccount, channel, campaign string) (string, error) {
	id := connection + ":" + named(of, channel, campaign)
	if _, known := channels[channel]; !known || campaign == "" || len(id) > maxID {
		return "", errors.New("no campaign of a platform")
	}
	return id, nil
}

type campaign struct {
	Channel string `json:"channel"`
	ID      label  `json:"campaign_id"`
	Name    string `json:"name"`
	Status  string `json:"status"`
	Began   string `json:"began"`
}

// campaigns is a ByAccount's Read: every campaign that there are figures of. When it was made is not told; its first day with figures is.
func (c *Connector) campaigns(ctx context.Context, a connector.Account, of connector.SubAccount, r connector.Request) (connector.Page, error) {
	offset, limit, err := slice(r.Cursor, r.Size)
	if err != nil {
		return connector.Page{}, err
	}
	var rows []connector.Row[campaign]
	err = c.sql(ctx, a, of, "SELECT channel, campaign_id, argMax(campaign_name, event_date) AS name, argMax(campaign_status, event_date) AS status, MIN(event_date) AS began "+
		"FROM ads_table WHERE event_date BETWEEN @startDate AND @endDate AND "+advertising+" GROUP BY channel, campaign_id ORDER BY channel, campaign_id"+limit,
		beginning, c.web.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly), &rows)
	if err != nil {
		return connector.Page{}, err
	}
	out := connector.Page{Next: following(offset, r.Size, len(rows))}
	for _, one := range rows {
		id := named(of, one.Value.Channel, string(one.Value.ID))
		connector.Add(&out, &out.Records.Campaigns, one, id, func(c campaign) (integrationsapi.Campaign, error) { return c.normal(a.Connection, of) })
	}
	return out, nil
}

func (c campaign) normal(connection string, of connector.SubAccount) (integrationsapi.Campaign, error) {
	id, err := recordID(connection, of, c.Channel, string(c.ID))
	if err != nil {
		return integrationsapi.Campaign{}, err
	}
	began, err := day(c.Began)
	if err != nil {
		return integrationsapi.Campaign{}, fmt.Errorf("when it began: %w", err)
	}
	normal := integrationsapi.Campaign{
		ID: id, ConnectionID: connection, Vendor: Vendor, AccountID: of.ID, Name: c.Name, Channel: channels[c.Channel], StartedAt: store.At(began),
		Status: integrationsapi.CampaignUnknown, Currency: of.Currency,
	}
	switch strings.ToUpper(c.Status) { // each platform's own word: Meta, TikTok, Google and others
	case "ACTIVE", "ENABLE", "ENABLED":
		normal.Status = integrationsapi.CampaignActive
	case "PAUSED", "DISABLE", "DISABLED", "CAMPAIGN_PAUSED":
		normal.Status = integrationsapi.CampaignPaused
	case "ARCHIVED", "DELETED", "REMOVED":
		normal.Status = integrationsapi.CampaignArchived
	case "ENDED", "COMPLETED":
		normal.Status = integrationsapi.CampaignEnded
	}
	return normal, nil
}

// Attribution is by which rule orders are attributed to clicks. These are the vendor's defaults
// (https://triplewhale.readme.io/docs/pixel-joined-table).
const (
	defaultModel  = "Triple Attribution"
	defaultWindow = "lifetime"
)

// figures are what campaigns cost and what came of them: columns of every query of pixel_joined_tvf. Sums are cut to the places that money
// may have, for a sum of binary fractions has more, and may be written with an exponent.
const figures = "round(SUM(spend), 4) AS spend, SUM(impressions) AS impressions, SUM(clicks) AS clicks, " +
	"round(SUM(orders_quantity), 4) AS orders, round(SUM(order_revenue), 4) AS revenue"

// attributed is the source and the condition of those queries.
func attributed(model, window string) string {
	return "FROM pixel_joined_tvf WHERE event_date BETWEEN @startDate AND @endDate AND model = '" + model + "' AND attribution_window = '" + window + "'"
}

type row struct {
	Day        string `json:"event_date"`
	Channel    string `json:"channel"`
	CampaignID label  `json:"campaign_id"`
	measures
}

// measures are the columns of figures.
type measures struct {
	Spend       figure `json:"spend"`
	Impressions figure `json:"impressions"`
	Clicks      figure `json:"clicks"`
	Orders      figure `json:"orders"`
	Revenue     figure `json:"revenue"`
}

// in is what they come to in a currency.
func (m measures) in(currency string) (f connector.Figures, err error) {
	err = readAll(
		reading{"spend", &f.SpendMinor, func() (int64, error) { return m.Spend.minor(currency) }},
		reading{"impressions", &f.Impressions, m.Impressions.count}, reading{"clicks", &f.Clicks, m.Clicks.count},
		reading{"revenue", &f.RevenueMinor, func() (int64, error) { return m.Revenue.minor(currency) }})
	if err != nil {
		return connector.Figures{}, err
	}
	if f.Orders, err = m.Orders.real(); err != nil {
		return connector.Figures{}, fmt.Errorf("orders: %w", err)
	}
	f.ROAS = connector.Ratio(f.RevenueMinor, f.SpendMinor)
	return f, nil
}

// days is a Daily's Read.
func (c *Connector) days(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, size int) (connector.Page, error) {
	offset, limit, err := slice(cursor, size)
	if err != nil {
		return connector.Page{}, err
	}
	var rows []connector.Row[row]
	err = c.sql(ctx, a, of, "SELECT event_date, channel, campaign_id, "+figures+" "+attributed(defaultModel, defaultWindow)+" AND "+advertising+
		" GROUP BY event_date, channel, campaign_id ORDER BY event_date, channel, campaign_id"+limit,
		from.Format(time.DateOnly), to.Format(time.DateOnly), &rows)
	if err != nil {
		return connector.Page{}, err
	}
	out := connector.Page{Next: following(offset, size, len(rows))}
	for _, one := range rows {
		id := named(of, one.Value.Channel, string(one.Value.CampaignID)) + ":" + one.Value.Day
		connector.Add(&out, &out.Records.Performance, one, id, func(r row) (integrationsapi.Performance, error) { return r.normal(a.Connection, of) })
	}
	return out, nil
}

func (r row) normal(connection string, of connector.SubAccount) (integrationsapi.Performance, error) {
	id, err := recordID(connection, of, r.Channel, string(r.CampaignID))
	if err != nil {
		return integrationsapi.Performance{}, err
	}
	date, err := day(r.Day)
	if err != nil {
		return integrationsapi.Performance{}, err
	}
	did, err := r.in(of.Currency)
	return integrationsapi.Performance{
		ID: id + ":" + date.Format(time.DateOnly), ConnectionID: connection, Vendor: Vendor, AccountID: of.ID, CampaignID: id, Day: store.At(date), TimeZone: of.TimeZone,
		SpendMinor: did.SpendMinor, Currency: of.Currency, Impressions: did.Impressions, Clicks: did.Clicks, Conversions: did.Orders, ConversionValueMinor: did.RevenueMinor,
	}, err
}
