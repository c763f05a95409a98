package mfa

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const deviceSecretBytes = 32

var deviceEncoding = base64.RawURLEncoding.Strict()

// remember makes the token of a device: "<id>.<base64url of 256 random bits>", of which only a hash is stored.
func (s *Service) remember(ctx context.Context, a signin.Attempt, days int) (string, error) {
	secret := make([]byte, deviceSecretBytes)
	if _, err := io.ReadFull(s.c.Random, secret); err != nil {
		return "", fmt.Errorf("make a device token: %w", err)
	}
	digest, from := sha256.Sum256(secret), audit.OriginOf(ctx)
	id, now := s.c.NewID(), s.c.Now()
	message, err := audit.Message(ctx, s.c.Emit, a.Organization, audit.Entry{
		Action: "auth.mfa.remember-device", Actor: audit.Actor{Subject: a.User}, Resource: "device:" + id,
	})
	if err != nil {
		return "", err
	}
	_, err = s.c.Factors.devices.Insert(ctx, id, device{
		User: a.User, Organization: a.Organization, Digest: digest[:],
		Address: from.Address, UserAgent: from.UserAgent,
		CreatedAt: store.At(now), ExpiresAt: store.At(now.AddDate(0, 0, days)),
	}, message)
	if err != nil {
		return "", fmt.Errorf("remember a device: %w", err)
	}
	return id + "." + deviceEncoding.EncodeToString(secret), nil
}

// Remembered tells whether token is that of a device that was remembered for user within the last so many
// days, and not forgotten since.
func (f *Factors) Remembered(ctx context.Context, organization, user, token string, days int) (bool, error) {
	id, secret, ok := parseDevice(token)
	if !ok {
		return false, nil
	}
	digest, now := sha256.Sum256(secret), f.now()
	at := store.At(now)
	_, err := f.devices.Update(ctx, id, func(d *device) ([]store.Message, error) {
		since := now.Sub(d.CreatedAt.Time)
		if d.User != user || d.Organization != organization || subtle.ConstantTimeCompare(d.Digest, digest[:]) != 1 ||
			!now.Before(d.ExpiresAt.Time) || since >= time.Duration(days)*24*time.Hour {
			return nil, errNotRemembered
		}
		d.LastUsedAt = &at
		return nil, nil
	})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errNotRemembered), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBadID):
		return false, nil
	}
	return false, fmt.Errorf("read a remembered device: %w", err)
}

// parseDevice is the id of a device and the secret that proves it.
func parseDevice(token string) (id string, secret []byte, ok bool) {
	id, text, ok := strings.Cut(token, ".")
	secret, err := deviceEncoding.DecodeString(text)
	return id, secret, ok && err == nil && len(secret) == deviceSecretBytes
}

var errNotRemembered = errors.New("not a remembered device of this user")

func (f *Factors) forgetDevices(ctx context.Context, user string) error {
	if err := f.devices.DeleteAll(ctx, store.Query{Index: byUser, Equal: []any{user}}); err != nil {
		return fmt.Errorf("forget the remembered devices: %w", err)
	}
	return nil
}

// Devices is a page of the remembered devices of user, the latest first.
func (s *Service) Devices(ctx context.Context, user, cursor string, limit int) (*authapi.RememberedDevices, error) {
	page, err := s.c.Factors.devices.Find(ctx, store.Query{
		Index: byUser, Equal: []any{user}, Descending: true, Cursor: cursor, Limit: limit,
	})
	if err != nil {
		return nil, fmt.Errorf("list the remembered devices: %w", err)
	}
	list := &authapi.RememberedDevices{Items: []authapi.RememberedDevice{}, NextCursor: page.Next}
	for _, doc := range page.Items {
		if s.c.Now().Before(doc.Value.ExpiresAt.Time) {
			list.Items = append(list.Items, deviceView(doc))
		}
	}
	return list, nil
}

func deviceView(doc store.Doc[device]) authapi.RememberedDevice {
	v := doc.Value
	return authapi.RememberedDevice{
		ID: doc.ID, Address: v.Address, UserAgent: v.UserAgent, CreatedAt: v.CreatedAt.Time,
		LastUsedAt: timeOf(v.LastUsedAt), ExpiresAt: v.ExpiresAt.Time,
	}
}

// ForgetDevice lets a device of the user show a second factor again: 404 for one that is none of theirs.
func (s *Service) ForgetDevice(ctx context.Context, p identity.Principal, id string) error {
	doc, err := s.c.Factors.devices.Get(ctx, id)
	if err == nil && doc.Value.User != p.Subject || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return problem.NotFound("device").Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("read a remembered device: %w", err)
	}
	message, err := audit.Message(ctx, s.c.Emit, p.Organization, audit.Entry{Action: "auth.mfa.forget-device", Resource: "device:" + id})
	if err != nil {
		return err
	}
	if err := gone(s.c.Factors.devices.Delete(ctx, id, 0, message)); err != nil {
		return fmt.Errorf("forget a device: %w", err)
	}
	return nil
}

// ForgetDevices lets every device of the user show a second factor again.
func (s *Service) ForgetDevices(ctx context.Context, p identity.Principal) error {
	message, err := audit.Message(ctx, s.c.Emit, p.Organization, audit.Entry{Action: "auth.mfa.forget-devices", Resource: "user:" + p.Subject})
	if err != nil {
		return err
	}
	if err := s.c.Factors.forgetDevices(ctx, p.Subject); err != nil {
		return err
	}
	return s.c.DB.Outbox().Add(ctx, message)
}
