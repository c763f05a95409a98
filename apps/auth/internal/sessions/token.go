package sessions

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

const (
	randomBytes = 32 // what makes a refresh token unguessable
	tagBytes    = 16 // what makes it recognizable for ever
	secretBytes = randomBytes + tagBytes
	familyBytes = 32
)

// refreshToken is "<session id>.<base64url>" on the wire. The base64url part is 256 random bits and a
// tag, the HMAC of those bits under the session's family key. Only the digest of the latest token is
// stored; the tag still tells a token that was used before, however long ago, from one that was made up.
// So an old stolen token ends its session, and whoever knows only a session's id cannot end it.
type refreshToken struct {
	session string
	secret  [secretBytes]byte
}

var (
	errToken  = errors.New("not a refresh token")
	sessionID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	encoding  = base64.RawURLEncoding.Strict()
)

func parseToken(text string) (refreshToken, error) {
	var t refreshToken
	id, secret, ok := strings.Cut(text, ".")
	if !ok || !sessionID.MatchString(id) || len(secret) != encoding.EncodedLen(secretBytes) {
		return t, errToken
	}
	decoded, err := encoding.DecodeString(secret)
	if err != nil || len(decoded) != secretBytes {
		return t, errToken
	}
	t.session = id
	copy(t.secret[:], decoded)
	// The decoder skips line breaks, so that one token would have many spellings.
	if t.String() != text {
		return refreshToken{}, errToken
	}
	return t, nil
}

// newToken makes a token of the session with the family key.
func newToken(session string, family []byte, random io.Reader) (refreshToken, error) {
	t := refreshToken{session: session}
	if _, err := io.ReadFull(random, t.secret[:randomBytes]); err != nil {
		return t, fmt.Errorf("make a refresh token: %w", err)
	}
	copy(t.secret[randomBytes:], t.tag(family))
	return t, nil
}

func (t refreshToken) String() string { return t.session + "." + encoding.EncodeToString(t.secret[:]) }

func (t refreshToken) tag(family []byte) []byte {
	mac := hmac.New(sha256.New, family)
	mac.Write(t.secret[:randomBytes])
	return mac.Sum(nil)[:tagBytes]
}

// of tells whether t was once made for the session with the family key.
func (t refreshToken) of(family []byte) bool {
	return hmac.Equal(t.secret[randomBytes:], t.tag(family))
}

// digest is what is stored of t.
func (t refreshToken) digest() []byte {
	sum := sha256.Sum256(t.secret[:])
	return sum[:]
}

// seal encrypts the token that follows t so that only who has t can read it: the answer to a repeated
// refresh is then the same, and still no usable token is stored.
func (t refreshToken) seal(successor refreshToken) ([]byte, error) {
	aead, err := t.cipher()
	if err != nil {
		return nil, fmt.Errorf("seal a refresh token: %w", err)
	}
	return aead.Seal(nil, nil, successor.secret[:], []byte(t.session)), nil
}

// open is the token that was sealed with t.
func (t refreshToken) open(sealed []byte) (refreshToken, error) {
	aead, err := t.cipher()
	if err != nil {
		return refreshToken{}, fmt.Errorf("open a refresh token: %w", err)
	}
	secret, err := aead.Open(nil, nil, sealed, []byte(t.session))
	if err != nil || len(secret) != secretBytes {
		return refreshToken{}, fmt.Errorf("open a refresh token: %w", errors.Join(errToken, err))
	}
	successor := refreshToken{session: t.session}
	copy(successor.secret[:], secret)
	return successor, nil
}

func (t refreshToken) cipher() (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, t.secret[:randomBytes], nil, "tandem refresh token successor", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
