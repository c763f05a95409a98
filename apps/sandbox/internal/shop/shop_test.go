package shop_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
)

func TestAmount(t *testing.T) {
	for in, want := range map[string]string{"29.33": "29.33", "10.00": "10.0", "57.50": "57.5", "0": "0.0", "-1.25": "-1.25", "0.0001": "0.0001", "1000": "1000.0", "5.005": "5.005"} {
		if a, err := shop.ParseAmount(in); err != nil || a.String() != want {
			t.Errorf("%s: %v, %v, want %s", in, a, err, want)
		}
	}
	for _, in := range []string{"", ".", "1.", ".5", "1.23456", "1e3", "--1", "+1", "1,5", "1.-5", "99999999999999"} {
		if a, err := shop.ParseAmount(in); err == nil {
			t.Errorf("%q: no error but %v", in, a)
		}
	}
}

const header = "order_id,customer_id,ordered_at,items,total,currency\n"

func TestReadErrorsNameTheLine(t *testing.T) {
	good := "1,1,2024-01-01T00:00:00Z,1,1.00,USD\n"
	for name, tt := range map[string]struct{ content, want string }{
		"empty":            {"", "header"},
		"other header":     {"id,b,c,d,e,f\n", "header"},
		"no orders":        {header, "no orders"},
		"bad id":           {header + good + "x,1,2024-01-01T00:00:00Z,1,1.00,USD\n", "line 3: order_id"},
		"bad customer":     {header + "1,-1,2024-01-01T00:00:00Z,1,1.00,USD\n", "line 2: customer_id"},
		"bad time":         {header + "1,1,2024-01-01,1,1.00,USD\n", "line 2: ordered_at"},
		"bad items":        {header + "1,1,2024-01-01T00:00:00Z,-1,1.00,USD\n", "line 2: items"},
		"bad total":        {header + "1,1,2024-01-01T00:00:00Z,1,1e2,USD\n", "line 2: amount"},
		"bad currency":     {header + "1,1,2024-01-01T00:00:00Z,1,1.00,usd\n", "line 2: currency"},
		"mixed currencies": {header + good + "2,1,2024-01-01T00:00:00Z,1,1.00,EUR\n", "line 3: currency EUR differs"},
		"short row":        {header + "1,1\n", "line 2"},
		"twice":            {header + good + good, "order id 1 appears twice"},
	} {
		if _, err := shop.Read(strings.NewReader(tt.content)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.want)
		}
	}
}

func TestReadDerivesCustomers(t *testing.T) {
	data, err := shop.Read(strings.NewReader(header +
		"2,5,2024-02-01T00:00:00+01:00,1,1.50,EUR\n1,5,2024-01-01T00:00:00Z,2,2.25,EUR\n3,4,2024-01-01T00:00:00Z,1,0.00,EUR\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(data.Orders) != 3 || data.Orders[0].ID != 1 || data.Orders[1].CreatedAt.Format(time.RFC3339) != "2024-01-31T23:00:00Z" {
		t.Errorf("orders are sorted by id and in UTC: %+v", data.Orders)
	}
	c := data.Customers[1]
	if len(data.Customers) != 2 || c.ID != 5 || c.Orders != 2 || c.Spent.String() != "3.75" || c.CreatedAt.Month() != time.January || c.CreatedAt.Day() != 1 {
		t.Errorf("customers: %+v", c)
	}
}

func generated(seed uint64, now time.Time) shop.Data {
	return shop.Generate(shop.DefaultParameters(seed, "demo", "USD", now))
}

var today = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func TestGeneratedOrdersAgree(t *testing.T) {
	data := generated(1, today)
	from, to := data.Parameters.From, data.Parameters.To
	if to.Format(time.RFC3339) != "2026-11-22T00:00:00Z" || to.Sub(from) != 730*24*time.Hour {
		t.Errorf("window %v to %v", from, to)
	}
	weekdays, repeats, cancelled, refunded := [7]int{}, 0, 0, 0
	seen := map[int64]bool{}
	for i, o := range data.Orders {
		if i > 0 && (o.ID <= data.Orders[i-1].ID || o.CreatedAt.Before(data.Orders[i-1].CreatedAt)) {
			t.Fatalf("order %d does not follow the one before in id and time", o.ID)
		}
		if o.CreatedAt.Before(from) || !o.UpdatedAt.Before(to) || o.UpdatedAt.Before(o.CreatedAt) {
			t.Fatalf("times of %+v", o)
		}
		if o.Total != o.Subtotal+o.Shipping+o.Tax || o.Total <= 0 || o.Refunded < 0 || o.Refunded > o.Total || o.Items < 1 || o.Total%100 != 0 || o.Refunded%100 != 0 {
			t.Fatalf("money of %+v", o)
		}
		if (o.Status == shop.Paid) != (o.Refunded == 0) || (!o.CancelledAt.IsZero() && o.Status != shop.Refunded) {
			t.Fatalf("status of %+v", o)
		}
		weekdays[o.CreatedAt.Weekday()]++
		if seen[o.CustomerID] {
			repeats++
		}
		seen[o.CustomerID] = true
		if !o.CancelledAt.IsZero() {
			cancelled++
		} else if o.Refunded > 0 {
			refunded++
		}
	}
	n := float64(len(data.Orders))
	if len(seen) != len(data.Customers) {
		t.Errorf("%d customers ordered, %d listed", len(seen), len(data.Customers))
	}
	share := func(name string, got, low, high float64) {
		if got < low || got > high {
			t.Errorf("%s is %.4f, want %.4f to %.4f", name, got, low, high)
		}
	}
	share("repeat orders", float64(repeats)/n, 0.25, 0.75)
	share("cancelled", float64(cancelled)/n, 0.015, 0.025)
	share("refunded", float64(refunded)/n, 0.022, 0.038)
	share("Sunday over Tuesday", float64(weekdays[0])/float64(weekdays[2]), 1.1, 1.5)
}

// TestArrivals compares the new customers with the process they are drawn from.
func TestArrivals(t *testing.T) {
	data := generated(3, today)
	p := data.Parameters
	mean := media(t, *p)
	for at := p.From; at.Before(p.To); at = at.Add(24 * time.Hour) {
		years := at.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Hours() / 24 / 365.25
		mean += p.NewPerDay * math.Pow(1+p.Growth, years) * p.WeekdayWeights[at.Weekday()] * p.MonthWeights[at.Month()-1]
	}
	if got := float64(len(data.Customers)); math.Abs(got-mean) > 4*math.Sqrt(mean) {
		t.Errorf("%.0f customers, the process expects %.0f ± %.0f", got, mean, math.Sqrt(mean))
	}
}

// media is what advertising brings in the window, computed from what the platforms say of spend.
func media(t *testing.T, p shop.Parameters) (brought float64) {
	t.Helper()
	const before = 60 // days, of which nothing is left
	for _, m := range p.Media {
		x := 0.0
		for at := p.From.AddDate(0, 0, -before); at.Before(p.To); at = at.AddDate(0, 0, 1) {
			x *= m.Carryover
			for _, c := range p.Campaigns(m.Platform) {
				spend, err := strconv.ParseFloat(p.Day(c, at, at).Spend.String(), 64)
				if err != nil {
					t.Fatal(err)
				}
				x += spend
			}
			if !at.Before(p.From) {
				brought += m.MaxCustomers * x / (m.HalfSaturation + x)
			}
		}
	}
	return brought
}

// A day of a campaign is the same whenever it is asked for, but for conversions, which come to light for a week.
func TestCampaignDaysAgree(t *testing.T) {
	p := shop.DefaultParameters(1, "demo", "USD", today)
	later := shop.DefaultParameters(1, "demo", "USD", today.AddDate(0, 1, 0))
	day := p.To.AddDate(0, 0, -1)
	ended := 0
	for _, m := range p.Media {
		campaigns := p.Campaigns(m.Platform)
		if len(campaigns) != m.Campaigns {
			t.Errorf("%s has %d campaigns, want %d", m.Platform, len(campaigns), m.Campaigns)
		}
		for i, c := range campaigns {
			if other := later.Campaigns(m.Platform)[i]; other != c {
				t.Errorf("a month later %+v is %+v", c, other)
			}
			if !c.To.IsZero() {
				ended++
				if d := p.Day(c, c.To, today); d != (shop.CampaignDay{}) {
					t.Errorf("%s has %+v after its end", c.Name, d)
				}
				continue
			}
			first, last := p.Day(c, day, day), p.Day(c, day, day.AddDate(0, 0, 8))
			if first.Spend == 0 || first.Impressions == 0 || first.Spend != last.Spend || first.Clicks != last.Clicks || first.Conversions > last.Conversions {
				t.Errorf("%s says %+v, a week later %+v", c.Name, first, last)
			}
			if last != p.Day(c, day, day.AddDate(0, 2, 0)) || last != later.Day(c, day, day.AddDate(0, 2, 0)) {
				t.Errorf("%s does not stay at %+v", c.Name, last)
			}
		}
	}
	if ended == 0 {
		t.Error("no campaign has ended")
	}
}

func TestGenerationRepeats(t *testing.T) {
	a, b := generated(1, today), generated(1, today.Add(5*time.Hour))
	if len(a.Orders) != len(b.Orders) {
		t.Fatalf("%d and %d orders from the same seed and day", len(a.Orders), len(b.Orders))
	}
	for i := range a.Orders {
		if *a.Orders[i] != *b.Orders[i] {
			t.Fatalf("order %d: %+v and %+v", i, a.Orders[i], b.Orders[i])
		}
	}
}

// TestLaterWindowKeepsOrders restarts the sandbox a week later: orders that both
// windows hold are the same, except that a cancellation or refund may have come.
func TestLaterWindowKeepsOrders(t *testing.T) {
	before := generated(1, today)
	byID := map[int64]*shop.Order{}
	later := generated(1, today.Add(7*24*time.Hour))
	for _, o := range later.Orders {
		byID[o.ID] = o
	}
	lost := 0
	for _, o := range before.Orders {
		l, kept := byID[o.ID]
		if !kept || l.CustomerID != o.CustomerID || l.Total != o.Total {
			lost++
		}
	}
	// Customers born in the week that left the window take their orders along.
	if limit := len(before.Orders) / 50; lost > limit {
		t.Errorf("%d of %d orders lost, more than %d", lost, len(before.Orders), limit)
	}
	if len(later.Orders) == 0 || !later.Orders[len(later.Orders)-1].CreatedAt.After(before.Parameters.To) {
		t.Error("no new orders in the new week")
	}
}

func TestWithChangesACopy(t *testing.T) {
	data := generated(1, today)
	first := *data.Orders[0]
	first.Total += 10_000
	added := &shop.Order{ID: 1, CustomerID: 1, CreatedAt: today, UpdatedAt: today, Total: 5, Currency: "USD", Status: shop.Paid}
	changed := data.With([]*shop.Order{&first, added})
	if len(changed.Orders) != len(data.Orders)+1 || changed.Orders[0] != added || changed.Orders[1].Total != data.Orders[0].Total+10_000 || len(changed.Customers) != len(data.Customers)+1 {
		t.Errorf("%d orders after adding to %d", len(changed.Orders), len(data.Orders))
	}
	if data.Orders[0].Total == first.Total {
		t.Error("the receiver changed")
	}
}

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		generated(1, today)
	}
}
