package scenario

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Sessions is about tokens: rotation, reuse, logout, and that a revoked session is refused everywhere
// within 5 s.
func Sessions(t *testing.T, site Site) {
	vars := map[string]string{}
	Play(t, site, vars, Register(vars, "sessions"))
	Play(t, site, vars, []Step{
		{Name: "keep the first", Method: http.MethodGet, Path: "/api/auth/me", Want: http.StatusOK},
		{
			Name: "refresh", Method: http.MethodPost, Path: "/api/auth/refresh", Want: http.StatusOK,
			Header: map[string]string{"Authorization": ""}, Body: map[string]string{"refresh_token": "${refresh}"},
			Has: map[string]any{"token_type": "Bearer"}, Save: map[string]string{"token": "access_token", "second": "refresh_token"},
		},
		{Name: "the refreshed token works", Method: http.MethodGet, Path: "/api/analytics/dashboard?from=2026-01-01&to=2026-01-31", Want: http.StatusOK},
		{
			Name: "a made-up refresh token", Method: http.MethodPost, Path: "/api/auth/refresh", Want: http.StatusUnauthorized,
			Header: map[string]string{"Authorization": ""}, Body: map[string]string{"refresh_token": "made.up"},
			Has: map[string]any{"code": "refresh_token_invalid"},
		},
		Login(nil),
		{Name: "two sessions", Method: http.MethodGet, Path: "/api/auth/sessions", Want: http.StatusOK, Has: map[string]any{"items.#": 2, "items.0.current": Present}},
		{Name: "logout", Method: http.MethodPost, Path: "/api/auth/logout", Want: http.StatusNoContent},
		{
			Name: "refused by auth", Method: http.MethodGet, Path: "/api/auth/me", Want: http.StatusUnauthorized, Within: 5 * time.Second,
			Has: map[string]any{"code": "session_revoked"},
		},
		{
			Name: "refused by another group", Method: http.MethodGet, Path: "/api/integrations/records/orders", Want: http.StatusUnauthorized, Within: 5 * time.Second,
			Has: map[string]any{"code": "session_revoked"},
		},
	})
}

// Lockout is about guessing: five failures close the account, whether it exists or not.
func Lockout(t *testing.T, site Site) {
	vars := map[string]string{}
	Play(t, site, vars, Register(vars, "lockout"))
	guess := func(email string) []Step {
		body := map[string]string{"email": email, "password": "not the password at all"}
		return []Step{
			{Name: "guess " + email, Method: http.MethodPost, Path: "/api/auth/login", Body: body, Want: http.StatusUnauthorized, Times: 5, Has: map[string]any{"code": "invalid_credentials"}},
			{Name: "locked " + email, Method: http.MethodPost, Path: "/api/auth/login", Body: body, Want: http.StatusTooManyRequests, Has: map[string]any{"code": "account_locked"}},
		}
	}
	delete(vars, "token")
	Play(t, site, vars, guess("${email}"))
	Play(t, site, vars, guess("nobody-"+vars["email"]))
}

// BadInput is what clients get wrong, and the problem each gets.
func BadInput(t *testing.T, site Site) {
	vars := map[string]string{}
	Play(t, site, vars, Register(vars, "badinput"))
	register := "/api/auth/register"
	owner := func(change func(map[string]any)) map[string]any {
		body := map[string]any{
			"organization": map[string]any{"name": "Second"}, "email": "second@example.com",
			"password": "a long enough pass phrase", "first_name": "B", "last_name": "C",
		}
		change(body)
		return body
	}
	problem := func(code string) map[string]any { return map[string]any{"code": code, "trace_id": Present} }
	dashboard := "/api/analytics/dashboard?"
	orders := "/api/integrations/records/orders?"
	Play(t, site, vars, []Step{
		{Name: "malformed JSON", Method: http.MethodPost, Path: register, Body: `{"email":`, Want: http.StatusBadRequest, Has: problem("bad_request")},
		{Name: "no body", Method: http.MethodPost, Path: register, Body: ``, Want: http.StatusBadRequest, Has: problem("bad_request")},
		{Name: "wrong type", Method: http.MethodPost, Path: register, Body: owner(func(b map[string]any) { b["email"] = 7 }), Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "unknown field", Method: http.MethodPost, Path: register, Body: owner(func(b map[string]any) { b["role"] = "root" }), Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "missing field", Method: http.MethodPost, Path: register, Body: owner(func(b map[string]any) { delete(b, "email") }), Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "no e-mail", Method: http.MethodPost, Path: register, Body: owner(func(b map[string]any) { b["email"] = "not an address" }), Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "wrong content type", Method: http.MethodPost, Path: register, Header: map[string]string{"Content-Type": "text/xml"}, Body: "<a/>", Want: http.StatusUnsupportedMediaType, Has: problem("unsupported_media_type")},
		{Name: "weak password", Method: http.MethodPost, Path: register, Body: owner(func(b map[string]any) { b["password"] = "aaaaaaaaaaaaaa" }), Want: http.StatusUnprocessableEntity, Has: problem("weak_password"), Lacks: []string{"aaaaaaaaaaaaaa"}},
		{Name: "duplicate e-mail", Method: http.MethodPost, Path: register, Body: owner(func(b map[string]any) { b["email"] = "${email}" }), Want: http.StatusConflict, Has: problem("email_taken")},
		{Name: "oversized for the module", Method: http.MethodPost, Path: register, Body: `{"email":"` + strings.Repeat("x", 2<<20) + `"}`, Want: http.StatusRequestEntityTooLarge, Has: map[string]any{"code": "body_too_large"}},
		{Name: "oversized for the edge", Method: http.MethodPost, Path: register, Body: `{"email":"` + strings.Repeat("x", 9<<20) + `"}`, Want: http.StatusRequestEntityTooLarge, Has: map[string]any{"code": "body_too_large"}},
		{Name: "oversized for the edge, unsaid", Method: http.MethodPost, Path: register, Body: strings.NewReader(strings.Repeat("x", 9<<20)), Want: http.StatusRequestEntityTooLarge, Has: map[string]any{"code": "body_too_large"}},
		{Name: "no such method", Method: "FOO", Path: "/api/auth/logout", Want: http.StatusMethodNotAllowed, Has: map[string]any{"code": "method_not_allowed"}},
		{Name: "the sidecar's routes by way of the edge", Method: http.MethodGet, Path: "/api/auth/%2e%2e/%2e%2e/dapr/subscribe", Want: http.StatusNotFound, Has: map[string]any{"code": "route_not_found"}},
		{Name: "odd bytes in a path", Method: http.MethodGet, Path: "/api/integrations/sync/runs/%ff%00", Want: http.StatusNotFound, Has: map[string]any{"code": "route_not_found"}},
		{Name: "no such route", Method: http.MethodGet, Path: "/api/auth/nothing-here", Want: http.StatusNotFound, Has: map[string]any{"code": "route_not_found"}},
		{Name: "no such group", Method: http.MethodGet, Path: "/api/nothing/here", Want: http.StatusNotFound, Has: map[string]any{"code": "route_not_found"}},
		{Name: "wrong method", Method: http.MethodPut, Path: register, Want: http.StatusMethodNotAllowed, Has: map[string]any{"code": "method_not_allowed"}},
		{Name: "bad date", Method: http.MethodGet, Path: dashboard + "from=yesterday&to=2026-01-01", Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "reversed range", Method: http.MethodGet, Path: dashboard + "from=2026-02-01&to=2026-01-01", Want: http.StatusUnprocessableEntity, Has: map[string]any{"code": Present}},
		{Name: "no such zone", Method: http.MethodGet, Path: dashboard + "from=2026-01-01&to=2026-01-31&tz=Mars/Olympus", Want: http.StatusUnprocessableEntity, Has: problem("invalid_time_zone")},
		{Name: "no such granularity", Method: http.MethodGet, Path: dashboard + "from=2026-01-01&to=2026-01-31&granularity=minute", Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "unknown parameter", Method: http.MethodGet, Path: dashboard + "form=2026-01-01", Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "bad cursor", Method: http.MethodGet, Path: orders + "cursor=abc", Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "bad limit", Method: http.MethodGet, Path: orders + "limit=0", Want: http.StatusUnprocessableEntity, Has: problem("validation_failed")},
		{Name: "no such shop", Method: http.MethodPost, Path: "/api/integrations/shopify/connect", Body: map[string]string{"shop": "evil.example.com/x", "access_token": shopToken}, Want: http.StatusUnprocessableEntity, Has: map[string]any{"code": Present}},
		{Name: "credentials that the vendor refuses", Method: http.MethodPost, Path: "/api/integrations/shopify/connect", Body: map[string]string{"shop": "demo", "access_token": "shpat_revoked00000"}, Want: http.StatusUnprocessableEntity, Has: problem("credentials_refused"), Lacks: []string{"shpat_revoked00000"}},
	})
	Play(t, site, vars, []Step{
		{Name: "no token", Method: http.MethodGet, Path: "/api/auth/me", Header: map[string]string{"Authorization": ""}, Want: http.StatusUnauthorized, Has: problem("unauthenticated")},
		{Name: "no bearer", Method: http.MethodGet, Path: "/api/auth/me", Header: map[string]string{"Authorization": "Basic YTpi"}, Want: http.StatusUnauthorized, Has: problem("unauthenticated")},
		{Name: "alg none", Method: http.MethodGet, Path: "/api/auth/me", Header: map[string]string{"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."}, Want: http.StatusUnauthorized, Has: problem("token_invalid")},
		{Name: "a changed token", Method: http.MethodGet, Path: "/api/auth/me", Header: map[string]string{"Authorization": "Bearer ${token}x"}, Want: http.StatusUnauthorized, Has: problem("token_invalid")},
		Login(map[string]string{"scope": "analytics.dashboard:read"}),
		{Name: "no permission", Method: http.MethodGet, Path: "/api/integrations/records/orders", Want: http.StatusForbidden, Has: problem("permission_denied")},
		{Name: "within the scope", Method: http.MethodGet, Path: dashboard + "from=2026-01-01&to=2026-01-31", Want: http.StatusOK},
	})
}

// Idempotency is about POSTs that are repeated with a key.
func Idempotency(t *testing.T, site Site) {
	vars := map[string]string{}
	Play(t, site, vars, Register(vars, "idempotency"))
	key := map[string]string{"Idempotency-Key": fmt.Sprintf("key-%d", time.Now().UnixNano())}
	connect := Step{
		Method: http.MethodPost, Path: "/api/integrations/shopify/connect", Want: http.StatusCreated, Header: key,
		Body: map[string]string{"shop": "demo", "access_token": shopToken},
	}
	first, again, other := connect, connect, connect
	first.Name, first.Save = "the first", map[string]string{"connection": "id"}
	again.Name, again.Has = "the same again", map[string]any{"id": "${connection}"}
	other.Name, other.Body = "another body with the key", map[string]string{"shop": "other", "access_token": shopToken}
	other.Want, other.Has = http.StatusUnprocessableEntity, map[string]any{"code": "idempotency_key_reused"}
	Play(t, site, vars, []Step{first, again, other})
	Once(t, site, vars)(t, site)
}

// Once connects the connected shop again, with a key. What it returns repeats that, by then perhaps elsewhere, and wants the
// first answer from Dapr's state.
func Once(t *testing.T, site Site, vars map[string]string) func(*testing.T, Site) {
	t.Helper()
	post := Step{
		Method: http.MethodPost, Path: "/api/integrations/shopify/connect", Want: http.StatusOK,
		Header: map[string]string{"Idempotency-Key": fmt.Sprintf("once-%d", time.Now().UnixNano())},
		Body:   map[string]string{"shop": "demo", "access_token": shopToken},
	}
	first, answer, err := post.Do(t.Context(), site, vars)
	if err != nil {
		t.Fatal(err)
	}
	if replayed := first.Header.Get("Idempotency-Replayed"); replayed != "" {
		t.Fatalf("the first answer has Idempotency-Replayed: %s", replayed)
	}
	return func(t *testing.T, site Site) {
		t.Helper()
		again, got, err := post.Do(t.Context(), site, vars)
		if err != nil {
			t.Fatal(err)
		}
		if replayed := again.Header.Get("Idempotency-Replayed"); replayed != "true" || !bytes.Equal(got, answer) {
			t.Errorf("Idempotency-Replayed: %q, %s; want true and the first answer %s", replayed, got, answer)
		}
	}
}
