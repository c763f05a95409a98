package rbac

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Module is the routes of roles, grants and permissions.
type Module struct {
	service *Service
	rights  Rights
}

// NewModule serves s, and asks rights what members may do.
func NewModule(s *Service, rights Rights) *Module { return &Module{s, rights} }

// Name is "rbac".
func (m *Module) Name() string { return "rbac" }

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs(permissionRead), group.Needs("auth.rbac:write")
	group.Get(r, "/roles", m.roles, read, group.Doc("List the roles", "The built-in ones first, then those of the organization."))
	group.Post(r, "/roles", m.createRole, write, group.Action(string(authapi.RoleCreated)), group.Status(http.StatusCreated), group.Problems(http.StatusConflict, http.StatusUnprocessableEntity), group.Doc("Make a role", "It may carry only what you have yourself (403 permission_not_held)."))
	group.Get(r, "/roles/{name}", m.role, read, group.Problems(http.StatusNotFound), group.Doc("Show a role"))
	group.Put(r, "/roles/{name}", m.updateRole, write, group.Action(string(authapi.RoleUpdated)), group.Problems(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity), group.Doc("Change a role", "You must have all that it carried and is to carry. Members with the role have its new permissions within 5 seconds."))
	group.Delete(r, "/roles/{name}", m.deleteRole, write, group.Action(string(authapi.RoleDeleted)), group.Problems(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed), group.Doc("Delete a role", "While members have it this is a 409 role_in_use, whose errors name some of them."))
	group.Get(r, "/members/{id}/roles", m.memberRoles, read, group.Problems(http.StatusNotFound), group.Doc("Show a member's roles"))
	group.Put(r, "/members/{id}/roles", m.assign, write, group.Action(string(authapi.RolesAssigned)), group.Problems(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity), group.Doc("Set a member's roles", "You must have all that the roles carry which you give or take. Only owners make and unmake owners, and one always stays (409 last_owner). It is in force everywhere within 5 seconds."))
	group.Get(r, "/grants", m.grants, read, group.Problems(http.StatusBadRequest), group.Doc("List the grants on single resources", "Expired ones are deleted within a day."))
	group.Post(r, "/grants", m.grant, write, group.Action(string(authapi.GrantGiven)), group.Status(http.StatusCreated), group.Problems(http.StatusConflict, http.StatusUnprocessableEntity), group.Doc("Grant a permission on one resource", "The member may then use the operations that need the permission, in requests that name the resource: in the place that `x-resource` of the operation tells, and so does GET /api/auth/rbac/permissions, e.g. `path.id`, `query.connection_id` or `body.connection_id`. You must have the permission yourself.", "The id is not looked up, as it is another group's. Where it is wrong the grant gives nothing: ids are never used again, and each operation looks for the id in the caller's own organization only, so that one of another organization is not found."))
	group.Get(r, "/grants/{id}", m.showGrant, read, group.Problems(http.StatusNotFound), group.Doc("Show a grant"))
	group.Delete(r, "/grants/{id}", m.withdraw, write, group.Action(string(authapi.GrantWithdrawn)), group.Problems(http.StatusNotFound), group.Doc("Withdraw a grant"))
	group.Post(r, "/check", m.check, group.SignedIn(), group.ChangesNothing(), group.Problems(http.StatusNotFound, http.StatusUnprocessableEntity), group.Doc("Ask whether something is allowed", "Without user_id it is about you and this token; to ask about other members takes auth.rbac:read."))
	group.Post(r, "/check/batch", m.checkAll, group.SignedIn(), group.ChangesNothing(), group.Problems(http.StatusNotFound, http.StatusUnprocessableEntity), group.Doc("Ask up to 100 times whether something is allowed", "The answers are in the order of the checks."))
	group.Get(r, "/permissions", m.permissions, read, group.Doc("List the permissions that there are", "Each with the operations that need it, as the processes that serve them reported."))
	group.Put(r, "/catalogue/{group}", m.report, group.Internal(), group.Problems(http.StatusNotFound, http.StatusUnprocessableEntity), group.Doc("Report what a group's operations need"))
}

func principal(ctx context.Context) identity.Principal {
	p, _ := identity.From(ctx)
	return p
}

func (m *Module) roles(ctx context.Context, _ *struct{}) (*authapi.Roles, error) {
	return m.service.Roles(ctx, identity.Organization(ctx))
}

// RoleBody is what a role is to be.
type RoleBody struct {
	Description string   `json:"description,omitempty" maxLength:"500" doc:"What the role is for" example:"Plans and runs campaigns"`
	Permissions []string `json:"permissions" nullable:"false" minItems:"1" maxItems:"50" doc:"Permission patterns <group>.<module>:<action>, with * for any" example:"[\"analytics.*:read\",\"analytics.campaigns:write\"]"`
}

func (b RoleBody) definition() Definition { return Definition(b) }

// CreateRoleInput is a new role.
type CreateRoleInput struct {
	Body struct {
		Name string `json:"name" pattern:"^[a-z][a-z0-9_-]{1,49}$" patternDescription:"2 to 50 lower-case letters, digits, _ and -" doc:"Name; it cannot be changed later" example:"campaign-manager"`
		RoleBody
	}
}

// CreatedRole is a role and where it is.
type CreatedRole struct {
	Location string `header:"Location" doc:"Where the role is"`
	ETag     string `header:"ETag" doc:"Version of the role; give it to If-Match when you change it"`
	Body     *authapi.Role
}

func (m *Module) createRole(ctx context.Context, in *CreateRoleInput) (*CreatedRole, error) {
	v, version, err := m.service.CreateRole(ctx, principal(ctx), in.Body.Name, in.Body.definition())
	if err != nil {
		return nil, err
	}
	return &CreatedRole{"/api/auth/rbac/roles/" + v.Name, group.AtVersion(v, version).ETag, v}, nil
}

// RoleInput names a role.
type RoleInput struct {
	Name string `path:"name" maxLength:"50" doc:"Name of the role" example:"campaign-manager"`
}

func (m *Module) role(ctx context.Context, in *RoleInput) (*group.Versioned[authapi.Role], error) {
	v, version, err := m.service.Role(ctx, identity.Organization(ctx), in.Name)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(v, version), nil
}

// UpdateRoleInput is what a role is to be from now on.
type UpdateRoleInput struct {
	RoleInput
	group.IfMatch
	Body RoleBody
}

func (m *Module) updateRole(ctx context.Context, in *UpdateRoleInput) (*group.Versioned[authapi.Role], error) {
	v, version, err := m.service.UpdateRole(ctx, principal(ctx), in.Name, in.Body.definition(), in.Check)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(v, version), nil
}

// DeleteRoleInput names a role to delete.
type DeleteRoleInput struct {
	RoleInput
	group.IfMatch
}

func (m *Module) deleteRole(ctx context.Context, in *DeleteRoleInput) (*group.None, error) {
	return nil, m.service.DeleteRole(ctx, principal(ctx), in.Name, in.Check)
}

// MemberInput names a member.
type MemberInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the member's user" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
}

func (m *Module) memberRoles(ctx context.Context, in *MemberInput) (*group.Versioned[authapi.MemberRoles], error) {
	v, version, err := m.service.Of(ctx, identity.Organization(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(v, version), nil
}

// AssignInput is all roles that a member is to have.
type AssignInput struct {
	MemberInput
	group.IfMatch
	Body struct {
		Roles []string `json:"roles" nullable:"false" minItems:"1" maxItems:"5" doc:"Names of roles" example:"[\"member\",\"campaign-manager\"]"`
	}
}

func (m *Module) assign(ctx context.Context, in *AssignInput) (*group.Versioned[authapi.MemberRoles], error) {
	if err := m.service.Assign(ctx, principal(ctx), in.ID, in.Body.Roles, in.Check); err != nil {
		return nil, err
	}
	return m.memberRoles(ctx, &in.MemberInput)
}

// GrantsInput is the query of a list of grants.
type GrantsInput struct {
	UserID   string `query:"user_id" maxLength:"64" doc:"Only those of this member" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Resource string `query:"resource" maxLength:"200" doc:"Only those on this resource" example:"0197a3f2-1111-7000-8000-000000000001"`
	Cursor   string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before"`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Grants a page" example:"20"`
}

func (m *Module) grants(ctx context.Context, in *GrantsInput) (*authapi.ResourceGrants, error) {
	return m.service.Grants(ctx, identity.Organization(ctx), in.UserID, in.Resource, in.Cursor, in.Limit)
}

// GrantInput is a permission on one resource that a member is to have.
type GrantInput struct {
	Body struct {
		UserID     string     `json:"user_id" minLength:"1" maxLength:"64" doc:"Member who gets it" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
		Permission string     `json:"permission" maxLength:"200" doc:"Permission pattern <group>.<module>:<action>, with * for any" example:"integrations.sync:write"`
		Resource   string     `json:"resource" minLength:"1" maxLength:"200" doc:"Id that requests name, e.g. a connection's; it is not looked up" example:"0197a3f2-1111-7000-8000-000000000001"`
		ExpiresAt  *time.Time `json:"expires_at,omitempty" doc:"When it ends; without it, it does not" example:"2027-01-01T00:00:00Z"`
	}
}

// CreatedGrant is a grant and where it is.
type CreatedGrant struct {
	Location string `header:"Location" doc:"Where the grant is"`
	Body     *authapi.ResourceGrant
}

func (m *Module) grant(ctx context.Context, in *GrantInput) (*CreatedGrant, error) {
	v, err := m.service.Grant(ctx, principal(ctx), NewGrant{in.Body.UserID, in.Body.Permission, in.Body.Resource, in.Body.ExpiresAt})
	if err != nil {
		return nil, err
	}
	return &CreatedGrant{"/api/auth/rbac/grants/" + url.PathEscape(v.ID), v}, nil
}

// OneGrantInput names a grant.
type OneGrantInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the grant" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
}

func (m *Module) showGrant(ctx context.Context, in *OneGrantInput) (*authapi.ResourceGrant, error) {
	return m.service.OneGrant(ctx, identity.Organization(ctx), in.ID)
}

func (m *Module) withdraw(ctx context.Context, in *OneGrantInput) (*group.None, error) {
	return nil, m.service.Withdraw(ctx, principal(ctx), in.ID)
}

// CheckInput asks whether something is allowed.
type CheckInput struct {
	Body authapi.AccessCheck
}

func (m *Module) check(ctx context.Context, in *CheckInput) (*authapi.AccessDecision, error) {
	answer, err := m.service.Check(ctx, m.rights, principal(ctx), []authapi.AccessCheck{in.Body})
	if err != nil {
		return nil, err
	}
	return &answer.Items[0], nil
}

// CheckAllInput asks several times whether something is allowed.
type CheckAllInput struct {
	Body struct {
		Checks []authapi.AccessCheck `json:"checks" nullable:"false" minItems:"1" maxItems:"100" doc:"What is asked"`
	}
}

func (m *Module) checkAll(ctx context.Context, in *CheckAllInput) (*authapi.AccessDecisions, error) {
	return m.service.Check(ctx, m.rights, principal(ctx), in.Body.Checks)
}

// PermissionsInput narrows the list of permissions.
type PermissionsInput struct {
	Group string `query:"group" maxLength:"20" doc:"Only those of this group" example:"integrations"`
}

func (m *Module) permissions(ctx context.Context, in *PermissionsInput) (*authapi.Permissions, error) {
	return m.service.Permissions(ctx, topology.Group(in.Group))
}

// ReportInput is what a group's operations need.
type ReportInput struct {
	Group string `path:"group" maxLength:"20" doc:"The group" example:"integrations"`
	Body  authapi.Catalogue
}

func (m *Module) report(ctx context.Context, in *ReportInput) (*group.None, error) {
	g, err := topology.ParseGroup(in.Group)
	if err != nil {
		return nil, problem.NotFound("group").Wrap(err)
	}
	return nil, m.service.Report(ctx, g, in.Body)
}
