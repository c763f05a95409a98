package scenario

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// document is an OpenAPI document as far as the walks need to know it.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID          string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Permission  string                `json:"x-permission"`
	ACR         string                `json:"x-acr"`
	Security    []map[string][]string `json:"security"`
	Parameters  []parameter           `json:"parameters"`
	RequestBody struct {
		Content map[string]struct {
			Schema schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]struct {
			Example struct {
				Status int    `json:"status"`
				Code   string `json:"code"`
			} `json:"example"`
		} `json:"content"`
	} `json:"responses"`
}

// public tells whether the document says that the operation needs no token.
func (o operation) public() bool {
	return len(o.Security) == 0 || slices.ContainsFunc(o.Security, func(kinds map[string][]string) bool { return len(kinds) == 0 })
}

type parameter struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
	Schema   schema `json:"schema"`
}

type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"` // a word, or a list of words
	Format     string            `json:"format"`
	Examples   []any             `json:"examples"`
	Enum       []any             `json:"enum"`
	Default    any               `json:"default"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Items      *schema           `json:"items"`
	MinItems   int               `json:"minItems"`
	MinLength  int               `json:"minLength"`
	Minimum    float64           `json:"minimum"`
}

func (s schema) is(kind string) bool {
	if kinds, ok := s.Type.([]any); ok {
		return slices.Contains(kinds, any(kind))
	}
	return s.Type == kind
}

// namesThing tells whether a field or a query parameter of that name takes the id of something.
func namesThing(name string) bool {
	return name == "id" || name == "actor" || name == "resource" || strings.HasSuffix(name, "_id")
}

// example is a value that the schema s of what is called name accepts, with id wherever the id of something goes.
func (d document) example(name string, s schema, id string) any {
	if word, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		s = d.Components.Schemas[word]
	}
	switch {
	case namesThing(name) && s.is("string"):
		return id
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Default != nil:
		return s.Default
	case s.is("object"):
		object := map[string]any{}
		for field, of := range s.Properties {
			if slices.Contains(s.Required, field) || namesThing(field) {
				object[field] = d.example(field, of, id)
			}
		}
		return object
	case s.is("array"):
		list := []any{}
		for range s.MinItems {
			list = append(list, d.example("", *s.Items, id))
		}
		return list
	case s.is("string") && s.Format == "date-time":
		return "2027-01-01T00:00:00Z"
	case s.is("string"):
		return strings.Repeat("a", max(1, s.MinLength))
	case s.is("boolean"):
		return false
	}
	return s.Minimum
}

// better are fields of which the document's examples make a request that some other rule refuses before it comes to the id.
var better = map[string]map[string]any{
	"put-auth-rbac-roles-name": {"permissions": []string{"analytics.dashboard:read"}},
	"put-auth-sso-connections-id": {"oidc": map[string]any{
		"issuer": "https://idp.example.com", "client_id": "tandem", "client_secret": "a secret of the provider's",
	}},
}

// request is one of the operation at a path, with everything that it must have; what names a thing is id.
func (d document) request(method, path string, o operation, id string) Step {
	s := Step{Method: strings.ToUpper(method), Path: path}
	query := url.Values{}
	for _, p := range o.Parameters {
		if p.In == "query" && (p.Required || namesThing(p.Name)) {
			text, _ := json.Marshal(d.example(p.Name, p.Schema, id))
			query.Set(p.Name, strings.Trim(string(text), `"`))
		}
	}
	if len(query) > 0 {
		s.Path += "?" + query.Encode()
	}
	if content, ok := o.RequestBody.Content["application/json"]; ok {
		body, _ := d.example("", content.Schema, id).(map[string]any)
		if body == nil {
			body = map[string]any{}
		}
		maps.Copy(body, better[o.ID])
		s.Body = body
	}
	return s
}

// takes tells whether a request of the operation names a thing in its query or body.
func (d document) takes(o operation) bool {
	const mark = "the id of something"
	s := d.request(http.MethodGet, "", o, mark)
	body, _ := json.Marshal(s.Body)
	return strings.Contains(string(body), mark) || strings.Contains(s.Path, url.QueryEscape(mark))
}

// places are the names of a path template's parameters.
func places(template string) []string {
	var names []string
	for {
		_, rest, found := strings.Cut(template, "{")
		if !found {
			return names
		}
		name, after, _ := strings.Cut(rest, "}")
		names, template = append(names, name), after
	}
}

// fill is a path template with ids in place of its parameters, which id gives for their names.
func fill(template string, id func(name string) string) string {
	for _, name := range places(template) {
		template = strings.ReplaceAll(template, "{"+name+"}", url.PathEscape(id(name)))
	}
	return template
}

func readDocument(t *testing.T, site Site) document {
	t.Helper()
	resp, body, err := Step{Method: http.MethodGet, Path: "/openapi.json", Want: http.StatusOK}.Do(t.Context(), site, map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}
