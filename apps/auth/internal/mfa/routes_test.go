package mfa

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/topology"
)

// site is the module's routes, where as acts; permissions and step-up are not checked, as it is the host
// that does so.
type site struct {
	http.Handler
	as identity.Principal
}

func serve(t *testing.T, w *world) *site {
	t.Helper()
	s := &site{}
	router := mux.NewRouter()
	api := humamux.New(router, huma.DefaultConfig("test", "1"))
	for _, operation := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(w.Service)}}) {
		if err := operation.Check(); err != nil {
			t.Error(err)
		}
		operation.Register(api, func(ctx huma.Context, next func(huma.Context)) {
			inner := ctx.Context()
			if !operation.Access.Public {
				inner = identity.With(inner, s.as)
			}
			next(huma.WithContext(ctx, audit.WithOrigin(inner, audit.Origin{Address: ctx.Header("X-Forwarded-For")})))
		})
	}
	s.Handler = router
	return s
}

// ask makes a request and wants a status and, for a problem, a code.
func (s *site) ask(t *testing.T, method, path string, body any, status int, code string, out any) http.Header {
	t.Helper()
	text, isText := body.(string)
	if !isText {
		text = string(encoded(t, body))
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "/api/auth/mfa"+path, strings.NewReader(text))
	if body == nil {
		r = httptest.NewRequestWithContext(t.Context(), method, "/api/auth/mfa"+path, http.NoBody)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var p struct{ Code string }
	if status >= 400 {
		decode(t, w.Body.Bytes(), &p)
	}
	if w.Code != status || p.Code != code {
		t.Fatalf("%s %s: %d %s; want %d %s", method, path, w.Code, w.Body, status, code)
	}
	if out != nil {
		decode(t, w.Body.Bytes(), out)
	}
	return w.Header()
}

// A person's way through all of it, as a browser makes it.
func TestRoutes(t *testing.T) {
	w := newWorld(t)
	s := serve(t, w)
	s.as = w.fresh(t)

	var view authapi.MFA
	s.ask(t, "GET", "", nil, 200, "", &view)
	var secret authapi.TOTPSecret
	s.ask(t, "POST", "/totp", nil, 200, "", &secret)
	s.ask(t, "POST", "/totp/confirm", `{"code":"12345"}`, 422, "", nil)
	var enrolled authapi.MFAEnrolled
	s.ask(t, "POST", "/totp/confirm", map[string]string{"code": w.code(t, secret.Secret)}, 200, "", &enrolled)
	s.as = principal(t, enrolled.AccessToken)

	var begun authapi.MFAChallenge
	s.ask(t, "POST", "/passkeys/begin", nil, 200, "", &begun)
	a := newAuthenticator(t)
	var credential map[string]any // with what browsers add
	decode(t, encoded(t, a.create(begun.PublicKey)), &credential)
	credential["response"].(map[string]any)["publicKeyAlgorithm"] = -7
	credential["clientExtensionResults"] = map[string]any{"credProps": map[string]any{"rk": true}}
	credential["extra"] = "yes"
	s.ask(t, "POST", "/passkeys/finish", map[string]any{"challenge": begun.Challenge, "name": "Ada's phone", "credential": credential}, 200, "", &enrolled)
	key := enrolled.Passkey.ID
	s.ask(t, "POST", "/passkeys/finish", map[string]any{"challenge": begun.Challenge, "name": "Ada's phone", "credential": map[string]any{"id": "x"}}, 422, "", nil)
	tag := s.ask(t, "GET", "/passkeys/"+key, nil, 200, "", nil).Get("ETag")
	if tag != `"1"` {
		t.Errorf("ETag %s", tag)
	}
	s.ask(t, "PATCH", "/passkeys/"+key, `{"name":"Key ring"}`, 200, "", nil)
	s.ask(t, "PATCH", "/passkeys/"+key, `{"name":""}`, 422, "", nil)
	s.ask(t, "PATCH", "/passkeys/none", `{"name":"Key ring"}`, 404, "not_found", nil)
	var list authapi.Passkeys
	s.ask(t, "GET", "/passkeys", nil, 200, "", &list)
	if len(list.Items) != 1 || list.Items[0].Name != "Key ring" {
		t.Errorf("%+v", list)
	}

	s.ask(t, "POST", "/sms", `{"number":"ada"}`, 422, "", nil)
	s.ask(t, "POST", "/sms", map[string]string{"number": number}, 200, "", &begun)
	s.ask(t, "POST", "/sms", map[string]string{"number": number}, 429, authapi.CodeTooManyCodes, nil)
	s.ask(t, "POST", "/sms/confirm", map[string]string{"challenge": begun.Challenge, "code": w.texted(t)}, 200, "", nil)
	s.ask(t, "POST", "/email", nil, 200, "", &begun)
	s.ask(t, "POST", "/email/confirm", map[string]string{"challenge": begun.Challenge, "code": w.mailed(t)}, 200, "", &enrolled)
	s.as = principal(t, enrolled.AccessToken)
	s.ask(t, "POST", "/email/confirm", map[string]string{"challenge": begun.Challenge, "code": w.mailed(t)}, 422, authapi.CodeSecondFactorInvalid, nil)

	challenge := w.waiting(t)
	s.ask(t, "POST", "/challenge", map[string]string{"challenge": challenge, "method": "totp"}, 422, "", nil)
	s.ask(t, "POST", "/challenge", map[string]string{"challenge": "none", "method": "email"}, 401, authapi.CodeChallengeInvalid, nil)
	w.Pass(time.Minute)
	s.ask(t, "POST", "/challenge", map[string]string{"challenge": challenge, "method": "email"}, 200, "", nil)
	s.ask(t, "POST", "/challenge", map[string]string{"challenge": challenge, "method": "passkey"}, 200, "", &begun)
	s.ask(t, "POST", "/verify", map[string]any{"challenge": challenge, "method": "password", "code": "x"}, 422, "", nil)
	s.ask(t, "POST", "/verify", map[string]any{"challenge": challenge, "method": "totp", "code": "000000"}, 401, authapi.CodeSecondFactorInvalid, nil)
	s.ask(t, "POST", "/verify", map[string]any{"challenge": challenge, "method": "passkey", "code": strings.Repeat("x", 70000)}, 413, "", nil)
	var signedIn authapi.MFASignIn
	s.ask(t, "POST", "/verify", map[string]any{
		"challenge": challenge, "method": "passkey", "credential": a.get(begun.PublicKey), "remember_device": true,
	}, 200, "", &signedIn)
	if signedIn.AccessToken == "" || signedIn.DeviceToken == "" {
		t.Errorf("%+v", signedIn)
	}
	var devices authapi.RememberedDevices
	s.ask(t, "GET", "/devices?limit=1", nil, 200, "", &devices)
	if len(devices.Items) != 1 || devices.Items[0].Address != "203.0.113.7" {
		t.Errorf("%+v", devices)
	}
	s.ask(t, "DELETE", "/devices/"+devices.Items[0].ID, nil, 204, "", nil)
	s.ask(t, "DELETE", "/devices/"+devices.Items[0].ID, nil, 404, "not_found", nil)
	s.ask(t, "DELETE", "/devices", nil, 204, "", nil)

	s.ask(t, "POST", "/step-up/challenge", `{"method":"passkey"}`, 200, "", &begun)
	var stepped authapi.SignIn
	s.ask(t, "POST", "/step-up", map[string]any{"challenge": begun.Challenge, "method": "passkey", "credential": a.get(begun.PublicKey)}, 200, "", &stepped)
	s.ask(t, "POST", "/step-up", map[string]any{"challenge": begun.Challenge, "method": "passkey", "credential": a.get(begun.PublicKey)}, 401, authapi.CodeSecondFactorInvalid, nil)

	s.ask(t, "POST", "/passkeys/login/begin", nil, 200, "", &begun)
	s.ask(t, "POST", "/passkeys/login/finish", map[string]any{"challenge": begun.Challenge, "credential": a.get(begun.PublicKey)}, 200, "", &stepped)
	s.ask(t, "POST", "/passkeys/login/finish", map[string]any{"challenge": begun.Challenge, "credential": a.get(begun.PublicKey)}, 401, authapi.CodeInvalidCredentials, nil)

	var codes authapi.RecoveryCodes
	s.ask(t, "POST", "/recovery-codes", nil, 200, "", &codes)
	for _, path := range []string{"/totp", "/email", "/sms", "/passkeys/" + key} {
		s.ask(t, "DELETE", path, nil, 204, "", nil)
		s.ask(t, "DELETE", path, nil, 404, "not_found", nil)
	}
	s.ask(t, "POST", "/recovery-codes", nil, 409, authapi.CodeFactorNotEnrolled, nil)
	s.ask(t, "GET", "", nil, 200, "", &view)
	if len(view.Methods) != 0 {
		t.Errorf("%+v", view)
	}
}

// API keys and groups have no second factors.
func TestOnlyPeopleHaveSecondFactors(t *testing.T) {
	w := newWorld(t)
	s := serve(t, w)
	s.as = identity.Principal{Subject: "key:1", Organization: "acme", Key: "1"}
	for _, route := range []string{
		"GET ", "POST /totp", "DELETE /totp", "DELETE /email", "DELETE /sms", "POST /email", "POST /recovery-codes", "GET /passkeys",
		"GET /passkeys/x", "POST /passkeys/begin", "DELETE /passkeys/x", "GET /devices", "DELETE /devices", "DELETE /devices/x",
	} {
		method, path, _ := strings.Cut(route, " ")
		s.ask(t, method, path, nil, 403, "permission_denied", nil)
	}
	for path, body := range map[string]string{
		"/totp/confirm": `{"code":"123456"}`, "/email/confirm": `{"challenge":"x","code":"123456"}`, "/sms/confirm": `{"challenge":"x","code":"123456"}`,
		"/sms": `{"number":"+441632960000"}`, "/step-up": `{"method":"totp","code":"123456"}`, "/step-up/challenge": `{"method":"email"}`,
	} {
		s.ask(t, "POST", path, body, 403, "permission_denied", nil)
	}
	s.ask(t, "PATCH", "/passkeys/x", `{"name":"x"}`, 403, "permission_denied", nil)
	answer := encoded(t, newAuthenticator(t).create(map[string]any{"challenge": "x", "user": map[string]any{"id": "eA"}}))
	s.ask(t, "POST", "/passkeys/finish", map[string]any{"challenge": "x", "name": "x", "credential": json.RawMessage(answer)}, 403, "permission_denied", nil)
}

// What needs a second factor in the session says so.
func TestWhatNeedsASecondFactor(t *testing.T) {
	w := newWorld(t)
	for _, o := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(w.Service)}}) {
		removes := o.Method == http.MethodDelete && !strings.Contains(o.Path, "/devices") || strings.HasSuffix(o.Path, "/recovery-codes")
		if o.StepUp != removes {
			t.Errorf("%s: step-up %t", o.Route(), o.StepUp)
		}
	}
}
