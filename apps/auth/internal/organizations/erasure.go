package organizations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// confirmLate is how long groups may take to confirm before the log tells of it: they let a day pass before they erase what came
// late (see privacy.Config).
const confirmLate = 48 * time.Hour

// eraseLate is how long after the time of grace the erasure begins. Restoring ends with the grace, so processes whose clocks
// differ by less do not do both.
const eraseLate = time.Hour

// EraseDue begins the erasure of organizations whose time of grace is over, with the event that tells every group, and goes on
// with those that are being erased: it erases what this group keeps, and logs which others have not confirmed. It is a job.
func (s *Service) EraseDue(ctx context.Context) error {
	now := s.c.Now()
	due := store.Query{Index: accounts.ByEraseAt, Range: store.Range{Field: "erase_at", To: store.At(now.Add(-eraseLate))}}
	var wrong []error
	err := s.c.Accounts.Organizations.Each(ctx, due, func(doc store.Doc[accounts.Organization]) error {
		// One that cannot be erased must not keep the others.
		if err := s.erase(ctx, doc.ID); err != nil {
			wrong = append(wrong, fmt.Errorf("erase organization %s: %w", doc.ID, err))
		}
		return ctx.Err()
	})
	if err != nil {
		wrong = append(wrong, fmt.Errorf("look for organizations to erase: %w", err))
	}
	return errors.Join(wrong...)
}

func (s *Service) erase(ctx context.Context, organization string) error {
	now := s.c.Now()
	message, err := privacy.OrganizationErasing.Message(ctx, s.c.Emit, organization, privacy.Erasing{
		OrganizationID: organization, At: now.UTC(),
	})
	if err != nil {
		return err
	}
	doc, err := s.d.erasures.Insert(ctx, organization, erasure{BegunAt: store.At(now)}, message)
	if errors.Is(err, store.ErrExists) {
		doc, err = s.d.erasures.Get(ctx, organization)
	}
	if err != nil {
		return fmt.Errorf("note the erasure: %w", err)
	}
	if _, done := doc.Value.Confirmed[topology.Auth]; !done {
		if err := s.eraseOwn(ctx, organization); err != nil {
			return err
		}
	}
	view, err := s.Confirm(ctx, authapi.ErasureConfirmation{Organization: organization, Group: topology.Auth})
	if err != nil {
		return err
	}
	if len(view.Missing) > 0 && now.Sub(view.BegunAt) > confirmLate {
		s.c.Log.WarnContext(ctx, "groups have not confirmed that they erased an organization", "organization", organization, "groups", view.Missing)
	}
	return nil
}

// eraseOwn erases all that this group keeps of an organization but its document, which is the last to go. The people who worked
// for nobody else go with it.
func (s *Service) eraseOwn(ctx context.Context, organization string) error {
	for _, erase := range s.c.Erase {
		if err := erase(ctx, organization); err != nil {
			return err
		}
	}
	err := s.c.Accounts.Memberships.Each(ctx, membersOf(organization), func(doc store.Doc[accounts.Membership]) error {
		all, err := s.c.Accounts.MembershipsOf(ctx, doc.Value.User)
		if err != nil {
			return err
		}
		// The membership goes last: it leads to the person.
		if !slices.ContainsFunc(all, func(m store.Doc[accounts.Membership]) bool { return m.ID != doc.ID }) {
			if err := s.c.ErasePerson(ctx, doc.Value.User); err != nil {
				return fmt.Errorf("erase a person who works for nobody else: %w", err)
			}
		}
		if err := s.c.Accounts.Memberships.Delete(ctx, doc.ID, 0); err != nil && !accounts.IsNotFound(err) {
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("erase the members: %w", err)
	}
	if _, err := s.c.DB.EraseOrganization(ctx, organization); err != nil {
		return fmt.Errorf("erase what is kept of it: %w", err)
	}
	return nil
}

// Confirm notes that a group has erased all that it kept of an organization; once more changes nothing. With the last one the
// organization itself is gone. Problems: 404 not_found for one that is not being erased, 422 for no group.
func (s *Service) Confirm(ctx context.Context, c authapi.ErasureConfirmation) (*authapi.Erasure, error) {
	if !slices.Contains(s.c.Groups, c.Group) {
		return nil, problem.Invalid("body.group", "want one of "+topology.FormatGroups(s.c.Groups))
	}
	now := store.At(s.c.Now())
	doc, err := s.d.erasures.Update(ctx, c.Organization, func(e *erasure) ([]store.Message, error) {
		if _, again := e.Confirmed[c.Group]; !again {
			confirmed := maps.Clone(e.Confirmed)
			if confirmed == nil {
				confirmed = map[topology.Group]store.Time{}
			}
			confirmed[c.Group] = now
			e.Confirmed = confirmed
		}
		return nil, nil
	})
	if err == nil && doc.Value.DoneAt == nil && len(s.missing(doc.Value)) == 0 {
		doc, err = s.finish(ctx, c.Organization)
	}
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) {
		return nil, problem.NotFound("erasure").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("confirm an erasure: %w", err)
	}
	return s.erasureView(doc), nil
}

// finish ends an erasure that every group has confirmed.
func (s *Service) finish(ctx context.Context, organization string) (store.Doc[erasure], error) {
	// Once more, for what was written while the others were at work, such as late entries of its audit log.
	if err := s.eraseOwn(ctx, organization); err != nil {
		return store.Doc[erasure]{}, err
	}
	if err := s.c.Accounts.Organizations.Delete(ctx, organization, 0); err != nil && !accounts.IsNotFound(err) {
		return store.Doc[erasure]{}, err
	}
	now := store.At(s.c.Now())
	return s.d.erasures.Update(ctx, organization, func(e *erasure) ([]store.Message, error) {
		if e.DoneAt != nil {
			return nil, nil
		}
		e.DoneAt = &now
		erased, err := authapi.OrganizationErased.Message(ctx, s.c.Emit, organization, privacy.Erasing{
			OrganizationID: organization, At: now.Time,
		})
		return []store.Message{erased}, err
	})
}

func (s *Service) missing(e erasure) []topology.Group {
	return slices.DeleteFunc(slices.Clone(s.c.Groups), func(g topology.Group) bool {
		_, confirmed := e.Confirmed[g]
		return confirmed
	})
}

func (s *Service) erasureView(doc store.Doc[erasure]) *authapi.Erasure {
	view := &authapi.Erasure{
		Organization: doc.ID, BegunAt: doc.Value.BegunAt.Time, Confirmed: map[topology.Group]time.Time{},
		Missing: s.missing(doc.Value), DoneAt: instant(doc.Value.DoneAt),
	}
	for group, at := range doc.Value.Confirmed {
		view.Confirmed[group] = at.Time
	}
	return view
}

// Erasure is how far an organization is erased: 404 not_found for one that is not being erased.
func (s *Service) Erasure(ctx context.Context, organization string) (*authapi.Erasure, error) {
	doc, err := s.d.erasures.Get(ctx, organization)
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) {
		return nil, problem.NotFound("erasure").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read an erasure: %w", err)
	}
	return s.erasureView(doc), nil
}
