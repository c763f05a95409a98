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
		{[]string{"viewer"}, []string{"*:*"}, "integrations.shopify:write", false}, // a scope never widens
	} {
		p := identity.Principal{Subject: "u", Roles: c.roles, Scope: c.scope}
		if got := p.Can(c.permission); got != c.want {
			t.Errorf("roles %v scope %v: Can(%s) = %v", c.roles, c.scope, c.permission, got)
		}
	}
}
