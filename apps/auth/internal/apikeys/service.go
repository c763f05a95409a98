// Package apikeys keeps the keys with which machines act for an organization: narrowed to scopes and networks, never more than who made
// them may do, shown once and stored as a digest.
package apikeys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/rbac"
	"github.com/tandemhq/tandem/apps/auth/internal/typed"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// endedKept is how long a key that has ended stays in the list.
	endedKept = 30 * 24 * time.Hour
	// useNoted is how old the note of a key's last use gets while the key is in use.
	useNoted = time.Minute
)

// Config is what a Service needs.
type Config struct {
	DB    store.DB
	Emit  events.Emitter
	Now   func() time.Time
	NewID func() string
	// SignedInAt is when a session of user began: a 404 for one that is not theirs, or has ended.
	SignedInAt func(ctx context.Context, user, session string) (time.Time, error)
	// Needed refuses permissions that no operation needs, at their place in a request: a 422.
	Needed func(ctx context.Context, location string, permissions []string) error
	// Random is where secrets come from.
	Random io.Reader
	Log    *slog.Logger
}

// Service is the rules of API keys, and access.Keys. It is safe for concurrent use.
type Service struct {
	c    Config
	keys documents
}

// Open opens the keys in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	d, err := openDocuments(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	return &Service{c, d}, nil
}

// Settings are what a key is to be.
type Settings struct {
	Name   string
	Scopes []string
	// Networks are CIDR prefixes; none for anywhere.
	Networks []string
	// ExpiresAt is nil for a key that does not end by itself.
	ExpiresAt *time.Time
}

// clean checks in and brings it into the form that is stored.
func (s *Service) clean(ctx context.Context, in Settings) (Settings, error) {
	var err error
	if in.Name, err = typed.Name("body.name", in.Name); err != nil {
		return in, err
	}
	if in.Scopes, err = rbac.ParsePermissions("body.scopes", in.Scopes); err != nil {
		return in, err
	}
	if err := s.c.Needed(ctx, "body.scopes", in.Scopes); err != nil {
		return in, err
	}
	networks := make([]string, len(in.Networks))
	for i, text := range in.Networks {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() { // which Contains would match with no address that comes
			return in, problem.Invalid(fmt.Sprintf("body.networks[%d]", i), "want a CIDR prefix such as 203.0.113.0/24")
		}
		networks[i] = prefix.Masked().String()
	}
	slices.Sort(networks)
	in.Networks = slices.Compact(networks)
	if in.ExpiresAt != nil && !s.c.Now().Before(*in.ExpiresAt) {
		return in, problem.Invalid("body.expires_at", "want a time to come")
	}
	return in, nil
}

func (k *key) set(in Settings) {
	k.Name, k.Scopes, k.Networks, k.ExpiresAt, k.DeleteAfter = in.Name, in.Scopes, in.Networks, nil, nil
	if in.ExpiresAt != nil {
		end, forget := store.At(*in.ExpiresAt), store.At(in.ExpiresAt.Add(endedKept))
		k.ExpiresAt, k.DeleteAfter = &end, &forget
	}
}

// Create makes a key of by, with the version that its document has. Problems: 401 session_revoked, 422 validation_failed, 403
// permission_not_held for scopes that by does not have.
func (s *Service) Create(ctx context.Context, by identity.Principal, in Settings) (*authapi.IssuedAPIKey, int64, error) {
	in, err := s.clean(ctx, in)
	if err == nil {
		err = held(by, in.Scopes)
	}
	if err == nil {
		err = s.signedIn(ctx, by)
	}
	if err != nil {
		return nil, 0, err
	}
	// Nothing in a key ends a double click's selection.
	id := strings.ReplaceAll(s.c.NewID(), "-", "")
	t, err := newToken(id, s.c.Random)
	if err != nil {
		return nil, 0, err
	}
	k := key{Organization: by.Organization, Creator: by.Subject, Digest: t.digest(), CreatedAt: store.At(s.c.Now()), Revision: 1}
	k.set(in)
	m, err := s.record(ctx, by.Organization, "create", id, k)
	if err != nil {
		return nil, 0, err
	}
	if _, err := s.keys.Insert(ctx, id, k, m); err != nil {
		return nil, 0, fmt.Errorf("create an API key: %w", err)
	}
	return &authapi.IssuedAPIKey{APIKey: view(id, k, s.c.Now()), Key: t.String()}, k.Revision, nil
}

// signedIn refuses whose session has ended: its access token is good for seconds more, and a key would outlive what ended it, such as
// a new password.
func (s *Service) signedIn(ctx context.Context, by identity.Principal) error {
	_, err := s.c.SignedInAt(ctx, by.Subject, by.Session)
	if problem.Code(err) == problem.CodeNotFound {
		return unauthorized(problem.CodeSessionRevoked, "this session has ended; sign in again").Wrap(err)
	}
	return err
}

// held refuses scopes that by does not have: else a key would be a way to more.
func held(by identity.Principal, scopes []string) error {
	var lacking []problem.Field
	for _, scope := range scopes {
		if !by.Can(scope) {
			lacking = append(lacking, problem.Field{Location: scope, Message: "you do not have this"})
		}
	}
	if lacking == nil {
		return nil
	}
	return problem.New(http.StatusForbidden, authapi.CodeNotHeld, "a key cannot have what you do not have yourself").With(lacking...)
}

// List is a page of an organization's keys, the latest first; those that have ended are there for 30 days more.
func (s *Service) List(ctx context.Context, organization, cursor string, limit int) (*authapi.APIKeys, error) {
	q := of(organization)
	q.Cursor, q.Limit = cursor, limit
	page, err := s.keys.Find(ctx, q)
	if errors.Is(err, store.ErrBadCursor) {
		return nil, problem.New(http.StatusBadRequest, problem.CodeBadRequest, "cursor: not one of this list").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	list := &authapi.APIKeys{Items: make([]authapi.APIKey, len(page.Items)), NextCursor: page.Next}
	now := s.c.Now()
	for i, doc := range page.Items {
		list.Items[i] = view(doc.ID, doc.Value, now)
	}
	return list, nil
}

// Show is one key of an organization, with its revision: 404.
func (s *Service) Show(ctx context.Context, organization, id string) (*authapi.APIKey, int64, error) {
	doc, err := s.keys.Get(ctx, id)
	if isMissing(err) || err == nil && doc.Value.Organization != organization {
		return nil, 0, problem.NotFound("API key").Wrap(err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read an API key: %w", err)
	}
	v := view(id, doc.Value, s.c.Now())
	return &v, doc.Value.Revision, nil
}

func isMissing(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID)
}

// Update changes a key, if match likes its revision. Who does so must have all that the key had and is to have. Problems: 404 (for a
// revoked key, too), 401 session_revoked, 422, 403 permission_not_held, and match's own.
func (s *Service) Update(ctx context.Context, by identity.Principal, id string, in Settings, match func(revision int64) error) (*authapi.APIKey, int64, error) {
	in, err := s.clean(ctx, in)
	if err == nil {
		err = s.signedIn(ctx, by)
	}
	if err != nil {
		return nil, 0, err
	}
	k, err := s.change(ctx, by, id, "update", func(k *key) error {
		if err := match(k.Revision); err != nil {
			return err
		}
		scopes := k.Scopes
		k.set(in)
		return held(by, slices.Concat(scopes, in.Scopes))
	})
	if err != nil {
		return nil, 0, err
	}
	v := view(id, k, s.c.Now())
	return &v, k.Revision, nil
}

// Rotate gives a key another secret. The one before is good for overlap more, and the one before that no longer. Who does so must have
// all that the key has. Problems: 401 session_revoked; 404, also for a key that has ended; 403 permission_not_held; and match's own.
func (s *Service) Rotate(ctx context.Context, by identity.Principal, id string, overlap time.Duration, match func(revision int64) error) (*authapi.IssuedAPIKey, int64, error) {
	if err := s.signedIn(ctx, by); err != nil {
		return nil, 0, err
	}
	t, err := newToken(id, s.c.Random)
	if err != nil {
		return nil, 0, err
	}
	now := s.c.Now()
	k, err := s.change(ctx, by, id, "rotate", func(k *key) error {
		if k.status(now) != authapi.APIKeyActive {
			return problem.NotFound("API key")
		}
		if err := match(k.Revision); err != nil {
			return err
		}
		at, until := store.At(now), store.At(now.Add(overlap))
		k.Previous, k.PreviousUntil, k.Digest, k.RotatedAt = k.Digest, &until, t.digest(), &at
		return held(by, k.Scopes)
	})
	if err != nil {
		return nil, 0, err
	}
	return &authapi.IssuedAPIKey{APIKey: view(id, k, now), Key: t.String()}, k.Revision, nil
}

// Revoke ends a key; once more changes nothing. Whoever may write keys may do so, whatever the key can do: it is what one does about a
// key that has leaked. Problem: 404.
func (s *Service) Revoke(ctx context.Context, by identity.Principal, id string) error {
	_, err := s.change(ctx, by, id, "revoke", func(k *key) error {
		k.revoke(s.c.Now())
		return nil
	})
	if errors.Is(err, errRevoked) {
		return nil
	}
	return err
}

// RevokeAll ends all keys that a user has made.
func (s *Service) RevokeAll(ctx context.Context, user string) error {
	return s.keys.Each(ctx, live(user), func(doc store.Doc[key]) error {
		return s.Revoke(ctx, identity.Principal{Organization: doc.Value.Organization}, doc.ID)
	})
}

func (k *key) revoke(now time.Time) {
	at, forget := store.At(now), store.At(now.Add(endedKept))
	k.RevokedAt, k.DeleteAfter = &at, &forget
}

// errRevoked says that a key was revoked before; whoever acts on it finds it no more.
var errRevoked = errors.New("the API key was revoked")

// change lets edit change a key that was not revoked, and tells of it.
func (s *Service) change(ctx context.Context, by identity.Principal, id, verb string, edit func(*key) error) (key, error) {
	doc, err := s.keys.Update(ctx, id, func(k *key) ([]store.Message, error) {
		if k.Organization != by.Organization {
			return nil, problem.NotFound("API key")
		}
		if k.RevokedAt != nil {
			return nil, problem.NotFound("API key").Wrap(errRevoked)
		}
		if err := edit(k); err != nil {
			return nil, err
		}
		k.Revision++
		recorded, err := s.record(ctx, k.Organization, verb, id, *k)
		if err != nil {
			return nil, err
		}
		changed, err := s.accessChanged(ctx, k.Organization, id, verb)
		return []store.Message{recorded, changed}, err
	})
	if problem.Code(err) == "" && isMissing(err) {
		return key{}, problem.NotFound("API key").Wrap(err)
	}
	if err != nil {
		return key{}, fmt.Errorf("%s API key %s: %w", verb, id, err)
	}
	return doc.Value, nil
}

func (s *Service) record(ctx context.Context, organization, verb, id string, k key) (store.Message, error) {
	return audit.Message(ctx, s.c.Emit, organization, audit.Entry{
		Action: "auth.api-keys." + verb, Resource: "key:" + id, Details: map[string]string{"scopes": strings.Join(k.Scopes, " ")},
	})
}

func (s *Service) accessChanged(ctx context.Context, organization, id, reason string) (store.Message, error) {
	return authapi.AccessChanged.Message(ctx, s.c.Emit, organization, authapi.AccessChangedData{
		OrganizationID: organization, Subject: identity.KeySubject(id), Reason: "API key: " + reason,
	})
}

// Forget deletes keys that ended 30 days ago.
func (s *Service) Forget(ctx context.Context) error {
	due := store.Query{Index: byDeletion, Range: store.Range{Field: "delete_after", To: store.At(s.c.Now())}}
	if err := s.keys.DeleteAll(ctx, due); err != nil {
		return fmt.Errorf("forget ended API keys: %w", err)
	}
	return nil
}
