package mfa

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/pkg/store"
)

// Reseal implements atrest.Keeper with the secrets of authenticator apps. Those that wait to be confirmed are forgotten before they
// are worth it.
func (s *Service) Reseal(ctx context.Context, p atrest.Pass) error {
	users := s.c.Factors.users
	return users.Each(ctx, store.Query{}, func(doc store.Doc[factors]) error {
		if doc.Value.TOTP == nil {
			return nil
		}
		return p.Value(ctx, totpOwner(doc.ID), doc.Value.TOTP.Secret, func(fresh []byte) ([]byte, error) {
			after, err := users.Update(ctx, doc.ID, func(f *factors) ([]store.Message, error) {
				if f.TOTP != nil && bytes.Equal(f.TOTP.Secret, doc.Value.TOTP.Secret) {
					f.TOTP.Secret = fresh
				}
				return nil, nil
			})
			switch {
			case errors.Is(err, store.ErrNotFound) || err == nil && after.Value.TOTP == nil:
				return nil, nil
			case err != nil:
				return nil, fmt.Errorf("seal the secret of an authenticator app again: %w", err)
			}
			return after.Value.TOTP.Secret, nil
		})
	})
}
