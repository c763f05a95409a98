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
	"time"

	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/vault"
)

func key(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, vault.KeySize))
}

const name = "credentials-key"

// at is a moment at which the vaults of most tests stay.
func at() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// open is a vault with a key, and with former ones.
func open(text string, former ...string) *vault.Vault {
	return vault.New(secrets.Map{name: text, "credentials-keys-previous": strings.Join(former, ",")}, name, at)
}

// source is a secret store that answers as it is told.
type source func(name string) (secrets.Secret, error)

func (s source) Get(_ context.Context, name string) (secrets.Secret, error) { return s(name) }

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
		{"a former key", "org-1", "connection-1", open(key(2), key(3), key(1)), read, nil},
		{"a former key, another connection", "org-1", "connection-2", open(key(2), key(1)), read, vault.ErrTampered},
		{"a former key, a changed byte", "org-1", "connection-1", open(key(2), key(1)), flipped, vault.ErrTampered},
		{"another key", "org-1", "connection-1", open(key(2)), read, vault.ErrOtherKey},
		{"none of the former keys", "org-1", "connection-1", open(key(2), key(3)), read, vault.ErrOtherKey},
		{"the name of another key", "org-1", "connection-1", open(key(2), key(1)), vault.Sealed{Key: nameOf(t, key(2)), Envelope: sealed.Envelope}, vault.ErrTampered},
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

// nameOf is the name of a key.
func nameOf(t *testing.T, text string) string {
	t.Helper()
	name, err := open(text).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestABadKeyIsNamedButNotQuoted(t *testing.T) {
	for _, text := range []string{"", "hunter2hunter2", base64.StdEncoding.EncodeToString([]byte("hunter2-too-short"))} {
		for secret, v := range map[string]*vault.Vault{name: open(text), "credentials-keys-previous": open(key(1), key(2), text)} {
			_, err := v.Seal(t.Context(), "org-1", "connection-1", []byte("x"))
			if err == nil || text != "" && !strings.Contains(err.Error(), "32 bytes of base64") || !strings.Contains(err.Error(), secret) {
				t.Errorf("%s %q: error %v", secret, text, err)
			}
			if text != "" && strings.Contains(fmt.Sprint(err), text) {
				t.Errorf("the error quotes the key: %v", err)
			}
		}
	}
}

func TestAKeyThatCannotBeReadIsReadAgain(t *testing.T) {
	down := errors.New("sidecar down")
	calls := 0
	v := vault.New(source(func(asked string) (secrets.Secret, error) {
		if asked != name {
			return secrets.Secret{}, secrets.ErrNotFound
		}
		if calls++; calls == 1 {
			return secrets.Secret{}, down
		}
		return secrets.New(key(1)), nil
	}), name, at)
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

// TestTheKeyOfARunningVaultChanges has a vault that runs while its key is changed: it seals with the new one within a minute, opens
// what another process has sealed with that at once, and opens what the former one has sealed.
func TestTheKeyOfARunningVaultChanges(t *testing.T) {
	stored, now := secrets.Map{name: key(1)}, at()
	v := vault.New(stored, name, func() time.Time { return now })
	before, err := v.Seal(t.Context(), "o", "c", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	stored["credentials-keys-previous"], stored[name] = key(1), key(2)
	if same, err := v.Reseal(t.Context(), "o", "c", before); err != nil || !same.Equal(before) {
		t.Errorf("what the current key has sealed is sealed again: %v", err)
	}
	now = now.Add(time.Minute)
	if current, err := v.Current(t.Context()); err != nil || current != nameOf(t, key(2)) {
		t.Errorf("after a minute the key is %s, %v", current, err)
	}
	after, err := v.Reseal(t.Context(), "o", "c", before)
	if err != nil || after.Key != nameOf(t, key(2)) {
		t.Errorf("sealed again with %s, %v", after.Key, err)
	}
	for name, sealed := range map[string]vault.Sealed{"before": before, "after": after} {
		if value, err := v.Open(t.Context(), "o", "c", sealed); err != nil || string(value) != "x" {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}
	if value, err := open(key(2)).Open(t.Context(), "o", "c", after); err != nil || string(value) != "x" {
		t.Errorf("without the former key: %q, %v", value, err)
	}

	other, err := open(key(3)).Seal(t.Context(), "o", "c", []byte("y")) // by a process that has seen the next key already
	if err != nil {
		t.Fatal(err)
	}
	stored["credentials-keys-previous"], stored[name] = key(2)+","+key(1), key(3)
	if value, err := v.Open(t.Context(), "o", "c", other); err != nil || string(value) != "y" {
		t.Errorf("what another process has sealed: %q, %v", value, err)
	}
}

// TestASecretStoreInTroubleTakesNoKeyAway says that keys once read stay known while they cannot be read.
func TestASecretStoreInTroubleTakesNoKeyAway(t *testing.T) {
	trouble, now := map[string]error{}, at()
	stored := secrets.Map{name: key(2), "credentials-keys-previous": key(1)}
	v := vault.New(source(func(asked string) (secrets.Secret, error) {
		if err := trouble[asked]; err != nil {
			return secrets.Secret{}, err
		}
		return stored.Get(t.Context(), asked)
	}), name, func() time.Time { return now })
	sealed := func(text string) vault.Sealed {
		s, err := open(text).Seal(t.Context(), "o", "c", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for range 2 {
		for _, text := range []string{key(1), key(2)} {
			if _, err := v.Open(t.Context(), "o", "c", sealed(text)); err != nil {
				t.Errorf("with trouble %v: %v", trouble, err)
			}
		}
		trouble["credentials-keys-previous"] = errors.New("no such thing, in other words")
		now = now.Add(time.Minute)
	}
	if _, err := v.Open(t.Context(), "o", "c", sealed(key(3))); !errors.Is(err, vault.ErrOtherKey) || !strings.Contains(err.Error(), "in other words") {
		t.Errorf("of another key: %v; want why the former keys are not known", err)
	}
	trouble[name] = errors.New("down")
	now = now.Add(time.Minute)
	if _, err := v.Open(t.Context(), "o", "c", sealed(key(2))); err != nil {
		t.Errorf("while the store is down: %v", err)
	}
	if err := v.Refresh(t.Context()); !errors.Is(err, trouble[name]) {
		t.Errorf("read anew: %v", err)
	}
}
