package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Report keeps what the operations of a group need, in the place of what was reported before. While two versions of a group
// run, the last to start is right. Problem: 422 for a permission of another group.
func (s *Service) Report(ctx context.Context, group topology.Group, c authapi.Catalogue) error {
	for i, o := range c.Operations {
		if !strings.HasPrefix(o.Permission, string(group)+".") {
			return problem.Invalid(fmt.Sprintf("body.operations[%d].permission", i), "this is not a permission of "+string(group))
		}
	}
	if _, err := s.d.catalogues.PutMany(ctx, []store.Put[authapi.Catalogue]{{ID: string(group), Value: c}}); err != nil {
		return fmt.Errorf("keep the catalogue of %s: %w", group, err)
	}
	return nil
}

// Permissions are all that the operations of the groups need, or of one group where that is not "", in order.
func (s *Service) Permissions(ctx context.Context, group topology.Group) (*authapi.Permissions, error) {
	all := map[string][]authapi.PermissionOperation{}
	err := s.d.catalogues.Each(ctx, store.Query{}, func(doc store.Doc[authapi.Catalogue]) error {
		if group != "" && doc.ID != string(group) {
			return nil
		}
		for _, o := range doc.Value.Operations {
			all[o.Permission] = append(all[o.Permission], o.PermissionOperation)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the catalogues of permissions: %w", err)
	}
	list := &authapi.Permissions{Items: []authapi.Permission{}}
	for permission, operations := range all {
		owner, _, _ := strings.Cut(permission, ".")
		list.Items = append(list.Items, authapi.Permission{Permission: permission, Group: owner, Operations: operations})
	}
	slices.SortFunc(list.Items, func(a, b authapi.Permission) int { return strings.Compare(a.Permission, b.Permission) })
	return list, nil
}

// Needed refuses patterns that no operation of their group needs, because most likely they are misspelt: 422. A group that has not
// reported yet may need anything.
func (s *Service) Needed(ctx context.Context, location string, patterns []string) error {
	for i, p := range patterns {
		group, _, one := strings.Cut(p, ".")
		if !one { // of every group
			continue
		}
		doc, err := s.d.catalogues.Get(ctx, group)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the catalogue of %s: %w", group, err)
		}
		if !slices.ContainsFunc(doc.Value.Operations, func(o authapi.CatalogueEntry) bool { return identity.Covers(p, o.Permission) }) {
			return unknown(fmt.Sprintf("%s[%d]", location, i), p, "no operation needs it")
		}
	}
	return nil
}
