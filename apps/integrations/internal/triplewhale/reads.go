package triplewhale

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/vendor"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// Routes binds what only Triple Whale has.
func (c *Connector) Routes(r *group.Routes, connections *connection.Service) {
	read := reads{c, connections}
	options := []group.Option{
		group.Needs("integrations.triplewhale:read"), group.About(integrationsapi.KindConnection, "query.connection_id"), group.Problems(404, 409, 422, 502, 503),
	}
	const asked = " Triple Whale is asked; nothing is kept. Days are of the shop's time zone, at most 366 of them. Without connection_id that of the only connection there is, and without account the only shop that it opens; with several, 422."
	group.Get(r, "/attribution", read.attribution, append(options,
		group.Doc("List orders and the clicks that they are attributed to", "As Triple Whale has them, page by page."+asked))...)
	group.Get(r, "/revenue", read.revenue, append(options,
		group.Doc("Read revenue and ad spend by day", "Of all orders, whatever brought them, and of all advertising."+asked))...)
	group.Get(r, "/creatives", read.creatives, append(options,
		group.Doc("List what ads cost and brought", "Those that cost most come first."+asked))...)
	group.Get(r, "/roas", read.roas, append(options,
		group.Doc("Read the return on ad spend by channel", "Channels without spend have none. There is no sum of the channels: by most models each of them has an order for itself, so that sums exceed what was sold. The return on all spend is in revenue."+asked))...)
}

// reads asks for connections.
type reads struct {
	*Connector
	connections *connection.Service
}

// ModelInput is by which rule orders are attributed to clicks.
type ModelInput struct {
	Model  string `query:"model" enum:"Triple Attribution,Triple Attribution + Views,Clicks & Views,Total Impact,Linear All,Linear Paid,First Click,Last Click" default:"Triple Attribution" doc:"Triple Whale's attribution model" example:"Last Click"`
	Window string `query:"window" enum:"1_day,7_days,14_days,28_days,lifetime" default:"lifetime" doc:"How long after a click an order is attributed to it" example:"7_days"`
}

// By is by which rule orders were attributed.
type By struct {
	Model  string `json:"model" doc:"Triple Whale's attribution model" example:"Triple Attribution"`
	Window string `json:"window" doc:"How long after a click an order was attributed to it" example:"lifetime"`
}

// ask has the shop that a request means asked for the days that it means.
func (r reads) ask(ctx context.Context, in vendor.PeriodInput, ask func(a connector.Account, of connector.SubAccount, from, to time.Time) error) (vendor.Of, error) {
	return in.Ask(ctx, r.connections, Vendor, r.shop, ask)
}

// shop is the one that a request means: an *Error, or a problem.
func (c *Connector) shop(ctx context.Context, a connector.Account, name string) (connector.SubAccount, error) {
	names, err := c.names(ctx, a)
	if err != nil {
		return connector.SubAccount{}, err
	}
	if name, err = vendor.Pick(a, names, name); err != nil {
		return connector.SubAccount{}, err
	}
	of, err := c.describe(ctx, a, name)
	if err == nil && of.Currency == "" {
		err = &connector.Error{
			Class: connector.Permanent, Code: connector.CodeAccountUnavailable, Message: "Triple Whale has no orders of this shop yet, which tell its currency and its time zone",
		}
	}
	return of, err
}

// RevenueView is a shop's revenue and what its advertising cost, by day.
type RevenueView struct {
	vendor.Of
	RevenueTotals
	Items []RevenueDay `json:"items" nullable:"false" doc:"The days on which something was sold or spent, in their order"`
}

// RevenueDay is a day of it.
type RevenueDay struct {
	Day string `json:"day" format:"date" doc:"The day" example:"1997-02-01"`
	RevenueTotals
}

// RevenueTotals are what was sold and spent.
type RevenueTotals struct {
	Orders        int64    `json:"orders" doc:"Orders placed" example:"31"`
	RevenueMinor  int64    `json:"revenue_minor" doc:"Their revenue by Triple Whale's count, before refunds, in the currency's minor unit" example:"204410"`
	RefundedMinor int64    `json:"refunded_minor" doc:"Paid back of these orders, whenever that was, in the currency's minor unit" example:"2999"`
	SpendMinor    int64    `json:"spend_minor" doc:"Spent on advertising, in the currency's minor unit" example:"51300"`
	ROAS          *float64 `json:"roas,omitempty" doc:"Revenue of all orders divided by spend, to 4 places; missing where nothing was spent" example:"3.9846"`
}

func (r reads) revenue(ctx context.Context, in *vendor.PeriodInput) (*RevenueView, error) {
	var view RevenueView
	of, err := r.ask(ctx, *in, func(a connector.Account, of connector.SubAccount, from, to time.Time) (err error) {
		view, err = r.Revenue(ctx, a, of, from, to)
		return err
	})
	view.Of = of
	return &view, err
}

// Revenue asks for a shop's revenue and spend from one day to another, both inclusive: an *Error. Revenue is the orders' own, and spend
// the platforms', each in its table (https://triplewhale.readme.io/docs/orders-table, …/ads-table).
func (c *Connector) Revenue(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time) (RevenueView, error) {
	first, last := from.Format(time.DateOnly), to.Format(time.DateOnly)
	var sold []struct {
		Day      string `json:"event_date"`
		Orders   figure `json:"orders"`
		Revenue  figure `json:"revenue"`
		Refunded figure `json:"refunded"`
	}
	err := c.sql(ctx, a, of, "SELECT event_date, COUNT(DISTINCT order_id) AS orders, round(SUM(order_revenue), 4) AS revenue, round(SUM(refund_money), 4) AS refunded "+
		"FROM orders_table WHERE event_date BETWEEN @startDate AND @endDate GROUP BY event_date ORDER BY event_date", first, last, &sold)
	if err != nil {
		return RevenueView{}, err
	}
	var spent []struct {
		Day   string `json:"event_date"`
		Spend figure `json:"spend"`
	}
	err = c.sql(ctx, a, of, "SELECT event_date, round(SUM(spend), 4) AS spend FROM ads_table WHERE event_date BETWEEN @startDate AND @endDate "+
		"GROUP BY event_date ORDER BY event_date", first, last, &spent)
	if err != nil {
		return RevenueView{}, err
	}
	days := map[string]*RevenueTotals{}
	on := func(text string) (*RevenueTotals, error) {
		date, err := day(text)
		if err != nil {
			return nil, err
		}
		name := date.Format(time.DateOnly)
		if days[name] == nil {
			days[name] = &RevenueTotals{}
		}
		return days[name], nil
	}
	for _, s := range sold {
		totals, err := on(s.Day)
		if err == nil {
			err = readAll(
				reading{"orders", &totals.Orders, s.Orders.count}, reading{"revenue", &totals.RevenueMinor, func() (int64, error) { return s.Revenue.minor(of.Currency) }},
				reading{"refunds", &totals.RefundedMinor, func() (int64, error) { return s.Refunded.minor(of.Currency) }})
		}
		if err != nil {
			return RevenueView{}, connector.BadAnswer("orders of %.20q: %w", s.Day, err)
		}
	}
	for _, s := range spent {
		totals, err := on(s.Day)
		if err == nil {
			err = readAll(reading{"spend", &totals.SpendMinor, func() (int64, error) { return s.Spend.minor(of.Currency) }})
		}
		if err != nil {
			return RevenueView{}, connector.BadAnswer("spend of %.20q: %w", s.Day, err)
		}
	}
	view := RevenueView{Items: []RevenueDay{}}
	for _, name := range slices.Sorted(maps.Keys(days)) {
		d := *days[name]
		view.Orders, view.RevenueMinor = view.Orders+d.Orders, view.RevenueMinor+d.RevenueMinor
		view.RefundedMinor, view.SpendMinor = view.RefundedMinor+d.RefundedMinor, view.SpendMinor+d.SpendMinor
		d.ROAS = connector.Ratio(d.RevenueMinor, d.SpendMinor)
		view.Items = append(view.Items, RevenueDay{name, d})
	}
	view.ROAS = connector.Ratio(view.RevenueMinor, view.SpendMinor)
	return view, nil
}

// reading is a number: its name, where it goes and how it is read.
type reading struct {
	name string
	into *int64
	read func() (int64, error)
}

func readAll(all ...reading) (err error) {
	for _, r := range all {
		if *r.into, err = r.read(); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// ROASInput selects a return on ad spend.
type ROASInput struct {
	vendor.PeriodInput
	ModelInput
}

// ROASView is the return on ad spend of every channel.
type ROASView struct {
	vendor.Of
	By
	Items []ChannelFigures `json:"items" nullable:"false" doc:"One for each channel, those that cost most first; mailings and what was not paid for are among them"`
}

// ChannelFigures are those of a channel.
type ChannelFigures struct {
	Channel string `json:"channel" doc:"Triple Whale's id of the channel" example:"facebook-ads"`
	connector.Figures
}

func (r reads) roas(ctx context.Context, in *ROASInput) (*ROASView, error) {
	view := ROASView{By: By{in.Model, in.Window}}
	of, err := r.ask(ctx, in.PeriodInput, func(a connector.Account, of connector.SubAccount, from, to time.Time) (err error) {
		view.Items, err = r.ROAS(ctx, a, of, from, to, view.By)
		return err
	})
	view.Of = of
	return &view, err
}

// ROAS asks for what every channel cost and brought from one day to another, both inclusive: an *Error.
func (c *Connector) ROAS(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, by By) ([]ChannelFigures, error) {
	var rows []struct {
		Channel string `json:"channel"`
		measures
	}
	err := c.sql(ctx, a, of, "SELECT channel, "+figures+" "+attributed(by.Model, by.Window)+" GROUP BY channel ORDER BY spend DESC, channel",
		from.Format(time.DateOnly), to.Format(time.DateOnly), &rows)
	if err != nil {
		return nil, err
	}
	all := []ChannelFigures{}
	for _, one := range rows {
		f, err := one.in(of.Currency)
		if err != nil {
			return nil, connector.BadAnswer("channel %.60q: %w", one.Channel, err)
		}
		all = append(all, ChannelFigures{one.Channel, f})
	}
	return all, nil
}

// CreativesInput selects ads.
type CreativesInput struct {
	vendor.PeriodInput
	ModelInput
	vendor.PageInput
}

// CreativesView is a page of ads.
type CreativesView struct {
	vendor.Of
	By
	Items      []connector.Creative `json:"items" nullable:"false" doc:"The ads, those that cost most first"`
	NextCursor string               `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"50"`
}

func (r reads) creatives(ctx context.Context, in *CreativesInput) (*CreativesView, error) {
	view := CreativesView{By: By{in.Model, in.Window}}
	offset, err := after(in.Cursor)
	if err != nil {
		return nil, err
	}
	of, err := r.ask(ctx, in.PeriodInput, func(a connector.Account, of connector.SubAccount, from, to time.Time) (err error) {
		view.Items, err = r.Creatives(ctx, a, of, from, to, view.By, offset, in.Limit)
		return err
	})
	view.Of, view.NextCursor = of, following(offset, in.Limit, len(view.Items))
	return &view, err
}

// after is the number that a cursor is, 0 without one.
func after(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, problem.Invalid("query.cursor", "is no next_cursor")
	}
	return n, nil
}

// Creatives asks for what ads cost and brought from one day to another, both inclusive, those that cost most first, so many after offset:
// an *Error.
func (c *Connector) Creatives(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, by By, offset, limit int) ([]connector.Creative, error) {
	var rows []struct {
		Channel      string `json:"channel"`
		CampaignID   label  `json:"campaign_id"`
		CampaignName label  `json:"campaign"`
		AdSetID      label  `json:"adset_id"`
		AdID         label  `json:"ad_id"`
		AdName       label  `json:"ad"`
		measures
	}
	err := c.sql(ctx, a, of, "SELECT channel, campaign_id, adset_id, ad_id, argMax(campaign_name, event_date) AS campaign, argMax(ad_name, event_date) AS ad, "+figures+" "+
		attributed(by.Model, by.Window)+" AND ad_id != '' GROUP BY channel, campaign_id, adset_id, ad_id ORDER BY spend DESC, channel, campaign_id, adset_id, ad_id"+
		fmt.Sprintf(" LIMIT %d OFFSET %d", limit, offset), from.Format(time.DateOnly), to.Format(time.DateOnly), &rows)
	if err != nil {
		return nil, err
	}
	all := []connector.Creative{}
	for _, one := range rows {
		f, err := one.in(of.Currency)
		if err != nil {
			return nil, connector.BadAnswer("ad %.60q of %.40q: %w", one.AdID, one.Channel, err)
		}
		all = append(all, connector.Creative{
			Channel: one.Channel, CampaignID: string(one.CampaignID), CampaignName: string(one.CampaignName), AdSetID: string(one.AdSetID), AdID: string(one.AdID),
			AdName: string(one.AdName), Figures: f,
		})
	}
	return all, nil
}

// AttributionInput selects orders.
type AttributionInput struct {
	vendor.PeriodInput
	vendor.PageInput
	Journey bool `query:"journey" doc:"With what the buyers looked at before, which may be a lot"`
}

// AttributionView is a page of orders.
type AttributionView struct {
	vendor.Of
	Total      int64             `json:"total" doc:"Orders of all pages" example:"1240"`
	Items      []AttributedOrder `json:"items" nullable:"false" doc:"Orders, as Triple Whale lists them"`
	NextCursor string            `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"2"`
}

// AttributedOrder is an order and the clicks that it is attributed to.
type AttributedOrder struct {
	OrderID    string     `json:"order_id" doc:"The shop's id of the order" example:"5001"`
	Number     string     `json:"number" doc:"The order's number as its buyer knows it" example:"#1001"`
	CustomerID string     `json:"customer_id,omitempty" doc:"The shop's id of the buyer; missing for a guest" example:"4"`
	PlacedAt   store.Time `json:"placed_at" format:"date-time" doc:"When the buyer placed the order, UTC" example:"1997-02-01T12:00:00.000000Z"`
	TotalMinor int64      `json:"total_minor" doc:"The order's total, in its currency's minor unit" example:"2933"`
	Currency   string     `json:"currency" doc:"ISO 4217 code of the order's total" example:"USD"`
	Clicks     []Click    `json:"clicks" nullable:"false" doc:"The clicks that it is attributed to, by model and in the order that Triple Whale has them; none where nothing is known"`
	Journey    []Event    `json:"journey,omitempty" doc:"What the buyer looked at before, where asked for"`
}

// Click is a click that an order is attributed to.
type Click struct {
	Model      string      `json:"model" doc:"Triple Whale's name of the model that says so" example:"lastPlatformClick"`
	Channel    string      `json:"channel" doc:"Triple Whale's id of the channel" example:"facebook-ads"`
	CampaignID string      `json:"campaign_id,omitempty" doc:"The platform's id of the campaign; of what was not paid for, where the buyer came from" example:"120210001"`
	AdSetID    string      `json:"adset_id,omitempty" doc:"The platform's id of the ad set or ad group" example:"120210011"`
	AdID       string      `json:"ad_id,omitempty" doc:"The platform's id of the ad" example:"120210111"`
	ClickedAt  *store.Time `json:"clicked_at,omitempty" format:"date-time" doc:"When, UTC; missing where Triple Whale does not say" example:"1997-01-30T09:12:00.000000Z"`
}

// Event is something that a buyer did in the shop.
type Event struct {
	At        store.Time `json:"at" format:"date-time" doc:"When, UTC" example:"1997-01-30T09:12:05.000000Z"`
	Event     string     `json:"event" doc:"What, in Triple Whale's words" example:"page loaded"`
	Path      string     `json:"path,omitempty" doc:"Where" example:"/products/linen-lamp"`
	ProductID string     `json:"product_id,omitempty" doc:"The shop's id of the product" example:"7001"`
}

// maxJourneyPage is the last page that there can be.
const maxJourneyPage = 10_000

func (r reads) attribution(ctx context.Context, in *AttributionInput) (*AttributionView, error) {
	var view AttributionView
	number, err := after(in.Cursor)
	if err == nil && number > maxJourneyPage {
		err = problem.Invalid("query.cursor", "is no next_cursor")
	}
	if err != nil {
		return nil, err
	}
	number = max(number, 1)
	of, err := r.ask(ctx, in.PeriodInput, func(a connector.Account, of connector.SubAccount, from, to time.Time) (err error) {
		view, err = r.Attribution(ctx, a, of, from, to, number, in.Limit, in.Journey)
		return err
	})
	view.Of = of
	return &view, err
}

// Attribution asks for a page of the orders of some days, both inclusive, and the clicks that they are attributed to: an *Error. Pages
// are counted from 1.
func (c *Connector) Attribution(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, page, size int, journey bool) (AttributionView, error) {
	zone, err := time.LoadLocation(of.TimeZone)
	if err != nil {
		return AttributionView{}, connector.BadAnswer("the time zone of %s: %w", of.ID, err)
	}
	midnight := func(date time.Time) time.Time {
		return time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, zone)
	}
	got, err := c.orders(ctx, a, of.ID, journeys{
		StartDate: midnight(from).Format(instant), EndDate: midnight(to.AddDate(0, 0, 1)).Add(-time.Millisecond).Format(instant),
		Page: page, PageSize: size, ExcludeJourneyData: !journey,
	})
	if err != nil {
		return AttributionView{}, err
	}
	view := AttributionView{Items: []AttributedOrder{}}
	if view.Total, err = got.Total.count(); err != nil {
		return AttributionView{}, connector.BadAnswer("how many orders there are: %w", err)
	}
	for _, o := range got.Orders {
		normal, err := o.normal()
		if err != nil {
			return AttributionView{}, connector.BadAnswer("order %.60q: %w", o.ID, err)
		}
		view.Items = append(view.Items, normal)
	}
	if int64(page)*int64(size) < view.Total && page < maxJourneyPage {
		view.NextCursor = strconv.Itoa(page + 1)
	}
	return view, nil
}

func (o withClick) normal() (AttributedOrder, error) {
	placed, err := at(o.CreatedAt)
	if err != nil {
		return AttributedOrder{}, fmt.Errorf("when it was placed: %w", err)
	}
	if !currencyCode.MatchString(o.Currency) {
		return AttributedOrder{}, fmt.Errorf("the currency %.20q", o.Currency)
	}
	out := AttributedOrder{
		OrderID: string(o.ID), Number: o.Name, CustomerID: string(o.CustomerID), PlacedAt: store.At(placed), Currency: o.Currency, Clicks: []Click{},
	}
	if out.TotalMinor, err = o.Total.minor(o.Currency); err != nil {
		return AttributedOrder{}, fmt.Errorf("its total: %w", err)
	}
	for _, model := range slices.Sorted(maps.Keys(o.Clicks)) {
		for _, c := range o.Clicks[model] {
			click := Click{Model: model, Channel: c.Source, CampaignID: string(c.CampaignID), AdSetID: string(c.AdSetID), AdID: string(c.AdID)}
			if c.Clicked != "" {
				when, err := at(c.Clicked)
				if err != nil {
					return AttributedOrder{}, fmt.Errorf("a click: %w", err)
				}
				stamp := store.At(when)
				click.ClickedAt = &stamp
			}
			out.Clicks = append(out.Clicks, click)
		}
	}
	for _, e := range o.Journey {
		when, err := at(e.Time)
		if err != nil {
			return AttributedOrder{}, fmt.Errorf("its journey: %w", err)
		}
		out.Journey = append(out.Journey, Event{store.At(when), e.Event, e.Path, string(e.ProductID)})
	}
	return out, nil
}
