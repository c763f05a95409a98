package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// digits are the currencies for which the smallest unit in Stripe's API is not that of ISO 4217
// (docs.stripe.com/currencies#special-cases): ISK and UGX have no minor unit any more, but Stripe goes on counting hundredths, and
// MGA has one that Stripe does not count. HUF and TWD differ in payouts only.
var digits = map[string]int{"ISK": 2, "UGX": 2, "MGA": 0}

// most bounds amounts of special currencies, so that none overflows.
const most = int64(1e15)

var (
	errCurrency = errors.New("its currency is no ISO 4217 code")
	errAmount   = errors.New("its amount cannot be")
	errNoTime   = errors.New("it has no time")
	errNoID     = errors.New("it has no id")
)

// minor is an amount in Stripe's smallest unit in the minor unit of ISO 4217. Hundredths of a króna, which could be charged until
// April 2023, are rounded to whole ones, away from zero from a half on.
func minor(amount int64, currency string) (int64, error) {
	if len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return 0, fmt.Errorf("%.20q: %w", currency, errCurrency)
	}
	theirs, special := digits[currency]
	if !special {
		return amount, nil
	}

	if amount > most || amount < -most {
		return 0, errAmount
	}
	ours := money.MinorDigits(currency)
	for ; theirs < ours; theirs++ {
		amount *= 10
	}
	scale := int64(1)
	for ; theirs > ours; theirs-- {
		scale *= 10
	}
	half := scale / 2
	if amount < 0 {
		half = -half
	}
	return (amount + half) / scale, nil
}

// charges are the payments. Payment intents would be the attempts to pay, of which each may have several.
var charges = kind{
	path: "charges", expand: []string{"balance_transaction"},
	events: []string{
		"charge.captured", "charge.expired", "charge.failed", "charge.pending", "charge.refunded", "charge.succeeded", "charge.updated",
		"charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn", "charge.dispute.updated",
		"charge.refund.updated", "refund.created", "refund.failed", "refund.updated",
	},
}

// charge is one attempt to move money into an account (docs.stripe.com/api/charges/object).
type charge struct {
	ID                 string    `json:"id"`
	Amount             *int64    `json:"amount"`
	AmountRefunded     *int64    `json:"amount_refunded"`
	Currency           string    `json:"currency"`
	Created            int64     `json:"created"`
	Status             string    `json:"status"`
	Captured           bool      `json:"captured"`
	Refunded           bool      `json:"refunded"`
	Disputed           bool      `json:"disputed"`
	LiveMode           bool      `json:"livemode"`
	Customer           reference `json:"customer"`
	ReceiptEmail       string    `json:"receipt_email"`
	BalanceTransaction *struct {
		Fee      int64  `json:"fee"`
		Currency string `json:"currency"`
	} `json:"balance_transaction"`
	BillingDetails struct {
		Email string `json:"email"`
	} `json:"billing_details"`
	PaymentMethodDetails struct {
		Type string `json:"type"`
	} `json:"payment_method_details"`
	Metadata map[string]string `json:"metadata"`
}

func (o charge) id() string { return o.ID }

func (o charge) addTo(ctx context.Context, c *Connector, a connector.Account, records *connector.Records) error {
	currency := strings.ToUpper(o.Currency)
	switch {
	case o.Created <= 0:
		return errNoTime
	case o.Amount == nil || o.AmountRefunded == nil:
		return errAmount
	}
	amount, err := minor(*o.Amount, currency)
	if err != nil {
		return err
	}
	refunded, err := minor(*o.AmountRefunded, currency)
	if err != nil {
		return err
	}
	normal := integrationsapi.Payment{
		ID: a.Connection + ":" + o.ID, ConnectionID: a.Connection, Vendor: Vendor, OrderID: o.Metadata["order_id"],
		Email: connector.NormalEmail(o.BillingDetails.Email), CreatedAt: store.At(time.Unix(o.Created, 0)),
		AmountMinor: amount, RefundedMinor: refunded, Currency: currency, Method: o.PaymentMethodDetails.Type, LiveMode: o.LiveMode,
	}
	if normal.Email == "" {
		normal.Email = connector.NormalEmail(o.ReceiptEmail)
	}
	if o.Customer != "" {
		normal.CustomerID = a.Connection + ":" + string(o.Customer)
	}
	// What is settled in another currency has its fee in that one.
	if t := o.BalanceTransaction; t != nil && strings.EqualFold(t.Currency, currency) {
		if normal.FeeMinor, err = minor(t.Fee, currency); err != nil {
			return err
		}
	}
	if normal.Status, err = o.outcome(ctx, c, a); err != nil {
		return err
	}
	records.Payments = append(records.Payments, normal)
	return nil
}

// outcome is what came of a charge, in shared terms.
func (o charge) outcome(ctx context.Context, c *Connector, a connector.Account) (string, error) {
	disputed := o.Disputed
	if disputed {
		var err error
		if disputed, err = c.stands(ctx, a, o.ID); err != nil {
			return "", err
		}
	}
	switch {
	case o.Status == "failed":
		return integrationsapi.PaymentFailed, nil
	case disputed:
		return integrationsapi.PaymentDisputed, nil
	case o.Refunded: // also what was authorized and given back before it was captured
		return integrationsapi.PaymentRefunded, nil
	case *o.AmountRefunded > 0:
		return integrationsapi.PaymentPartiallyRefunded, nil
	case o.Status == "pending" || o.Status == "succeeded" && !o.Captured:
		return integrationsapi.PaymentPending, nil
	case o.Status == "succeeded":
		return integrationsapi.PaymentSucceeded, nil
	}
	return integrationsapi.PaymentUnknown, nil
}

// stands tells whether a charge that was disputed still is, or was lost. The charge itself says disputed for good, also when the
// dispute was won and the money came back.
func (c *Connector) stands(ctx context.Context, a connector.Account, charge string) (bool, error) {
	var disputes list[struct {
		Status string `json:"status"`
	}]
	if err := c.get(ctx, a, "disputes", url.Values{"charge": {charge}, "limit": {"100"}}, &disputes); err != nil {
		return false, err
	}
	for _, d := range disputes.Data {
		switch d.Status {
		case "won", "warning_closed", "prevented":
		default:
			return true, nil
		}
	}
	return len(disputes.Data) == 0, nil
}

var customers = kind{path: "customers", events: []string{"customer.created", "customer.updated"}}

// customer is somebody whom an account keeps (docs.stripe.com/api/customers/object).
type customer struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Name     string `json:"name"`
	Currency string `json:"currency"`
	Created  int64  `json:"created"`
	Deleted  bool   `json:"deleted"`
}

func (o customer) id() string { return o.ID }

// addTo adds a customer. Stripe neither counts what customers buy nor says when they were last changed, and has names in one piece, of
// which the first word is taken for the first name.
func (o customer) addTo(_ context.Context, _ *Connector, a connector.Account, records *connector.Records) error {
	if o.Deleted {
		return nil
	}
	if o.Created <= 0 {
		return errNoTime
	}
	first, last, _ := strings.Cut(strings.TrimSpace(o.Name), " ")
	at := store.At(time.Unix(o.Created, 0))
	records.Customers = append(records.Customers, integrationsapi.Customer{
		ID: a.Connection + ":" + o.ID, ConnectionID: a.Connection, Vendor: Vendor, Email: connector.NormalEmail(o.Email), FirstName: first, LastName: strings.TrimSpace(last),
		CreatedAt: at, UpdatedAt: at, Currency: strings.ToUpper(o.Currency),
	})
	return nil
}
