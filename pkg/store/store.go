// Package store keeps documents: Go values with an id, a version and unique or ordered indexes, in one database a route
// group, embedded (SQLite) or served (MongoDB), with the same answers from both.
//
// A collection of tenant data is opened with Tenant and can only be reached through In(organization); System opens one
// that belongs to no tenant. A write is durable when it returns: it survives a killed process and a power cut. Events
// that belong to a write are given to it as messages: they are stored atomically with the document and wait in
// DB.Outbox() for whoever publishes them.
//
// Values are stored as their JSON. An indexed field is named as in that JSON ("customer.email"), must hold a string,
// an integer, a float, a boolean or a Time (never a time.Time, whose JSON does not sort) and may be missing or null,
// which sorts first and is never a duplicate. Integers are exact over the whole of int64.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that callers tell apart with errors.Is. Every other error is the backend's own, wrapped.
var (
	ErrNotFound       = errors.New("document not found")
	ErrExists         = errors.New("a document with this id exists")
	ErrDuplicate      = errors.New("duplicate unique key") // always inside a *DuplicateError
	ErrConflict       = errors.New("document was changed by another writer")
	ErrNoOrganization = errors.New("tenant collection used without an organization")
	ErrBadCursor      = errors.New("malformed cursor, or cursor of another query")
	ErrBadQuery       = errors.New("query does not fit the collection")
	ErrBadID          = errors.New("malformed document or organization id")
	ErrFull           = errors.New("no room left to store") // nothing of the write was kept; works again once there is room
	ErrBusy           = errors.New("database locked by another process")
)

// DuplicateError says which unique index refused a write. It matches ErrDuplicate.
type DuplicateError struct {
	Collection string
	Index      string // Index.Name, empty when the server did not say
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%v: collection %s, index %s", ErrDuplicate, e.Collection, e.Index)
}

// Is makes errors.Is(err, ErrDuplicate) true.
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

// Message is an event to publish, stored with the write it is given to.
type Message struct {
	ID    string // what consumers deduplicate by; a new UUID when empty
	Topic string // required
	Data  []byte
}

// Index declares an order in which documents can be found.
type Index struct {
	Name   string   // letters, digits, "_" and "-"
	Fields []string // JSON names, dotted for nested ones; the order is by these, then by id
	Unique bool     // no two documents of an organization have the same values in Fields
	// Include names further fields to carry in the index, so that a Sum over it reads no document. They do not order.
	Include []string
}

// UpdatedAt is, as a field of an index, when a document was written last (Doc.UpdatedAt), by the clock of the process that wrote it. That
// process stamps a document before it is stored, so of two writes the later one may be visible first: see Query.
const UpdatedAt = "$updated"

// Def declares a collection. Changing its indexes is enough: they are rebuilt when it is opened.
type Def struct {
	Name    string // letters, digits, "_" and "-"; identity of the stored data, so it must not change
	Indexes []Index
	// Owner names the index of a System collection by whose first field each document belongs to an organization, or to none
	// where it is missing. EraseOrganization erases by it.
	Owner string
	// Migrations make values of older versions of the collection what they are now: the first takes those of version 0, and the
	// collection's version is how many there are. Append to them only: what was stored may be of any older version. A collection is
	// migrated when it is opened, before that returns, whether or not an earlier attempt was cut off. Older code is refused with
	// ErrNewer when it opens it, and when it has it open still and changes a document that was migrated; what it reads may be refused
	// too, or be of the newer version. Versions and times of documents stay.
	Migrations []Migration
}

// Doc is a stored value and what the store knows about it.
type Doc[T any] struct {
	ID           string
	Organization string    // empty in a System collection
	Version      int64     // 1 when inserted, one more with every change
	CreatedAt    time.Time // UTC, microseconds
	UpdatedAt    time.Time // UTC, microseconds
	Value        T
}

// Put is one document of a PutMany.
type Put[T any] struct {
	ID    string
	Value T
}

// DB is one group's database. It is made by OpenSQLite or OpenMongo and safe for concurrent use.
type DB interface {
	// Ping answers whether documents can be read now: ErrNewer once newer code has migrated a collection that is open here.
	Ping(ctx context.Context) error
	// Close waits for running operations, at most a few seconds, and frees everything. Nothing is lost without it.
	Close() error
	// Room is how many bytes the documents take on the local disk, and how many more they may; zeros where they are elsewhere.
	Room() (used, free int64, err error)
	// Versions are the versions of the collections opened here that have migrations, by name.
	Versions() map[string]int
	// Outbox holds the messages of all collections opened on this database.
	Outbox() Outbox
	// EraseOrganization deletes every document of an organization in all Tenant collections that the database has, those not
	// opened here included, and in the System collections opened here with an Owner, and tells how many they were:
	// ErrNoOrganization, ErrBadID. It deletes a bounded number at a time, so
	// that other writers are not held up, and after an error the rest is there still; repeating the call completes it, as it
	// does for documents that were written meanwhile. Messages that wait in the outbox stay there until they are published. Room
	// is given back to the database, which uses it again without wiping it first.
	EraseOrganization(ctx context.Context, organization string) (documents int64, err error)

	open(ctx context.Context, s *schema) (collection, error)
}

// Outbox holds the messages that were stored with writes and not yet published. Publishing is at least once: a message
// stays until Done.
type Outbox interface {
	// Add stores messages that belong to no write. They are durable when it returns, and of several all or none.
	Add(ctx context.Context, messages ...Message) error
	// Pending returns up to limit messages, oldest first.
	Pending(ctx context.Context, limit int) ([]Message, error)
	// Done forgets published messages. Unknown ids are no error.
	Done(ctx context.Context, ids ...string) error
	// Wake receives after a write of this process stored messages; at most one signal is held. It says nothing about
	// other processes' writes, so look at Pending now and then as well.
	Wake() <-chan struct{}
}

// collection is what a backend does for one collection. Values are JSON, organizations and ids are checked, org is ""
// for System collections.
type collection interface {
	get(ctx context.Context, org, id string) (record, error)
	insert(ctx context.Context, org string, r record, messages []Message) error
	// replace writes r over version r.version-1 created at r.created (any creation when zero).
	replace(ctx context.Context, org string, r record, messages []Message) error
	insertMany(ctx context.Context, org string, records []record) (there []string, err error)
	putMany(ctx context.Context, org string, now time.Time, puts []Put[[]byte], messages []Message) (int, error)
	delete(ctx context.Context, org, id string, version int64, now time.Time, messages []Message) error
	find(ctx context.Context, org string, p plan) ([]record, error)
	count(ctx context.Context, org string, p plan) (int64, error)
	sum(ctx context.Context, org string, p plan, groupBy, fields []field) ([]Group, error)
	explain(ctx context.Context, org string, p plan, groupBy, fields []field) (Plan, error)
	clock() time.Time
}

// record is a document as backends see it.
type record struct {
	id               string
	version          int64
	created, updated time.Time
	body             []byte
}

// outboxWake is the Wake channel both backends share.
type outboxWake chan struct{}

func (w outboxWake) signal() {
	select {
	case w <- struct{}{}:
	default:
	}
}
