package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// maxRaw bounds what is kept of a bad record, in bytes.
	maxRaw = 64 << 10
	// maxProblem bounds what is said of it.
	maxProblem = 300
	// QuarantinedFor is how long a bad record is kept after it was last met.
	QuarantinedFor = 30 * 24 * time.Hour
	// hopeless is how many bad records end a sync when they are more than the good ones: then it is not the records.
	hopeless = 1000
)

// bad is a record that cannot be one, as it is kept.
type bad struct {
	ConnectionID string `json:"connection_id"`
	Vendor       string `json:"vendor"`
	Stream       string `json:"stream"`
	// RecordID is the vendor's id; empty where that is what is missing.
	RecordID string `json:"record_id,omitempty"`
	Problem  string `json:"problem"`
	// Raw is what the vendor wrote; empty where that was too long.
	Raw string `json:"raw,omitempty"`
	// Since is from when on the sync read that met it: one that reads from there meets it again, if it is as it was.
	Since store.Time `json:"since,omitzero"`
	// RunID is the sync that met it last.
	RunID   string     `json:"run_id"`
	FirstAt store.Time `json:"first_at"`
	LastAt  store.Time `json:"last_at"`
}

func openQuarantine(ctx context.Context, db store.DB) (*store.Collection[bad], error) {
	return store.Tenant[bad](ctx, db, store.Def{Name: "sync-quarantine", Indexes: []store.Index{
		{Name: "all", Fields: []string{"last_at"}},
		{Name: "connection", Fields: []string{"connection_id", "last_at"}},
		{Name: "stream", Fields: []string{"connection_id", "stream", "record_id"}},
	}})
}

// badID is what a bad record is kept under: the same each time that it is met.
func badID(connection, stream string, b connector.Bad) string {
	which := []byte(b.ID)
	if b.ID == "" {
		which = append([]byte{0}, b.Raw...)
	}
	sum := sha256.Sum256(append([]byte(connection+"\x00"+stream+"\x00"), which...))
	return hex.EncodeToString(sum[:16])
}

// quarantine keeps the bad records of a page, but for those that mention somebody who was erased.
func (s *Service) quarantine(ctx context.Context, organization string, of bad, page []connector.Bad) error {
	if len(page) == 0 {
		return nil
	}
	erased, err := s.Records.ErasedPersons(ctx, organization)
	if err != nil {
		return err
	}
	kept := s.bad.In(organization)
	for _, b := range page {
		if erased.In(string(b.Raw)) {
			continue
		}
		one := of
		one.RecordID, one.Problem, one.Raw = clip(b.ID, maxProblem), clip(said(b.Err), maxProblem), string(b.Raw)
		if len(one.Raw) > maxRaw || !utf8.ValidString(one.Raw) {
			one.Raw = ""
		}
		one.FirstAt = store.At(s.Now())
		one.LastAt = one.FirstAt
		id := badID(of.ConnectionID, of.Stream, b)
		_, err := kept.Insert(ctx, id, one)
		if errors.Is(err, store.ErrExists) {
			_, err = kept.Update(ctx, id, func(had *bad) ([]store.Message, error) {
				if first := had.FirstAt; had.RunID != one.RunID || had.Raw != one.Raw || had.Problem != one.Problem {
					*had = one
					had.FirstAt = first
				}
				return nil, nil
			})
		}
		if err != nil {
			return fmt.Errorf("keep a bad record: %w", err)
		}
	}
	return nil
}

// said is what is wrong, without the words around it that are for a whole answer.
func said(err error) string {
	var e *connector.Error
	if errors.As(err, &e) && e.Cause != nil {
		err = e.Cause
	}
	return err.Error()
}

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// inQuarantine are the bad records of a stream by the vendor's ids. There are none nearly always.
func (s *Service) inQuarantine(ctx context.Context, organization, connection, stream string) (map[string]string, error) {
	all := map[string]string{}
	err := s.bad.In(organization).Each(ctx, store.Query{Index: "stream", Equal: []any{connection, stream}}, func(doc store.Doc[bad]) error {
		if doc.Value.RecordID != "" {
			all[doc.Value.RecordID] = doc.ID
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for bad records of the stream: %w", err)
	}
	return all, nil
}

// good drops those bad records of which a page has a good version.
func (s *Service) good(ctx context.Context, organization, connection string, known map[string]string, page connector.Records) error {
	if len(known) == 0 {
		return nil
	}
	for _, id := range page.IDs() {
		own := id[min(len(id), len(connection)+1):]
		if which, was := known[own]; was {
			if err := s.drop(ctx, organization, which); err != nil {
				return err
			}
			delete(known, own)
		}
	}
	return nil
}

func (s *Service) drop(ctx context.Context, organization, id string) error {
	if err := s.bad.In(organization).Delete(ctx, id, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("drop a bad record: %w", err)
	}
	return nil
}

// passed drops the bad records of a stream that a sync has not met again, although it has read all from where they were met: the vendor
// does not have them any more, or they are good now.
func (s *Service) passed(ctx context.Context, organization string, run runs.Run, in Input, since store.Time) error {
	err := s.bad.In(organization).Each(ctx, store.Query{Index: "stream", Equal: []any{in.ConnectionID, in.Stream}}, func(doc store.Doc[bad]) error {
		b := doc.Value
		if old := b.LastAt.Before(s.Now().Add(-QuarantinedFor)); !old && (b.RunID == run.ID || b.Since.Before(since.Time)) {
			return nil
		}
		return s.drop(ctx, organization, doc.ID)
	})
	if err != nil {
		return fmt.Errorf("drop bad records that are good now: %w", err)
	}
	return nil
}

// BadRecord is a record that did not validate, as its owner sees it.
type BadRecord struct {
	ID           string     `json:"id" doc:"Id of the entry" example:"9f86d081884c7d659a2feaa0c55ad015"`
	ConnectionID string     `json:"connection_id" doc:"Connection that it came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string     `json:"vendor" doc:"Vendor that has it" example:"shopify"`
	Stream       string     `json:"stream" doc:"Kind of data" example:"orders"`
	RecordID     string     `json:"record_id,omitempty" doc:"The vendor's id; missing where that is what is missing" example:"5001"`
	Problem      string     `json:"problem" doc:"What is wrong with it" example:"its currency is none: \"???\""`
	RunID        string     `json:"run_id" doc:"Sync that met it last" example:"0197a3f2-2222-7000-8000-000000000001"`
	FirstAt      store.Time `json:"first_at" format:"date-time" doc:"When it was first met, UTC" example:"1997-03-01T12:00:00.000000Z"`
	LastAt       store.Time `json:"last_at" format:"date-time" doc:"When it was last met, UTC" example:"1997-03-01T12:00:00.000000Z"`
	Raw          string     `json:"raw,omitempty" doc:"What the vendor wrote, as JSON; only where one entry is asked for, and missing where it was too long" example:"{\"id\":5001,\"currency\":\"???\"}"`
}

func viewOf(doc store.Doc[bad], raw bool) BadRecord {
	b := doc.Value
	v := BadRecord{
		ID: doc.ID, ConnectionID: b.ConnectionID, Vendor: b.Vendor, Stream: b.Stream, RecordID: b.RecordID, Problem: b.Problem, RunID: b.RunID,
		FirstAt: b.FirstAt, LastAt: b.LastAt,
	}
	if raw {
		v.Raw = b.Raw
	}
	return v
}

// BadRecords is a page of those.
type BadRecords struct {
	Items      []BadRecord `json:"items" nullable:"false" doc:"Records that did not validate, those that were met last first"`
	NextCursor string      `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// Quarantine reads a page of an organization's bad records, of one connection or, when it is empty, of all: store.ErrBadCursor.
func (s *Service) Quarantine(ctx context.Context, organization, connection, cursor string, limit int) (BadRecords, error) {
	recent := store.Range{Field: "last_at", From: store.At(s.Now().Truncate(24 * time.Hour).Add(-QuarantinedFor))} // of one value for all pages
	q := store.Query{Index: "all", Range: recent, Descending: true, Cursor: cursor, Limit: limit}
	if connection != "" {
		q.Index, q.Equal = "connection", []any{connection}
	}
	page, err := s.bad.In(organization).Find(ctx, q)
	if err != nil {
		return BadRecords{}, fmt.Errorf("list bad records: %w", err)
	}
	out := BadRecords{Items: []BadRecord{}, NextCursor: page.Next}
	for _, doc := range page.Items {
		out.Items = append(out.Items, viewOf(doc, false))
	}
	return out, nil
}

// Bad is one of them: a problem not_found.
func (s *Service) Bad(ctx context.Context, organization, id string) (BadRecord, error) {
	doc, err := s.bad.In(organization).Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return BadRecord{}, problem.NotFound("bad record").Wrap(err)
	}
	if err != nil {
		return BadRecord{}, fmt.Errorf("read a bad record: %w", err)
	}
	return viewOf(doc, true), nil
}

// BadAbout are those of an organization, of one connection or, when it is empty, of all, which about says yes to.
func (s *Service) BadAbout(ctx context.Context, organization, connection string, about func(BadRecord) bool) ([]BadRecord, error) {
	q := store.Query{Index: "all"}
	if connection != "" {
		q.Index, q.Equal = "connection", []any{connection}
	}
	found := []BadRecord{}
	err := s.bad.In(organization).Each(ctx, q, func(doc store.Doc[bad]) error {
		if v := viewOf(doc, true); about(v) {
			found = append(found, v)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look through bad records: %w", err)
	}
	return found, nil
}

// Replay starts a sync that reads a bad record again, with all that changed since: a problem not_found, or one of Start's.
func (s *Service) Replay(ctx context.Context, organization, id string) (runs.Run, error) {
	doc, err := s.bad.In(organization).Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return runs.Run{}, problem.NotFound("bad record").Wrap(err)
	}
	if err != nil {
		return runs.Run{}, fmt.Errorf("read a bad record: %w", err)
	}
	in := Input{ConnectionID: doc.Value.ConnectionID, Stream: doc.Value.Stream, Mode: Backfill}
	if !doc.Value.Since.IsZero() {
		in.Mode, in.Since = Incremental, doc.Value.Since
	}
	return s.Start(ctx, organization, in)
}

// Discard drops a bad record: a problem not_found.
func (s *Service) Discard(ctx context.Context, organization, id string) error {
	err := s.bad.In(organization).Delete(ctx, id, 0)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return problem.NotFound("bad record").Wrap(err)
	}
	return err
}

// tooBad is the end of a sync of which most records are bad.
func tooBad(at cursor) error {
	if at.Quarantined < hopeless || at.Quarantined < at.Records {
		return nil
	}
	return runs.Permanent(problem.New(http.StatusBadGateway, connector.CodeBadAnswer, "most records that the vendor sends cannot be understood"))
}
