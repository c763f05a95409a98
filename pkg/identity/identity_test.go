package identity_test

import (
	"testing"

	"github.com/tandemhq/tandem/pkg/identity"
)

func TestCan(t *testing.T) {
	for _, c := range []struct {
		roles, scope []string
		permission   string
		want         bool
	}{
		{[]string{"owner"}, nil, "integrations.shopify:write", true},
		{[]string{"viewer"}, nil, "integrations.shopify:read", true},
		{[]string{"viewer"}, nil, "integrations.shopify:write", false},
		{[]string{"member"}, nil, "analytics.dashboard:write", true},
		{[]string{"member"}, nil, "integrations.shopify:write", false},
		{[]string{"manager"}, nil, "integrations.sync:write", true},
		{[]string{"unheard-of"}, nil, "analytics.dashboard:read", false},
		{nil, nil, "analytics.dashboard:read", false},
		{[]string{"owner"}, []string{"analytics.dashboard:read"}, "analytics.dashboard:read", true},
		{[]string{"owner"}, []string{"analytics.dashboard:read"}, "analytics.dashboard:write", false},
		{[]string{"owner"}, []string{"analytics.*:read"}, "analytics.dashboard:read", true},
		{[]string{"owner"}, []string{"analytics.*:read"}, "analyticsx.dashboard:read", false},
		{[]string{"manager"}, nil, "auth.sessions:write", true}, // one's own sign-ins, whatever the role
		{[]string{"member"}, nil, "auth.sessions:write", true},
		{[]string{"viewer"}, nil, "auth.sessions:write", true},
		{[]string{"viewer"}, nil, "auth.auth:read", true},
		{[]string{"viewer"}, []string{"analytics.dashboard:read"}, "auth.sessions:write", false},
		{[]string{"viewer"}, []string{"*:*"}, "integrations.shopify:write", false}, // a scope never widens
	} {
		p := identity.Principal{Subject: "u", Roles: c.roles, Scope: c.scope}
		if got := p.Can(c.permission); got != c.want {
			t.Errorf("roles %v scope %v: Can(%s) = %v", c.roles, c.scope, c.permission, got)
		}
	}
}
