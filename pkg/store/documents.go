package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// maxID bounds organization and document ids, in bytes.
const maxID = 400

// Collection is tenant data: nothing of it can be reached before an organization is named.
type Collection[T any] struct{ documents Documents[T] }

// Documents is a collection's documents: one organization's, or a System collection's.
type Documents[T any] struct {
	schema     *schema
	collection collection
	org        string
}

// Tenant opens a collection of tenant data, making or changing its indexes as declared. A declared field that T does
// not have, or that cannot be ordered, is an error, as is opening the same name with another declaration.
func Tenant[T any](ctx context.Context, db DB, def Def) (*Collection[T], error) {
	d, err := open[T](ctx, db, def, true)
	if err != nil {
		return nil, err
	}
	return &Collection[T]{*d}, nil
}

// System opens a collection that belongs to no tenant, such as the lookup of a login by e-mail. Errors as for Tenant.
func System[T any](ctx context.Context, db DB, def Def) (*Documents[T], error) {
	return open[T](ctx, db, def, false)
}

func open[T any](ctx context.Context, db DB, def Def, tenant bool) (*Documents[T], error) {
	s, err := newSchema(def, tenant, reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	c, err := db.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("open collection %s: %w", def.Name, err)
	}
	return &Documents[T]{schema: s, collection: c}, nil
}

// In is the organization's documents. With an empty organization every operation fails with ErrNoOrganization.
func (c *Collection[T]) In(organization string) *Documents[T] {
	d := c.documents
	d.org = organization
	return &d
}

// Get reads a document: ErrNotFound.
func (d *Documents[T]) Get(ctx context.Context, id string) (Doc[T], error) {
	if err := d.check(id); err != nil {
		return Doc[T]{}, d.failed("get", id, err)
	}
	r, err := d.collection.get(ctx, d.org, id)
	if err != nil {
		return Doc[T]{}, d.failed("get", id, err)
	}
	return d.decode(r)
}

// Refresh is the document have as Get reads it now: ErrNotFound. When it has not changed since have was read, the answer is have
// itself, which saves decoding a value that is asked for again and again.
func (d *Documents[T]) Refresh(ctx context.Context, have Doc[T]) (Doc[T], error) {
	if err := d.check(have.ID); err != nil {
		return Doc[T]{}, d.failed("refresh", have.ID, err)
	}
	r, err := d.collection.get(ctx, d.org, have.ID)
	if err != nil {
		return Doc[T]{}, d.failed("refresh", have.ID, err)
	}
	// A document that was deleted and inserted anew may have the same version.
	if have.Organization == d.org && have.Version == r.version && have.CreatedAt.Equal(r.created) {
		return have, nil
	}
	return d.decode(r)
}

// Insert stores a new document: ErrExists, ErrDuplicate.
func (d *Documents[T]) Insert(ctx context.Context, id string, value T, messages ...Message) (Doc[T], error) {
	r, doc, err := d.prepare(id, value)
	if err == nil {
		messages, err = complete(messages)
	}
	if err != nil {
		return Doc[T]{}, d.failed("insert", id, err)
	}
	r.version, r.created = 1, r.updated
	if err := d.collection.insert(ctx, d.org, r, messages); err != nil {
		return Doc[T]{}, d.failed("insert", id, err)
	}
	doc.Version, doc.CreatedAt = r.version, r.created
	return doc, nil
}

// Replace stores doc.Value over the version that doc was read at: ErrConflict, ErrNotFound, ErrDuplicate. A document
// deleted and inserted anew since doc was read is a conflict too, unless doc.CreatedAt is zero.
func (d *Documents[T]) Replace(ctx context.Context, doc Doc[T], messages ...Message) (Doc[T], error) {
	r, written, err := d.prepare(doc.ID, doc.Value)
	if err == nil {
		messages, err = complete(messages)
	}
	if err == nil && doc.Organization != "" && doc.Organization != d.org {
		err = fmt.Errorf("%w: document of another organization", ErrBadID)
	}
	if err != nil {
		return Doc[T]{}, d.failed("replace", doc.ID, err)
	}
	r.version, r.created = doc.Version+1, doc.CreatedAt
	if err := d.collection.replace(ctx, d.org, r, messages); err != nil {
		return Doc[T]{}, d.failed("replace", doc.ID, err)
	}
	written.Version, written.CreatedAt = r.version, doc.CreatedAt
	return written, nil
}

// Update reads a document, lets change edit it and stores it, again from the start when another writer came between, until
// ctx ends: ErrNotFound, ErrDuplicate, or change's own error, unwrapped. So change may run several times and must have no
// effect of its own; the messages of the run that was stored count. A value left as it was, without messages, is not written.
func (d *Documents[T]) Update(ctx context.Context, id string, change func(*T) ([]Message, error)) (Doc[T], error) {
	if err := d.check(id); err != nil {
		return Doc[T]{}, d.failed("update", id, err)
	}
	for attempt := 0; ; attempt++ {
		doc, err := d.tryUpdate(ctx, id, change)
		if !errors.Is(err, ErrConflict) {
			return doc, err
		}
		// Waiting a random while lets one of many writers through; the bound keeps the slowest from starving.
		wait := time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 7)))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Doc[T]{}, d.failed("update", id, errors.Join(err, ctx.Err()))
		}
	}
}

func (d *Documents[T]) tryUpdate(ctx context.Context, id string, change func(*T) ([]Message, error)) (Doc[T], error) {
	r, err := d.collection.get(ctx, d.org, id)
	if err != nil {
		return Doc[T]{}, d.failed("update", id, err)
	}
	doc, err := d.decode(r)
	if err != nil {
		return Doc[T]{}, err
	}
	messages, err := change(&doc.Value)
	if err != nil {
		return Doc[T]{}, err
	}
	if len(messages) == 0 {
		body, err := json.Marshal(doc.Value)
		if err == nil && bytes.Equal(body, r.body) {
			return doc, nil
		}
	}
	return d.Replace(ctx, doc, messages...)
}

// PutMany inserts or replaces many documents in one durable step, whatever their versions, and tells how many differed from
// what was stored; the others keep version and time. Of several puts with one id the last counts. Messages are stored only
// if something changed, and become visible after all documents. ErrDuplicate: SQLite then keeps nothing of the call; MongoDB
// may keep documents before the refused one, never the messages, so repeating the call completes it.
func (d *Documents[T]) PutMany(ctx context.Context, puts []Put[T], messages ...Message) (changed int, err error) {
	bodies := make([]Put[[]byte], 0, len(puts))
	at := make(map[string]int, len(puts))
	if err := d.bound(); err != nil {
		return 0, d.failed("put many", "", err)
	}
	for _, p := range puts {
		r, _, err := d.prepare(p.ID, p.Value)
		if err != nil {
			return 0, d.failed("put many", p.ID, err)
		}
		if i, again := at[p.ID]; again {
			bodies[i].Value = r.body
			continue
		}
		at[p.ID] = len(bodies)
		bodies = append(bodies, Put[[]byte]{p.ID, r.body})
	}
	if messages, err = complete(messages); err != nil {
		return 0, d.failed("put many", "", err)
	}
	if len(bodies) == 0 {
		return 0, nil
	}
	changed, err = d.collection.putMany(ctx, d.org, cut(d.collection.clock()), bodies, messages)
	if err != nil {
		return 0, d.failed("put many", "", err)
	}
	return changed, nil
}

// InsertMany stores many new documents in one durable step and leaves those alone that are there already, whatever their
// values: it tells their ids. Of several puts with one id the first counts. ErrDuplicate: SQLite then keeps nothing of the
// call; MongoDB may keep some, so repeating the call completes it.
func (d *Documents[T]) InsertMany(ctx context.Context, puts []Put[T]) (there []string, err error) {
	if err := d.bound(); err != nil {
		return nil, d.failed("insert many", "", err)
	}
	records := make([]record, 0, len(puts))
	seen := make(map[string]bool, len(puts))
	for _, p := range puts {
		r, _, err := d.prepare(p.ID, p.Value)
		if err != nil {
			return nil, d.failed("insert many", p.ID, err)
		}
		if seen[p.ID] {
			continue
		}
		seen[p.ID] = true
		r.version, r.created = 1, r.updated
		records = append(records, r)
	}
	if len(records) == 0 {
		return nil, nil
	}
	if there, err = d.collection.insertMany(ctx, d.org, records); err != nil {
		return nil, d.failed("insert many", "", err)
	}
	return there, nil
}

// Delete removes a document at a version, 0 for any: ErrNotFound, ErrConflict.
func (d *Documents[T]) Delete(ctx context.Context, id string, version int64, messages ...Message) error {
	err := d.check(id)
	if err == nil {
		messages, err = complete(messages)
	}
	if err == nil {
		err = d.collection.delete(ctx, d.org, id, version, cut(d.collection.clock()), messages)
	}
	if err != nil {
		return d.failed("delete", id, err)
	}
	return nil
}

// prepare checks a write and encodes its value.
func (d *Documents[T]) prepare(id string, value T) (record, Doc[T], error) {
	if err := d.check(id); err != nil {
		return record{}, Doc[T]{}, err
	}
	body, err := json.Marshal(value)
	if err != nil {
		return record{}, Doc[T]{}, fmt.Errorf("encode value: %w", err)
	}
	now := cut(d.collection.clock())
	return record{id: id, updated: now, body: body}, Doc[T]{ID: id, Organization: d.org, UpdatedAt: now, Value: value}, nil
}

func (d *Documents[T]) decode(r record) (Doc[T], error) {
	doc := Doc[T]{ID: r.id, Organization: d.org, Version: r.version, CreatedAt: r.created, UpdatedAt: r.updated}
	if err := json.Unmarshal(r.body, &doc.Value); err != nil {
		return Doc[T]{}, d.failed("decode", r.id, err)
	}
	return doc, nil
}

func (d *Documents[T]) check(id string) error {
	if err := d.bound(); err != nil {
		return err
	}
	return checkID("document", id)
}

// bound refuses a tenant's collection without a tenant.
func (d *Documents[T]) bound() error {
	if !d.schema.tenant {
		return nil
	}
	return checkOrganization(d.org)
}

func checkOrganization(org string) error {
	if org == "" {
		return ErrNoOrganization
	}
	if strings.Contains(org, "/") {
		return fmt.Errorf("%w: organization id with a slash", ErrBadID) // it separates organization and id in MongoDB's _id
	}
	return checkID("organization", org)
}

func checkID(what, id string) error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if id == "" || len(id) > maxID || !utf8.ValidString(id) || strings.ContainsFunc(id, control) {
		return fmt.Errorf("%w: %s id of %d bytes; want 1 to %d of UTF-8 without control characters", ErrBadID, what, len(id), maxID)
	}
	return nil
}

func (d *Documents[T]) failed(doing, id string, err error) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("%s in %s: %w", doing, d.schema.name, err)
	}
	return fmt.Errorf("%s %s/%s: %w", doing, d.schema.name, id, err)
}

// complete is messages with the missing ids made.
func complete(messages []Message) ([]Message, error) {
	messages = slices.Clone(messages)
	for i := range messages {
		if messages[i].Topic == "" {
			return nil, errors.New("message without a topic")
		}
		if messages[i].ID != "" {
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make a message id: %w", err)
		}
		messages[i].ID = id.String()
	}
	return messages, nil
}

// cut is what both backends keep of a time.
func cut(t time.Time) time.Time { return At(t).Time }
