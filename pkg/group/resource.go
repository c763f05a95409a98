package group

import (
	"fmt"
	"reflect"
	"strings"
)

// Resource is the one thing that an operation acts on: grants on it count, and the audit log names it.
type Resource struct {
	// Kind is what it is called in the audit log, "<kind>:<id>", e.g. "connection"; "" where the log has the id alone.
	Kind string
	// In is where a request has its id: InPath, InQuery or InBody; "" where it has none.
	In string
	// Name is that of the parameter, or of the field of the body.
	Name string
}

// Where a request has the id of what it is about.
const (
	InPath  = "path"
	InQuery = "query"
	InBody  = "body"
)

// About says of which kind the resource of an operation is, and where a request has its id: "path.<name>", "query.<name>" or
// "body.<field>". Without it that is the last parameter of the path, where there is one. What a request leaves open, since it
// creates the resource or there is only one, audit.On says.
func About(kind, at string) Option {
	return func(o *Operation) {
		in, name, _ := strings.Cut(at, ".")
		o.Resource = Resource{kind, in, name}
	}
}

// Entry is what the audit log calls the resource with an id; "" without one.
func (r Resource) Entry(id string) string {
	if r.Kind == "" || id == "" {
		return id
	}
	return r.Kind + ":" + id
}

// At is where requests have the resource's id, e.g. "query.connection_id"; "" where they have none.
func (r Resource) At() string {
	if r.In == "" {
		return ""
	}
	return r.In + "." + r.Name
}

// inPath is the resource that a path names: its last parameter.
func inPath(path string) Resource {
	at := strings.LastIndexByte(path, '{')
	if at < 0 {
		return Resource{}
	}
	name, _, _ := strings.Cut(path[at+1:], "}")
	return Resource{In: InPath, Name: name}
}

// field finds the resource's id in the input of an operation, of type in: an error for an input that has no such text.
func (r Resource) field(in reflect.Type) ([]int, error) {
	tag, within := r.In, []int(nil)
	switch r.In {
	case InPath, InQuery:
	case InBody:
		tag = "json"
		body, ok := in.FieldByName("Body")
		if !ok || body.Type.Kind() != reflect.Struct {
			return nil, fmt.Errorf("it is about %s, and its body has no fields", r.At())
		}
		in, within = body.Type, body.Index
	default:
		return nil, fmt.Errorf("it is about %q; want path.<name>, query.<name> or body.<field>", r.At())
	}
	for _, f := range reflect.VisibleFields(in) {
		name, _, _ := strings.Cut(f.Tag.Get(tag), ",")
		if name == r.Name && f.Type.Kind() == reflect.String {
			return append(append([]int(nil), within...), f.Index...), nil
		}
	}
	return nil, fmt.Errorf("it is about %s, which its input has not", r.At())
}
