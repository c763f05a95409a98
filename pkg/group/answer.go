package group

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// answer is what every handler's output becomes before huma sees it. huma.Register is compiled for each pair of an input and an
// output, 17 KB a pair: with one output for all it is there once an input, and the program is 10 MB smaller.
type answer struct {
	Status       int
	Location     string `header:"Location" hidden:"true"`
	ETag         string `header:"ETag" hidden:"true"`
	SetCookie    string `header:"Set-Cookie" hidden:"true"`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         any
}

var answerType, noneType = reflect.TypeFor[answer](), reflect.TypeFor[None]()

// respond declares in op what an operation with outputs of type out answers, and gives what turns an output, a pointer, into the
// answer: nil where there is nothing but a status. An error names a header that answers do not have.
func respond(api huma.API, op *huma.Operation, out reflect.Type) (func(any) *answer, error) {
	if op.DefaultStatus == 0 && out == noneType {
		op.DefaultStatus = http.StatusNoContent
	} else if op.DefaultStatus == 0 {
		op.DefaultStatus = http.StatusOK
	}
	response := &huma.Response{Description: http.StatusText(op.DefaultStatus), Headers: map[string]*huma.Param{}}
	op.Responses = map[string]*huma.Response{strconv.Itoa(op.DefaultStatus): response}
	if out == noneType {
		return func(any) *answer { return nil }, nil
	}
	body := reflect.StructField{Name: "Body", Type: reflect.PointerTo(out)}
	schemas, hint := api.OpenAPI().Components.Schemas, op.OperationID+"Response"
	var fields [][2]int // of an output that is a full answer, and of the answer
	if isWhole(out) {
		for i := range out.NumField() {
			from := out.Field(i)
			if from.Name == "Body" {
				body = from
			}
			to, ok := answerType.FieldByName(from.Name)
			if name := from.Tag.Get("header"); !ok || name != to.Tag.Get("header") {
				return nil, fmt.Errorf("%s has a field %s, which answers do not have", out, from.Name)
			} else if name != "" {
				response.Headers[name] = &huma.Param{Schema: huma.SchemaFromField(schemas, from, hint)}
			}
			fields = append(fields, [2]int{i, to.Index[0]})
		}
	}
	response.Content = map[string]*huma.MediaType{"application/json": {Schema: huma.SchemaFromField(schemas, body, hint)}}
	status := op.DefaultStatus
	if fields == nil {
		return func(body any) *answer { return &answer{Status: status, Body: body} }, nil
	}
	return func(whole any) *answer {
		a := &answer{Status: status}
		from, to := reflect.ValueOf(whole).Elem(), reflect.ValueOf(a).Elem()
		for _, f := range fields {
			to.Field(f[1]).Set(from.Field(f[0]))
		}
		return a
	}, nil
}

// isWhole tells a full answer (headers, status) from a bare body.
func isWhole(t reflect.Type) bool {
	_, has := t.FieldByName("Body")
	return has
}

// Stream binds a read whose handler writes its answer itself, once it has no error to tell.
func Stream[In any](r *Routes, path string, h Handler[In, huma.StreamResponse], options ...Option) {
	o := r.declare(http.MethodGet, path, reflect.TypeFor[In](), options)
	o.register = func(api huma.API, op *huma.Operation) error {
		huma.Register(api, *op, func(ctx context.Context, in *In) (*huma.StreamResponse, error) {
			return h(ctx, in)
		})
		return nil
	}
}
