// Package secrets reads secrets by name and keeps them out of logs: a Secret shows itself to nobody but a caller of
// Reveal.
package secrets

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// ErrNotFound says that the source has no secret of that name.
var ErrNotFound = errors.New("no such secret")

// redacted stands for every secret wherever one is printed.
const redacted = "[secret]"

// Source is where secrets come from. It is safe for concurrent use.
type Source interface {
	// Get reads one secret: ErrNotFound.
	Get(ctx context.Context, name string) (Secret, error)
}

// Secret is a value that prints, logs and encodes as "[secret]". The zero value is the empty secret.
type Secret struct{ value string }

// New makes a secret of value.
func New(value string) Secret { return Secret{value} }

// Reveal is the value itself, for whatever needs it.
func (s Secret) Reveal() string { return s.value }

// Empty tells whether there is nothing to reveal.
func (s Secret) Empty() bool { return s.value == "" }

// Equal compares in a time that does not depend on where the values differ.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.value), []byte(o.value)) == 1
}

// Format prints "[secret]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	// fmt.State's Write never fails in a way that a formatter could tell anybody.
	_, _ = io.WriteString(f, redacted)
}

// String is "[secret]".
func (s Secret) String() string { return redacted }

// LogValue is "[secret]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is "[secret]", in JSON, YAML and map keys alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText reads a value, so that configuration can be decoded into a Secret.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

// Map is a Source in this process.
type Map map[string]string

// Get implements Source.
func (m Map) Get(_ context.Context, name string) (Secret, error) {
	value, ok := m[name]
	if !ok || value == "" {
		return Secret{}, fmt.Errorf("get secret %s: %w", name, ErrNotFound)
	}
	return New(value), nil
}
