package sessions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// deviceID is the same for all sessions with one user agent: all that tells devices apart without storing
// something on them.
func deviceID(userAgent string) string {
	sum := sha256.Sum256([]byte(userAgent))
	return hex.EncodeToString(sum[:8])
}

// newDevice is the event of a device that its user never signed in with, unless it is their first.
func (s *Service) newDevice(ctx context.Context, id string, doc session) ([]store.Message, error) {
	_, err := s.sessions.First(ctx, store.Query{Index: byDevice, Equal: []any{doc.User, doc.Device}})
	if err == nil {
		return nil, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("look for the device: %w", err)
	}
	switch _, err = s.sessions.First(ctx, store.Query{Index: byBegin, Equal: []any{doc.User}}); {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for other devices: %w", err)
	}
	m, err := authapi.DeviceAdded.Message(ctx, s.c.Emit, doc.Organization, authapi.DeviceAddedData{UserID: doc.User, SessionID: id})
	return []store.Message{m}, err
}

// RevokeDevice ends all sessions of user on a device: 404 for one on which they have none that lives.
func (s *Service) RevokeDevice(ctx context.Context, user, device string) error {
	now, found := s.c.Now(), false
	err := s.sessions.Each(ctx, live(user), func(doc store.Doc[session]) error {
		if doc.Value.Device != device || !now.Before(doc.Value.ExpiresAt.Time) {
			return nil
		}
		found = true
		return s.Revoke(ctx, user, doc.ID, authapi.ByUser)
	})
	if err == nil && !found {
		return problem.NotFound("device")
	}
	return err
}

// RevokeIn ends all sessions of user in an organization.
func (s *Service) RevokeIn(ctx context.Context, user, organization string, reason authapi.RevocationReason) error {
	return s.sessions.Each(ctx, live(user), func(doc store.Doc[session]) error {
		if doc.Value.Organization != organization {
			return nil
		}
		return s.Revoke(ctx, user, doc.ID, reason)
	})
}

// BeganWithin tells whether the user of a session proved who they are within the last d.
func (s *Service) BeganWithin(ctx context.Context, id string, d time.Duration) (bool, error) {
	doc, err := s.sessions.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the session: %w", err)
	}
	return s.c.Now().Sub(doc.Value.AuthenticatedAt.Time) <= d, nil
}

// Origin is where and when a session began: store.ErrNotFound.
func (s *Service) Origin(ctx context.Context, id string) (mails.SignIn, error) {
	doc, err := s.sessions.Get(ctx, id)
	if err != nil {
		return mails.SignIn{}, fmt.Errorf("read the session: %w", err)
	}
	v := doc.Value
	return mails.SignIn{At: v.CreatedAt.Time, Address: v.Address, UserAgent: v.UserAgent}, nil
}

// Activity is a page of the sign-ins of user within the last 90 days, the latest first.
func (s *Service) Activity(ctx context.Context, user, cursor string, limit int) (*authapi.Activities, error) {
	page, err := s.sessions.Find(ctx, store.Query{Index: byBegin, Equal: []any{user}, Descending: true, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list sign-ins: %w", err)
	}
	list := &authapi.Activities{Items: make([]authapi.Activity, len(page.Items)), NextCursor: page.Next}
	for i, doc := range page.Items {
		list.Items[i] = doc.Value.activity(doc.ID, s.c.Now())
	}
	return list, nil
}

func (s *session) activity(id string, now time.Time) authapi.Activity {
	a := authapi.Activity{
		SessionID: id, DeviceID: s.Device, Address: s.Address, UserAgent: s.UserAgent, Methods: s.AMR,
		SignedIn: s.CreatedAt.Time, LastSeen: s.LastSeenAt.Time,
	}
	if a.Methods == nil {
		a.Methods = []string{}
	}
	switch {
	case s.revoked():
		a.EndedAt, a.Reason = &s.RevokedAt.Time, string(s.Reason)
	case !now.Before(s.ExpiresAt.Time):
		a.EndedAt, a.Reason = &s.ExpiresAt.Time, "expired"
	}
	return a
}

// SignedInAt is when the user of a session proved who they are: a 404 for one that is not theirs, or has ended.
func (s *Service) SignedInAt(ctx context.Context, user, id string) (time.Time, error) {
	doc, err := s.sessions.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (doc.Value.User != user || doc.Value.revoked()) {
		return time.Time{}, problem.NotFound("session").Wrap(err)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the session: %w", err)
	}
	return doc.Value.AuthenticatedAt.Time, nil
}
