package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	for _, wrong := range [][]string{nil, {"turn"}, {"rotate", "--file", filepath.Join(t.TempDir(), "none")}} {
		if err := keysCommand(wrong); err == nil {
			t.Errorf("%v is accepted", wrong)
		}
	}
}
