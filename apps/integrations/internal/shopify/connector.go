// Package shopify connects Shopify shops: the connector over the Admin GraphQL API, and the routes to connect a shop, see
// how it does and disconnect it.
package shopify

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// Vendor is the vendor's name in routes and records.
const Vendor = "shopify"

// DefaultVersion is the Admin API's version that the queries were written for.
const DefaultVersion = "2026-10"

// maxPage is the most nodes of a connection that Shopify returns.
const maxPage = 250

// lookBack covers the delay with which Shopify's search sees a change.
const lookBack = 10 * time.Minute

// Connector reads shops.
type Connector struct{ client client }

// NewConnector makes a connector. In base, the URL of a shop's Admin API, "{shop}" stands for the shop's domain; version
// is the API's, DefaultVersion when empty. The client bounds how long a request may take.
func NewConnector(base, version string, httpClient *http.Client, now func() time.Time) (*Connector, error) {
	if u, err := url.Parse(strings.ReplaceAll(base, "{shop}", "shop")); err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New(`the base URL of Shopify is no URL such as "https://{shop}"`)
	}
	if version == "" {
		version = DefaultVersion
	}
	return &Connector{client{base: strings.TrimRight(base, "/"), version: version, http: httpClient, now: now}}, nil
}

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return Vendor }

// Streams implements connector.Connector.
func (c *Connector) Streams() []connector.Stream {
	return []connector.Stream{{Name: integrationsapi.KindOrders, PageSize: maxPage, LookBack: lookBack, Pull: c.orders}}
}

const identifyQuery = `query Identify {
  shop { id name myshopifyDomain currencyCode ianaTimezone }
  currentAppInstallation { accessScopes { handle } }
}`

// Identify implements connector.Connector.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	var data struct {
		Shop struct {
			ID              string `json:"id"`
			Name            string `json:"name"`
			MyshopifyDomain string `json:"myshopifyDomain"`
			CurrencyCode    string `json:"currencyCode"`
			IANATimezone    string `json:"ianaTimezone"`
		} `json:"shop"`
		CurrentAppInstallation struct {
			AccessScopes []struct {
				Handle string `json:"handle"`
			} `json:"accessScopes"`
		} `json:"currentAppInstallation"`
	}
	if _, err := c.client.query(ctx, a, identifyQuery, nil, &data); err != nil {
		return connector.Identity{}, err
	}
	id, err := numberOf(data.Shop.ID, "Shop")
	if err != nil {
		return connector.Identity{}, err
	}
	account, err := Domain(data.Shop.MyshopifyDomain)
	if err != nil {
		return connector.Identity{}, connector.BadAnswer("the shop's domain %.100q: %w", data.Shop.MyshopifyDomain, err)
	}
	identity := connector.Identity{
		ID: id, Account: account, Title: data.Shop.Name, Currency: data.Shop.CurrencyCode, TimeZone: data.Shop.IANATimezone,
		Scopes: []string{},
	}
	for _, scope := range data.CurrentAppInstallation.AccessScopes {
		identity.Scopes = append(identity.Scopes, scope.Handle)
	}
	return identity, nil
}

// Orders come in the order of their last change: a cursor of that order names a time and an id, so inserts do not move
// it, and an order that changes meanwhile moves behind it and comes again.
const ordersQuery = `query Orders($first: Int!, $after: String, $query: String) {
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
		ShopMoney struct {
			Amount       string `json:"amount"`
			CurrencyCode string `json:"currencyCode"`
		} `json:"shopMoney"`
	} `json:"totalPriceSet"`
	Customer *struct {
		ID string `json:"id"`
	} `json:"customer"`
}

func (c *Connector) orders(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
	variables := map[string]any{"first": r.Size}
	if r.Cursor != "" {
		variables["after"] = r.Cursor
	}
	if !r.Since.IsZero() {
		variables["query"] = "updated_at:>='" + r.Since.UTC().Truncate(time.Second).Format(time.RFC3339) + "'"
	}
	var data struct {
		Orders struct {
			Nodes    []order `json:"nodes"`
			PageInfo struct {
				HasNextPage bool   `json:"hasNextPage"`
				EndCursor   string `json:"endCursor"`
			} `json:"pageInfo"`
		} `json:"orders"`
	}
	spent, err := c.client.query(ctx, a, ordersQuery, variables, &data)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Wait: spent.wait()}
	for _, o := range data.Orders.Nodes {
		normal, err := o.normal(a.Connection)
		if err != nil {
			return connector.Page{}, connector.BadAnswer("order %.60q: %w", o.ID, err)
		}
		page.Records.Orders = append(page.Records.Orders, normal)
		if o.UpdatedAt.After(page.Changed) {
			page.Changed = o.UpdatedAt.UTC()
		}
	}
	if info := data.Orders.PageInfo; info.HasNextPage {
		if info.EndCursor == "" || info.EndCursor == r.Cursor {
			return connector.Page{}, connector.BadAnswer("a next page without a new cursor")
		}
		page.Next = info.EndCursor
	}
	return page, nil
}

// statuses are the payment statuses of Shopify in shared terms.
var statuses = map[string]string{
	"PENDING": integrationsapi.OrderPending, "AUTHORIZED": integrationsapi.OrderAuthorized, "PAID": integrationsapi.OrderPaid,
	"PARTIALLY_PAID": integrationsapi.OrderPartiallyPaid, "PARTIALLY_REFUNDED": integrationsapi.OrderPartiallyRefunded,
	"REFUNDED": integrationsapi.OrderRefunded, "VOIDED": integrationsapi.OrderVoided, "EXPIRED": integrationsapi.OrderExpired,
}

// normal is the order as every vendor's is kept.
func (o order) normal(connection string) (integrationsapi.Order, error) {
	id, err := numberOf(o.ID, "Order")
	if err != nil {
		return integrationsapi.Order{}, err
	}
	if o.ProcessedAt.IsZero() || o.UpdatedAt.IsZero() {
		return integrationsapi.Order{}, errors.New("it has no time")
	}
	paid := o.TotalPriceSet.ShopMoney
	total, err := money.Parse(paid.Amount, paid.CurrencyCode)
	if err != nil {
		return integrationsapi.Order{}, err
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
			return integrationsapi.Order{}, err
		}
		normal.CustomerID = connection + ":" + customer
	}
	if o.CancelledAt != nil {
		at := store.At(*o.CancelledAt)
		normal.CancelledAt = &at
	}
	return normal, nil
}

// numberOf is the number in a global id such as "gid://shopify/Order/1".
func numberOf(gid, kind string) (string, error) {
	number, ok := strings.CutPrefix(gid, "gid://shopify/"+kind+"/")
	if !ok || number == "" || len(number) > 20 || strings.Trim(number, "0123456789") != "" {
		return "", connector.BadAnswer("%.60q is no id of a %s", gid, kind)
	}
	return number, nil
}
