package secrets_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/tandemhq/tandem/apps/devstack/internal/secrets"
	"github.com/tandemhq/tandem/apps/sandbox"
)

func TestFirstStartMakesEverySecretAndTheNextKeepsThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "secrets.json")
	ensure(t, path)
	first := read(t, path)
	for _, name := range secrets.Names() {
		key, err := base64.StdEncoding.DecodeString(first[name])
		if err != nil || len(key) != 32 {
			t.Errorf("%s is %q: %d bytes, %v", name, first[name], len(key), err)
		}
	}
	if first["shopify-client-secret"] != sandbox.ClientSecret {
		t.Errorf("the secret that the sandbox knows is %q", first["shopify-client-secret"])
	}
	if first["google-ads-developer-token"] != sandbox.GoogleDeveloperToken || sandbox.GoogleDeveloperToken == "" {
		t.Errorf("the developer token that the sandbox knows is %q", first["google-ads-developer-token"])
	}
	if first["access-token-key"] == first["credentials-key"] {
		t.Error("two secrets are the same")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}

	ensure(t, path)
	if second := read(t, path); second["credentials-key"] != first["credentials-key"] {
		t.Error("the second start changed a secret")
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("files left beside the secrets: %v", entries)
	}
}

func TestOwnSecretsStayAndMissingOnesAreAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, []byte(`{"credentials-key":"mine","openai-key":"yours","shopify-client-secret":"theirs"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ensure(t, path)
	got := read(t, path)
	if got["credentials-key"] != "mine" || got["openai-key"] != "yours" || got["shopify-client-secret"] != "theirs" || got["access-token-key"] == "" {
		t.Errorf("got %v", got)
	}
}

func TestADamagedFileIsNeverOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	const damaged = `{"credentials-key": "half`
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Ensure(path, rand.Reader); err == nil {
		t.Error("a damaged file was accepted")
	}
	if content, _ := os.ReadFile(path); string(content) != damaged {
		t.Errorf("the file is now %q", content)
	}
}

func TestWithoutRandomnessNothingIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	broken := errors.New("no entropy")
	if err := secrets.Ensure(path, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a file was written: %v", err)
	}
}

func ensure(t *testing.T, path string) {
	t.Helper()
	if err := secrets.Ensure(path, rand.Reader); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	return got
}
