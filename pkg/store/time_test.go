package store

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTimeForm(t *testing.T) {
	east := time.FixedZone("east", 2*3600)
	for in, want := range map[time.Time]string{
		time.Date(1997, 1, 1, 0, 0, 0, 0, time.UTC):              `"1997-01-01T00:00:00.000000Z"`,
		time.Date(1997, 1, 1, 1, 30, 0, 0, east):                 `"1996-12-31T23:30:00.000000Z"`,
		time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC):     `"2026-03-01T12:00:00.123456Z"`,
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC): `"9999-12-31T23:59:59.999999Z"`,
		{}: `"0001-01-01T00:00:00.000000Z"`,
	} {
		text, err := json.Marshal(At(in))
		if err != nil || string(text) != want {
			t.Errorf("%v: %s, %v; want %s", in, text, err, want)
		}
		var back Time
		if err := json.Unmarshal(text, &back); err != nil || back != At(in) {
			t.Errorf("%s read as %v, %v", text, back, err)
		}
	}
	if _, err := json.Marshal(At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))); err == nil {
		t.Error("year 10000, which would sort before 2000, was encoded")
	}
	for _, bad := range []string{`""`, `"1997-01-01"`, `5`, `{}`, `"`, `"1997-13-01T00:00:00Z"`} {
		if err := new(Time).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// FuzzTime has what is read from any text be written so that it reads the same again.
func FuzzTime(f *testing.F) {
	f.Add("1997-01-01T00:00:00Z")
	f.Add("2026-03-01T12:00:00.123456789+05:30")
	f.Add("0000-01-01T00:00:00-23:59")
	f.Fuzz(func(t *testing.T, text string) {
		var read, again Time
		if read.UnmarshalText([]byte(text)) != nil {
			return
		}
		written, err := read.MarshalText()
		if err != nil {
			return // a zone moved it out of the years that sort
		}
		if len(written) != len(timeLayout) {
			t.Errorf("%q was written as %q, of another width", text, written)
		}
		if err := again.UnmarshalText(written); err != nil || again != read {
			t.Errorf("%q was read as %v, then as %v, %v", text, read, again, err)
		}
	})
}
