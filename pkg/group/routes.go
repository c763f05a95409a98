package group

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Access says who may use an operation.
type Access struct {
	// Public operations need no token.
	Public bool
	// KnowsCaller says that a public operation is told who calls, where a token says so.
	KnowsCaller bool
	// Permission is what the caller must have, "<group>.<module>:<action>"; "" with neither Public
	// nor Internal means any signed-in user.
	Permission string
	// Internal operations are for other groups only.
	Internal bool
	// AnyRate says that callers are not held to a rate.
	AnyRate bool
}

// Operation is one route as it was declared.
type Operation struct {
	Group  topology.Group
	Module string
	Method string
	Path   string
	Access Access
	// Sensitive answers are never kept: an Idempotency-Key does nothing here.
	Sensitive bool
	// StepUp asks for a session that has shown a second factor.
	StepUp bool
	// BeforeAcceptance is allowed while there are legal documents to accept.
	BeforeAcceptance bool
	// Action is what the audit log calls what the operation does, "<group>.<module>.<verb>", whether it succeeds, fails or is
	// refused; "" for what is not in the log: what changes nothing, or takes no user.
	Action string
	// Resource is the one thing that the operation acts on; zero where there is none, or only the handler knows it.
	Resource       Resource
	unfound        error // why the input does not have the resource's id
	named          []int // the field of the body that has it
	register       func(huma.API, *huma.Operation) error
	changesNothing bool
	huma           huma.Operation
	// declaredAccess counts the access options: exactly one is right.
	declaredAccess int
}

// Route is the operation's method and path template, e.g. "GET /api/auth/me".
func (o *Operation) Route() string { return o.Method + " " + o.Path }

// verb is what the operation does, as far as its route says: the last fixed part of the path, or the method's verb where there
// is none. "" for what changes nothing or takes no user.
func (o *Operation) verb() string {
	verbs := map[string]string{http.MethodPost: "create", http.MethodPut: "replace", http.MethodPatch: "update", http.MethodDelete: "delete"}
	verb := verbs[o.Method]
	if verb == "" || o.Access.Public || o.Access.Internal || o.changesNothing {
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
	return verb
}

// Register binds the operation's handler to api, with the middlewares of the host in front. An error says what is wrong with the
// type of its output; huma panics about other mistakes.
func (o *Operation) Register(api huma.API, middlewares ...func(huma.Context, func(huma.Context))) error {
	op := o.huma
	op.Middlewares = append(op.Middlewares, middlewares...)
	return o.register(api, &op)
}

// Check is an error when the operation was declared wrongly.
func (o *Operation) Check() error {
	switch {
	case o.declaredAccess != 1:
		return fmt.Errorf("%s declares %d kinds of access; declare one of Needs, SignedIn, Public, Internal", o.Route(), o.declaredAccess)
	case o.Access.KnowsCaller && !o.Access.Public:
		return fmt.Errorf("%s declares KnowsCaller and is not public; every other operation knows its caller", o.Route())
	case o.Access.Permission != "" && !strings.HasPrefix(o.Access.Permission, string(o.Group)+"."):
		return fmt.Errorf("%s needs %q, which is not a permission of %s", o.Route(), o.Access.Permission, o.Group)
	case o.unfound != nil:
		return fmt.Errorf("%s: %w", o.Route(), o.unfound)
	}
	return nil
}

// Routes collects the operations of one module.
type Routes struct {
	group      topology.Group
	module     string
	prefix     string
	operations []*Operation
}

// Bind collects the operations of all of g's modules.
func Bind(g Group) []*Operation {
	var all []*Operation
	for _, m := range g.Modules {
		r := &Routes{group: g.Name, module: m.Name(), prefix: "/api/" + string(g.Name)}
		if m.Name() != string(g.Name) { // a group's core module is the group's prefix itself
			r.prefix += "/" + m.Name()
		}
		m.Routes(r)
		all = append(all, r.operations...)
	}
	return all
}

// Option refines an operation.
type Option func(*Operation)

// Needs lets callers with permission "<group>.<module>:<action>" use the operation.
func Needs(permission string) Option {
	return func(o *Operation) { o.Access.Permission = permission; o.declaredAccess++ }
}

// SignedIn lets every user use the operation, on what is their own.
func SignedIn() Option { return func(o *Operation) { o.declaredAccess++ } }

// Public lets everybody use the operation.
func Public() Option { return func(o *Operation) { o.Access.Public = true; o.declaredAccess++ } }

// KnowsCaller has a public operation told who calls, where the caller brings a token. One that is not good is refused as
// it is everywhere.
func KnowsCaller() Option { return func(o *Operation) { o.Access.KnowsCaller = true } }

// AnyRate holds no caller to a rate: for what a few addresses send in bulk, and prove by a signature.
func AnyRate() Option { return func(o *Operation) { o.Access.AnyRate = true } }

// Internal keeps the operation for other groups, and out of the API document.
func Internal() Option {
	return func(o *Operation) { o.Access.Internal = true; o.huma.Hidden = true; o.declaredAccess++ }
}

// Status is the status of a success; 200 without it, or 204 where there is no body.
func Status(status int) Option { return func(o *Operation) { o.huma.DefaultStatus = status } }

// Doc gives the operation its summary and, from the second on, paragraphs of description.
func Doc(summary string, description ...string) Option {
	return func(o *Operation) {
		o.huma.Summary = summary
		o.huma.Description = strings.Join(description, "\n\n")
	}
}

// Problems names the statuses beside the usual ones that the operation answers.
func Problems(statuses ...int) Option {
	return func(o *Operation) { o.huma.Errors = append(o.huma.Errors, statuses...) }
}

// Sensitive says that the answer holds secrets, such as tokens: it is never kept for an Idempotency-Key.
func Sensitive() Option { return func(o *Operation) { o.Sensitive = true } }

// StepUp asks for a session that has shown a second factor: 401 step_up_required until it has (RFC 9470).
func StepUp() Option {
	return func(o *Operation) {
		o.StepUp = true
		o.huma.Extensions["x-acr"] = "mfa"
	}
}

// BeforeAcceptance lets users in who have new legal documents to accept still.
func BeforeAcceptance() Option { return func(o *Operation) { o.BeforeAcceptance = true } }

// Action names what the operation does in the audit log, where the verb that its path and method suggest (see Operation.verb) is
// not what its module calls it in entries of its own. The entry of a request that makes none of that name is the host's.
func Action(verb string) Option {
	return func(o *Operation) { o.Action = string(o.Group) + "." + o.Module + "." + verb }
}

// ChangesNothing keeps an operation that only asks, whatever its method, out of the audit log.
func ChangesNothing() Option { return func(o *Operation) { o.changesNothing = true } }

// AnyQuery ignores query parameters that the operation does not know, where a standard says so (RFC 6749, section 4.1.2); every
// other operation refuses them.
func AnyQuery() Option {
	return func(o *Operation) { o.huma.RejectUnknownQueryParameters = false }
}

// MaxBody bounds the request body in bytes; 1 MiB without it.
func MaxBody(bytes int64) Option { return func(o *Operation) { o.huma.MaxBodyBytes = bytes } }

// Handler is the form of every operation: a request in, a view or an error out. In has huma's tags
// for path, query and header parameters and a Body field. Out is the body itself, or a struct with a
// Body field where headers go with it.
type Handler[In, Out any] func(context.Context, *In) (*Out, error)

// Get binds a read.
func Get[In, Out any](r *Routes, path string, h Handler[In, Out], options ...Option) {
	bind(r, http.MethodGet, path, h, options)
}

// Post binds a creation or an action.
func Post[In, Out any](r *Routes, path string, h Handler[In, Out], options ...Option) {
	bind(r, http.MethodPost, path, h, options)
}

// Put binds a replacement.
func Put[In, Out any](r *Routes, path string, h Handler[In, Out], options ...Option) {
	bind(r, http.MethodPut, path, h, options)
}

// Patch binds a partial update.
func Patch[In, Out any](r *Routes, path string, h Handler[In, Out], options ...Option) {
	bind(r, http.MethodPatch, path, h, options)
}

// Delete binds a removal.
func Delete[In, Out any](r *Routes, path string, h Handler[In, Out], options ...Option) {
	bind(r, http.MethodDelete, path, h, options)
}

// None is the view of an operation that answers nothing (204).
type None struct{}

const defaultMaxBody = 1 << 20

func bind[In, Out any](r *Routes, method, path string, h Handler[In, Out], options []Option) {
	o := r.declare(method, path, reflect.TypeFor[In](), options)
	o.register = func(api huma.API, op *huma.Operation) error {
		answered, err := respond(api, op, reflect.TypeFor[Out]())
		if err != nil {
			return err
		}
		huma.Register(api, *op, func(ctx context.Context, in *In) (*answer, error) {
			o.name(ctx, in)
			out, err := h(ctx, in)
			if err != nil || out == nil {
				return nil, err
			}
			return answered(out), nil
		})
		if reflect.TypeFor[Out]() == noneType {
			op.Responses[strconv.Itoa(op.DefaultStatus)].Content = nil // huma has declared the body that answers have
		}
		return nil
	}
}

// declare adds an operation with inputs of type in, refined by options, that is not bound to a handler yet.
func (r *Routes) declare(method, path string, in reflect.Type, options []Option) *Operation {
	o := &Operation{Group: r.group, Module: r.module, Method: method, Path: r.prefix + path}
	o.huma = huma.Operation{
		Method: method, Path: o.Path, OperationID: operationID(method, o.Path),
		Tags: []string{string(r.group) + "/" + r.module}, MaxBodyBytes: defaultMaxBody,
		Metadata:                     map[string]any{},
		Extensions:                   map[string]any{},
		RejectUnknownQueryParameters: true,
	}
	for _, option := range options {
		option(o)
	}
	if o.Resource == (Resource{}) {
		o.Resource = inPath(o.Path)
	} else if of, err := o.Resource.field(in); err != nil {
		o.unfound = err
	} else if o.Resource.In == InBody {
		o.named = of
	}
	if verb := o.verb(); o.Action == "" && verb != "" {
		Action(verb)(o)
	}
	if o.Action != "" {
		o.huma.Extensions["x-action"] = o.Action
	}
	if !o.Access.Public || o.Access.KnowsCaller {
		o.huma.Security = []map[string][]string{{"bearer": {}}}
		o.huma.Errors = append(o.huma.Errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	if o.Access.KnowsCaller {
		o.huma.Security = append(o.huma.Security, map[string][]string{}) // or none
	}
	if method == http.MethodPost && !o.Sensitive {
		o.huma.Parameters = append(o.huma.Parameters, &huma.Param{
			Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "Lets the request be repeated for 24 hours: the same key and request get the first answer, and its effects happen once",
		})
		o.huma.Errors = append(o.huma.Errors, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if !o.Access.AnyRate {
		o.huma.Errors = append(o.huma.Errors, http.StatusTooManyRequests)
	}
	slices.Sort(o.huma.Errors)
	o.huma.Errors = slices.Compact(o.huma.Errors)
	if o.Access.Permission != "" {
		o.huma.Extensions["x-permission"] = o.Access.Permission
	}
	if at := o.Resource.At(); at != "" {
		o.huma.Extensions["x-resource"] = at
	}
	r.operations = append(r.operations, o)
	return o
}

// name tells the audit log what the body of input in, a pointer, is about; the host names what is in the path or the query by itself.
func (o *Operation) name(ctx context.Context, in any) {
	if o.named != nil {
		audit.On(ctx, o.Resource.Entry(reflect.ValueOf(in).Elem().FieldByIndex(o.named).String()))
	}
}

// operationID is e.g. "get-integrations-sync-runs-id".
func operationID(method, path string) string {
	path = strings.NewReplacer("/api/", "", "{", "", "}", "", "/", "-").Replace(path)
	return strings.ToLower(method) + "-" + strings.Trim(path, "-")
}
