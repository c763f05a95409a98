package integrationsapi

import "github.com/tandemhq/tandem/pkg/store"

// Order is an order as every vendor's is kept: money in minor units, instants in UTC.
type Order struct {
	// ID is unique in the organization and the same in every sync.
	ID           string `json:"id" doc:"Unique in the organization, the same in every sync" example:"0197a3f2-1111-7000-8000-000000000001:5001"`
	ConnectionID string `json:"connection_id" doc:"Connection that the order came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string `json:"vendor" doc:"Vendor that the order came from" example:"shopify"`
	Number       string `json:"number" doc:"The order's number as its buyer knows it" example:"#1001"`
	// CustomerID names the buyer; those of different connections are different. Empty for a guest.
	CustomerID string `json:"customer_id,omitempty" doc:"Buyer, unique in the organization; missing for a guest" example:"0197a3f2-1111-7000-8000-000000000001:4"`
	// PlacedAt never changes for an order.
	PlacedAt  store.Time `json:"placed_at" format:"date-time" doc:"When the buyer placed the order, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt store.Time `json:"updated_at" format:"date-time" doc:"When the vendor last changed the order, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// TotalMinor is the total before returns, with taxes, shipping and discounts.
	TotalMinor int64  `json:"total_minor" doc:"Total before returns, with taxes, shipping and discounts, in the currency's minor unit" example:"2933"`
	Currency   string `json:"currency" doc:"ISO 4217 code" example:"USD"`
	Items      int    `json:"items" doc:"Pieces bought" example:"2"`
	// Status is one of the Order… constants.
	Status      string      `json:"status" enum:"pending,authorized,paid,partially_paid,partially_refunded,refunded,voided,expired,unknown" doc:"How far the payment is" example:"paid"`
	CancelledAt *store.Time `json:"cancelled_at,omitempty" format:"date-time" doc:"When the order was cancelled, UTC; missing when it was not"`
	Test        bool        `json:"test" doc:"Placed to try the shop out; counts nowhere"`
}

// How far the payment of an order is.
const (
	OrderPending           = "pending"
	OrderAuthorized        = "authorized"
	OrderPaid              = "paid"
	OrderPartiallyPaid     = "partially_paid"
	OrderPartiallyRefunded = "partially_refunded"
	OrderRefunded          = "refunded"
	OrderVoided            = "voided"
	OrderExpired           = "expired"
	OrderUnknown           = "unknown"
)

// Head implements Record.
func (o Order) Head() Head {
	return Head{ID: o.ID, ConnectionID: o.ConnectionID, Vendor: o.Vendor, At: o.PlacedAt}
}

// Customer is somebody whom a vendor keeps as a customer, whether they bought or not.
type Customer struct {
	// ID is what Order.CustomerID names.
	ID           string     `json:"id" doc:"Unique in the organization, the same in every sync; what customer_id of an order names" example:"0197a3f2-1111-7000-8000-000000000001:4"`
	ConnectionID string     `json:"connection_id" doc:"Connection that the customer came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string     `json:"vendor" doc:"Vendor that the customer came from" example:"shopify"`
	Email        string     `json:"email,omitempty" doc:"E-mail address, normalized; missing where the vendor has none" example:"ada@example.com"`
	FirstName    string     `json:"first_name,omitempty" doc:"First name" example:"Ada"`
	LastName     string     `json:"last_name,omitempty" doc:"Last name" example:"Lovelace"`
	CreatedAt    store.Time `json:"created_at" format:"date-time" doc:"When the vendor came to know the customer, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt    store.Time `json:"updated_at" format:"date-time" doc:"When the vendor last changed the customer, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// Orders and SpentMinor are the vendor's own count and sum, which may include cancelled orders and tests; 0 where it keeps none.
	Orders     int    `json:"orders" doc:"Orders by the vendor's own count; 0 where it keeps none" example:"3"`
	SpentMinor int64  `json:"spent_minor" doc:"Spent by the vendor's own sum, in the currency's minor unit; 0 where it keeps none" example:"10450"`
	Currency   string `json:"currency" doc:"ISO 4217 code; empty where the vendor names none" example:"USD"`
}

// Head implements Record.
func (c Customer) Head() Head {
	return Head{ID: c.ID, ConnectionID: c.ConnectionID, Vendor: c.Vendor, At: c.CreatedAt}
}

// Product is something that is sold, in one or more variants.
type Product struct {
	ID           string     `json:"id" doc:"Unique in the organization, the same in every sync" example:"0197a3f2-1111-7000-8000-000000000001:7001"`
	ConnectionID string     `json:"connection_id" doc:"Connection that the product came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string     `json:"vendor" doc:"Vendor that the product came from" example:"shopify"`
	Title        string     `json:"title" doc:"The product's name" example:"Linen Lamp"`
	Brand        string     `json:"brand,omitempty" doc:"Who makes it" example:"Sandbox Goods"`
	Category     string     `json:"category,omitempty" doc:"The seller's own category" example:"Lamp"`
	CreatedAt    store.Time `json:"created_at" format:"date-time" doc:"When the product was entered, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt    store.Time `json:"updated_at" format:"date-time" doc:"When the vendor last changed the product, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// Status is one of the Product… constants.
	Status string `json:"status" enum:"active,draft,archived,unlisted,unknown" doc:"Whether it is for sale" example:"active"`
	// PriceMinMinor and PriceMaxMinor are the prices of the cheapest and the dearest variant.
	PriceMinMinor int64  `json:"price_min_minor" doc:"Price of the cheapest variant, in the currency's minor unit" example:"2999"`
	PriceMaxMinor int64  `json:"price_max_minor" doc:"Price of the dearest variant, in the currency's minor unit" example:"4999"`
	Currency      string `json:"currency" doc:"ISO 4217 code" example:"USD"`
}

// Whether a product is for sale.
const (
	ProductActive   = "active"
	ProductDraft    = "draft"
	ProductArchived = "archived"
	ProductUnlisted = "unlisted"
	ProductUnknown  = "unknown"
)

// Head implements Record.
func (p Product) Head() Head {
	return Head{ID: p.ID, ConnectionID: p.ConnectionID, Vendor: p.Vendor, At: p.CreatedAt}
}

// Payment is money that a payment provider took for a seller.
type Payment struct {
	ID           string `json:"id" doc:"Unique in the organization, the same in every sync" example:"0197a3f2-1111-7000-8000-000000000001:ch_3MmlLrLkdIwHu7ix0snN0B15"`
	ConnectionID string `json:"connection_id" doc:"Connection that the payment came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string `json:"vendor" doc:"Vendor that the payment came from" example:"stripe"`
	// CustomerID names the payer as Customer.ID does; empty where the provider knows none.
	CustomerID string     `json:"customer_id,omitempty" doc:"Payer, unique in the organization; missing where the provider knows none" example:"0197a3f2-1111-7000-8000-000000000001:cus_NffrFeUfNV2Hib"`
	OrderID    string     `json:"order_id,omitempty" doc:"The seller's own reference of what was paid, where the provider has one" example:"#1001"`
	Email      string     `json:"email,omitempty" doc:"E-mail address of the payer, normalized; missing where there is none" example:"ada@example.com"`
	CreatedAt  store.Time `json:"created_at" format:"date-time" doc:"When it was asked for, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// AmountMinor was asked for, RefundedMinor of it was paid back.
	AmountMinor   int64  `json:"amount_minor" doc:"Amount, in the currency's minor unit" example:"2933"`
	RefundedMinor int64  `json:"refunded_minor" doc:"Paid back of it, in the currency's minor unit" example:"0"`
	FeeMinor      int64  `json:"fee_minor" doc:"What the provider kept, in the currency's minor unit; 0 where it does not say" example:"115"`
	Currency      string `json:"currency" doc:"ISO 4217 code" example:"USD"`
	// Status is one of the Payment… constants.
	Status   string `json:"status" enum:"pending,succeeded,failed,partially_refunded,refunded,disputed,unknown" doc:"What came of it" example:"succeeded"`
	Method   string `json:"method,omitempty" doc:"How it was paid, in the provider's words" example:"card"`
	LiveMode bool   `json:"live_mode" doc:"Real money; payments without are tests and count nowhere"`
}

// What came of a payment.
const (
	PaymentPending           = "pending"
	PaymentSucceeded         = "succeeded"
	PaymentFailed            = "failed"
	PaymentPartiallyRefunded = "partially_refunded"
	PaymentRefunded          = "refunded"
	PaymentDisputed          = "disputed"
	PaymentUnknown           = "unknown"
)

// Head implements Record.
func (p Payment) Head() Head {
	return Head{ID: p.ID, ConnectionID: p.ConnectionID, Vendor: p.Vendor, At: p.CreatedAt}
}
