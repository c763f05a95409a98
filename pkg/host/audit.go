package host

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// auditTimeout bounds the writing of an entry.
const auditTimeout = 5 * time.Second

// record leaves an entry in the audit log for every operation of a user or an API key that changes
// something, but for the successes of those that make entries of their own.
func (h *Host) record(o *group.Operation) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		next(hc)
		p, _ := identity.From(hc.Context())
		status, code := hc.Status(), ""
		if a := answerOf(hc); a != nil {
			code = a.code
		}
		if !o.Audited || status >= http.StatusBadRequest {
			h.leave(hc, o, p, status, code)
		}
	}
}

// leave is the entry of what p tried.
func (h *Host) leave(hc huma.Context, o *group.Operation, p identity.Principal, status int, code string) {
	action := actionOf(o)
	if action == "" || p.Organization == "" || p.Group != "" {
		return
	}
	r, _ := humamux.Unwrap(hc)
	// The entry is left even when the client is gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(identity.With(hc.Context(), p)), auditTimeout)
	defer cancel()
	k := h.groups[o.Group].kernel
	m, err := audit.Message(ctx, k.Emit, p.Organization, audit.Entry{
		Action: action, Resource: lastParameter(r, o.Path), Result: resultOf(status), Code: code,
	})
	if err == nil {
		err = k.DB.Outbox().Add(ctx, m)
	}
	if err != nil {
		h.log.ErrorContext(ctx, "leave an audit entry", "action", action, "error", err)
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

// actionOf names what an operation does: "<group>.<module>.<verb>", the verb being the last fixed part of
// the path, or the method's where there is none. "" for what changes nothing or needs no user.
func actionOf(o *group.Operation) string {
	verbs := map[string]string{http.MethodPost: "create", http.MethodPut: "replace", http.MethodPatch: "update", http.MethodDelete: "delete"}
	verb := verbs[o.Method]
	if verb == "" || o.Access.Public || o.Access.Internal {
		return ""
	}
	prefix := "/api/" + string(o.Group)
	if o.Module != string(o.Group) {
		prefix += "/" + o.Module
	}
	parts := strings.Split(strings.Trim(strings.TrimPrefix(o.Path, prefix), "/"), "/")
	if last := parts[len(parts)-1]; o.Method == http.MethodPost && last != "" && !strings.HasPrefix(last, "{") {
		verb = last
	} else if first := parts[0]; first != "" && !strings.HasPrefix(first, "{") {
		verb = first + "-" + verb
	}
	return string(o.Group) + "." + o.Module + "." + verb
}
