package tiktokads

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// list is a page of something.
type list[T any] struct {
	List []T `json:"list"`
	Info struct {
		Page  int `json:"page"`
		Pages int `json:"total_page"`
	} `json:"page_info"`
}

// page reads a page of an endpoint. A cursor is the page's number.
func page[T any](ctx context.Context, c *Connector, a connector.Account, path string, query url.Values, cursor string, size int) (items []T, next string, err error) {
	number := 1
	if cursor != "" {
		if number, err = strconv.Atoi(cursor); err != nil || number < 2 {
			return nil, "", connector.BadAnswer("a cursor that is no page: %.40q", cursor)
		}
	}
	query.Set("page", strconv.Itoa(number))
	query.Set("page_size", strconv.Itoa(size))
	var got list[T]
	if err := c.get(ctx, a, path, query, &got); err != nil {
		return nil, "", err
	}
	if got.Info.Page != number {
		return nil, "", connector.BadAnswer("page %d instead of %d", got.Info.Page, number)
	}
	if number < got.Info.Pages {
		next = strconv.Itoa(number + 1)
	}
	return got.List, next, nil
}

// clock is how TikTok writes times.
const clock = time.DateTime

type campaign struct {
	ID              string      `json:"campaign_id"`
	Name            string      `json:"campaign_name"`
	ObjectiveType   string      `json:"objective_type"`
	OperationStatus string      `json:"operation_status"`
	SecondaryStatus string      `json:"secondary_status"`
	BudgetMode      string      `json:"budget_mode"`
	Budget          json.Number `json:"budget"`
	CreateTime      string      `json:"create_time"` // in UTC
}

// campaigns is a ByAccount's Read. All statuses are asked for: by itself, TikTok leaves out what is deleted, of which there are
// figures still.
func (c *Connector) campaigns(ctx context.Context, a connector.Account, of connector.SubAccount, r connector.Request) (connector.Page, error) {
	query := url.Values{
		"advertiser_id": {of.ID}, "filtering": {`{"primary_status":"STATUS_ALL"}`},
		"fields": {array("campaign_id", "campaign_name", "objective_type", "operation_status", "secondary_status", "budget_mode", "budget", "create_time")},
	}
	got, next, err := page[connector.Row[campaign]](ctx, c, a, "campaign/get/", query, r.Cursor, r.Size)
	if err != nil {
		return connector.Page{}, err
	}
	out := connector.Page{Next: next}
	for _, one := range got {
		connector.Add(&out, &out.Records.Campaigns, one, one.Value.ID, func(c campaign) (integrationsapi.Campaign, error) { return c.normal(a.Connection, of) })
	}
	return out, nil
}

func (c campaign) normal(connection string, of connector.SubAccount) (integrationsapi.Campaign, error) {
	if !isNumber(c.ID) {
		return integrationsapi.Campaign{}, errors.New("no id")
	}
	made, err := time.Parse(clock, c.CreateTime)
	if err != nil {
		return integrationsapi.Campaign{}, fmt.Errorf("when it was made: %w", err)
	}
	normal := integrationsapi.Campaign{
		ID: connection + ":" + c.ID, ConnectionID: connection, Vendor: Vendor, AccountID: of.ID, Name: c.Name, Channel: integrationsapi.ChannelSocial,
		Objective: c.ObjectiveType, StartedAt: store.At(made), Status: c.status(), Currency: of.Currency,
	}
	if c.BudgetMode == "BUDGET_MODE_DAY" || c.BudgetMode == "BUDGET_MODE_DYNAMIC_DAILY_BUDGET" { // the others are for all of its life, or none
		if normal.DailyBudgetMinor, err = money.Nearest(c.Budget.String(), of.Currency); err != nil {
			return integrationsapi.Campaign{}, fmt.Errorf("its budget: %w", err)
		}
	}
	return normal, nil
}

// status is what becomes of a campaign in shared terms: whether it is deleted, or else switched on.
func (c campaign) status() string {
	switch {
	case c.SecondaryStatus == "CAMPAIGN_STATUS_DELETE" || c.OperationStatus == "DELETE":
		return integrationsapi.CampaignArchived
	case c.OperationStatus == "ENABLE":
		return integrationsapi.CampaignActive
	case c.OperationStatus == "DISABLE":
		return integrationsapi.CampaignPaused
	}
	return integrationsapi.CampaignUnknown
}

// row is what TikTok says of a campaign on a day, or of an ad. Metrics are texts.
type row struct {
	Dimensions struct {
		CampaignID string `json:"campaign_id"`
		AdID       string `json:"ad_id"`
		Day        string `json:"stat_time_day"`
	} `json:"dimensions"`
	Metrics map[string]string `json:"metrics"`
}

// purchases are the metrics of purchases with those of their values: on websites, of which the name misleads, in apps, and in TikTok's
// own shop. Nothing is counted in two of them.
var purchases = map[string]string{
	"complete_payment": "total_complete_payment_rate", "total_purchase": "total_purchase_value", "onsite_shopping": "total_onsite_shopping_value",
}

// metrics are what is asked for.
var metrics = []string{
	"spend", "impressions", "clicks", "video_play_actions",
	"complete_payment", "total_complete_payment_rate", "total_purchase", "total_purchase_value", "onsite_shopping", "total_onsite_shopping_value",
}

// report is a Daily's Read.
func (c *Connector) report(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, size int) (connector.Page, error) {
	query := url.Values{
		"advertiser_id": {of.ID}, "service_type": {"AUCTION"}, "report_type": {"BASIC"}, "data_level": {"AUCTION_CAMPAIGN"},
		"dimensions": {array("campaign_id", "stat_time_day")}, "metrics": {array(metrics...)},
		"start_date": {from.Format(time.DateOnly)}, "end_date": {to.Format(time.DateOnly)},
	}
	got, next, err := page[connector.Row[row]](ctx, c, a, "report/integrated/get/", query, cursor, size)
	if err != nil {
		return connector.Page{}, err
	}
	out := connector.Page{Next: next}
	for _, one := range got {
		date, _, _ := strings.Cut(one.Value.Dimensions.Day, " ")
		id := one.Value.Dimensions.CampaignID + ":" + date
		connector.Add(&out, &out.Records.Performance, one, id, func(r row) (integrationsapi.Performance, error) { return r.normal(a.Connection, of) })
	}
	return out, nil
}

func (r row) normal(connection string, of connector.SubAccount) (integrationsapi.Performance, error) {
	id := r.Dimensions.CampaignID
	day, err := time.Parse(clock, r.Dimensions.Day)
	switch {
	case err != nil:
		return integrationsapi.Performance{}, err
	case !day.Equal(day.Truncate(24 * time.Hour)):
		return integrationsapi.Performance{}, errors.New("not a day")
	case !isNumber(id):
		return integrationsapi.Performance{}, errors.New("no campaign")
	}
	normal := integrationsapi.Performance{
		ID: connection + ":" + id + ":" + day.Format(time.DateOnly), ConnectionID: connection, Vendor: Vendor, AccountID: of.ID,
		CampaignID: connection + ":" + id, Day: store.At(day), TimeZone: of.TimeZone, Currency: of.Currency,
	}
	if normal.SpendMinor, err = money.Nearest(r.Metrics["spend"], of.Currency); err != nil {
		return integrationsapi.Performance{}, fmt.Errorf("spend: %w", err)
	}
	for name, to := range map[string]*int64{"impressions": &normal.Impressions, "clicks": &normal.Clicks, "video_play_actions": &normal.Views} {
		if *to, err = strconv.ParseInt(r.Metrics[name], 10, 64); err != nil {
			return integrationsapi.Performance{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	normal.Conversions, normal.ConversionValueMinor, err = r.purchased(of.Currency)
	return normal, err
}

// purchased are its purchases and what they are worth, in the currency's minor unit.
func (r row) purchased(currency string) (count float64, worth int64, err error) {
	for name, value := range purchases {
		n, err := strconv.ParseInt(r.metric(name), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", name, err)
		}
		minor, err := money.Nearest(r.metric(value), currency)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", value, err)
		}
		count += float64(n)
		worth += minor
	}
	return count, worth, nil
}

// metric is the text of a metric that does not apply to every campaign: then it is missing, or a dash.
func (r row) metric(name string) string {
	if text := r.Metrics[name]; text != "" && text != "-" {
		return text
	}
	return "0"
}
