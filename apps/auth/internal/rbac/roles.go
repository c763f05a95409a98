package rbac

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// builtInNames are the built-in roles, those that carry most first.
var builtInNames = []string{identity.Owner, "admin", "manager", "member", "viewer"}

var builtInDescriptions = map[string]string{
	identity.Owner: "Owns the organization: everything, and the only role that makes owners",
	"admin":        "Runs the organization: everything",
	"manager":      "Reads everything and works in every group but auth and infrastructure",
	"member":       "Reads everything and works with analytics, agents and onboarding",
	"viewer":       "Reads everything",
}

// Roles are all roles of an organization, the built-in ones first, then its own by name.
func (s *Service) Roles(ctx context.Context, organization string) (*authapi.Roles, error) {
	c, err := s.d.charter(ctx, organization)
	if err != nil {
		return nil, err
	}
	list := &authapi.Roles{Items: []authapi.Role{}}
	for _, name := range slices.Concat(builtInNames, slices.Sorted(maps.Keys(c.Roles))) {
		v, _ := s.view(c, name)
		list.Items = append(list.Items, *v)
	}
	return list, nil
}

// Role is one role with its version, 0 for a built-in one: 404.
func (s *Service) Role(ctx context.Context, organization, name string) (*authapi.Role, int64, error) {
	c, err := s.d.charter(ctx, organization)
	if err != nil {
		return nil, 0, err
	}
	if !s.exists(c, name) {
		return nil, 0, problem.NotFound("role")
	}
	v, version := s.view(c, name)
	return v, version, nil
}

func (s *Service) view(c charter, name string) (*authapi.Role, int64) {
	if permissions := s.builtIn[name]; permissions != nil {
		return &authapi.Role{Name: name, Description: builtInDescriptions[name], Permissions: slices.Sorted(slices.Values(permissions)), BuiltIn: true}, 0
	}
	r := c.Roles[name]
	return &authapi.Role{
		Name: name, Description: r.Description, Permissions: r.Permissions, CreatedAt: &r.CreatedAt.Time, UpdatedAt: &r.UpdatedAt.Time,
	}, r.Version
}

// Definition is what a role is to be.
type Definition struct {
	Description string
	Permissions []string
}

// CreateRole makes a role of by's organization. Problems: 409 role_exists or limit_reached, 422 for a permission that is malformed or that
// no operation needs, 403 permission_not_held.
func (s *Service) CreateRole(ctx context.Context, by identity.Principal, name string, d Definition) (*authapi.Role, int64, error) {
	return s.define(ctx, by, name, authapi.RoleCreated, d, func(c charter) error {
		switch {
		case s.exists(c, name):
			return conflict(authapi.CodeRoleExists, "there is a role of this name already")
		case len(c.Roles) >= maxRoles:
			return conflict(authapi.CodeLimitReached, fmt.Sprintf("an organization makes at most %d roles", maxRoles))
		}
		return nil
	})
}

// UpdateRole changes a role of by's organization, if match likes its version. Problems: 404, 409 role_built_in, those of CreateRole, and
// match's own.
func (s *Service) UpdateRole(ctx context.Context, by identity.Principal, name string, d Definition, match func(version int64) error) (*authapi.Role, int64, error) {
	return s.define(ctx, by, name, authapi.RoleUpdated, d, func(c charter) error { return s.changeable(c, name, match) })
}

func (s *Service) define(ctx context.Context, by identity.Principal, name string, change authapi.RoleChange, d Definition, check func(charter) error) (*authapi.Role, int64, error) {
	permissions, err := ParsePermissions("body.permissions", d.Permissions)
	if err != nil {
		return nil, 0, err
	}
	if err := s.Needed(ctx, "body.permissions", permissions); err != nil {
		return nil, 0, err
	}
	var decided charter
	err = s.d.decide(ctx, by.Organization, func(c *charter) ([]store.Message, error) {
		if err := check(*c); err != nil {
			return nil, err
		}
		g, err := s.giver(ctx, *c, by)
		if err != nil {
			return nil, err
		}
		before := c.Roles[name]
		if err := g.mayGive(slices.Concat(permissions, without(before.Permissions, permissions))); err != nil {
			return nil, err
		}
		c.Sequence++
		now := store.At(s.c.Now())
		after := role{Description: strings.TrimSpace(d.Description), Permissions: permissions, Version: c.Sequence, CreatedAt: before.CreatedAt, UpdatedAt: now}
		if change == authapi.RoleCreated {
			after.CreatedAt = now
		}
		if c.Roles == nil {
			c.Roles = map[string]role{}
		}
		c.Roles[name], decided = after, *c
		return s.tell(ctx, authapi.RoleChangedData{OrganizationID: by.Organization, Change: change, Role: name},
			map[string]string{"before": strings.Join(before.Permissions, " "), "after": strings.Join(permissions, " ")})
	})
	if err != nil {
		return nil, 0, err
	}
	v, version := s.view(decided, name)
	return v, version, nil
}

// DeleteRole deletes a role of by's organization that no member has, if match likes its version. Problems: 404, 409 role_built_in or
// role_in_use, and match's own.
func (s *Service) DeleteRole(ctx context.Context, by identity.Principal, name string, match func(version int64) error) error {
	return s.d.decide(ctx, by.Organization, func(c *charter) ([]store.Message, error) {
		if err := s.changeable(*c, name, match); err != nil {
			return nil, err
		}
		const named = 20
		users, err := s.holders(ctx, *c, by.Organization, name, named, func(string) (bool, error) { return true, nil })
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			p := conflict(authapi.CodeRoleInUse, "members have this role: give them other ones first")
			for _, user := range users {
				p = p.With(problem.Field{Location: user, Message: "has the role"})
			}
			return nil, p
		}
		delete(c.Roles, name)
		return s.tell(ctx, authapi.RoleChangedData{OrganizationID: by.Organization, Change: authapi.RoleDeleted, Role: name}, map[string]string{})
	})
}

func (s *Service) changeable(c charter, name string, match func(version int64) error) error {
	if s.builtIn[name] != nil {
		return conflict(authapi.CodeRoleBuiltIn, "built-in roles are the same in every organization; make a role of your own")
	}
	r, ok := c.Roles[name]
	if !ok {
		return problem.NotFound("role")
	}
	return match(r.Version)
}
