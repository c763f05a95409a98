package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sqliteWhere is a conjunction as SQL with its arguments.
func sqliteWhere(org string, conditions []condition) (string, []any) {
	where, args := "org = ?", []any{org}
	for _, c := range conditions {
		column := "id"
		if c.field != nil {
			column = c.field.column()
		}
		switch {
		case c.value == nil && c.op == opEqual:
			where += " AND " + column + " IS NULL"
			continue
		case c.value == nil:
			where += " AND " + column + " IS NOT NULL"
			continue
		}
		where += " AND " + column + [...]string{opEqual: " = ?", opGreater: " > ?", opFrom: " >= ?", opLess: " < ?"}[c.op]
		args = append(args, c.stored())
	}
	return where, args
}

// from names the table and the index that the query asks for: without statistics the planner often takes another one.
func (c *sqliteCollection) from(p plan) string {
	if p.index == nil {
		return " FROM " + c.table
	}
	return " FROM " + c.table + " INDEXED BY " + quote("ix_"+c.schema.name+"/"+p.index.physical)
}

// query runs a query on the index it names. While a newer version of this program has the same file open, that index may
// be gone: then the query runs as the planner likes.
func (c *sqliteCollection) query(ctx context.Context, p plan, query string, args ...any) (*sql.Rows, error) {
	rows, err := c.db.query(ctx, query, args...)
	if err != nil && p.index != nil && strings.Contains(err.Error(), "no such index") {
		return c.db.readers.QueryContext(ctx, strings.Replace(query, c.from(p), " FROM "+c.table, 1), args...)
	}
	return rows, err
}

func (c *sqliteCollection) findSQL(org string, p plan, segment []condition) (string, []any) {
	where, args := sqliteWhere(org, segment)
	direction := ""
	if p.descending {
		direction = " DESC"
	}
	order := strings.Join(append(columns(unfixed(p.order, segment)), "id"), direction+", ") + direction
	return "SELECT id, version, created, updated, body" + c.from(p) + " WHERE " + where + " ORDER BY " + order + " LIMIT ?", args
}

func (c *sqliteCollection) find(ctx context.Context, org string, p plan) ([]record, error) {
	var records []record
	for _, segment := range p.segments() {
		query, args := c.findSQL(org, p, segment)
		rows, err := c.query(ctx, p, query, append(args, p.limit-len(records))...)
		if err != nil {
			return nil, c.schema.translate(err)
		}
		if records, err = scanRecords(rows, records); err != nil {
			return nil, c.schema.translate(err)
		}
		if len(records) >= p.limit {
			break
		}
	}
	return records, nil
}

func (c *sqliteCollection) count(ctx context.Context, org string, p plan) (int64, error) {
	groups, err := c.sum(ctx, org, p, nil, nil)
	if err != nil || len(groups) == 0 {
		return 0, err
	}
	return groups[0].Count, nil
}

func (c *sqliteCollection) sumSQL(org string, p plan, groupBy, fields []field) (string, []any) {
	if inner := p.innerGroups(groupBy); inner != nil {
		return c.nestedSumSQL(org, p, inner, groupBy, fields)
	}
	where, args := sqliteWhere(org, p.where())
	by := columns(groupBy)
	selected := append(slices.Clone(by), "count(*)")
	for _, column := range columns(fields) {
		selected = append(selected, "coalesce(sum("+column+"), 0)")
	}
	query := "SELECT " + strings.Join(selected, ", ") + c.from(p) + " WHERE " + where
	if len(by) > 0 {
		query += " GROUP BY " + strings.Join(by, ", ") + " ORDER BY " + strings.Join(by, ", ")
	}
	return query, args
}

// innerGroups are the ordering fields to group by first when groupBy are some of them, but not the first ones: in the index's
// order that sorts nothing, and what then remains to be sorted is few groups instead of all documents, bodies included.
func (p plan) innerGroups(groupBy []field) []field {
	last := -1
	for _, f := range groupBy {
		at := slices.Index(p.order, f)
		if at < 0 {
			return nil
		}
		last = max(last, at)
	}
	if slices.Equal(groupBy, p.order[:last+1]) {
		return nil
	}
	return p.order[:last+1]
}

func (c *sqliteCollection) nestedSumSQL(org string, p plan, inner, groupBy, fields []field) (string, []any) {
	query, args := c.sumSQL(org, p, inner, fields)
	names := make([]string, 0, len(inner)+1+len(fields))
	for i := range cap(names) {
		names = append(names, "c"+strconv.Itoa(i))
	}
	var by []string
	for _, f := range groupBy {
		by = append(by, names[slices.Index(inner, f)])
	}
	selected := slices.Clone(by)
	for _, name := range names[len(inner):] {
		selected = append(selected, "sum("+name+")")
	}
	return "WITH parts (" + strings.Join(names, ", ") + ") AS (" + query + ") SELECT " + strings.Join(selected, ", ") +
		" FROM parts GROUP BY " + strings.Join(by, ", ") + " ORDER BY " + strings.Join(by, ", "), args
}

func (c *sqliteCollection) sum(ctx context.Context, org string, p plan, groupBy, fields []field) ([]Group, error) {
	query, args := c.sumSQL(org, p, groupBy, fields)
	rows, err := c.query(ctx, p, query, args...)
	if err != nil {
		return nil, c.schema.translate(err)
	}
	defer rows.Close()
	var groups []Group
	for rows.Next() {
		g := Group{Key: make([]any, len(groupBy)), Sums: make([]int64, len(fields))}
		if err := rows.Scan(g.targets()...); err != nil {
			return nil, fmt.Errorf("sum is no integer: %w", err)
		}
		for i, f := range groupBy {
			g.Key[i] = f.kind.restore(g.Key[i])
		}
		if g.Count > 0 { // without groups SQL answers one row even for nothing
			groups = append(groups, g)
		}
	}
	return groups, c.schema.translate(rows.Err())
}

// targets are where a row of a grouped sum is scanned to.
func (g *Group) targets() []any {
	var targets []any
	for i := range g.Key {
		targets = append(targets, &g.Key[i])
	}
	targets = append(targets, &g.Count)
	for i := range g.Sums {
		targets = append(targets, &g.Sums[i])
	}
	return targets
}

func (c *sqliteCollection) explain(ctx context.Context, org string, p plan, groupBy, fields []field) (Plan, error) {
	if len(groupBy)+len(fields) > 0 {
		query, args := c.sumSQL(org, p, groupBy, fields)
		return c.explainSQL(ctx, query, args)
	}
	var whole Plan
	for i, segment := range p.segments() {
		query, args := c.findSQL(org, p, segment)
		part, err := c.explainSQL(ctx, query, append(args, p.limit))
		if err != nil {
			return Plan{}, err
		}
		whole = whole.join(part, i == 0)
	}
	return whole, nil
}

func (c *sqliteCollection) explainSQL(ctx context.Context, query string, args []any) (Plan, error) {
	rows, err := c.db.readers.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return Plan{}, c.schema.translate(err)
	}
	defer rows.Close()
	var p Plan
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return Plan{}, err
		}
		p.Detail += detail + "\n"
	}
	p.Sorts = strings.Contains(p.Detail, "TEMP B-TREE")
	p.Covers = strings.Contains(p.Detail, "COVERING INDEX")
	p.Index = c.schema.byPhysical(p.Detail)
	if strings.HasPrefix(p.Detail, "SCAN") {
		p.Index = "scan"
	}
	return p, rows.Err()
}
