package host

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/problem"
)

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// admit refuses, before anything else looks at it, what a sidecar would make something else of: it
// resolves escaped dots and slashes, so that /api/auth/%2e%2e/%2e%2e/dapr/… would be another path by the
// time it arrives, and it takes an unknown method for POST. In one process it is refused all the same,
// so that an answer does not depend on the topology.
func admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !slices.Contains(methods, r.Method):
			problem.Write(w, problem.Newf(http.StatusMethodNotAllowed, problem.CodeMethod, "there is no method %.20q here", r.Method).
				Header("Allow", strings.Join(methods, ", ")))
		case !call.PlainPath(r.URL):
			problem.Write(w, problem.New(http.StatusNotFound, problem.CodeNoRoute, "no path has such characters or segments"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}
