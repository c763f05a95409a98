package klaviyo

import (
	"net/http"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// reportPage is the most rows of a page of a report.
const reportPage = 50

// valuesQuery is a CampaignValuesRequest or FlowValuesRequest.
type valuesQuery struct {
	Data struct {
		Type       string `json:"type"`
		Attributes struct {
			Statistics []string `json:"statistics"`
			Timeframe  struct {
				Start string `json:"start"`
				End   string `json:"end"`
			} `json:"timeframe"`
			MetricID string   `json:"conversion_metric_id"`
			GroupBy  []string `json:"group_by"`
		} `json:"attributes"`
	} `json:"data"`
}

// valuesRow is a row of a report.
type valuesRow struct {
	Groupings  map[string]string  `json:"groupings"`
	Statistics map[string]float64 `json:"statistics"`
}

// known are the statistics that reports have here.
var known = []string{"recipients", "delivered", "bounced", "opens_unique", "clicks_unique", "unsubscribe_uniques", "spam_complaints", "conversions", "conversion_value"}

// values answers a report of a kind, whose rows have groupings, of which some have to be asked for.
func (s *server) values(a *vendor.Account, r *http.Request, kind string, groupings, required []string, rows func(from, to time.Time, orders bool) []valuesRow) vendor.Answer {
	no := func(field, detail string) vendor.Answer {
		return refuse(http.StatusBadRequest, "invalid", detail, map[string]string{"pointer": "/data/attributes/" + field})
	}
	var q valuesQuery
	if err := vendor.Decode(r, &q); err != nil || q.Data.Type != kind {
		return refuse(http.StatusBadRequest, "invalid", "Invalid input.", nil)
	}
	of := q.Data.Attributes
	// The offset is ignored: the account's time zone counts.
	local := func(text string) (time.Time, error) {
		at, err := time.Parse(time.RFC3339, text)
		return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, s.zone), err
	}
	from, fromErr := local(of.Timeframe.Start)
	to, toErr := local(of.Timeframe.End)
	at := slices.IndexFunc(all, func(m metric) bool { return m.ID == of.MetricID })
	begin := 0
	if cursor := r.URL.Query().Get("page_cursor"); cursor != "" {
		n, ok := index(cursor)
		if !ok {
			return invalid("page_cursor", "Invalid cursor provided.")
		}
		begin = n
	}
	switch {
	case len(of.Statistics) == 0 || slices.ContainsFunc(of.Statistics, func(name string) bool { return !slices.Contains(known, name) }):
		return no("statistics", "Not a valid statistic.")
	case fromErr != nil || toErr != nil || !from.Before(to) || to.Sub(from) > 366*24*time.Hour:
		return no("timeframe", "A time frame of at most one year is required.")
	case at < 0:
		return no("conversion_metric_id", "A metric with that id does not exist.")
	case slices.ContainsFunc(of.GroupBy, func(name string) bool { return !slices.Contains(groupings, name) }):
		return no("group_by", "Not a valid group by.")
	case slices.ContainsFunc(required, func(name string) bool { return !slices.Contains(of.GroupBy, name) }):
		return no("group_by", "Some group bys are required.")
	}
	list := rows(from, to, all[at].Name == "Placed Order")
	page, more := vendor.PageOf(a, list, begin, reportPage)
	results := []valuesRow{}
	for _, row := range page {
		asked := valuesRow{map[string]string{}, map[string]float64{}}
		for _, name := range of.GroupBy {
			asked.Groupings[name] = row.Groupings[name]
		}
		for _, name := range of.Statistics {
			asked.Statistics[name] = row.Statistics[name]
		}
		results = append(results, asked)
	}
	links := map[string]any{"self": "https://" + host + "/api/" + kind + "s", "next": nil, "prev": nil}
	if more {
		links["next"] = "https://" + host + "/api/" + kind + "s?page_cursor=" + cursorAt(begin+reportPage)
	}
	return vendor.OK(map[string]any{
		"data": map[string]any{"type": kind, "id": "0", "attributes": map[string]any{"results": results}, "links": self("/api/" + kind + "s")}, "links": links,
	})
}

// campaignValues is POST /api/campaign-values-reports: of the mailings that were sent in the time, all that has come of them.
func (s *server) campaignValues(a *vendor.Account, r *http.Request) vendor.Answer {
	groupings := []string{"campaign_id", "campaign_message_id", "campaign_message_name", "send_channel"}
	return s.values(a, r, "campaign-values-report", groupings, groupings[:2], func(from, to time.Time, orders bool) []valuesRow {
		var rows []valuesRow
		for _, c := range s.mailings(a) {
			if c.Status != "Sent" || c.SentAt.Before(from) || c.SentAt.After(to) {
				continue
			}
			statistics := map[string]float64{}
			s.each(a, c, func(_ time.Time, d shop.MailingDay) {
				for name, n := range map[string]int64{
					"recipients": d.Sent, "delivered": d.Sent - d.Bounced, "bounced": d.Bounced, "opens_unique": d.Opens, "clicks_unique": d.Clicks, "unsubscribe_uniques": d.Unsubscribes,
				} {
					statistics[name] += float64(n)
				}
				if orders {
					statistics["conversions"] += float64(d.Orders)
					statistics["conversion_value"] += major(d.Value)
				}
			})
			rows = append(rows, valuesRow{map[string]string{"campaign_id": c.ID, "campaign_message_id": c.MessageID, "campaign_message_name": c.Name, "send_channel": c.Channel}, statistics})
		}
		return rows
	})
}

// flowValues is POST /api/flow-values-reports: the mail of the flow that welcomes whoever came to the shop in the time.
func (s *server) flowValues(a *vendor.Account, r *http.Request) vendor.Answer {
	groupings := []string{"flow_id", "flow_message_id", "flow_message_name", "flow_name", "send_channel"}
	return s.values(a, r, "flow-values-report", groupings, groupings[:2], func(from, to time.Time, orders bool) []valuesRow {
		data, _ := s.Data(a.Name)
		statistics := map[string]float64{}
		for _, c := range data.Customers {
			if c.CreatedAt.Before(from) || c.CreatedAt.After(to) {
				continue
			}
			statistics["recipients"]++
			statistics["delivered"]++
			if c.ID%2 == 0 {
				statistics["opens_unique"]++
			}
			if orders && c.Orders > 1 {
				statistics["conversions"]++
				statistics["conversion_value"] += major(c.Spent) / float64(c.Orders)
			}
		}
		welcome := flows()[0]
		return []valuesRow{{map[string]string{
			"flow_id": welcome.ID, "flow_name": welcome.Name, "flow_message_id": "MsgWlc", "flow_message_name": "Welcome, first mail", "send_channel": "email",
		}, statistics}}
	})
}
