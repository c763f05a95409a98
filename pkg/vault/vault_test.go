package vault_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/vault"
)

func key(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, vault.KeySize))
}

func open(text string) *vault.Vault {
	return vault.New(func(context.Context) (secrets.Secret, error) { return secrets.New(text), nil })
}

func TestOnlyItsOwnConnectionOpensASealedValue(t *testing.T) {
	v := open(key(1))
	sealed, err := v.Seal(t.Context(), "org-1", "connection-1", []byte("shpat_secret"))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range [][]byte{stored, sealed.Envelope} {
		if bytes.Contains(form, []byte("shpat_secret")) {
			t.Error("the stored form holds the value")
		}
	}
	var read vault.Sealed
	if err := json.Unmarshal(stored, &read); err != nil {
		t.Fatal(err)
	}
	flipped := vault.Sealed{Key: sealed.Key, Envelope: bytes.Clone(sealed.Envelope)}
	flipped.Envelope[len(flipped.Envelope)-1] ^= 1
	for _, c := range []struct {
		name, organization, connection string
		with                           *vault.Vault
		sealed                         vault.Sealed
		want                           error
	}{
		{"its own", "org-1", "connection-1", v, read, nil},
		{"after a restart", "org-1", "connection-1", open(key(1)), read, nil},
		{"another organization", "org-2", "connection-1", v, read, vault.ErrTampered},
		{"another connection", "org-1", "connection-2", v, read, vault.ErrTampered},
		{"ids cut elsewhere", "org-1c", "onnection-1", v, read, vault.ErrTampered},
		{"a changed byte", "org-1", "connection-1", v, flipped, vault.ErrTampered},
		{"cut short", "org-1", "connection-1", v, vault.Sealed{Key: sealed.Key, Envelope: sealed.Envelope[:10]}, vault.ErrTampered},
		{"nothing", "org-1", "connection-1", v, vault.Sealed{Key: sealed.Key}, vault.ErrTampered},
		{"another key", "org-1", "connection-1", open(key(2)), read, vault.ErrOtherKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.with.Open(t.Context(), c.organization, c.connection, c.sealed)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if c.want == nil && string(got) != "shpat_secret" {
				t.Errorf("opened %q", got)
			}
		})
	}
}

func TestEverySealingHasItsOwnDataKey(t *testing.T) {
	v := open(key(1))
	a, err := v.Seal(t.Context(), "org-1", "connection-1", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.Seal(t.Context(), "org-1", "connection-1", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Equal(b) || !a.Equal(a) {
		t.Error("two sealings of one value are the same")
	}
}

func TestABadKeyIsNamedButNotQuoted(t *testing.T) {
	for _, text := range []string{"", "hunter2hunter2", base64.StdEncoding.EncodeToString([]byte("hunter2-too-short"))} {
		_, err := open(text).Seal(t.Context(), "org-1", "connection-1", []byte("x"))
		if err == nil || !strings.Contains(err.Error(), "32 bytes of base64") {
			t.Errorf("key %q: error %v", text, err)
		}
		if text != "" && strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}

func TestAKeyThatCannotBeReadIsReadAgain(t *testing.T) {
	down := errors.New("sidecar down")
	calls := 0
	v := vault.New(func(context.Context) (secrets.Secret, error) {
		if calls++; calls == 1 {
			return secrets.Secret{}, down
		}
		return secrets.New(key(1)), nil
	})
	if _, err := v.Seal(t.Context(), "o", "c", []byte("x")); !errors.Is(err, down) {
		t.Fatalf("error %v, want %v", err, down)
	}
	for range 2 {
		if _, err := v.Seal(t.Context(), "o", "c", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 2 {
		t.Errorf("read the key %d times, want 2", calls)
	}
}
