package authapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Codes of the problems of roles and grants.
const (
	// CodeRoleExists (409): the organization has a role of this name already.
	CodeRoleExists = "role_exists"
	// CodeRoleInUse (409): members have the role; the errors name some of them.
	CodeRoleInUse = "role_in_use"
	// CodeRoleBuiltIn (409): a built-in role is the same in every organization.
	CodeRoleBuiltIn = "role_built_in"
	// CodeLastOwner (409): an organization without an owner could not be run any more.
	CodeLastOwner = "last_owner"
	// CodeNotHeld (403): nobody gives or takes what they do not have themselves; the errors say what that is.
	CodeNotHeld = "permission_not_held"
	// CodeOwnersOnly (403): only a signed-in owner makes an owner, or unmakes one.
	CodeOwnersOnly = "owners_only"
	// CodeAlreadyMember (409): the user is a member of the organization already.
	CodeAlreadyMember = "already_member"
	// CodeLimitReached (409): there are as many as there may be; the detail says how many.
	CodeLimitReached = "limit_reached"
)

// Role is a set of permissions with a name.
type Role struct {
	Name        string     `json:"name" doc:"Name, which is also what members' roles are called" example:"campaign-manager"`
	Description string     `json:"description" doc:"What the role is for" example:"Plans and runs campaigns"`
	Permissions []string   `json:"permissions" nullable:"false" doc:"Permission patterns <group>.<module>:<action>, with * for any" example:"[\"analytics.*:read\"]"`
	BuiltIn     bool       `json:"built_in" doc:"Whether every organization has it, and none can change it"`
	CreatedAt   *time.Time `json:"created_at,omitempty" doc:"When a role of the organization's own was made, UTC"`
	UpdatedAt   *time.Time `json:"updated_at,omitempty" doc:"When it was changed last, UTC"`
}

// Roles are all roles of an organization, the built-in ones first. They are few, so they are not paged.
type Roles struct {
	Items []Role `json:"items" nullable:"false"`
}

// MemberRoles is what a member of an organization is.
type MemberRoles struct {
	UserID      string   `json:"user_id" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Roles       []string `json:"roles" nullable:"false" doc:"Names of roles" example:"[\"member\"]"`
	Permissions []string `json:"permissions" nullable:"false" doc:"What the roles carry together, without what is covered already" example:"[\"*:read\"]"`
}

// ResourceGrant is a permission on one resource for one member.
type ResourceGrant struct {
	ID         string     `json:"id" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	UserID     string     `json:"user_id" doc:"Member who has it" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Permission string     `json:"permission" doc:"Permission pattern" example:"integrations.sync:write"`
	Resource   string     `json:"resource" doc:"Id that requests name (see x-resource of the operations)" example:"0197a3f2-1111-7000-8000-000000000001"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty" doc:"When it ends, UTC; missing for one that does not"`
	CreatedBy  string     `json:"created_by" doc:"Who gave it" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was given, UTC"`
}

// ResourceGrants is a page of grants.
type ResourceGrants struct {
	Items      []ResourceGrant `json:"items" nullable:"false"`
	NextCursor string          `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// AccessCheck asks whether somebody may do something.
type AccessCheck struct {
	Permission string `json:"permission" maxLength:"200" pattern:"^[a-z]+\\.[a-z][a-z0-9-]*:[a-z][a-z0-9-]*$" doc:"Permission <group>.<module>:<action>" example:"integrations.sync:write"`
	Resource   string `json:"resource,omitempty" maxLength:"200" doc:"Resource that it is about; grants count only with it" example:"0197a3f2-1111-7000-8000-000000000001"`
	UserID     string `json:"user_id,omitempty" maxLength:"64" doc:"Member who would do it; else whoever asks" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
}

// AccessDecision answers an AccessCheck.
type AccessDecision struct {
	AccessCheck
	Allowed bool `json:"allowed" doc:"Whether it would be allowed now"`
}

// AccessDecisions answer a list of checks, in its order.
type AccessDecisions struct {
	Items []AccessDecision `json:"items" nullable:"false"`
}

// Permission is one that operations need.
type Permission struct {
	Permission string                `json:"permission" example:"integrations.sync:write"`
	Group      string                `json:"group" example:"integrations"`
	Operations []PermissionOperation `json:"operations" nullable:"false" doc:"What it allows"`
}

// PermissionOperation is an operation that needs a permission.
type PermissionOperation struct {
	Method string `json:"method" example:"POST"`
	Path   string `json:"path" example:"/api/integrations/sync/runs"`
	// Resource is where a request has the id that grants on one resource are for.
	Resource string `json:"resource,omitempty" doc:"Where a request names the one resource that a grant can be on: path.<name>, query.<name> or body.<field>; missing where grants do not count" example:"body.connection_id"`
}

// Permissions are all that any operation of any group needs. They are as many as the API has, so they are not paged.
type Permissions struct {
	Items []Permission `json:"items" nullable:"false"`
}

// RoleChanged tells that the roles or grants of a member have changed, or what a role carries.
var RoleChanged = events.Topic[RoleChangedData]{Name: "auth.role.changed"}

// RoleChangedData says what has changed.
type RoleChangedData struct {
	OrganizationID string     `json:"organization_id"`
	Change         RoleChange `json:"change"`
	// UserID is whose roles or grants changed; empty where a role itself did.
	UserID string `json:"user_id,omitempty"`
	// Roles are all roles that the member has now; empty for who has left.
	Roles []string `json:"roles,omitempty"`
	// Role is the role that changed, Grant the grant.
	Role  string    `json:"role,omitempty"`
	Grant string    `json:"grant,omitempty"`
	At    time.Time `json:"at"`
}

// RoleChange is a kind of change.
type RoleChange string

// The changes there are.
const (
	RolesAssigned  RoleChange = "assign"
	MemberJoined   RoleChange = "join"
	MemberLeft     RoleChange = "leave"
	RoleCreated    RoleChange = "create"
	RoleUpdated    RoleChange = "update"
	RoleDeleted    RoleChange = "delete"
	GrantGiven     RoleChange = "grant"
	GrantWithdrawn RoleChange = "withdraw"
)

// CatalogueEntry is one operation and the permission that it needs, as the process that serves it reports it.
type CatalogueEntry struct {
	PermissionOperation
	Permission string `json:"permission" example:"integrations.sync:write"`
}

// Catalogue is what a group's operations need.
type Catalogue struct {
	Operations []CatalogueEntry `json:"operations" nullable:"false"`
}

// Report tells the auth group which permissions the operations of g need. A process does so for each group that it hosts; to
// repeat it changes nothing.
func (c Client) Report(ctx context.Context, g topology.Group, operations []*group.Operation) error {
	report := Catalogue{Operations: []CatalogueEntry{}}
	for _, o := range operations {
		if o.Access.Permission != "" {
			report.Operations = append(report.Operations, CatalogueEntry{PermissionOperation{o.Method, o.Path, o.Resource.At()}, o.Access.Permission})
		}
	}
	_, err := ask[struct{}](ctx, c, http.MethodPut, "/api/auth/rbac/catalogue/"+url.PathEscape(string(g)), nil, report)
	return err
}
