package legal

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/store"
)

// Personal is what is kept of a person: what they accepted while they were signed in to an organization. That
// a text was accepted, and when, stays as the platform's evidence (GDPR, article 17(3)(e)); where from, with
// what and in which session goes, so that with the account there is nobody left whom it is about.
func (s *Service) Personal() privacy.Personal {
	return privacy.Personal{Export: s.export, Erase: s.erase}
}

func (s *Service) export(ctx context.Context, p privacy.Person) (map[string]any, error) {
	all := []*authapi.LegalAcceptance{}
	err := s.each(ctx, p, func(doc store.Doc[acceptance]) error {
		all = append(all, evidence(doc.Value))
		return nil
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return map[string]any{"acceptances": all}, nil
}

func (s *Service) erase(ctx context.Context, p privacy.Person) (documents int64, err error) {
	err = s.each(ctx, p, func(doc store.Doc[acceptance]) error {
		if doc.Value.Session != "" {
			documents++
		}
		return s.empty(ctx, doc.ID, p.Organization)
	})
	return documents, err
}

// EraseOrganization takes an organization out of what was accepted while people were signed in to it.
func (s *Service) EraseOrganization(ctx context.Context, organization string) error {
	err := s.acceptances.Each(ctx, store.Query{Index: byOrganization, Equal: []any{organization}}, func(doc store.Doc[acceptance]) error {
		return s.empty(ctx, doc.ID, "")
	})
	if err != nil {
		return fmt.Errorf("erase an organization from the acceptances: %w", err)
	}
	return nil
}

// empty leaves of an acceptance that a text was accepted, when, and in which organization.
func (s *Service) empty(ctx context.Context, id, organization string) error {
	_, err := s.acceptances.Update(ctx, id, func(a *acceptance) ([]store.Message, error) {
		a.Address, a.UserAgent, a.Session, a.Organization = "", "", "", organization
		return nil, nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// each goes through what p accepted in their organization.
func (s *Service) each(ctx context.Context, p privacy.Person, do func(store.Doc[acceptance]) error) error {
	err := s.acceptances.Each(ctx, store.Query{Index: byUser, Equal: []any{p.User}}, func(doc store.Doc[acceptance]) error {
		if doc.Value.Organization != p.Organization {
			return nil
		}
		return do(doc)
	})
	if err != nil {
		return fmt.Errorf("go through the acceptances of a person: %w", err)
	}
	return nil
}
