package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/apps/analytics/analyticsapi"
	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// TestCDNOW has the figures that counting the file gives.
func TestCDNOW(t *testing.T) {
	p, _ := single(t, cdnow(t)...)
	began := time.Now()
	p.changed(t, "1997-01-01", "1998-06-30")
	t.Logf("rolled up in %v", time.Since(began))
	p.synced(t, "c", "2026-01-15T08:00:00Z")

	d := p.dashboard(t, "from=1997-01-01&to=1998-06-30&granularity=month&tz=UTC")
	if got, want := brief(d.Totals.Figures), "6919 2357 244091.94 35.28"; got != want {
		t.Errorf("totals are %s, want %s", got, want)
	}
	if d.Currency == nil || *d.Currency != "USD" || len(d.Series) != 18 {
		t.Errorf("currency %v, %d months", d.Currency, len(d.Series))
	}
	march := d.Series[2]
	if got, want := march.Key+" "+brief(march.Figures)+" "+string(march.Status), "1997-03 1204 948 43472.10 36.11 final"; got != want {
		t.Errorf("March is %s, want %s", got, want)
	}
	d = p.dashboard(t, "from=1997-03-01&to=1997-03-31")
	if got, want := brief(d.Totals.Figures), "1204 948 43472.10 36.11"; got != want {
		t.Errorf("March is %s, want %s", got, want)
	}
	if d.Granularity != "day" || len(d.Series) != 31 {
		t.Errorf("March has %d %ss", len(d.Series), d.Granularity)
	}
	if raw := p.get(t, organization, "from=1997-01-01&to=1998-06-30").Body.String(); !strings.Contains(raw, `"revenue":244091.94`) {
		t.Errorf("revenue is no exact number in %.300s", raw)
	}
}

// TestAgainstCounting compares with figures counted order by order, by what the clocks of a zone show.
func TestAgainstCounting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var orders []integrationsapi.Order
	for i := range 1500 {
		o := order(i, "1997-01-01T00:00:00Z", fmt.Sprintf("c:%d", random.IntN(90)), random.Int64N(20000))
		o.PlacedAt = store.At(o.PlacedAt.Add(time.Duration(random.IntN(545*86400)) * time.Second))
		switch random.IntN(20) {
		case 0:
			o.Test = true
		case 1:
			o.CancelledAt = &o.PlacedAt
		case 2:
			o.CustomerID = ""
		}
		orders = append(orders, o)
	}
	p, _ := single(t, orders...)
	p.changed(t, "1996-12-31", "1998-07-01")

	zones := []string{"UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Auckland", "Pacific/Kiritimati", "Africa/Monrovia"}
	granularities := []string{"day", "week", "month", "quarter", "year"}
	starts := []time.Weekday{time.Monday, time.Sunday, time.Saturday, time.Wednesday}
	for range 250 {
		zone, granularity, weekStart := zones[random.IntN(len(zones))], granularities[random.IntN(len(granularities))], starts[random.IntN(len(starts))]
		first := time.Date(1997, 1, 10+random.IntN(400), 0, 0, 0, 0, time.UTC)
		length := 1 + random.IntN(130)
		last := first.AddDate(0, 0, length-1)
		query := fmt.Sprintf("from=%s&to=%s&granularity=%s&tz=%s&week_start=%s",
			first.Format(time.DateOnly), last.Format(time.DateOnly), granularity, zone, strings.ToLower(weekStart.String()))
		d := p.dashboard(t, query)

		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		dateOf := func(o integrationsapi.Order) string { return o.PlacedAt.In(location).Format(time.DateOnly) }
		byKey := map[string][]integrationsapi.Order{}
		var current, previous []integrationsapi.Order
		for _, o := range orders {
			switch date := dateOf(o); {
			case date >= first.Format(time.DateOnly) && date <= last.Format(time.DateOnly):
				key := keyOf(date, granularity, weekStart)
				byKey[key] = append(byKey[key], o)
				current = append(current, o)
			case date < first.Format(time.DateOnly) && date >= first.AddDate(0, 0, -length).Format(time.DateOnly):
				previous = append(previous, o)
			}
		}
		if got, want := brief(d.Totals.Figures), counted(current); got != want {
			t.Fatalf("%s: totals are %s, counted %s", query, got, want)
		}
		if d.PreviousPeriod.Start.Unix() >= time.Date(1997, 1, 2, 0, 0, 0, 0, time.UTC).Unix() {
			if got, want := brief(d.PreviousPeriod.Totals.Figures), counted(previous); got != want {
				t.Fatalf("%s: the previous period is %s, counted %s", query, got, want)
			}
		}
		for i, b := range d.Series {
			if got, want := brief(b.Figures), counted(byKey[b.Key]); got != want {
				t.Fatalf("%s: %s is %s, counted %s", query, b.Key, got, want)
			}
			if i > 0 && !b.Start.Equal(d.Series[i-1].End) {
				t.Fatalf("%s: %s begins %v, the one before ends %v", query, b.Key, b.Start, d.Series[i-1].End)
			}
			delete(byKey, b.Key)
		}
		if len(byKey) > 0 {
			t.Fatalf("%s: the series lacks %d periods", query, len(byKey))
		}
	}
}

// keyOf names the period of a date, day by day and without package period.
func keyOf(date, granularity string, weekStart time.Weekday) string {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		panic(err)
	}
	switch granularity {
	case "week":
		for day.Weekday() != weekStart {
			day = day.Add(-24 * time.Hour)
		}
		return day.Format(time.DateOnly)
	case "month":
		return date[:7]
	case "quarter":
		month := int(day.Month())
		return fmt.Sprintf("%s-Q%d", date[:4], (month+2)/3)
	case "year":
		return date[:4]
	}
	return date
}

// counted is brief of the figures by their definition.
func counted(orders []integrationsapi.Order) string {
	customers := map[string]bool{}
	var n, minor int64
	for _, o := range orders {
		if o.Test || o.CancelledAt != nil {
			continue
		}
		n++
		minor += o.TotalMinor
		if o.CustomerID != "" {
			customers[o.CustomerID] = true
		}
	}
	money := func(minor int64) string { return big.NewRat(minor, 100).FloatString(2) }
	average := "null"
	if n > 0 {
		average = money(halfEven(minor, n))
	}
	return fmt.Sprintf("%d %d %s %s", n, len(customers), money(minor), average)
}

// halfEven rounds by comparing the distances to both neighbours.
func halfEven(a, b int64) int64 {
	exact := big.NewRat(a, b)
	low := new(big.Int).Div(exact.Num(), exact.Denom()).Int64()
	below := new(big.Rat).Sub(exact, big.NewRat(low, 1))
	switch c := below.Cmp(big.NewRat(1, 2)); {
	case c < 0, c == 0 && low%2 == 0:
		return low
	}
	return low + 1
}

func TestCustomersAreCountedAnewInEveryPeriod(t *testing.T) {
	p, _ := single(t,
		order(1, "2024-03-01T10:00:00Z", "ann", 1000), order(2, "2024-03-01T11:00:00Z", "ann", 500),
		order(3, "2024-03-02T10:00:00Z", "ann", 1000), order(4, "2024-03-02T10:00:00Z", "bob", 1001),
		order(5, "2024-03-03T10:00:00Z", "", 3000))
	p.changed(t, "2024-03-01", "2024-03-03")
	d := p.dashboard(t, "from=2024-03-01&to=2024-03-03")
	var days []string
	for _, b := range d.Series {
		days = append(days, brief(b.Figures))
	}
	want := []string{"2 1 15.00 7.50", "2 2 20.01 10.00", "1 0 30.00 30.00"}
	if !slices.Equal(days, want) || brief(d.Totals.Figures) != "5 2 65.01 13.00" {
		t.Errorf("days %q, totals %q", days, brief(d.Totals.Figures))
	}
}

func TestWhatIsMissingIsNullAndWhatIsEmptyIsZero(t *testing.T) {
	p, _ := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000), order(2, "2024-03-03T10:00:00Z", "ann", 2500))
	p.changed(t, "2024-03-01", "2024-03-03")
	d := p.dashboard(t, "from=2024-02-29&to=2024-03-04")
	var got []string
	for _, b := range d.Series {
		got = append(got, b.Key+" "+brief(b.Figures)+" "+string(b.Status)+" "+b.Reasons["orders"]+b.Reasons["average_order_value"])
	}
	want := []string{
		"2024-02-29 null null null null missing no_datano_data",
		"2024-03-01 1 1 10.00 10.00 restating ",
		"2024-03-02 0 0 0.00 null restating no_orders",
		"2024-03-03 1 1 25.00 25.00 restating ",
		"2024-03-04 null null null null missing no_datano_data",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if brief(d.PreviousPeriod.Totals.Figures) != "null null null null" || d.PreviousPeriod.Change.Orders != nil ||
		d.PreviousPeriod.Change.Reasons["revenue"] != analyticsapi.ReasonNoData {
		t.Errorf("previous period %+v", d.PreviousPeriod)
	}
	if got := warnings(d); got != "outside_coverage previous_outside_coverage" {
		t.Errorf("warnings %q", got)
	}
	if d.Coverage.From.String() != "2024-03-01" || d.Coverage.To.String() != "2024-03-03" || d.AsOf == nil || !d.AsOf.Equal(p.clock.now()) {
		t.Errorf("coverage %v, as of %v", d.Coverage, d.AsOf)
	}
}

func warnings(d *analyticsapi.Dashboard) string {
	codes := make([]string, len(d.Warnings))
	for i, w := range d.Warnings {
		codes[i] = w.Code
	}
	return strings.Join(codes, " ")
}

func TestBeforeTheFirstSync(t *testing.T) {
	p, _ := single(t)
	d := p.dashboard(t, "from=2024-03-01&to=2024-03-02")
	if warnings(d) != "no_data" || d.AsOf != nil || d.Coverage.From != nil || brief(d.Totals.Figures) != "null null null null" || d.Currency != nil {
		t.Errorf("got %+v", d)
	}
}

func TestAnswersFitTheirSchema(t *testing.T) {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schema := registry.Schema(reflect.TypeFor[analyticsapi.Dashboard](), true, "")
	yen := order(2, "2024-03-02T11:00:00Z", "ann", 1500)
	yen.Currency = "JPY"
	p, _ := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000), yen)
	p.changed(t, "2024-03-01", "2024-03-02")
	for _, query := range []string{"", "from=2024-02-28&to=2024-03-03", "from=2024-03-01&to=2024-03-01", "from=2024-03-01&to=2026-12-31&currency=JPY"} {
		for _, organization := range []string{organization, "another"} {
			var answer any
			if err := json.Unmarshal(p.get(t, organization, query).Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			var result huma.ValidateResult
			huma.Validate(registry, schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, answer, &result)
			for _, err := range result.Errors {
				t.Errorf("%s, %s: %v", organization, query, err)
			}
		}
	}
}

func TestOnlyOrdersThatDoNotCount(t *testing.T) {
	trial := order(1, "2024-03-01T10:00:00Z", "ann", 1000)
	trial.Test = true
	p, _ := single(t, trial)
	p.changed(t, "2024-03-01", "2024-03-01")
	d := p.dashboard(t, "from=2024-03-01&to=2024-03-01")
	if got := brief(d.Totals.Figures); got != "0 0 null null" || d.Totals.Reasons["revenue"] != analyticsapi.ReasonNoOrders {
		t.Errorf("totals %s, %v", got, d.Totals.Reasons)
	}
	if d.Coverage.From == nil {
		t.Error("a day with records is not covered")
	}
}

func TestComparison(t *testing.T) {
	p, _ := single(t,
		order(1, "2024-02-28T10:00:00Z", "ann", 1000), order(2, "2024-02-28T12:00:00Z", "bob", 1000),
		order(3, "2024-02-29T10:00:00Z", "ann", 0), order(4, "2024-03-01T08:00:00Z", "ann", 2500), order(5, "2023-12-31T08:00:00Z", "ann", 2500))
	p.changed(t, "2023-12-31", "2024-03-01")
	for _, tt := range []struct{ name, query, from, totals, change, reasons string }{
		{"grew", "from=2024-03-01&to=2024-03-01&compare=previous_period", "2024-02-29", "1 1 0.00 0.00", "0 0 null null", "revenue:previous_is_zero average_order_value:previous_is_zero"},
		{"shrank", "from=2024-02-29&to=2024-02-29", "2024-02-28", "2 2 20.00 10.00", "-0.5 -0.5 -1 -1", ""},
		{"from nothing", "from=2024-02-28&to=2024-02-28", "2024-02-27", "0 0 0.00 null", "null null null null",
			"orders:previous_is_zero customers:previous_is_zero revenue:previous_is_zero average_order_value:no_orders"},
		{"to nothing", "from=2024-01-02&to=2024-01-03", "2023-12-31", "1 1 25.00 25.00", "-1 -1 -1 null", "average_order_value:no_orders"},
		{"last month, clamped", "from=2024-03-30&to=2024-03-31&compare=last_month", "2024-02-29", "1 1 0.00 0.00", "null null null null",
			"orders:no_data customers:no_data revenue:no_data average_order_value:no_data"},
		{"same weekdays", "from=2024-12-29&to=2024-12-29&compare=52_weeks", "2023-12-31", "1 1 25.00 25.00", "null null null null",
			"orders:no_data customers:no_data revenue:no_data average_order_value:no_data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := p.dashboard(t, tt.query)
			change := d.PreviousPeriod.Change
			var ratios, reasons []string
			for _, r := range []*float64{change.Orders, change.Customers, change.Revenue, change.AverageOrderValue} {
				if r == nil {
					ratios = append(ratios, "null")
				} else {
					ratios = append(ratios, fmt.Sprint(*r))
				}
			}
			for _, name := range []string{"orders", "customers", "revenue", "average_order_value"} {
				if reason := change.Reasons[name]; reason != "" {
					reasons = append(reasons, name+":"+reason)
				}
			}
			if got := d.PreviousPeriod.From.String(); got != tt.from {
				t.Errorf("compared with the time from %s, want %s", got, tt.from)
			}
			if got := brief(d.PreviousPeriod.Totals.Figures); got != tt.totals {
				t.Errorf("previous totals %s, want %s", got, tt.totals)
			}
			if got := strings.Join(ratios, " "); got != tt.change {
				t.Errorf("change %s, want %s", got, tt.change)
			}
			if got := strings.Join(reasons, " "); got != tt.reasons {
				t.Errorf("reasons %s, want %s", got, tt.reasons)
			}
		})
	}
}

func TestRunningPeriodComparesWithTheSameElapsedPart(t *testing.T) {
	p, _ := single(t,
		order(1, "2024-03-04T09:00:00Z", "ann", 1000), order(2, "2024-03-04T15:00:00Z", "bob", 1000),
		order(3, "2024-03-05T09:00:00Z", "ann", 1500))
	p.changed(t, "2024-03-04", "2024-03-05")
	p.clock.set("2024-03-05T10:00:59Z")
	d := p.dashboard(t, "from=2024-03-05&to=2024-03-05")
	if got := brief(d.PreviousPeriod.Totals.Figures); got != "1 1 10.00 10.00" || !d.PreviousPeriod.End.Equal(time.Date(2024, 3, 4, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("previous %s until %v", got, d.PreviousPeriod.End)
	}
	if d.Series[0].Status != "partial" || *d.PreviousPeriod.Change.Revenue != 0.5 {
		t.Errorf("status %s, change %v", d.Series[0].Status, *d.PreviousPeriod.Change.Revenue)
	}
}

func TestSeveralCurrencies(t *testing.T) {
	yen := order(2, "2024-03-01T11:00:00Z", "ann", 1500)
	yen.Currency = "JPY"
	p, _ := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000), yen, order(3, "2024-03-05T10:00:00Z", "bob", 700))
	p.changed(t, "2024-03-01", "2024-03-05")

	d := p.dashboard(t, "from=2024-03-01&to=2024-03-01")
	if got := brief(d.Totals.Figures); got != "2 1 null null" || d.Currency != nil || d.Totals.Reasons["revenue"] != analyticsapi.ReasonSeveralCurrencies {
		t.Errorf("totals %s, currency %v, reasons %v", got, d.Currency, d.Totals.Reasons)
	}
	if by := d.Totals.RevenueByCurrency; len(by) != 2 || by["USD"].String() != "10.00" || by["JPY"].String() != "1500" {
		t.Errorf("by currency %v", by)
	}
	if got := warnings(d); !strings.Contains(got, "several_currencies") {
		t.Errorf("warnings %q", got)
	}
	d = p.dashboard(t, "from=2024-03-01&to=2024-03-01&currency=JPY")
	if got := brief(d.Totals.Figures); got != "1 1 1500 1500" || *d.Currency != "JPY" || !strings.Contains(warnings(d), "other_currencies") {
		t.Errorf("in yen %s, %q", got, warnings(d))
	}
	if got := brief(p.dashboard(t, "from=2024-03-01&to=2024-03-01&currency=USD").Totals.Figures); got != "1 1 10.00 10.00" {
		t.Errorf("in dollars %s", got)
	}
	d = p.dashboard(t, "from=2024-03-01&to=2024-03-01&currency=CHF")
	if got := brief(d.Totals.Figures); got != "0 0 0.00 null" {
		t.Errorf("in francs %s", got)
	}
	// Where the orders shown and those compared with have one currency, the answer is in it.
	if d = p.dashboard(t, "from=2024-03-05&to=2024-03-05"); d.Currency == nil || *d.Currency != "USD" {
		t.Errorf("currency %v", d.Currency)
	}
}

func TestDefaults(t *testing.T) {
	p, _ := single(t)
	p.clock.set("2021-08-25T22:30:00Z")
	for _, tt := range []struct{ query, want string }{
		{"", "2021-07-26 2021-08-24 day UTC monday"},
		{"tz=Europe/Berlin", "2021-07-27 2021-08-25 day Europe/Berlin monday"}, // the 26th there
		{"from=2021-08-01", "2021-08-01 2021-08-25 day UTC monday"},
		{"to=2021-08-10", "2021-07-12 2021-08-10 day UTC monday"},
		{"from=2021-03-01&to=2021-08-30", "2021-03-01 2021-08-30 week UTC monday"},
		{"from=2019-01-01&to=2021-08-24&week_start=sunday", "2019-01-01 2021-08-24 month UTC sunday"},
		{"from=2012-01-01&to=2021-08-24", "2012-01-01 2021-08-24 quarter UTC monday"},
		{"from=1900-01-01&to=2021-08-24", "1900-01-01 2021-08-24 year UTC monday"},
	} {
		d := p.dashboard(t, tt.query)
		if got := fmt.Sprint(d.From, d.To, " ", d.Granularity, " ", d.TimeZone, " ", d.WeekStart); strings.Join(strings.Fields(got), " ") != tt.want {
			t.Errorf("%q is %s, want %s", tt.query, got, tt.want)
		}
	}
}

func TestBadQuestions(t *testing.T) {
	p, _ := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-01", "2024-03-01")
	for _, tt := range []struct{ query, code string }{
		{"from=2024-03-02&to=2024-03-01", analyticsapi.CodeReversedRange},
		{"tz=Mars/Olympus", analyticsapi.CodeInvalidTimeZone},
		{"tz=Local", analyticsapi.CodeInvalidTimeZone},
		{"tz=../../etc/passwd", analyticsapi.CodeInvalidTimeZone},
		{"from=0001-01-01&to=9999-12-31&granularity=day", analyticsapi.CodeTooManyBuckets},
		{"from=5000-01-01&to=9999-12-31&granularity=year", "validation_failed"},
		{"from=0001-01-01&to=2024-12-31&granularity=year", "validation_failed"},
		{"from=2024-02-30&to=2024-03-01", ""},
		{"from=yesterday", ""},
		{"to=2024-3-1", ""},
		{"from=0000-01-01&to=2024-03-01", "validation_failed"},
		{"granularity=fortnight", ""},
		{"week_start=someday", ""},
		{"currency=usd", ""},
		{"currency=DOLLARS", ""},
		{"compare=lately", ""},
		{"form=2024-03-01", ""},
	} {
		w := p.get(t, organization, tt.query)
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), tt.code) {
			t.Errorf("%s: %d %s, want 422 %s", tt.query, w.Code, w.Body, tt.code)
		}
	}
}

func TestETag(t *testing.T) {
	p, s := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-01", "2024-03-01")
	ask := func(query, known string) (int, string) {
		w := p.get(t, organization, query, "If-None-Match", known)
		if w.Code == http.StatusNotModified && w.Body.Len() > 0 {
			t.Errorf("%s: 304 with a body", query)
		}
		return w.Code, w.Header().Get("ETag")
	}
	_, etag := ask("from=2024-03-01&to=2024-03-01", "")
	for _, known := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		if code, again := ask("from=2024-03-01&to=2024-03-01", known); code != http.StatusNotModified || again != etag {
			t.Errorf("%s: %d %s", known, code, again)
		}
	}
	if code, _ := ask("from=2024-03-01&to=2024-03-01&tz=Asia/Kathmandu", etag); code != http.StatusOK {
		t.Error("another question has the same ETag")
	}
	p.clock.set("2026-01-16T08:00:00Z")
	if code, _ := ask("from=2024-03-01&to=2024-03-01", etag); code != http.StatusNotModified {
		t.Error("time changes the ETag of what is past")
	}
	_, running := ask("from=2024-03-01&to=2026-01-16", "")
	p.clock.set("2026-01-16T08:01:00Z")
	if code, _ := ask("from=2024-03-01&to=2026-01-16", running); code != http.StatusOK {
		t.Error("the ETag of a running range outlives the minute")
	}
	s.add(organization, order(2, "2024-03-01T12:00:00Z", "bob", 1))
	p.changed(t, "2024-03-01", "2024-03-01")
	if code, _ := ask("from=2024-03-01&to=2024-03-01", etag); code != http.StatusOK {
		t.Error("new data has the old ETag")
	}
}

func TestOrganizationsAreApart(t *testing.T) {
	p, s := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	s.add("org-2", order(1, "2024-03-01T10:00:00Z", "eve", 7), order(2, "2024-03-01T10:00:00Z", "eve", 7))
	p.changed(t, "2024-03-01", "2024-03-01")
	if err := p.tell(t.Context(), "org-2", "2024-03-01", "2024-03-01"); err != nil {
		t.Fatal(err)
	}
	for organization, want := range map[string]string{
		organization: `"orders":1,"customers":1,"revenue":10.00`, "org-2": `"orders":2,"customers":1,"revenue":0.14`, "org-3": `"orders":null`,
	} {
		w := p.get(t, organization, "from=2024-03-01&to=2024-03-01")
		if w.Code != http.StatusOK || strings.Count(w.Body.String(), want) < 2 {
			t.Errorf("%s sees %d %s, want %s", organization, w.Code, w.Body, want)
		}
	}
	if w := p.get(t, "", ""); w.Code == http.StatusOK {
		t.Error("nobody's dashboard is shown")
	}
}

func TestSumsOfPartsMatch(t *testing.T) {
	p, _ := single(t, cdnow(t)...)
	p.changed(t, "1997-01-01", "1998-06-30")
	whole := p.dashboard(t, "from=1997-01-01&to=1998-06-30&granularity=year&tz=UTC")
	for _, granularity := range []string{"day", "week", "month", "quarter"} {
		d := p.dashboard(t, "from=1997-01-01&to=1998-06-30&tz=UTC&granularity="+granularity)
		var orders, minor, customers int64
		for _, b := range d.Series {
			orders += *b.Orders
			minor += b.Revenue.Minor
			customers += *b.Customers
		}
		if orders != *whole.Totals.Orders || minor != whole.Totals.Revenue.Minor || *d.Totals.Customers != *whole.Totals.Customers {
			t.Errorf("by %s: %d orders, %d cents, %d customers", granularity, orders, minor, *d.Totals.Customers)
		}
		if cmp.Compare(customers, *whole.Totals.Customers) <= 0 {
			t.Errorf("by %s customers add up to %d; none came twice", granularity, customers)
		}
	}
}
