package money

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Amount is an amount of money. Its JSON is a number in major units with all digits of the minor unit, such as 43472.10,
// written and read without passing through binary floating point.
type Amount struct {
	// Minor counts minor units, such as cents.
	Minor int64
	// Digits is how many decimal digits the minor unit has, 0 to 6; 2 for cents.
	Digits int
}

const (
	maxDigits = 6  // more than any currency has
	maxText   = 24 // bytes of an amount: 19 digits of an int64, the sign and the point, with room
)

// String is the amount in major units.
func (a Amount) String() string { return string(a.Append(make([]byte, 0, maxText))) }

// Append appends the amount in major units to b.
func (a Amount) Append(b []byte) []byte {
	if a.Minor < 0 {
		b = append(b, '-')
	}
	start := len(b)
	b = strconv.AppendUint(b, magnitude(a.Minor), 10)
	if a.Digits == 0 {
		return b
	}
	for len(b)-start <= a.Digits { // a digit before the point
		b = append(b, 0)
		copy(b[start+1:], b[start:])
		b[start] = '0'
	}
	point := len(b) - a.Digits
	b = append(b, 0)
	copy(b[point+1:], b[point:])
	b[point] = '.'
	return b
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// MarshalJSON is the amount in major units.
func (a Amount) MarshalJSON() ([]byte, error) { return a.Append(make([]byte, 0, maxText)), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Amount) UnmarshalJSON(data []byte) error {
	whole, fraction, _ := strings.Cut(string(data), ".")
	if len(fraction) > maxDigits {
		return fmt.Errorf("amount %.40s: more than %d decimal digits", data, maxDigits)
	}
	minor, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		return fmt.Errorf("amount %.40s: want a decimal number of 64 bits without exponent", data)
	}
	*a = Amount{Minor: minor, Digits: len(fraction)}
	return nil
}

// Schema describes the JSON.
func (Amount) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Description: "Decimal number in major units of the currency"}
}
