package sso

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/tandemhq/tandem/apps/auth/authapi"
)

const maxName = 100 // runes, as of a name that somebody types

// person is who came, as their provider describes them.
type person struct {
	// Subject is what the provider calls them, always and nobody else.
	Subject string
	// Email is as it was written; Verified says that the provider vouches for it.
	Email    string
	Verified bool
	// FirstName and LastName are empty where nothing is known.
	FirstName string
	LastName  string
	claims    map[string]any
}

// Where providers put what, in the order of preference: OpenID Connect's claims, what SAML providers call them, and the names
// of LDAP and of Microsoft.
var (
	emailClaims = []string{"email", "mail", "emailAddress", "urn:oid:0.9.2342.19200300.100.1.3", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"}
	firstClaims = []string{"given_name", "givenName", "firstName", "urn:oid:2.5.4.42", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname"}
	lastClaims  = []string{"family_name", "sn", "lastName", "urn:oid:2.5.4.4", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname"}
)

// describe fills in what claims say of a person.
func (p *person) describe(claims map[string]any, a authapi.SSOAttributes) {
	first := func(own string, usual []string) string {
		if own != "" {
			usual = []string{own}
		}
		for _, name := range usual {
			for _, v := range values(claims, name) {
				if v = strings.TrimSpace(v); v != "" {
					return v
				}
			}
		}
		return ""
	}
	p.claims = claims
	p.Email = first(a.Email, emailClaims)
	p.FirstName, p.LastName = name(first(a.FirstName, firstClaims)), name(first(a.LastName, lastClaims))
}

// name is a text as a name that can be shown.
func name(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, norm.NFC.String(text))
	if all := []rune(strings.TrimSpace(text)); len(all) > maxName {
		return strings.TrimSpace(string(all[:maxName]))
	}
	return strings.TrimSpace(text)
}

// roles are those that claims give, and whether they say anything about roles at all. None means that the person is not let in.
func roles(r authapi.SSORoles, claims map[string]any) (given []string, says bool) {
	has := values(claims, r.Claim)
	for _, rule := range r.Table {
		if slices.Contains(has, rule.Value) && !slices.Contains(given, rule.Role) {
			given = append(given, rule.Role)
		}
	}
	if len(given) == 0 && r.Default != "" {
		given = []string{r.Default}
	}
	return given, r.Claim != ""
}

// values are the texts at a path of claims: names separated by dots, any of which may have dots itself.
func values(claims map[string]any, path string) []string {
	if v, ok := claims[path]; ok {
		return texts(v)
	}
	for at := range len(path) {
		if path[at] != '.' {
			continue
		}
		if inner, ok := claims[path[:at]].(map[string]any); ok {
			if found := values(inner, path[at+1:]); found != nil {
				return found
			}
		}
	}
	return nil
}

// texts are a claim's values: itself, or those in its list. Numbers and objects are nobody's group.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		all := []string{}
		for _, one := range v {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}
