package googleads

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// host is where the API is.
const host = "googleads.googleapis.com"

// client speaks the REST form of the Google Ads API.
type client struct {
	web            connector.Web
	developerToken Secret
}

// row is a row of a query's answer: what the query selected of each resource. Integers of 64 bits come as text
// (https://protobuf.dev/programming-guides/json).
type row struct {
	Customer       customer `json:"customer"`
	CustomerClient customer `json:"customerClient"`
	Campaign       campaign `json:"campaign"`
	CampaignBudget struct {
		AmountMicros *int64 `json:"amountMicros,string"`
	} `json:"campaignBudget"`
	Segments struct {
		Date string `json:"date"`
	} `json:"segments"`
	Metrics metrics `json:"metrics"`
}

type customer struct {
	ID              string `json:"id"`
	DescriptiveName string `json:"descriptiveName"`
	CurrencyCode    string `json:"currencyCode"`
	TimeZone        string `json:"timeZone"`
	Manager         bool   `json:"manager"`
}

func (c customer) account(via string) connector.SubAccount {
	return connector.SubAccount{ID: c.ID, Name: c.DescriptiveName, Currency: c.CurrencyCode, TimeZone: c.TimeZone, Via: via}
}

type found struct {
	Results       []connector.Row[row] `json:"results"`
	NextPageToken string               `json:"nextPageToken"`
}

// search asks for a page of a query's rows, about a customer that is reached by way of another, or by itself when that is empty.
func (c *client) search(ctx context.Context, a connector.Account, id, via, query, pageToken string) (found, error) {
	asked := struct {
		Query     string `json:"query"`
		PageToken string `json:"pageToken,omitempty"`
	}{query, pageToken}
	var got found
	if err := c.call(ctx, a, http.MethodPost, "customers/"+id+"/googleAds:search", via, asked, &got); err != nil {
		return found{}, err
	}
	if got.NextPageToken != "" && got.NextPageToken == pageToken {
		return found{}, connector.BadAnswer("a next page that is this one")
	}
	return got, nil
}

// mostPages bounds what is read at once; a manager has at most some 85,000 accounts.
const mostPages = 10

// all asks for all rows of a query about a customer that is accessible by itself.
func (c *client) all(ctx context.Context, a connector.Account, id, query string) ([]row, error) {
	var rows []row
	next := ""
	for range mostPages {
		page, err := c.search(ctx, a, id, "", query, next)
		if err != nil {
			return nil, err
		}
		for _, one := range page.Results {
			if one.Err != nil {
				return nil, connector.BadAnswer("a row of accounts: %w", one.Err)
			}
			rows = append(rows, one.Value)
		}
		if next = page.NextPageToken; next == "" {
			return rows, nil
		}
	}
	return nil, connector.BadAnswer("more than %d pages of accounts", mostPages)
}

// call makes a request: an *Error.
func (c *client) call(ctx context.Context, a connector.Account, method, path, via string, body, into any) error {
	token, err := c.developerToken(ctx)
	if err != nil {
		return fmt.Errorf("read the developer token: %w", err)
	}
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.web.API(host)+"/"+Version+"/"+path, content)
	if err != nil {
		return fmt.Errorf("address Google Ads: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+a.Credentials.AccessToken.Reveal())
	r.Header.Set("developer-token", token.Reveal())
	if via != "" {
		r.Header.Set("login-customer-id", via)
	}
	return c.web.Ask(r, into, explain)
}
