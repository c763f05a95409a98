package klaviyo

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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

// ordered is the metric that shops report orders by.
const ordered = "Placed Order"

// metrics are those that make up a record. What was received was sent, too.
var metrics = []metric{
	{"Received Email", byMessage, events, func(f *figures, n int64) { f.Recipients += n; f.Delivered += n }},
	{"Bounced Email", byMessage, events, func(f *figures, n int64) { f.Recipients += n }},
	{"Opened Email", byMessage, people, func(f *figures, n int64) { f.Opens += n }},
	{"Clicked Email", byMessage, people, func(f *figures, n int64) { f.Clicks += n }},
	{"Unsubscribed from Email Marketing", byMessage, people, func(f *figures, n int64) { f.Unsubscribes += n }},
	{"Received SMS", byMessage, events, func(f *figures, n int64) { f.Recipients += n; f.Delivered += n }},
	{"Failed to Deliver SMS", byMessage, events, func(f *figures, n int64) { f.Recipients += n }},
	{"Clicked SMS", byMessage, people, func(f *figures, n int64) { f.Clicks += n }},
	{"Unsubscribed from SMS Marketing", byMessage, people, func(f *figures, n int64) { f.Unsubscribes += n }},
	{ordered, byAttributed, events, func(f *figures, n int64) { f.Orders += n }},
}

// figures are what came of a message on a day.
type figures struct {
	Recipients   int64 `json:"r,omitempty"`
	Delivered    int64 `json:"d,omitempty"`
	Opens        int64 `json:"o,omitempty"`
	Clicks       int64 `json:"c,omitempty"`
	Unsubscribes int64 `json:"u,omitempty"`
	Orders       int64 `json:"n,omitempty"`
	Revenue      int64 `json:"v,omitempty"`
}

func (f figures) add(g figures) figures {
	return figures{
		f.Recipients + g.Recipients, f.Delivered + g.Delivered, f.Opens + g.Opens, f.Clicks + g.Clicks,
		f.Unsubscribes + g.Unsubscribes, f.Orders + g.Orders, f.Revenue + g.Revenue,
	}
}

// maxCarried is how many days of messages a cursor carries before it is made of fewer days: about 200 KB of it.
const maxCarried = 20_000

// sums is what is known of a message: its figures by the number of the day.
type sums struct {
	Days map[int]figures `json:"days"`
	// Metric is the last one of place.Metrics that was added, one more than its index: a row that comes again, on another page, must not count again.
	Metric int `json:"metric"`
}

// place is the cursor of days. A record has all metrics, and a window of days may need more requests than Klaviyo allows in a minute;
// so each page is one request, and what is not yet whole is carried along.
type place struct {
	// From and To are the days that are being added up, both inclusive, as dates: the whole window, or a part of it.
	From string `json:"from"`
	To   string `json:"to"`
	// Metrics are the account's metrics that count, as far as they have been listed.
	Metrics []known `json:"metrics"`
	Listed  bool    `json:"listed"`
	// Metric is the one that is being added; behind the last, Channel is that whose campaigns are asked for.
	Metric  int `json:"metric"`
	Channel int `json:"channel"`
	// Cursor is that of the list which is being read.
	Cursor string           `json:"cursor,omitempty"`
	Sums   map[string]*sums `json:"sums,omitempty"`
}

// known is one of the account's metrics and which of ours it is. Several are the same where several shops report it.
type known struct {
	Of int    `json:"of"`
	ID string `json:"id"`
}

// text is the cursor as it is kept: compressed, and without anything that JSON around it would have to escape.
func (p place) text() (string, error) {
	var packed bytes.Buffer
	to := base64.NewEncoder(base64.RawURLEncoding, &packed)
	w, err := flate.NewWriter(to, flate.BestSpeed)
	if err != nil {
		return "", fmt.Errorf("compress a cursor: %w", err)
	}
	if err := errors.Join(json.NewEncoder(w).Encode(p), w.Close(), to.Close()); err != nil {
		return "", fmt.Errorf("encode a cursor: %w", err)
	}
	return packed.String(), nil
}

func parsePlace(cursor string) (p place, err error) {
	packed := flate.NewReader(base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(cursor)))
	if err := json.NewDecoder(packed).Decode(&p); err != nil || p.Metric < 0 || p.Metric > len(p.Metrics) || p.Channel < 0 || p.Channel >= len(channels) {
		return p, connector.BadAnswer("a cursor of figures that is none: %.100q", cursor)
	}
	if p.Sums == nil {
		p.Sums = map[string]*sums{}
	}
	return p, nil
}

// span are the days that are being added up.
func (p place) span() (from, to time.Time, err error) {
	from, err = time.Parse(time.DateOnly, p.From)
	to, failed := time.Parse(time.DateOnly, p.To)
	if err = errors.Join(err, failed); err != nil {
		return from, to, connector.BadAnswer("a cursor of figures that is none: %w", err)
	}
	return from, to, nil
}

// begin begins to add up days.
func (p *place) begin(from, to time.Time) {
	p.From, p.To, p.Metric, p.Channel, p.Cursor, p.Sums = from.Format(time.DateOnly), to.Format(time.DateOnly), 0, 0, "", map[string]*sums{}
}

// days is a Daily's Read: one request of those that the figures of a window take. Records come when all metrics are added up, with the
// campaigns that their messages belong to.
func (c *Connector) days(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, size int) (connector.Page, error) {
	zone, err := time.LoadLocation(of.TimeZone)
	if err != nil {
		return connector.Page{}, connector.BadAnswer("the account's time zone: %w", err)
	}
	var at place
	if cursor == "" {
		at.begin(from, to)
	} else if at, err = parsePlace(cursor); err != nil {
		return connector.Page{}, err
	}
	begin, end, err := at.span()
	if err != nil {
		return connector.Page{}, err
	}
	var page connector.Page
	switch {
	case !at.Listed:
		err = c.listMetrics(ctx, a, &at)
	case at.Metric < len(at.Metrics):
		w := window{from: midnight(begin, zone), to: midnight(end.AddDate(0, 0, 1), zone), zone: zone, currency: of.Currency, size: size}
		if err = c.aggregate(ctx, a, w, &at); err == nil && at.carried() > c.carries && begin.Before(end) {
			at.begin(begin, begin.AddDate(0, 0, days(begin, end)/2-1))
		}
	default:
		page.Records.EmailPerformance, err = c.campaignFigures(ctx, a, of, begin, &at)
	}
	if err != nil {
		return connector.Page{}, err
	}
	if at.Listed && at.Metric == len(at.Metrics) && len(at.Sums) == 0 { // all is told
		if !end.Before(to) {
			return page, nil
		}
		next := end.AddDate(0, 0, 1)
		last := next.AddDate(0, 0, days(begin, end)-1)
		if last.After(to) {
			last = to
		}
		at.begin(next, last)
	}
	page.Next, err = at.text()
	return page, err
}

// days is how many there are from one to another, both inclusive.
func days(from, to time.Time) int { return int(to.Sub(from).Hours()/24) + 1 }

// carried is how many days of messages there are.
func (p place) carried() (n int) {
	for _, s := range p.Sums {
		n += len(s.Days)
	}
	return n
}

// campaignFigures reads a page of campaigns and are the records of those whose messages have figures. What figures are by is the id of
// a message; that of a campaign would be taken, too, as Klaviyo's documentation does not say which it is. What is left when all
// campaigns have been read came of messages of flows.
func (c *Connector) campaignFigures(ctx context.Context, a connector.Account, of connector.SubAccount, first time.Time, at *place) ([]integrationsapi.EmailPerformance, error) {
	campaigns, next, err := c.listCampaigns(ctx, a, channels[at.Channel].ID, at.Cursor, maxPage, time.Time{})
	if err != nil {
		return nil, err
	}
	var records []integrationsapi.EmailPerformance
	for _, row := range campaigns {
		one := row.Value
		byDay := map[int]figures{}
		for _, id := range one.messages() {
			if s := at.Sums[id]; s != nil {
				for day, f := range s.Days {
					byDay[day] = byDay[day].add(f)
				}
				delete(at.Sums, id)
			}
		}
		for _, n := range slices.Sorted(maps.Keys(byDay)) {
			f, day := byDay[n], first.AddDate(0, 0, n)
			id := a.Connection + ":" + one.ID
			records = append(records, integrationsapi.EmailPerformance{
				ID: id + ":" + day.Format(time.DateOnly), ConnectionID: a.Connection, Vendor: Vendor, CampaignID: id,
				Day: store.At(day), TimeZone: of.TimeZone, Recipients: f.Recipients, Delivered: f.Delivered, Opens: f.Opens, Clicks: f.Clicks,
				Unsubscribes: f.Unsubscribes, Conversions: float64(f.Orders), RevenueMinor: f.Revenue, Currency: of.Currency,
			})
		}
	}
	if at.Cursor = next; next == "" {
		if at.Channel++; at.Channel == len(channels) {
			at.Channel, at.Sums = 0, nil
		}
	}
	return records, nil
}

// midnight is when a date begins in a zone.
func midnight(date time.Time, zone *time.Location) time.Time {
	return time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, zone)
}

// named is a metric of the account.
type named struct {
	ID         string `json:"id"`
	Attributes struct {
		Name string `json:"name"`
	} `json:"attributes"`
}

// namedMetrics reads a page of the account's metrics.
func (c *Connector) namedMetrics(ctx context.Context, a connector.Account, cursor string) (page []named, next string, err error) {
	query := map[string][]string{"fields[metric]": {"name"}}
	if cursor != "" {
		query["page[cursor]"] = []string{cursor}
	}
	var got struct {
		Data  []named `json:"data"`
		Links links   `json:"links"`
	}
	if err = c.client.get(ctx, a, "/api/metrics", query, &got); err != nil {
		return nil, "", err
	}
	next, err = got.Links.cursor("page[cursor]", cursor)
	return got.Data, next, err
}

// listMetrics reads a page of the metrics that make up records.
func (c *Connector) listMetrics(ctx context.Context, a connector.Account, at *place) error {
	page, next, err := c.namedMetrics(ctx, a, at.Cursor)
	for _, m := range page {
		one := known{slices.IndexFunc(metrics, func(of metric) bool { return of.name == m.Attributes.Name }), m.ID}
		if one.Of >= 0 && !slices.Contains(at.Metrics, one) { // pages may repeat entries
			at.Metrics = append(at.Metrics, one)
		}
	}
	at.Cursor, at.Listed = next, err == nil && next == ""
	return err
}

// window is what is asked for of a metric.
type window struct {
	from, to time.Time // to exclusive
	zone     *time.Location
	currency string
	size     int
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

// aggregate adds a page of a metric to what is there of its messages.
func (c *Connector) aggregate(ctx context.Context, a connector.Account, w window, at *place) (err error) {
	if one := at.Metrics[at.Metric].Of; one < 0 || one >= len(metrics) {
		return connector.BadAnswer("a cursor of figures that is none: metric %d", one)
	}
	m := metrics[at.Metrics[at.Metric].Of]
	q := query{
		MetricID: at.Metrics[at.Metric].ID, Measurements: []string{m.measurement}, Interval: "day", By: []string{m.by}, TimeZone: w.zone.String(), PageSize: w.size, PageCursor: at.Cursor,
		Filter: []string{"greater-or-equal(datetime," + stamp(w.from) + ")", "less-than(datetime," + stamp(w.to) + ")"},
	}
	if m.by == byAttributed {
		q.Measurements = append(q.Measurements, value)
	}
	var got struct {
		Data struct {
			Attributes struct {
				Dates []time.Time `json:"dates"`
				Data  []row       `json:"data"`
			} `json:"attributes"`
		} `json:"data"`
		Links links `json:"links"`
	}
	if err = c.client.post(ctx, a, "/api/metric-aggregates", "metric-aggregate", q, &got); err != nil {
		return err
	}
	of := got.Data.Attributes
	numbers := make([]int, len(of.Dates))
	for i, date := range of.Dates { // where a day begins, in UTC
		local := date.In(w.zone)
		numbers[i] = days(utc(w.from), utc(local)) - 1
		if numbers[i] < 0 || !local.Before(w.to) {
			return connector.BadAnswer("figures of %s, which was not asked for", local.Format(time.DateOnly))
		}
	}
	for _, r := range of.Data {
		if len(r.Dimensions) != 1 || r.Dimensions[0] == "" { // without a message: orders that none brought
			continue
		}
		id := r.Dimensions[0]
		into := at.Sums[id]
		switch {
		case into == nil:
			into = &sums{Days: map[int]figures{}}
			at.Sums[id] = into
		case into.Metric > at.Metric: // it was added
			continue
		}
		into.Metric = at.Metric + 1
		for i, day := range numbers {
			f, err := r.figures(m, i, len(numbers), w.currency)
			if err != nil {
				return connector.BadAnswer("%q by %.60q: %w", m.name, id, err)
			}
			if f != (figures{}) {
				into.Days[day] = into.Days[day].add(f)
			}
		}
	}
	if at.Cursor, err = got.Links.cursor("page_cursor", at.Cursor); err == nil && at.Cursor == "" {
		at.Metric++
	}
	return err
}

// row is what an aggregate says of a message.
type row struct {
	Dimensions   []string                 `json:"dimensions"`
	Measurements map[string][]json.Number `json:"measurements"`
}

// figures are those of the i-th of n days.
func (r row) figures(m metric, i, n int, currency string) (f figures, err error) {
	counts, values := r.Measurements[m.measurement], r.Measurements[value]
	if len(counts) != n || m.by == byAttributed && len(values) != n {
		return f, errLengths
	}
	count, err := strconv.ParseFloat(counts[i].String(), 64)
	if err != nil || count < 0 || count != float64(int64(count)) {
		return f, fmt.Errorf("it counts %.40q", counts[i])
	}
	m.count(&f, int64(count))
	if m.by == byAttributed {
		f.Revenue, err = minor(values[i], currency)
	}
	return f, err
}

// utc is the midnight in UTC of a date.
func utc(t time.Time) time.Time { return midnight(t, time.UTC) }

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
