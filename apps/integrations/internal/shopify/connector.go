// Package shopify connects Shopify shops: the connector over the Admin GraphQL API with Shopify's ways of OAuth, and the route to
// connect a shop by access token.
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
type Connector struct {
	client client
	app    connector.App
}

// NewConnector makes a connector. In base, the URL of a shop's Admin API, "{shop}" stands for the shop's domain; version
// is the API's, DefaultVersion when empty. The client bounds how long a request may take.
func NewConnector(base, version string, app connector.App, httpClient *http.Client, now func() time.Time) (*Connector, error) {
	if u, err := url.Parse(strings.ReplaceAll(base, "{shop}", "shop")); err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New(`the base URL of Shopify is no URL such as "https://{shop}"`)
	}
	if version == "" {
		version = DefaultVersion
	}
	return &Connector{client{base: strings.TrimRight(base, "/"), version: version, http: httpClient, now: now}, app}, nil
}

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return Vendor }

// Streams implements connector.Connector.
func (c *Connector) Streams() []connector.Stream {
	return []connector.Stream{
		{Name: integrationsapi.KindOrders, PageSize: maxPage, LookBack: lookBack, Pull: pull[order](c, "orders", ordersQuery)},
		{Name: integrationsapi.KindCustomers, PageSize: maxPage, LookBack: lookBack, Pull: pull[customer](c, "customers", customersQuery)},
		{Name: integrationsapi.KindProducts, PageSize: maxPage, LookBack: lookBack, Pull: pull[product](c, "products", productsQuery)},
	}
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

// numberOf is the number in a global id such as "gid://shopify/Order/1".
func numberOf(gid, kind string) (string, error) {
	number, ok := strings.CutPrefix(gid, "gid://shopify/"+kind+"/")
	if !ok || number == "" || len(number) > 20 || strings.Trim(number, "0123456789") != "" {
		return "", connector.BadAnswer("%.60q is no id of a %s", gid, kind)
	}
	return number, nil
}
