package googleads

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// query is a query in the Google Ads Query Language, as far as it is simulated
// (https://developers.google.com/google-ads/api/docs/query/grammar).
type query struct {
	fields     []string
	resource   string
	conditions []condition
}

// condition is one of those that are joined by AND. Operator is one of =, !=, IN, NOT IN and BETWEEN.
type condition struct {
	field, operator string
	values          []string
}

// queryError is a QueryError of the vendor.
type queryError struct{ code, message string }

// kinds are the types of fields' values.
type kind int

const (
	text kind = iota
	number
	decimal
	truth
	date
	enum
)

// field is a field that can be selected.
type field struct {
	kind kind
	// of are the constants of an enum.
	of []string
}

var (
	campaignStatuses = []string{"ENABLED", "PAUSED", "REMOVED"}
	servingStatuses  = []string{"SERVING", "NONE", "ENDED", "PENDING", "SUSPENDED"}
	channelTypes     = []string{
		"SEARCH", "DISPLAY", "SHOPPING", "HOTEL", "VIDEO", "MULTI_CHANNEL", "LOCAL", "SMART", "PERFORMANCE_MAX", "LOCAL_SERVICES", "TRAVEL", "DEMAND_GEN",
	}
	customerStatuses = []string{"ENABLED", "CANCELED", "SUSPENDED", "CLOSED"}
	budgetPeriods    = []string{"DAILY", "CUSTOM_PERIOD"}
)

// fields are those that are simulated.
var fields = map[string]field{
	"customer.resource_name": {}, "customer.id": {kind: number}, "customer.descriptive_name": {}, "customer.currency_code": {}, "customer.time_zone": {},
	"customer.manager": {kind: truth}, "customer.test_account": {kind: truth}, "customer.status": {enum, customerStatuses},

	"customer_client.resource_name": {}, "customer_client.client_customer": {}, "customer_client.hidden": {kind: truth}, "customer_client.level": {kind: number},
	"customer_client.time_zone": {}, "customer_client.test_account": {kind: truth}, "customer_client.manager": {kind: truth}, "customer_client.descriptive_name": {},
	"customer_client.currency_code": {}, "customer_client.id": {kind: number}, "customer_client.status": {enum, customerStatuses},

	"campaign.resource_name": {}, "campaign.id": {kind: number}, "campaign.name": {}, "campaign.status": {enum, campaignStatuses}, "campaign.serving_status": {enum, servingStatuses},
	"campaign.advertising_channel_type": {enum, channelTypes}, "campaign.start_date_time": {}, "campaign.end_date_time": {}, "campaign.campaign_budget": {},

	"campaign_budget.resource_name": {}, "campaign_budget.id": {kind: number}, "campaign_budget.amount_micros": {kind: number}, "campaign_budget.period": {enum, budgetPeriods},

	"segments.date": {kind: date},

	"metrics.cost_micros": {kind: number}, "metrics.impressions": {kind: number}, "metrics.clicks": {kind: number}, "metrics.conversions": {kind: decimal},
	"metrics.conversions_value": {kind: decimal}, "metrics.video_trueview_views": {kind: number},
}

// selectable are the resources whose fields a query of a resource can select.
var selectable = map[string][]string{
	"campaign":        {"campaign", "campaign_budget", "customer", "segments", "metrics"},
	"customer":        {"customer"},
	"customer_client": {"customer_client", "customer"},
}

func resourceOf(name string) string {
	resource, _, _ := strings.Cut(name, ".")
	return resource
}

func (q query) hasMetrics() bool {
	return slices.ContainsFunc(q.fields, func(name string) bool { return resourceOf(name) == "metrics" })
}

// mask is what was selected, in the names that JSON has.
func (q query) mask() string {
	names := make([]string, len(q.fields))
	for i, name := range q.fields {
		resource, field, _ := strings.Cut(name, ".")
		names[i] = camel(resource) + "." + camel(field)
	}
	return strings.Join(names, ",")
}

// camel is a proto's name as JSON has it: cost_micros is costMicros.
func camel(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

var tokenPattern = regexp.MustCompile(`^\s*([A-Za-z0-9_.]+|'[^'\n]*'|"[^"\n]*"|!=|[=(),])`)

// parser reads the tokens of a query.
type parser struct {
	rest string
	// next is the token that is not taken yet, empty at the end.
	next string
	err  *queryError
}

func (p *parser) fail(code, format string, args ...any) {
	if p.err == nil {
		p.err = &queryError{code, "Error in query: " + fmt.Sprintf(format, args...)}
	}
}

func (p *parser) advance() {
	p.next = ""
	if m := tokenPattern.FindStringSubmatch(p.rest); m != nil {
		p.next, p.rest = m[1], p.rest[len(m[0]):]
	} else if strings.TrimSpace(p.rest) != "" {
		p.fail("BAD_SYMBOL", "invalid symbol at %.20q.", p.rest)
		p.rest = ""
	}
}

func (p *parser) take() string {
	token := p.next
	if token == "" {
		p.fail("UNEXPECTED_END_OF_QUERY", "query is incomplete.")
	}
	p.advance()
	return token
}

// is takes the token when it is the keyword or symbol.
func (p *parser) is(token string) bool {
	if !strings.EqualFold(p.next, token) {
		return false
	}
	p.advance()
	return true
}

// parse reads a query and checks it as the vendor does.
func parse(text string) (query, *queryError) {
	p := &parser{rest: text}
	p.advance()
	var q query
	if !p.is("SELECT") {
		p.fail("EXPECTED_SELECT", "expected SELECT at the beginning.")
	}
	for p.err == nil {
		q.fields = append(q.fields, p.take())
		if !p.is(",") {
			break
		}
	}
	if !p.is("FROM") {
		p.fail("EXPECTED_FROM", "missing FROM clause.")
	}
	q.resource = p.take()
	for more := p.is("WHERE"); more && p.err == nil; more = p.is("AND") {
		q.conditions = append(q.conditions, p.condition())
	}
	if p.next != "" {
		p.fail("UNEXPECTED_INPUT", "unexpected input %.40s.", p.next)
	}
	if p.err == nil {
		p.check(q)
	}
	return q, p.err
}

func (p *parser) condition() condition {
	c := condition{field: p.take()}
	switch {
	case p.is("BETWEEN"):
		c.operator, c.values = "BETWEEN", []string{p.take()}
		if !p.is("AND") {
			p.fail("EXPECTED_AND", "expected AND between the values of BETWEEN.")
		}
		c.values = append(c.values, p.take())
	case p.is("NOT"):
		if !p.is("IN") {
			p.fail("BAD_OPERATOR", "invalid operator NOT %.20s.", p.next)
		}
		c.operator, c.values = "NOT IN", p.list()
	case p.is("IN"):
		c.operator, c.values = "IN", p.list()
	case p.next == "=" || p.next == "!=":
		c.operator = p.take()
		c.values = []string{p.take()}
	default:
		p.fail("BAD_OPERATOR", "invalid operator %.20s.", p.next)
	}
	return c
}

func (p *parser) list() (values []string) {
	if !p.is("(") {
		p.fail("EXPECTED_LIST", "the operator expects a list.")
	}
	if p.next == ")" {
		p.fail("PROHIBITED_EMPTY_LIST_IN_CONDITION", "the list is empty.")
	}
	for p.err == nil {
		values = append(values, p.take())
		if !p.is(",") {
			break
		}
	}
	if !p.is(")") {
		p.fail("EXPECTED_LIST", "the list does not end.")
	}
	return values
}

// check checks the fields and values of a query that is one by its form, and takes the quotes off the values.
func (p *parser) check(q query) {
	from, known := selectable[q.resource]
	if !known {
		p.fail("BAD_RESOURCE_TYPE_IN_FROM_CLAUSE", "invalid resource type in the FROM clause: '%.40s'.", q.resource)
		return
	}
	for _, name := range q.fields {
		p.field(name, from, "SELECT")
	}
	ranged := false
	for _, c := range q.conditions {
		f := p.field(c.field, from, "WHERE")
		for i, value := range c.values {
			c.values[i] = p.value(c.field, f, value)
		}
		switch {
		case p.err != nil:
			return
		case c.operator == "BETWEEN" && f.kind != date:
			p.fail("INVALID_VALUE_WITH_BETWEEN_OPERATOR", "BETWEEN is for dates, not for '%s'.", c.field)
		case c.operator == "BETWEEN" && c.values[0] > c.values[1]:
			p.fail("DATE_RANGE_TOO_NARROW", "the start date is after the end date.")
		case f.kind == date && c.operator != "BETWEEN" && c.operator != "=":
			p.fail("OPERATOR_FIELD_MISMATCH", "'%s' cannot be filtered by %s.", c.field, c.operator)
		}
		ranged = ranged || f.kind == date
	}
	dated := slices.Contains(q.fields, "segments.date")
	switch {
	case dated && !ranged:
		p.fail("EXPECTED_FILTERS_ON_DATE_RANGE", "a query that selects segments.date needs a finite range of dates.")
	case q.hasMetrics() != dated: // what is summed over days is not simulated
		p.fail("QUERY_ERROR", "the simulator has metrics by segments.date only.")
	}
}

func (p *parser) field(name string, from []string, clause string) field {
	f, known := fields[name]
	switch {
	case !known:
		p.fail("UNRECOGNIZED_FIELD", "unrecognized field in the query: '%.60s'.", name)
	case !slices.Contains(from, resourceOf(name)):
		p.fail("PROHIBITED_RESOURCE_TYPE_IN_"+clause+"_CLAUSE", "'%s' cannot be in the %s clause of this resource.", name, clause)
	}
	return f
}

// value is a value of a condition without its quotes.
func (p *parser) value(name string, f field, written string) string {
	plain := strings.Trim(written, `'"`)
	quoted := plain != written
	switch f.kind {
	case text:
		if !quoted {
			p.fail("INVALID_STRING_VALUE", "'%s' needs a quoted value.", name)
		}
	case number, decimal:
		if plain == "" || strings.Trim(plain, "0123456789.") != "" {
			p.fail("BAD_NUMBER", "%.40s is no number.", written)
		}
	case truth:
		if plain = strings.ToLower(plain); quoted || plain != "true" && plain != "false" {
			p.fail("BAD_VALUE", "%.40s is neither TRUE nor FALSE.", written)
		}
	case date:
		if _, err := time.Parse(time.DateOnly, plain); err != nil || !quoted {
			p.fail("INVALID_DATE_FORMAT", "%.40s is no date in the format 'YYYY-MM-DD'.", written)
		}
	case enum:
		if !slices.Contains(f.of, plain) {
			p.fail("BAD_ENUM_CONSTANT", "invalid enum constant %.40s of '%s'.", written, name)
		}
	}
	return plain
}

// matches tells whether what has these values by the names of fields meets all conditions.
func (q query) matches(has values) bool {
	for _, c := range q.conditions {
		got := has(c.field)
		if got == nil && c.field == "segments.date" {
			continue // not a row of a day
		}
		value, met := fmt.Sprint(got), false
		switch c.operator {
		case "=", "IN":
			met = slices.Contains(c.values, value)
		case "!=", "NOT IN":
			met = !slices.Contains(c.values, value)
		case "BETWEEN":
			met = c.values[0] <= value && value <= c.values[1]
		}
		if !met {
			return false
		}
	}
	return true
}
