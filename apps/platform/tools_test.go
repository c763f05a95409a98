package main

import (
	"os"
	"strings"
	"testing"
)

func TestReadmeHasTheConfigurationOfNow(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := withConfigTable(string(readme))
	if err != nil {
		t.Fatal(err)
	}
	if fresh != string(readme) {
		t.Error("the configuration reference of README.md is not that of pkg/config; make generate refreshes it")
	}
	if !strings.Contains(fresh, "| `TANDEM_GROUPS` | `all` | ") {
		t.Error("the reference lacks TANDEM_GROUPS")
	}
}

func TestConfigTableNeedsItsPlace(t *testing.T) {
	for _, text := range []string{"", configBegin, configEnd, configEnd + configBegin} {
		if _, err := withConfigTable(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
