package shopify

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// responseError is one entry of a GraphQL answer's errors.
type responseError struct {
	Message    string              `json:"message"`
	Locations  []gqlerror.Location `json:"locations,omitempty"`
	Path       []string            `json:"path,omitempty"`
	Extensions map[string]any      `json:"extensions,omitempty"`
}

func (e *responseError) Error() string { return e.Message }

// codes are what Shopify's GraphQL server calls the rules of the specification.
var codes = map[string]string{
	"FieldsOnCorrectType":        "undefinedField",
	"KnownArgumentNames":         "argumentNotAccepted",
	"ProvidedRequiredArguments":  "missingRequiredArguments",
	"ScalarLeafs":                "selectionMismatch",
	"ValuesOfCorrectType":        "argumentLiteralsIncompatible",
	"NoUndefinedVariables":       "variableNotDefined",
	"NoUnusedVariables":          "variableNotUsed",
	"VariablesInAllowedPosition": "variableMismatch",
	"NoUnusedFragments":          "useAndDefineFragment",
	"KnownFragmentNames":         "useAndDefineFragment",
	"KnownTypeNames":             "undefinedType",
}

var unknownField = regexp.MustCompile(`^Cannot query field "([^"]+)" on type "([^"]+)"`)

// refusals turns what the parser or the validator found into Shopify's form.
func refusals(err error) []responseError {
	var list gqlerror.List
	var single *gqlerror.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &single):
		list = gqlerror.List{single}
	default:
		return []responseError{{Message: err.Error()}}
	}
	out := make([]responseError, 0, len(list))
	for _, e := range list {
		r := responseError{Message: e.Message, Locations: e.Locations}
		if code, known := codes[e.Rule]; known {
			r.Extensions = map[string]any{"code": code}
		}
		if m := unknownField.FindStringSubmatch(e.Message); m != nil {
			r.Message = fmt.Sprintf("Field '%s' doesn't exist on type '%s'", m[1], m[2])
			r.Extensions = map[string]any{"code": "undefinedField", "typeName": m[2], "fieldName": m[1]}
		}
		out = append(out, r)
	}
	return out
}

// invalidVariables answers a variable whose value does not fit its type.
func invalidVariables(op *ast.OperationDefinition, err error) []responseError {
	r := responseError{Message: err.Error(), Extensions: map[string]any{"code": "INVALID_VARIABLE"}}
	var e *gqlerror.Error
	if errors.As(err, &e) {
		for _, v := range op.VariableDefinitions {
			if parts := strings.Split(e.Path.String(), "."); len(parts) > 1 && parts[1] == v.Variable {
				r.Message = fmt.Sprintf("Variable $%s of type %s was provided invalid value", v.Variable, v.Type)
				r.Locations = locations(v.Position)
				r.Extensions["problems"] = []map[string]any{{"path": []string{}, "explanation": e.Message}}
			}
		}
	}
	return []responseError{r}
}

func locations(p *ast.Position) []gqlerror.Location {
	if p == nil {
		return []gqlerror.Location{{}}
	}
	return []gqlerror.Location{{Line: p.Line, Column: p.Column}}
}

// throttled is the answer to a query that the bucket cannot pay.
func throttled() responseError {
	return responseError{Message: "Throttled", Extensions: map[string]any{
		"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits",
	}}
}

func tooCostly(cost int) responseError {
	return responseError{
		Message: fmt.Sprintf("Query cost is %d, which exceeds the single query max cost limit (%d).", cost, costQueryMax),
		Extensions: map[string]any{
			"code": "MAX_COST_EXCEEDED", "cost": cost, "maxCost": costQueryMax,
			"documentation": "https://shopify.dev/api/usage/rate-limits",
		},
	}
}

func locationsOf(f *field) []gqlerror.Location { return []gqlerror.Location{f.location} }
