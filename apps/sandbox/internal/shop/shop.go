// Package shop holds the data of one simulated shop: products, customers and
// orders that agree with each other. A shop is either generated from a seed or
// read from a file of orders. The package knows nothing of any vendor's API, so
// every simulator that needs a shop can show the same one.
package shop

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Amount is money in ten-thousandths of the currency's major unit: 29.33 USD is
// 293300. The scale holds every ISO 4217 currency without a table of exponents.
type Amount int64

const amountScale = 10_000

// ParseAmount reads a plain decimal number with at most four decimals and no
// exponent, such as "29.33" or "-5".
func ParseAmount(s string) (Amount, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if whole == "" || (dotted && fraction == "") || len(fraction) > 4 || len(whole) > 13 {
		return 0, fmt.Errorf("amount %q is not a decimal number with at most four decimals", s)
	}
	n, err := strconv.ParseUint(whole+fraction+strings.Repeat("0", 4-len(fraction)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("amount %q is not a decimal number: %w", s, err)
	}
	if negative {
		return -Amount(n), nil
	}
	return Amount(n), nil
}

// String writes the amount with as few decimals as it needs but at least one,
// which is how Shopify writes decimals: 29.33, 57.5, 10.0.
func (a Amount) String() string {
	var digits []byte
	if a < 0 {
		digits, a = append(digits, '-'), -a
	}
	digits = strconv.AppendInt(digits, int64(a/amountScale), 10)
	digits = append(digits, '.')
	fraction := int64(a % amountScale)
	for unit := int64(amountScale / 10); ; unit /= 10 {
		digits = append(digits, byte('0'+fraction/unit))
		if fraction %= unit; fraction == 0 {
			return string(digits)
		}
	}
}

// Product is something the shop sells.
type Product struct {
	ID        int64
	Title     string
	Handle    string
	Vendor    string
	Type      string
	Price     Amount
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Customer is somebody who ordered. Orders and Spent count all of the customer's
// orders, also cancelled ones and tests.
type Customer struct {
	ID        int64
	FirstName string
	LastName  string
	Email     string
	CreatedAt time.Time
	UpdatedAt time.Time
	Orders    int
	Spent     Amount
}

// Financial statuses of an order, in Shopify's words.
const (
	Paid              = "PAID"
	PartiallyRefunded = "PARTIALLY_REFUNDED"
	Refunded          = "REFUNDED"
	Voided            = "VOIDED"
	Pending           = "PENDING"
)

// Order is one purchase. Total is Subtotal plus Shipping plus Tax, and Subtotal
// is after Discounts; a refund changes Refunded and leaves the others alone.
// All times are UTC. A zero CancelledAt means not cancelled, a zero CustomerID
// an order without a customer.
type Order struct {
	ID          int64
	Name        string
	CustomerID  int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
	CancelledAt time.Time
	Status      string
	Currency    string
	Items       int
	Subtotal    Amount
	Discounts   Amount
	Shipping    Amount
	Tax         Amount
	Total       Amount
	Refunded    Amount
	Test        bool
}

// Data is everything in one shop. Its slices are sorted by id and shared: whoever
// changes a shop changes a copy.
type Data struct {
	Source    string // "generated" or "file"
	Currency  string
	Products  []*Product
	Customers []*Customer
	Orders    []*Order
	// Parameters is what the generator was given, nil for a file.
	Parameters *Parameters
}

// NewCustomer returns the customer that an order with an unknown customer id
// brings along. Name and address follow from the id alone.
func NewCustomer(id int64, at time.Time) *Customer {
	n := uint64(id)
	return &Customer{
		ID:        id,
		FirstName: firstNames[n%uint64(len(firstNames))],
		LastName:  lastNames[n/uint64(len(firstNames))%uint64(len(lastNames))],
		Email:     fmt.Sprintf("customer%d@example.com", id),
		CreatedAt: at,
		UpdatedAt: at,
	}
}

// customersOf derives the customers from their orders, sorted by id.
func customersOf(orders []*Order) []*Customer {
	byID := map[int64]*Customer{}
	for _, o := range orders {
		if o.CustomerID == 0 {
			continue
		}
		c, known := byID[o.CustomerID]
		if !known {
			c = NewCustomer(o.CustomerID, o.CreatedAt)
			byID[o.CustomerID] = c
		}
		c.Orders++
		c.Spent += o.Total
		if o.CreatedAt.Before(c.CreatedAt) {
			c.CreatedAt = o.CreatedAt
		}
		if o.UpdatedAt.After(c.UpdatedAt) { // a customer's count and sum change with their orders
			c.UpdatedAt = o.UpdatedAt
		}
	}
	customers := make([]*Customer, 0, len(byID))
	for _, c := range byID {
		customers = append(customers, c)
	}
	slices.SortFunc(customers, func(a, b *Customer) int { return cmp.Compare(a.ID, b.ID) })
	return customers
}

var (
	firstNames = []string{"Ada", "Bruno", "Chloe", "Dmitri", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Keiko", "Liam", "Mara", "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Samir", "Tessa"}
	lastNames  = []string{"Abel", "Brandt", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Hansen", "Ito", "Jensen", "Kowalski", "Larsen", "Moreau", "Novak", "Olsen", "Petrov", "Quist", "Rossi", "Silva", "Tanaka"}
)

// With returns the data with the given orders added, or put in the place of those
// with the same id, and with its customers derived anew. The receiver stays as it
// was.
func (d Data) With(changed []*Order) Data {
	d.Orders = with(d.Orders, changed, func(o *Order) int64 { return o.ID })
	d.Customers = customersOf(d.Orders)
	return d
}

// WithProducts is With for products.
func (d Data) WithProducts(changed []*Product) Data {
	d.Products = with(d.Products, changed, func(p *Product) int64 { return p.ID })
	return d
}

func with[R any](all, changed []R, id func(R) int64) []R {
	byID := make(map[int64]R, len(all)+len(changed))
	for _, r := range slices.Concat(all, changed) {
		byID[id(r)] = r
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b R) int { return cmp.Compare(id(a), id(b)) })
}
