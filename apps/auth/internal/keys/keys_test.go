package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/secrets"
)

func newSeed(t *testing.T) secrets.Secret {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		t.Fatal(err)
	}
	return secrets.New(base64.StdEncoding.EncodeToString(seed))
}

func TestMalformedSeed(t *testing.T) {
	for _, text := range []string{"", "short", "not base64 !", base64.StdEncoding.EncodeToString(make([]byte, 31)), base64.StdEncoding.EncodeToString(make([]byte, 64))} {
		_, err := New(secrets.New(text), secrets.Secret{})
		if !errors.Is(err, errSeed) || (text != "" && strings.Contains(err.Error(), text)) {
			t.Errorf("seed of %d characters: %v; want %v without the seed", len(text), err, errSeed)
		}
	}
}

func TestMalformedPreviousSeeds(t *testing.T) {
	good := newSeed(t).Reveal()
	for _, text := range []string{"short", good + ",", good + ",not base64 !", good + "," + good[:40]} {
		_, err := New(newSeed(t), secrets.New(text))
		if !errors.Is(err, errSeed) || !strings.Contains(err.Error(), PreviousSecret) || strings.Contains(err.Error(), good[:40]) {
			t.Errorf("%d characters: %v; want %v with the secret's name, without the seeds", len(text), err, errSeed)
		}
	}
}

// The thumbprint is the example of RFC 8037, appendix A.3, for the key of A.1.
func TestKeyIDIsItsThumbprint(t *testing.T) {
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	key, err := New(secrets.New(base64.StdEncoding.EncodeToString(seed)), secrets.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if key.id != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("key id %s", key.id)
	}
	if keys := key.JWKS().Keys; len(keys) != 1 || keys[0].KeyID != key.id || keys[0].X != "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" {
		t.Errorf("key set %+v", keys)
	}
}
