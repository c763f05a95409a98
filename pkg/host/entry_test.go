package host

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestAdmit(t *testing.T) {
	h := admit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for _, c := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/api/auth/me", 418},
		{"DELETE", "/api/x/0190c5a2-0000-7000-8000-000000000000:5001", 418},
		{"GET", "/api/x/a.b_c~d@e", 418},
		{"FOO", "/api/auth/logout", 405},
		{"get", "/api/auth/me", 405},
		{"CONNECT", "/api/auth/me", 405},
		{"GET", "/api/auth/%2e%2e/%2e%2e/dapr/subscribe", 404},
		{"GET", "/api/auth/..%2f..%2freadyz", 404},
		{"GET", "/api/auth/../../metrics", 404},
		{"GET", "/api/auth/x%2fme", 404},
		{"GET", "/api/auth/%252e%252e/x", 404},
		{"GET", "/api/auth/me%00", 404},
		{"GET", "/api/auth/me%3fx", 404},
		{"GET", "/api/auth/%ff", 404},
		{"GET", "/api/auth/a%20b", 404},
		{"GET", "/api/auth/a%5cb", 404},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Method = c.method
		target, err := url.ParseRequestURI(c.target)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = target
		if h.ServeHTTP(w, r); w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, w.Code, c.want)
		}
	}
}
