package host

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/pkg/clientaddr"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// authorize lets a request through to o when its caller may use it, with the caller in the context.
func (h *Host) authorize(o *group.Operation) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humamux.Unwrap(ctx)
		principal, err := h.principal(ctx.Context(), r, o)
		// A refusal counts too, against whoever is refused: guessing tokens is not free.
		if !o.Access.AnyRate {
			if limit := h.rate.Allow(callerName(principal, err, r), w.Header()); limit != nil {
				err = limit
			}
		}
		if err != nil {
			refused := problem.From(err)
			if refused.Status == http.StatusForbidden || refused.Code == problem.CodeStepUp {
				h.leave(ctx, o, principal, refused.Status, refused.Code)
			}
			writeProblem(ctx, refused)
			return
		}
		next(huma.WithContext(ctx, identity.With(ctx.Context(), principal)))
	}
}

func (h *Host) principal(ctx context.Context, r *http.Request, o *group.Operation) (identity.Principal, error) {
	if o.Access.Public && (!o.Access.KnowsCaller || r.Header.Get("Authorization") == "") {
		return identity.Principal{}, nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" { // schemes know no case (RFC 9110, section 11.1)
		return identity.Principal{}, problem.New(http.StatusUnauthorized, problem.CodeUnauthenticated,
			"this needs an access token: Authorization: Bearer …").Header("WWW-Authenticate", "Bearer")
	}
	p, err := h.verifier.Verify(ctx, token)
	if err != nil {
		return p, err
	}
	if p.Group != "" {
		if !h.mayCall(p, o) {
			return p, problem.Newf(http.StatusForbidden, problem.CodeForbidden, "group %s does not declare that it calls %s", p.Group, o.Group)
		}
		return p, nil
	}
	if o.Access.Internal {
		return p, problem.New(http.StatusForbidden, problem.CodeForbidden, "this is for other groups only")
	}
	if p.Access, err = h.directory.Access(ctx, p); err != nil {
		return p, err
	}
	return p, h.permit(p, r, o)
}

// permit tells whether p may use o now, from where the request comes.
func (h *Host) permit(p identity.Principal, r *http.Request, o *group.Operation) error {
	if err := h.meter.Allow(p.Organization); err != nil && o.Group != topology.Auth { // who is over a limit can still see why, and change the plan
		return err
	}
	if len(p.Access.Networks) > 0 {
		address, err := netip.ParseAddr(r.Header.Get(clientaddr.Header))
		if err != nil || !p.Access.From(address) {
			return problem.New(http.StatusForbidden, problem.CodeNetwork, "your organization does not allow requests from this network")
		}
	}
	if len(p.Access.Accept) > 0 && !o.BeforeAcceptance && p.Key == "" {
		fields := make([]problem.Field, len(p.Access.Accept))
		for i, document := range p.Access.Accept {
			fields[i] = problem.Field{Location: document, Message: "accept this version"}
		}
		return problem.New(http.StatusForbidden, problem.CodeAcceptance,
			"there are new legal documents to accept: POST /api/auth/legal/acceptances").With(fields...)
	}
	if o.Access.Permission != "" && !p.CanOn(o.Access.Permission, lastParameter(r, o.Path), h.now()) {
		return problem.Newf(http.StatusForbidden, problem.CodeForbidden, "this needs the permission %s", o.Access.Permission)
	}
	if o.StepUp && p.ACR != identity.ACRMultiFactor && p.Key == "" {
		return problem.StepUp()
	}
	return nil
}

// lastParameter is the id of the resource that a path names: the value of its last parameter.
func lastParameter(r *http.Request, template string) string {
	at := strings.LastIndexByte(template, '{')
	if at < 0 {
		return ""
	}
	name, _, _ := strings.Cut(template[at+1:], "}")
	return mux.Vars(r)[name]
}

// mayCall tells whether the calling group declares the callee. Every process may ask what is internal.
func (h *Host) mayCall(p identity.Principal, o *group.Operation) bool {
	if p.Group == Caller {
		return o.Access.Internal
	}
	return p.Group == o.Group || slices.Contains(h.callers[o.Group], p.Group)
}

// callerName is whose rate a request counts against: the caller's, or the address's while nobody is known.
func callerName(p identity.Principal, refused error, r *http.Request) string {
	if p.Subject != "" && refused == nil {
		return p.Subject
	}
	return "address:" + r.Header.Get(clientaddr.Header)
}

// clientAddress is where a request came from. The edge writes it down for the homes of groups, which
// believe it because it comes through their own sidecar.
func (h *Host) clientAddress(r *http.Request) string {
	if written := r.Header.Get(clientaddr.Header); written != "" && !h.c.Config.AppAPIToken.Empty() && h.fromSidecar(r) {
		return written
	}
	trusted := h.c.Config.TrustedProxies
	if h.c.Config.AppAPIToken.Empty() { // nothing proves a sidecar, but it is on this machine
		trusted = append(slices.Clone(trusted), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	}
	return clientaddr.Of(r, trusted)
}

// fromSidecar tells whether a request proves that it comes from this app's own sidecar. Without a token
// there is no proof to ask for.
func (h *Host) fromSidecar(r *http.Request) bool {
	want := h.c.Config.AppAPIToken.Reveal()
	return want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(r.Header.Get("dapr-api-token"))) == 1
}

// sidecarOnly refuses what does not come from this app's own sidecar.
func (h *Host) sidecarOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A call that another app made carries the token as well, but also its caller's name.
		if !h.fromSidecar(r) || r.Header.Get("dapr-caller-app-id") != "" {
			problem.Write(w, problem.New(http.StatusUnauthorized, problem.CodeSidecarOnly, "only this app's sidecar may call this"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
