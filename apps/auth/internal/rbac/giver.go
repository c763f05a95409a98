package rbac

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// giver is who gives or takes roles and grants. What it has is read with the charter that decides, so that somebody who has
// just lost a role gives nothing of it any more.
type giver struct {
	owner bool
	has   func(pattern string) bool
}

func (s *Service) giver(ctx context.Context, c charter, p identity.Principal) (giver, error) {
	if p.Group != "" {
		return giver{owner: true, has: p.Can}, nil
	}
	if p.Key != "" {
		return giver{has: p.Can}, nil
	}
	_, roles, err := s.member(ctx, c, p.Organization, p.Subject)
	if errors.Is(err, store.ErrNotFound) {
		return giver{}, problem.New(http.StatusForbidden, problem.CodeForbidden, "you are no longer a member").Wrap(err)
	}
	if err != nil {
		return giver{}, err
	}
	permissions := s.permissions(c, roles)
	has := func(pattern string) bool {
		return identity.CoversAny(permissions, pattern) && (len(p.Scope) == 0 || identity.CoversAny(p.Scope, pattern))
	}
	return giver{owner: slices.Contains(roles, identity.Owner) && has("*:*"), has: has}, nil
}

// mayGiveRoles refuses roles of which g lacks something: 403 permission_not_held or owners_only. It is the same for
// taking them, or else whoever may assign roles could put those out of office who have more.
func (s *Service) mayGiveRoles(g giver, c charter, roles []string) error {
	// The administrator's role carries as much as the owner's; still, administrators are there by the owners' leave.
	if slices.Contains(roles, identity.Owner) && !g.owner {
		return problem.New(http.StatusForbidden, authapi.CodeOwnersOnly, "only a signed-in owner makes an owner, or unmakes one")
	}
	return g.mayGive(s.permissions(c, roles))
}

func (g giver) mayGive(patterns []string) error {
	var lacking []problem.Field
	for _, p := range patterns {
		if !g.has(p) {
			lacking = append(lacking, problem.Field{Location: p, Message: "you do not have this"})
		}
	}
	if lacking == nil {
		return nil
	}
	return problem.New(http.StatusForbidden, authapi.CodeNotHeld, "you cannot give or take what you do not have yourself").With(lacking...)
}
