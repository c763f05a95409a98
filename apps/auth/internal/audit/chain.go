package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
)

// Record takes an entry into its organization's log. It may come again, and several processes may take entries at once: the
// record's id is the event's, and its place in the log belongs to one record only, so whoever is second takes the next.
func (s *Service) Record(ctx context.Context, e events.Event[audit.Entry]) error {
	if e.Organization == "" || e.Data.Action == "" {
		return events.Poison(errors.New("an audit entry of no organization, or of no action"))
	}
	id := e.ID
	if e.Data.ID != "" {
		id = e.Data.ID
	}
	r, err := newRecord(e.Data, store.At(s.c.Now()), s.c.Random)
	if err != nil {
		return err
	}
	if err := s.forgetErased(ctx, e.Organization, &r); err != nil {
		return err
	}
	err = s.append(ctx, e.Organization, id, r)
	if errors.Is(err, store.ErrBadID) {
		return events.Poison(err)
	}
	return err
}

// forgetErased keeps those out of an entry who were erased: of what was done before, and of what follows from it, such as that
// grants are withdrawn, for as long as they have not come back.
func (s *Service) forgetErased(ctx context.Context, organization string, r *record) error {
	for _, user := range r.people() {
		doc, err := s.d.erased.In(organization).Get(ctx, user)
		if isNotFound(err) || errors.Is(err, store.ErrBadID) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for an erased person: %w", err)
		}
		if r.At.After(doc.Value.At.Time) {
			_, err := s.c.Accounts.Membership(ctx, organization, user)
			if err == nil {
				continue
			}
			if !isNotFound(err) {
				return fmt.Errorf("look whether an erased person has come back: %w", err)
			}
		}
		r.erase(user)
	}
	return nil
}

// append puts r at the end of the log.
func (s *Service) append(ctx context.Context, organization, id string, r record) error {
	records := s.d.records.In(organization)
	at, err := s.end(ctx, organization)
	for attempt := 0; err == nil; attempt++ {
		r.Sequence, r.Previous = at.Sequence+1, at.Hash
		if r.Hash, err = r.digest(organization, id); err != nil {
			return err
		}
		_, err = records.Insert(ctx, id, r)
		switch {
		case err == nil:
			return s.raise(ctx, organization, r.mark())
		case errors.Is(err, store.ErrExists):
			doc, err := records.Get(ctx, id)
			if isNotFound(err) {
				return nil // too old by now
			}
			if err != nil {
				return fmt.Errorf("read a record: %w", err)
			}
			return s.raise(ctx, organization, doc.Value.mark()) // whoever wrote it may have ended before
		case !errors.Is(err, store.ErrDuplicate):
			return fmt.Errorf("write to the audit log: %w", err)
		}
		// The place is taken: by another process, or because the head lags behind.
		if attempt > 0 {
			if err := pause(ctx, attempt); err != nil {
				return fmt.Errorf("write to the audit log: %w", err)
			}
		}
		at, err = s.last(ctx, organization)
	}
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// pause lets one of many writers through.
func pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 7))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errClosed says that an organization's log is not to begin anew.
var errClosed = errors.New("the organization is gone")

// end is where the log ends, as far as its head knows.
func (s *Service) end(ctx context.Context, organization string) (mark, error) {
	h, err := s.head(ctx, organization)
	if err != nil || h.Last.Sequence > 0 {
		return h.Last, err
	}
	if _, err = s.d.closed.Get(ctx, organization); isNotFound(err) {
		return mark{}, nil
	}
	if err == nil {
		err = errClosed
	}
	return mark{}, err
}

// head is the zero head for a log that has none yet.
func (s *Service) head(ctx context.Context, organization string) (head, error) {
	doc, err := s.d.heads.In(organization).Get(ctx, only)
	if err != nil && !isNotFound(err) {
		return head{}, fmt.Errorf("read the head of the audit log: %w", err)
	}
	return doc.Value, nil
}

// last is the newest record that there is.
func (s *Service) last(ctx context.Context, organization string) (mark, error) {
	doc, err := s.d.records.In(organization).First(ctx, store.Query{Index: bySequence, Descending: true})
	if isNotFound(err) {
		return s.end(ctx, organization) // deleted by its age since
	}
	if err != nil {
		return mark{}, fmt.Errorf("read the end of the audit log: %w", err)
	}
	return doc.Value.mark(), nil
}

// raise moves the head forward to a record.
func (s *Service) raise(ctx context.Context, organization string, to mark) error {
	heads := s.d.heads.In(organization)
	for {
		_, err := heads.Update(ctx, only, func(h *head) ([]store.Message, error) {
			if h.Last.Sequence < to.Sequence {
				h.Last = to
			}
			return nil, nil
		})
		if !isNotFound(err) {
			return wrapped(err, "move the head of the audit log")
		}
		if _, err = heads.Insert(ctx, only, head{Last: to}); !errors.Is(err, store.ErrExists) {
			return wrapped(err, "write the head of the audit log")
		}
	}
}

func wrapped(err error, doing string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// What is wrong with a record.
const (
	changed = "changed"
	missing = "missing"
)

var errEnough = errors.New("enough was read")

// Verify proves the records from one sequence number to another, both inclusive; 0 stands for the first and the last there are.
// A range that begins in the middle is proved as the continuation of the hash in the record before it.
func (s *Service) Verify(ctx context.Context, organization string, from, to int64) (*authapi.AuditVerification, error) {
	for {
		h, err := s.head(ctx, organization)
		if err != nil {
			return nil, err
		}
		v, err := s.verify(ctx, organization, h, from, to)
		if err != nil || v.OK {
			return v, err
		}
		now, err := s.head(ctx, organization)
		if err != nil || now.Cut.Sequence == h.Cut.Sequence {
			return v, err
		}
		// Records were deleted by their age meanwhile.
	}
}

func (s *Service) verify(ctx context.Context, organization string, h head, from, to int64) (*authapi.AuditVerification, error) {
	at, v := h.Cut, &authapi.AuditVerification{Start: h.Cut.view(), Head: h.Last.view()}
	broken := func(sequence int64, reason string) (*authapi.AuditVerification, error) {
		v.Broken, v.Reason = sequence, reason
		return v, nil
	}
	v.From = max(from, at.Sequence+1)
	if v.From > at.Sequence+1 {
		before, err := s.d.records.In(organization).First(ctx, store.Query{Index: bySequence, Equal: []any{v.From - 1}})
		switch {
		case isNotFound(err) && v.From-1 <= h.Last.Sequence:
			return broken(v.From-1, missing)
		case isNotFound(err):
			v.OK = true // behind the end there is nothing
			return v, nil
		case err != nil:
			return nil, fmt.Errorf("read the record before the range: %w", err)
		}
		at = before.Value.mark()
	}
	q := store.Query{Index: bySequence, Range: store.Range{Field: "sequence", From: v.From}}
	if to > 0 {
		q.Range.To = to + 1
	}
	err := s.walk(ctx, organization, q, &at, h, v)
	switch {
	case err != nil:
		return nil, err
	case v.Broken > 0 || v.Next > 0:
	case to > 0 && at.Sequence < min(to, h.Last.Sequence), to == 0 && at.Sequence < h.Last.Sequence:
		return broken(at.Sequence+1, missing)
	case h.Last.Sequence == 0 && at.Sequence > 1: // the head is written with the first record
		return broken(at.Sequence+1, missing)
	}
	if v.Checked > 0 {
		v.To = at.Sequence
	}
	v.OK = v.Broken == 0
	return v, nil
}

// walk proves what q selects, in order, and moves at along.
func (s *Service) walk(ctx context.Context, organization string, q store.Query, at *mark, h head, v *authapi.AuditVerification) error {
	err := s.d.records.In(organization).Each(ctx, q, func(doc store.Doc[record]) error {
		r := doc.Value
		if v.Checked == s.most {
			v.Next = at.Sequence + 1
			return errEnough
		}
		if r.Sequence != at.Sequence+1 {
			v.Broken, v.Reason = at.Sequence+1, missing
			return errEnough
		}
		intact, err := r.intact(organization, doc.ID)
		if err != nil {
			return err
		}
		if !intact || !bytes.Equal(r.Previous, at.Hash) || r.Sequence == h.Last.Sequence && !bytes.Equal(r.Hash, h.Last.Hash) {
			v.Broken, v.Reason = r.Sequence, changed
			return errEnough
		}
		*at = r.mark()
		v.Checked++
		if r.erased() {
			v.Erased++
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("read the audit log: %w", err)
	}
	return nil
}
