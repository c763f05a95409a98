package apikeys

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// Rights know what members may do (see access.Service).
type Rights interface {
	// Of is what a user may do in an organization now: a 404 problem that wraps store.ErrNotFound for who is no member.
	Of(ctx context.Context, organization, user string) (identity.Access, error)
	// Changed notes that somebody's access has changed.
	Changed(ctx context.Context, e events.Event[authapi.AccessChangedData]) error
}

// Verify is what a key stands for. Problems: 401 token_invalid, or token_expired for a key or secret that has ended.
func (s *Service) Verify(ctx context.Context, rights Rights, text string) (*identity.APIKey, error) {
	asOf := s.c.Now()
	t, err := parse(text)
	if err != nil {
		return nil, invalid().Wrap(err)
	}
	doc, err := s.keys.Get(ctx, t.id)
	if isMissing(err) {
		return nil, invalid().Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read an API key: %w", err)
	}
	end, err := doc.Value.accepts(t, asOf)
	if err != nil {
		return nil, err
	}
	creator, err := rights.Of(ctx, doc.Value.Organization, doc.Value.Creator)
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalid().Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.used(ctx, doc, asOf); err != nil {
		s.c.Log.WarnContext(ctx, "note the last use of an API key", "key", doc.ID, "error", err) // which must not stop its user
	}
	return &identity.APIKey{
		ID: doc.ID, Organization: doc.Value.Organization, ExpiresAt: end, AccessHash: doc.Value.access(creator).Hash(), AsOf: asOf.UTC(),
	}, nil
}

// accepts is until when the secret of t is good, zero for no end; a 401 problem when it is not good now.
func (k key) accepts(t token, now time.Time) (time.Time, error) {
	digest := t.digest()
	latest := subtle.ConstantTimeCompare(digest, k.Digest) == 1
	previous := subtle.ConstantTimeCompare(digest, k.Previous) == 1
	if !latest && !previous || k.RevokedAt != nil {
		return time.Time{}, invalid()
	}
	var end time.Time
	if k.ExpiresAt != nil {
		end = k.ExpiresAt.Time
	}
	if !latest && (end.IsZero() || k.PreviousUntil.Before(end)) {
		end = k.PreviousUntil.Time
	}
	if !end.IsZero() && !now.Before(end) {
		return end, unauthorized(problem.CodeTokenExpired, "this API key, or this secret of it, has expired")
	}
	return end, nil
}

// access is what the key may do for a creator with access a.
func (k key) access(a identity.Access) identity.Access {
	a = narrow(k.Scopes, a)
	if len(k.Networks) > 0 {
		a.Networks = append(a.Networks[:len(a.Networks):len(a.Networks)], k.Networks)
	}
	return a
}

// used notes when the key was last used, at most once a minute.
func (s *Service) used(ctx context.Context, doc store.Doc[key], now time.Time) error {
	stale := func(k key) bool { return k.LastUsedAt == nil || now.Sub(k.LastUsedAt.Time) >= useNoted }
	if !stale(doc.Value) {
		return nil
	}
	_, err := s.keys.Update(ctx, doc.ID, func(k *key) ([]store.Message, error) {
		if stale(*k) {
			at := store.At(now)
			k.LastUsedAt = &at
		}
		return nil, nil
	})
	return err
}

// AccessOf is what a key may do, given what its creator may: store.ErrNotFound for one that is none of the organization's, or no longer
// good, or whose creator is gone.
func (s *Service) AccessOf(ctx context.Context, organization, id string, of func(user string) (identity.Access, error)) (identity.Access, error) {
	doc, err := s.keys.Get(ctx, id)
	if isMissing(err) || err == nil && (doc.Value.Organization != organization || doc.Value.status(s.c.Now()) != authapi.APIKeyActive) {
		return identity.Access{}, fmt.Errorf("API key %s: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return identity.Access{}, fmt.Errorf("read an API key: %w", err)
	}
	a, err := of(doc.Value.Creator)
	if err != nil {
		return identity.Access{}, err
	}
	return doc.Value.access(a), nil
}

// Follow takes the events of changed access: what a user may do bounds the keys that they have made, so those have changed as well. The
// keys of a user who is no longer there are revoked, so that they do not come back with the user.
func (s *Service) Follow(rights Rights) func(context.Context, events.Event[authapi.AccessChangedData]) error {
	return func(ctx context.Context, e events.Event[authapi.AccessChangedData]) error {
		user := e.Data.Subject
		if user == "" || strings.HasPrefix(user, identity.KeySubject("")) { // everybody's includes the keys'
			return nil
		}
		err := s.keys.Each(ctx, live(user), func(doc store.Doc[key]) error {
			organization := doc.Value.Organization
			if e.Data.OrganizationID != "" && e.Data.OrganizationID != organization {
				return nil
			}
			_, err := rights.Of(ctx, organization, user)
			switch {
			case errors.Is(err, store.ErrNotFound):
				return s.Revoke(ctx, identity.Principal{Organization: organization}, doc.ID)
			case err != nil:
				return err
			}
			return rights.Changed(ctx, events.Event[authapi.AccessChangedData]{Meta: e.Meta, Data: authapi.AccessChangedData{
				OrganizationID: organization, Subject: identity.KeySubject(doc.ID), Reason: e.Data.Reason,
			}})
		})
		if err != nil {
			return fmt.Errorf("follow a change of access with the user's API keys: %w", err)
		}
		return nil
	}
}

func invalid() *problem.Problem {
	return unauthorized(problem.CodeTokenInvalid, "this is not a good API key")
}

func unauthorized(code, detail string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, code, detail).Header("WWW-Authenticate", `Bearer error="invalid_token"`)
}
