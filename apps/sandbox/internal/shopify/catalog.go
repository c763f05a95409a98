package shopify

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
)

// node is a record that a connection can list.
type node interface {
	object
	searchable
	recordID() int64
	sortTime(key string) time.Time
}

// catalog is one immutable state of a shop with its sorted views. A change to the
// shop makes a new catalog, so a page is always read from one state.
type catalog struct {
	data      shop.Data
	orders    map[int64]*orderNode
	customers map[int64]*customerNode
	products  map[int64]*productNode

	mu    sync.Mutex
	views map[string][]node
}

func newCatalog(data shop.Data) *catalog {
	c := &catalog{
		data:      data,
		orders:    make(map[int64]*orderNode, len(data.Orders)),
		customers: make(map[int64]*customerNode, len(data.Customers)),
		products:  make(map[int64]*productNode, len(data.Products)),
		views:     map[string][]node{},
	}
	for _, r := range data.Customers {
		c.customers[r.ID] = &customerNode{Customer: r, currency: data.Currency}
	}
	for _, r := range data.Orders {
		c.orders[r.ID] = &orderNode{Order: r, customer: c.customers[r.CustomerID]}
	}
	for _, r := range data.Products {
		c.products[r.ID] = &productNode{Product: r, currency: data.Currency}
	}
	return c
}

// view is the records of a root field in ascending order of a sort key and id.
// It is shared and must not be changed.
func (c *catalog) view(name, key string) []node {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := name + "/" + key
	if v, ready := c.views[id]; ready {
		return v
	}
	var v []node
	switch name {
	case "orders":
		v = nodesOf(c.orders)
	case "customers":
		v = nodesOf(c.customers)
	case "products":
		v = nodesOf(c.products)
	}
	slices.SortFunc(v, func(a, b node) int { return position(a, key).compare(position(b, key)) })
	c.views[id] = v
	return v
}

func nodesOf[N node](byID map[int64]N) []node {
	v := make([]node, 0, len(byID))
	for _, n := range byID {
		v = append(v, n)
	}
	return v
}

// place is where a node stands in a view: what a cursor carries. The time is zero
// when the view is sorted by id.
type place struct {
	at time.Time
	id int64
}

func position(n node, key string) place { return place{n.sortTime(key), n.recordID()} }

func (p place) compare(q place) int { return cmp.Or(p.at.Compare(q.at), cmp.Compare(p.id, q.id)) }

// recorded picks the time that a search field means.
func recorded(field string, created, updated time.Time) (time.Time, bool) {
	switch field {
	case "created_at", "processed_at", "customer_date":
		return created, true
	case "updated_at":
		return updated, true
	}
	return time.Time{}, false
}

type orderNode struct {
	*shop.Order
	customer *customerNode
}

var orderFields = map[string]valueKind{
	"created_at": timeValue, "updated_at": timeValue, "processed_at": timeValue,
	"id": numberValue, "customer_id": numberValue, "name": textValue, "email": textValue,
	"financial_status": textValue, "status": textValue, "test": boolValue,
}

func (o *orderNode) recordID() int64 { return o.ID }

func (o *orderNode) sortTime(key string) time.Time {
	switch key {
	case "CREATED_AT", "PROCESSED_AT":
		return o.CreatedAt
	case "UPDATED_AT":
		return o.UpdatedAt
	}
	return time.Time{}
}

func (o *orderNode) term(field string) any {
	switch field {
	case "id":
		return o.ID
	case "customer_id":
		if o.CustomerID != 0 {
			return o.CustomerID
		}
	case "name":
		return o.Name
	case "email":
		if o.customer != nil {
			return o.customer.Email
		}
	case "financial_status":
		return o.Status
	case "status":
		if o.CancelledAt.IsZero() {
			return "open"
		}
		return "cancelled"
	case "test":
		return o.Test
	}
	return nil
}

func (o *orderNode) when(field string) (time.Time, bool) {
	return recorded(field, o.CreatedAt, o.UpdatedAt)
}

func (o *orderNode) text() string {
	if o.customer == nil {
		return o.Name
	}
	return o.Name + " " + o.customer.text()
}

func (o *orderNode) resolve(f *field) (any, error) {
	money := func(a shop.Amount) any { return moneyBag{a, o.Currency} }
	switch f.name {
	case "id":
		return gid("Order", o.ID), nil
	case "legacyResourceId":
		return strconv.FormatInt(o.ID, 10), nil
	case "name":
		return o.Name, nil
	case "email":
		return o.term("email"), nil
	case "test":
		return o.Test, nil
	case "createdAt", "processedAt":
		return o.CreatedAt, nil
	case "updatedAt":
		return o.UpdatedAt, nil
	case "cancelledAt":
		return o.CancelledAt, nil
	case "displayFinancialStatus":
		return o.Status, nil
	case "currencyCode":
		return o.Currency, nil
	case "totalPriceSet":
		return money(o.Total), nil
	case "currentTotalPriceSet":
		return money(o.Total - o.Refunded), nil
	case "subtotalPriceSet":
		return money(o.Subtotal), nil
	case "totalTaxSet":
		return money(o.Tax), nil
	case "totalDiscountsSet":
		return money(o.Discounts), nil
	case "totalShippingPriceSet":
		return money(o.Shipping), nil
	case "totalRefundedSet":
		return money(o.Refunded), nil
	case "subtotalLineItemsQuantity":
		return o.Items, nil
	case "currentSubtotalLineItemsQuantity":
		if o.Status == shop.Refunded || o.Status == shop.Voided {
			return 0, nil
		}
		return o.Items, nil
	case "customer":
		if o.customer == nil {
			return nil, nil
		}
		return o.customer, nil
	}
	return nil, errUnresolved(f)
}

type customerNode struct {
	*shop.Customer
	currency string
}

var customerFields = map[string]valueKind{
	"customer_date": timeValue, "created_at": timeValue, "updated_at": timeValue,
	"id": numberValue, "orders_count": numberValue,
	"email": textValue, "first_name": textValue, "last_name": textValue,
}

func (c *customerNode) recordID() int64 { return c.ID }

func (c *customerNode) sortTime(key string) time.Time {
	switch key {
	case "CREATED_AT":
		return c.CreatedAt
	case "UPDATED_AT":
		return c.UpdatedAt
	}
	return time.Time{}
}

func (c *customerNode) term(field string) any {
	switch field {
	case "id":
		return c.ID
	case "orders_count":
		return int64(c.Orders)
	case "email":
		return c.Email
	case "first_name":
		return c.FirstName
	case "last_name":
		return c.LastName
	}
	return nil
}

func (c *customerNode) when(field string) (time.Time, bool) {
	return recorded(field, c.CreatedAt, c.UpdatedAt)
}

func (c *customerNode) text() string {
	return strings.Join([]string{c.FirstName, c.LastName, c.Email}, " ")
}

func (c *customerNode) resolve(f *field) (any, error) {
	switch f.name {
	case "id":
		return gid("Customer", c.ID), nil
	case "legacyResourceId":
		return strconv.FormatInt(c.ID, 10), nil
	case "email":
		return c.Email, nil
	case "firstName":
		return c.FirstName, nil
	case "lastName":
		return c.LastName, nil
	case "displayName":
		return c.FirstName + " " + c.LastName, nil
	case "createdAt":
		return c.CreatedAt, nil
	case "updatedAt":
		return c.UpdatedAt, nil
	case "numberOfOrders":
		return strconv.Itoa(c.Orders), nil
	case "amountSpent":
		return money{c.Spent, c.currency}, nil
	}
	return nil, errUnresolved(f)
}

type productNode struct {
	*shop.Product
	currency string
}

var productFields = map[string]valueKind{
	"created_at": timeValue, "updated_at": timeValue, "id": numberValue,
	"title": textValue, "handle": textValue, "vendor": textValue, "product_type": textValue, "status": textValue,
}

func (p *productNode) recordID() int64 { return p.ID }

func (p *productNode) sortTime(key string) time.Time {
	switch key {
	case "CREATED_AT":
		return p.CreatedAt
	case "UPDATED_AT":
		return p.UpdatedAt
	}
	return time.Time{}
}

func (p *productNode) term(field string) any {
	switch field {
	case "id":
		return p.ID
	case "title":
		return p.Title
	case "handle":
		return p.Handle
	case "vendor":
		return p.Vendor
	case "product_type":
		return p.Type
	case "status":
		return "ACTIVE"
	}
	return nil
}

func (p *productNode) when(field string) (time.Time, bool) {
	return recorded(field, p.CreatedAt, p.UpdatedAt)
}

func (p *productNode) text() string { return p.Title + " " + p.Vendor }

func (p *productNode) resolve(f *field) (any, error) {
	switch f.name {
	case "id":
		return gid("Product", p.ID), nil
	case "legacyResourceId":
		return strconv.FormatInt(p.ID, 10), nil
	case "title":
		return p.Title, nil
	case "handle":
		return p.Handle, nil
	case "vendor":
		return p.Vendor, nil
	case "productType":
		return p.Type, nil
	case "status":
		return "ACTIVE", nil
	case "createdAt":
		return p.CreatedAt, nil
	case "updatedAt":
		return p.UpdatedAt, nil
	case "priceRangeV2":
		return fixed{"minVariantPrice": money{p.Price, p.currency}, "maxVariantPrice": money{p.Price, p.currency}}, nil
	}
	return nil, errUnresolved(f)
}

type moneyBag struct {
	amount   shop.Amount
	currency string
}

func (m moneyBag) resolve(*field) (any, error) { return money(m), nil }

type money struct {
	amount   shop.Amount
	currency string
}

func (m money) resolve(f *field) (any, error) { //nolint:unparam // one of many resolvers
	if f.name == "amount" {
		return m.amount.String(), nil
	}
	return m.currency, nil
}

func gid(kind string, id int64) string {
	return "gid://shopify/" + kind + "/" + strconv.FormatInt(id, 10)
}

// idOf reads a global id of the given type.
func idOf(kind string, global any) (int64, bool) {
	text, _ := global.(string)
	digits, found := strings.CutPrefix(text, "gid://shopify/"+kind+"/")
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, found && err == nil
}

// errUnresolved is a field of the schema that no code answers: a mistake here,
// which a test that selects every field finds.
func errUnresolved(f *field) error { return fmt.Errorf("no resolver for %s.%s", f.parentType, f.name) }
