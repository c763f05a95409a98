package rbac

import (
	"context"
	"net/http"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// permissionRead is what it takes to ask about others.
const permissionRead = "auth.rbac:read"

// Rights know what a member may do, by all that has a say in it.
type Rights interface {
	// Of is what a user may do in an organization now: a 404 problem for who is no member.
	Of(ctx context.Context, organization, user string) (identity.Access, error)
}

// Check answers checks, in their order: of by themselves within the token's scope, of others with all that they may do.
// Problems: 404 for who is no member, 403 permission_denied for who may not ask about others.
func (s *Service) Check(ctx context.Context, rights Rights, by identity.Principal, checks []authapi.AccessCheck) (*authapi.AccessDecisions, error) {
	now := s.c.Now()
	others := map[string]identity.Access{}
	answer := &authapi.AccessDecisions{Items: make([]authapi.AccessDecision, len(checks))}
	for i, check := range checks {
		answer.Items[i].AccessCheck = check
		if check.UserID == "" || check.UserID == by.Subject {
			answer.Items[i].Allowed = by.CanOn(check.Permission, check.Resource, now)
			continue
		}
		if !by.Can(permissionRead) {
			return nil, problem.Newf(http.StatusForbidden, problem.CodeForbidden, "to ask about others needs the permission %s", permissionRead)
		}
		other, known := others[check.UserID]
		if !known {
			var err error
			if other, err = rights.Of(ctx, by.Organization, check.UserID); err != nil {
				return nil, err
			}
			others[check.UserID] = other
		}
		answer.Items[i].Allowed = other.CanOn(check.Permission, check.Resource, now)
	}
	return answer, nil
}
