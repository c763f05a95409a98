package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// readMethods are those of pages and files: HEAD is GET without the body (RFC 9110, section 9.3.2), which net/http leaves out.
var readMethods = []string{http.MethodGet, http.MethodHead}

// adapter binds huma's operations to a sub-router per module, because gorilla/mux tries routes one
// after the other and a monolith has hundreds of them.
type adapter struct {
	root    *mux.Router
	modules map[string]*mux.Router
}

var moduleOf = regexp.MustCompile(`^/api/[^/{]+(/[^/{]+)?`)

func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	prefix := moduleOf.FindString(op.Path)
	router, ok := a.modules[prefix]
	if !ok {
		router = a.root.PathPrefix(prefix).Subrouter()
		a.modules[prefix] = router
	}
	router.Path(strings.TrimPrefix(op.Path, prefix)).Methods(op.Method).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(humamux.NewContext(op, r, w))
	})
}

func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.root.ServeHTTP(w, r) }

// schemaNames names the types of a group's document.
type schemaNames struct {
	group topology.Group
	// module is the one whose operations are being bound.
	module string
}

// newAPI is one group's part of the API, with a document of its own whose types names names.
func newAPI(spec group.Spec, version string, a huma.Adapter, names *schemaNames) huma.API {
	errorsOfHuma.Do(setErrors)
	return huma.NewAPI(huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Tandem: " + string(spec.Name), Description: spec.Summary, Version: version},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", names.name),
				SecuritySchemes: map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"}},
			},
			OnAddOperation: []huma.AddOpFunc{showProblems()},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers: []huma.Transformer{func(ctx huma.Context, _ string, v any) (any, error) {
			if p, ok := v.(*problem.Problem); ok {
				return finish(ctx, p), nil
			}
			return v, nil
		}},
	}, a)
}

// usual are the problems that the document shows, one of each status.
var usual = map[int]struct{ code, detail string }{
	http.StatusBadRequest:            {problem.CodeBadRequest, "the body ended early"},
	http.StatusUnauthorized:          {problem.CodeTokenExpired, "the access token has expired; refresh it"},
	http.StatusPaymentRequired:       {problem.CodeQuota, "the plan allows 5 members, and 5 are used"},
	http.StatusForbidden:             {problem.CodeForbidden, "this needs the permission auth.organizations:write"},
	http.StatusNotFound:              {problem.CodeNotFound, "no such member"},
	http.StatusConflict:              {problem.CodeConflict, "somebody else changed this at the same time; read it again"},
	http.StatusGone:                  {"email_link_invalid", "this link was used or has expired; have another one mailed"},
	http.StatusPreconditionFailed:    {problem.CodePrecondition, "it was changed since it was read; read it again"},
	http.StatusRequestEntityTooLarge: {problem.CodeTooLarge, "the body is larger than 1048576 bytes"},
	http.StatusUnsupportedMediaType:  {problem.CodeMediaType, "want application/json"},
	http.StatusUnprocessableEntity:   {problem.CodeValidation, "the request is not valid"},
	http.StatusTooManyRequests:       {problem.CodeRateLimited, "too many requests; try again in a second"},
	http.StatusInternalServerError:   {problem.CodeInternal, "something went wrong here; the trace id finds it in the logs"},
	http.StatusBadGateway:            {problem.CodeBadAnswer, "the answer was not in the expected form"},
	http.StatusServiceUnavailable:    {problem.CodeUnavailable, "the process is starting"},
}

// showProblems puts them into the document of each operation. A schema has one example, which would be shown for all statuses,
// so that it is the response of a status that has it; all operations share that one response.
func showProblems() huma.AddOpFunc {
	shown := map[string]*huma.Response{}
	return func(_ *huma.OpenAPI, op *huma.Operation) {
		for text, response := range op.Responses {
			status, err := strconv.Atoi(text)
			media := response.Content[problem.ContentType]
			if err != nil || media == nil {
				continue
			}
			if shown[text] == nil {
				media.Example = problem.New(status, usual[status].code, usual[status].detail)
				shown[text] = response
			}
			op.Responses[text] = shown[text]
		}
	}
}

var notWord = regexp.MustCompile(`\W+`)

// name keeps types of the same name in a group's packages apart, and those without a name in its modules; huma
// refuses what is the same still.
func (n *schemaNames) name(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name, in := t.Name(), path.Base(t.PkgPath())
	if name == "" {
		name, in = hint, n.module
	}
	if of, with, generic := strings.Cut(name, "["); generic { // with what, without where that is from
		name = of + "_" + path.Base(with)
	}
	name = strings.Trim(notWord.ReplaceAllString(strings.ReplaceAll(name, "·", ""), "_"), "_")
	if in == "." || in == "" {
		return string(n.group) + "." + name
	}
	return string(n.group) + "." + notWord.ReplaceAllString(in, "_") + "." + name
}

var errorsOfHuma sync.Once

// setErrors gives huma, which keeps this in package variables, the one form of our errors.
func setErrors() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return humaProblem(status, message, errs)
	}
	huma.NewErrorWithContext = func(hc huma.Context, status int, message string, errs ...error) huma.StatusError {
		p := humaProblem(status, message, errs)
		for name, values := range p.GetHeaders() { // huma looks for them in the handler's own error only
			hc.SetHeader(name, values[0])
		}
		return p
	}
}

var codeOf = map[int]string{
	http.StatusBadRequest:            problem.CodeBadRequest,
	http.StatusUnauthorized:          problem.CodeUnauthenticated,
	http.StatusForbidden:             problem.CodeForbidden,
	http.StatusNotFound:              problem.CodeNotFound,
	http.StatusConflict:              problem.CodeConflict,
	http.StatusNotAcceptable:         problem.CodeNotAcceptable,
	http.StatusRequestTimeout:        problem.CodeTimeout,
	http.StatusRequestEntityTooLarge: problem.CodeTooLarge,
	http.StatusUnsupportedMediaType:  problem.CodeMediaType,
	http.StatusUnprocessableEntity:   problem.CodeValidation,
}

func humaProblem(status int, message string, errs []error) *problem.Problem {
	code, ok := codeOf[status]
	if !ok {
		return unexpected(errors.Join(errs...))
	}
	p := problem.New(status, code, message)
	for _, err := range errs {
		var detailed huma.ErrorDetailer
		if errors.As(err, &detailed) {
			// Only where and what: the value itself may be a password.
			d := detailed.ErrorDetail()
			p = p.With(problem.Field{Location: d.Location, Message: d.Message})
		} else if err != nil {
			p = p.With(problem.Field{Message: err.Error()})
		}
	}
	return p
}

// statusClientGone is what the log says of a request whose client left (as nginx does).
const statusClientGone = 499

// unexpected is the answer to an error that no handler turned into a problem.
func unexpected(err error) *problem.Problem {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(http.StatusGatewayTimeout, problem.CodeTimeout, "this took longer than the caller wanted to wait").Wrap(err)
	case errors.Is(err, context.Canceled):
		return problem.New(statusClientGone, "client_gone", "the client left").Wrap(err)
	case errors.Is(err, store.ErrNotFound):
		return problem.NotFound("thing").Wrap(err)
	case errors.Is(err, store.ErrConflict):
		return problem.New(http.StatusConflict, problem.CodeConflict, "somebody else changed this at the same time; read it again").Wrap(err)
	case errors.Is(err, store.ErrBadCursor):
		return problem.Invalid("query.cursor", "not a cursor of this list").Wrap(err)
	case errors.Is(err, store.ErrNewer):
		return problem.New(http.StatusServiceUnavailable, problem.CodeUnavailable, "a newer version of the service is taking over").After(5 * time.Second).Wrap(err)
	case errors.Is(err, store.ErrFull):
		return problem.New(http.StatusInsufficientStorage, problem.CodeStorageFull, "the store is full; nothing was written").Wrap(err)
	default:
		return problem.Internal(err)
	}
}

// bind registers the operations of a group on the router.
func (h *Host) bind(api huma.API, names *schemaNames, operations []*group.Operation) error {
	for _, o := range operations {
		names.module = o.Module
		if err := register(api, o, h.observe(o), h.authorize(o), h.idempotent(o), h.record(o)); err != nil {
			return err
		}
	}
	return nil
}

// register turns huma's panics about a wrong declaration into an error that names the route.
func register(api huma.API, o *group.Operation, middlewares ...func(huma.Context, func(huma.Context))) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("bind %s: %v", o.Route(), v)
		}
	}()
	return o.Register(api, middlewares...)
}

// isHome tells whether this process hosts the group and the topology in force says so.
func (h *Host) isHome(g topology.Group) bool {
	home, err := h.c.Topology.Home(g)
	return err == nil && home == h.c.Config.AppID && slices.Contains(h.hosted, g)
}

// forwardMoved sends the requests of a group that has moved away to its new home, although this process
// could still answer them: at the edge a move takes effect with the topology.
func (h *Host) forwardMoved(next http.Handler) http.Handler {
	if h.gateway == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/"), "/")
		if g, err := topology.ParseGroup(name); err == nil && strings.HasPrefix(r.URL.Path, "/api/") && !h.isHome(g) {
			h.gateway.Forward(w, r, g)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// unmatched answers what no route matches with the reason.
func (h *Host) unmatched(router *mux.Router) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/"), "/")
		g, err := topology.ParseGroup(name)
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/") && err == nil && h.groups[g] == nil:
			problem.Write(w, problem.Newf(http.StatusNotFound, problem.CodeNoRoute,
				"group %s is not hosted by %s, which is no gateway either; ask the gateway", g, h.c.Config.AppID))
		default:
			problem.Write(w, noRoute(router, r))
		}
	}
}

// noRoute tells a path that does not exist from one that takes other methods. gorilla/mux forgets the
// difference between routes of a sub-router, so the methods are tried here.
func noRoute(router *mux.Router, r *http.Request) *problem.Problem {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other, match := r.Clone(r.Context()), mux.RouteMatch{}
		other.Method = method
		if method != r.Method && router.Match(other, &match) && match.MatchErr == nil {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return problem.Newf(http.StatusNotFound, problem.CodeNoRoute, "there is no %s %s", r.Method, r.URL.Path)
	}
	list := strings.Join(allowed, ", ")
	return problem.Newf(http.StatusMethodNotAllowed, problem.CodeMethod, "%s takes %s, not %s", r.URL.Path, list, r.Method).Header("Allow", list)
}

// stamp marks every answer with the app-id that gave it, so that it can be told from a sidecar's.
func stamp(appID string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(call.HeaderServedBy, appID)
		next.ServeHTTP(w, r)
	})
}
