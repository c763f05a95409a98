// Package identity says who a request is from and what they may do. A principal is a person with a
// session, or one of the groups acting for an organization in the background.
package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Principal is who acts.
type Principal struct {
	// Subject is the user's id, or "group:<name>" for a group.
	Subject string
	// Organization is the tenant; every read and write is bound to it.
	Organization string
	// Session is the id of the sign-in that the token came from; empty for a group.
	Session string
	// Roles are the user's roles in the organization.
	Roles []string
	// Key is the id of the API key that acts; empty for a user.
	Key string
	// AMR are the methods by which the session proved who it is (RFC 8176), ACR what they amount to:
	// "mfa" for two factors, "" for one.
	AMR []string
	ACR string
	// IssuedAt is when the token was made, and AccessHash names the access that its holder had then.
	IssuedAt   time.Time
	AccessHash string
	// Access is what the principal may do at the moment; nil for what the built-in roles say.
	Access *Access
	// Scope narrows the roles' permissions when it is not empty (RFC 6749, section 3.3).
	Scope []string
	// Group is the calling group when a group acts; empty for a user.
	Group topology.Group
	// Token is the bearer token as it came, so that it can travel with onward calls.
	Token string
}

// Can tells whether p has permission, written "<group>.<module>:<action>". A group may do what the
// caller's declaration lets it call; that was checked when its token was verified.
func (p Principal) Can(permission string) bool {
	if p.Group != "" {
		return true
	}
	if len(p.Scope) > 0 && !anyCovers(p.Scope, permission) {
		return false
	}
	if p.Access != nil {
		return p.Access.Can(permission)
	}
	return len(p.Roles) > 0 && anyCovers(own, permission) ||
		slices.ContainsFunc(p.Roles, func(role string) bool { return anyCovers(builtIn[role], permission) })
}

// CanOn is Can, or a grant of the permission on resource that is in force at the time now. A scope narrows
// both.
func (p Principal) CanOn(permission, resource string, now time.Time) bool {
	if p.Can(permission) {
		return true
	}
	scoped := len(p.Scope) == 0 || anyCovers(p.Scope, permission)
	return scoped && p.Access != nil && p.Access.CanOn(permission, resource, now)
}

func anyCovers(patterns []string, permission string) bool {
	for _, pattern := range patterns {
		if covers(pattern, permission) {
			return true
		}
	}
	return false
}

// covers matches "group.module:action" against a pattern whose parts may be "*", as in "*:read",
// "integrations.*:write" and "*:*".
func covers(pattern, permission string) bool {
	if pattern == permission {
		return true
	}
	wantPlace, wantAction, ok1 := strings.Cut(pattern, ":")
	place, action, ok2 := strings.Cut(permission, ":")
	if !ok1 || !ok2 || (wantAction != "*" && wantAction != action) {
		return false
	}
	if wantPlace == "*" || wantPlace == place {
		return true
	}
	group, isGroup := strings.CutSuffix(wantPlace, ".*")
	return isGroup && strings.HasPrefix(place, group+".")
}

// ACRMultiFactor is the acr of a session that has shown two factors.
const ACRMultiFactor = "mfa"

type key struct{}

// With is ctx with p as the one who acts.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, key{}, p)
}

// From is the one who acts in ctx.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(key{}).(Principal)
	return p, ok
}

// Organization is the tenant of ctx, or "" when nobody acts; the store refuses an empty one.
func Organization(ctx context.Context) string {
	p, _ := From(ctx)
	return p.Organization
}

// AsGroup is ctx in which group acts for organization, for work that no user waits for.
func AsGroup(ctx context.Context, group topology.Group, organization string) context.Context {
	return With(ctx, Principal{Subject: "group:" + string(group), Organization: organization, Group: group})
}
