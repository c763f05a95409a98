package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	challengeBytes = 32
	passkeyLife    = 5 * time.Minute  // for an authenticator to answer
	codeLife       = 10 * time.Minute // for a code to be typed
	secretLife     = 15 * time.Minute // for an authenticator app to be set up
)

// purpose is what a ceremony is for. What was begun for one completes no other.
type purpose string

// The purposes there are.
const (
	toSignIn      purpose = "sign-in"
	toStepUp      purpose = "step-up"
	toEnrol       purpose = "enrol"
	toSignInAlone purpose = "passwordless"
)

// ceremony is something begun that waits for a code or a passkey's answer. Its id is the hash of the
// challenge that names it and of what it is for.
type ceremony struct {
	// User is who began it; empty for a passwordless sign-in, where nobody is known yet.
	User string `json:"user,omitempty"`
	// Code is the HMAC (RFC 2104) of the code that was sent, under the challenge: whoever reads the database,
	// which does not hold the challenge, cannot try all the codes.
	Code []byte `json:"code,omitempty"`
	// Number is the telephone number to enrol.
	Number string `json:"number,omitempty"`
	// Secret is that of the authenticator app to enrol, sealed.
	Secret []byte `json:"secret,omitempty"`
	// Passkey is what the passkey's answer must fit.
	Passkey   *webauthn.SessionData `json:"passkey,omitempty"`
	ExpiresAt store.Time            `json:"expires_at"`
}

// ceremonies keeps what was begun.
type ceremonies struct {
	*store.Documents[ceremony]
	now    func() time.Time
	random io.Reader
}

var errNoCeremony = errors.New("no such ceremony is under way")

func openCeremonies(ctx context.Context, c Config) (ceremonies, error) {
	d, err := store.System[ceremony](ctx, c.DB, store.Def{Name: "second_factor_ceremonies", Indexes: []store.Index{
		{Name: byExpiry, Fields: []string{"expires_at"}},
	}})
	if err != nil {
		return ceremonies{}, fmt.Errorf("open the ceremonies of second factors: %w", err)
	}
	return ceremonies{d, c.Now, c.Random}, nil
}

// challenge is a new name that nobody can guess.
func (c ceremonies) challenge() (string, error) {
	secret := make([]byte, challengeBytes)
	if _, err := io.ReadFull(c.random, secret); err != nil {
		return "", fmt.Errorf("make a challenge: %w", err)
	}
	return hex.EncodeToString(secret), nil
}

// ceremonyID is what is stored of a challenge.
func ceremonyID(p purpose, method, challenge string) string {
	return atrest.Digest(string(p) + " " + method + " " + challenge)
}

// begin keeps v for so long; it takes the place of what was begun under the same id.
func (c ceremonies) begin(ctx context.Context, id string, v ceremony, life time.Duration) error {
	v.ExpiresAt = store.At(c.now().Add(life))
	if _, err := c.PutMany(ctx, []store.Put[ceremony]{{ID: id, Value: v}}); err != nil {
		return fmt.Errorf("begin a ceremony: %w", err)
	}
	return nil
}

// of is what user has under way under id: errNoCeremony.
func (c ceremonies) of(ctx context.Context, id, user string) (store.Doc[ceremony], error) {
	doc, err := c.Get(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return doc, errNoCeremony
	case err != nil:
		return doc, fmt.Errorf("read a ceremony: %w", err)
	case doc.Value.User != user, !c.now().Before(doc.Value.ExpiresAt.Time):
		return doc, errNoCeremony
	}
	return doc, nil
}

// end ends a ceremony, with messages: of all that end it, one succeeds and the others get errNoCeremony, as
// does who read it before it was begun anew.
func (c ceremonies) end(ctx context.Context, doc store.Doc[ceremony], messages ...store.Message) error {
	err := c.Delete(ctx, doc.ID, doc.Version, messages...)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return errNoCeremony
	}
	if err != nil {
		return fmt.Errorf("end a ceremony: %w", err)
	}
	return nil
}

// take is of and end in one.
func (c ceremonies) take(ctx context.Context, id, user string) (ceremony, error) {
	doc, err := c.of(ctx, id, user)
	if err == nil {
		err = c.end(ctx, doc)
	}
	return doc.Value, err
}

// codeDigest is what is stored of a code.
func codeDigest(challenge, code string) []byte {
	mac := hmac.New(sha256.New, []byte(challenge))
	mac.Write([]byte(code))
	return mac.Sum(nil)
}

func (c ceremonies) forget(ctx context.Context) error {
	return c.DeleteDue(ctx, store.Query{Index: byExpiry, Range: store.Range{Field: "expires_at", To: store.At(c.now())}})
}
