package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// defaultDays is how long the log of an organization is kept that has said nothing.
	defaultDays = 400
	// cutAtOnce bounds the records between two cuts.
	cutAtOnce = 5000
)

// Retention is how long an organization keeps its log, with the version of that, 0 for one that was never set.
func (s *Service) Retention(ctx context.Context, organization string) (authapi.AuditRetention, int64, error) {
	doc, err := s.d.settings.In(organization).Get(ctx, only)
	if isNotFound(err) {
		return authapi.AuditRetention{Days: defaultDays}, 0, nil
	}
	if err != nil {
		return authapi.AuditRetention{}, 0, fmt.Errorf("read the retention of the audit log: %w", err)
	}
	return authapi.AuditRetention{Days: doc.Value.Days}, doc.Version, nil
}

// SetRetention replaces what was read at version, -1 for whatever is there: 412 precondition_failed.
func (s *Service) SetRetention(ctx context.Context, organization string, r authapi.AuditRetention, version int64) (int64, error) {
	before, current, err := s.Retention(ctx, organization)
	if err != nil {
		return 0, err
	}
	if version < 0 {
		version = current
	}
	m, err := s.entry(ctx, organization, "retention", "", map[string]string{
		"days": strconv.Itoa(r.Days), "before": strconv.Itoa(before.Days),
	})
	if err != nil {
		return 0, err
	}
	settings, value := s.d.settings.In(organization), retention{r.Days}
	var doc store.Doc[retention]
	if version == 0 {
		doc, err = settings.Insert(ctx, only, value, m)
	} else {
		doc, err = settings.Replace(ctx, store.Doc[retention]{ID: only, Version: version, Value: value}, m)
	}
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrNotFound):
		return 0, problem.New(http.StatusPreconditionFailed, problem.CodePrecondition, "it was changed since it was read; read it again").Wrap(err)
	case err != nil:
		return 0, fmt.Errorf("set the retention of the audit log: %w", err)
	}
	return doc.Version, nil
}

// Trim deletes the records of every organization that it keeps no longer. It is a daily job.
func (s *Service) Trim(ctx context.Context) error {
	var wrong []error
	err := s.c.Accounts.Organizations.Each(ctx, store.Query{}, func(doc store.Doc[accounts.Organization]) error {
		// A log that is broken must not keep the others.
		if err := s.trim(ctx, doc.ID); err != nil {
			wrong = append(wrong, fmt.Errorf("trim the audit log of organization %s: %w", doc.ID, err))
		}
		return ctx.Err()
	})
	return errors.Join(append(wrong, err)...)
}

func (s *Service) trim(ctx context.Context, organization string) error {
	r, _, err := s.Retention(ctx, organization)
	if err != nil {
		return err
	}
	before := s.c.Now().AddDate(0, 0, -r.Days)
	for {
		h, err := s.head(ctx, organization)
		if err != nil {
			return err
		}
		// What an earlier cut left behind when its process ended.
		if err := s.discard(ctx, organization, h.Cut.Sequence); err != nil {
			return err
		}
		to, err := s.old(ctx, organization, h.Cut, before)
		if err != nil || to.Sequence == h.Cut.Sequence {
			return err
		}
		if err := s.cut(ctx, organization, h.Cut, to); err != nil {
			return err
		}
	}
}

var errBroken = errors.New("the chain is broken, so nothing is deleted")

// old is the last of the records from a place on that are all older than before. It proves them first: to delete what was
// changed would be to delete the proof.
func (s *Service) old(ctx context.Context, organization string, from mark, before time.Time) (mark, error) {
	q := store.Query{Index: bySequence, Range: store.Range{Field: "sequence", From: from.Sequence + 1, To: from.Sequence + 1 + cutAtOnce}}
	at := from
	err := s.d.records.In(organization).Each(ctx, q, func(doc store.Doc[record]) error {
		r := doc.Value
		if !r.RecordedAt.Before(before) {
			return errEnough
		}
		intact, err := r.intact(organization, doc.ID)
		if err != nil {
			return err
		}
		if !intact || r.Sequence != at.Sequence+1 || !bytes.Equal(r.Previous, at.Hash) {
			return fmt.Errorf("record %d: %w", at.Sequence+1, errBroken)
		}
		at = r.mark()
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return mark{}, err
	}
	return at, nil
}

// cut moves the beginning of the log to behind a record, before anything is deleted, so that the log is provable whenever its
// process ends.
func (s *Service) cut(ctx context.Context, organization string, from, to mark) error {
	m, err := s.entry(ctx, organization, "trim", "", map[string]string{
		"first": strconv.FormatInt(from.Sequence+1, 10), "last": strconv.FormatInt(to.Sequence, 10),
	})
	if err != nil {
		return err
	}
	_, err = s.d.heads.In(organization).Update(ctx, only, func(h *head) ([]store.Message, error) {
		if h.Cut.Sequence != from.Sequence { // another process did it
			return nil, nil
		}
		h.Cut = to
		return []store.Message{m}, nil
	})
	return wrapped(err, "move the beginning of the audit log")
}

// discard deletes the records up to a sequence number.
func (s *Service) discard(ctx context.Context, organization string, to int64) error {
	records := s.d.records.In(organization)
	q := store.Query{Index: bySequence, Range: store.Range{Field: "sequence", To: to + 1}}
	err := records.Each(ctx, q, func(doc store.Doc[record]) error {
		if err := records.Delete(ctx, doc.ID, 0); err != nil && !isNotFound(err) {
			return err
		}
		return nil
	})
	return wrapped(err, "delete old records")
}
