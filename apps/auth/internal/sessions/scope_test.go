package sessions

import (
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestParseScope(t *testing.T) {
	for _, c := range []struct {
		text string
		want string // of the scope; "!" for invalid_scope
	}{
		{"", ""},
		{"   ", ""},
		{"analytics.dashboard:read", "analytics.dashboard:read"},
		{"  analytics.*:read   *:write ", "analytics.*:read *:write"},
		{"*:* *:*", "*:*"},
		{"integrations.google-ads:*", "integrations.google-ads:*"},
		{"everything", "!"},
		{"openid", "!"},
		{"analytics:read", "!"},
		{"analytics.:read", "!"},
		{"analytics.*:", "!"},
		{"analytics.*:read:write", "!"},
		{"Analytics.*:read", "!"},
		{"billing.*:read", "!"},
		{"*.dashboard:read", "!"},
		{"analytics.*:read \"", "!"},
		{"analytics.*:read bad", "!"},
		{strings.Repeat("*:read ", 200), "!"},
	} {
		scope, err := ParseScope(c.text)
		switch {
		case c.want == "!" && problem.Code(err) != authapi.CodeInvalidScope:
			t.Errorf("ParseScope(%.40q) = %q, %v; want invalid_scope", c.text, scope, err)
		case c.want != "!" && (err != nil || scope.String() != c.want):
			t.Errorf("ParseScope(%.40q) = %q, %v; want %q", c.text, scope, err, c.want)
		}
	}
}

func TestNarrow(t *testing.T) {
	for _, c := range []struct {
		has, wanted, want string // "!" for invalid_scope
	}{
		{"", "", ""},
		{"", "analytics.*:read", "analytics.*:read"},
		{"analytics.*:read", "", "analytics.*:read"},
		{"*:read", "analytics.*:read", "analytics.*:read"},
		{"analytics.*:*", "analytics.dashboard:read analytics.reporting:write", "analytics.dashboard:read analytics.reporting:write"},
		{"analytics.*:read", "analytics.*:read integrations.sync:read", "!"},
		{"analytics.dashboard:read", "analytics.*:read", "!"},
		{"analytics.*:read", "*:read", "!"},
		{"analytics.*:read", "analytics.*:*", "!"},
		{"*:read", "analytics.*:write", "!"},
	} {
		scope, err := Scope(strings.Fields(c.has)).Narrow(strings.Fields(c.wanted))
		switch {
		case c.want == "!" && problem.Code(err) != authapi.CodeInvalidScope:
			t.Errorf("%q narrowed to %q = %q, %v; want invalid_scope", c.has, c.wanted, scope, err)
		case c.want != "!" && (err != nil || scope.String() != c.want):
			t.Errorf("%q narrowed to %q = %q, %v; want %q", c.has, c.wanted, scope, err, c.want)
		}
	}
}
