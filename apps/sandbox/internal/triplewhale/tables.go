package triplewhale

import (
	"fmt"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
)

// amount is a decimal number of ten-thousandths, of which there are exact sums.
type amount = shop.Amount

// record is a row of a table. Its values are texts, whole numbers and amounts.
type record map[string]any

// columns are what the simulated part of each table has, and which table that is.
var columns = map[string][]string{
	"ads_table": {
		"event_date", "channel", "account_id", "campaign_id", "campaign_name", "campaign_status", "adset_id", "ad_id", "ad_name", "spend", "impressions", "clicks",
		"conversions", "conversion_value",
	},
	"pixel_joined_tvf": {
		"event_date", "channel", "campaign_id", "campaign_name", "adset_id", "ad_id", "ad_name", "model", "attribution_window", "spend", "impressions", "clicks",
		"orders_quantity", "order_revenue",
	},
	"orders_table": {"event_date", "created_at", "shop_timezone", "order_id", "order_name", "order_revenue", "refund_money"},
}

var (
	models  = []string{"Triple Attribution", "Triple Attribution + Views", "Clicks & Views", "Total Impact", "Linear All", "Linear Paid", "First Click", "Last Click"}
	windows = []string{"1_day", "7_days", "14_days", "28_days", "lifetime"}
)

// rows are those that a query looks at, of the days between two, both inclusive.
func (p place) rows(q query, from, to time.Time) []record {
	if q.table == "orders_table" {
		return p.orderRows(from, to)
	}
	// By default what is attributed is so by the first model, whenever the click was; models and windows that there are not have no rows.
	model, window := q.equals("model", models[0]), q.equals("attribution_window", windows[len(windows)-1])
	pixel := q.table == "pixel_joined_tvf"
	if pixel && (!slices.Contains(models, model) || !slices.Contains(windows, window)) {
		return nil
	}
	var rows []record
	for _, of := range p.ads {
		status := func(c shop.Campaign) string {
			if of.Ended(c) {
				return "PAUSED"
			}
			return "ACTIVE"
		}
		for _, d := range of.Days(from, to) {
			c := d.Campaign
			ads := adsOf(c)
			for i, ad := range ads { // a row for each ad: the second has what the first leaves
				part := func(n int64) int64 {
					if i == 0 {
						return n / 3
					}
					return n - n/3
				}
				row := record{
					"event_date": d.Date.Format(time.DateOnly), "channel": channels[c.Platform], "account_id": fmt.Sprint(of.Number), "campaign_id": fmt.Sprint(c.ID),
					"campaign_name": c.Name, "campaign_status": status(c), "adset_id": adSet(c), "ad_id": ad, "ad_name": fmt.Sprintf("%s, ad %d", c.Name, i+1),
					"spend": amount(part(int64(d.Spend))), "impressions": part(d.Impressions), "clicks": part(d.Clicks), "conversions": part(d.Conversions),
					"conversion_value": amount(part(int64(d.Value))),
				}
				if pixel {
					row = attributed(row, i, model, window)
				}
				rows = append(rows, row)
			}
		}
	}
	if pixel {
		rows = append(rows, p.unpaid(from, to, model, window)...)
	}
	return rows
}

// attributed is a row of an ad by a model and window. The clicks of all models but the default one are those of the second ad.
func attributed(ad record, index int, model, window string) record {
	row := record{"model": model, "attribution_window": window, "orders_quantity": amount(0), "order_revenue": amount(0)}
	for column, value := range ad {
		if slices.Contains(columns["pixel_joined_tvf"], column) {
			row[column] = value
		}
	}
	if model == models[0] || index == 1 {
		row["orders_quantity"], row["order_revenue"] = amount(ad["conversions"].(int64)*10_000), ad["conversion_value"]
	}
	return row
}

// unpaid are the orders that came by a search which nobody paid for, with the host as a campaign.
func (p place) unpaid(from, to time.Time, model, window string) (rows []record) {
	for _, o := range p.orders {
		if !p.searched(o) {
			continue
		}
		rows = append(rows, record{
			"event_date": p.dayOf(o), "channel": "organic_and_social", "campaign_id": "www.google.com", "campaign_name": "www.google.com", "adset_id": "", "ad_id": "",
			"ad_name": "", "model": model, "attribution_window": window, "spend": amount(0), "impressions": int64(0), "clicks": int64(0),
			"orders_quantity": amount(10_000), "order_revenue": o.Total,
		})
	}
	return within(rows, from, to)
}

// dayOf is an order's, of the shop's time zone.
func (p place) dayOf(o *shop.Order) string { return o.CreatedAt.In(p.zone).Format(time.DateOnly) }

// within are the rows of some days.
func within(rows []record, from, to time.Time) []record {
	first, last := from.Format(time.DateOnly), to.Format(time.DateOnly)
	return slices.DeleteFunc(rows, func(r record) bool { return r["event_date"].(string) < first || r["event_date"].(string) > last })
}

func (p place) orderRows(from, to time.Time) (rows []record) {
	for _, o := range p.orders {
		rows = append(rows, record{
			"event_date": p.dayOf(o), "created_at": o.CreatedAt.UTC().Format("2006-01-02T15:04:05.000Z"), "shop_timezone": p.zone.String(), "order_id": fmt.Sprint(o.ID),
			"order_name": o.Name, "order_revenue": o.Total, "refund_money": o.Refunded,
		})
	}
	return within(rows, from, to)
}
