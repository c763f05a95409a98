package connector_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

func TestMinor(t *testing.T) {
	for _, c := range []struct {
		amount, currency string
		want             int64
		err              error
	}{
		{"29.33", "USD", 2933, nil},
		{"29.3", "USD", 2930, nil},
		{"29", "USD", 2900, nil},
		{"0.07", "USD", 7, nil},
		{"-0.99", "EUR", -99, nil},
		{"-0", "EUR", 0, nil},
		{"007.10", "EUR", 710, nil},
		{"10.500", "USD", 1050, nil},
		{"1000", "JPY", 1000, nil},
		{"1000.0", "JPY", 1000, nil},
		{"1.234", "KWD", 1234, nil},
		{"1.2", "BHD", 1200, nil},
		{"1.2345", "CLF", 12345, nil},
		{"12.34", "XCG", 1234, nil}, // younger than many tables
		{"92233720368547758.07", "USD", 9223372036854775807, nil},
		{"92233720368547758.08", "USD", 0, connector.ErrOverflow},
		{"10.005", "USD", 0, connector.ErrInexact},
		{"1000.5", "JPY", 0, connector.ErrInexact},
		{"", "USD", 0, connector.ErrAmount},
		{"-", "USD", 0, connector.ErrAmount},
		{".5", "USD", 0, connector.ErrAmount},
		{"5.", "USD", 0, connector.ErrAmount},
		{"1e2", "USD", 0, connector.ErrAmount},
		{"+1", "USD", 0, connector.ErrAmount},
		{"--1", "USD", 0, connector.ErrAmount},
		{"1,00", "USD", 0, connector.ErrAmount},
		{" 1", "USD", 0, connector.ErrAmount},
		{"1.2.3", "USD", 0, connector.ErrAmount},
		{"١", "USD", 0, connector.ErrAmount},
		{"1", "usd", 0, connector.ErrCurrency},
		{"1", "US", 0, connector.ErrCurrency},
		{"1", "", 0, connector.ErrCurrency},
	} {
		got, err := connector.Minor(c.amount, c.currency)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q %q: %d, %v; want %d, %v", c.amount, c.currency, got, err, c.want, c.err)
		}
	}
}

func FuzzMinor(f *testing.F) {
	f.Add("29.33", "USD")
	f.Add("-1000.0", "JPY")
	f.Add("92233720368547758.08", "USD")
	f.Add("0.0005", "CLF")
	f.Fuzz(func(t *testing.T, amount, currency string) {
		got, err := connector.Minor(amount, currency)
		if err != nil {
			if got != 0 {
				t.Errorf("%q %q: %d beside an error", amount, currency, got)
			}
			return
		}
		places, err := connector.Exponent(currency)
		if err != nil {
			t.Fatalf("%q has an amount but no exponent", currency)
		}
		exact, ok := new(big.Rat).SetString(amount)
		if !ok || strings.ContainsAny(amount, "eEpPxX_/") {
			t.Fatalf("%q is no decimal", amount)
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
		if exact.Mul(exact, new(big.Rat).SetInt(scale)).Cmp(new(big.Rat).SetInt64(got)) != 0 {
			t.Errorf("%q %s: %d, exactly %s", amount, currency, got, exact)
		}
	})
}
