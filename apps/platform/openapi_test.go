package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// schema is one of the API document, as far as this walk looks at it.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"` // a word, or a list of words
	Format     string            `json:"format"`
	Examples   []any             `json:"examples"`
	Enum       []any             `json:"enum"`
	Default    any               `json:"default"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Values     json.RawMessage   `json:"additionalProperties"` // false, or a schema
}

type content map[string]struct {
	Schema  schema `json:"schema"`
	Example any    `json:"example"`
}

type apiDocument struct {
	Paths map[string]map[string]struct {
		Summary     string `json:"summary"`
		RequestBody struct {
			Content content `json:"content"`
		} `json:"requestBody"`
		Responses map[string]struct {
			Content content `json:"content"`
		} `json:"responses"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

// TestEveryOperationIsDocumented walks the whole API document: each operation says what it is for and which errors it has, and
// every body that it takes or gives has an example, whole or of each of its fields.
func TestEveryOperationIsDocumented(t *testing.T) {
	resp, err := http.Get(start(t).API + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc apiDocument
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	operations, missing := 0, map[string]string{} // by place in a schema, and an operation that has it
	for path, methods := range doc.Paths {
		for method, op := range methods {
			operations++
			name := strings.ToUpper(method) + " " + path
			if op.Summary == "" {
				t.Errorf("%s has no summary", name)
			}
			bodies, errors := []content{op.RequestBody.Content}, 0
			for status, response := range op.Responses {
				switch status[0] {
				case '2':
					bodies = append(bodies, response.Content)
				case '4', '5':
					errors++
				}
			}
			if errors == 0 {
				t.Errorf("%s names no error", name)
			}
			for _, body := range bodies {
				if as, ok := body["application/json"]; ok && as.Example == nil {
					for _, place := range doc.without("", as.Schema, nil) {
						missing[place] = name
					}
				}
			}
		}
	}
	if operations < 100 {
		t.Errorf("the document has %d operations; that proves nothing", operations)
	}
	for _, place := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("no example of %s, as in %s", place, missing[place])
	}
}

// without are the places in a schema that have no example and cannot be made up: a date, a truth value and one of several words
// can. Within is what it is part of.
func (d apiDocument) without(place string, s schema, within []string) (places []string) {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		if slices.Contains(within, name) {
			return nil
		}
		place, within, s = name, append(within, name), d.Components.Schemas[name]
	}
	var values *schema
	if json.Unmarshal(s.Values, &values) != nil {
		values = nil // false: there are no others
	}
	kind := strings.TrimSuffix(fmt.Sprint(s.Type), " null]")
	switch kind = strings.TrimPrefix(kind, "["); {
	case len(s.Examples) > 0 || len(s.Enum) > 0 || s.Default != nil || kind == "boolean" || s.Format == "date-time":
		return nil
	case kind == "array" && s.Items != nil:
		return d.without(place+"[]", *s.Items, within)
	case kind == "object" && values != nil:
		return d.without(place+"{}", *values, within)
	case kind == "object":
		for name, property := range s.Properties {
			places = append(places, d.without(place+"."+name, property, within)...)
		}
		return places
	}
	return []string{place}
}
