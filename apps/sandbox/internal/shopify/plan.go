package shopify

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/vektah/gqlparser/v2"
)

//go:embed schema.graphql
var schemaSource string

func loadSchema() (*ast.Schema, error) {
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: schemaSource})
	if err != nil {
		return nil, fmt.Errorf("load the Admin API schema: %w", err)
	}
	return schema, nil
}

// field is one selected field with its arguments resolved: fragments are spread,
// directives decided and equal response keys merged, so that a page of orders
// walks this tree and never the syntax tree.
type field struct {
	key        string // response key
	prefix     string // the key as JSON with its colon
	name       string
	parentType string
	kind       ast.DefinitionKind
	typeName   string
	list       bool
	args       map[string]any
	location   gqlerror.Location
	selected   []*field
}

// plan is a query ready to be priced and run.
type plan struct {
	operation string // the operation's name, or its first root field's
	root      []*field
}

// maxTokens bounds what a parse may cost; a sync's query has a few hundred tokens.
const maxTokens = 10_000

// planOf parses and validates a query against the schema. What it refuses has the
// form of the vendor's own answer.
func planOf(schema *ast.Schema, query, operation string, variables map[string]any) (*plan, []responseError) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: query}, maxTokens)
	if err != nil {
		return nil, refusals(err)
	}
	if errs := validator.ValidateWithRules(schema, doc, rules.NewDefaultRules()); len(errs) > 0 {
		return nil, refusals(errs)
	}
	op := doc.Operations.ForName(operation)
	if op == nil {
		message := "An operation name is required"
		if operation != "" {
			message = fmt.Sprintf("No operation named %q", operation)
		}
		return nil, []responseError{{Message: message}}
	}
	values, err := validator.VariableValues(schema, op, variables)
	if err != nil {
		return nil, invalidVariables(op, err)
	}
	c := compiler{schema: schema, variables: values}
	root, failed := c.fields(op.SelectionSet, schema.Query)
	if failed != nil {
		return nil, []responseError{*failed}
	}
	p := &plan{operation: op.Name, root: root}
	if p.operation == "" && len(root) > 0 {
		p.operation = root[0].name
	}
	return p, nil
}

type compiler struct {
	schema    *ast.Schema
	variables map[string]any
}

// fields compiles a selection on a type. Every type of the schema is an object,
// so which fragments apply is known here.
func (c *compiler) fields(set ast.SelectionSet, on *ast.Definition) ([]*field, *responseError) {
	var order []string
	groups := map[string][]*ast.Field{}
	if err := c.collect(set, on, func(f *ast.Field) {
		if _, seen := groups[f.Alias]; !seen {
			order = append(order, f.Alias)
		}
		groups[f.Alias] = append(groups[f.Alias], f)
	}); err != nil {
		return nil, err
	}
	fields := make([]*field, 0, len(order))
	for _, key := range order {
		first := groups[key][0]
		if strings.HasPrefix(first.Name, "__") && first.Name != "__typename" {
			return nil, &responseError{Message: "The sandbox does not answer introspection", Locations: locations(first.Position)}
		}
		var merged ast.SelectionSet
		for _, f := range groups[key] {
			merged = append(merged, f.SelectionSet...)
		}
		name, _ := json.Marshal(key)
		f := &field{key: key, prefix: string(name) + ":", name: first.Name, parentType: on.Name, location: locations(first.Position)[0]}
		of := c.schema.Types[first.Definition.Type.Name()]
		f.kind, f.typeName, f.list = of.Kind, of.Name, first.Definition.Type.Elem != nil
		var err *responseError
		if f.args, err = c.arguments(first); err != nil {
			return nil, err
		}
		if len(merged) > 0 {
			if f.selected, err = c.fields(merged, of); err != nil {
				return nil, err
			}
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func (c *compiler) collect(set ast.SelectionSet, on *ast.Definition, add func(*ast.Field)) *responseError {
	for _, selection := range set {
		var err *responseError
		switch s := selection.(type) {
		case *ast.Field:
			if c.included(s.Directives) {
				add(s)
			}
		case *ast.InlineFragment:
			if c.included(s.Directives) && (s.TypeCondition == "" || s.TypeCondition == on.Name) {
				err = c.collect(s.SelectionSet, on, add)
			}
		case *ast.FragmentSpread:
			if c.included(s.Directives) && s.Definition.TypeCondition == on.Name {
				err = c.collect(s.Definition.SelectionSet, on, add)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) included(directives ast.DirectiveList) bool {
	for _, d := range directives {
		condition := d.Arguments.ForName("if")
		if condition == nil {
			continue
		}
		value, err := condition.Value.Value(c.variables)
		if on, ok := value.(bool); err == nil && ok && ((d.Name == "skip" && on) || (d.Name == "include" && !on)) {
			return false
		}
	}
	return true
}

func (c *compiler) arguments(f *ast.Field) (map[string]any, *responseError) {
	values := map[string]any{}
	for _, def := range f.Definition.Arguments {
		given := f.Arguments.ForName(def.Name)
		from := def.DefaultValue
		if given != nil {
			from = given.Value
			if from.Kind == ast.Variable {
				if _, set := c.variables[from.Raw]; !set {
					from = def.DefaultValue
				}
			}
		}
		if from == nil {
			continue
		}
		value, err := from.Value(c.variables)
		if err != nil {
			return nil, &responseError{
				Message:    fmt.Sprintf("Argument '%s' on Field '%s' has an invalid value (%s). Expected type '%s'.", def.Name, f.Name, from.Raw, def.Type),
				Locations:  locations(f.Position),
				Extensions: map[string]any{"code": "argumentLiteralsIncompatible", "typeName": "Field", "argumentName": def.Name},
			}
		}
		if number, ok := value.(json.Number); ok {
			if value, err = number.Int64(); err != nil {
				value = number.String()
			}
		}
		values[def.Name] = value
	}
	return values, nil
}

// Costs in points as Shopify describes them: an object costs 1, a connection 2
// plus its nodes, a scalar or enum nothing. That money, edges and page
// information cost nothing is an assumption: Shopify publishes no price of single
// fields. The most that one query may cost is 1,000.
const (
	costObject     = 1
	costConnection = 2
	costQueryMax   = 1000
)

var freeTypes = map[string]bool{"MoneyBag": true, "MoneyV2": true, "PageInfo": true}

// cost prices a selection; count says how many nodes a connection has to pay for.
func cost(fields []*field, count func(*field) int) int {
	sum := 0
	for _, f := range fields {
		switch {
		case f.kind != ast.Object || freeTypes[f.typeName]:
		case strings.HasSuffix(f.typeName, "Connection"):
			sum += costConnection + count(f)*nodeCost(f.selected, count)
		default:
			sum += costObject + cost(f.selected, count)
		}
	}
	return sum
}

func nodeCost(selected []*field, count func(*field) int) int {
	sum := 0
	for _, f := range selected {
		switch f.name {
		case "nodes":
			sum += costObject + cost(f.selected, count)
		case "edges":
			sum += nodeCost(f.selected, count)
		case "node":
			sum += costObject + cost(f.selected, count)
		}
	}
	return sum
}

// requested is how many nodes a connection asks for.
func requested(f *field) int {
	for _, name := range []string{"first", "last"} {
		if n, ok := f.args[name].(int64); ok && n > 0 {
			return int(min(n, maxPage))
		}
	}
	return 0
}
