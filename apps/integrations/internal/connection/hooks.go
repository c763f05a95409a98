package connection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// CodeEnded says that the vendor has told that it no longer lets this platform in.
const CodeEnded = "authorization_ended_at_vendor"

// SecretOverlap is how long the secret of an account's webhooks is good after another has taken its place.
const SecretOverlap = 24 * time.Hour

// hookSecret is a secret of webhooks as it is stored.
type hookSecret struct {
	Sealed vault.Sealed `json:"sealed"`
	// Until is when it ends; zero for the newest.
	Until store.Time `json:"until,omitzero"`
}

// hookOwner keeps the secrets of a connection's webhooks apart from its credentials in the vault.
func hookOwner(connection string) string { return connection + "/webhooks" }

// Place is a connection among those of all organizations.
type Place struct{ Organization, Connection string }

// Places are the live connections of all organizations to a vendor's account, by its id or, when that is empty, its name.
func (s *Service) Places(ctx context.Context, vendor, accountID, account string) ([]Place, error) {
	q := store.Query{Index: "account", Equal: []any{vendor, accountID}}
	if accountID == "" {
		q = store.Query{Index: "name", Equal: []any{vendor, account}}
	}
	var places []Place
	err := s.directory.Each(ctx, q, func(doc store.Doc[entry]) error {
		places = append(places, Place{doc.Value.Organization, doc.Value.Connection})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the connections to an account: %w", err)
	}
	return places, nil
}

// Place is where a connection is, whichever organization's: a problem not_found.
func (s *Service) Place(ctx context.Context, vendor, id string) (Place, error) {
	doc, err := s.directory.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) || err == nil && doc.Value.Vendor != vendor {
		return Place{}, problem.NotFound("connection").Wrap(err)
	}
	if err != nil {
		return Place{}, fmt.Errorf("find the connection: %w", err)
	}
	return Place{doc.Value.Organization, doc.Value.Connection}, nil
}

// Ended notes that the vendor said, of a moment, that it no longer lets this platform in: the connection needs attention, unless it
// was connected again since, or by a key, which is not what ended.
func (s *Service) Ended(ctx context.Context, p Place, at time.Time, why string) error {
	_, err := s.connections.In(p.Organization).Update(ctx, p.Connection, func(c *Connection) ([]store.Message, error) {
		if c.Status == Active && c.Authorized && at.After(c.ConnectedAt.Time) {
			c.Status, c.Problem = NeedsAttention, &Problem{CodeEnded, why}
		}
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("note the end of an authorization: %w", err)
	}
	return nil
}

// SetHookSecret gives an organization's connection the secret that its account's own webhooks are signed with. The one before is
// good for SecretOverlap longer. Errors are problems: not_found, connection_disconnected.
func (s *Service) SetHookSecret(ctx context.Context, organization, id string, secret secrets.Secret) (Connection, error) {
	if _, err := s.Get(ctx, organization, id); err != nil {
		return Connection{}, err
	}
	sealed, err := s.Vault.Seal(ctx, organization, hookOwner(id), []byte(secret.Reveal()))
	if err != nil {
		return Connection{}, err
	}
	doc, err := s.connections.In(organization).Update(ctx, id, func(c *Connection) ([]store.Message, error) {
		if c.Status == Disconnected {
			return nil, problem.New(http.StatusConflict, CodeDisconnected, "the connection was disconnected; connect again")
		}
		next := []hookSecret{{Sealed: sealed}}
		if len(c.HookSecrets) > 0 {
			before := c.HookSecrets[0]
			before.Until = store.At(s.Now().Add(SecretOverlap))
			next = append(next, before)
		}
		c.HookSecrets = next
		return nil, nil
	})
	if err != nil {
		return Connection{}, fmt.Errorf("keep the secret of webhooks: %w", err)
	}
	return doc.Value, nil
}

// HookSecrets are the secrets that the webhooks of a connection's account are signed with, newest first; none where nobody has set one.
func (s *Service) HookSecrets(ctx context.Context, p Place) ([]secrets.Secret, error) {
	c, err := s.Get(ctx, p.Organization, p.Connection)
	if err != nil {
		return nil, err
	}
	var all []secrets.Secret
	for _, one := range c.HookSecrets {
		if !one.Until.IsZero() && !s.Now().Before(one.Until.Time) {
			continue
		}
		text, err := s.Vault.Open(ctx, p.Organization, hookOwner(c.ID), one.Sealed)
		if err != nil {
			return nil, err
		}
		all = append(all, secrets.New(string(text)))
	}
	return all, nil
}

// resealHook stores a secret of webhooks as it is sealed anew, where it is still kept.
func (s *Service) resealHook(ctx context.Context, organization, id string, old, fresh vault.Sealed) (*vault.Sealed, error) {
	var kept *vault.Sealed
	_, err := s.connections.In(organization).Update(ctx, id, func(c *Connection) ([]store.Message, error) {
		kept = nil
		for i, one := range c.HookSecrets {
			if one.Sealed.Equal(old) {
				c.HookSecrets[i].Sealed, kept = fresh, &fresh
			}
		}
		return nil, nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound): // erased with its organization
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("encrypt a secret of webhooks of connection %s again: %w", id, err)
	}
	return kept, nil
}
