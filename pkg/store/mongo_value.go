package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Values go to MongoDB by way of their JSON, so that both backends hold the same members and the same custom encodings.

// toBSON is a JSON text as a BSON value.
func toBSON(body []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	v, err := nextBSON(decoder)
	if err != nil {
		return nil, fmt.Errorf("convert JSON to BSON: %w", err)
	}
	return v, nil
}

func nextBSON(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return objectBSON(decoder)
		}
		return arrayBSON(decoder)
	case json.Number:
		return numberBSON(token)
	}
	return token, nil
}

func objectBSON(decoder *json.Decoder) (any, error) {
	object := bson.D{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		value, err := nextBSON(decoder)
		if err != nil {
			return nil, err
		}
		object = append(object, bson.E{Key: key.(string), Value: value})
	}
	_, err := decoder.Token() // the closing brace
	return object, err
}

func arrayBSON(decoder *json.Decoder) (any, error) {
	array := bson.A{}
	for decoder.More() {
		value, err := nextBSON(decoder)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := decoder.Token() // the closing bracket
	return array, err
}

// numberBSON keeps integers beyond int64, such as large uint64, exact as decimals.
func numberBSON(n json.Number) (any, error) {
	v, err := number(n)
	if _, inexact := v.(float64); inexact && !strings.ContainsAny(n.String(), ".eE") {
		if decimal, err := bson.ParseDecimal128(n.String()); err == nil {
			return decimal, nil
		}
	}
	return v, err
}

// appendJSON appends a BSON value as JSON.
func appendJSON(to []byte, v bson.RawValue) ([]byte, error) {
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		return appendObject(to, v.Document())
	case bson.TypeArray:
		return appendArray(to, v.Array())
	case bson.TypeString:
		return appendText(to, v.StringValue())
	case bson.TypeInt32:
		return strconv.AppendInt(to, int64(v.Int32()), 10), nil
	case bson.TypeInt64:
		return strconv.AppendInt(to, v.Int64(), 10), nil
	case bson.TypeDouble:
		return appendText(to, v.Double())
	case bson.TypeBoolean:
		return strconv.AppendBool(to, v.Boolean()), nil
	case bson.TypeNull:
		return append(to, "null"...), nil
	case bson.TypeDecimal128:
		return append(to, v.Decimal128().String()...), nil
	case bson.TypeDateTime: // never written here, but people edit databases
		return appendText(to, At(time.UnixMilli(v.DateTime())))
	}
	return nil, fmt.Errorf("convert BSON to JSON: a %s has no JSON form", v.Type)
}

func appendText(to []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(to, text...), err
}

func appendObject(to []byte, document bson.Raw) ([]byte, error) {
	elements, err := document.Elements()
	if err != nil {
		return nil, fmt.Errorf("convert BSON to JSON: %w", err)
	}
	to = append(to, '{')
	for i, e := range elements {
		if i > 0 {
			to = append(to, ',')
		}
		if to, err = appendText(to, e.Key()); err != nil {
			return nil, err
		}
		if to, err = appendJSON(append(to, ':'), e.Value()); err != nil {
			return nil, err
		}
	}
	return append(to, '}'), nil
}

func appendArray(to []byte, array bson.RawArray) ([]byte, error) {
	values, err := array.Values()
	if err != nil {
		return nil, fmt.Errorf("convert BSON to JSON: %w", err)
	}
	to = append(to, '[')
	for i, v := range values {
		if i > 0 {
			to = append(to, ',')
		}
		if to, err = appendJSON(to, v); err != nil {
			return nil, err
		}
	}
	return append(to, ']'), nil
}
