package world

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
)

func TestRoutes(t *testing.T) {
	for _, test := range []struct {
		name, listen, host, path string
		status                   int
		body                     string
	}{
		{"inbox", "127.0.0.1", "localhost:8090", "/inbox", http.StatusOK, "the inbox"},
		{"inbox below", "127.0.0.1", "127.0.0.1:8090", "/inbox/messages", http.StatusOK, "the inbox"},
		{"IPv6", "::1", "[::1]:8090", "/inbox", http.StatusOK, "the inbox"},
		{"root", "127.0.0.1", "localhost:8090", "/", http.StatusSeeOther, ""},
		{"vendors", "127.0.0.1", "localhost:8090", "/shopify/x/admin", http.StatusOK, "a vendor"},
		{"rebound name", "127.0.0.1", "evil.example:8090", "/inbox", http.StatusMisdirectedRequest, ""},
		{"rebound name without port", "127.0.0.1", "evil.example", "/shopify/x", http.StatusMisdirectedRequest, ""},
		{"another address", "127.0.0.1", "192.168.0.7:8090", "/inbox", http.StatusMisdirectedRequest, ""},
		{"in a container", "0.0.0.0", "devstack:8090", "/inbox", http.StatusOK, "the inbox"},
	} {
		t.Run(test.name, func(t *testing.T) {
			handler := routes(Options{Settings: settings.Settings{Host: test.listen}, Sandbox: says("a vendor")}, says("the inbox"))
			request := httptest.NewRequest(http.MethodGet, test.path, nil)
			request.Host = test.host
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code != test.status || test.body != "" && answer.Body.String() != test.body {
				t.Errorf("%d %s, want %d %s", answer.Code, answer.Body, test.status, test.body)
			}
		})
	}
}

func TestHealthSaysWhoItIs(t *testing.T) {
	handler := routes(Options{Settings: settings.Settings{Host: "127.0.0.1", Data: "/data", Keep: true}}, says(""))
	for _, path := range []string{"/healthz", "/readyz"} {
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.Host = "localhost:8090"
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		var got health
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v: %s", path, err, answer.Body)
		}
		if want := (health{Status: "ready", PID: os.Getpid(), Data: "/data", Kept: true}); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte(text)); err != nil {
			panic(err)
		}
	})
}
