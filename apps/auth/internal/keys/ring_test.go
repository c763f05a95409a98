package keys

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// A changed key is published at once and signs when every process has had the time to read it; what the
// former one signed stays good while it is kept.
func TestRingTakesUpAChangedKey(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seed, previous := newSeed(t), secrets.Secret{}
	var down error
	ring, err := NewRing(t.Context(), func(context.Context) (Signing, error) {
		if down != nil {
			return Signing{}, down
		}
		return New(seed, previous)
	}, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	signs := func() string {
		t.Helper()
		text, err := ring.Sign(identity.Claims{})
		if err != nil {
			t.Fatal(err)
		}
		token, _, err := jwt.NewParser().ParseUnverified(text, &identity.Claims{})
		if err != nil {
			t.Fatal(err)
		}
		return token.Header["kid"].(string)
	}
	published := func(id string) bool {
		return slices.ContainsFunc(ring.JWKS().Keys, func(k identity.JWK) bool { return k.KeyID == id })
	}
	first := signs()

	previous, seed = seed, newSeed(t)
	if err := ring.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := ring.JWKS().Keys[0].KeyID
	if second == first || signs() != first || !published(first) {
		t.Errorf("right after the change %s signs, of %+v; want the former key, and both published", signs(), ring.JWKS())
	}
	now = now.Add(settle)
	if signs() != second || !published(first) {
		t.Errorf("%s signs %v later, and the former key is published: %v; want the new key, and both", signs(), settle, published(first))
	}
	down = errors.New("down")
	if err := ring.Refresh(t.Context()); !errors.Is(err, down) || signs() != second {
		t.Errorf("without a secret store: %v, %s signs", err, signs())
	}
	down, previous = nil, secrets.Secret{}
	if err := ring.Refresh(t.Context()); err != nil || published(first) {
		t.Errorf("a key that is no longer kept is still published, %v", err)
	}
}
