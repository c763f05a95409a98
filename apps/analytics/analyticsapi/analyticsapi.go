// Package analyticsapi is what other groups may know of analytics: its views and a typed client.
//
// # Metrics
//
// What the figures mean, wherever the group shows them:
//
//   - orders: orders placed in the period, by PlacedAt. Test orders and cancelled orders do not count, from the moment that
//     integrations knows of it; any other state of payment does.
//   - customers: distinct customers of these orders. Guests, whose orders name no customer, are not among them.
//   - revenue: the sum of the orders' totals before returns, with taxes, shipping and discounts, in their own currency.
//     Currencies are never added up.
//   - average_order_value: revenue divided by orders, rounded once, half to even, to the currency's minor unit.
//
// A period's figures are computed from its orders, also where it consists of shorter periods: the customers of a month are
// not the sum of its days'.
package analyticsapi

import (
	"time"

	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/period"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Name is the group's name.
const Name = topology.Analytics

// PermissionDashboardRead lets a caller read the dashboard.
const PermissionDashboardRead = "analytics.dashboard:read"

// Codes of the group's problems, beside those of package problem. All are 422.
const (
	// CodeInvalidTimeZone is a zone that the IANA database does not have.
	CodeInvalidTimeZone = "invalid_time_zone"
	// CodeReversedRange is a range that ends before it begins.
	CodeReversedRange = "reversed_range"
	// CodeTooManyBuckets is a granularity too fine for the range.
	CodeTooManyBuckets = "too_many_buckets"
)

// Reasons for a figure or a ratio to be null.
const (
	// ReasonNoData: the source has no data of the period.
	ReasonNoData = "no_data"
	// ReasonNoOrders: there are no orders to divide by.
	ReasonNoOrders = "no_orders"
	// ReasonSeveralCurrencies: the orders are in several currencies and none was chosen.
	ReasonSeveralCurrencies = "several_currencies"
	// ReasonPreviousIsZero: there is no growth from zero.
	ReasonPreviousIsZero = "previous_is_zero"
)

// Codes of warnings.
const (
	// WarningNoData: nothing has been synced yet.
	WarningNoData = "no_data"
	// WarningOutsideCoverage: the source has no data of the period, or of a part of it.
	WarningOutsideCoverage = "outside_coverage"
	// WarningPreviousOutsideCoverage: the same of the period that this one is compared with.
	WarningPreviousOutsideCoverage = "previous_outside_coverage"
	// WarningSeveralCurrencies: revenue is null because no currency was chosen.
	WarningSeveralCurrencies = "several_currencies"
	// WarningOtherCurrencies: there are orders in other currencies than the chosen one, which the figures leave out.
	WarningOtherCurrencies = "other_currencies"
)

// Figures are the metrics of a period. Money is in major units of the currency.
type Figures struct {
	Orders            *int64        `json:"orders" doc:"Orders placed; null where the source has no data" example:"1204"`
	Customers         *int64        `json:"customers" doc:"Distinct customers who placed them; null where the source has no data" example:"948"`
	Revenue           *money.Amount `json:"revenue" nullable:"true" doc:"Total of the orders, in major units of the currency; null where the source has no data, or with several currencies" example:"43472.1"`
	AverageOrderValue *money.Amount `json:"average_order_value" nullable:"true" doc:"Revenue divided by orders, rounded half to even to the minor unit; null without orders" example:"36.11"`
	// RevenueByCurrency is there when no currency was chosen and there are several.
	RevenueByCurrency map[string]money.Amount `json:"revenue_by_currency,omitempty" doc:"Revenue in each currency, when there are several and none was chosen" example:"{\"EUR\":1022.5,\"USD\":22405.9}"`
	// Reasons name the figures that are null.
	Reasons map[string]string `json:"reasons,omitempty" doc:"Why a figure is null, by its name" example:"{\"average_order_value\":\"no_orders\"}"`
}

// Totals are the figures of a whole range.
type Totals struct {
	Figures
	Currency *string `json:"currency" doc:"ISO 4217 code; null with several currencies" example:"USD"`
}

// Bucket is one period of the series.
type Bucket struct {
	Key     string    `json:"key" doc:"Names the whole period: 1997-03-01 for a day, its first day for a week, 1997-03, 1997-Q1 and 1997" example:"1997-03"`
	Start   time.Time `json:"start" doc:"First instant, UTC" example:"1997-03-01T00:00:00Z"`
	End     time.Time `json:"end" doc:"First instant after it, UTC" example:"1997-04-01T00:00:00Z"`
	Clipped bool      `json:"clipped,omitempty" doc:"Whether the range cuts the period, so that this is a part of it"`
	Figures
	Status period.State `json:"status" enum:"final,partial,restating,missing" doc:"final; partial: still running, or covered in part; restating: may still change, as no sync has finished since; missing: the source has no data there" example:"final"`
}

// Change is how the range differs from the one it is compared with, as ratios: 0.25 is a growth by a quarter.
type Change struct {
	Orders            *float64          `json:"orders" doc:"Growth of orders; null where it is not defined" example:"0.25"`
	Customers         *float64          `json:"customers" doc:"Growth of customers; null where it is not defined" example:"0.25"`
	Revenue           *float64          `json:"revenue" doc:"Growth of revenue; null where it is not defined" example:"0.25"`
	AverageOrderValue *float64          `json:"average_order_value" doc:"Growth of the average order value; null where it is not defined" example:"0.25"`
	Reasons           map[string]string `json:"reasons,omitempty" doc:"Why a ratio is null, by its name" example:"{\"orders\":\"previous_is_zero\"}"`
}

// PreviousPeriod is the range that the asked one is compared with.
type PreviousPeriod struct {
	From period.Date `json:"from" format:"date" doc:"First local day" example:"1995-07-05"`
	To   period.Date `json:"to" format:"date" doc:"Last local day" example:"1996-12-31"`
	// Start and End bound what was summed up: a running range is compared with the same elapsed part.
	Start  time.Time `json:"start" doc:"First instant that counts, UTC" example:"1995-07-05T00:00:00Z"`
	End    time.Time `json:"end" doc:"First instant that does not count any more, UTC; before the end of the last day when the asked range is still running" example:"1997-01-01T00:00:00Z"`
	Totals Totals    `json:"totals" doc:"Figures of that period"`
	Change Change    `json:"change" doc:"How the asked range differs from it"`
}

// Coverage is what there is data of. It begins with the first record, or with the first sync when that was earlier, and ends
// with the latest sync. Both days are nil before the first sync; From alone is nil when there are no records at all, so that
// nothing is missing before To.
type Coverage struct {
	From *period.Date `json:"from" format:"date" doc:"First day that is covered, UTC; null before the first sync, and when the source has no records" example:"1997-01-01"`
	To   *period.Date `json:"to" format:"date" doc:"Last day that is covered, at least in part, UTC; null before the first sync" example:"1998-06-30"`
}

// Warning says what to keep in mind about an answer.
type Warning struct {
	Code   string `json:"code" doc:"Stable code" example:"outside_coverage"`
	Detail string `json:"detail" doc:"One sentence for people" example:"the orders of one connection are still being read"`
}

// Dashboard is the one view.
type Dashboard struct {
	From           period.Date        `json:"from" format:"date" doc:"First local day, inclusive" example:"1997-01-01"`
	To             period.Date        `json:"to" format:"date" doc:"Last local day, inclusive" example:"1998-06-30"`
	Granularity    period.Granularity `json:"granularity" enum:"day,week,month,quarter,year" doc:"Length of a bucket" example:"month"`
	TimeZone       string             `json:"tz" doc:"IANA time zone of the days" example:"UTC"`
	WeekStart      string             `json:"week_start" doc:"First day of the week" example:"monday"`
	Currency       *string            `json:"currency" doc:"ISO 4217 code of all money; null with several currencies and none chosen" example:"USD"`
	Totals         Totals             `json:"totals" doc:"Figures of the whole range"`
	Series         []Bucket           `json:"series" nullable:"false" doc:"The range divided, without gaps, oldest first"`
	PreviousPeriod PreviousPeriod     `json:"previous_period" doc:"What the range is compared with"`
	AsOf           *time.Time         `json:"as_of" doc:"When the records behind the figures were last read or the last sync finished, whichever was later, UTC; null before the first sync" example:"2026-01-15T08:00:00Z"`
	Coverage       Coverage           `json:"coverage" doc:"What there is data of"`
	Warnings       []Warning          `json:"warnings" nullable:"false" doc:"What to keep in mind about the answer"`
}
