package host

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

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
		principal, err := h.principal(ctx, r, o)
		// A refusal counts too, against whoever is refused: guessing tokens is not free.
		var limit error
		if !o.Access.AnyRate {
			limit = h.rate.Allow(callerName(principal, err, r), w.Header())
		}
		if limit != nil {
			err = limit
		} else if passing(err) {
			// The person may just have done what this asks for, and the feed of changes not have told yet.
			if principal.Access, err = h.directory.Fresh(ctx.Context(), principal); err == nil {
				err = h.permit(ctx, principal, r, o)
			}
		}
		if err != nil {
			refused := problem.From(err)
			if refused.Status == http.StatusForbidden || refused.Code == problem.CodeStepUp {
				h.leave(ctx, o, principal, o.Resource.Entry(resourceOf(ctx, o)), refused.Status, refused.Code)
			}
			writeProblem(ctx, refused)
			return
		}
		next(huma.WithContext(ctx, identity.With(ctx.Context(), principal)))
	}
}

func (h *Host) principal(hc huma.Context, r *http.Request, o *group.Operation) (identity.Principal, error) {
	ctx := hc.Context()
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
	if err := h.meter.Allow(p.Organization); err != nil && o.Group != topology.Auth { // who is over a limit can still see why, and change the plan
		return p, err
	}
	return p, h.permit(hc, p, r, o)
}

// passing tells the refusals that end when people do something about them, and at once: not when the feed of changes comes.
func passing(refusal error) bool {
	code := problem.Code(refusal)
	return code == problem.CodeAcceptance || code == problem.CodeDeleting
}

// permit tells whether p may use o now, from where the request comes.
func (h *Host) permit(hc huma.Context, p identity.Principal, r *http.Request, o *group.Operation) error {
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
	if o.Access.Permission != "" && !p.Can(o.Access.Permission) {
		switch granted, err := h.granted(hc, o, p); {
		case err != nil:
			return err
		case !granted && p.Access != nil && p.Access.EraseAt != nil:
			return problem.Newf(http.StatusForbidden, problem.CodeDeleting,
				"the organization was deleted and is erased on %s; until then an owner can restore it: POST /api/auth/organizations/current/restore",
				p.Access.EraseAt.Format(time.DateOnly))
		case !granted:
			return problem.Newf(http.StatusForbidden, problem.CodeForbidden, "this needs the permission %s", o.Access.Permission)
		}
	}
	if o.StepUp && p.ACR != identity.ACRMultiFactor && p.Key == "" {
		return problem.StepUp()
	}
	return nil
}

// granted tells whether p has what o needs by a grant on the resource that the request is about: a problem for a body that cannot
// be read.
func (h *Host) granted(hc huma.Context, o *group.Operation, p identity.Principal) (bool, error) {
	if p.Access == nil || len(p.Access.Grants) == 0 {
		return false, nil
	}
	if o.Resource.In == group.InBody {
		if err := h.lookIntoBody(hc, o); err != nil {
			return false, err
		}
	}
	id := resourceOf(hc, o)
	return id != "" && p.CanOn(o.Access.Permission, id, h.now()), nil
}

// resourceOf is the id of the resource that a request names, "" for none. Of a body it knows only what lookIntoBody has seen.
func resourceOf(hc huma.Context, o *group.Operation) string {
	switch o.Resource.In {
	case group.InPath:
		return hc.Param(o.Resource.Name)
	case group.InQuery:
		return hc.Query(o.Resource.Name)
	case group.InBody:
		r, _ := humamux.Unwrap(hc)
		if seen, ok := r.Body.(seenBody); ok {
			return seen.resource
		}
	}
	return ""
}

// seenBody is a body that was read and can be read again, with the id of the resource that it names.
type seenBody struct {
	io.Reader
	resource string
}

func (seenBody) Close() error { return nil }

// lookIntoBody reads the body of a request that is about what a field of it names, before its operation does.
func (h *Host) lookIntoBody(hc huma.Context, o *group.Operation) error {
	body, err := readBody(hc)
	if err != nil {
		return err
	}
	r, _ := humamux.Unwrap(hc)
	r.Body = seenBody{bytes.NewReader(body), onlyField(body, o.Resource.Name)}
	return nil
}

// onlyField is the text of a field of a JSON object; "" where there is none, or not one alone: decoders take a field in any case of
// its letters, so a second spelling could be what the operation goes by.
func onlyField(object []byte, name string) (text string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return ""
	}
	found := 0
	for spelling, value := range fields {
		if !strings.EqualFold(spelling, name) {
			continue
		}
		if found++; found > 1 || json.Unmarshal(value, &text) != nil {
			return ""
		}
	}
	return text
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
