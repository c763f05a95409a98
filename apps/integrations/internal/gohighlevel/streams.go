package gohighlevel

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

var (
	errNoID   = errors.New("it has no id")
	errNoTime = errors.New("it has no time")
)

// currency is what opportunities of a location are counted in. HighLevel does not say; it is that of the location's country.
func (l location) currency() (string, error) {
	region, err := language.ParseRegion(l.Country)
	if err != nil {
		return "", connector.BadAnswer("the country %.20q of location %s: %w", l.Country, l.ID, err)
	}
	unit, ok := currency.FromRegion(region)
	if !ok {
		return "", connector.BadAnswer("the country %.20q of location %s has no currency", l.Country, l.ID)
	}
	return unit.String(), nil
}

// minor is an amount in major units, as HighLevel writes it, in minor units. People type amounts of opportunities: what is finer than the
// minor unit is cut off.
func minor(amount json.Number, code string) (int64, error) {
	text := amount.String()
	if text == "" {
		text = "0"
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if places := money.MinorDigits(code); len(fraction) > places {
		fraction = fraction[:places]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return money.Parse(whole, code)
}

type contact struct {
	ID          string          `json:"id"`
	Email       string          `json:"email"`
	Phone       string          `json:"phone"`
	FirstName   string          `json:"firstName"`
	LastName    string          `json:"lastName"`
	Type        string          `json:"type"`
	DND         *bool           `json:"dnd"`
	DateAdded   time.Time       `json:"dateAdded"`
	DateUpdated time.Time       `json:"dateUpdated"`
	SearchAfter json.RawMessage `json:"searchAfter"`
}

// contacts reads contacts in the order of their last change. A cursor is the place in that order of the last one of a page.
func (c *Connector) contacts(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
	id, token := split(a)
	body := map[string]any{"locationId": id, "pageLimit": r.Size, "sort": []map[string]string{{"field": "dateUpdated", "direction": "asc"}}}
	if !r.Since.IsZero() {
		body["filters"] = []map[string]any{{"field": "dateUpdated", "operator": "range", "value": map[string]string{"gte": r.Since.UTC().Format(time.RFC3339)}}}
	}
	if r.Cursor != "" {
		body["searchAfter"] = json.RawMessage(r.Cursor)
	}
	var got struct {
		Contacts []connector.Row[contact] `json:"contacts"`
		Total    *int                     `json:"total"`
	}
	if err := c.post(ctx, token, "/contacts/search", body, &got); err != nil {
		return connector.Page{}, err
	}
	var page connector.Page
	for _, row := range got.Contacts {
		o := row.Value
		connector.Add(&page, &page.Records.Contacts, row, o.ID, func(o contact) (integrationsapi.Contact, error) { return o.normal(a.Connection) })
		if o.DateUpdated.After(page.Changed) {
			page.Changed = o.DateUpdated.UTC()
		}
	}
	if got.Total != nil && r.Cursor == "" {
		page.Left = connector.LeftOf(*got.Total, len(got.Contacts))
	}
	if n := len(got.Contacts); n >= r.Size {
		page.Next = string(got.Contacts[n-1].Value.SearchAfter)
		if page.Next == "" || page.Next == r.Cursor {
			return connector.Page{}, connector.BadAnswer("a full page without a way to the next")
		}
	}
	return page, nil
}

func (o contact) normal(connection string) (integrationsapi.Contact, error) {
	switch {
	case o.ID == "":
		return integrationsapi.Contact{}, errNoID
	case o.DateAdded.IsZero():
		return integrationsapi.Contact{}, errNoTime
	case o.DateUpdated.IsZero(): // it was never changed
		o.DateUpdated = o.DateAdded
	}
	normal := integrationsapi.Contact{
		ID: connection + ":" + o.ID, ConnectionID: connection, Vendor: Vendor, Email: connector.NormalEmail(o.Email), Phone: o.Phone, FirstName: o.FirstName,
		LastName: o.LastName, CreatedAt: store.At(o.DateAdded), UpdatedAt: store.At(o.DateUpdated), Stage: o.Type,
	}
	if o.DND != nil {
		subscribed := !*o.DND
		normal.Subscribed = &subscribed
	}
	return normal, nil
}

type opportunity struct {
	ID                 string      `json:"id"`
	Name               string      `json:"name"`
	MonetaryValue      json.Number `json:"monetaryValue"`
	PipelineID         string      `json:"pipelineId"`
	PipelineStageID    string      `json:"pipelineStageId"`
	Status             string      `json:"status"`
	ContactID          string      `json:"contactId"`
	CreatedAt          time.Time   `json:"createdAt"`
	UpdatedAt          time.Time   `json:"updatedAt"`
	LastStatusChangeAt time.Time   `json:"lastStatusChangeAt"`
	ExpectedCloseDate  string      `json:"forecastExpectedCloseDate"`
}

// added is where a list by the time of addition is.
type added struct {
	Currency string `json:"currency"`
	After    int64  `json:"after,omitempty"` // in Unix milliseconds
	AfterID  string `json:"after_id,omitempty"`
}

// opportunities reads all opportunities, oldest first.
func (c *Connector) opportunities(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
	id, token := split(a)
	var at added
	if r.Cursor == "" {
		l, err := c.location(ctx, a)
		if err != nil {
			return connector.Page{}, err
		}
		if at.Currency, err = l.currency(); err != nil {
			return connector.Page{}, err
		}
	} else if err := json.Unmarshal([]byte(r.Cursor), &at); err != nil {
		return connector.Page{}, connector.BadAnswer("a cursor that is none: %.100q", r.Cursor)
	}
	q := url.Values{"locationId": {id}, "status": {"all"}, "order": {"added_asc"}, "limit": {strconv.Itoa(r.Size)}}
	if at.AfterID != "" {
		q.Set("startAfter", strconv.FormatInt(at.After, 10))
		q.Set("startAfterId", at.AfterID)
	}
	var got struct {
		Opportunities []connector.Row[opportunity] `json:"opportunities"`
		Meta          struct {
			StartAfter   int64  `json:"startAfter"`
			StartAfterID string `json:"startAfterId"`
		} `json:"meta"`
	}
	if err := c.get(ctx, token, "/opportunities/search", q, &got); err != nil {
		return connector.Page{}, err
	}
	var page connector.Page
	for _, row := range got.Opportunities {
		connector.Add(&page, &page.Records.Deals, row, row.Value.ID, func(o opportunity) (integrationsapi.Deal, error) { return o.normal(a.Connection, at.Currency) })
	}
	if len(got.Opportunities) < r.Size {
		return page, nil
	}
	if got.Meta.StartAfterID == "" || got.Meta.StartAfterID == at.AfterID {
		return connector.Page{}, connector.BadAnswer("a full page without a way to the next")
	}
	next, err := json.Marshal(added{at.Currency, got.Meta.StartAfter, got.Meta.StartAfterID})
	page.Next = string(next)
	return page, err
}

// dealStatuses are the statuses of opportunities in shared terms.
var dealStatuses = map[string]string{
	"open": integrationsapi.DealOpen, "won": integrationsapi.DealWon, "lost": integrationsapi.DealLost, "abandoned": integrationsapi.DealLost,
}

func (o opportunity) normal(connection, code string) (integrationsapi.Deal, error) {
	switch {
	case o.ID == "":
		return integrationsapi.Deal{}, errNoID
	case o.CreatedAt.IsZero() || o.UpdatedAt.IsZero():
		return integrationsapi.Deal{}, errNoTime
	}
	amount, err := minor(o.MonetaryValue, code)
	if err != nil {
		return integrationsapi.Deal{}, err
	}
	normal := integrationsapi.Deal{
		ID: connection + ":" + o.ID, ConnectionID: connection, Vendor: Vendor, Name: o.Name, Pipeline: o.PipelineID, Stage: o.PipelineStageID,
		CreatedAt: store.At(o.CreatedAt), UpdatedAt: store.At(o.UpdatedAt), AmountMinor: amount, Currency: code, Status: integrationsapi.DealUnknown,
	}
	if status, known := dealStatuses[o.Status]; known {
		normal.Status = status
	}
	if o.ContactID != "" {
		normal.ContactIDs = []string{connection + ":" + o.ContactID}
	}
	closed := o.LastStatusChangeAt
	if normal.Status == integrationsapi.DealOpen {
		closed, _ = time.Parse(time.DateOnly, o.ExpectedCloseDate) // zero where nobody expects it
	}
	if !closed.IsZero() {
		at := store.At(closed)
		normal.ClosedAt = &at
	}
	return normal, nil
}

type transaction struct {
	ID             string      `json:"_id"`
	ContactID      string      `json:"contactId"`
	ContactEmail   string      `json:"contactEmail"`
	Currency       string      `json:"currency"`
	Amount         json.Number `json:"amount"`
	AmountRefunded json.Number `json:"amountRefunded"`
	Status         string      `json:"status"`
	LiveMode       bool        `json:"liveMode"`
	EntityType     string      `json:"entityType"`
	EntityID       string      `json:"entityId"`
	Provider       string      `json:"paymentProviderType"`
	CreatedAt      time.Time   `json:"createdAt"`
}

// offset is where a list by offsets is.
type offset struct {
	Began int64 `json:"began"` // Unix seconds
	Count int   `json:"count"`
}

// transactions reads the transactions since a day. They are listed newest first, so what comes meanwhile makes some come twice and hides
// none; only the last page says how far the stream is read.
func (c *Connector) transactions(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
	id, token := split(a)
	at := offset{Began: c.web.Now().Unix()}
	if r.Cursor != "" {
		if err := json.Unmarshal([]byte(r.Cursor), &at); err != nil {
			return connector.Page{}, connector.BadAnswer("a cursor that is none: %.100q", r.Cursor)
		}
	}
	q := url.Values{"altId": {id}, "altType": {"location"}, "limit": {strconv.Itoa(r.Size)}, "offset": {strconv.Itoa(at.Count)}}
	if !r.Since.IsZero() { // a day earlier, as the day is one of the location's time zone
		q.Set("startAt", r.Since.UTC().AddDate(0, 0, -1).Format(time.DateOnly))
	}
	var got struct {
		Data []connector.Row[transaction] `json:"data"`
	}
	if err := c.get(ctx, token, "/payments/transactions", q, &got); err != nil {
		return connector.Page{}, err
	}
	var page connector.Page
	for _, row := range got.Data {
		connector.Add(&page, &page.Records.Payments, row, row.Value.ID, func(o transaction) (integrationsapi.Payment, error) { return o.normal(a.Connection) })
	}
	if len(got.Data) < r.Size {
		page.Changed = time.Unix(at.Began, 0).UTC()
		return page, nil
	}
	at.Count += r.Size
	next, err := json.Marshal(at)
	page.Next = string(next)
	return page, err
}

func (o transaction) normal(connection string) (integrationsapi.Payment, error) {
	switch {
	case o.ID == "":
		return integrationsapi.Payment{}, errNoID
	case o.CreatedAt.IsZero():
		return integrationsapi.Payment{}, errNoTime
	}
	code := strings.ToUpper(o.Currency)
	amount, err := minor(o.Amount, code)
	if err != nil {
		return integrationsapi.Payment{}, err
	}
	refunded, err := minor(o.AmountRefunded, code)
	if err != nil {
		return integrationsapi.Payment{}, err
	}
	normal := integrationsapi.Payment{
		ID: connection + ":" + o.ID, ConnectionID: connection, Vendor: Vendor, Email: connector.NormalEmail(o.ContactEmail), CreatedAt: store.At(o.CreatedAt),
		AmountMinor: amount, RefundedMinor: refunded, Currency: code, Status: integrationsapi.PaymentUnknown, Method: o.Provider, LiveMode: o.LiveMode,
	}
	if o.ContactID != "" {
		normal.CustomerID = connection + ":" + o.ContactID
	}
	if o.EntityType == "order" {
		normal.OrderID = o.EntityID
	}
	switch o.Status {
	case "succeeded", "refunded", "partially_refunded":
		switch {
		case o.Status == "refunded" || refunded >= amount && refunded > 0:
			normal.Status = integrationsapi.PaymentRefunded
		case refunded > 0:
			normal.Status = integrationsapi.PaymentPartiallyRefunded
		default:
			normal.Status = integrationsapi.PaymentSucceeded
		}
	case "failed":
		normal.Status = integrationsapi.PaymentFailed
	case "pending":
		normal.Status = integrationsapi.PaymentPending
	}
	return normal, nil
}
