package apikeys

import (
	"slices"
	"strings"

	"github.com/tandemhq/tandem/pkg/identity"
)

// narrow is what a key with scopes may do for a creator with access a: what is in both. Machines accept no legal documents.
func narrow(scopes []string, a identity.Access) identity.Access {
	permissions := []string{}
	for _, held := range a.Permissions {
		permissions = append(permissions, within(scopes, held)...)
	}
	slices.Sort(permissions)
	grants := []identity.Grant{}
	for _, g := range a.Grants {
		for _, permission := range within(scopes, g.Permission) {
			grants = append(grants, identity.Grant{Permission: permission, Resource: g.Resource, ExpiresAt: g.ExpiresAt})
		}
	}
	a.Permissions, a.Grants, a.Accept = slices.Compact(permissions), grants, nil
	return a
}

// within is what scopes and pattern have in common.
func within(scopes []string, pattern string) []string {
	var common []string
	for _, scope := range scopes {
		place1, action1, _ := strings.Cut(scope, ":")
		place2, action2, _ := strings.Cut(pattern, ":")
		place := narrower(place1, place2, func(wide, p string) bool { return identity.Covers(wide+":*", p+":*") })
		action := narrower(action1, action2, func(wide, p string) bool { return identity.Covers("*:"+wide, "*:"+p) })
		if place != "" && action != "" {
			common = append(common, place+":"+action)
		}
	}
	return common
}

// narrower is the one of a and b that the other covers, "" when neither does.
func narrower(a, b string, covers func(wide, part string) bool) string {
	switch {
	case covers(a, b):
		return b
	case covers(b, a):
		return a
	}
	return ""
}
