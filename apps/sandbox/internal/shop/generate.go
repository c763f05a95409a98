package shop

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Parameters are what a generated shop is made from. They are the truth that an
// analysis of the shop's orders can be measured against.
//
// New customers arrive by a Poisson process whose daily mean is NewPerDay, times
// MonthWeights, WeekdayWeights and the yearly Growth, plus those that advertising
// brings (see Media). They buy again as in the
// BG/NBD model (Fader, Hardie, Lee 2005): a customer's purchase rate per day is
// drawn from Gamma(R, rate Alpha), and after each purchase the customer leaves
// for good with a probability drawn from Beta(A, B). A repeat purchase may wait
// a few days for a better weekday.
type Parameters struct {
	Seed     uint64    `json:"seed"`
	Shop     string    `json:"shop"`
	From     time.Time `json:"from"` // inclusive, start of a UTC day
	To       time.Time `json:"to"`   // exclusive, start of a UTC day
	Currency string    `json:"currency"`

	NewPerDay      float64     `json:"new_customers_per_day"`
	Growth         float64     `json:"growth_per_year"`
	WeekdayWeights [7]float64  `json:"weekday_weights_from_sunday"`
	MonthWeights   [12]float64 `json:"month_weights_from_january"`
	R              float64     `json:"bgnbd_r"`
	Alpha          float64     `json:"bgnbd_alpha_days"`
	A              float64     `json:"bgnbd_a"`
	B              float64     `json:"bgnbd_b"`
	DiscountShare  float64     `json:"discount_share"`
	DiscountRate   float64     `json:"discount_rate"`
	CancelledShare float64     `json:"cancelled_share"`
	RefundedShare  float64     `json:"refunded_share"`
	TestShare      float64     `json:"test_share"`
	TaxRate        float64     `json:"tax_rate"`
	Media          []Media     `json:"media"`
}

const (
	day         = 24 * time.Hour
	historyDays = 730
	catalogue   = 24
)

// DefaultParameters are those of a small growing shop whose two years of history
// end with the UTC day before now.
func DefaultParameters(seed uint64, name, currency string, now time.Time) Parameters {
	to := time.Unix(now.Unix()/86400*86400, 0).UTC()
	return Parameters{
		Seed: seed, Shop: name, From: to.Add(-historyDays * day), To: to, Currency: currency,
		NewPerDay: 5, Growth: 0.25, Media: defaultMedia(),
		WeekdayWeights: [7]float64{1.15, 0.95, 0.9, 0.9, 0.95, 1.05, 1.1},
		MonthWeights:   [12]float64{0.85, 0.85, 0.95, 0.95, 1, 0.95, 0.85, 0.9, 1, 1.05, 1.45, 1.35},
		R:              0.8, Alpha: 40, A: 0.9, B: 2.2,
		DiscountShare: 0.12, DiscountRate: 0.1, CancelledShare: 0.02, RefundedShare: 0.03, TestShare: 0.003, TaxRate: 0.08,
	}
}

// Generate makes the shop of the parameters. The same parameters give the same
// shop. Every day's new customers and every customer's orders have random numbers
// of their own, so a later window changes no order that both windows hold.
func Generate(p Parameters) Data {
	data := Data{Source: "generated", Currency: p.Currency, Parameters: &p}
	data.Products = products(p)
	brought := p.brought(p.From, p.To)
	for at := p.From; at.Before(p.To); at = at.Add(day) {
		births := poisson(p.stream("births", at.Unix(), 0), p.mean(at)+brought[int(at.Sub(p.From)/day)])
		for i := range births {
			data.Orders = append(data.Orders, p.customer(at, i, data.Products)...)
		}
	}
	slices.SortFunc(data.Orders, func(a, b *Order) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.CustomerID, b.CustomerID), cmp.Compare(a.ID, b.ID))
	})
	// The id carries the time so that it grows with it and outlives a moved window.
	for i, o := range data.Orders {
		o.ID = o.CreatedAt.Unix() * 100
		if i > 0 && o.ID <= data.Orders[i-1].ID {
			o.ID = data.Orders[i-1].ID + 1
		}
		o.Name = fmt.Sprintf("#%d", o.ID)
	}
	data.Customers = customersOf(data.Orders)
	return data
}

// stream is the source of random numbers of one thing in the shop.
func (p Parameters) stream(kind string, a int64, b int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%s/%d/%d", p.Shop, kind, a, b)
	return rand.New(rand.NewPCG(p.Seed, h.Sum64()))
}

func (p Parameters) mean(at time.Time) float64 {
	// Growth counts from a fixed date, not from the window, for the sake of days that two windows share.
	years := at.Sub(time.Unix(growthEpoch, 0)).Hours() / 24 / 365.25
	return p.NewPerDay * math.Pow(1+p.Growth, max(-8, min(8, years))) *
		p.WeekdayWeights[at.Weekday()] * p.MonthWeights[at.Month()-1]
}

const growthEpoch = 1767225600 // 2026-01-01T00:00:00Z

// customer is everything that the i-th customer born on a day ever buys before
// the window ends.
func (p Parameters) customer(birth time.Time, i int, products []*Product) []*Order {
	rng := p.stream("customer", birth.Unix(), i)
	id := birth.Unix()/86400*1000 + int64(i) + 1
	rate := gamma(rng, p.R) / p.Alpha
	leave := gamma(rng, p.A)
	leave /= leave + gamma(rng, p.B)
	var orders []*Order
	for at := birth.Add(timeOfDay(rng)); at.Before(p.To); {
		o := p.order(rng, at, products)
		o.CustomerID = id
		orders = append(orders, o)
		gap := rng.ExpFloat64() / rate
		if rng.Float64() < leave || gap > 10*historyDays {
			break
		}
		next := at.Add(time.Duration(gap * float64(day)))
		for range 6 {
			if rng.Float64() < p.WeekdayWeights[next.Weekday()]/1.2 {
				break
			}
			next = next.Add(day)
		}
		midnight := time.Unix(next.Unix()/86400*86400, 0).UTC()
		if next = midnight.Add(timeOfDay(rng)); !next.After(at) {
			next = at.Add(time.Hour)
		}
		at = next
	}
	return orders
}

// timeOfDay is a whole second, seldom at night and most often in the evening.
func timeOfDay(rng *rand.Rand) time.Duration {
	hour := 19 + 4.5*rng.NormFloat64()
	if rng.Float64() < 0.4 {
		hour = 12 + 2.5*rng.NormFloat64()
	}
	seconds := math.Mod(hour*3600+2*86400, 86400)
	return time.Duration(seconds) * time.Second
}

func (p Parameters) order(rng *rand.Rand, at time.Time, products []*Product) *Order {
	o := &Order{CreatedAt: at, UpdatedAt: at, Status: Paid, Currency: p.Currency}
	for range 1 + min(3, int(rng.ExpFloat64()*0.9)) {
		quantity := 1 + min(4, int(rng.ExpFloat64()*0.5))
		// The square favours the first products of the catalogue: few sell much.
		choice := rng.Float64()
		o.Subtotal += products[int(choice*choice*float64(len(products)))].Price * Amount(quantity)
		o.Items += quantity
	}
	if rng.Float64() < p.DiscountShare {
		o.Discounts = cents(float64(o.Subtotal) * p.DiscountRate)
		o.Subtotal -= o.Discounts
	}
	if o.Subtotal < 50*amountScale {
		o.Shipping = 49500
	}
	o.Tax = cents(float64(o.Subtotal) * p.TaxRate)
	o.Total = o.Subtotal + o.Shipping + o.Tax
	o.Test = rng.Float64() < p.TestShare
	fate, delay, part := rng.Float64(), rng.Float64(), rng.Float64()
	switch {
	case fate < p.CancelledShare:
		if cancelled := at.Add(time.Duration(delay*86400) * time.Second); cancelled.Before(p.To) {
			o.CancelledAt, o.UpdatedAt = cancelled, cancelled
			o.Status, o.Refunded = Refunded, o.Total
		}
	case fate < p.CancelledShare+p.RefundedShare:
		if refunded := at.Add(time.Duration((1+20*delay)*86400) * time.Second); refunded.Before(p.To) {
			o.UpdatedAt = refunded
			o.Status, o.Refunded = Refunded, o.Total
			if part < 0.5 {
				o.Status, o.Refunded = PartiallyRefunded, max(100, cents(float64(o.Total)*part))
			}
		}
	}
	return o
}

// cents rounds to a hundredth of the major unit.
func cents(ten4 float64) Amount { return Amount(math.RoundToEven(ten4/100)) * 100 }

func products(p Parameters) []*Product {
	rng := p.stream("products", 0, 0)
	materials := []string{"Linen", "Oak", "Copper", "Wool", "Clay", "Cork"}
	things := []string{"Lamp", "Bowl", "Blanket", "Tray"}
	list := make([]*Product, catalogue)
	for i := range list {
		title := materials[i%len(materials)] + " " + things[i/len(materials)]
		at := time.Unix(growthEpoch, 0).UTC().Add(-time.Duration(1200+10*i) * day)
		list[i] = &Product{
			ID: int64(7001 + i), Title: title, Handle: strings.ToLower(strings.ReplaceAll(title, " ", "-")),
			Vendor: "Sandbox Goods", Type: things[i/len(materials)],
			Price:     Amount(8+rng.IntN(90))*amountScale + 9900,
			CreatedAt: at, UpdatedAt: at,
		}
	}
	return list
}

// poisson draws by Knuth's product method, fit for small means.
func poisson(rng *rand.Rand, mean float64) int {
	n, product, limit := 0, rng.Float64(), math.Exp(-mean)
	for product > limit {
		n++
		product *= rng.Float64()
	}
	return n
}

// gamma draws from Gamma(shape, 1) by Marsaglia and Tsang (2000), with their
// boost for shapes under one.
func gamma(rng *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gamma(rng, shape+1) * math.Pow(1-rng.Float64(), 1/shape)
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := rng.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-rng.Float64()) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
