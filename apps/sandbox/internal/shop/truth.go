package shop

import (
	"cmp"
	"maps"
	"slices"
)

// Truth is what a shop's data was made from and what it adds up to: the figures
// that a sync and an analysis of it have to arrive at. Months are of UTC.
type Truth struct {
	Source     string      `json:"source"`
	Parameters *Parameters `json:"parameters,omitempty"`
	Currency   string      `json:"currency"`
	// Totals cover every order; Cancelled and Test are the parts of it that an
	// analysis may leave out, Refunded what was paid back on all orders.
	Totals
	Products  int     `json:"products"`
	Cancelled Totals  `json:"cancelled"`
	Test      Totals  `json:"test"`
	Refunded  string  `json:"refunded"`
	Months    []Month `json:"months"`
}

// Totals count orders, the distinct customers who placed them, the items and what
// was to be paid, a decimal amount.
type Totals struct {
	Orders    int    `json:"orders"`
	Customers int    `json:"customers"`
	Items     int    `json:"items"`
	Revenue   string `json:"revenue"`
}

// Month is the totals of one month, such as 1997-03.
type Month struct {
	Month string `json:"month"`
	Totals
}

// TruthOf adds up a shop's data.
func TruthOf(d Data) Truth {
	var all, cancelled, test tally
	var refunded Amount
	months := map[string]*tally{}
	for _, o := range d.Orders {
		all.add(o)
		refunded += o.Refunded
		if !o.CancelledAt.IsZero() {
			cancelled.add(o)
		}
		if o.Test {
			test.add(o)
		}
		month := o.CreatedAt.Format("2006-01")
		if months[month] == nil {
			months[month] = &tally{}
		}
		months[month].add(o)
	}
	t := Truth{
		Source: d.Source, Parameters: d.Parameters, Currency: d.Currency, Products: len(d.Products),
		Totals: all.totals(), Cancelled: cancelled.totals(), Test: test.totals(), Refunded: refunded.String(), Months: []Month{},
	}
	for _, month := range slices.SortedFunc(maps.Keys(months), cmp.Compare[string]) {
		t.Months = append(t.Months, Month{month, months[month].totals()})
	}
	return t
}

type tally struct {
	orders, items int
	revenue       Amount
	customers     map[int64]bool
}

func (t *tally) add(o *Order) {
	t.orders++
	t.items += o.Items
	t.revenue += o.Total
	if t.customers == nil {
		t.customers = map[int64]bool{}
	}
	if o.CustomerID != 0 {
		t.customers[o.CustomerID] = true
	}
}

func (t *tally) totals() Totals {
	return Totals{Orders: t.orders, Customers: len(t.customers), Items: t.items, Revenue: t.revenue.String()}
}
