package store

import (
	"fmt"
	"time"
)

// timeLayout is fixed in width and zone, so that text order is time order, and is valid RFC 3339.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Time is an instant as a document field: UTC, microseconds, stored and JSON-encoded as RFC 3339 of a fixed width, so it
// can be indexed. It reads any RFC 3339 text. Two equal instants made by At or read from JSON are equal with ==.
type Time struct{ time.Time }

// At is t cut to what Time stores.
func At(t time.Time) Time { return Time{t.Round(0).UTC().Truncate(time.Microsecond)} }

// OrNil is t, or nil when it is zero, for what is left out then.
func (t Time) OrNil() *Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// String is the stored form.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

// MarshalText is the stored form; years outside 0 to 9999 are an error, as they would not sort.
func (t Time) MarshalText() ([]byte, error) {
	u := t.UTC()
	if y := u.Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("encode time: year %d outside 0 to 9999", y)
	}
	return u.AppendFormat(make([]byte, 0, len(timeLayout)), timeLayout), nil
}

// UnmarshalText reads any RFC 3339 text.
func (t *Time) UnmarshalText(text []byte) error {
	parsed, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return fmt.Errorf("decode time: %w", err)
	}
	*t = At(parsed)
	return nil
}

// MarshalJSON is the stored form as a JSON string.
func (t Time) MarshalJSON() ([]byte, error) {
	text, err := t.MarshalText()
	if err != nil {
		return nil, err
	}
	return append(append([]byte{'"'}, text...), '"'), nil
}

// UnmarshalJSON reads a JSON string with any RFC 3339 text; null leaves t as it is.
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) < 2 || data[0] != '"' || data[len(data)-1] != '"' {
		return fmt.Errorf("decode time: %.40s is no JSON string", data)
	}
	return t.UnmarshalText(data[1 : len(data)-1])
}
