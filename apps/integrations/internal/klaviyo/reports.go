package klaviyo

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/problem"
)

// Values are what came of a message in a period, by Klaviyo's own count: of all that was sent in it, whenever people reacted.
type Values struct {
	Recipients     int64 `json:"recipients" doc:"How many it was sent to" example:"2400"`
	Delivered      int64 `json:"delivered" doc:"How many of them it reached" example:"2381"`
	Opens          int64 `json:"opens" doc:"People who opened it" example:"960"`
	Clicks         int64 `json:"clicks" doc:"People who clicked in it" example:"84"`
	Unsubscribes   int64 `json:"unsubscribes" doc:"People who unsubscribed by it" example:"5"`
	SpamComplaints int64 `json:"spam_complaints" doc:"How often it was called spam" example:"1"`
	Conversions    int64 `json:"conversions" doc:"Events of the metric that are attributed to it: orders, by default" example:"9"`
	RevenueMinor   int64 `json:"revenue_minor" doc:"What those are worth, in the currency's minor unit" example:"51233"`
}

// statistics are Klaviyo's names of them.
var statistics = []string{"recipients", "delivered", "opens_unique", "clicks_unique", "unsubscribe_uniques", "spam_complaints", "conversions", "conversion_value"}

// Row is what came of a message of a campaign or of a flow.
type Row struct {
	CampaignID  string `json:"campaign_id,omitempty" doc:"The campaign's id in the records; of a campaign's message" example:"0197a3f2-1111-7000-8000-000000000001:01GMRWDSA0ARTAKE1SFX8JGXAY"`
	FlowID      string `json:"flow_id,omitempty" doc:"Klaviyo's id of the flow; of a flow's message" example:"XVTP5Q"`
	FlowName    string `json:"flow_name,omitempty" doc:"The flow's name" example:"Welcome"`
	MessageID   string `json:"message_id" doc:"Klaviyo's id of the message" example:"01GMRWDSYBJTBSQZ6JCS5BBTJD"`
	MessageName string `json:"message_name,omitempty" doc:"The message's name" example:"Welcome, first mail"`
	Channel     string `json:"channel" doc:"How it was sent, in Klaviyo's words" example:"email"`
	Values
}

// ReportKind is one of Klaviyo's reports of values (https://developers.klaviyo.com/en/reference/reporting_api_overview). It may be asked for
// twice a minute and 225 times a day.
type ReportKind struct {
	kind  string
	group []string
}

// The reports there are.
var (
	CampaignReport = ReportKind{"campaign-values-report", []string{"campaign_id", "campaign_message_id", "campaign_message_name", "send_channel"}}
	FlowReport     = ReportKind{"flow-values-report", []string{"flow_id", "flow_name", "flow_message_id", "flow_message_name", "send_channel"}}
)

// conversionMetric is the id of the metric that conversions are counted by, where none is said: the one of orders. It is an *Error, or a
// problem where several shops report orders, or none does.
func (c *Connector) conversionMetric(ctx context.Context, a connector.Account) (string, error) {
	found := map[string]bool{}
	id := ""
	for cursor := ""; ; {
		page, next, err := c.namedMetrics(ctx, a, cursor)
		if err != nil {
			return "", err
		}
		for _, m := range page {
			if m.Attributes.Name == ordered {
				found[m.ID], id = true, m.ID
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if len(found) != 1 {
		return "", problem.Invalid("query.metric_id", fmt.Sprintf("%d metrics are named %s; say which metric counts", len(found), ordered))
	}
	return id, nil
}

// Report asks for a page of what came of the messages that were sent from one day to another, both inclusive: an *Error.
func (c *Connector) Report(ctx context.Context, a connector.Account, of ReportKind, currency, metric string, from, to time.Time, cursor string) (rows []Row, next string, err error) {
	query := map[string]any{
		"statistics": statistics, "conversion_metric_id": metric, "group_by": of.group,
		// The offset is ignored, says Klaviyo: times are the account's.
		"timeframe": map[string]string{"start": from.Format(time.RFC3339), "end": to.AddDate(0, 0, 1).Add(-time.Second).Format(time.RFC3339)},
	}
	path := "/api/" + of.kind + "s"
	if cursor != "" {
		path += "?" + url.Values{"page_cursor": {cursor}}.Encode()
	}
	var got struct {
		Data struct {
			Attributes struct {
				Results []struct {
					Groupings  map[string]string      `json:"groupings"`
					Statistics map[string]json.Number `json:"statistics"`
				} `json:"results"`
			} `json:"attributes"`
		} `json:"data"`
		Links links `json:"links"`
	}
	if err := c.client.post(ctx, a, path, of.kind, query, &got); err != nil {
		return nil, "", connector.OfInput(err)
	}
	for _, r := range got.Data.Attributes.Results {
		g := r.Groupings
		row := Row{FlowID: g["flow_id"], FlowName: g["flow_name"], MessageID: g["campaign_message_id"] + g["flow_message_id"], MessageName: g["campaign_message_name"] + g["flow_message_name"], Channel: g["send_channel"]}
		if id := g["campaign_id"]; id != "" {
			row.CampaignID = a.Connection + ":" + id
		}
		if row.Values, err = valuesOf(r.Statistics, currency); err != nil || row.CampaignID+row.FlowID == "" {
			return nil, "", connector.BadAnswer("a row of a %s about %q: %w", of.kind, g, err)
		}
		rows = append(rows, row)
	}
	next, err = got.Links.cursor("page_cursor", cursor)
	return rows, next, err
}

// valuesOf are statistics, which Klaviyo writes as floating-point numbers.
func valuesOf(s map[string]json.Number, currency string) (v Values, err error) {
	for name, into := range map[string]*int64{
		"recipients": &v.Recipients, "delivered": &v.Delivered, "opens_unique": &v.Opens, "clicks_unique": &v.Clicks, "unsubscribe_uniques": &v.Unsubscribes,
		"spam_complaints": &v.SpamComplaints, "conversions": &v.Conversions,
	} {
		f, err := s[name].Float64()
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return v, fmt.Errorf("%s: %.40q is no count", name, s[name])
		}
		*into = int64(f)
	}
	f, err := s["conversion_value"].Float64()
	if err != nil {
		return v, err
	}
	v.RevenueMinor, err = money.Nearest(strconv.FormatFloat(f, 'f', -1, 64), currency)
	return v, err
}
