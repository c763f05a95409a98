package linkedinads

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// campaign is a campaign as the API calls it; people see it as an ad set since late 2025.
type campaign struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	Status        string `json:"status"`
	ObjectiveType string `json:"objectiveType"`
	RunSchedule   struct {
		Start int64 `json:"start"` // Unix milliseconds
	} `json:"runSchedule"`
	DailyBudget *struct {
		Amount       json.Number `json:"amount"`
		CurrencyCode string      `json:"currencyCode"`
	} `json:"dailyBudget"`
}

// statuses are a campaign's in shared terms. All are asked for, since figures name campaigns of each.
var statuses = map[string]string{
	"ACTIVE": integrationsapi.CampaignActive, "PAUSED": integrationsapi.CampaignPaused, "DRAFT": integrationsapi.CampaignDraft,
	"COMPLETED": integrationsapi.CampaignEnded, "CANCELED": integrationsapi.CampaignEnded, "ARCHIVED": integrationsapi.CampaignArchived,
	"PENDING_DELETION": integrationsapi.CampaignArchived, "REMOVED": integrationsapi.CampaignArchived,
}

const ofEveryStatus = "&search=(status:(values:List(ACTIVE,PAUSED,DRAFT,COMPLETED,CANCELED,ARCHIVED,PENDING_DELETION,REMOVED)))"

// campaigns reads a page of an account's campaigns.
func (c *Connector) campaigns(ctx context.Context, a connector.Account, of connector.SubAccount, r connector.Request) (connector.Page, error) {
	got, err := find[connector.Row[campaign]](ctx, c, a, "adAccounts/"+of.ID+"/adCampaigns", ofEveryStatus, r.Cursor, r.Size)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Next: got.Metadata.NextPageToken}
	for _, one := range got.Elements {
		id := strconv.FormatInt(one.Value.ID, 10)
		connector.Add(&page, &page.Records.Campaigns, one, id, func(c campaign) (integrationsapi.Campaign, error) { return c.normal(a.Connection, of) })
	}
	return page, nil
}

func (c campaign) normal(connection string, of connector.SubAccount) (integrationsapi.Campaign, error) {
	if c.ID <= 0 || c.RunSchedule.Start <= 0 {
		return integrationsapi.Campaign{}, errors.New("it has no id, or no start")
	}
	normal := integrationsapi.Campaign{
		ID: connection + ":" + strconv.FormatInt(c.ID, 10), ConnectionID: connection, Vendor: Vendor, AccountID: of.ID, Name: c.Name,
		Channel: integrationsapi.ChannelSocial, Objective: c.ObjectiveType, StartedAt: store.At(time.UnixMilli(c.RunSchedule.Start)),
		Status: integrationsapi.CampaignUnknown, Currency: of.Currency,
	}
	if status, known := statuses[c.Status]; known {
		normal.Status = status
	}
	if budget := c.DailyBudget; budget != nil { // missing where there is one for all of the time only
		if budget.CurrencyCode != of.Currency {
			return integrationsapi.Campaign{}, fmt.Errorf("its budget is in %.10q", budget.CurrencyCode)
		}
		var err error
		if normal.DailyBudgetMinor, err = minor(budget.Amount, of.Currency); err != nil {
			return integrationsapi.Campaign{}, err
		}
	}
	return normal, nil
}

// day is a date as the API writes it.
type day struct {
	Year  int `json:"year"`
	Month int `json:"month"`
	Day   int `json:"day"`
}

// figures are what a campaign did on a day.
type figures struct {
	DateRange struct {
		Start day `json:"start"`
	} `json:"dateRange"`
	PivotValues                    []string    `json:"pivotValues"`
	Impressions                    *int64      `json:"impressions"`
	Clicks                         *int64      `json:"clicks"`
	CostInLocalCurrency            json.Number `json:"costInLocalCurrency"`
	ExternalWebsiteConversions     int64       `json:"externalWebsiteConversions"`
	ConversionValueInLocalCurrency json.Number `json:"conversionValueInLocalCurrency"`
	VideoViews                     int64       `json:"videoViews"`
}

// metrics are the fields of figures, which have to be named.
const metrics = "dateRange,pivotValues,impressions,clicks,costInLocalCurrency,externalWebsiteConversions,conversionValueInLocalCurrency,videoViews"

// days reads the figures of days. There are no pages, and answers beyond maxElements are cut off: the days are read in parts, which
// follow from the size that is wanted, and the cursor is the first day of the next.
func (c *Connector) days(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, size int) (connector.Page, error) {
	if cursor != "" {
		at, err := time.Parse(time.DateOnly, cursor)
		if err != nil {
			return connector.Page{}, connector.BadAnswer("a cursor of days that is none: %.40q", cursor)
		}
		from = at
	}
	page := connector.Page{}
	if last := from.AddDate(0, 0, max(1, window*size/maxElements)-1); last.Before(to) {
		to = last
		page.Next = to.AddDate(0, 0, 1).Format(time.DateOnly)
	}
	query := "q=analytics&pivot=CAMPAIGN&timeGranularity=DAILY&dateRange=(start:" + restliDate(from) + ",end:" + restliDate(to) + ")" +
		"&accounts=List(" + escape("urn:li:sponsoredAccount:"+of.ID) + ")&fields=" + metrics
	var got list[connector.Row[figures]]
	if err := c.get(ctx, a, "adAnalytics", query, &got); err != nil {
		return connector.Page{}, err
	}
	if len(got.Elements) >= maxElements {
		return connector.Page{}, &connector.Error{
			Class: connector.TooLarge, Code: connector.CodeRefused, Message: "LinkedIn does not answer with so many figures at once",
			Cause: fmt.Errorf("%d elements from %s to %s", len(got.Elements), from.Format(time.DateOnly), to.Format(time.DateOnly)),
		}
	}
	for _, one := range got.Elements {
		connector.Add(&page, &page.Records.Performance, one, one.Value.id(), func(f figures) (integrationsapi.Performance, error) { return f.normal(a.Connection, of) })
	}
	return page, nil
}

func restliDate(t time.Time) string {
	return fmt.Sprintf("(year:%d,month:%d,day:%d)", t.Year(), int(t.Month()), t.Day())
}

// id is that of the campaign and the day, as far as they are there.
func (f figures) id() string {
	start := f.DateRange.Start
	return fmt.Sprintf("%s:%04d-%02d-%02d", strings.TrimPrefix(strings.Join(f.PivotValues, ","), "urn:li:sponsoredCampaign:"), start.Year, start.Month, start.Day)
}

func (f figures) normal(connection string, of connector.SubAccount) (integrationsapi.Performance, error) {
	start := f.DateRange.Start
	date := time.Date(start.Year, time.Month(start.Month), start.Day, 0, 0, 0, 0, time.UTC)
	if start.Year < 2000 || date.Month() != time.Month(start.Month) || date.Day() != start.Day {
		return integrationsapi.Performance{}, errors.New("their date is none")
	}
	if len(f.PivotValues) != 1 {
		return integrationsapi.Performance{}, errors.New("they are not of one campaign")
	}
	number, ok := strings.CutPrefix(f.PivotValues[0], "urn:li:sponsoredCampaign:")
	if id, err := strconv.ParseInt(number, 10, 64); !ok || err != nil || id <= 0 || strconv.FormatInt(id, 10) != number {
		return integrationsapi.Performance{}, errors.New("they are of no campaign")
	}
	if f.Impressions == nil || f.Clicks == nil || f.CostInLocalCurrency == "" {
		return integrationsapi.Performance{}, errors.New("figures are missing")
	}
	spend, err := minor(f.CostInLocalCurrency, of.Currency)
	if err != nil {
		return integrationsapi.Performance{}, err
	}
	value := int64(0)
	if f.ConversionValueInLocalCurrency != "" { // missing where no conversion has a value
		if value, err = minor(f.ConversionValueInLocalCurrency, of.Currency); err != nil {
			return integrationsapi.Performance{}, err
		}
	}
	campaign := connection + ":" + number
	return integrationsapi.Performance{
		ID: campaign + ":" + date.Format(time.DateOnly), ConnectionID: connection, Vendor: Vendor, AccountID: of.ID, CampaignID: campaign,
		Day: store.At(date), TimeZone: of.TimeZone, SpendMinor: spend, Currency: of.Currency, Impressions: *f.Impressions, Clicks: *f.Clicks,
		Views: f.VideoViews, Conversions: float64(f.ExternalWebsiteConversions), ConversionValueMinor: value,
	}, nil
}

// minor is an amount in minor units. LinkedIn's have as many places as it took to work them out, and zero may come as "0E-10".
func minor(amount json.Number, currency string) (int64, error) {
	text := amount.String()
	if strings.ContainsAny(text, "eE") {
		value, err := amount.Float64()
		if err != nil {
			return 0, fmt.Errorf("amount %.40q: %w", text, err)
		}
		text = strconv.FormatFloat(value, 'f', -1, 64)
	}
	return money.Nearest(text, currency)
}
