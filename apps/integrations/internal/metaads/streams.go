package metaads

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// clock is how Meta writes times, without a colon in the offset.
const clock = "2006-01-02T15:04:05-0700"

// statuses are the effective statuses of Meta's campaigns in shared terms. All of them are asked for: by itself, Meta leaves out
// what is archived or deleted, of which there are figures still.
var statuses = map[string]string{
	"ACTIVE": integrationsapi.CampaignActive, "PAUSED": integrationsapi.CampaignPaused, "ARCHIVED": integrationsapi.CampaignArchived,
	"DELETED": integrationsapi.CampaignArchived, "IN_PROCESS": integrationsapi.CampaignUnknown, "WITH_ISSUES": integrationsapi.CampaignUnknown,
}

// everyStatus is the filter for them.
const everyStatus = `["ACTIVE","PAUSED","ARCHIVED","DELETED","IN_PROCESS","WITH_ISSUES"]`

type campaign struct {
	ID              string      `json:"id"`
	Name            string      `json:"name"`
	Objective       string      `json:"objective"`
	EffectiveStatus string      `json:"effective_status"`
	StartTime       string      `json:"start_time"`
	CreatedTime     string      `json:"created_time"`
	DailyBudget     json.Number `json:"daily_budget"`
}

// campaigns is a ByAccount's Read.
func (c *Connector) campaigns(ctx context.Context, a connector.Account, of connector.SubAccount, r connector.Request) (connector.Page, error) {
	query := url.Values{
		"fields":           {"id,name,objective,effective_status,start_time,created_time,daily_budget"},
		"effective_status": {everyStatus}, "limit": {strconv.Itoa(r.Size)},
	}
	var got list[connector.Row[campaign]]
	next, err := c.page(ctx, a, of.ID+"/campaigns", query, r.Cursor, &got)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Next: next}
	for _, one := range got.Data {
		connector.Add(&page, &page.Records.Campaigns, one, one.Value.ID, func(c campaign) (integrationsapi.Campaign, error) { return c.normal(a.Connection, of) })
	}
	return page, nil
}

func (c campaign) normal(connection string, of connector.SubAccount) (integrationsapi.Campaign, error) {
	if !isNumber(c.ID) {
		return integrationsapi.Campaign{}, errors.New("no id")
	}
	began := c.StartTime
	if began == "" {
		began = c.CreatedTime
	}
	at, err := time.Parse(clock, began)
	if err != nil {
		return integrationsapi.Campaign{}, fmt.Errorf("when it began: %w", err)
	}
	normal := integrationsapi.Campaign{
		ID: connection + ":" + c.ID, ConnectionID: connection, Vendor: Vendor, AccountID: of.ID, Name: c.Name, Channel: integrationsapi.ChannelSocial,
		Objective: c.Objective, StartedAt: store.At(at), Status: integrationsapi.CampaignUnknown, Currency: of.Currency,
	}
	if status, known := statuses[c.EffectiveStatus]; known {
		normal.Status = status
	}
	if c.DailyBudget != "" {
		if normal.DailyBudgetMinor, err = budget(c.DailyBudget.String(), of.Currency); err != nil {
			return integrationsapi.Campaign{}, fmt.Errorf("its budget: %w", err)
		}
	}
	return normal, nil
}

// whole are the currencies of which Meta counts budgets in whole units; all others it counts in hundredths, whatever their minor
// unit is (developers.facebook.com/docs/marketing-api/currencies).
var whole = []string{"CLP", "COP", "CRC", "HUF", "IDR", "ISK", "JPY", "KRW", "PYG", "TWD", "VND"}

// budget is a budget in Meta's units in those of ISO 4217.
func budget(text, currency string) (int64, error) {
	units, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, err
	}
	amount := money.Amount{Minor: units, Digits: 2}
	if slices.Contains(whole, currency) {
		amount.Digits = 0
	}
	return money.Nearest(amount.String(), currency)
}

// insight is what Meta says of a campaign on a day. Numbers are texts, and what there is none of is left out.
type insight struct {
	CampaignID   string      `json:"campaign_id"`
	Spend        json.Number `json:"spend"`
	Impressions  json.Number `json:"impressions"`
	Clicks       json.Number `json:"clicks"`
	Actions      actions     `json:"actions"`
	ActionValues actions     `json:"action_values"`
	DateStart    string      `json:"date_start"`
	DateStop     string      `json:"date_stop"`
}

type actions []struct {
	Type  string      `json:"action_type"`
	Value json.Number `json:"value"`
}

// insights is a Daily's Read.
func (c *Connector) insights(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, size int) (connector.Page, error) {
	days, err := timeRange(from, to)
	if err != nil {
		return connector.Page{}, err
	}
	query := url.Values{
		"level": {"campaign"}, "time_increment": {"1"}, "time_range": {days},
		"fields": {"campaign_id,spend,impressions,clicks,actions,action_values"}, "limit": {strconv.Itoa(size)},
	}
	var got list[connector.Row[insight]]
	next, err := c.page(ctx, a, of.ID+"/insights", query, cursor, &got)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Next: next}
	for _, one := range got.Data {
		id := one.Value.CampaignID + ":" + one.Value.DateStart
		connector.Add(&page, &page.Records.Performance, one, id, func(i insight) (integrationsapi.Performance, error) { return i.normal(a.Connection, of) })
	}
	return page, nil
}

// timeRange is the parameter of that name of some days, both inclusive.
func timeRange(from, to time.Time) (string, error) {
	days, err := json.Marshal(map[string]string{"since": from.Format(time.DateOnly), "until": to.Format(time.DateOnly)})
	if err != nil {
		return "", fmt.Errorf("encode the days: %w", err)
	}
	return string(days), nil
}

func (i insight) normal(connection string, of connector.SubAccount) (integrationsapi.Performance, error) {
	day, err := time.Parse(time.DateOnly, i.DateStart)
	switch {
	case err != nil:
		return integrationsapi.Performance{}, err
	case i.DateStop != i.DateStart:
		return integrationsapi.Performance{}, fmt.Errorf("it goes on to %.20q", i.DateStop)
	case !isNumber(i.CampaignID):
		return integrationsapi.Performance{}, errors.New("no campaign")
	}
	normal := integrationsapi.Performance{
		ID: connection + ":" + i.CampaignID + ":" + i.DateStart, ConnectionID: connection, Vendor: Vendor, AccountID: of.ID,
		CampaignID: connection + ":" + i.CampaignID, Day: store.At(day), TimeZone: of.TimeZone, Currency: of.Currency,
	}
	m, err := i.measure(of.Currency)
	if err != nil {
		return integrationsapi.Performance{}, err
	}
	normal.SpendMinor, normal.Impressions, normal.Clicks, normal.Views = m.Spend, m.Impressions, m.Clicks, m.Views
	normal.Conversions, normal.ConversionValueMinor = m.Purchases, m.Value
	return normal, nil
}

// measures are the numbers of an insight. Spend and Value are in the currency's minor unit.
type measures struct {
	Spend, Impressions, Clicks, Views, Value int64
	Purchases                                float64
}

func (i insight) measure(currency string) (m measures, err error) {
	if m.Spend, err = money.Nearest(i.Spend.String(), currency); err != nil {
		return m, err
	}
	if m.Value, err = money.Nearest(zero(i.ActionValues.of(purchases...)), currency); err != nil {
		return m, err
	}
	if m.Purchases, err = strconv.ParseFloat(zero(i.Actions.of(purchases...)), 64); err != nil {
		return m, err
	}
	for to, text := range map[*int64]string{
		&m.Impressions: i.Impressions.String(), &m.Clicks: zero(i.Clicks), &m.Views: zero(i.Actions.of("video_view")),
	} {
		if *to, err = strconv.ParseInt(text, 10, 64); err != nil {
			return m, err
		}
	}
	return m, nil
}

// purchases are the types of action that are purchases, each of which counts those of the following ones again: everywhere, by every
// pixel and app, by a site's pixel.
var purchases = []string{"omni_purchase", "purchase", "offsite_conversion.fb_pixel_purchase"}

// of is the value of the first of the types that there is; empty where there is none.
func (list actions) of(types ...string) json.Number {
	for _, want := range types {
		for _, one := range list {
			if one.Type == want {
				return one.Value
			}
		}
	}
	return ""
}

// zero is a number's text, 0 where it is left out.
func zero(n json.Number) string {
	if n == "" {
		return "0"
	}
	return n.String()
}
