package klaviyo

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// counted is what a metric has of a day of a mailing: how many events, of how many people, and what they are worth.
type counted struct {
	events, people int64
	value          shop.Amount
}

func once(n int64) counted { return counted{n, n, 0} }

// metric is one of an account's.
type metric struct {
	ID, Name, Integration string
	// channel is that of the mailings which it is about; empty for all.
	channel string
	// attributed tells that its events are other people's, which Klaviyo attributes to a message.
	attributed bool
	of         func(d shop.MailingDay) counted
}

var all = []metric{
	{"Rcv3Em", "Received Email", "Klaviyo", "email", false, func(d shop.MailingDay) counted { return once(d.Sent - d.Bounced) }},
	{"Bnc4Em", "Bounced Email", "Klaviyo", "email", false, func(d shop.MailingDay) counted { return once(d.Bounced) }},
	{"Opn5Em", "Opened Email", "Klaviyo", "email", false, func(d shop.MailingDay) counted { return counted{d.Opens + d.Opens/3, d.Opens, 0} }},
	{"Clk6Em", "Clicked Email", "Klaviyo", "email", false, func(d shop.MailingDay) counted { return counted{d.Clicks + d.Clicks/4, d.Clicks, 0} }},
	{"Uns7Em", "Unsubscribed from Email Marketing", "Klaviyo", "email", false, func(d shop.MailingDay) counted { return once(d.Unsubscribes) }},
	{"Rcv3Sm", "Received SMS", "Klaviyo", "sms", false, func(d shop.MailingDay) counted { return once(d.Sent - d.Bounced) }},
	{"Fld4Sm", "Failed to Deliver SMS", "Klaviyo", "sms", false, func(d shop.MailingDay) counted { return once(d.Bounced) }},
	{"Clk6Sm", "Clicked SMS", "Klaviyo", "sms", false, func(d shop.MailingDay) counted { return counted{d.Clicks + d.Clicks/4, d.Clicks, 0} }},
	{"Uns7Sm", "Unsubscribed from SMS Marketing", "Klaviyo", "sms", false, func(d shop.MailingDay) counted { return once(d.Unsubscribes) }},
	{"Ord8Sh", "Placed Order", "Shopify", "", true, func(d shop.MailingDay) counted { return counted{d.Orders, d.Orders, d.Value} }},
	{"Vwd9Pr", "Viewed Product", "API", "", true, func(shop.MailingDay) counted { return counted{} }},
}

func (s *server) metrics(a *vendor.Account, r *http.Request) vendor.Answer {
	if r.URL.Query().Get("filter") != "" {
		return invalid("filter", "The simulated account does not filter metrics.")
	}
	from, size, problem := paging(r, 200, 200)
	if problem != nil {
		return *problem
	}
	entries := []any{}
	page, _ := vendor.PageOf(a, all, from, size)
	for _, m := range page {
		attributes := map[string]any{"name": m.Name, "created": "2022-11-08T00:00:00+00:00", "updated": "2022-11-08T00:00:00+00:00", "integration": map[string]string{"object": "integration", "name": m.Integration}}
		if problem := sparse(attributes, r, "metric"); problem != nil {
			return *problem
		}
		entries = append(entries, map[string]any{"type": "metric", "id": m.ID, "attributes": attributes, "links": self("/api/metrics/" + m.ID)})
	}
	return vendor.OK(map[string]any{"data": entries, "links": links(r, from, size, len(all))})
}

// query is a MetricAggregateQuery.
type query struct {
	Data struct {
		Type       string `json:"type"`
		Attributes struct {
			MetricID     string   `json:"metric_id"`
			PageCursor   string   `json:"page_cursor"`
			Measurements []string `json:"measurements"`
			Interval     string   `json:"interval"`
			PageSize     int      `json:"page_size"`
			By           []string `json:"by"`
			ReturnFields []string `json:"return_fields"`
			Filter       []string `json:"filter"`
			TimeZone     string   `json:"timezone"`
			Sort         string   `json:"sort"`
		} `json:"attributes"`
	} `json:"data"`
}

var timeFilter = regexp.MustCompile(`^(greater-or-equal|less-than)\(datetime,([^)]+)\)$`)

// times are the bounds of a query, which may be a year apart at most.
func times(filters []string) (from, to time.Time, problem *vendor.Answer) {
	no := func(detail string) (time.Time, time.Time, *vendor.Answer) {
		p := refuse(http.StatusBadRequest, "invalid", detail, map[string]string{"pointer": "/data/attributes/filter"})
		return time.Time{}, time.Time{}, &p
	}
	for _, text := range filters {
		found := timeFilter.FindStringSubmatch(text)
		if found == nil {
			return no("Invalid filter provided.")
		}
		at, err := time.Parse(time.RFC3339, found[2])
		if err != nil {
			return no("Invalid datetime provided.")
		}
		if found[1] == "less-than" {
			to = at
		} else {
			from = at
		}
	}
	if from.IsZero() || !from.Before(to) || to.Sub(from) > 366*24*time.Hour {
		return no("A time range of at most one year is required.")
	}
	return from, to, nil
}

// row is what an aggregate says of a message, by measurement and day.
type row struct {
	Dimensions   []string             `json:"dimensions"`
	Measurements map[string][]float64 `json:"measurements"`
}

func (s *server) aggregate(a *vendor.Account, r *http.Request) vendor.Answer {
	pointer := func(field, detail string) vendor.Answer {
		return refuse(http.StatusBadRequest, "invalid", detail, map[string]string{"pointer": "/data/attributes/" + field})
	}
	var q query
	q.Data.Attributes.Interval, q.Data.Attributes.PageSize, q.Data.Attributes.TimeZone = "day", 500, "UTC"
	if err := vendor.Decode(r, &q); err != nil || q.Data.Type != "metric-aggregate" {
		return refuse(http.StatusBadRequest, "invalid", "Invalid input.", nil)
	}
	of := q.Data.Attributes
	at := slices.IndexFunc(all, func(m metric) bool { return m.ID == of.MetricID })
	zone, err := time.LoadLocation(of.TimeZone)
	from, to, problem := times(of.Filter)
	begin := 0
	if of.PageCursor != "" {
		n, ok := index(of.PageCursor)
		if !ok {
			return pointer("page_cursor", "Invalid cursor provided.")
		}
		begin = n
	}
	switch {
	case at < 0:
		return refuse(http.StatusNotFound, "not_found", "A metric with that id does not exist.", map[string]string{"pointer": "/data/attributes/metric_id"})
	case len(of.Measurements) == 0 || slices.ContainsFunc(of.Measurements, func(m string) bool { return !slices.Contains([]string{"count", "sum_value", "unique"}, m) }):
		return pointer("measurements", "Not a valid measurement.")
	case of.Interval != "day":
		return pointer("interval", "The simulated account adds up by day only.")
	case len(of.By) != 1 || of.By[0] != "$message" && of.By[0] != "$attributed_message":
		return pointer("by", "The simulated account adds up by message only.")
	case err != nil || of.TimeZone == "Local":
		return pointer("timezone", "Not a valid time zone.")
	case of.PageSize < 1 || of.PageSize > 500:
		return pointer("page_size", "Page size must be between 1 and 500.")
	case of.Sort != "" || of.ReturnFields != nil:
		return pointer("sort", "The simulated account has an order of its own.")
	case problem != nil:
		return *problem
	}
	var days []time.Time
	for day := from.In(zone); day.Before(to); day = time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, zone) {
		days = append(days, day)
	}
	rows := s.rows(a, all[at], of.By[0] == "$attributed_message", of.Measurements, days, to)
	dates := []string{}
	for _, day := range days {
		dates = append(dates, day.UTC().Format(iso))
	}
	links := map[string]any{"self": "https://" + host + "/api/metric-aggregates", "next": nil, "prev": nil}
	page, more := vendor.PageOf(a, rows, begin, of.PageSize)
	if more {
		links["next"] = "https://" + host + "/api/metric-aggregates?page_cursor=" + cursorAt(begin+of.PageSize)
	}
	return vendor.OK(map[string]any{
		"data": map[string]any{
			"type": "metric-aggregate", "id": "0", "links": self("/api/metric-aggregates"),
			"attributes": map[string]any{"dates": dates, "data": page},
		},
		"links": links,
	})
}

// rows are the messages that have events of a metric on some of the days; what has none of the dimension is of the empty one.
func (s *server) rows(a *vendor.Account, m metric, attributed bool, measurements []string, days []time.Time, to time.Time) []row {
	var rows []row
	none, claimed := make([]counted, len(days)), make([]counted, len(days))
	add := func(dimension string, figures []counted) {
		r := row{Dimensions: []string{dimension}, Measurements: map[string][]float64{}}
		for _, name := range measurements {
			for _, f := range figures {
				r.Measurements[name] = append(r.Measurements[name], map[string]float64{"count": float64(f.events), "unique": float64(f.people), "sum_value": major(f.value)}[name])
			}
		}
		rows = append(rows, r)
	}
	some := func(figures []counted) bool {
		return slices.ContainsFunc(figures, func(f counted) bool { return f != counted{} })
	}
	into := func(list []counted, at time.Time, f counted) {
		day := len(days) - 1
		for day >= 0 && days[day].After(at) {
			day--
		}
		if day >= 0 && at.Before(to) {
			list[day] = counted{list[day].events + f.events, list[day].people + f.people, list[day].value + f.value}
		}
	}
	for _, c := range s.mailings(a) {
		if m.channel != "" && c.Channel != m.channel {
			continue
		}
		figures := make([]counted, len(days))
		s.each(a, c, func(at time.Time, d shop.MailingDay) { into(figures, at, m.of(d)) })
		switch {
		case m.attributed == attributed && some(figures):
			add(c.MessageID, figures)
			claimed = sum(claimed, figures, 1)
		case m.attributed != attributed:
			none = sum(none, figures, 1)
		}
	}
	if m.Name == "Placed Order" && attributed { // most of the shop's orders came without a mailing
		data, _ := s.Data(a.Name)
		for _, o := range data.Orders {
			into(none, o.CreatedAt, counted{1, 1, o.Total})
		}
		none = sum(none, claimed, -1)
	}
	if some(none) {
		add("", none)
	}
	return rows
}

// sum is a and b, or without b, by day, and never less than nothing.
func sum(a, b []counted, sign int64) []counted {
	all := make([]counted, len(a))
	for i := range a {
		all[i] = counted{max(0, a[i].events+sign*b[i].events), max(0, a[i].people+sign*b[i].people), max(0, a[i].value+shop.Amount(sign)*b[i].value)}
	}
	return all
}

// each visits the days on which people reacted to a campaign until now, each at a time of the day.
func (s *server) each(a *vendor.Account, c campaign, visit func(at time.Time, d shop.MailingDay)) {
	p := s.Parameters(a.Name)
	for n := range shop.MailingDays {
		if at := c.SentAt.AddDate(0, 0, n); !at.After(s.Now()) {
			visit(at, p.MailingDay(c.Mailing, n))
		}
	}
}

// major is an amount in major units, in binary floating point as Klaviyo adds it up.
func major(a shop.Amount) float64 { return float64(a) / 10_000 }

// truth is what a sync of an account has to arrive at.
func (s *server) truth(a *vendor.Account) vendor.Truth {
	contacts, campaigns, figures := map[string]map[string]any{}, map[string]map[string]any{}, map[string]map[string]any{}
	for _, p := range s.people(a) {
		contacts[p.ID] = map[string]any{
			"vendor": "klaviyo", "email": strings.ToLower(p.Email), "subscribed": !p.Suppressed, "created_at": vendor.Stamp(p.Created), "updated_at": vendor.Stamp(p.Updated),
		}
		for name, text := range map[string]string{"first_name": p.FirstName, "last_name": p.LastName, "phone": p.Phone} {
			if text != "" {
				contacts[p.ID][name] = text
			}
		}
	}
	currency := s.currency(a)
	for _, c := range s.mailings(a) {
		status := map[string]string{"Sent": "ended", "Scheduled": "scheduled"}[c.Status]
		campaigns[c.ID] = map[string]any{"vendor": "klaviyo", "account_id": accountID(a.Name), "name": c.Name, "channel": c.Channel, "status": status, "started_at": vendor.Stamp(c.SentAt)}
		s.each(a, c, func(at time.Time, d shop.MailingDay) {
			if d == (shop.MailingDay{}) {
				return
			}
			day := at.In(s.zone).Format(time.DateOnly)
			figures[c.ID+":"+day] = map[string]any{
				"vendor": "klaviyo", "day": day + "T00:00:00.000000Z", "time_zone": timeZone, "recipients": d.Sent, "delivered": d.Sent - d.Bounced, "opens": d.Opens,
				"clicks": d.Clicks, "unsubscribes": d.Unsubscribes, "conversions": d.Orders, "revenue_minor": vendor.Minor(d.Value, currency), "currency": currency,
			}
		})
	}
	return vendor.Truth{"contacts": contacts, "campaigns": campaigns, "email_performance": figures}
}
