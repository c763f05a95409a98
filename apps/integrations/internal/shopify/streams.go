package shopify

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// Records come in the order of their last change: a cursor of that order names a time and an id, so inserts do not move
// it, and a record that changes meanwhile moves behind it and comes again.
const (
	ordersQuery = `query Orders($first: Int!, $after: String, $query: String) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes {
      id
      name
      test
      processedAt
      updatedAt
      cancelledAt
      displayFinancialStatus
      subtotalLineItemsQuantity
      totalPriceSet { shopMoney { amount currencyCode } }
      customer { id }
    }
    pageInfo { hasNextPage endCursor }
  }
}`

	customersQuery = `query Customers($first: Int!, $after: String, $query: String) {
  customers(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes {
      id
      email
      firstName
      lastName
      createdAt
      updatedAt
      numberOfOrders
      amountSpent { amount currencyCode }
    }
    pageInfo { hasNextPage endCursor }
  }
}`

	productsQuery = `query Products($first: Int!, $after: String, $query: String) {
  products(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes {
      id
      title
      vendor
      productType
      status
      createdAt
      updatedAt
      priceRangeV2 { minVariantPrice { amount currencyCode } maxVariantPrice { amount currencyCode } }
    }
    pageInfo { hasNextPage endCursor }
  }
}`
)

// countedOrdersQuery asks for the first page, and how many orders there are. Of customers and products Shopify tells that too, but there
// are fewer of them, and each such count costs ten points.
var countedOrdersQuery = strings.Replace(ordersQuery, "{\n", "{\n  ordersCount(query: $query, limit: null) { count precision }\n", 1)

// node is a record as Shopify has it.
type node interface {
	// gid is its global id.
	gid() string
	updated() time.Time
	// addTo adds it to records as every vendor's is kept.
	addTo(records *connector.Records, connection string) error
}

// pull reads pages of a root field by a query of it.
func pull[N node](c *Connector, root, query string) func(context.Context, connector.Account, connector.Request) (connector.Page, error) {
	return func(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
		variables := map[string]any{"first": r.Size}
		if r.Cursor != "" {
			variables["after"] = r.Cursor
		}
		if !r.Since.IsZero() {
			variables["query"] = "updated_at:>='" + r.Since.UTC().Truncate(time.Second).Format(time.RFC3339) + "'"
		}
		var data map[string]struct {
			Nodes    []connector.Row[N] `json:"nodes"`
			PageInfo struct {
				HasNextPage bool   `json:"hasNextPage"`
				EndCursor   string `json:"endCursor"`
			} `json:"pageInfo"`
			// Count and Precision are of the root field of all records.
			Count     int    `json:"count"`
			Precision string `json:"precision"`
		}
		text := query
		if query == ordersQuery && r.Cursor == "" {
			text = countedOrdersQuery
		}
		spent, err := c.client.query(ctx, a, text, variables, &data)
		if err != nil {
			return connector.Page{}, err
		}
		got, ok := data[root]
		if !ok {
			return connector.Page{}, connector.BadAnswer("data without %s", root)
		}
		page := connector.Page{Wait: spent.wait(), Budget: spent.budget()}
		for _, row := range got.Nodes {
			n, err := row.Value, row.Err
			if err == nil {
				err = n.addTo(&page.Records, a.Connection)
			}
			if err != nil {
				page.Refuse(n.gid()[strings.LastIndex(n.gid(), "/")+1:], row.Raw, err)
			}
			if n.updated().After(page.Changed) {
				page.Changed = n.updated().UTC()
			}
		}
		if all := data[root+"Count"]; all.Precision == "EXACT" {
			page.Left = connector.LeftOf(all.Count, len(got.Nodes))
		}
		if info := got.PageInfo; info.HasNextPage {
			if info.EndCursor == "" || info.EndCursor == r.Cursor {
				return connector.Page{}, connector.BadAnswer("a next page without a new cursor")
			}
			page.Next = info.EndCursor
		}
		return page, nil
	}
}

// amount is an amount of money as Shopify writes it.
type amount struct {
	Amount       string `json:"amount"`
	CurrencyCode string `json:"currencyCode"`
}

func (a amount) minor() (int64, error) { return money.Parse(a.Amount, a.CurrencyCode) }

var errNoTime = errors.New("it has no time")

type order struct {
	ID                        string     `json:"id"`
	Name                      string     `json:"name"`
	Test                      bool       `json:"test"`
	ProcessedAt               time.Time  `json:"processedAt"`
	UpdatedAt                 time.Time  `json:"updatedAt"`
	CancelledAt               *time.Time `json:"cancelledAt"`
	DisplayFinancialStatus    string     `json:"displayFinancialStatus"`
	SubtotalLineItemsQuantity int        `json:"subtotalLineItemsQuantity"`
	TotalPriceSet             struct {
		ShopMoney amount `json:"shopMoney"`
	} `json:"totalPriceSet"`
	Customer *struct {
		ID string `json:"id"`
	} `json:"customer"`
}

// statuses are the payment statuses of Shopify in shared terms.
var statuses = map[string]string{
	"PENDING": integrationsapi.OrderPending, "AUTHORIZED": integrationsapi.OrderAuthorized, "PAID": integrationsapi.OrderPaid,
	"PARTIALLY_PAID": integrationsapi.OrderPartiallyPaid, "PARTIALLY_REFUNDED": integrationsapi.OrderPartiallyRefunded,
	"REFUNDED": integrationsapi.OrderRefunded, "VOIDED": integrationsapi.OrderVoided, "EXPIRED": integrationsapi.OrderExpired,
}

func (o order) gid() string        { return o.ID }
func (o order) updated() time.Time { return o.UpdatedAt }

func (o order) addTo(records *connector.Records, connection string) error {
	id, err := numberOf(o.ID, "Order")
	if err != nil {
		return err
	}
	if o.ProcessedAt.IsZero() || o.UpdatedAt.IsZero() {
		return errNoTime
	}
	paid := o.TotalPriceSet.ShopMoney
	total, err := paid.minor()
	if err != nil {
		return err
	}
	normal := integrationsapi.Order{
		ID: connection + ":" + id, ConnectionID: connection, Vendor: Vendor, Number: o.Name,
		PlacedAt: store.At(o.ProcessedAt), UpdatedAt: store.At(o.UpdatedAt), TotalMinor: total, Currency: paid.CurrencyCode,
		Items: o.SubtotalLineItemsQuantity, Status: integrationsapi.OrderUnknown, Test: o.Test,
	}
	if status, known := statuses[o.DisplayFinancialStatus]; known {
		normal.Status = status
	}
	if o.Customer != nil {
		customer, err := numberOf(o.Customer.ID, "Customer")
		if err != nil {
			return err
		}
		normal.CustomerID = connection + ":" + customer
	}
	if o.CancelledAt != nil {
		at := store.At(*o.CancelledAt)
		normal.CancelledAt = &at
	}
	records.Orders = append(records.Orders, normal)
	return nil
}

type customer struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	FirstName string    `json:"firstName"`
	LastName  string    `json:"lastName"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// NumberOfOrders is a number in a string, since it may be larger than what GraphQL has numbers for.
	NumberOfOrders string `json:"numberOfOrders"`
	AmountSpent    amount `json:"amountSpent"`
}

func (c customer) gid() string        { return c.ID }
func (c customer) updated() time.Time { return c.UpdatedAt }

func (c customer) addTo(records *connector.Records, connection string) error {
	id, err := numberOf(c.ID, "Customer")
	if err != nil {
		return err
	}
	if c.CreatedAt.IsZero() || c.UpdatedAt.IsZero() {
		return errNoTime
	}
	spent, err := c.AmountSpent.minor()
	if err != nil {
		return err
	}
	orders, err := strconv.Atoi(c.NumberOfOrders)
	if err != nil {
		return err
	}
	records.Customers = append(records.Customers, integrationsapi.Customer{
		ID: connection + ":" + id, ConnectionID: connection, Vendor: Vendor,
		Email: connector.NormalEmail(c.Email), FirstName: c.FirstName, LastName: c.LastName,
		CreatedAt: store.At(c.CreatedAt), UpdatedAt: store.At(c.UpdatedAt), Orders: orders, SpentMinor: spent, Currency: c.AmountSpent.CurrencyCode,
	})
	return nil
}

type product struct {
	ID           string    `json:"id"`
	Title        string    `json:"title"`
	Vendor       string    `json:"vendor"`
	ProductType  string    `json:"productType"`
	Status       string    `json:"status"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`
	PriceRangeV2 struct {
		MinVariantPrice amount `json:"minVariantPrice"`
		MaxVariantPrice amount `json:"maxVariantPrice"`
	} `json:"priceRangeV2"`
}

// productStatuses are the statuses of Shopify's products in shared terms.
var productStatuses = map[string]string{
	"ACTIVE": integrationsapi.ProductActive, "DRAFT": integrationsapi.ProductDraft, "ARCHIVED": integrationsapi.ProductArchived,
	"UNLISTED": integrationsapi.ProductUnlisted,
}

func (p product) gid() string        { return p.ID }
func (p product) updated() time.Time { return p.UpdatedAt }

func (p product) addTo(records *connector.Records, connection string) error {
	id, err := numberOf(p.ID, "Product")
	if err != nil {
		return err
	}
	if p.CreatedAt.IsZero() || p.UpdatedAt.IsZero() {
		return errNoTime
	}
	cheapest, err := p.PriceRangeV2.MinVariantPrice.minor()
	if err != nil {
		return err
	}
	dearest, err := p.PriceRangeV2.MaxVariantPrice.minor()
	if err != nil {
		return err
	}
	normal := integrationsapi.Product{
		ID: connection + ":" + id, ConnectionID: connection, Vendor: Vendor, Title: p.Title, Brand: p.Vendor, Category: p.ProductType,
		CreatedAt: store.At(p.CreatedAt), UpdatedAt: store.At(p.UpdatedAt), Status: integrationsapi.ProductUnknown,
		PriceMinMinor: cheapest, PriceMaxMinor: dearest, Currency: p.PriceRangeV2.MinVariantPrice.CurrencyCode,
	}
	if status, known := productStatuses[p.Status]; known {
		normal.Status = status
	}
	records.Products = append(records.Products, normal)
	return nil
}
