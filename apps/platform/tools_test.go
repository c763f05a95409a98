package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
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

func TestHealthcheckAsksTheProcessOnTheAppPort(t *testing.T) {
	status := http.StatusOK
	process := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer process.Close()
	address, err := url.Parse(process.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("APP_PORT", address.Port())
	t.Setenv("APP_API_TOKEN", "token")
	for _, listen := range []string{"127.0.0.1", "0.0.0.0"} { // containers listen on every address
		t.Setenv("TANDEM_LISTEN", listen)
		if status = http.StatusOK; obey([]string{"healthcheck"}) != 0 {
			t.Errorf("%s: a process that is ready is not healthy", listen)
		}
		if status = http.StatusServiceUnavailable; obey([]string{"healthcheck"}) != 1 {
			t.Errorf("%s: a process that is not ready is healthy", listen)
		}
	}
	process.Close()
	if obey([]string{"healthcheck"}) != 1 {
		t.Error("a process that does not answer is healthy")
	}
}
