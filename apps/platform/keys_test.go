package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/vault"
)

func TestKeysRotateInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, []byte(`{"access-token-key":"first","service-token-key":"stays"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func() (values map[string]string) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(content, &values)
		}
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	if err := keysCommand([]string{"rotate", "--file", path}); err != nil {
		t.Fatal(err)
	}
	once := read()
	if once["service-token-key"] != "stays" || once["access-token-keys-previous"] != "first" || len(once["access-token-key"]) != 44 {
		t.Errorf("after one change %v", once)
	}
	for range 2 {
		if err := keysCommand([]string{"rotate", "--file", path}); err != nil {
			t.Fatal(err)
		}
	}
	if former := strings.Split(read()["access-token-keys-previous"], ","); len(former) != formerKeys || former[1] != once["access-token-key"] {
		t.Errorf("former keys %v; want the last %d, the latest first", former, formerKeys)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	for _, wrong := range [][]string{nil, {"turn"}, {"rotate", "--file", filepath.Join(t.TempDir(), "none")}, {"rotate", "--key", "service-token-key", "--file", path}, {"rotate", "--key", "credentials-key", "--file", path}, {"status", "--key", "access-token-key"}} {
		if err := keysCommand(wrong); err == nil {
			t.Errorf("%v is accepted", wrong)
		}
	}
}

// TestASealingKeyKeepsAllThatWereBeforeIt since something may be encrypted with any of them still.
func TestASealingKeyKeepsAllThatWereBeforeIt(t *testing.T) {
	for _, key := range []string{"credentials-key", "auth-sealing-key"} {
		values := map[string]string{key: "first", "access-token-key": "stays"}
		var before []string
		for range 5 {
			before = append([]string{values[key]}, before...)
			if err := rotate(values, key); err != nil {
				t.Fatal(err)
			}
		}
		if former := values[strings.TrimSuffix(key, "-key")+"-keys-previous"]; former != strings.Join(before, ",") || len(values[key]) != 44 || values["access-token-key"] != "stays" {
			t.Errorf("%s: %v, want all former ones, the latest first", key, values)
		}
	}
}

func TestKeysStatusTellsWhatIsLeft(t *testing.T) {
	p := start(t)
	secret, err := p.Secret(identity.GroupSecretName)
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(map[string]string{identity.GroupSecretName: secret})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"credentials-key", "auth-sealing-key"} {
		status := func() error {
			return keysCommand([]string{"status", "--key", key, "--url", p.API, "--secrets", path})
		}
		if err := status(); err != nil {
			t.Error(err)
		}
		// Changed in the file, of which the platform knows when it has been restarted.
		other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, vault.KeySize))
		changed, err := json.Marshal(map[string]string{identity.GroupSecretName: secret, key: other})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := status(); err == nil || !strings.Contains(err.Error(), "restart it") {
			t.Errorf("%s was changed and not read yet: %v", key, err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
