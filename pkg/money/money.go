// Package money is what there is to know of minor units: how many digits a currency has, how a vendor's decimal becomes a
// whole number of them without loss, how that number is written again, and how a share of it is rounded.
package money

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Errors of Parse, told apart with errors.Is.
var (
	ErrAmount   = errors.New("not a decimal amount")
	ErrInexact  = errors.New("amount has more places than its currency")
	ErrOverflow = errors.New("amount beyond what can be kept")
	ErrCurrency = errors.New("not an ISO 4217 code")
)

// exceptions are the currencies of ISO 4217 (list one) whose minor unit is not a hundredth.
var exceptions = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
	"UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"CLF": 4, "UYW": 4,
}

// MinorDigits is how many decimal digits a currency's minor unit has (ISO 4217). A code that is not among the exceptions
// has two, as have all that were introduced in the last decades.
func MinorDigits(currency string) int {
	if digits, ok := exceptions[currency]; ok {
		return digits
	}
	return 2
}

// Parse is a decimal amount such as "12.5" or "-0.99" in a currency's minor units, exactly: ErrAmount, ErrCurrency,
// ErrInexact for places that the currency does not have and that are not zero, ErrOverflow.
func Parse(amount, currency string) (int64, error) {
	if len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return 0, fmt.Errorf("currency %.20q: %w", currency, ErrCurrency)
	}
	places := MinorDigits(currency)
	digits, negative := strings.CutPrefix(amount, "-")
	whole, fraction, pointed := strings.Cut(digits, ".")
	if !isDigits(whole) || pointed && !isDigits(fraction) {
		return 0, fmt.Errorf("amount %.40q: %w", amount, ErrAmount)
	}
	if len(fraction) > places {
		if strings.Trim(fraction[places:], "0") != "" {
			return 0, fmt.Errorf("amount %.40q %s: %w", amount, currency, ErrInexact)
		}
		fraction = fraction[:places]
	}
	var minor int64
	for _, digit := range whole + fraction + strings.Repeat("0", places-len(fraction)) {
		d := int64(digit - '0')
		if minor > (math.MaxInt64-d)/10 {
			return 0, fmt.Errorf("amount %.40q %s: %w", amount, currency, ErrOverflow)
		}
		minor = minor*10 + d
	}
	if negative {
		minor = -minor
	}
	return minor, nil
}

// Nearest is Parse, but rounds places that the currency does not have, to the nearest minor unit, halves to the even one: a
// value that a vendor converted from another currency has such places.
func Nearest(amount, currency string) (int64, error) {
	minor, err := Parse(amount, currency)
	if !errors.Is(err, ErrInexact) {
		return minor, err
	}
	digits, negative := strings.CutPrefix(amount, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	places := MinorDigits(currency)
	if minor, err = Parse(strings.TrimSuffix(whole+"."+fraction[:places], "."), currency); err != nil {
		return 0, err
	}
	rest := fraction[places:]
	if above := strings.Trim(rest[1:], "0") != ""; rest[0] > '5' || rest[0] == '5' && (above || minor%2 == 1) {
		if minor == math.MaxInt64 {
			return 0, fmt.Errorf("amount %.40q %s: %w", amount, currency, ErrOverflow)
		}
		minor++
	}
	if negative {
		minor = -minor
	}
	return minor, nil
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// DivideHalfEven is a divided by a positive b, rounded to the nearest whole number, halves to the even one.
func DivideHalfEven(a, b int64) int64 {
	quotient, rest := a/b, a%b
	if rest < 0 {
		quotient, rest = quotient-1, rest+b
	}
	// rest and b-rest are compared because twice the rest may overflow.
	if rest > b-rest || rest == b-rest && quotient%2 != 0 {
		quotient++
	}
	return quotient
}
