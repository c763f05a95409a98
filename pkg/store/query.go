package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	defaultLimit = 50
	maxLimit     = 1000
	eachLimit    = 500 // documents a round trip in Each
)

// Query selects and orders documents by one index. The zero Query is all documents by id.
//
// In the order of UpdatedAt, a page has what is visible when it is read. A document stamped earlier may become visible later, by as much
// as its write takes and clocks of processes differ; who reads on from a time must leave out what is younger than that.
type Query struct {
	Index string // Index.Name; by id when empty
	// Equal holds values for the index's leading fields, in its order; nil selects null or missing.
	Equal []any
	// Range bounds the index field that follows those of Equal.
	Range Range
	// Descending reverses the whole order, ids too.
	Descending bool
	Limit      int    // documents a page: 50 when 0, at most 1000
	Cursor     string // Page.Next of the page before, with the otherwise same query; other limits are allowed
}

// Range is From inclusive to To exclusive; nil leaves that end open. Null and missing are in no range.
type Range struct {
	Field    string
	From, To any
}

// Page is a part of what a Query selects.
type Page[T any] struct {
	Items []Doc[T]
	// Next is the Cursor of the following page, empty after the last. It marks the place behind the last item, so
	// documents inserted, changed or deleted meanwhile never make a later page repeat or skip another one.
	Next string
}

// Group is one row of a grouped sum.
type Group struct {
	Key   []any // per GroupBy: string, int64, float64, bool, Time or nil
	Count int64 // documents
	Sums  []int64
}

// Plan is how a backend answers a query.
type Plan struct {
	Index  string // Query.Index, "" for the order by id, or "scan" when no index is used
	Sorts  bool   // documents are sorted after reading
	Covers bool   // no document is read
	Detail string // the backend's own words
}

// join is the worst of two segments' plans.
func (p Plan) join(next Plan, first bool) Plan {
	if first {
		return next
	}
	if p.Index != next.Index && p.Index != "scan" {
		p.Index = next.Index
	}
	p.Sorts, p.Covers = p.Sorts || next.Sorts, p.Covers && next.Covers
	p.Detail += "\n" + next.Detail
	return p
}

type operator byte

const (
	opEqual   operator = iota // nil: null or missing
	opGreater                 // nil: anything but null
	opFrom
	opLess
)

// condition compares a field; a nil field is the id.
type condition struct {
	field *field
	op    operator
	value any
}

// stored is the value as a backend has it: a time of the store's own is a number of microseconds.
func (c condition) stored() any {
	text, ok := c.value.(string)
	if !ok || c.field == nil || !c.field.own() {
		return c.value
	}
	t, err := time.Parse(timeLayout, text)
	if err != nil {
		return c.value // which nothing equals
	}
	return micros(t)
}

// plan is a checked Query.
type plan struct {
	index      *index // nil: by id
	equal      []condition
	bounds     []condition // of order[0]
	order      []field     // then id
	descending bool
	limit      int
	after      *position
}

// position is the place of a document in an order.
type position struct {
	values []any // of plan.order
	id     string
}

func (s *schema) plan(org string, q Query) (plan, error) {
	p := plan{descending: q.Descending, limit: min(q.Limit, maxLimit)}
	if q.Limit < 0 {
		return plan{}, fmt.Errorf("%w: limit %d", ErrBadQuery, q.Limit)
	}
	if q.Limit == 0 {
		p.limit = defaultLimit
	}
	if q.Index != "" {
		if p.index = s.index(q.Index); p.index == nil {
			return plan{}, fmt.Errorf("%w: no index %q", ErrBadQuery, q.Index)
		}
		p.order = p.index.fields
	}
	if len(q.Equal) > len(p.order) {
		return plan{}, fmt.Errorf("%w: %d values for the %d fields of index %q", ErrBadQuery, len(q.Equal), len(p.order), q.Index)
	}
	for _, v := range q.Equal {
		c, err := compare(&p.order[0], opEqual, v)
		if err != nil {
			return plan{}, err
		}
		p.equal, p.order = append(p.equal, c), p.order[1:]
	}
	if err := p.bound(q.Range); err != nil {
		return plan{}, err
	}
	if q.Cursor != "" {
		after, err := p.parseCursor(s, org, q.Cursor)
		if err != nil {
			return plan{}, err
		}
		p.after = &after
	}
	return p, nil
}

func (p *plan) bound(r Range) error {
	if r.Field == "" && r.From == nil && r.To == nil {
		return nil
	}
	if len(p.order) == 0 || p.order[0].path != r.Field {
		return fmt.Errorf("%w: range on %q, which does not follow the equal fields in the index", ErrBadQuery, r.Field)
	}
	for _, end := range []struct {
		op    operator
		value any
	}{{opFrom, r.From}, {opLess, r.To}} {
		if end.value == nil {
			continue
		}
		c, err := compare(&p.order[0], end.op, end.value)
		if err != nil {
			return err
		}
		p.bounds = append(p.bounds, c)
	}
	return nil
}

func compare(f *field, op operator, v any) (condition, error) {
	value, err := scalar(v)
	if err != nil {
		return condition{}, fmt.Errorf("%w: field %s: %w", ErrBadQuery, f.path, err)
	}
	if !f.kind.fits(value) || (value == nil && op != opEqual) {
		return condition{}, fmt.Errorf("%w: field %s holds %v, compared with a %T", ErrBadQuery, f.path, f.kind, v)
	}
	return condition{f, op, value}, nil
}

// where is the whole selection, for counts and sums.
func (p plan) where() []condition { return slices.Concat(p.equal, p.bounds) }

// segments are conjunctions that select, one after the other in the query's order, what comes after the cursor. Each is
// one range of the index, which a comparison of the whole tuple is to no planner, the less with nulls.
func (p plan) segments() [][]condition {
	if p.after == nil {
		return [][]condition{p.where()}
	}
	var all [][]condition
	for i := len(p.order); i >= 0; i-- {
		fixed := slices.Clone(p.equal)
		for j := range i {
			fixed = append(fixed, condition{&p.order[j], opEqual, p.after.values[j]})
		}
		for _, beyond := range p.beyond(i) {
			all = append(all, append(slices.Clone(fixed), beyond...))
		}
	}
	return all
}

// unfixed are the fields that still order within a segment. Naming the others costs SQLite a sort, as it does not know that an
// expression compared for equality is constant.
func unfixed(order []field, segment []condition) []field {
	return slices.DeleteFunc(slices.Clone(order), func(f field) bool {
		return slices.ContainsFunc(segment, func(c condition) bool { return c.op == opEqual && c.field != nil && c.field.path == f.path })
	})
}

// beyond are the ways to lie behind the cursor in the i-th ordering field, or the id after the last.
func (p plan) beyond(i int) [][]condition {
	op := opGreater
	if p.descending {
		op = opLess
	}
	if i == len(p.order) {
		return [][]condition{{{nil, op, p.after.id}}}
	}
	f, value := &p.order[i], p.after.values[i]
	if i > 0 {
		return beyondValue(condition{f, op, value}, nil, true)
	}
	// The bound on the side that was already passed must go, or the planner may start from it.
	passed := opFrom
	if p.descending {
		passed = opLess
	}
	ahead := slices.DeleteFunc(slices.Clone(p.bounds), func(c condition) bool { return c.op == passed })
	return beyondValue(condition{f, op, value}, ahead, len(p.bounds) == 0)
}

// beyondValue are the ranges behind a value. Nulls come first, so going down they are a range of their own at the end,
// unless the query bounds the field.
func beyondValue(c condition, ahead []condition, nulls bool) [][]condition {
	if c.op == opGreater {
		return [][]condition{append([]condition{c}, ahead...)}
	}
	if c.value == nil {
		return nil
	}
	ranges := [][]condition{append([]condition{c}, ahead...)}
	if nulls {
		ranges = append(ranges, []condition{{c.field, opEqual, nil}})
	}
	return ranges
}

// Find reads one page: ErrBadQuery, ErrBadCursor.
func (d *Documents[T]) Find(ctx context.Context, q Query) (Page[T], error) {
	p, err := d.plan(q)
	if err != nil {
		return Page[T]{}, d.failed("find", "", err)
	}
	limit := p.limit
	p.limit++ // one more tells whether there is a next page
	records, err := d.collection.find(ctx, d.org, p)
	if err != nil {
		return Page[T]{}, d.failed("find", "", err)
	}
	var page Page[T]
	if len(records) > limit {
		records = records[:limit]
		if page.Next, err = p.cursor(d.schema, d.org, records[limit-1]); err != nil {
			return Page[T]{}, d.failed("find", "", err)
		}
	}
	page.Items = make([]Doc[T], len(records))
	for i, r := range records {
		if page.Items[i], err = d.decode(r); err != nil {
			return Page[T]{}, err
		}
	}
	return page, nil
}

// Behind is the cursor of the page of q that begins behind a document which q selects, for who does not use all of a page: ErrBadQuery.
func (d *Documents[T]) Behind(q Query, doc Doc[T]) (string, error) {
	q.Cursor = ""
	p, err := d.plan(q)
	if err != nil {
		return "", d.failed("find", "", err)
	}
	r, _, err := d.prepare(doc.ID, doc.Value)
	if err != nil {
		return "", d.failed("find behind", doc.ID, err)
	}
	r.updated = doc.UpdatedAt
	return p.cursor(d.schema, d.org, r)
}

// First is the first document that q selects: ErrNotFound.
func (d *Documents[T]) First(ctx context.Context, q Query) (Doc[T], error) {
	p, err := d.plan(q)
	if err != nil {
		return Doc[T]{}, d.failed("find first", "", err)
	}
	p.limit = 1
	records, err := d.collection.find(ctx, d.org, p)
	if err != nil {
		return Doc[T]{}, d.failed("find first", "", err)
	}
	if len(records) == 0 {
		return Doc[T]{}, d.failed("find first", "", ErrNotFound)
	}
	return d.decode(records[0])
}

// Each calls visit with every document that q selects, from q.Cursor on, until visit returns an error, which Each returns
// as it is. It reads in pages, so visit may write; q.Limit is ignored.
func (d *Documents[T]) Each(ctx context.Context, q Query, visit func(Doc[T]) error) error {
	for q.Limit = eachLimit; ; {
		page, err := d.Find(ctx, q)
		if err != nil {
			return err
		}
		for _, doc := range page.Items {
			if err := visit(doc); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}

// DeleteAll deletes every document that q selects, whatever becomes of it meanwhile; one that is gone already is no error.
func (d *Documents[T]) DeleteAll(ctx context.Context, q Query) error {
	return d.Each(ctx, q, func(doc Doc[T]) error {
		err := d.Delete(ctx, doc.ID, 0)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
}

// DeleteDue deletes the documents that q selects, such as those whose time is over, but for one that was changed since it was
// selected: it is in use again. One that is gone already is no error.
func (d *Documents[T]) DeleteDue(ctx context.Context, q Query) error {
	return d.Each(ctx, q, func(doc Doc[T]) error {
		err := d.Delete(ctx, doc.ID, doc.Version)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
			return nil
		}
		return err
	})
}

// Count counts the documents that q selects, over all pages.
func (d *Documents[T]) Count(ctx context.Context, q Query) (int64, error) {
	q.Cursor = ""
	p, err := d.plan(q)
	if err != nil {
		return 0, d.failed("count", "", err)
	}
	n, err := d.collection.count(ctx, d.org, p)
	if err != nil {
		return 0, d.failed("count", "", err)
	}
	return n, nil
}

// Sum adds up integer fields of the documents that q selects, over all pages, by the values of groupBy, in their order;
// null and missing add nothing. A sum beyond int64 is an error. It reads the index alone, which is much faster, when
// groupBy and fields are all among the index's Fields and Include.
func (d *Documents[T]) Sum(ctx context.Context, q Query, groupBy, fields []string) ([]Group, error) {
	p, by, added, err := d.sumPlan(q, groupBy, fields)
	if err != nil {
		return nil, d.failed("sum", "", err)
	}
	groups, err := d.collection.sum(ctx, d.org, p, by, added)
	if err != nil {
		return nil, d.failed("sum", "", err)
	}
	return groups, nil
}

// Explain tells how Find answers q or, when groupBy or fields are given, Sum.
func (d *Documents[T]) Explain(ctx context.Context, q Query, groupBy, fields []string) (Plan, error) {
	p, by, added, err := d.sumPlan(q, groupBy, fields)
	if err != nil {
		return Plan{}, d.failed("explain", "", err)
	}
	explained, err := d.collection.explain(ctx, d.org, p, by, added)
	if err != nil {
		return Plan{}, d.failed("explain", "", err)
	}
	return explained, nil
}

func (d *Documents[T]) plan(q Query) (plan, error) {
	if err := d.bound(); err != nil {
		return plan{}, err
	}
	return d.schema.plan(d.org, q)
}

func (d *Documents[T]) sumPlan(q Query, groupBy, fields []string) (p plan, by, added []field, err error) {
	if p, err = d.plan(q); err != nil {
		return plan{}, nil, nil, err
	}
	for i, path := range slices.Concat(groupBy, fields) {
		f, err := d.schema.field(path)
		if err != nil {
			return plan{}, nil, nil, fmt.Errorf("%w: %w", ErrBadQuery, err)
		}
		if i < len(groupBy) {
			by = append(by, f)
			continue
		}
		if f.kind != kindInt && f.kind != kindAny {
			return plan{}, nil, nil, fmt.Errorf("%w: sum of field %s, which holds %v", ErrBadQuery, path, f.kind)
		}
		added = append(added, f)
	}
	return p, by, added, nil
}
