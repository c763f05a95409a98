package sessions

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/store"
)

// Personal is what sessions tell of a person: where and with what they signed in to an organization.
func (s *Service) Personal() privacy.Personal {
	return privacy.Personal{Export: s.export, Erase: s.erasePerson}
}

func (s *Service) export(ctx context.Context, p privacy.Person) (map[string]any, error) {
	all := []authapi.Activity{}
	err := s.sessions.Each(ctx, store.Query{Index: byBegin, Equal: []any{p.User}}, func(doc store.Doc[session]) error {
		if doc.Value.Organization == p.Organization {
			all = append(all, doc.Value.activity(doc.ID, s.c.Now()))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("export sessions: %w", err)
	}
	return map[string]any{"sign_ins": all}, nil
}

// erasePerson ends what lives and empties what was of all that tells of the person.
func (s *Service) erasePerson(ctx context.Context, p privacy.Person) (documents int64, err error) {
	if err := s.RevokeIn(ctx, p.User, p.Organization, authapi.ByRemoval); err != nil {
		return 0, err
	}
	return s.empty(ctx, store.Query{Index: byBegin, Equal: []any{p.User}}, p.Organization)
}

// EraseOrganization ends and empties all sessions of an organization.
func (s *Service) EraseOrganization(ctx context.Context, organization string) error {
	live := store.Query{Index: byOrganization, Equal: []any{organization, nil}}
	err := s.sessions.Each(ctx, live, func(doc store.Doc[session]) error {
		return s.Revoke(ctx, doc.Value.User, doc.ID, authapi.ByRemoval)
	})
	if err != nil {
		return fmt.Errorf("end the sessions of an organization: %w", err)
	}
	_, err = s.empty(ctx, store.Query{Index: byOrganization, Equal: []any{organization}}, organization)
	return err
}

// empty takes address, user agent and device out of sessions of an organization. The documents stay for as long as an access
// token of theirs may live, so that every process learns of the ends, unless they are due before that.
func (s *Service) empty(ctx context.Context, q store.Query, organization string) (documents int64, err error) {
	err = s.sessions.Each(ctx, q, func(doc store.Doc[session]) error {
		if v := doc.Value; v.Organization != organization || v.Address+v.UserAgent+v.Device == "" {
			return nil // another's, or emptied before
		}
		end := store.At(s.c.Now().Add(tokenAlive))
		_, err := s.sessions.Update(ctx, doc.ID, func(v *session) ([]store.Message, error) {
			v.Address, v.UserAgent, v.Device = "", "", ""
			if end.Before(v.DeleteAfter.Time) {
				v.DeleteAfter = end
			}
			return nil, nil
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			documents++
		}
		return err
	})
	if err != nil {
		return documents, fmt.Errorf("erase sessions: %w", err)
	}
	return documents, nil
}
