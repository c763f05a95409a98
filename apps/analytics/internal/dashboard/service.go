package dashboard

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/analytics/analyticsapi"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/period"
	"github.com/tandemhq/tandem/pkg/problem"
)

// question is what is asked, complete.
type question struct {
	calendar    period.Calendar
	weekStart   string
	days        period.Range
	granularity period.Granularity
	currency    string // empty: any
	comparison  period.Comparison
	at          time.Time // when, to the minute
}

// defaultDays is the length of the range when none is asked for.
const defaultDays = 30

// question fills in what was not asked and refuses what makes no sense.
func (m *Module) question(in *ShowInput) (question, error) {
	q := question{currency: in.Currency, comparison: period.Comparison(in.Compare), at: m.now().UTC().Truncate(time.Minute)}
	q.weekStart = strings.ToLower(in.WeekStart)
	weekStart, err := period.ParseWeekStart(q.weekStart)
	if err != nil {
		return q, problem.Invalid("query.week_start", "no day of the week").Wrap(err)
	}
	if q.calendar, err = period.NewCalendar(in.TimeZone, weekStart); err != nil {
		return q, problem.New(http.StatusUnprocessableEntity, analyticsapi.CodeInvalidTimeZone, "the time zone is not in the IANA database").
			With(problem.Field{Location: "query.tz", Message: "want a name such as Europe/Berlin"}).Wrap(err)
	}
	if q.days, err = days(in.From, in.To, q.calendar.DateOf(q.at)); err != nil {
		return q, err
	}
	q.granularity = period.Granularity(in.Granularity)
	if q.granularity == "" {
		q.granularity = granularityFor(q.days.Days())
	}
	return q, nil
}

// days reads the range. Without one it is the last complete days.
func days(from, to string, today period.Date) (period.Range, error) {
	last := today.AddDays(-1)
	if from != "" {
		last = today
	}
	var err error
	if to != "" {
		if last, err = period.ParseDate(to); err != nil {
			return period.Range{}, problem.Invalid("query.to", "want a day written as 2006-01-02").Wrap(err)
		}
	}
	first := last.AddDays(1 - defaultDays)
	if from != "" {
		if first, err = period.ParseDate(from); err != nil {
			return period.Range{}, problem.Invalid("query.from", "want a day written as 2006-01-02").Wrap(err)
		}
	}
	r, err := period.NewRange(first, last)
	if err != nil {
		return r, problem.Newf(http.StatusUnprocessableEntity, analyticsapi.CodeReversedRange, "the range from %s to %s ends before it begins", first, last).
			With(problem.Field{Location: "query.to", Message: "is before from"}).Wrap(err)
	}
	return r, nil
}

// granularityFor keeps a chart readable.
func granularityFor(days int) period.Granularity {
	switch {
	case days <= 31:
		return period.Day
	case days <= 183:
		return period.Week
	case days <= 3*366:
		return period.Month
	case days <= 10*366:
		return period.Quarter
	}
	return period.Year
}

// dashboard answers q.
func (c *columns) dashboard(q question) (*analyticsapi.Dashboard, error) {
	buckets, err := q.calendar.Buckets(q.days, q.granularity)
	switch {
	case errors.Is(err, period.ErrTooManyBuckets):
		return nil, problem.Newf(http.StatusUnprocessableEntity, analyticsapi.CodeTooManyBuckets,
			"the range has more than %d buckets; ask for a coarser granularity", period.MaxBuckets).
			With(problem.Field{Location: "query.granularity", Message: "is too fine for the range"}).Wrap(err)
	case err != nil:
		return nil, fmt.Errorf("divide the range: %w", err)
	}
	before, err := q.days.Compared(q.comparison)
	if err != nil {
		return nil, fmt.Errorf("find the range to compare with: %w", err)
	}
	if before.From.Year < 1 || q.days.To.Year > 9998 {
		return nil, problem.Invalid("query.from", "days, and those compared with, lie between 0001-01-01 and 9998-12-31")
	}
	pair, err := q.calendar.Compare(q.days, q.comparison, q.at)
	if err != nil {
		return nil, fmt.Errorf("find the range to compare with: %w", err)
	}
	covered, coverage, err := c.coverage()
	if err != nil {
		return nil, err
	}

	edges := make([]int64, 0, len(buckets)+1)
	for _, b := range buckets {
		edges = append(edges, b.Start.Unix())
	}
	whole := q.calendar.Span(q.days)
	edges = append(edges, whole.End.Unix())
	currency := anyCurrency
	if q.currency != "" {
		// A currency that no order has is the number after the last, which no order has either.
		if currency = slices.Index(c.currencies, q.currency); currency < 0 {
			currency = len(c.currencies)
		}
	}
	series, total := c.between(edges, currency)
	_, earlier := c.between([]int64{pair.Previous.Start.Unix(), pair.Previous.End.Unix()}, currency)
	w := c.wording(q.currency, total, earlier)

	d := &analyticsapi.Dashboard{
		From: q.days.From, To: q.days.To, Granularity: q.granularity, TimeZone: q.calendar.Zone(), WeekStart: q.weekStart,
		Currency: w.currency, Coverage: coverage, Warnings: []analyticsapi.Warning{},
		Totals: analyticsapi.Totals{Figures: w.figures(&total, !overlap(whole, covered.Span)), Currency: w.currency},
		Series: make([]analyticsapi.Bucket, len(buckets)),
	}
	if !c.state.Value.AsOf.IsZero() {
		asOf := c.state.Value.AsOf.Time
		d.AsOf = &asOf
	}
	for i, b := range buckets {
		state := covered.State(b, q.at)
		d.Series[i] = analyticsapi.Bucket{
			Key: b.Key, Start: b.Start, End: b.End, Clipped: b.Clipped,
			Figures: w.figures(&series[i], state == period.Missing), Status: state,
		}
	}
	p := &d.PreviousPeriod
	p.From, p.To, p.Start, p.End = before.From, before.To, pair.Previous.Start, pair.Previous.End
	p.Totals = analyticsapi.Totals{Figures: w.figures(&earlier, !overlap(pair.Previous, covered.Span)), Currency: w.currency}
	p.Change = changeOf(d.Totals.Figures, p.Totals.Figures)
	c.warn(d, q, covered, pair)
	return d, nil
}

// coverage is from the first day with records, or that of the first sync when it was earlier, to the end of the latest sync.
// What changed after that sync, or before any, is covered too, but not final. When syncs brought no records at all there are
// none before either, and the coverage has no beginning.
func (c *columns) coverage() (period.Coverage, analyticsapi.Coverage, error) {
	st := c.state.Value
	var covered period.Coverage
	var days analyticsapi.Coverage
	if st.First == "" && st.SyncedFrom == "" {
		return covered, days, nil
	}
	// The end of one zone's first day lies in the year before it.
	covered.Start = beginning.begins().AddDate(-1, 0, 0)
	if st.First != "" {
		first := st.First
		if st.SyncedFrom != "" {
			first = min(first, st.SyncedFrom)
		}
		from, err := parseDay(first)
		if err != nil {
			return covered, days, fmt.Errorf("read the coverage: %w", err)
		}
		covered.Start, days.From = from.begins(), from.date()
	}
	covered.FinalUntil = covered.Start
	if until := st.syncedUntil(); !until.IsZero() {
		covered.End, covered.FinalUntil, days.To = until.Time, until.Time, dayOf(until.Time).date()
	}
	if st.Last != "" {
		last, err := parseDay(st.Last)
		if err != nil {
			return covered, days, fmt.Errorf("read the coverage: %w", err)
		}
		if !last.begins().Before(covered.End) {
			covered.End, days.To = (last + 1).begins(), last.date()
		}
	}
	return covered, days, nil
}

func overlap(a, b period.Span) bool { return a.Start.Before(b.End) && b.Start.Before(a.End) }

func within(a, b period.Span) bool { return !a.Start.Before(b.Start) && !b.End.Before(a.End) }

// wording turns sums into figures of the answer's currency.
type wording struct {
	currency *string // nil: several, or none known
	number   int     // of the currency; meaningless when no order has it
	names    []string
	digits   []int
}

// wording picks the answer's currency: the chosen one, else the only one of the orders that count, else, where there are no
// orders, the only one that the organization ever had.
func (c *columns) wording(chosen string, total, earlier sums) wording {
	w := wording{names: c.currencies, digits: make([]int, len(c.currencies))}
	for i, name := range c.currencies {
		w.digits[i] = money.MinorDigits(name)
	}
	if chosen != "" {
		w.currency, w.number = &chosen, slices.Index(c.currencies, chosen)
		return w
	}
	var present []int
	for i := range c.currencies {
		if total.in[i] > 0 || earlier.in[i] > 0 {
			present = append(present, i)
		}
	}
	if len(present) == 0 && len(c.currencies) == 1 {
		present = []int{0}
	}
	if len(present) == 1 {
		w.number = present[0]
		w.currency = &c.currencies[w.number]
	}
	return w
}

// Reasons are shared by all answers and never written to.
var (
	noData            = map[string]string{"orders": analyticsapi.ReasonNoData, "customers": analyticsapi.ReasonNoData, "revenue": analyticsapi.ReasonNoData, "average_order_value": analyticsapi.ReasonNoData}
	noOrders          = map[string]string{"average_order_value": analyticsapi.ReasonNoOrders}
	noCurrency        = map[string]string{"revenue": analyticsapi.ReasonNoOrders, "average_order_value": analyticsapi.ReasonNoOrders}
	severalCurrencies = map[string]string{"revenue": analyticsapi.ReasonSeveralCurrencies, "average_order_value": analyticsapi.ReasonSeveralCurrencies}
)

func (w wording) figures(s *sums, missing bool) analyticsapi.Figures {
	if missing {
		return analyticsapi.Figures{Reasons: noData}
	}
	f := analyticsapi.Figures{Orders: &s.orders, Customers: &s.customers}
	if len(w.names) == 0 && w.currency == nil {
		f.Reasons = noCurrency // records there are, but none that counts
		return f
	}
	if w.currency == nil {
		f.Reasons = severalCurrencies
		f.RevenueByCurrency = make(map[string]money.Amount, len(w.names))
		for i, name := range w.names {
			if s.in[i] > 0 {
				f.RevenueByCurrency[name] = money.Amount{Minor: s.minor[i], Digits: w.digits[i]}
			}
		}
		return f
	}
	f.Revenue = &money.Amount{Digits: money.MinorDigits(*w.currency)}
	if w.number >= 0 && w.number < len(s.minor) {
		f.Revenue.Minor = s.minor[w.number]
	}
	if s.orders == 0 {
		f.Reasons = noOrders
		return f
	}
	f.AverageOrderValue = &money.Amount{Minor: money.DivideHalfEven(f.Revenue.Minor, s.orders), Digits: f.Revenue.Digits}
	return f
}

func changeOf(now, before analyticsapi.Figures) analyticsapi.Change {
	change := analyticsapi.Change{Reasons: map[string]string{}}
	minor := func(a *money.Amount) *int64 {
		if a == nil {
			return nil
		}
		return &a.Minor
	}
	for _, f := range []struct {
		name        string
		now, before *int64
		ratio       **float64
	}{
		{"orders", now.Orders, before.Orders, &change.Orders},
		{"customers", now.Customers, before.Customers, &change.Customers},
		{"revenue", minor(now.Revenue), minor(before.Revenue), &change.Revenue},
		{"average_order_value", minor(now.AverageOrderValue), minor(before.AverageOrderValue), &change.AverageOrderValue},
	} {
		switch {
		case f.now == nil:
			change.Reasons[f.name] = now.Reasons[f.name]
		case f.before == nil:
			change.Reasons[f.name] = before.Reasons[f.name]
		case *f.before == 0:
			change.Reasons[f.name] = analyticsapi.ReasonPreviousIsZero
		default:
			ratio := growth(*f.now, *f.before)
			*f.ratio = &ratio
		}
	}
	return change
}

// growth is relative to the size of what was before, so that a loss that became a gain is growth; to six digits.
func growth(now, before int64) float64 {
	return math.RoundToEven((float64(now)-float64(before))/math.Abs(float64(before))*1e6) / 1e6
}

// warn says what the figures do not.
func (c *columns) warn(d *analyticsapi.Dashboard, q question, covered period.Coverage, pair period.Pair) {
	warn := func(code, format string, args ...any) {
		d.Warnings = append(d.Warnings, analyticsapi.Warning{Code: code, Detail: fmt.Sprintf(format, args...)})
	}
	if d.Coverage.To == nil {
		warn(analyticsapi.WarningNoData, "no orders have been synced yet")
		return
	}
	known := fmt.Sprintf("orders are known from %s to %s (UTC)", d.Coverage.From, d.Coverage.To)
	if d.Coverage.From == nil {
		known = fmt.Sprintf("orders are known until %s (UTC)", d.Coverage.To)
	}
	// The last day counts as a whole: until when today is known, as_of says.
	days := period.Span{Start: covered.Start, End: (dayOf(covered.End.Add(-1)) + 1).begins()}
	if !within(pair.Current, days) {
		warn(analyticsapi.WarningOutsideCoverage, "%s only; what lies outside is missing", known)
	}
	if !within(pair.Previous, days) {
		warn(analyticsapi.WarningPreviousOutsideCoverage, "the period compared with is not covered, or not all of it: %s only", known)
	}
	if q.currency == "" && d.Currency == nil && len(c.currencies) > 1 {
		warn(analyticsapi.WarningSeveralCurrencies, "orders are in several currencies, which are not added up; choose one with currency")
	}
	if q.currency != "" {
		if others := slices.DeleteFunc(slices.Clone(c.currencies), func(name string) bool { return name == q.currency }); len(others) > 0 {
			slices.Sort(others)
			warn(analyticsapi.WarningOtherCurrencies, "only orders in %s count; there are others in %s", q.currency, strings.Join(others, ", "))
		}
	}
}
