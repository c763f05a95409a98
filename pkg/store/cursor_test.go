package store

import (
	"encoding/base64"
	"errors"
	"reflect"
	"testing"
)

type cursorValue struct {
	Name string  `json:"name"`
	N    int64   `json:"n"`
	Rate float64 `json:"rate"`
	At   Time    `json:"at"`
	Paid *bool   `json:"paid"`
}

func cursorPlan(t testing.TB) (*schema, plan) {
	t.Helper()
	def := Def{Name: "c", Indexes: []Index{{Name: "all", Fields: []string{"name", "n", "rate", "at", "paid"}}}}
	s, err := newSchema(def, true, reflect.TypeFor[cursorValue]())
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.plan("acme", Query{Index: "all"})
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

func TestCursorRoundTrip(t *testing.T) {
	s, p := cursorPlan(t)
	body := []byte(`{"name":"é\u0000","n":9223372036854775807,"rate":0.1,"at":"2026-03-01T12:00:00.123456Z","paid":null}`)
	cursor, err := p.cursor(s, "acme", record{id: "id/1", body: body})
	if err != nil {
		t.Fatal(err)
	}
	pos, err := p.parseCursor(s, "acme", cursor)
	if err != nil {
		t.Fatal(err)
	}
	want := position{values: []any{"é\x00", int64(9223372036854775807), 0.1, "2026-03-01T12:00:00.123456Z", nil}, id: "id/1"}
	if !reflect.DeepEqual(pos, want) {
		t.Errorf("got %#v, want %#v", pos, want)
	}
}

// FuzzCursor gives the parser any text, as it comes, and any payload with a right checksum, as a forger could make it.
func FuzzCursor(f *testing.F) {
	s, p := cursorPlan(f)
	valid, err := p.cursor(s, "acme", record{id: "1", body: []byte(`{"name":"a","n":1,"rate":2,"at":"2026-03-01T12:00:00.123456Z","paid":true}`)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add(`["a",1,2.5,"t",null,"id"]`)
	f.Add(`[1,"a",{},[],9e999,""]`)
	f.Add("%%%")
	f.Fuzz(func(t *testing.T, text string) {
		forged := base64.RawURLEncoding.EncodeToString(append(p.checksum(s, "acme", []byte(text)), text...))
		for _, cursor := range []string{text, forged} {
			pos, err := p.parseCursor(s, "acme", cursor)
			if err != nil {
				if !errors.Is(err, ErrBadCursor) {
					t.Errorf("error %v is no bad cursor", err)
				}
				continue
			}
			if len(pos.values) != len(p.order) || checkID("document", pos.id) != nil {
				t.Errorf("accepted position %#v", pos)
			}
			for i, v := range pos.values {
				if !p.order[i].kind.fits(v) {
					t.Errorf("field %s accepted %#v", p.order[i].path, v)
				}
			}
		}
	})
}
