package triplewhale

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
)

func (c *Connector) get(ctx context.Context, a connector.Account, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("address Triple Whale: %w", err)
	}
	return c.send(r, a, into)
}

func (c *Connector) post(ctx context.Context, a connector.Account, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("address Triple Whale: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	return c.send(r, a, into)
}

func (c *Connector) send(r *http.Request, a connector.Account, into any) error {
	r.Header.Set("Accept", "application/json")
	if a.Credentials.Authorized {
		r.Header.Set("Authorization", "Bearer "+a.Credentials.AccessToken.Reveal())
	} else {
		r.Header.Set("x-api-key", a.Credentials.AccessToken.Reveal())
	}
	return c.web.Ask(r, into, explain)
}

// explain reads what goes wrong without a status that says so: a shop that there is not is a 500 of which the words speak of a shop
// (https://triplewhale.readme.io/reference/troubleshooting-common-triple-whale-api-errors), and an answer with status 200 may deny itself.
// Everything else is what its status means in HTTP.
func explain(status int, _ http.Header, body []byte) *connector.Error {
	var got struct {
		Success *bool  `json:"success"`
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	readable := json.Unmarshal(body, &got) == nil
	words := strings.ToLower(got.Message + got.Error)
	switch {
	case !readable: // rows without anything around them, or nothing of which this is the place to complain
	case status == http.StatusInternalServerError && strings.Contains(words, "shop"):
		return &connector.Error{
			Class: connector.Permanent, Code: connector.CodeAccountUnavailable, Message: "Triple Whale has no such shop", Cause: fmt.Errorf("status %d: %.200q", status, body),
		}
	case status < http.StatusMultipleChoices && (got.Success != nil && !*got.Success || got.Error != ""):
		return &connector.Error{
			Class: connector.Permanent, Code: connector.CodeRefused, Message: "the vendor refuses the request", Cause: fmt.Errorf("status %d: %.200q", status, body),
		}
	}
	return nil
}

// period is the first and the last day of a query, as dates.
type period struct {
	Start string `json:"startDate"`
	End   string `json:"endDate"`
}

// sql asks for the rows of a query between two days, both inclusive, with money in the shop's currency. Queries have no input of anybody
// in them but numbers and values of enumerations.
func (c *Connector) sql(ctx context.Context, a connector.Account, of connector.SubAccount, query, from, to string, rows any) error {
	body := struct {
		Shop     string `json:"shopId"`
		Query    string `json:"query"`
		Period   period `json:"period"`
		Currency string `json:"currency,omitempty"`
	}{of.ID, query, period{from, to}, of.Currency}
	var got table
	if err := c.post(ctx, a, "/orcabase/api/sql", body, &got); err != nil {
		return err
	}
	if err := json.Unmarshal(got.rows, rows); err != nil {
		return connector.BadAnswer("rows: %w", err)
	}
	return nil
}

// table is the answer to a query: the documentation has the rows in "data", the API has been seen to answer with nothing around them.
type table struct{ rows json.RawMessage }

// UnmarshalJSON implements json.Unmarshaler.
func (t *table) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		t.rows = bytes.Clone(data)
		return nil
	}
	var around struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(data, &around); err != nil {
		return err
	}
	if len(around.Data) == 0 || around.Data[0] != '[' {
		return errors.New("no rows")
	}
	t.rows = around.Data
	return nil
}

// figure is a number, as a number or as text; null, what a sum of nothing is, is 0. It is empty where the field was missing.
type figure string

var decimal = regexp.MustCompile(`^-?[0-9]{1,18}(\.[0-9]{1,18})?$`)

// UnmarshalJSON implements json.Unmarshaler.
func (f *figure) UnmarshalJSON(data []byte) error {
	text := string(data)
	if text == "null" {
		text = "0"
	}
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	if !decimal.MatchString(text) {
		return fmt.Errorf("%.40q is no number", text)
	}
	*f = figure(text)
	return nil
}

// minor is money in a currency's minor unit.
func (f figure) minor(currency string) (int64, error) { return money.Nearest(string(f), currency) }

// count is a whole number, which may be written as a decimal of zeros.
func (f figure) count() (int64, error) {
	whole, fraction, _ := strings.Cut(string(f), ".")
	if strings.Trim(fraction, "0") != "" {
		return 0, fmt.Errorf("%q is not whole", f)
	}
	return strconv.ParseInt(whole, 10, 64)
}

// real is a number that may be a fraction.
func (f figure) real() (float64, error) { return strconv.ParseFloat(string(f), 64) }

// label is text that may come as a number, or as null, which is empty.
type label string

// UnmarshalJSON implements json.Unmarshaler.
func (l *label) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(l))
	}
	var number json.Number
	err := json.Unmarshal(data, &number)
	*l = label(number)
	return err
}

// day reads a date, of which the midnight may be written, too.
func day(text string) (time.Time, error) {
	if date, clock, long := strings.Cut(strings.Replace(text, " ", "T", 1), "T"); long {
		if strings.Trim(strings.TrimSuffix(clock, "Z"), "0:.") != "" {
			return time.Time{}, fmt.Errorf("%.40q is not a day", text)
		}
		text = date
	}
	return time.Parse(time.DateOnly, text)
}

// instant is how the vendor's examples write instants.
const instant = "2006-01-02T15:04:05.000-0700"

// at reads an instant, of which the vendor documents that it is ISO 8601.
func at(text string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339, instant} { // fractions are read whether a layout has them or not
		if t, err = time.Parse(layout, text); err == nil && t.Year() > 1 && t.Year() < 9999 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no instant", text)
}

// journeys asks for orders and the clicks that led to them.
type journeys struct {
	Shop               string `json:"shop"`
	StartDate          string `json:"startDate"`
	EndDate            string `json:"endDate"`
	Page               int    `json:"page"`
	PageSize           int    `json:"pageSize"`
	ExcludeJourneyData bool   `json:"excludeJourneyData"`
}

// journeysPage is a page of them.
type journeysPage struct {
	Total  figure      `json:"totalForRange"`
	Orders []withClick `json:"ordersWithJourneys"`
}

// withClick is an order and the clicks that it is attributed to.
type withClick struct {
	ID         label               `json:"order_id"`
	Name       string              `json:"order_name"`
	CustomerID label               `json:"customer_id"`
	CreatedAt  string              `json:"created_at"`
	Total      figure              `json:"total_price"`
	Currency   string              `json:"currency"`
	Clicks     map[string][]aClick `json:"attribution"` // by model
	Journey    []anEvent           `json:"journey"`
}

type aClick struct {
	Source     string `json:"source"`
	CampaignID label  `json:"campaignId"`
	AdSetID    label  `json:"adsetId"`
	AdID       label  `json:"adId"`
	Clicked    string `json:"clickDate"`
}

type anEvent struct {
	Time      string `json:"time"`
	Event     string `json:"event"`
	Path      string `json:"path"`
	ProductID label  `json:"productId"`
}

// orders asks for a page of them (https://triplewhale.readme.io/reference/get-customer-journey-attribution-data).
func (c *Connector) orders(ctx context.Context, a connector.Account, shop string, ask journeys) (journeysPage, error) {
	ask.Shop = shop
	var got journeysPage
	err := c.post(ctx, a, "/attribution/get-orders-with-journeys-v2", ask, &got)
	return got, err
}
