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
		_, err := s.acceptances.Update(ctx, doc.ID, func(a *acceptance) ([]store.Message, error) {
			a.Address, a.UserAgent, a.Session = "", "", ""
			return nil, nil
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil && doc.Value.Session != "" {
			documents++
		}
		return err
	})
	return documents, err
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
