package sso

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/store"
)

// Personal is what single sign-on does about a person in an organization: as whom they came by its connections.
func (s *Service) Personal() privacy.Personal {
	return privacy.Personal{Export: s.export, Erase: s.erasePerson}
}

// federated is a link as the person it is about sees it.
type federated struct {
	Connection string    `json:"connection_id"`
	Since      time.Time `json:"since"`
}

func (s *Service) export(ctx context.Context, p privacy.Person) (map[string]any, error) {
	all := []federated{}
	err := s.d.links.Each(ctx, linksOfUser(p.User), func(doc store.Doc[link]) error {
		if doc.Value.Organization == p.Organization {
			all = append(all, federated{doc.Value.Connection, doc.Value.CreatedAt.Time})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("export federated identities: %w", err)
	}
	return map[string]any{"federated_identities": all}, nil
}

func (s *Service) erasePerson(ctx context.Context, p privacy.Person) (documents int64, err error) {
	err = s.d.links.Each(ctx, linksOfUser(p.User), func(doc store.Doc[link]) error {
		if doc.Value.Organization != p.Organization {
			return nil
		}
		err := s.d.links.Delete(ctx, doc.ID, 0)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			documents++
		}
		return err
	})
	if err != nil {
		return documents, fmt.Errorf("erase federated identities: %w", err)
	}
	return documents, nil
}

func linksOfUser(user string) store.Query {
	return store.Query{Index: byUser, Equal: []any{user}}
}

// ErasePerson deletes all that is kept of a user, in whatever organization.
func (s *Service) ErasePerson(ctx context.Context, user string) error {
	if err := s.d.links.DeleteAll(ctx, linksOfUser(user)); err != nil {
		return fmt.Errorf("erase the identities of a user: %w", err)
	}
	return nil
}
