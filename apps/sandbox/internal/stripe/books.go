package stripe

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
	"github.com/tandemhq/tandem/pkg/money"
)

// day is a day in seconds.
const day = 86400

// eventTypes are the types of events that there are of charges, refunds and customers (the enumeration of webhook endpoints' events
// in the OpenAPI document).
var eventTypes = []string{
	"charge.captured", "charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn", "charge.dispute.updated",
	"charge.expired", "charge.failed", "charge.pending", "charge.refund.updated", "charge.refunded", "charge.succeeded", "charge.updated",
	"customer.created", "customer.deleted", "customer.updated", "refund.created", "refund.failed", "refund.updated",
}

// charge is an order as Stripe knows it.
type charge struct {
	*shop.Order
	email, name string
	digits      int
	dispute     *dispute
}

func (c *charge) key() string { return fmt.Sprintf("ch_%d", c.ID) }
func (c *charge) at() int64   { return c.CreatedAt.Unix() }

// units is an amount in Stripe's smallest unit.
func (c *charge) units(a shop.Amount) int64 { return units(a, c.digits) }

// units is an amount, none of which is negative, in units of so many decimals, rounded.
func units(a shop.Amount, digits int) int64 {
	for range digits {
		a *= 10
	}
	return int64((a + 5_000) / 10_000)
}

// digitsOf are the decimals of amounts in Stripe's API (docs.stripe.com/currencies#zero-decimal and #three-decimal).
func digitsOf(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "JOD", "KWD", "OMR", "TND":
		return 3
	}
	return 2
}

// fee is what Stripe keeps of a charge, here 3 %, as a whole number of ISO 4217's minor unit.
func (c *charge) fee() shop.Amount {
	part := shop.Amount(10_000)
	for range money.MinorDigits(c.Currency) {
		part /= 10
	}
	return c.Total * 3 / 100 / part * part
}

// dispute is a payment that the payer's bank takes back. About every 400th charge has one, after 10 days, which is closed 30 days later; half
// of them are won.
type dispute struct {
	*charge
	won bool
}

func (d *dispute) key() string   { return fmt.Sprintf("dp_%d", d.ID) }
func (d *dispute) at() int64     { return d.CreatedAt.Unix() + 10*day }
func (d *dispute) closed() int64 { return d.at() + 30*day }

func (d *dispute) status(now int64) string {
	switch {
	case now < d.closed():
		return "needs_response"
	case d.won:
		return "won"
	}
	return "lost"
}

func (d *dispute) show(now int64) any {
	return map[string]any{
		"id": d.key(), "object": "dispute", "charge": d.charge.key(), "amount": d.units(d.Total), "currency": strings.ToLower(d.Currency), "created": d.at(),
		"livemode": true, "reason": "fraudulent", "status": d.status(now), "metadata": map[string]string{},
	}
}

// show is a charge as it is at a time.
func (c *charge) show(now int64, expanded bool) map[string]any {
	refunded := c.Refunded
	if now < c.UpdatedAt.Unix() {
		refunded = 0
	}
	status, captured := "succeeded", true
	switch c.Status {
	case shop.Pending:
		status, captured = "pending", false
	case shop.Voided: // authorized, and given back before it was captured
		captured, refunded = false, c.Total
	}
	transaction := map[string]any{
		"id": fmt.Sprintf("txn_%d", c.ID), "object": "balance_transaction", "amount": c.units(c.Total), "fee": c.units(c.fee()), "net": c.units(c.Total) - c.units(c.fee()),
		"currency": strings.ToLower(c.Currency), "created": c.at(), "type": "charge", "source": c.key(),
	}
	out := map[string]any{
		"id": c.key(), "object": "charge", "amount": c.units(c.Total), "amount_captured": 0, "amount_refunded": c.units(refunded), "balance_transaction": nil,
		"billing_details": map[string]any{"email": nil, "name": nil}, "captured": captured, "created": c.at(), "currency": strings.ToLower(c.Currency), "customer": nil,
		"description": "Order " + c.Name, "disputed": c.dispute != nil && c.dispute.at() <= now, "failure_code": nil, "livemode": true,
		"metadata": map[string]string{"order_id": c.Name}, "paid": status == "succeeded", "payment_intent": fmt.Sprintf("pi_%d", c.ID),
		"payment_method_details": map[string]any{"type": "card", "card": map[string]any{"brand": "visa", "last4": "4242"}},
		"receipt_email":          nil, "refunded": refunded == c.Total, "status": status,
	}
	if captured {
		out["amount_captured"] = c.units(c.Total)
		out["balance_transaction"] = transaction["id"]
		if expanded {
			out["balance_transaction"] = transaction
		}
	}
	if c.CustomerID != 0 {
		out["customer"] = fmt.Sprintf("cus_%d", c.CustomerID)
		out["billing_details"] = map[string]any{"email": c.email, "name": c.name}
	}
	return out
}

type customer struct{ *shop.Customer }

func (c customer) key() string { return fmt.Sprintf("cus_%d", c.ID) }
func (c customer) at() int64   { return c.CreatedAt.Unix() }

func (c customer) show() any {
	return map[string]any{
		"id": c.key(), "object": "customer", "email": c.Email, "name": c.FirstName + " " + c.LastName, "created": c.at(), "currency": nil, "livemode": true,
		"balance": 0, "delinquent": false, "metadata": map[string]string{},
	}
}

// event is what happened at a time, with the object as it was then, in the form of then.
type event struct {
	kind   string
	about  string
	time   int64
	object any
}

func (e event) key() string {
	return fmt.Sprintf("evt_%s_%s", e.about, strings.ReplaceAll(e.kind, ".", "_"))
}
func (e event) at() int64 { return e.time }

func (e event) show() any {
	return map[string]any{
		"id": e.key(), "object": "event", "api_version": "2024-06-20", "created": e.time, "livemode": true, "pending_webhooks": 0, "type": e.kind,
		"data": map[string]any{"object": e.object},
	}
}

// book is what an account has, all of it newest first.
type book struct {
	of        **shop.Order
	charges   []*charge
	customers []customer
	disputes  []*dispute
	events    []event
}

// books keeps what was made of a shop until that changes.
type books struct {
	mu sync.Mutex
	of map[string]*book
}

// book is what an account has. Orders that try the shop out cost nothing, and there are no charges of nothing.
func (s *server) book(a *vendor.Account) *book {
	data, _ := s.Data(a.Name)
	var of **shop.Order // every change of the shop makes other slices
	if len(data.Orders) > 0 {
		of = &data.Orders[0]
	}
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	if known := s.books.of[a.Name]; known != nil && known.of == of {
		return known
	}
	b := &book{of: of}
	people := map[int64]*shop.Customer{}
	for _, c := range data.Customers {
		people[c.ID] = c
		b.customers = append(b.customers, customer{c})
		b.events = append(b.events, event{"customer.created", customer{c}.key(), c.CreatedAt.Unix(), customer{c}.show()})
	}
	for _, o := range data.Orders {
		if o.Test || o.Total <= 0 {
			continue
		}
		c := &charge{Order: o, digits: digitsOf(o.Currency)}
		if who := people[o.CustomerID]; who != nil {
			c.email, c.name = who.Email, who.FirstName+" "+who.LastName
		}
		if second := o.ID / 100; second%400 == 7 { // generated ids are a time in hundredths of a second
			c.dispute = &dispute{c, second/400%2 == 0}
			b.disputes = append(b.disputes, c.dispute)
		}
		b.charges = append(b.charges, c)
		b.events = append(b.events, c.events()...)
	}
	order(b.charges)
	order(b.customers)
	order(b.disputes)
	order(b.events)
	if s.books.of == nil {
		s.books.of = map[string]*book{}
	}
	s.books.of[a.Name] = b
	return b
}

// order sorts entries, newest first.
func order[E entry](all []E) {
	slices.SortFunc(all, func(a, b E) int { return cmp.Or(cmp.Compare(b.at(), a.at()), cmp.Compare(b.key(), a.key())) })
}

// events are what happens to a charge.
func (c *charge) events() []event {
	made := c.at()
	first := event{"charge.succeeded", c.key(), made, c.show(made, false)}
	if c.Status == shop.Pending {
		first.kind = "charge.pending"
	}
	all := []event{first}
	if changed := c.UpdatedAt.Unix(); changed > made {
		if c.Refunded > 0 {
			refund := map[string]any{"id": fmt.Sprintf("re_%d", c.ID), "object": "refund", "charge": c.key(), "created": changed, "status": "succeeded"}
			all = append(all, event{"charge.refunded", c.key(), changed, c.show(changed, false)}, event{"refund.created", c.key(), changed, refund})
		} else {
			all = append(all, event{"charge.updated", c.key(), changed, c.show(changed, false)})
		}
	}
	if d := c.dispute; d != nil {
		all = append(all, event{"charge.dispute.created", c.key(), d.at(), d.show(d.at())}, event{"charge.dispute.closed", c.key(), d.closed(), d.show(d.closed())})
	}
	return all
}

// until are the entries that are not in the future.
func until[E entry](all []E, now time.Time) []E {
	return all[sort.Search(len(all), func(i int) bool { return all[i].at() <= now.Unix() }):]
}

func (s *server) listCharges(a *vendor.Account, r *http.Request, q url.Values) vendor.Answer {
	now := s.Now()
	return pageOf(a, r, q, "charge", until(s.book(a).charges, now), func(c *charge) any { return c.show(now.Unix(), q.Has("expand[]")) })
}

func (s *server) oneCharge(a *vendor.Account, r *http.Request, q url.Values) vendor.Answer {
	now, id := s.Now(), r.PathValue("id")
	for _, c := range until(s.book(a).charges, now) {
		if c.key() == id {
			return vendor.OK(c.show(now.Unix(), q.Has("expand[]")))
		}
	}
	return missing("charge", id, "id")
}

func (s *server) listCustomers(a *vendor.Account, r *http.Request, q url.Values) vendor.Answer {
	return pageOf(a, r, q, "customer", until(s.book(a).customers, s.Now()), customer.show)
}

func (s *server) oneCustomer(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	id := r.PathValue("id")
	for _, c := range until(s.book(a).customers, s.Now()) {
		if c.key() == id {
			return vendor.OK(c.show())
		}
	}
	return missing("customer", id, "id")
}

func (s *server) listDisputes(a *vendor.Account, r *http.Request, q url.Values) vendor.Answer {
	now := s.Now()
	var some []*dispute
	for _, d := range until(s.book(a).disputes, now) {
		if of := q.Get("charge"); of == "" || of == d.charge.key() {
			some = append(some, d)
		}
	}
	return pageOf(a, r, q, "dispute", some, func(d *dispute) any { return d.show(now.Unix()) })
}

// listEvents has those of the last 30 days.
func (s *server) listEvents(a *vendor.Account, r *http.Request, q url.Values) vendor.Answer {
	now, types := s.Now(), q["types[]"]
	var some []event
	for _, e := range until(s.book(a).events, now) {
		if e.time < now.Unix()-30*day {
			break
		}
		if len(types) == 0 || slices.Contains(types, e.kind) {
			some = append(some, e)
		}
	}
	return pageOf(a, r, q, "event", some, event.show)
}

// balance is GET /v1/balance. What was charged in the last two days is pending, that of the five before can be paid out, and the rest
// has been.
func (s *server) balance(a *vendor.Account, _ *http.Request, _ url.Values) vendor.Answer {
	now := s.Now()
	data, _ := s.Data(a.Name)
	var available, pending int64
	for _, c := range until(s.book(a).charges, now) {
		if now.Unix()-c.at() >= 7*day {
			break
		}
		if net := c.units(c.Total) - c.units(c.fee()) - c.units(c.Refunded); now.Unix()-c.at() < 2*day {
			pending += net
		} else {
			available += net
		}
	}
	funds := func(amount int64) any {
		return []map[string]any{{"amount": amount, "currency": strings.ToLower(data.Currency), "source_types": map[string]int64{"card": amount}}}
	}
	return vendor.OK(map[string]any{"object": "balance", "livemode": true, "available": funds(available), "pending": funds(pending)})
}

// truth is what the platform has to say of an account.
func (s *server) truth(a *vendor.Account) vendor.Truth {
	now := s.Now()
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
	payments, customers := map[string]map[string]any{}, map[string]map[string]any{}
	for _, c := range until(s.book(a).charges, now) {
		iso := func(a shop.Amount) int64 { return units(a, money.MinorDigits(c.Currency)) }
		refunded, fee := c.Refunded, c.fee()
		switch c.Status {
		case shop.Voided:
			refunded, fee = c.Total, 0
		case shop.Pending:
			fee = 0
		}
		status := "succeeded"
		switch {
		case c.dispute != nil && c.dispute.at() <= now.Unix() && c.dispute.status(now.Unix()) != "won":
			status = "disputed"
		case refunded == c.Total:
			status = "refunded"
		case refunded > 0:
			status = "partially_refunded"
		case c.Status == shop.Pending:
			status = "pending"
		}
		payment := map[string]any{
			"vendor": "stripe", "order_id": c.Name, "created_at": stamp(c.CreatedAt), "amount_minor": iso(c.Total), "refunded_minor": iso(refunded),
			"fee_minor": iso(fee), "currency": c.Currency, "status": status, "method": "card", "live_mode": true,
		}
		if c.email != "" {
			payment["email"] = c.email
		}
		payments[c.key()] = payment
	}
	for _, c := range until(s.book(a).customers, now) {
		customers[c.key()] = map[string]any{
			"vendor": "stripe", "email": c.Email, "first_name": c.FirstName, "last_name": c.LastName, "created_at": stamp(c.CreatedAt), "updated_at": stamp(c.CreatedAt),
			"orders": 0, "spent_minor": 0, "currency": "",
		}
	}
	return vendor.Truth{"payments": payments, "customers": customers}
}
