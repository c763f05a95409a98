package sso

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/pkg/store"
)

// Reseal implements atrest.Keeper with the secrets of OpenID clients. Whoever signs in by such a connection at that moment has to begin
// anew, as after any change of it.
func (s *Service) Reseal(ctx context.Context, p atrest.Pass) error {
	return s.d.connections.Each(ctx, store.Query{}, func(doc store.Doc[connection]) error {
		if doc.Value.OIDC == nil || doc.Value.OIDC.Secret == nil {
			return nil
		}
		return p.Value(ctx, secretOwner(doc.ID), doc.Value.OIDC.Secret, func(fresh []byte) ([]byte, error) {
			after, err := s.d.connections.Update(ctx, doc.ID, func(c *connection) ([]store.Message, error) {
				if c.OIDC != nil && bytes.Equal(c.OIDC.Secret, doc.Value.OIDC.Secret) {
					c.OIDC.Secret = fresh
				}
				return nil, nil
			})
			switch {
			case errors.Is(err, store.ErrNotFound) || err == nil && after.Value.OIDC == nil:
				return nil, nil
			case err != nil:
				return nil, fmt.Errorf("seal the secret of connection %s again: %w", doc.ID, err)
			}
			return after.Value.OIDC.Secret, nil
		})
	})
}
