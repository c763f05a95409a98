// Package rbac decides who may do what in an organization: by roles, the built-in ones and those that it made for itself,
// and by grants on single resources. Nobody gives what they do not have, and somebody always owns the organization.
package rbac

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// A decision looks at each pattern and grant that somebody has, so these bound what it costs.
const (
	maxRoles       = 50 // of an organization's own
	maxPermissions = 50 // patterns in a role
	maxMemberRoles = 5
	maxGrants      = 100 // in force, a member
)

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	Emit     events.Emitter
	Now      func() time.Time
	NewID    func() string
}

// Service is the rules of roles and grants, and an access.Source. It is safe for concurrent use.
type Service struct {
	c       Config
	d       documents
	builtIn map[string][]string
}

// Open opens the roles and grants in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	d, err := openDocuments(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	return &Service{c, d, identity.BuiltInRoles()}, nil
}

// Contribute adds what every member may do, the permissions of m's roles, and m's grants that have not expired.
func (s *Service) Contribute(ctx context.Context, m access.Member, to *identity.Access) error {
	c, err := s.d.charter(ctx, m.Organization)
	if err != nil {
		return err
	}
	roles, err := s.rolesOf(ctx, c, m)
	if err != nil || len(roles) == 0 {
		return err
	}
	to.Permissions = widest(append(append(to.Permissions, identity.OwnPermissions()...), s.permissions(c, roles)...))
	now := s.c.Now()
	err = s.d.grants.In(m.Organization).Each(ctx, store.Query{Index: byUser, Equal: []any{m.User}}, func(doc store.Doc[grant]) error {
		if g := doc.Value; g.inForce(now) {
			to.Grants = append(to.Grants, identity.Grant{Permission: g.Permission, Resource: g.Resource, ExpiresAt: g.expiry()})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the grants of a member: %w", err)
	}
	return nil
}

// rolesOf are the roles of m that are in force, given a charter that has just been read. The membership is read after it, although
// m has roles already: what was pending then and is settled now is in the one or in the other, never in neither.
func (s *Service) rolesOf(ctx context.Context, c charter, m access.Member) ([]string, error) {
	if a, pending := c.Pending[m.User]; pending {
		return a.Roles, nil
	}
	doc, err := s.c.Accounts.Membership(ctx, m.Organization, m.User)
	if accounts.IsNotFound(err) {
		return nil, nil // they have left meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("read the membership: %w", err)
	}
	return doc.Value.Roles, nil
}

// permissions are what roles carry together. A role that is not there carries nothing.
func (s *Service) permissions(c charter, roles []string) []string {
	var all []string
	for _, name := range roles {
		all = append(all, s.builtIn[name]...)
		all = append(all, c.Roles[name].Permissions...)
	}
	return widest(all)
}

// widest is patterns in order, without those that another one covers.
func widest(patterns []string) []string {
	patterns = slices.Compact(slices.Sorted(slices.Values(patterns)))
	kept := make([]string, 0, len(patterns))
	for _, p := range patterns {
		if !slices.ContainsFunc(patterns, func(wider string) bool { return wider != p && identity.Covers(wider, p) }) {
			kept = append(kept, p)
		}
	}
	return kept
}

// exists tells whether the organization with the charter c has a role of that name.
func (s *Service) exists(c charter, name string) bool {
	_, own := c.Roles[name]
	return own || s.builtIn[name] != nil
}

// ParsePermissions is patterns in order, each once; a 422 for one that is malformed, at its place in location.
func ParsePermissions(location string, patterns []string) ([]string, error) {
	for i, p := range patterns {
		// A scope is a list of the same patterns, separated by spaces.
		if scope, err := sessions.ParseScope(p); err != nil || len(scope) != 1 || scope[0] != p {
			return nil, unknown(fmt.Sprintf("%s[%d]", location, i), p, "want <group>.<module>:<action>, with * for any")
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(patterns))), nil
}

// unknown refuses a permission that is none.
func unknown(location, permission, why string) error {
	return problem.Newf(http.StatusUnprocessableEntity, problem.CodeValidation,
		"%.200q is no permission: %s; GET /api/auth/rbac/permissions lists those there are", permission, why).
		With(problem.Field{Location: location, Message: why})
}

// tell makes the events of a change of rights and its entry in the audit log.
func (s *Service) tell(ctx context.Context, d authapi.RoleChangedData, details map[string]string) ([]store.Message, error) {
	d.At = s.c.Now().UTC()
	changed, err := authapi.RoleChanged.Message(ctx, s.c.Emit, d.OrganizationID, d)
	if err != nil {
		return nil, err
	}
	messages := []store.Message{changed}
	// Nobody has a role that has just been made or is being deleted, so nobody's access changes with it.
	if d.Change != authapi.RoleCreated && d.Change != authapi.RoleDeleted {
		m, err := authapi.AccessChanged.Message(ctx, s.c.Emit, d.OrganizationID, authapi.AccessChangedData{
			OrganizationID: d.OrganizationID, Subject: d.UserID, Reason: "rbac " + string(d.Change),
		})
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	if details == nil { // whoever lets a member in or out tells of it in their own words
		return messages, nil
	}
	// Whose rights change is what the entry is about, and nowhere else in it: from there they can be erased.
	entry := audit.Entry{Action: "auth.rbac." + string(d.Change), Resource: "user:" + d.UserID, Details: details}
	if d.Role != "" {
		entry.Resource = "role:" + d.Role
	}
	m, err := audit.Message(ctx, s.c.Emit, d.OrganizationID, entry)
	if err != nil {
		return nil, err
	}
	return append(messages, m), nil
}

// gone is err of a deletion, nil when there was nothing left to delete.
func gone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func conflict(code, detail string) *problem.Problem {
	return problem.New(http.StatusConflict, code, detail)
}
