package sso

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
)

func claims(t testing.TB, text string) map[string]any {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestValues(t *testing.T) {
	c := claims(t, `{"groups":["a","b",1,null,{"x":"y"}],"one":"a","number":7,"yes":true,"none":null,"empty":[],
		"realm_access":{"roles":["c"]},"resource":{"app.one":{"roles":"d"}},"https://example.com/roles":["e"],"a.b":{"c":"f"},"a":{"b.c":"g","x":"h"}}`)
	for path, want := range map[string][]string{
		"groups": {"a", "b"}, "one": {"a"}, "number": nil, "yes": nil, "none": nil, "empty": {}, "missing": nil, "": nil,
		"realm_access.roles": {"c"}, "realm_access": nil, "realm_access.roles.x": nil, "resource.app.one.roles": {"d"},
		"https://example.com/roles": {"e"}, "a.b.c": {"g"}, "a.x": {"h"}, ".": nil, "a.": nil, ".a": nil,
	} {
		if got := values(c, path); !slices.Equal(got, want) {
			t.Errorf("%q: %q; want %q", path, got, want)
		}
	}
}

func TestRoles(t *testing.T) {
	table := []authapi.SSORoleRule{{Value: "leads", Role: "manager"}, {Value: "chiefs", Role: "manager"}, {Value: "ops", Role: "admin"}}
	for _, c := range []struct {
		claims string
		rules  authapi.SSORoles
		want   []string
		says   bool
	}{
		{`{"g":["leads"]}`, authapi.SSORoles{Claim: "g", Table: table, Default: "member"}, []string{"manager"}, true},
		{`{"g":["ops","leads","chiefs"]}`, authapi.SSORoles{Claim: "g", Table: table}, []string{"manager", "admin"}, true},
		{`{"g":"ops"}`, authapi.SSORoles{Claim: "g", Table: table}, []string{"admin"}, true},
		{`{"g":["LEADS","lead"]}`, authapi.SSORoles{Claim: "g", Table: table, Default: "member"}, []string{"member"}, true},
		{`{}`, authapi.SSORoles{Claim: "g", Table: table}, nil, true},
		{`{"g":["leads"]}`, authapi.SSORoles{Default: "viewer"}, []string{"viewer"}, false},
		{`{"":["leads"]}`, authapi.SSORoles{}, nil, false},
	} {
		if got, says := roles(c.rules, claims(t, c.claims)); !slices.Equal(got, c.want) || says != c.says {
			t.Errorf("%s: %q, %t; want %q, %t", c.claims, got, says, c.want, c.says)
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		claims string
		own    authapi.SSOAttributes
		want   person
	}{
		{`{"email":" ada@acme.example ","given_name":"Ada","family_name":"Lovelace"}`, authapi.SSOAttributes{},
			person{Email: "ada@acme.example", FirstName: "Ada", LastName: "Lovelace"}},
		{`{"email":"","mail":["","ada@acme.example"],"urn:oid:2.5.4.42":["Ada"],"sn":"Lovelace"}`, authapi.SSOAttributes{},
			person{Email: "ada@acme.example", FirstName: "Ada", LastName: "Lovelace"}},
		{`{"email":"wrong","upn":"ada@acme.example","given_name":"wrong","a":{"b":"Ada"}}`, authapi.SSOAttributes{Email: "upn", FirstName: "a.b", LastName: "none"},
			person{Email: "ada@acme.example", FirstName: "Ada"}},
		{`{"given_name":"A\u0000d\u202ea\n","family_name":"` + strings.Repeat("é", 200) + `"}`, authapi.SSOAttributes{},
			person{FirstName: "Ada", LastName: strings.Repeat("é", 100)}},
	} {
		var got person
		got.describe(claims(t, c.claims), c.own)
		if got.Email != c.want.Email || got.FirstName != c.want.FirstName || got.LastName != c.want.LastName {
			t.Errorf("%s: %+v", c.claims, got)
		}
	}
}
