package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Owner is the role of who may do everything, and may not leave the organization without one.
const Owner = "owner"

// OwnPermissions are what every member has, whatever their roles: to see and change what is their own only, their
// account, sessions, second factors and acceptances.
func OwnPermissions() []string {
	return []string{
		"auth.auth:read", "auth.auth:write", "auth.sessions:read", "auth.sessions:write",
		"auth.mfa:read", "auth.mfa:write", "auth.legal:read", "auth.legal:write",
	}
}

// BuiltInRoles are the roles that every organization has, with the permissions that they carry besides
// OwnPermissions; "*" stands for every module or action.
func BuiltInRoles() map[string][]string {
	return map[string][]string{
		Owner:     {"*:*"},
		"admin":   {"*:*"},
		"manager": {"*:read", "integrations.*:write", "analytics.*:write", "agentkit.*:write", "onboarding.*:write", "ml.*:write"},
		"member":  {"*:read", "analytics.*:write", "agentkit.*:write", "onboarding.*:write"},
		"viewer":  {"*:read"},
	}
}

var (
	builtIn = BuiltInRoles()
	own     = OwnPermissions()
)

// Access is what a principal may do in an organization at one moment, as the auth group worked it out.
type Access struct {
	// Permissions are patterns such as "analytics.*:read".
	Permissions []string `json:"permissions"`
	// Grants are permissions on single resources.
	Grants []Grant `json:"grants,omitempty"`
	// Accept are the legal documents to accept before anything else is allowed, e.g. "terms/3".
	Accept []string `json:"accept,omitempty"`
	// EraseAt is when the organization is erased, in UTC, if it was deleted; nil otherwise.
	EraseAt *time.Time `json:"erase_at,omitempty"`
	// Networks are lists of CIDR prefixes; a request must come from within each list.
	Networks [][]string `json:"networks,omitempty"`
}

// Grant is a permission on one resource, until it expires.
type Grant struct {
	Permission string `json:"permission"`
	// Resource is the id of what requests are about, e.g. a connection's (see group.About).
	Resource string `json:"resource"`
	// ExpiresAt is when the grant ends, in UTC; nil for one that does not.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// Hash names the access: what is equal has the same name, in every process.
func (a Access) Hash() string {
	a.Permissions = slices.Sorted(slices.Values(a.Permissions))
	a.Grants = slices.SortedFunc(slices.Values(a.Grants), func(a, b Grant) int {
		return strings.Compare(a.Permission+" "+a.Resource, b.Permission+" "+b.Resource)
	})
	a.Accept = slices.Sorted(slices.Values(a.Accept))
	text, err := json.Marshal(a)
	if err != nil {
		return "" // strings and times have a JSON form; a name that fits nothing is never found
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Can tells whether the access has permission, written "<group>.<module>:<action>".
func (a Access) Can(permission string) bool { return anyCovers(a.Permissions, permission) }

// CanOn tells whether the access has permission at all, or on resource at the time now.
func (a Access) CanOn(permission, resource string, now time.Time) bool {
	return a.Can(permission) || slices.ContainsFunc(a.Grants, func(g Grant) bool {
		return g.Resource == resource && covers(g.Permission, permission) && (g.ExpiresAt == nil || now.Before(*g.ExpiresAt))
	})
}

// From tells whether a request from address is allowed. Prefixes were checked when they were set; one
// that does not parse lets nobody in.
func (a Access) From(address netip.Addr) bool {
	for _, list := range a.Networks {
		if !slices.ContainsFunc(list, func(text string) bool {
			prefix, err := netip.ParsePrefix(text)
			return err == nil && prefix.Contains(address.Unmap())
		}) {
			return false
		}
	}
	return true
}

// Covers tells whether pattern, whose parts may be "*", covers permission or a narrower pattern.
func Covers(pattern, permission string) bool { return covers(pattern, permission) }

// CoversAny tells whether one of patterns covers permission.
func CoversAny(patterns []string, permission string) bool { return anyCovers(patterns, permission) }
