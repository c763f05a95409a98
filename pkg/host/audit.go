package host

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// auditTimeout bounds the writing of an entry.
const auditTimeout = 5 * time.Second

// record leaves an entry in the audit log for every operation of a user or an API key that has an action,
// unless the operation has made one of that action itself, which knows more. The entry names the resource that the operation has
// said it acts on, by audit.On, or else the one that the request names, by group.About.
func (h *Host) record(o *group.Operation) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		ctx, trail := audit.Follow(hc.Context(), o.Action)
		next(huma.WithContext(hc, ctx))
		p, _ := identity.From(hc.Context())
		status, code := hc.Status(), ""
		if a := answerOf(hc); a != nil {
			code = a.code
		}
		if trail.Tells(resultOf(status)) {
			return
		}
		resource := trail.Resource()
		if resource == "" {
			resource = o.Resource.Entry(resourceOf(hc, o))
		}
		h.leave(hc, o, p, resource, status, code)
	}
}

// leave is the entry of what p tried on resource.
func (h *Host) leave(hc huma.Context, o *group.Operation, p identity.Principal, resource string, status int, code string) {
	if o.Action == "" || p.Organization == "" || p.Group != "" {
		return
	}
	// The entry is left even when the client is gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(identity.With(hc.Context(), p)), auditTimeout)
	defer cancel()
	k := h.groups[o.Group].kernel
	m, err := audit.Message(ctx, k.Emit, p.Organization, audit.Entry{
		Action: o.Action, Resource: resource, Result: resultOf(status), Code: code,
	})
	if err == nil {
		err = k.DB.Outbox().Add(ctx, m)
	}
	if err != nil {
		h.log.ErrorContext(ctx, "leave an audit entry", "action", o.Action, "error", err)
	}
}

func resultOf(status int) audit.Result {
	switch {
	case status < http.StatusBadRequest:
		return audit.Success
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return audit.Denied
	}
	return audit.Failure
}
