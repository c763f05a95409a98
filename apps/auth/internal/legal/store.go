package legal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

// series are all versions of one kind of document, the first one first. They are one document under the
// kind's name: they follow each other without gaps, and what somebody must accept takes few reads.
type series struct {
	Versions []document `json:"versions"`
	// DueAt is when the next of them takes effect; nil when none is announced.
	DueAt *store.Time `json:"due_at,omitempty"`
}

// document is a version of a document. What was published of it never changes.
type document struct {
	Kind        string     `json:"kind"`
	Version     int        `json:"version"`
	Mandatory   bool       `json:"mandatory,omitempty"`
	Texts       []text     `json:"texts"`
	PublishedAt store.Time `json:"published_at"`
	EffectiveAt store.Time `json:"effective_at"`
	// InForceAt is when some process saw that it had taken effect; from then on it has for all of them, also
	// for those whose clocks are behind.
	InForceAt   *store.Time `json:"in_force_at,omitempty"`
	WithdrawnAt *store.Time `json:"withdrawn_at,omitempty"`
}

// text is a document's text in one language, less the text.
type text struct {
	Locale string `json:"locale"`
	Title  string `json:"title"`
	SHA256 string `json:"sha256"`
}

// body is a text, under its hash.
type body struct {
	Text string `json:"text"`
}

// acceptance is the evidence that a user accepted a text.
type acceptance struct {
	User         string     `json:"user"`
	Organization string     `json:"organization"`
	Session      string     `json:"session"`
	Kind         string     `json:"kind"`
	Version      int        `json:"version"`
	Locale       string     `json:"locale"`
	SHA256       string     `json:"sha256"`
	AcceptedAt   store.Time `json:"accepted_at"`
	Address      string     `json:"address,omitempty"`
	UserAgent    string     `json:"user_agent,omitempty"`
}

const (
	byDue          = "due-at"
	byUser         = "user"
	byVersion      = "user-version"
	byOrganization = "organization"
)

// collections belong to no tenant: the documents are the platform's, and a person accepts them once, in
// whichever organization they work.
type collections struct {
	series      *store.Documents[series]
	bodies      *store.Documents[body]
	acceptances *store.Documents[acceptance]
}

func openCollections(ctx context.Context, db store.DB) (c collections, err error) {
	c.series, err = store.System[series](ctx, db, store.Def{Name: "legal_documents", Indexes: []store.Index{
		{Name: byDue, Fields: []string{"due_at"}},
	}})
	if err != nil {
		return c, fmt.Errorf("open the legal documents: %w", err)
	}
	if c.bodies, err = store.System[body](ctx, db, store.Def{Name: "legal_texts"}); err != nil {
		return c, fmt.Errorf("open the legal texts: %w", err)
	}
	c.acceptances, err = store.System[acceptance](ctx, db, store.Def{Name: "legal_acceptances", Indexes: []store.Index{
		{Name: byUser, Fields: []string{"user", "accepted_at"}},
		{Name: byVersion, Fields: []string{"user", "kind", "version"}},
		{Name: byOrganization, Fields: []string{"organization"}},
	}})
	if err != nil {
		return c, fmt.Errorf("open the acceptances: %w", err)
	}
	return c, nil
}

// name is how a version is called: "terms/3".
func name(kind string, version int) string { return kind + "/" + strconv.Itoa(version) }

func acceptanceID(user, kind string, version int) string { return user + ":" + name(kind, version) }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// kinds are the versions of all kinds.
func (c collections) kinds(ctx context.Context) ([]versions, error) {
	var all []versions
	err := c.series.Each(ctx, store.Query{}, func(doc store.Doc[series]) error {
		all = append(all, doc.Value.Versions)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the legal documents: %w", err)
	}
	return all, nil
}

// kind are the versions of one kind, none for one that was never published.
func (c collections) kind(ctx context.Context, kind string) (versions, error) {
	doc, err := c.series.Get(ctx, kind)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrBadID) {
		return nil, fmt.Errorf("read a legal document: %w", err)
	}
	return doc.Value.Versions, nil
}

// keep stores a text under its hash.
func (c collections) keep(ctx context.Context, text string) error {
	if _, err := c.bodies.Insert(ctx, hash(text), body{text}); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("keep a legal text: %w", err)
	}
	return nil
}

// accepted tells whether user accepted one of the versions from first to last of a kind.
func (c collections) accepted(ctx context.Context, user, kind string, first, last int) (bool, error) {
	_, err := c.acceptances.Get(ctx, acceptanceID(user, kind, last)) // most often it is this one, found fastest
	if errors.Is(err, store.ErrNotFound) && first < last {
		_, err = c.acceptances.First(ctx, store.Query{
			Index: byVersion, Equal: []any{user, kind}, Range: store.Range{Field: "version", From: first, To: last},
		})
	}
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an acceptance: %w", err)
	}
	return true, nil
}

// due are the kinds with a version whose time has come.
func due(now time.Time) store.Query {
	return store.Query{Index: byDue, Range: store.Range{Field: "due_at", To: store.At(now.Add(time.Microsecond))}}
}

// announced are the kinds with a version whose time is to come, the next first.
func announced() store.Query {
	return store.Query{Index: byDue, Range: store.Range{Field: "due_at", From: store.At(time.Unix(0, 0))}}
}
