package host

import (
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// authorize lets a request through to o when its caller may use it, with the caller in the context.
func (h *Host) authorize(o *group.Operation) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humamux.Unwrap(ctx)
		principal, err := h.principal(r, o)
		if err == nil {
			err = h.rate.Allow(callerName(principal, r), w.Header())
		}
		if err != nil {
			writeProblem(ctx, problem.From(err))
			return
		}
		next(huma.WithContext(ctx, identity.With(ctx.Context(), principal)))
	}
}

func (h *Host) principal(r *http.Request, o *group.Operation) (identity.Principal, error) {
	if o.Access.Public {
		return identity.Principal{}, nil
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return identity.Principal{}, problem.New(http.StatusUnauthorized, problem.CodeUnauthenticated,
			"this needs an access token: Authorization: Bearer …").Header("WWW-Authenticate", "Bearer")
	}
	p, err := h.verifier.Verify(r.Context(), token)
	if err != nil {
		return p, err
	}
	switch {
	case p.Group != "" && !h.mayCall(p, o):
		return p, problem.Newf(http.StatusForbidden, problem.CodeForbidden, "group %s does not declare that it calls %s", p.Group, o.Group)
	case o.Access.Internal && p.Group == "":
		return p, problem.New(http.StatusForbidden, problem.CodeForbidden, "this is for other groups only")
	case o.Access.Permission != "" && !p.Can(o.Access.Permission):
		return p, problem.Newf(http.StatusForbidden, problem.CodeForbidden, "this needs the permission %s", o.Access.Permission)
	}
	return p, nil
}

// mayCall tells whether the calling group declares the callee. Every process may ask what is internal.
func (h *Host) mayCall(p identity.Principal, o *group.Operation) bool {
	if p.Group == Caller {
		return o.Access.Internal
	}
	return p.Group == o.Group || slices.Contains(h.callers[o.Group], p.Group)
}

// callerName is whose rate a request counts against.
func callerName(p identity.Principal, r *http.Request) string {
	if p.Subject != "" {
		return p.Subject
	}
	return "address:" + clientAddress(r)
}

// clientAddress is where a request came from: the first hop that the edge wrote down, since the
// connection itself is the sidecar's.
func clientAddress(r *http.Request) string {
	if forwarded, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ","); forwarded != "" {
		return strings.TrimSpace(forwarded)
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return address
}

// sidecarOnly refuses what does not come from this app's own sidecar.
func (h *Host) sidecarOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := string(h.c.Config.AppAPIToken)
		got := r.Header.Get("dapr-api-token")
		if want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(got)) != 1 {
			problem.Write(w, problem.New(http.StatusUnauthorized, problem.CodeSidecarOnly, "only this app's sidecar may call this"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
