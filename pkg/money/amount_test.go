package money

import (
	"encoding/json"
	"math"
	"testing"
)

func TestAmountIsWrittenExactly(t *testing.T) {
	tests := []struct {
		amount Amount
		want   string
	}{
		{Amount{24409194, 2}, "244091.94"},
		{Amount{4347210, 2}, "43472.10"},
		{Amount{5, 2}, "0.05"},
		{Amount{-5, 2}, "-0.05"},
		{Amount{0, 2}, "0.00"},
		{Amount{1500, 0}, "1500"},
		{Amount{1, 3}, "0.001"},
		{Amount{math.MaxInt64, 2}, "92233720368547758.07"},
		{Amount{math.MinInt64, 4}, "-922337203685477.5808"},
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.amount)
		if err != nil || string(got) != tt.want {
			t.Errorf("%+v is written as %s, %v; want %s", tt.amount, got, err, tt.want)
		}
		var back Amount
		if err := json.Unmarshal(got, &back); err != nil || back != tt.amount {
			t.Errorf("%s is read as %+v, %v", got, back, err)
		}
	}
}

func TestAmountRefusesWhatIsNoDecimal(t *testing.T) {
	for _, text := range []string{`"1.00"`, `1e3`, `true`, `92233720368547758.08`, `0.0000001`, `{}`} {
		var a Amount
		if err := json.Unmarshal([]byte(text), &a); err == nil {
			t.Errorf("%s is read as %+v", text, a)
		}
	}
}

func FuzzAmount(f *testing.F) {
	for _, seed := range []string{"0", "-0.01", "12.345", "1e9", "..", "1.-5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a Amount
		if json.Unmarshal([]byte(text), &a) != nil {
			return
		}
		written, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var again Amount
		if err := json.Unmarshal(written, &again); err != nil || again != a {
			t.Fatalf("%q became %+v, %s and %+v (%v)", text, a, written, again, err)
		}
	})
}
