package store

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// FuzzBSON has any JSON come back from BSON with the same meaning.
func FuzzBSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5,null,true,"x",{}],"b":9223372036854775807}`, `18446744073709551615`, `1e300`, `[[[]]]`, `{"$a.b":{"":0}}`, `"\u2028<>"`, `-0`, `1e-7`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var in any
		if json.Unmarshal(body, &in) != nil || !utf8.Valid(body) || bytes.Contains(body, []byte(`\u0000`)) || bytes.Contains(body, []byte(`\ud`)) || bytes.Contains(body, []byte(`\uD`)) {
			return // BSON keys cannot hold a zero byte, and Marshal never writes the rest
		}
		value, err := toBSON(body)
		if err != nil {
			return // a number beyond float64
		}
		kind, encoded, err := bson.MarshalValue(value)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		text, err := appendJSON(nil, bson.RawValue{Type: kind, Value: encoded})
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var out any
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%s became %s: %v", body, text, err)
		}
		want, _ := json.Marshal(in)
		got, _ := json.Marshal(out)
		if !bytes.Equal(bytes.ReplaceAll(got, []byte("-0"), []byte("0")), bytes.ReplaceAll(want, []byte("-0"), []byte("0"))) {
			t.Errorf("%s became %s", want, got)
		}
	})
}
