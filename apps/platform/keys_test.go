package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/identity"
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
	key, err := p.Secret(identity.GroupSecretName)
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(map[string]string{identity.GroupSecretName: key})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"credentials-key", "auth-sealing-key"} {
		if err := keysCommand([]string{"status", "--key", key, "--url", p.API, "--secrets", path}); err != nil {
			t.Error(err)
		}
	}
}
