package stripe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/tandemhq/tandem/apps/sandbox"
)

// Stripe's own client takes the simulated vendor for Stripe: it pages through its lists, follows what is expanded, and knows its errors.
func TestStripesClientTakesItForStripe(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	h, err := sandbox.New(sandbox.Config{Seed: 7, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/vendors/api.stripe.com" + r.URL.Path // the client refuses a base URL that has a path
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	client := func(key string) *stripe.Client {
		return stripe.NewClient(key, stripe.WithBackends(&stripe.Backends{API: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
			URL: stripe.String(server.URL), MaxNetworkRetries: stripe.Int64(0), EnableTelemetry: stripe.Bool(false),
			LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull}, HTTPClient: server.Client(),
		})}))
	}
	ctx, c := t.Context(), client("rk_live_demo")

	since := now.AddDate(0, 0, -60)
	params := &stripe.ChargeListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: since.Unix()}}
	params.Limit = stripe.Int64(100)
	params.AddExpand("data.balance_transaction")
	seen, refunded, disputed, last := 0, 0, 0, int64(1<<60)
	for ch, err := range c.V1Charges.List(ctx, params).All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if ch.Created > last || ch.Created < since.Unix() || ch.Amount <= 0 || ch.Currency != stripe.CurrencyUSD || ch.BalanceTransaction == nil || ch.BalanceTransaction.Fee <= 0 {
			t.Fatalf("%+v", ch)
		}
		last = ch.Created
		seen++
		if ch.AmountRefunded > 0 {
			refunded++
		}
		if ch.Disputed {
			disputed++
			of := 0
			for d, err := range c.V1Disputes.List(ctx, &stripe.DisputeListParams{Charge: stripe.String(ch.ID)}).All(ctx) {
				if err != nil || d.Charge.ID != ch.ID {
					t.Fatalf("%+v, %v", d, err)
				}
				of++
			}
			if of != 1 {
				t.Errorf("%s has %d disputes", ch.ID, of)
			}
		}
	}
	if seen < 200 || refunded == 0 || disputed == 0 {
		t.Errorf("%d charges in 60 days, %d refunded, %d disputed", seen, refunded, disputed)
	}

	happened := map[stripe.EventType]int{}
	for e, err := range c.V1Events.List(ctx, &stripe.EventListParams{}).All(ctx) {
		if err != nil || e.Created < now.AddDate(0, 0, -30).Unix() || e.Data.Object["id"] == "" {
			t.Fatalf("%+v, %v", e, err)
		}
		happened[e.Type]++
	}
	if happened[stripe.EventTypeChargeSucceeded] == 0 || happened[stripe.EventTypeChargeRefunded] == 0 || happened[stripe.EventTypeCustomerCreated] == 0 {
		t.Errorf("events %v", happened)
	}
	balance, err := c.V1Balance.Retrieve(ctx, nil)
	if err != nil || len(balance.Available) != 1 || balance.Available[0].Amount <= 0 || len(balance.Pending) != 1 {
		t.Errorf("%+v, %v", balance, err)
	}

	_, err = c.V1Charges.Retrieve(ctx, "ch_1", nil)
	var e *stripe.Error
	if !errors.As(err, &e) || e.HTTPStatusCode != http.StatusNotFound || e.Code != stripe.ErrorCodeResourceMissing {
		t.Errorf("a charge that there is not: %v", err)
	}
	if _, err = client("rk_live_demo_revoked").V1Balance.Retrieve(ctx, nil); !errors.As(err, &e) || e.HTTPStatusCode != http.StatusUnauthorized {
		t.Errorf("a revoked key: %v", err)
	}
	tooMany := &stripe.CustomerListParams{}
	tooMany.Limit = stripe.Int64(101)
	for _, err := range c.V1Customers.List(ctx, tooMany).All(ctx) {
		if !errors.As(err, &e) || e.HTTPStatusCode != http.StatusBadRequest || e.Param != "limit" {
			t.Errorf("a page too large: %v", err)
		}
		break
	}
}
