package triplewhale

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// query is a query in SQL, as far as it is simulated: one table, conditions that are joined by AND, groups, an order and a part of the rows.
type query struct {
	items  []item
	table  string
	where  []condition
	groups []string
	order  []key
	limit  int // 0 for all
	offset int
}

// item is something that is selected, under a name.
type item struct {
	value expression
	name  string
}

// expression is a column, or a function of columns or of another expression.
type expression struct {
	function string // in lower case; empty for a column
	columns  []string
	of       *expression // of round
}

// condition is one of those that rows have to meet. Operator is one of =, !=, in and between; values begin with @ where they are given apart.
type condition struct {
	column, operator string
	values           []string
}

type key struct {
	name       string
	descending bool
}

var token = regexp.MustCompile(`^\s*(@?[A-Za-z_][A-Za-z0-9_]*|[0-9]+|'[^'\\]*'|!=|[=(),*])`)

// parser reads the tokens of a query. What comes after a mistake is not looked at.
type parser struct {
	rest string
	err  error
}

// peek is the next token, empty at the end.
func (p *parser) peek() string {
	m := token.FindStringSubmatch(p.rest)
	if m == nil {
		if strings.TrimSpace(p.rest) != "" {
			p.fail("Syntax error at %.40q", p.rest)
		}
		return ""
	}
	return m[1]
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *parser) next() string {
	t := p.peek()
	if p.err != nil {
		return ""
	}
	p.rest = p.rest[len(token.FindString(p.rest)):]
	return t
}

// word takes a token when it is the one wanted, in whatever case.
func (p *parser) word(want string) bool {
	if p.err == nil && strings.EqualFold(p.peek(), want) {
		p.next()
		return true
	}
	return false
}

func (p *parser) must(words ...string) {
	for _, w := range words {
		if !p.word(w) {
			p.fail("Syntax error: expected %s before %.40q", w, p.rest)
		}
	}
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	keywords   = []string{"select", "from", "where", "and", "group", "by", "order", "limit", "offset", "as", "in", "between", "distinct", "desc"}
)

func (p *parser) name() string {
	n := p.next()
	if !identifier.MatchString(n) || slices.Contains(keywords, strings.ToLower(n)) {
		p.fail("Syntax error: expected a name instead of %.40q", n)
	}
	return n
}

func (p *parser) number() int {
	text := p.next()
	n, err := strconv.Atoi(text)
	if err != nil {
		p.fail("Syntax error: expected a number instead of %.40q", text)
	}
	return n
}

// list is what commas separate.
func list[T any](p *parser, one func() T) (all []T) {
	for {
		all = append(all, one())
		if p.err != nil || !p.word(",") {
			return all
		}
	}
}

func (p *parser) expression() expression {
	if p.peek() == "*" {
		p.fail("Avoid using SELECT * in your queries")
		return expression{}
	}
	n := p.name()
	if !p.word("(") {
		return expression{columns: []string{n}}
	}
	e := expression{function: strings.ToLower(n)}
	switch e.function {
	case "sum", "min", "max":
		e.columns = []string{p.name()}
	case "argmax":
		e.columns = []string{p.name()}
		p.must(",")
		e.columns = append(e.columns, p.name())
	case "count":
		p.must("distinct")
		e.columns = []string{p.name()}
	case "round":
		of := p.expression()
		e.of = &of
		p.must(",")
		if places := p.number(); places < 4 {
			p.fail("Only round to 4 places or more is simulated")
		}
	default:
		p.fail("Function %s is not simulated", n)
	}
	p.must(")")
	return e
}

func (p *parser) value() string {
	t := p.next()
	if text, quoted := strings.CutPrefix(t, "'"); quoted {
		return strings.TrimSuffix(text, "'")
	}
	if !strings.HasPrefix(t, "@") {
		p.fail("Syntax error: expected a value instead of %.40q", t)
	}
	return t
}

func (p *parser) condition() condition {
	c := condition{column: p.name(), operator: strings.ToLower(p.next())}
	switch c.operator {
	case "=", "!=":
		c.values = []string{p.value()}
	case "between":
		c.values = []string{p.value()}
		p.must("and")
		c.values = append(c.values, p.value())
	case "in":
		p.must("(")
		c.values = list(p, p.value)
		p.must(")")
	default:
		p.fail("Operator %q is not simulated", c.operator)
	}
	return c
}

// parse reads a query. Columns are those of its table, and what is not summed up is grouped by.
func parse(text string) (query, error) {
	p := &parser{rest: text}
	var q query
	p.must("select")
	q.items = list(p, func() item {
		it := item{value: p.expression()}
		switch {
		case p.word("as"):
			it.name = p.name()
		case it.value.function == "":
			it.name = strings.Join(it.value.columns, "")
		default:
			p.fail("Only functions with an alias are simulated")
		}
		return it
	})
	p.must("from")
	q.table = p.name()
	if p.word("(") {
		p.must(")")
	}
	p.must("where")
	for more := true; more && p.err == nil; more = p.word("and") {
		q.where = append(q.where, p.condition())
	}
	p.must("group", "by")
	q.groups = list(p, p.name)
	p.must("order", "by")
	q.order = list(p, func() key { return key{p.name(), p.word("desc")} })
	if p.word("limit") {
		if q.limit = p.number(); q.limit < 1 {
			p.fail("LIMIT must be positive")
		}
		if p.word("offset") {
			q.offset = p.number()
		}
	}
	if p.err == nil && p.peek() != "" {
		p.fail("Syntax error at %.40q", p.rest)
	}
	if p.err != nil {
		return query{}, p.err
	}
	return q, q.check()
}

// check tells whether a query makes sense for its table.
func (q query) check() error {
	known, there := columns[q.table]
	if !there {
		return fmt.Errorf("Unknown table %q", q.table) //nolint:staticcheck // the vendor's words
	}
	unknown := func(names ...string) error {
		for _, n := range names {
			if !slices.Contains(known, n) {
				return fmt.Errorf("Unknown identifier %q of table %s", n, q.table) //nolint:staticcheck // the vendor's words
			}
		}
		return nil
	}
	errs := []error{unknown(q.groups...)}
	var names []string
	for _, it := range q.items {
		of := it.value
		for of.of != nil {
			of = *of.of
		}
		errs = append(errs, unknown(of.columns...))
		if of.function == "" && !slices.Contains(q.groups, of.columns[0]) {
			errs = append(errs, fmt.Errorf("Column %q is not under an aggregate function and not in GROUP BY", of.columns[0])) //nolint:staticcheck // the vendor's words
		}
		names = append(names, it.name)
	}
	for _, k := range q.order {
		if !slices.Contains(names, k.name) {
			errs = append(errs, fmt.Errorf("Only what is selected can be an order here, not %q", k.name)) //nolint:staticcheck // the vendor's words
		}
	}
	days := false
	for _, c := range q.where {
		errs = append(errs, unknown(c.column))
		days = days || c.column == "event_date" && c.operator == "between" && slices.Equal(c.values, []string{"@startDate", "@endDate"})
	}
	if !days {
		errs = append(errs, errors.New("event_date is a required field"))
	}
	return errors.Join(errs...)
}

// equals is what a column has to be, or another value where no condition says so.
func (q query) equals(column, otherwise string) string {
	for _, c := range q.where {
		if c.column == column && c.operator == "=" {
			return c.values[0]
		}
	}
	return otherwise
}

// holds tells whether a row meets the condition.
func (c condition) holds(r record, parameters map[string]string) (bool, error) {
	has, text := r[c.column].(string)
	if !text {
		return false, fmt.Errorf("only conditions on texts and days are simulated, not on %s", c.column)
	}
	values := slices.Clone(c.values)
	for i, v := range values {
		if parameter, given := strings.CutPrefix(v, "@"); given {
			value, known := parameters[parameter]
			if !known {
				return false, fmt.Errorf("there is no parameter %s", v)
			}
			values[i] = value
		}
	}
	switch c.operator {
	case "=":
		return has == values[0], nil
	case "!=":
		return has != values[0], nil
	case "between":
		return has >= values[0] && has <= values[1], nil
	default:
		return slices.Contains(values, has), nil
	}
}

// run finds the rows of a query in those of its table, but for LIMIT and OFFSET.
func (q query) run(table []record, parameters map[string]string) ([]map[string]any, error) {
	groups := map[string][]record{}
	var names []string
	for _, r := range table {
		keep := true
		for _, c := range q.where {
			holds, err := c.holds(r, parameters)
			if err != nil {
				return nil, err
			}
			keep = keep && holds
		}
		if !keep {
			continue
		}
		var parts []string
		for _, g := range q.groups {
			parts = append(parts, fmt.Sprint(r[g]))
		}
		name := strings.Join(parts, "\x00")
		if groups[name] == nil {
			names = append(names, name)
		}
		groups[name] = append(groups[name], r)
	}
	rows := make([]record, len(names))
	for i, name := range names {
		rows[i] = record{}
		for _, it := range q.items {
			v, err := it.value.over(groups[name])
			if err != nil {
				return nil, err
			}
			rows[i][it.name] = v
		}
	}
	slices.SortFunc(rows, func(a, b record) int {
		for _, k := range q.order {
			n := compare(a[k.name], b[k.name])
			if k.descending {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	})
	out := make([]map[string]any, len(rows))
	for i, r := range rows {
		out[i] = map[string]any{}
		for name, v := range r {
			if a, money := v.(amount); money {
				v = json.Number(a.String())
			}
			out[i][name] = v
		}
	}
	return out, nil
}

// compare orders two values of one column.
func compare(a, b any) int {
	switch a := a.(type) {
	case amount:
		return cmp.Compare(a, b.(amount))
	case int64:
		return cmp.Compare(a, b.(int64))
	default:
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	}
}

// over is the expression's value over the rows of a group, of which there is at least one.
func (e expression) over(rows []record) (any, error) {
	if e.function == "round" { // amounts have no more places
		return e.of.over(rows)
	}
	column := e.columns[0]
	switch e.function {
	case "sum":
		var whole int64
		var money amount
		for _, r := range rows {
			switch v := r[column].(type) {
			case int64:
				whole += v
			case amount:
				money += v
			default:
				return nil, fmt.Errorf("there is no sum of %s", column)
			}
		}
		if _, is := rows[0][column].(amount); is {
			return money, nil
		}
		return whole, nil
	case "count":
		seen := map[any]bool{}
		for _, r := range rows {
			seen[r[column]] = true
		}
		return int64(len(seen)), nil
	case "min":
		return slices.MinFunc(rows, func(a, b record) int { return compare(a[column], b[column]) })[column], nil
	case "max":
		return slices.MaxFunc(rows, func(a, b record) int { return compare(a[column], b[column]) })[column], nil
	case "argmax":
		by := e.columns[1]
		return slices.MaxFunc(rows, func(a, b record) int { return compare(a[by], b[by]) })[column], nil
	default:
		return rows[0][column], nil
	}
}
