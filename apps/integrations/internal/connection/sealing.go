package connection

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// Secret is what may be told of the credentials of a connection.
type Secret struct {
	// Masked is the access token or the key with at most its last four characters; empty when it cannot be read.
	Masked string
	// Key names the key-encryption key, Current tells whether it is the current one.
	Key     string
	Current bool
}

const (
	mask = "****"
	// maskShows is how many characters are shown of a secret, of those that have at least maskFrom.
	maskShows, maskFrom = 4, 12
)

// masked hides a secret but for its end, by which people tell it from others. A short one is hidden as a whole.
func masked(secret string) string {
	if all := []rune(secret); len(all) >= maskFrom {
		return mask + string(all[len(all)-maskShows:])
	}
	return mask
}

// Secret is what may be told of the credentials of c; nil when it has none. To look at them like that is no use of them.
func (s *Service) Secret(ctx context.Context, organization string, c Connection) (*Secret, error) {
	if c.Credentials == nil {
		return nil, nil
	}
	kept, err := s.reveal(ctx, organization, c)
	if err != nil && !unreadable(err) {
		return nil, err
	}
	current, failed := s.Vault.Current(ctx)
	if failed != nil {
		return nil, failed
	}
	told := &Secret{Key: c.Credentials.Key, Current: c.Credentials.Key == current}
	if err == nil {
		told.Masked = masked(kept.AccessToken)
	}
	return told, nil
}

// unreadable tells whether a sealed value is the cause that it does not open.
func unreadable(err error) bool {
	return errors.Is(err, vault.ErrOtherKey) || errors.Is(err, vault.ErrTampered) || errors.Is(err, errUnreadable)
}

// Reseal encrypts with the current key what a former one has encrypted, of all organizations' connections, and counts. A connection
// whose credentials change meanwhile, or are being refreshed, keeps what it gets, and is left for the next time when that is of a
// former key still. So it may end anywhere and begin again. What keeps one from being stored keeps no other.
func (s *Service) Reseal(ctx context.Context) (vault.Sealing, error) { return s.sealing(ctx, true) }

// Sealing counts what Reseal has left to do.
func (s *Service) Sealing(ctx context.Context) (vault.Sealing, error) { return s.sealing(ctx, false) }

func (s *Service) sealing(ctx context.Context, reseal bool) (vault.Sealing, error) {
	pass, err := s.Vault.Begin(ctx, reseal)
	if err != nil {
		return vault.Sealing{}, err
	}
	return pass.End(s.directory.Each(ctx, store.Query{}, func(doc store.Doc[entry]) error {
		organization := doc.Value.Organization
		c, err := s.Get(ctx, organization, doc.Value.Connection)
		if problem.Code(err) == problem.CodeNotFound || err == nil && c.Credentials == nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, one := range c.HookSecrets {
			err := pass.Value(ctx, organization, hookOwner(c.ID), one.Sealed, func(fresh vault.Sealed) (*vault.Sealed, error) {
				return s.resealHook(ctx, organization, c.ID, one.Sealed, fresh)
			})
			if err != nil {
				return err
			}
		}
		return pass.Value(ctx, organization, c.ID, *c.Credentials, func(fresh vault.Sealed) (*vault.Sealed, error) {
			return s.reseal(ctx, organization, c, fresh)
		})
	}))
}

// reseal stores the credentials of c as they are sealed anew, unless they have changed or are about to: whoever refreshes them stores
// what the vendor says in the place of those that it began with, and would take these for others.
func (s *Service) reseal(ctx context.Context, organization string, c Connection, fresh vault.Sealed) (*vault.Sealed, error) {
	doc, err := s.connections.In(organization).Update(ctx, c.ID, func(now *Connection) ([]store.Message, error) {
		if now.same(c) && !s.Now().Before(now.Refreshing.Until.Time) {
			now.Credentials = &fresh
		}
		return nil, nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound): // erased with its organization
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("encrypt the credentials of connection %s again: %w", c.ID, err)
	}
	return doc.Value.Credentials, nil
}
