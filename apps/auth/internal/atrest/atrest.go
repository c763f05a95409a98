// Package atrest keeps what lets somebody in from who has only the database.
package atrest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Digest is what is stored of a token that is random enough not to be guessed, or of a text that is too long for an id or not ours
// to keep.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Sealer encrypts what must be read again.
type Sealer interface {
	// Seal encrypts value for owner.
	Seal(ctx context.Context, owner string, value []byte) ([]byte, error)
	// Open decrypts what was sealed for owner; for anybody else that is an error.
	Open(ctx context.Context, owner string, sealed []byte) ([]byte, error)
}
