// Package passwords hashes passwords and holds them against rules.
package passwords

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/tandemhq/tandem/pkg/problem"
)

// Hasher turns passwords into what is stored of them.
type Hasher interface {
	// Hash is the stored form of password, different each time.
	Hash(ctx context.Context, password string) (string, error)
	// Verify tells whether hash was made of password, and whether it should be made anew because the
	// parameters have changed since.
	Verify(ctx context.Context, hash, password string) (ok, outdated bool, err error)
	// Dummy is a hash of no password. Verifying against it takes as long as against any other.
	Dummy() string
}

// Params are the cost of an Argon2id hash (RFC 9106).
type Params struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// DefaultParams are OWASP's second recommendation (Password Storage Cheat Sheet): 19 MiB, two passes.
var DefaultParams = Params{Memory: 19 * 1024, Passes: 2, Threads: 1}

const (
	saltBytes = 16
	hashBytes = 32
	// patience is how long a password waits for its turn; more of a queue than that is an attack or an
	// overload, and waiting clients would make it worse.
	patience = 5 * time.Second
)

// Argon2id hashes with Argon2id and writes PHC strings. At most a fixed number of hashes is computed at
// once, so that many logins cost time and not memory.
type Argon2id struct {
	params Params
	random io.Reader
	slots  chan struct{}
	dummy  string
}

// NewArgon2id computes at most concurrent hashes at once, each with the memory of p; salts come from
// random.
func NewArgon2id(p Params, concurrent int, random io.Reader) (*Argon2id, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if concurrent < 1 {
		return nil, fmt.Errorf("%d hashes at once; want at least 1", concurrent)
	}
	a := &Argon2id{params: p, random: random, slots: make(chan struct{}, concurrent)}
	dummy := phc{Params: p, salt: make([]byte, saltBytes), hash: make([]byte, hashBytes)}
	for _, part := range [][]byte{dummy.salt, dummy.hash} {
		if _, err := io.ReadFull(random, part); err != nil {
			return nil, fmt.Errorf("make a salt: %w", err)
		}
	}
	a.dummy = dummy.String()
	return a, nil
}

// Dummy implements Hasher with a random hash, which no password that anybody finds has.
func (a *Argon2id) Dummy() string { return a.dummy }

// Hash implements Hasher. Problems: 503 unavailable when too many passwords wait.
func (a *Argon2id) Hash(ctx context.Context, password string) (string, error) {
	h := phc{Params: a.params, salt: make([]byte, saltBytes)}
	if _, err := io.ReadFull(a.random, h.salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	var err error
	if h.hash, err = a.compute(ctx, h, password, hashBytes); err != nil {
		return "", err
	}
	return h.String(), nil
}

// Verify implements Hasher. Problems: 503 unavailable when too many passwords wait.
func (a *Argon2id) Verify(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	h, err := parsePHC(hash)
	if err != nil {
		return false, false, err
	}
	computed, err := a.compute(ctx, h, password, uint32(len(h.hash)))
	if err != nil {
		return false, false, err
	}
	outdated = h.Params != a.params || len(h.salt) != saltBytes || len(h.hash) != hashBytes
	return subtle.ConstantTimeCompare(computed, h.hash) == 1, outdated, nil
}

func (a *Argon2id) compute(ctx context.Context, h phc, password string, size uint32) ([]byte, error) {
	turn := time.NewTimer(patience)
	defer turn.Stop()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-turn.C:
		return nil, problem.New(http.StatusServiceUnavailable, problem.CodeUnavailable,
			"too many people are signing in right now").After(time.Second)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	return argon2.IDKey([]byte(password), h.salt, h.Passes, h.Memory, h.Threads, size), nil
}

// phc is a hash with its parameters in the PHC string format.
type phc struct {
	Params
	salt, hash []byte
}

var (
	errPHC    = errors.New("not the PHC string of an Argon2id hash")
	phcBase64 = base64.RawStdEncoding.Strict()
)

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.Memory, h.Passes, h.Threads,
		phcBase64.EncodeToString(h.salt), phcBase64.EncodeToString(h.hash))
}

func parsePHC(text string) (phc, error) {
	var h phc
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, errPHC
	}
	// What is not printed the same again was read wrongly: Sscanf forgives signs and what follows.
	_, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.Memory, &h.Passes, &h.Threads)
	if err == nil {
		h.salt, err = phcBase64.DecodeString(parts[4])
	}
	if err == nil {
		h.hash, err = phcBase64.DecodeString(parts[5])
	}
	if err == nil {
		err = h.check()
	}
	if err != nil || len(h.salt) < 8 || len(h.hash) < 16 || h.String() != text {
		return phc{}, errors.Join(errPHC, err)
	}
	return h, nil
}

// check refuses parameters that Argon2 does not have or that would take the machine down.
func (p Params) check() error {
	if p.Threads < 1 || p.Passes < 1 || p.Passes > 100 || p.Memory < 8*uint32(p.Threads) || p.Memory > 1<<20 {
		return fmt.Errorf("Argon2id with %d KiB, %d passes, %d threads is out of bounds", p.Memory, p.Passes, p.Threads)
	}
	return nil
}
