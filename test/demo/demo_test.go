package main

import (
	"strings"
	"testing"
)

func TestAnswersAreAbridged(t *testing.T) {
	for body, want := range map[string]string{
		`{"b": 1.50, "a": [1, [2], 3], "c": {}, "d": [], "e": null, "f": true}`: `{b: 1.50, a: [1, … 2 more], c: {}, d: [], e: null, f: true}`,
		`{"token": "` + strings.Repeat("x", 37) + `"}`:                          `{token: "` + strings.Repeat("x", 35) + `…"}`,
		`<html>`: `<html>`,
		``:       ``,
		`{"a":`:  `{"a":`,
		`[` + strings.Repeat(`{"first":`, 40) + `0` + strings.Repeat(`}`, 40) + `]`: `[` + strings.Repeat(`{first: `, 40)[:198] + `…`,
	} {
		if got := abridge([]byte(body)); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", body, got, want)
		}
	}
}

func TestTopologiesThatAnswerAlike(t *testing.T) {
	dashboard := func(orders, asOf string) []answer {
		a, err := newAnswer("the dashboard of all", []byte(`{"totals": {"orders": `+orders+`, "revenue": 244091.94}, "as_of": "`+asOf+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		return []answer{a}
	}
	costs := []cost{{"start", "1.00 s"}}
	for _, tt := range []struct{ orders, want string }{{"6919", "the same"}, {"6918", "DIFFERENT"}} {
		var out strings.Builder
		d := demo{out: &out, shown: []shown{
			{"monolith", dashboard("6919", "1998"), costs}, {"hybrid", dashboard(tt.orders, "1999"), costs},
		}}
		err := d.compare()
		if (err != nil) != (tt.want == "DIFFERENT") || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s orders after 6919: %v\n%s", tt.orders, err, &out)
		}
		for _, want := range []string{"monolith", "hybrid", "6919", tt.orders, "244091.94", "1.00 s"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the tables lack %s:\n%s", want, &out)
			}
		}
	}
}

func TestADifferenceIsNamed(t *testing.T) {
	read := func(text string) any {
		a, err := newAnswer("", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return a.value
	}
	for _, tt := range []struct{ a, b, want string }{
		{`{"x": [1, {"y": 2}], "as_of": 1}`, `{"x": [1, {"y": 2}], "as_of": 2}`, ""},
		{`{"x": [1, {"y": 2}]}`, `{"x": [1, {"y": 3}]}`, ".x.1.y: 2 instead of 3"},
		{`{"x": [1]}`, `{"x": [1, 2]}`, ".x: [1] instead of [1 2]"},
		{`{"x": 1}`, `{"y": 1}`, ".x: there is none in the other"},
		{`{"x": null}`, `{"y": null}`, ".x: there is none in the other"},
	} {
		if got := difference(read(tt.a), read(tt.b)); got != tt.want {
			t.Errorf("%s and %s differ at %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}
