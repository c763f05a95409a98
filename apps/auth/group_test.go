package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tandemhq/tandem/apps/auth"
	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
)

// process hosts the auth group alone.
type process struct {
	*host.Host
	client authapi.Client
	inbox  *world.Inbox
	log    *logged
}

// logged is what the process logged.
type logged struct{ lines chan string }

func (l *logged) Write(line []byte) (int, error) {
	select {
	case l.lines <- string(line):
	default: // more lines than any of these tests looks at
	}
	return len(line), nil
}

func start(t *testing.T) *process {
	t.Helper()
	c, err := config.Parse([]string{"TANDEM_DATA=" + t.TempDir(), "APP_ID=auth", "TANDEM_RATE_LIMIT=0", "TANDEM_TRUSTED_PROXIES=192.0.2.1/32,10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	out := &logged{make(chan string, 1000)}
	log := telemetry.NewLogger(out, slog.LevelDebug, c.AppID)
	tracer := sdktrace.NewTracerProvider().Tracer("test")
	groupKey := bytes.Repeat([]byte{1}, 32)
	seed, before := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 32)), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{3}, 32))
	w := world.NewMemory(c, secrets.Map{"service-token-key": base64.StdEncoding.EncodeToString(groupKey), "access-token-key": seed, "access-token-keys-previous": before, auth.SealingKeySecret: seed}, time.Now, log)
	homes, err := topology.Parse("*=platform,auth=auth")
	if err != nil {
		t.Fatal(err)
	}
	cheap := auth.Builder(auth.Config{Passwords: auth.PasswordCost{Memory: 8, Passes: 1, Threads: 1}})
	h, err := host.New(host.Config{
		Config: c, Version: "test", Topology: topology.NewCurrent(homes), World: w,
		Specs: []group.Spec{cheap.Spec}, Builders: []group.Builder{cheap},
		Authority: func(c *call.Client) host.Authority { return authapi.Client{Client: c} },
		Metrics:   telemetry.NewMetrics(c.AppID, "test"), Tracer: tracer, Log: log, Now: time.Now, NewID: uuid.NewString,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h.Handler()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	client := call.New(call.Config{
		From: host.Caller, Declared: []topology.Group{topology.Auth}, GroupSecret: groupKey, Tracer: tracer, Now: time.Now,
		Route:   func(topology.Group) call.Route { return &call.Direct{Handler: h.Handler()} },
		Observe: func(topology.Group, topology.Group, string, string, time.Duration) {},
	})
	return &process{h, authapi.Client{Client: client}, w.Inbox(), out}
}

// do makes a request and decodes what is answered into out, or into a problem.
func (p *process) do(t *testing.T, method, path, token, body string, out any) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", "203.0.113.7, 10.0.0.1")
	r.Header.Set("User-Agent", "test/1.0")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, r)
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, w.Code, w.Body, err)
		}
	}
	return w.Result()
}

// refused makes a request that is answered with status and code.
func (p *process) refused(t *testing.T, method, path, token, body string, status int, code string) *http.Response {
	t.Helper()
	var got problem.Problem
	resp := p.do(t, method, path, token, body, &got)
	if resp.StatusCode != status || got.Code != code {
		t.Errorf("%s %s: %d %s (%s); want %d %s", method, path, resp.StatusCode, got.Code, got.Error(), status, code)
	}
	return resp
}

const password = "three blind mice in a row"

// soon is within what the group promises of a revocation.
const soon = 5 * time.Second

func registration(email string) string {
	return fmt.Sprintf(`{"organization":{"name":"Engines"},"email":%q,"password":%q,"first_name":"Ada","last_name":"Lovelace"}`, email, password)
}

func credentials(email string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

func (p *process) signUp(t *testing.T, email string) (authapi.Registration, authapi.Tokens) {
	t.Helper()
	var r authapi.Registration
	if resp := p.do(t, "POST", "/api/auth/register", "", registration(email), &r); resp.StatusCode != http.StatusCreated {
		t.Fatalf("register: %d", resp.StatusCode)
	}
	return r, p.signIn(t, email)
}

func (p *process) signIn(t *testing.T, email string) authapi.Tokens {
	t.Helper()
	var tokens authapi.Tokens
	if resp := p.do(t, "POST", "/api/auth/login", "", credentials(email), &tokens); resp.StatusCode != http.StatusOK {
		t.Fatalf("login: %d", resp.StatusCode)
	}
	return tokens
}

var mailedToken = regexp.MustCompile(`#token=([A-Za-z0-9_-]+)"`)

// mailed is the token in the mail with a subject.
func (p *process) mailed(t *testing.T, to, subject string) (token string) {
	t.Helper()
	eventually.Holds(t, soon, subject+" to "+to, func() bool {
		for _, m := range p.inbox.To(to) {
			if found := mailedToken.FindStringSubmatch(m.HTML); m.Subject == subject && found != nil {
				token = found[1]
			}
		}
		return token != ""
	})
	return token
}

// Somebody registers with another's address and waits for its owner to find the mail. The owner's link does not prove the address
// of an account that is not theirs, and the way that it points to leaves nothing of the stranger in it.
func TestAStrangersAccountDoesNotBecomeTheOwners(t *testing.T) {
	p := start(t)
	_, strangers := p.signUp(t, "ada@example.com")
	var app authapi.TOTPSecret
	p.do(t, "POST", "/api/auth/mfa/totp", strangers.AccessToken, "", &app)
	code, err := totp.GenerateCode(app.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var strong authapi.MFAEnrolled
	p.do(t, "POST", "/api/auth/mfa/totp/confirm", strangers.AccessToken, fmt.Sprintf(`{"code":%q}`, code), &strong)
	var key authapi.IssuedAPIKey
	if resp := p.do(t, "POST", "/api/auth/api-keys", strong.AccessToken, `{"name":"for later","scopes":["auth.sso:read"]}`, &key); resp.StatusCode != http.StatusCreated {
		t.Fatalf("make a key: %d", resp.StatusCode)
	}
	link := fmt.Sprintf(`{"token":%q}`, p.mailed(t, "ada@example.com", "Welcome to Tandem"))
	p.refused(t, "POST", "/api/auth/email-verification/confirm", "", link, 403, authapi.CodeEmailLinkNeedsSignIn)
	_, other := p.signUp(t, "grace@example.com")
	p.refused(t, "POST", "/api/auth/email-verification/confirm", other.AccessToken, link, 403, authapi.CodeEmailLinkNeedsSignIn)
	p.refused(t, "POST", "/api/auth/email-verification/confirm", "forged", link, 401, problem.CodeTokenInvalid)

	if resp := p.do(t, "POST", "/api/auth/password/reset-request", "", `{"email":"ada@example.com"}`, nil); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("ask for a reset: %d", resp.StatusCode)
	}
	reset := fmt.Sprintf(`{"token":%q,"password":"see how they run, see how they run"}`, p.mailed(t, "ada@example.com", "Set a new password"))
	if resp := p.do(t, "POST", "/api/auth/password/reset", "", reset, nil); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("reset: %d", resp.StatusCode)
	}
	p.refused(t, "POST", "/api/auth/login", "", credentials("ada@example.com"), 401, authapi.CodeInvalidCredentials)
	p.refused(t, "POST", "/api/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, strangers.RefreshToken), 401, authapi.CodeRefreshTokenInvalid)
	for name, token := range map[string]string{"session": strong.AccessToken, "API key": key.Key} {
		eventually.Holds(t, soon, "the stranger's "+name+" is refused", func() bool {
			return p.do(t, "GET", "/api/auth/sso/connections", token, "", nil).StatusCode == http.StatusUnauthorized
		})
	}
	var in authapi.SignIn
	if p.do(t, "POST", "/api/auth/login", "", `{"email":"ada@example.com","password":"see how they run, see how they run"}`, &in); in.AccessToken == "" {
		t.Errorf("signed in with %+v; want no second factor of the stranger's asked for", in)
	}
}

// Who may not sign in before the address is verified gives the password with the link, and guesses at it like anywhere else.
func TestALinkTakesThePassword(t *testing.T) {
	p := start(t)
	p.signUp(t, "ada@example.com")
	link := p.mailed(t, "ada@example.com", "Welcome to Tandem")
	confirm := func(password string) string { return fmt.Sprintf(`{"token":%q,"password":%q}`, link, password) }
	for range 5 {
		p.refused(t, "POST", "/api/auth/email-verification/confirm", "", confirm("guessed"), 401, authapi.CodeInvalidCredentials)
	}
	p.refused(t, "POST", "/api/auth/email-verification/confirm", "", confirm(password), 429, authapi.CodeAccountLocked)
	p.refused(t, "POST", "/api/auth/login", "", credentials("ada@example.com"), 429, authapi.CodeAccountLocked)

	p.signUp(t, "grace@example.com")
	link = p.mailed(t, "grace@example.com", "Welcome to Tandem")
	var done authapi.EmailConfirmation
	if p.do(t, "POST", "/api/auth/email-verification/confirm", "", confirm(password), &done); done.Result != authapi.EmailVerified {
		t.Errorf("confirmed %+v", done)
	}
}

func TestSignUpToSignOut(t *testing.T) {
	p := start(t)
	r, tokens := p.signUp(t, " Ada@Example.com")
	eventually.Holds(t, soon, "a welcome mail", func() bool { return len(p.inbox.To("ada@example.com")) == 1 })

	var me authapi.Me
	p.do(t, "GET", "/api/auth/me", tokens.AccessToken, "", &me)
	if me.User.ID != r.User.ID || me.Organization != r.Organization || me.SessionID == "" || fmt.Sprint(me.Roles) != "[owner]" {
		t.Errorf("me = %+v; want %+v", me, r)
	}
	other := p.signIn(t, "ada@example.com")
	var list authapi.Sessions
	p.do(t, "GET", "/api/auth/sessions?limit=10", tokens.AccessToken, "", &list)
	if len(list.Items) != 2 || list.Items[0].Current || !list.Items[1].Current || list.Items[1].ID != me.SessionID ||
		list.Items[0].Address != "203.0.113.7" || list.Items[0].UserAgent != "test/1.0" {
		t.Errorf("sessions = %+v", list)
	}

	var next authapi.Tokens
	if resp := p.do(t, "POST", "/api/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, tokens.RefreshToken), &next); resp.StatusCode != 200 || next.RefreshToken == tokens.RefreshToken {
		t.Fatalf("refresh: %d %+v", resp.StatusCode, next)
	}
	if resp := p.do(t, "DELETE", "/api/auth/sessions?keep_current=true", next.AccessToken, "", nil); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("end the others: %d", resp.StatusCode)
	}
	eventually.Holds(t, soon, "the other session is refused", func() bool {
		return p.do(t, "GET", "/api/auth/me", other.AccessToken, "", nil).StatusCode == http.StatusUnauthorized
	})
	p.refused(t, "GET", "/api/auth/me", other.AccessToken, "", 401, problem.CodeSessionRevoked)
	p.do(t, "GET", "/api/auth/me", next.AccessToken, "", &me)

	if resp := p.do(t, "POST", "/api/auth/logout", next.AccessToken, "", nil); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d", resp.StatusCode)
	}
	p.refused(t, "POST", "/api/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, next.RefreshToken), 401, authapi.CodeRefreshTokenInvalid)
	eventually.Holds(t, soon, "both tokens of the session are refused", func() bool {
		return p.do(t, "GET", "/api/auth/me", next.AccessToken, "", nil).StatusCode == http.StatusUnauthorized &&
			p.do(t, "GET", "/api/auth/me", tokens.AccessToken, "", nil).StatusCode == http.StatusUnauthorized
	})
}

func TestAnothersSessionIsNotFound(t *testing.T) {
	p := start(t)
	_, ada := p.signUp(t, "ada@example.com")
	_, eve := p.signUp(t, "eve@example.org")
	var me authapi.Me
	p.do(t, "GET", "/api/auth/me", ada.AccessToken, "", &me)
	p.refused(t, "DELETE", "/api/auth/sessions/"+me.SessionID, eve.AccessToken, "", 404, problem.CodeNotFound)
	p.refused(t, "DELETE", "/api/auth/sessions/"+uuid.NewString(), eve.AccessToken, "", 404, problem.CodeNotFound)
	if resp := p.do(t, "DELETE", "/api/auth/sessions/"+me.SessionID, ada.AccessToken, "", nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("her own: %d; want 204", resp.StatusCode)
	}
}

// A token that is narrowed to something else can look at nothing here and end nothing but its own session.
func TestAScopeRestrictsWhatIsOnesOwn(t *testing.T) {
	p := start(t)
	_, ada := p.signUp(t, "ada@example.com")
	session, _, _ := strings.Cut(ada.RefreshToken, ".")
	var narrow authapi.Tokens
	p.do(t, "POST", "/api/auth/login", "", strings.Replace(credentials("ada@example.com"), "}", `,"scope":"analytics.dashboard:read"}`, 1), &narrow)
	for _, c := range []struct{ method, path string }{
		{"GET", "/api/auth/me"}, {"GET", "/api/auth/sessions"}, {"DELETE", "/api/auth/sessions"},
		{"DELETE", "/api/auth/sessions?keep_current=true"}, {"DELETE", "/api/auth/sessions/" + session},
	} {
		p.refused(t, c.method, c.path, narrow.AccessToken, "", 403, problem.CodeForbidden)
	}
	var reader authapi.Tokens
	p.do(t, "POST", "/api/auth/login", "", strings.Replace(credentials("ada@example.com"), "}", `,"scope":"auth.sessions:read"}`, 1), &reader)
	p.refused(t, "DELETE", "/api/auth/sessions/"+session, reader.AccessToken, "", 403, problem.CodeForbidden)
	var list authapi.Sessions
	if p.do(t, "GET", "/api/auth/sessions", reader.AccessToken, "", &list); len(list.Items) != 3 {
		t.Errorf("sessions = %+v; want all three, none ended", list)
	}
	if resp := p.do(t, "POST", "/api/auth/logout", narrow.AccessToken, "", nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout with a narrow token: %d; want 204", resp.StatusCode)
	}
	if p.do(t, "GET", "/api/auth/sessions", reader.AccessToken, "", &list); len(list.Items) != 2 {
		t.Errorf("sessions = %+v; want two, after one was signed out", list)
	}
}

func TestRefusedRequests(t *testing.T) {
	p := start(t)
	_, ada := p.signUp(t, "ada@example.com")
	weak := strings.Replace(registration("eve@example.org"), password, "mice", 1)
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		code                      string
	}{
		{"POST", "/api/auth/register", "", registration("ADA@example.com"), 409, authapi.CodeEmailTaken},
		{"POST", "/api/auth/register", "", weak, 422, authapi.CodeWeakPassword},
		{"POST", "/api/auth/register", "", registration("eve"), 422, problem.CodeValidation},
		{"POST", "/api/auth/register", "", strings.Replace(registration("eve@example.org"), `"email"`, `"roles":["owner"],"email"`, 1), 422, problem.CodeValidation},
		{"POST", "/api/auth/register", "", `{"organization":"x"}`, 422, problem.CodeValidation},
		{"POST", "/api/auth/register", "", `{`, 400, problem.CodeBadRequest},
		{"POST", "/api/auth/login", "", strings.Replace(credentials("ada@example.com"), "}", `,"scope":"all"}`, 1), 422, authapi.CodeInvalidScope},
		{"POST", "/api/auth/login", "", credentials("eve@example.org"), 401, authapi.CodeInvalidCredentials},
		{"POST", "/api/auth/refresh", "", `{"refresh_token":"x"}`, 401, authapi.CodeRefreshTokenInvalid},
		{"GET", "/api/auth/me", "", "", 401, problem.CodeUnauthenticated},
		{"POST", "/api/auth/logout", ada.RefreshToken, "", 401, problem.CodeTokenInvalid},
		{"GET", "/api/auth/sessions?limit=0", ada.AccessToken, "", 422, problem.CodeValidation},
		{"GET", "/api/auth/sessions?cursor=x", ada.AccessToken, "", 422, problem.CodeValidation},
		{"GET", "/api/auth/sessions?user=eve", ada.AccessToken, "", 422, problem.CodeValidation},
		{"GET", "/api/auth/changes", "", "", 401, problem.CodeUnauthenticated},
		{"GET", "/api/auth/changes", ada.AccessToken, "", 403, problem.CodeForbidden},
	} {
		p.refused(t, c.method, c.path, c.token, c.body, c.status, c.code)
	}
	for range 4 {
		p.refused(t, "POST", "/api/auth/login", "", credentials("eve@example.org"), 401, authapi.CodeInvalidCredentials)
	}
	resp := p.refused(t, "POST", "/api/auth/login", "", credentials("eve@example.org"), 429, authapi.CodeAccountLocked)
	if got := resp.Header.Get("Retry-After"); got != "60" {
		t.Errorf("Retry-After %q; want 60", got)
	}
}

func TestClient(t *testing.T) {
	p := start(t)
	_, ada := p.signUp(t, "ada@example.com")
	keys, err := p.client.JWKS(t.Context())
	if err != nil || len(keys.Keys) != 2 || keys.Keys[0].Algorithm != "EdDSA" {
		t.Errorf("key set %+v, %v; want the current key and the previous one", keys, err)
	}
	before, err := p.client.Changes(t.Context(), time.Time{})
	if err != nil || len(before.Sessions) != 0 {
		t.Fatalf("revocations %+v, %v; want none", before, err)
	}
	if back := time.Since(before.AsOf); back < authapi.ChangesOverlap || back > authapi.ChangesOverlap+soon {
		t.Errorf("the next answer begins %s ago; want an overlap of %s", back, authapi.ChangesOverlap)
	}
	p.do(t, "POST", "/api/auth/logout", ada.AccessToken, "", nil)
	after, err := p.client.Changes(t.Context(), before.AsOf)
	session, _, _ := strings.Cut(ada.RefreshToken, ".")
	if err != nil || len(after.Sessions) != 1 || after.Sessions[0].ID != session {
		t.Errorf("revocations %+v, %v; want %s", after, err, session)
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	p := start(t)
	_, tokens := p.signUp(t, "ada@example.com")
	p.refused(t, "POST", "/api/auth/register", "", strings.Replace(registration("eve@example.org"), "row", "row\\u0000", 1), 422, authapi.CodeWeakPassword)
	p.refused(t, "POST", "/api/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q,"scope":"x"}`, tokens.RefreshToken), 422, authapi.CodeInvalidScope)
	if len(p.log.lines) == 0 {
		t.Fatal("nothing is logged at all")
	}
	_, secret, _ := strings.Cut(tokens.RefreshToken, ".")
	for len(p.log.lines) > 0 {
		line := <-p.log.lines
		for _, s := range []string{password, secret, tokens.AccessToken} {
			if strings.Contains(line, s) {
				t.Errorf("%q is in the log: %s", s, line)
			}
		}
	}
}

// A process whose key is missing or malformed says so and does not start.
func TestKeyIsNeeded(t *testing.T) {
	for name, source := range map[string]secrets.Map{"missing": {}, "malformed": {"access-token-key": "c2hvcnQ="}} {
		t.Run(name, func(t *testing.T) {
			db, err := world.OpenStore(t.Context(), config.Config{Data: t.TempDir()}, topology.Auth)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			_, err = auth.Builder(auth.Config{}).Build(t.Context(), group.Kernel{DB: db, Secrets: source, Now: time.Now, NewID: uuid.NewString})
			if err == nil || !strings.Contains(err.Error(), "access-token-key") {
				t.Errorf("built with %v; want an error that names the secret", err)
			}
		})
	}
}
