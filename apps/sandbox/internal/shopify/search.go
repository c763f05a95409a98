package shopify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// valueKind is how a searchable field compares.
type valueKind int

const (
	textValue valueKind = iota
	numberValue
	timeValue
	boolValue
)

// searchable is a record that the query argument can filter.
type searchable interface {
	// term is the record's value of a field that is no time: a string, int64 or bool,
	// or nil where it has none.
	term(field string) any
	// when is its value of a field that is a time. It is apart so that filtering a
	// whole shop by time allocates nothing.
	when(field string) (at time.Time, set bool)
	// text is what a term without a field looks through.
	text() string
}

// filter decides whether a record matches.
type filter func(searchable) bool

// warning says that part of a search was ignored, which is how Shopify treats a
// field that it does not know: the answer is then not filtered by it.
type warning struct {
	Field   string `json:"field"`
	Message string `json:"message"`
	Code    string `json:"code,omitempty"`
}

// maxSearchDepth bounds the recursion of nested parentheses and negations.
const maxSearchDepth = 50

// parseSearch reads Shopify's search syntax: terms joined by spaces, AND or OR
// (AND binds closer), negated by NOT or a minus, grouped by parentheses. A term is
// field:value with an optional <, >, <= or >=, or a bare value; values may be
// quoted. Times are "now", or RFC 3339, or a year, month or day in UTC, which
// stand for all of their length; a..b is a range with both ends in it. An unknown
// field or a value of the wrong type is ignored with a warning. Broken syntax is an
// error here, stricter than the vendor, who documents no answer to it.
func parseSearch(query string, fields map[string]valueKind, now time.Time) (filter, []warning, error) {
	if strings.TrimSpace(query) == "" {
		return nil, nil, nil
	}
	if !utf8.ValidString(query) {
		return nil, nil, errors.New("the query is not UTF-8")
	}
	p := &searchParser{rest: query, fields: fields, now: now}
	f, err := p.anyOf(0)
	if err != nil {
		return nil, nil, err
	}
	if p.skipSpace(); p.rest != "" {
		return nil, nil, fmt.Errorf("unexpected %q", p.rest)
	}
	return f, p.warnings, nil
}

type searchParser struct {
	rest     string
	fields   map[string]valueKind
	now      time.Time
	warnings []warning
}

func (p *searchParser) skipSpace() { p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace) }

// keyword consumes a connective if it stands next as a word of its own.
func (p *searchParser) keyword(word string) bool {
	p.skipSpace()
	rest, found := strings.CutPrefix(p.rest, word)
	if !found || (rest != "" && rest[0] != '(' && rest[0] != ')' && !unicode.IsSpace(rune(rest[0]))) {
		return false
	}
	p.rest = rest
	return true
}

func (p *searchParser) anyOf(depth int) (filter, error) {
	f, err := p.allOf(depth)
	if err != nil {
		return nil, err
	}
	for p.keyword("OR") {
		left := f
		right, err := p.allOf(depth)
		if err != nil {
			return nil, err
		}
		f = func(r searchable) bool { return left(r) || right(r) }
	}
	return f, nil
}

func (p *searchParser) allOf(depth int) (filter, error) {
	f, err := p.one(depth)
	if err != nil {
		return nil, err
	}
	for {
		explicit := p.keyword("AND")
		p.skipSpace()
		if !explicit && (p.rest == "" || p.rest[0] == ')' || p.atOr()) {
			return f, nil
		}
		left := f
		right, err := p.one(depth)
		if err != nil {
			return nil, err
		}
		f = func(r searchable) bool { return left(r) && right(r) }
	}
}

func (p *searchParser) atOr() bool {
	before := p.rest
	found := p.keyword("OR")
	p.rest = before
	return found
}

func (p *searchParser) one(depth int) (filter, error) {
	if depth > maxSearchDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxSearchDepth)
	}
	p.skipSpace()
	if p.keyword("NOT") || p.minus() {
		f, err := p.one(depth + 1)
		if err != nil {
			return nil, err
		}
		return func(r searchable) bool { return !f(r) }, nil
	}
	if rest, found := strings.CutPrefix(p.rest, "("); found {
		p.rest = rest
		f, err := p.anyOf(depth + 1)
		if err != nil {
			return nil, err
		}
		p.skipSpace()
		if p.rest, found = strings.CutPrefix(p.rest, ")"); !found {
			return nil, errors.New("missing )")
		}
		return f, nil
	}
	if p.keyword("AND") || p.keyword("OR") {
		return nil, errors.New("AND and OR stand between two terms")
	}
	return p.term()
}

func (p *searchParser) minus() bool {
	rest, found := strings.CutPrefix(p.rest, "-")
	if found {
		p.rest = rest
	}
	return found
}

func (p *searchParser) term() (filter, error) {
	if name := p.fieldName(); name != "" {
		comparator := ""
		p.skipSpace()
		for _, c := range []string{"<=", ">=", "<", ">"} {
			if rest, found := strings.CutPrefix(p.rest, c); found {
				comparator, p.rest = c, rest
				break
			}
		}
		p.skipSpace()
		value, err := p.value()
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", name, err)
		}
		return p.comparison(name, comparator, value), nil
	}
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	value = strings.ToLower(value)
	return func(r searchable) bool { return strings.Contains(strings.ToLower(r.text()), value) }, nil
}

// fieldName consumes a name and its colon, or nothing.
func (p *searchParser) fieldName() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return r != '_' && r != '.' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	if end <= 0 || p.rest[end] != ':' {
		return ""
	}
	name := p.rest[:end]
	p.rest = p.rest[end+1:]
	return name
}

func (p *searchParser) value() (string, error) {
	if p.rest == "" {
		return "", errors.New("missing value")
	}
	if quote := p.rest[0]; quote == '"' || quote == '\'' {
		end := strings.IndexByte(p.rest[1:], quote)
		if end < 0 {
			return "", errors.New("missing closing quote")
		}
		value := p.rest[1 : 1+end]
		p.rest = p.rest[end+2:]
		return value, nil
	}
	end := strings.IndexFunc(p.rest, func(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' })
	if end < 0 {
		end = len(p.rest)
	}
	if end == 0 {
		return "", fmt.Errorf("unexpected %q", p.rest[0])
	}
	value := p.rest[:end]
	p.rest = p.rest[end:]
	return value, nil
}

func everything(searchable) bool { return true }

func (p *searchParser) comparison(field, comparator, value string) filter {
	kind, known := p.fields[field]
	if !known {
		p.warnings = append(p.warnings, warning{Field: field, Message: "Invalid search field for this query.", Code: "invalid_field"})
		return everything
	}
	if value == "*" && comparator == "" {
		return func(r searchable) bool {
			_, set := r.when(field)
			return set || r.term(field) != nil
		}
	}
	var f filter
	switch kind {
	case timeValue:
		f = p.timeComparison(field, comparator, value)
	case numberValue:
		f = numberComparison(field, comparator, value)
	case boolValue:
		if want, err := strconv.ParseBool(value); err == nil && comparator == "" {
			f = func(r searchable) bool { return r.term(field) == want }
		}
	case textValue:
		if comparator == "" {
			f = func(r searchable) bool {
				text, _ := r.term(field).(string)
				return strings.EqualFold(text, value)
			}
		}
	}
	if f == nil {
		p.warnings = append(p.warnings, warning{Field: field, Message: fmt.Sprintf("Input %q is not a valid value for this field.", value), Code: "invalid_value"})
		return everything
	}
	return f
}

func (p *searchParser) timeComparison(field, comparator, value string) filter {
	low, high, isRange := strings.Cut(value, "..")
	if !isRange {
		high = low
	}
	from, _, err := p.timeSpan(low)
	if err != nil {
		return nil
	}
	_, to, err := p.timeSpan(high)
	if err != nil || (isRange && comparator != "") {
		return nil
	}
	return func(r searchable) bool {
		at, ok := r.when(field)
		if !ok {
			return false
		}
		switch comparator {
		case "<":
			return at.Before(from)
		case "<=":
			return at.Before(to)
		case ">":
			return !at.Before(to)
		case ">=":
			return !at.Before(from)
		default:
			return !at.Before(from) && at.Before(to)
		}
	}
}

// timeSpan is the half-open span that a time value stands for.
func (p *searchParser) timeSpan(s string) (from, to time.Time, err error) {
	if s == "now" {
		return p.now, p.now.Add(time.Second), nil
	}
	if from, err = time.Parse(time.RFC3339, s); err == nil {
		return from, from.Add(time.Second), nil
	}
	if from, err = time.Parse("2006-01-02T15:04:05", s); err == nil {
		return from, from.Add(time.Second), nil
	}
	if from, err = time.Parse("2006-01-02", s); err == nil {
		return from, from.Add(24 * time.Hour), nil
	}
	if from, err = time.Parse("2006-01", s); err == nil {
		return from, time.Date(from.Year(), from.Month()+1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	if from, err = time.Parse("2006", s); err == nil {
		return from, time.Date(from.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	return from, to, fmt.Errorf("%q is not a time", s)
}

func numberComparison(field, comparator, value string) filter {
	want, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return nil
	}
	return func(r searchable) bool {
		n, ok := r.term(field).(int64)
		if !ok {
			return false
		}
		switch comparator {
		case "<":
			return n < want
		case "<=":
			return n <= want
		case ">":
			return n > want
		case ">=":
			return n >= want
		default:
			return n == want
		}
	}
}
