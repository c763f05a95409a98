package money

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
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
		{"92233720368547758.08", "USD", 0, ErrOverflow},
		{"10.005", "USD", 0, ErrInexact},
		{"1000.5", "JPY", 0, ErrInexact},
		{"", "USD", 0, ErrAmount},
		{"-", "USD", 0, ErrAmount},
		{".5", "USD", 0, ErrAmount},
		{"5.", "USD", 0, ErrAmount},
		{"1e2", "USD", 0, ErrAmount},
		{"+1", "USD", 0, ErrAmount},
		{"--1", "USD", 0, ErrAmount},
		{"1,00", "USD", 0, ErrAmount},
		{" 1", "USD", 0, ErrAmount},
		{"1.2.3", "USD", 0, ErrAmount},
		{"١", "USD", 0, ErrAmount},
		{"1", "usd", 0, ErrCurrency},
		{"1", "US", 0, ErrCurrency},
		{"1", "", 0, ErrCurrency},
	} {
		got, err := Parse(c.amount, c.currency)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q %q: %d, %v; want %d, %v", c.amount, c.currency, got, err, c.want, c.err)
		}
	}
}

func TestNearestRoundsWhatTheCurrencyHasNoPlacesFor(t *testing.T) {
	for _, c := range []struct {
		amount, currency string
		want             int64
		err              error
	}{
		{"12.34", "USD", 1234, nil},
		{"12.344999", "USD", 1234, nil},
		{"12.345", "USD", 1234, nil}, // to the even one
		{"12.355", "USD", 1236, nil},
		{"12.3450001", "USD", 1235, nil},
		{"-12.346", "USD", -1235, nil},
		{"-0.6", "JPY", -1, nil},
		{"0.5", "JPY", 0, nil},
		{"92233720368547758.079", "USD", 0, ErrOverflow},
		{"1.2.3", "USD", 0, ErrAmount},
		{"1", "usd", 0, ErrCurrency},
	} {
		if got, err := Nearest(c.amount, c.currency); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("Nearest(%q, %s) = %d, %v; want %d, %v", c.amount, c.currency, got, err, c.want, c.err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("29.33", "USD")
	f.Add("-1000.0", "JPY")
	f.Add("92233720368547758.08", "USD")
	f.Add("0.0005", "CLF")
	f.Fuzz(func(t *testing.T, amount, currency string) {
		got, err := Parse(amount, currency)
		if err != nil {
			if got != 0 {
				t.Errorf("%q %q: %d beside an error", amount, currency, got)
			}
			return
		}
		exact, ok := new(big.Rat).SetString(amount)
		if !ok || strings.ContainsAny(amount, "eEpPxX_/") {
			t.Fatalf("%q is no decimal", amount)
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(MinorDigits(currency))), nil)
		if exact.Mul(exact, new(big.Rat).SetInt(scale)).Cmp(new(big.Rat).SetInt64(got)) != 0 {
			t.Errorf("%q %s: %d, exactly %s", amount, currency, got, exact)
		}
	})
}

func TestMinorDigits(t *testing.T) {
	for currency, want := range map[string]int{"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4, "ISK": 0} {
		if got := MinorDigits(currency); got != want {
			t.Errorf("%s has %d digits, want %d", currency, got, want)
		}
	}
}

func TestDivideHalfEven(t *testing.T) {
	tests := []struct{ a, b, want int64 }{
		{5, 2, 2}, {7, 2, 4}, {-5, 2, -2}, {-7, 2, -4}, {10, 4, 2}, {14, 4, 4}, {1, 3, 0}, {2, 3, 1}, {-1, 3, 0}, {-2, 3, -1},
		{0, 7, 0}, {9223372036854775807, 2, 4611686018427387904}, {9223372036854775807, 9223372036854775807, 1},
	}
	for _, tt := range tests {
		if got := DivideHalfEven(tt.a, tt.b); got != tt.want {
			t.Errorf("%d / %d is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func FuzzDivideHalfEven(f *testing.F) {
	f.Add(int64(-5), int64(2))
	f.Add(int64(math.MinInt64), int64(3))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a, b int64) {
		if b < 1 {
			t.Skip("no positive divisor")
		}
		quotient := DivideHalfEven(a, b)
		twice := new(big.Int).Mul(big.NewInt(quotient), big.NewInt(b))
		twice.Abs(twice.Sub(big.NewInt(a), twice)).Lsh(twice, 1) // the distance of a from what was chosen, doubled
		if c := twice.Cmp(big.NewInt(b)); c > 0 || c == 0 && quotient%2 != 0 {
			t.Errorf("%d / %d is rounded to %d", a, b, quotient)
		}
	})
}
