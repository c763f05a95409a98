package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// key is a field's path in a stored document.
func (f field) key() string {
	if f.own() {
		return keyUpdated
	}
	return keyValue + "." + f.path
}

func keys(fields []field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.key())
	}
	return all
}

// mongoFilter is a conjunction; a field's conditions stand together, as a document names a key once.
func mongoFilter(org string, conditions []condition) bson.D {
	filter := bson.D{{Key: keyOrg, Value: org}}
	for _, c := range conditions {
		key := keyID
		if c.field != nil {
			key = c.field.key()
		}
		operator := [...]string{opEqual: "$eq", opGreater: "$gt", opFrom: "$gte", opLess: "$lt"}[c.op]
		if c.op == opGreater && c.value == nil {
			operator = "$ne"
		}
		at := slices.IndexFunc(filter, func(e bson.E) bool { return e.Key == key })
		if at < 0 {
			at, filter = len(filter), append(filter, bson.E{Key: key, Value: bson.D{}})
		}
		filter[at].Value = append(filter[at].Value.(bson.D), bson.E{Key: operator, Value: c.stored()})
	}
	return filter
}

func mongoSort(p plan, segment []condition) bson.D {
	direction := 1
	if p.descending {
		direction = -1
	}
	var sort bson.D
	for _, key := range append(keys(unfixed(p.order, segment)), keyID) {
		sort = append(sort, bson.E{Key: key, Value: direction})
	}
	return sort
}

// hint names the index that a query asks for; left to itself the server may choose another one.
func hint(p plan) string {
	if p.index == nil {
		return ownIndex + "id"
	}
	return ownIndex + "ix-" + p.index.physical
}

// missingHint tells that a newer version of this program, with the same database open, has dropped the index: then the query
// runs as the server likes.
func missingHint(err error) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && server.HasErrorCode(mongoBadValue) && server.HasErrorMessage("hint")
}

func (c *mongoCollection) find(ctx context.Context, org string, p plan) ([]record, error) {
	var records []record
	for _, segment := range p.segments() {
		page := options.Find().SetSort(mongoSort(p, segment)).SetLimit(int64(p.limit - len(records))).
			SetProjection(bson.D{{Key: keyMessages, Value: 0}})
		cursor, err := c.documents.Find(ctx, mongoFilter(org, segment), page.SetHint(hint(p)))
		if missingHint(err) {
			cursor, err = c.documents.Find(ctx, mongoFilter(org, segment), page.SetHint(nil))
		}
		if err != nil {
			return nil, c.schema.translateMongo(err)
		}
		var documents []mongoDocument
		if err := cursor.All(ctx, &documents); err != nil {
			return nil, c.schema.translateMongo(err)
		}
		for _, d := range documents {
			r, err := c.record(d)
			if err != nil {
				return nil, fmt.Errorf("document %s: %w", d.ID, err)
			}
			records = append(records, r)
		}
		if len(records) >= p.limit {
			break
		}
	}
	return records, nil
}

func (c *mongoCollection) count(ctx context.Context, org string, p plan) (int64, error) {
	filter := mongoFilter(org, p.where())
	n, err := c.documents.CountDocuments(ctx, filter, options.Count().SetHint(hint(p)))
	if missingHint(err) {
		n, err = c.documents.CountDocuments(ctx, filter)
	}
	return n, c.schema.translateMongo(err)
}

func mongoSum(org string, p plan, groupBy, fields []field) bson.A {
	by, sort := bson.D{}, bson.D{}
	for i, key := range keys(groupBy) {
		name := "k" + strconv.Itoa(i)
		// Without this, missing and null are two groups.
		by = append(by, bson.E{Key: name, Value: bson.D{{Key: "$ifNull", Value: bson.A{"$" + key, nil}}}})
		sort = append(sort, bson.E{Key: "_id." + name, Value: 1})
	}
	group := bson.D{{Key: "_id", Value: by}, {Key: "count", Value: bson.D{{Key: "$sum", Value: 1}}}}
	for i, key := range keys(fields) {
		group = append(group, bson.E{Key: "s" + strconv.Itoa(i), Value: bson.D{{Key: "$sum", Value: "$" + key}}})
	}
	pipeline := bson.A{bson.D{{Key: "$match", Value: mongoFilter(org, p.where())}}, bson.D{{Key: "$group", Value: group}}}
	if len(sort) > 0 {
		pipeline = append(pipeline, bson.D{{Key: "$sort", Value: sort}})
	}
	return pipeline
}

func (c *mongoCollection) sum(ctx context.Context, org string, p plan, groupBy, fields []field) ([]Group, error) {
	pipeline, spill := mongoSum(org, p, groupBy, fields), options.Aggregate().SetAllowDiskUse(true)
	cursor, err := c.documents.Aggregate(ctx, pipeline, options.Aggregate().SetAllowDiskUse(true).SetHint(hint(p)))
	if missingHint(err) {
		cursor, err = c.documents.Aggregate(ctx, pipeline, spill)
	}
	if err != nil {
		return nil, c.schema.translateMongo(err)
	}
	defer cursor.Close(ctx)
	var groups []Group
	for cursor.Next(ctx) {
		g, err := mongoGroup(cursor.Current, groupBy, fields)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, c.schema.translateMongo(cursor.Err())
}

func mongoGroup(row bson.Raw, groupBy, fields []field) (Group, error) {
	g := Group{Key: make([]any, len(groupBy)), Sums: make([]int64, len(fields))}
	for i, f := range groupBy {
		text, err := appendJSON(nil, row.Lookup("_id", "k"+strconv.Itoa(i)))
		if err != nil {
			return Group{}, err
		}
		key, err := parseScalar(text)
		if err != nil {
			return Group{}, fmt.Errorf("group by %s: %w", f.path, err)
		}
		g.Key[i] = f.kind.restore(key)
	}
	var whole bool
	if g.Count, whole = row.Lookup("count").AsInt64OK(); !whole {
		return Group{}, fmt.Errorf("count is no integer: %v", row.Lookup("count"))
	}
	for i, f := range fields {
		sum := row.Lookup("s" + strconv.Itoa(i))
		if g.Sums[i], whole = sum.AsInt64OK(); !whole || sum.Type == bson.TypeDouble {
			return Group{}, fmt.Errorf("sum of %s is no integer: %v", f.path, sum)
		}
	}
	return g, nil
}

func (c *mongoCollection) explain(ctx context.Context, org string, p plan, groupBy, fields []field) (Plan, error) {
	if len(groupBy)+len(fields) > 0 {
		return c.explainCommand(ctx, bson.D{{Key: "aggregate", Value: c.documents.Name()},
			{Key: "pipeline", Value: mongoSum(org, p, groupBy, fields)}, {Key: "cursor", Value: bson.D{}}, {Key: "hint", Value: hint(p)}})
	}
	var whole Plan
	for i, segment := range p.segments() {
		part, err := c.explainCommand(ctx, bson.D{{Key: "find", Value: c.documents.Name()},
			{Key: "filter", Value: mongoFilter(org, segment)}, {Key: "sort", Value: mongoSort(p, segment)}, {Key: "limit", Value: p.limit}, {Key: "hint", Value: hint(p)}})
		if err != nil {
			return Plan{}, err
		}
		whole = whole.join(part, i == 0)
	}
	return whole, nil
}

func (c *mongoCollection) explainCommand(ctx context.Context, command bson.D) (Plan, error) {
	var answer bson.Raw
	err := c.db.database.RunCommand(ctx, bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"}}).Decode(&answer)
	if err != nil {
		return Plan{}, c.schema.translateMongo(err)
	}
	p := Plan{Index: "scan", Covers: true, Detail: answer.String()}
	c.readPlan(bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: answer}, false, &p)
	return p, nil
}

// readPlan looks for the stages of winning plans anywhere in an answer, whose shape differs between server versions.
func (c *mongoCollection) readPlan(v bson.RawValue, winning bool, p *Plan) {
	switch v.Type {
	case bson.TypeArray:
		values, _ := v.Array().Values()
		for _, inner := range values {
			c.readPlan(inner, winning, p)
		}
	case bson.TypeEmbeddedDocument:
		elements, _ := v.Document().Elements()
		for _, e := range elements {
			if text, ok := e.Value().StringValueOK(); winning && ok {
				c.readStage(e.Key(), text, p)
			}
			c.readPlan(e.Value(), winning || e.Key() == "winningPlan", p)
		}
	}
}

func (c *mongoCollection) readStage(key, text string, p *Plan) {
	switch {
	case key == "indexName":
		p.Index = c.schema.byPhysical(text)
	case key == "stage" && text == "SORT":
		p.Sorts = true
	case key == "stage" && (text == "FETCH" || text == "COLLSCAN"):
		p.Covers = false
	}
}
