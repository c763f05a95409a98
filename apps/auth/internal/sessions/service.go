// Package sessions keeps sign-ins: refresh tokens that are used once each, the list of a user's sessions,
// and what every process must know to refuse a session that was ended.
package sessions

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// rememberedLife is how long a refresh token waits to be used where its user asked to be remembered,
	// shortLife where not.
	rememberedLife = 30 * 24 * time.Hour
	shortLife      = 7 * 24 * time.Hour
	// grace is how long a used refresh token is answered again, with the same successor: the first answer
	// may have been lost on its way.
	grace = 5 * time.Second
	// tokenAlive is how long after a revocation an access token of the session may still be accepted by
	// who has not heard of it; with the leeway that verifiers grant to clocks.
	tokenAlive = authapi.AccessTokenLife + 5*time.Second + authapi.ChangesOverlap
	// endedKept is how long a session is kept after its end, for its user to look at and for whoever comes
	// with its refresh token.
	endedKept = 90 * 24 * time.Hour
)

// Config is what a Service needs.
type Config struct {
	DB    store.DB
	Emit  events.Emitter
	Now   func() time.Time
	NewID func() string
	// Random is where refresh tokens come from.
	Random io.Reader
}

// Service is the rules of sessions. It is safe for concurrent use.
type Service struct {
	c        Config
	sessions documents
}

// Open opens the sessions in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	d, err := openDocuments(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	return &Service{c, d}, nil
}

// SignIn is who begins a session, with what, from where.
type SignIn struct {
	User         string
	Organization string
	Scope        Scope
	// AMR are the methods by which the user proved who they are (RFC 8176).
	AMR []string
	// Strong says that they are two factors.
	Strong bool
	// AuthenticatedAt is when the proofs were given; now when zero.
	AuthenticatedAt time.Time
	// RememberMe lets the session live 30 days without use, else 7.
	RememberMe bool
	// Idle and Absolute shorten the session's life without use, and in all; 0 does not.
	Idle     time.Duration
	Absolute time.Duration
}

// life is how long the session lives without use.
func (in SignIn) life() time.Duration {
	life := shortLife
	if in.RememberMe {
		life = rememberedLife
	}
	if in.Idle > 0 {
		life = min(life, in.Idle)
	}
	return life
}

// Grant is what an access token may be made of, and the refresh token to give with it.
type Grant struct {
	Session      string
	User         string
	Organization string
	Scope        Scope
	AMR          []string
	Strong       bool
	RefreshToken string
}

// ACR is what the proofs amount to, for the claim of that name: "" for one factor.
func (g Grant) ACR() string {
	if g.Strong {
		return identity.ACRMultiFactor
	}
	return ""
}

// Begin starts a session.
func (s *Service) Begin(ctx context.Context, in SignIn) (Grant, error) {
	id, now := s.c.NewID(), s.c.Now()
	family := make([]byte, familyBytes)
	if _, err := io.ReadFull(s.c.Random, family); err != nil {
		return Grant{}, fmt.Errorf("make a family key: %w", err)
	}
	token, err := newToken(id, family, s.c.Random)
	if err != nil {
		return Grant{}, err
	}
	from := audit.OriginOf(ctx)
	doc := session{
		User: in.User, Organization: in.Organization, Scope: in.Scope, AMR: in.AMR, Strong: in.Strong,
		Address: from.Address, UserAgent: from.UserAgent,
		CreatedAt: store.At(now), AuthenticatedAt: store.At(now), Life: in.life(), Family: family, Current: token.digest(),
	}
	if !in.AuthenticatedAt.IsZero() {
		doc.AuthenticatedAt = store.At(in.AuthenticatedAt)
	}
	if in.Absolute > 0 {
		end := store.At(doc.AuthenticatedAt.Add(in.Absolute))
		doc.EndsAt = &end
	}
	doc.seen(now)
	doc.Device = deviceID(doc.UserAgent)
	added, err := s.newDevice(ctx, id, doc)
	if err != nil {
		return Grant{}, err
	}
	if _, err = s.sessions.Insert(ctx, id, doc, added...); err != nil {
		return Grant{}, fmt.Errorf("begin a session: %w", err)
	}
	grant := doc.grant(id)
	grant.RefreshToken = token.String()
	return grant, nil
}

// Rotate takes a refresh token and gives the next one. The grant's scope is wanted where that is not
// empty; the session keeps its own. Problems: 401 refresh_token_invalid, refresh_token_expired,
// refresh_token_reused (the session has been ended), 422 invalid_scope (the token is still good).
func (s *Service) Rotate(ctx context.Context, text string, wanted Scope) (Grant, error) {
	token, err := parseToken(text)
	if err != nil {
		return Grant{}, tokenInvalid().Wrap(err)
	}
	var grant Grant
	var reuse bool
	_, err = s.sessions.Update(ctx, token.session, func(doc *session) ([]store.Message, error) {
		grant, reuse = doc.grant(token.session), false
		now := s.c.Now()
		previous := same(doc.Previous, token.digest())
		switch current := same(doc.Current, token.digest()); {
		case !current && !previous && !token.of(doc.Family):
			return nil, tokenInvalid()
		case doc.revoked() && doc.Reason == authapi.ByReuse:
			return nil, tokenReused()
		case doc.revoked():
			return nil, tokenInvalid()
		case !now.Before(doc.ExpiresAt.Time):
			return nil, unauthorized(authapi.CodeRefreshTokenExpired, "the refresh token was not used in time; sign in again")
		case !current && (!previous || now.Sub(doc.RotatedAt.Time) > grace):
			reuse = true
			return s.revoke(ctx, token.session, doc, authapi.ByReuse)
		}
		var err error
		if grant.Scope, err = doc.Scope.Narrow(wanted); err != nil {
			return nil, err
		}
		var next refreshToken
		if previous {
			next, err = token.open(doc.Successor)
		} else {
			next, err = s.advance(doc, token, now)
		}
		grant.RefreshToken = next.String()
		return nil, err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Grant{}, tokenInvalid().Wrap(err)
	case err != nil:
		return Grant{}, fmt.Errorf("refresh session %s: %w", token.session, err)
	case reuse:
		return Grant{}, tokenReused()
	}
	return grant, nil
}

// advance makes the token after token the session's latest.
func (s *Service) advance(doc *session, token refreshToken, now time.Time) (refreshToken, error) {
	next, err := newToken(token.session, doc.Family, s.c.Random)
	if err != nil {
		return next, err
	}
	if doc.Successor, err = token.seal(next); err != nil {
		return next, err
	}
	doc.Previous, doc.Current = doc.Current, next.digest()
	doc.seen(now)
	return next, nil
}

// Strengthen notes that a session of user has shown a second factor by the methods amr. Problem: 404 for
// a session that is none of theirs or has ended.
func (s *Service) Strengthen(ctx context.Context, user, id string, amr ...string) (Grant, error) {
	doc, err := s.sessions.Update(ctx, id, func(doc *session) ([]store.Message, error) {
		if doc.User != user || doc.revoked() || !s.c.Now().Before(doc.ExpiresAt.Time) {
			return nil, problem.NotFound("session")
		}
		doc.Strong = true
		for _, method := range amr {
			if !slices.Contains(doc.AMR, method) {
				doc.AMR = append(doc.AMR, method)
			}
		}
		return nil, nil
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return Grant{}, problem.NotFound("session").Wrap(err)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("strengthen session %s: %w", id, err)
	}
	return doc.Value.grant(id), nil
}

// revoke ends the session in doc, with the event that tells of it.
func (s *Service) revoke(ctx context.Context, id string, doc *session, reason authapi.RevocationReason) ([]store.Message, error) {
	now := s.c.Now()
	at := store.At(now)
	doc.RevokedAt, doc.Reason, doc.DeleteAfter = &at, reason, store.At(now.Add(endedKept))
	m, err := authapi.SessionRevoked.Message(ctx, s.c.Emit, doc.Organization, authapi.SessionRevokedData{
		SessionID: id, UserID: doc.User, OrganizationID: doc.Organization, Reason: reason, At: at.Time,
	})
	if err != nil {
		return nil, err
	}
	return []store.Message{m}, nil
}

// Revoke ends a session of user. One that has ended already stays as it is; one of another user is not
// found, like one that never was.
func (s *Service) Revoke(ctx context.Context, user, id string, reason authapi.RevocationReason) error {
	if !sessionID.MatchString(id) {
		return problem.NotFound("session")
	}
	_, err := s.sessions.Update(ctx, id, func(doc *session) ([]store.Message, error) {
		switch {
		case doc.User != user:
			return nil, problem.NotFound("session")
		case doc.revoked():
			return nil, nil
		}
		return s.revoke(ctx, id, doc, reason)
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.NotFound("session").Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("revoke session %s: %w", id, err)
	}
	return nil
}

// RevokeAll ends all sessions of user but the one with the id except, which may be "".
func (s *Service) RevokeAll(ctx context.Context, user, except string, reason authapi.RevocationReason) error {
	return s.sessions.Each(ctx, live(user), func(doc store.Doc[session]) error {
		if doc.ID == except {
			return nil
		}
		return s.Revoke(ctx, user, doc.ID, reason)
	})
}

// List is a page of the sessions of user that have not ended, the latest first; current is the one that
// asks. A page may have fewer sessions than limit and still not be the last.
func (s *Service) List(ctx context.Context, user, current, cursor string, limit int) (*authapi.Sessions, error) {
	q := live(user)
	q.Cursor, q.Limit = cursor, limit
	page, err := s.sessions.Find(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	now := s.c.Now()
	list := &authapi.Sessions{Items: []authapi.Session{}, NextCursor: page.Next}
	for _, doc := range page.Items {
		v := doc.Value
		if !now.Before(v.ExpiresAt.Time) {
			continue
		}
		list.Items = append(list.Items, authapi.Session{
			ID: doc.ID, Current: doc.ID == current, DeviceID: v.Device, Methods: v.AMR, Address: v.Address, UserAgent: v.UserAgent, Scope: v.Scope.String(),
			CreatedAt: v.CreatedAt.Time, LastSeenAt: v.LastSeenAt.Time, ExpiresAt: v.ExpiresAt.Time,
		})
	}
	return list, nil
}

// Revocations are the sessions revoked at or after since whose access tokens may be alive.
func (s *Service) Revocations(ctx context.Context, since time.Time) ([]identity.Revocation, error) {
	if oldest := s.c.Now().Add(-tokenAlive); since.Before(oldest) {
		since = oldest
	}
	all := []identity.Revocation{}
	err := s.sessions.Each(ctx, revokedSince(since), func(doc store.Doc[session]) error {
		all = append(all, identity.Revocation{ID: doc.ID, RevokedAt: doc.Value.RevokedAt.Time})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list revocations: %w", err)
	}
	return all, nil
}

// Forget deletes sessions 90 days after their end.
func (s *Service) Forget(ctx context.Context) error {
	if err := s.sessions.deleteDue(ctx, s.c.Now()); err != nil {
		return fmt.Errorf("forget ended sessions: %w", err)
	}
	return nil
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

func tokenInvalid() *problem.Problem {
	return unauthorized(authapi.CodeRefreshTokenInvalid, "this is not a refresh token of a live session; sign in again")
}

func tokenReused() *problem.Problem {
	return unauthorized(authapi.CodeRefreshTokenReused, "a refresh token of this session was used twice, so the session has been ended; sign in again")
}

func unauthorized(code, detail string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, code, detail)
}
