package shopify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// throttlePause is the wait after a refusal that does not say how much is missing.
const throttlePause = time.Second

// client speaks GraphQL to the Admin API.
type client struct {
	base    string // with {shop}
	version string
	http    *http.Client
	now     func() time.Time
}

// shop is the base URL of a shop, of which the name is in its normal form (see Domain).
func (c *client) shop(name string) string {
	return strings.ReplaceAll(c.base, "{shop}", url.PathEscape(name))
}

// cost is what a query asked for and what is left of the shop's bucket, in points.
type cost struct {
	Requested float64 `json:"requestedQueryCost"`
	Actual    float64 `json:"actualQueryCost"`
	Throttle  struct {
		Maximum   float64 `json:"maximumAvailable"`
		Available float64 `json:"currentlyAvailable"`
		Restore   float64 `json:"restoreRate"`
	} `json:"throttleStatus"`
}

// wait is how long the bucket needs until it can pay the same query again.
func (c cost) wait() time.Duration {
	missing := c.Requested - c.Throttle.Available
	if missing <= 0 || c.Throttle.Restore <= 0 {
		return 0
	}
	return connector.Seconds(missing / c.Throttle.Restore)
}

// budget is the bucket after a query that was answered; nil where Shopify does not say.
func (c cost) budget() *connector.Budget {
	if c.Throttle.Restore <= 0 || c.Throttle.Maximum <= 0 || c.Actual <= 0 {
		return nil
	}
	// Shopify wants to have what a query might cost, and a page in hand is left for what others ask for at the same time.
	reserve := max(0, c.Requested-c.Actual) + min(c.Actual, c.Throttle.Maximum/4)
	return &connector.Budget{Rate: c.Throttle.Restore, Max: c.Throttle.Maximum, Left: c.Throttle.Available, Cost: c.Actual, Reserve: reserve}
}

type answer struct {
	Data   json.RawMessage `json:"data"`
	Errors json.RawMessage `json:"errors"`
	// Extensions are missing where the query was refused before it had a price.
	Extensions struct {
		Cost cost `json:"cost"`
	} `json:"extensions"`
}

// query runs a GraphQL query for an account and decodes its data into into: a *connector.Error, also where the vendor
// answers it inside a 200.
func (c *client) query(ctx context.Context, a connector.Account, query string, variables map[string]any, into any) (cost, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return cost{}, fmt.Errorf("encode the query: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.shop(a.Name)+"/admin/api/"+c.version+"/graphql.json", bytes.NewReader(body))
	if err != nil {
		return cost{}, fmt.Errorf("address the shop: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("X-Shopify-Access-Token", a.Credentials.AccessToken.Reveal())
	var got answer
	if err := connector.Fetch(c.http, c.now, r, &got); err != nil {
		return cost{}, err
	}
	if len(got.Errors) > 0 && string(got.Errors) != "null" {
		return got.Extensions.Cost, refusal(got)
	}
	if len(got.Data) == 0 || string(got.Data) == "null" {
		return got.Extensions.Cost, connector.BadAnswer("neither data nor errors")
	}
	if err := json.Unmarshal(got.Data, into); err != nil {
		return got.Extensions.Cost, connector.BadAnswer("decode the data: %w", err)
	}
	return got.Extensions.Cost, nil
}

// refusal is the first error of an answer that has errors. Partial data does not count: what is missing in it would look
// like what is not there.
func refusal(got answer) *connector.Error {
	var list []struct {
		Message    string `json:"message"`
		Extensions struct {
			Code string `json:"code"`
		} `json:"extensions"`
	}
	cause := fmt.Errorf("errors: %.500s", got.Errors)
	if err := json.Unmarshal(got.Errors, &list); err != nil || len(list) == 0 {
		// A string or an object is how the API's edge speaks, before GraphQL.
		return &connector.Error{Class: connector.Transient, Code: connector.CodeUnavailable, Message: "Shopify has trouble", Cause: cause}
	}
	for _, e := range list {
		if e.Extensions.Code == "THROTTLED" {
			return throttled(got.Extensions.Cost, cause)
		}
	}
	switch list[0].Extensions.Code {
	case "MAX_COST_EXCEEDED":
		return &connector.Error{Class: connector.TooLarge, Code: connector.CodeRefused, Message: "Shopify refuses a page of this size", Cause: cause}
	case "ACCESS_DENIED":
		return &connector.Error{Class: connector.Permanent, Code: connector.CodePermissionMissing, Message: "the access token does not allow reading this", Cause: cause}
	case "SHOP_INACTIVE":
		return &connector.Error{Class: connector.Permanent, Code: connector.CodeAccountUnavailable, Message: "the shop is not active", Cause: cause}
	case "INTERNAL_SERVER_ERROR", "TIMEOUT":
		return &connector.Error{Class: connector.Transient, Code: connector.CodeUnavailable, Message: "Shopify has trouble", Cause: cause}
	default:
		return &connector.Error{Class: connector.Permanent, Code: connector.CodeRefused, Message: "Shopify refuses the query", Cause: cause}
	}
}

func throttled(c cost, cause error) *connector.Error {
	if c.Throttle.Maximum > 0 && c.Requested > c.Throttle.Maximum {
		return &connector.Error{Class: connector.TooLarge, Code: connector.CodeThrottled, Message: "the shop's budget never pays a page of this size", Cause: cause}
	}
	wait := c.wait()
	if wait == 0 {
		wait = throttlePause
	}
	return &connector.Error{Class: connector.Throttled, Code: connector.CodeThrottled, Message: "Shopify asks to wait", Wait: wait, Cause: cause}
}
