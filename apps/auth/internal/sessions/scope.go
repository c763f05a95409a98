package sessions

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Scope narrows what a token can do to a list of permission patterns, such as "analytics.*:read"; empty
// narrows nothing.
type Scope []string

const maxScope = 1000 // bytes

// pattern is "<group>.<module>:<action>", any part of which may be "*"; "*" alone before the colon is
// every module of every group.
var pattern = regexp.MustCompile(`^(?:\*|([a-z]+)\.(?:\*|[a-z][a-z0-9-]*)):(?:\*|[a-z][a-z0-9-]*)$`)

// ParseScope reads a list separated by spaces (RFC 6749, section 3.3). A pattern that is not well formed
// or names no group is a 422 invalid_scope.
func ParseScope(text string) (Scope, error) {
	if len(text) > maxScope {
		return nil, invalidScope(fmt.Sprintf("longer than %d bytes", maxScope))
	}
	var scope Scope
	for _, p := range strings.Fields(text) {
		match := pattern.FindStringSubmatch(p)
		if match == nil {
			return nil, invalidScope(fmt.Sprintf("%q is not <group>.<module>:<action>, with * for any", p))
		}
		if match[1] != "" {
			if _, err := topology.ParseGroup(match[1]); err != nil {
				return nil, invalidScope(fmt.Sprintf("%q names no group", p))
			}
		}
		if !slices.Contains(scope, p) {
			scope = append(scope, p)
		}
	}
	return scope, nil
}

func (s Scope) String() string { return strings.Join(s, " ") }

// Narrow is wanted, or s where nothing is wanted; wanting more than s has is a 422 invalid_scope (RFC
// 6749, section 6).
func (s Scope) Narrow(wanted Scope) (Scope, error) {
	if len(wanted) == 0 {
		return s, nil
	}
	// Whoever checks permissions decides what covers what; a pattern is covered like a permission.
	granted := identity.Principal{Roles: []string{"owner"}, Scope: s}
	for _, p := range wanted {
		if !granted.Can(p) {
			return nil, invalidScope(fmt.Sprintf("%q is more than the session has", p))
		}
	}
	return wanted, nil
}

func invalidScope(why string) *problem.Problem {
	return problem.New(http.StatusUnprocessableEntity, authapi.CodeInvalidScope, "the scope cannot be granted").
		With(problem.Field{Location: "body.scope", Message: why})
}
