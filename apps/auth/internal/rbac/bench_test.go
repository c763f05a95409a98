package rbac

import (
	"fmt"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/identity"
)

// BenchmarkDecision is what a decision costs in every process: for somebody with two built-in roles, one of the organization's own
// and 20 grants, and for who has as much as anybody can have. Each decision looks at all of it: a refusal, and a leave that
// the last grant gives.
func BenchmarkDecision(b *testing.B) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	end := now.Add(time.Hour)
	resource := func(i int) string { return fmt.Sprintf("0199b1f2-6f0c-7a51-9d3c-%012d", i) }
	permissions := func(patterns []string, own int) []string {
		for i := range own {
			patterns = append(patterns, fmt.Sprintf("infrastructure.module%d:write", i))
		}
		return widest(patterns)
	}
	roles := identity.BuiltInRoles()
	for name, test := range map[string]struct {
		permissions []string
		grants      int
	}{
		"usual": {permissions(append(roles["manager"], roles["viewer"]...), 20), 20},
		"most":  {permissions(nil, maxMemberRoles*maxPermissions), maxGrants},
	} {
		a := identity.Access{Permissions: test.permissions}
		for i := range test.grants {
			a.Grants = append(a.Grants, identity.Grant{Permission: "auth.rbac:write", Resource: resource(i), ExpiresAt: &end})
		}
		for kind, want := range map[string]bool{"refused": false, "granted": true} {
			asked := resource(test.grants)
			if want {
				asked = resource(test.grants - 1)
			}
			b.Run(name+"/"+kind, func(b *testing.B) {
				for b.Loop() {
					if a.CanOn("auth.rbac:write", asked, now) != want {
						b.Fatal("decided wrongly")
					}
				}
			})
		}
	}
}
