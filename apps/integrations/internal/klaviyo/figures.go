package klaviyo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// Figures by day come from the metric aggregates: 3 requests a second and 60 a minute, of which one adds up a year of one metric for
// 500 messages. The reports of campaign values, the other source, have no days, and may be asked for 225 times a day only, so a series
// of a year would take more than a day. The price is that aggregates count by the day of the event: what came of a campaign adds up
// to what Klaviyo's own pages show, but its days need not.

// metric is one of Klaviyo's own, by its name there, and what it counts.
type metric struct {
	name string
	// by is the dimension that names the message, and measurement what is counted: people where one may do it several times.
	by, measurement string
	count           func(f *figures, n int64)
}

const (
	byMessage    = "$message"
	byAttributed = "$attributed_message"
	events       = "count"
	people       = "unique"
	value        = "sum_value"
)

// metrics are those that make up a record. What was received was sent, too.
var metrics = []metric{
	{"Received Email", byMessage, events, func(f *figures, n int64) { f.recipients += n; f.delivered += n }},
	{"Bounced Email", byMessage, events, func(f *figures, n int64) { f.recipients += n }},
	{"Opened Email", byMessage, people, func(f *figures, n int64) { f.opens += n }},
	{"Clicked Email", byMessage, people, func(f *figures, n int64) { f.clicks += n }},
	{"Unsubscribed from Email Marketing", byMessage, people, func(f *figures, n int64) { f.unsubscribes += n }},
	{"Received SMS", byMessage, events, func(f *figures, n int64) { f.recipients += n; f.delivered += n }},
	{"Failed to Deliver SMS", byMessage, events, func(f *figures, n int64) { f.recipients += n }},
	{"Clicked SMS", byMessage, people, func(f *figures, n int64) { f.clicks += n }},
	{"Unsubscribed from SMS Marketing", byMessage, people, func(f *figures, n int64) { f.unsubscribes += n }},
	{"Placed Order", byAttributed, events, func(f *figures, n int64) { f.orders += n }},
}

// figures are what came of a message on a day.
type figures struct {
	recipients, delivered, opens, clicks, unsubscribes, orders, revenue int64
}

func (f *figures) add(g figures) {
	f.recipients, f.delivered, f.opens, f.clicks = f.recipients+g.recipients, f.delivered+g.delivered, f.opens+g.opens, f.clicks+g.clicks
	f.unsubscribes, f.orders, f.revenue = f.unsubscribes+g.unsubscribes, f.orders+g.orders, f.revenue+g.revenue
}

// message is a message on a day.
type message struct{ id, day string }

// days is a Daily's Read: the figures of a window, of all metrics at once, since a record has them all.
func (c *Connector) days(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, _ string, size int) (connector.Page, error) {
	zone, err := time.LoadLocation(of.TimeZone)
	if err != nil {
		return connector.Page{}, connector.BadAnswer("the account's time zone: %w", err)
	}
	ids, err := c.metricIDs(ctx, a)
	if err != nil {
		return connector.Page{}, err
	}
	byMessage := map[message]*figures{}
	requests, left := 0, budget{}
	for _, m := range metrics {
		for _, id := range ids[m.name] {
			w := window{metric: m, id: id, from: midnight(from, zone), to: midnight(to.AddDate(0, 0, 1), zone), zone: zone, currency: of.Currency, size: size, seen: map[string]bool{}}
			for cursor := ""; ; requests++ {
				cursor, left, err = c.aggregate(ctx, a, w, cursor, byMessage)
				if err != nil {
					return connector.Page{}, err
				}
				if cursor == "" {
					requests++
					break
				}
			}
		}
	}
	page := connector.Page{Wait: left.wait(requests)} // so that those of the next window fit into one of the limit's
	if len(byMessage) == 0 {
		return page, nil
	}
	campaigns, err := c.campaignOf(ctx, a)
	if err != nil {
		return connector.Page{}, err
	}
	byCampaign := map[message]*figures{}
	for at, f := range byMessage {
		campaign, known := campaigns[at.id]
		if !known { // a message of a flow
			continue
		}
		into := message{campaign, at.day}
		if byCampaign[into] == nil {
			byCampaign[into] = &figures{}
		}
		byCampaign[into].add(*f)
	}
	inOrder := func(a, b message) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.id, b.id)) }
	for _, at := range slices.SortedFunc(maps.Keys(byCampaign), inOrder) {
		day, err := time.Parse(time.DateOnly, at.day)
		if err != nil {
			return connector.Page{}, connector.BadAnswer("a day: %w", err)
		}
		f := byCampaign[at]
		page.Records.EmailPerformance = append(page.Records.EmailPerformance, integrationsapi.EmailPerformance{
			ID: a.Connection + ":" + at.id + ":" + at.day, ConnectionID: a.Connection, Vendor: Vendor, CampaignID: a.Connection + ":" + at.id,
			Day: store.At(day), TimeZone: of.TimeZone, Recipients: f.recipients, Delivered: f.delivered, Opens: f.opens, Clicks: f.clicks,
			Unsubscribes: f.unsubscribes, Conversions: float64(f.orders), RevenueMinor: f.revenue, Currency: of.Currency,
		})
	}
	return page, nil
}

// midnight is when a date begins in a zone.
func midnight(date time.Time, zone *time.Location) time.Time {
	return time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, zone)
}

// metricIDs are the account's metrics by name, several where several shops report the same.
func (c *Connector) metricIDs(ctx context.Context, a connector.Account) (map[string][]string, error) {
	ids := map[string][]string{}
	for cursor := ""; ; {
		query := map[string][]string{"fields[metric]": {"name"}}
		if cursor != "" {
			query["page[cursor]"] = []string{cursor}
		}
		var got struct {
			Data []struct {
				ID         string `json:"id"`
				Attributes struct {
					Name string `json:"name"`
				} `json:"attributes"`
			} `json:"data"`
			Links links `json:"links"`
		}
		_, err := c.client.paced(ctx, func() (budget, error) { return c.client.get(ctx, a, "/api/metrics", query, &got) })
		if err != nil {
			return nil, err
		}
		for _, m := range got.Data {
			ids[m.Attributes.Name] = append(ids[m.Attributes.Name], m.ID)
		}
		if cursor, err = got.Links.cursor("page[cursor]", cursor); err != nil || cursor == "" {
			return ids, err
		}
	}
}

// campaignOf is the campaign of every message. What figures are by is the id of a message; that of a campaign would be taken, too, as
// Klaviyo's documentation does not say which it is.
func (c *Connector) campaignOf(ctx context.Context, a connector.Account) (map[string]string, error) {
	all := map[string]string{}
	for _, channel := range channels {
		for cursor := ""; ; {
			var got []campaign
			var next string
			_, err := c.client.paced(ctx, func() (left budget, err error) {
				got, next, left, err = c.listCampaigns(ctx, a, channel, cursor, maxPage, time.Time{})
				return left, err
			})
			if err != nil {
				return nil, err
			}
			for _, one := range got {
				all[one.ID] = one.ID
				for _, m := range one.Relationships.Messages.Data {
					all[m.ID] = one.ID
				}
			}
			if cursor = next; cursor == "" {
				break
			}
		}
	}
	return all, nil
}

// window is what is asked for of a metric.
type window struct {
	metric
	id       string
	from, to time.Time // to exclusive
	zone     *time.Location
	currency string
	size     int
	// seen are the messages that were added: a row that comes again, on another page, must not count again.
	seen map[string]bool
}

// query is the attributes of a MetricAggregateQuery.
type query struct {
	MetricID     string   `json:"metric_id"`
	Measurements []string `json:"measurements"`
	Interval     string   `json:"interval"`
	By           []string `json:"by"`
	Filter       []string `json:"filter"`
	TimeZone     string   `json:"timezone"`
	PageSize     int      `json:"page_size"`
	PageCursor   string   `json:"page_cursor,omitempty"`
}

var errLengths = errors.New("there are not as many figures as days")

// aggregate adds a page of a window to what is there of its messages.
func (c *Connector) aggregate(ctx context.Context, a connector.Account, w window, cursor string, into map[message]*figures) (next string, left budget, err error) {
	q := query{
		MetricID: w.id, Measurements: []string{w.measurement}, Interval: "day", By: []string{w.by}, TimeZone: w.zone.String(), PageSize: w.size, PageCursor: cursor,
		Filter: []string{"greater-or-equal(datetime," + stamp(w.from) + ")", "less-than(datetime," + stamp(w.to) + ")"},
	}
	if w.by == byAttributed {
		q.Measurements = append(q.Measurements, value)
	}
	var got struct {
		Data struct {
			Attributes struct {
				Dates []time.Time `json:"dates"`
				Data  []struct {
					Dimensions   []string                 `json:"dimensions"`
					Measurements map[string][]json.Number `json:"measurements"`
				} `json:"data"`
			} `json:"attributes"`
		} `json:"data"`
		Links links `json:"links"`
	}
	left, err = c.client.paced(ctx, func() (budget, error) {
		return c.client.post(ctx, a, "/api/metric-aggregates", "metric-aggregate", q, &got)
	})
	if err != nil {
		return "", left, err
	}
	of := got.Data.Attributes
	days := make([]string, len(of.Dates))
	for i, date := range of.Dates { // where a day begins, in UTC
		days[i] = date.In(w.zone).Format(time.DateOnly)
	}
	for _, row := range of.Data {
		if len(row.Dimensions) != 1 || row.Dimensions[0] == "" || w.seen[row.Dimensions[0]] { // without a message: orders that none brought
			continue
		}
		w.seen[row.Dimensions[0]] = true
		for _, name := range q.Measurements {
			if len(row.Measurements[name]) != len(days) {
				return "", left, connector.BadAnswer("%s of %q by %.60q: %w", name, w.name, row.Dimensions[0], errLengths)
			}
		}
		for i, day := range days {
			var of figures
			n, err := strconv.ParseFloat(row.Measurements[w.measurement][i].String(), 64)
			if err != nil || n < 0 || n != float64(int64(n)) {
				return "", left, connector.BadAnswer("%q counts %.40q", w.name, row.Measurements[w.measurement][i])
			}
			w.count(&of, int64(n))
			if w.by == byAttributed {
				if of.revenue, err = minor(row.Measurements[value][i], w.currency); err != nil {
					return "", left, connector.BadAnswer("the value of %q: %w", w.name, err)
				}
			}
			if of == (figures{}) {
				continue
			}
			at := message{row.Dimensions[0], day}
			if into[at] == nil {
				into[at] = &figures{}
			}
			into[at].add(of)
		}
	}
	next, err = got.Links.cursor("page_cursor", cursor)
	return next, left, err
}

// minor is a sum that Klaviyo made in binary floating point, such as 91.10000000000001, in minor units. To ten places it is what was
// added up.
func minor(sum json.Number, currency string) (int64, error) {
	value, err := sum.Float64()
	if err != nil {
		return 0, err
	}
	return money.Nearest(strconv.FormatFloat(value, 'f', 10, 64), currency)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05+00:00") }
