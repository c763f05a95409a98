package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// scalar is a value as an indexed field stores it: nil, string, int64, float64 or bool.
func scalar(v any) (any, error) {
	switch v := v.(type) {
	case nil, string, int64, bool:
		return v, nil
	case int:
		return int64(v), nil
	case time.Time:
		return At(v).String(), nil
	case Time:
		return v.String(), nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return parseScalar(data)
}

func parseScalar(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil, string, bool:
		return v, nil
	case json.Number:
		return number(v)
	}
	return nil, fmt.Errorf("%.40s is no scalar", data)
}

// number is exact for integers of 64 bits.
func number(n json.Number) (any, error) {
	if !strings.ContainsAny(n.String(), ".eE") {
		if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
			return i, nil
		}
	}
	return n.Float64()
}

// fits tells whether a scalar can equal or bound a field's values.
func (k kind) fits(v any) bool {
	switch v.(type) {
	case nil:
		return true
	case string:
		return k == kindString || k == kindTime || k == kindAny
	case int64, float64:
		return k == kindInt || k == kindFloat || k == kindAny
	case bool:
		return k == kindBool || k == kindAny
	}
	return false
}

// restore gives a backend's value of a field the Go type that the field's kind promises.
func (k kind) restore(v any) any {
	switch v := v.(type) {
	case int64:
		switch k {
		case kindFloat:
			return float64(v)
		case kindBool: // SQLite has no boolean
			return v != 0
		}
	case int32:
		return k.restore(int64(v))
	case []byte:
		return k.restore(string(v))
	case string:
		if k == kindTime {
			if t, err := time.Parse(timeLayout, v); err == nil {
				return At(t)
			}
		}
	}
	return v
}

// of is a field of a document; missing is nil.
func (f field) of(r record) (any, error) {
	if f.own() {
		return At(r.updated).String(), nil
	}
	return f.lookup(r.body)
}

// lookup reads a field out of a stored value; missing is nil.
func (f field) lookup(body []byte) (any, error) {
	for _, part := range f.parts() {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(body, &object); err != nil {
			return nil, nil //nolint:nilerr // no object here, so no such member
		}
		if body = object[part]; body == nil {
			return nil, nil
		}
	}
	return parseScalar(body)
}
