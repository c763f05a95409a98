package sso

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlidp"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/zitadel/oidc/v3/example/server/storage"
	oidcclaims "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/crypto/bcrypt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/apps/auth/internal/rbac"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const page = "https://app.example.com/signed-in?state=xyz"

// world is single sign-on behind its routes, with roles as they are. Its clock stands still at the real time, since the
// identity providers have clocks of their own.
type world struct {
	*authtest.World
	*Service
	api    *httptest.Server
	roster *rbac.Service
	begun  *attempts
	dns    dns
}

// attempts are the sign-ins that came to tokens.
type attempts struct {
	mu  sync.Mutex
	all []signin.Attempt
}

func (a *attempts) Begin(_ context.Context, in signin.Attempt) (*authapi.SignIn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, in)
	return &authapi.SignIn{AccessToken: in.User + " in " + in.Organization, TokenType: "Bearer", ExpiresIn: 900}, nil
}

func (a *attempts) last(t testing.TB) signin.Attempt {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == 0 {
		t.Fatal("nobody signed in")
	}
	return a.all[len(a.all)-1]
}

// dns has TXT records.
type dns map[string][]string

func (d dns) LookupTXT(_ context.Context, name string) ([]string, error) {
	if records, ok := d[name]; ok {
		return records, nil
	}
	return nil, errors.New("no such host")
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{World: authtest.New(t), begun: &attempts{}, dns: dns{}}
	w.Pass(time.Since(w.Now()))
	a, err := accounts.Open(t.Context(), w.DB)
	if err != nil {
		t.Fatal(err)
	}
	policies, err := policy.Open(t.Context(), w.DB)
	if err != nil {
		t.Fatal(err)
	}
	if w.roster, err = rbac.Open(t.Context(), rbac.Config{DB: w.DB, Accounts: a, Emit: w.Emit(), Now: w.Now, NewID: w.NewID}); err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	w.api = httptest.NewServer(router)
	t.Cleanup(w.api.Close)
	w.open(t, Config{
		DB: w.DB, Accounts: a, Policies: policies, SignIns: w.begun, Roster: w.roster, Sealer: authtest.NewSealer(t), Resolver: w.dns,
		Join: func(ctx context.Context, organization, user string, roles []string) error {
			return w.roster.Join(ctx, organization, user, roles)
		},
		BaseURL: w.api.URL, ReturnOrigins: []string{"https://app.example.com"}, AllowInsecure: true,
		Emit: w.Emit(), Now: w.Now, NewID: w.NewID, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	w.bind(t, router)
	w.organization(t, "acme")
	w.organization(t, "other")
	return w
}

func (w *world) open(t testing.TB, c Config) {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	w.Service = s
}

// reopen is the service in another process, which knows what is in the database and nothing else.
func (w *world) reopen(t testing.TB, change func(*Config)) {
	t.Helper()
	c := w.c
	change(&c)
	w.open(t, c)
}

// bind serves the routes. Whoever names an organization in a header is its owner.
func (w *world) bind(t testing.TB, router *mux.Router) {
	t.Helper()
	api := humamux.New(router, huma.DefaultConfig("test", "1"))
	for _, o := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(w.Service)}}) {
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		o.Register(api, func(hc huma.Context, next func(huma.Context)) {
			if organization := hc.Header("X-Owner-Of"); organization != "" {
				hc = huma.WithContext(hc, identity.With(hc.Context(), owner(organization)))
			}
			next(hc)
		})
	}
}

func owner(organization string) identity.Principal {
	return identity.Principal{Subject: "owner-of-" + organization, Organization: organization, Session: "session", Roles: []string{identity.Owner}}
}

func (w *world) organization(t testing.TB, name string) {
	t.Helper()
	_, err := w.c.Accounts.Organizations.Insert(t.Context(), name, accounts.Organization{Name: name, CreatedAt: store.At(w.Now())})
	if err != nil {
		t.Fatal(err)
	}
	w.user(t, "owner-of-"+name, "owner@"+name+".example", true)
	if err := w.roster.Join(t.Context(), name, "owner-of-"+name, []string{identity.Owner}); err != nil {
		t.Fatal(err)
	}
	w.own(t, name, name+".example")
}

func (w *world) user(t testing.TB, id, email string, verified bool) {
	t.Helper()
	u := accounts.User{Email: email, PasswordHash: "hash", FirstName: "First", LastName: "Last", CreatedAt: store.At(w.Now())}
	if verified {
		at := store.At(w.Now())
		u.EmailVerifiedAt = &at
	}
	if _, err := w.c.Accounts.Users.Insert(t.Context(), id, u); err != nil {
		t.Fatal(err)
	}
}

// own makes a domain an organization's.
func (w *world) own(t testing.TB, organization, name string) {
	t.Helper()
	d, err := w.Claim(t.Context(), organization, name)
	if err != nil {
		t.Fatal(err)
	}
	w.dns[name+"."] = []string{"v=spf1 -all", d.TXT}
	if _, err := w.VerifyDomain(t.Context(), organization, name); err != nil {
		t.Fatal(err)
	}
}

// rolesOf are the roles of the user with an address.
func (w *world) rolesOf(t testing.TB, organization, email string) []string {
	t.Helper()
	u, err := w.c.Accounts.UserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	has, _, err := w.roster.Of(t.Context(), organization, u.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return has.Roles
}

// events are the stored events of a topic.
func (w *world) events(t testing.TB, topic string) []json.RawMessage {
	t.Helper()
	var all []json.RawMessage
	for _, e := range w.Outbox(t) {
		if e.Type == topic {
			all = append(all, e.Data)
		}
	}
	return all
}

// do makes a request and decodes the answer into out.
func (w *world) do(t testing.TB, organization, method, path, body string, out any, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.api.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Owner-Of", organization)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, answer.StatusCode, text, err)
		}
	}
	return answer
}

// refuses makes a request that is answered with status and code.
func (w *world) refuses(t testing.TB, organization, method, path, body string, status int, code string, headers ...string) {
	t.Helper()
	var p problem.Problem
	if answer := w.do(t, organization, method, path, body, &p, headers...); answer.StatusCode != status || p.Code != code {
		t.Errorf("%s %s: %d %s %q; want %d %s", method, path, answer.StatusCode, p.Code, p.Detail, status, code)
	}
}

// browser is a person's.
type browser struct {
	*http.Client
	// cookies are those that a browser sends over https only, or from other sites too, and Go's jar does not.
	cookies []*http.Cookie
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{Client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) send(t testing.TB, r *http.Request) (*http.Response, string) {
	t.Helper()
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	answer, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range answer.Cookies() {
		if c.Secure {
			b.cookies = append(b.cookies, c)
		}
	}
	return answer, string(body)
}

// follow goes where to leads, until a URL begins with one of stops, and is that URL.
func (b *browser) follow(t testing.TB, to string, stops ...string) string {
	t.Helper()
	for range 10 {
		if slices.ContainsFunc(stops, func(stop string) bool { return strings.HasPrefix(to, stop) }) {
			return to
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, body := b.send(t, r)
		next, err := answer.Location()
		if err != nil {
			t.Fatalf("GET %s: %d %s", to, answer.StatusCode, body)
		}
		to = next.String()
	}
	t.Fatalf("too many redirects, the last to %s", to)
	return ""
}

// query is a parameter of a URL.
func query(t testing.TB, text, name string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// openID is zitadel's OpenID provider, where whoever is Present signs in without being asked.
type openID struct {
	*httptest.Server
	Present *storage.User
	Groups  []string
	// redeemed counts the codes that it was given.
	redeemed atomic.Int64
	store    *storage.Storage
	clients  map[string]*storage.Client
}

// sendsBackTo makes url the one to which browsers are sent back.
func (o *openID) sendsBackTo(url string) {
	o.clients["tandem"] = storage.WebClient("tandem", "s3cr3t", url)
}

func (o *openID) GetUserByID(id string) *storage.User {
	if o.Present.ID != id {
		return nil
	}
	return o.Present
}
func (o *openID) GetUserByUsername(string) *storage.User { return o.Present }
func (o *openID) ExampleClientID() string                { return "service" }

// withGroups adds a claim to those of the example storage.
type withGroups struct {
	*storage.Storage
	provider *openID
}

func (s withGroups) SetUserinfoFromToken(ctx context.Context, info *oidcclaims.UserInfo, token, subject, origin string) error {
	if err := s.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin); err != nil {
		return err
	}
	info.AppendClaims("realm_access", map[string]any{"roles": s.provider.Groups})
	return nil
}

func newOpenID(t testing.TB) *openID {
	t.Helper()
	o := &openID{Present: ada(), clients: map[string]*storage.Client{}}
	router := http.NewServeMux()
	o.Server = httptest.NewServer(router)
	t.Cleanup(o.Close)
	o.store = storage.NewStorageWithClients(o, o.clients)
	provider, err := op.NewProvider(&op.Config{CodeMethodS256: true, AuthMethodPost: true}, withGroups{o.store, o}, op.StaticIssuer(o.URL),
		op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	back, intercept := op.AuthCallbackURL(provider), op.NewIssuerInterceptor(provider.IssuerFromRequest)
	router.Handle("/login/username", intercept.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("authRequestID")
		if err := o.store.CheckUsernamePassword(o.Present.Username, o.Present.Password, id); err != nil {
			t.Error(err)
		}
		http.Redirect(rw, r, back(r.Context(), id), http.StatusFound)
	}))
	router.HandleFunc("/oauth/token", func(rw http.ResponseWriter, r *http.Request) {
		o.redeemed.Add(1)
		provider.ServeHTTP(rw, r)
	})
	router.Handle("/", provider)
	return o
}

func ada() *storage.User {
	return &storage.User{ID: "ada", Username: "ada", Password: "pw", FirstName: "Ada", LastName: "Lovelace", Email: "ada@acme.example", EmailVerified: true}
}

// oidcSettings connect to o: whoever comes is a member, and leads are managers.
func (o *openID) settings() Settings {
	secret := secrets.New("s3cr3t")
	return Settings{
		Name: "Acme", Enabled: true,
		OIDC: &OIDCSettings{Issuer: o.URL, ClientID: "tandem", Secret: &secret},
		SSOProvisioning: authapi.SSOProvisioning{Provision: true, Roles: authapi.SSORoles{
			Claim: "realm_access.roles", Table: []authapi.SSORoleRule{{Value: "leads", Role: "manager"}}, Default: "member",
		}},
	}
}

// connect makes a connection of acme.
func (w *world) connect(t testing.TB, in Settings) string {
	t.Helper()
	view, _, err := w.Create(t.Context(), owner("acme"), in)
	if err != nil {
		t.Fatal(err)
	}
	return view.ID
}

// change edits a connection of acme.
func (w *world) change(t testing.TB, id string, in Settings) {
	t.Helper()
	if _, _, err := w.Replace(t.Context(), owner("acme"), id, in, func(int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func (w *world) startURL(connection, parameters string) string {
	return w.api.URL + "/api/auth/sso/" + connection + "/start?return_to=" + url.QueryEscape(page) + parameters
}

// returned is where a person who signs in by OIDC comes back to.
func (w *world) returned(t testing.TB, connection string) string {
	t.Helper()
	return newBrowser(t).follow(t, w.startURL(connection, ""), "https://app.example.com/")
}

// signsIn is as whom the person at the provider signs in.
func (w *world) signsIn(t testing.TB, connection string) signin.Attempt {
	t.Helper()
	back := w.returned(t, connection)
	var in authapi.SignIn
	answer := w.do(t, "", http.MethodPost, "/api/auth/sso/token", fmt.Sprintf(`{"code":%q}`, query(t, back, "code")), &in)
	if answer.StatusCode != http.StatusOK || in.AccessToken == "" {
		t.Fatalf("back at %s; %d %+v", back, answer.StatusCode, in)
	}
	return w.begun.last(t)
}

// samlProvider is crewjam's SAML identity provider.
type samlIDP struct {
	*httptest.Server
	idp *samlidp.Server
}

func newSAML(t testing.TB) *samlIDP {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	router := http.NewServeMux()
	i := &samlIDP{Server: httptest.NewServer(router)}
	t.Cleanup(i.Close)
	at, err := url.Parse(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	if i.idp, err = samlidp.New(samlidp.Options{URL: *at, Key: key, Certificate: certificate, Store: &samlidp.MemoryStore{}, Logger: log.New(t.Output(), "", 0)}); err != nil {
		t.Fatal(err)
	}
	i.idp.IDP.SignatureMethod = dsig.RSASHA256SignatureMethod
	router.Handle("/", i.idp)
	i.register(t, samlidp.User{Name: "ada", Email: "ada@acme.example", GivenName: "Ada", Surname: "Lovelace", Groups: []string{"leads"}})
	return i
}

func (i *samlIDP) register(t testing.TB, u samlidp.User) {
	t.Helper()
	var err error
	if u.HashedPassword, err = bcrypt.GenerateFromPassword([]byte("pw"), bcrypt.MinCost); err != nil {
		t.Fatal(err)
	}
	if err := i.idp.Store.Put("/users/"+u.Name, u); err != nil {
		t.Fatal(err)
	}
}

func (i *samlIDP) settings() Settings {
	return Settings{
		Name: "Acme", Enabled: true, SAML: &SAMLSettings{MetadataURL: i.URL + "/metadata"},
		SSOProvisioning: authapi.SSOProvisioning{Provision: true, Roles: authapi.SSORoles{
			Claim: "eduPersonAffiliation", Table: []authapi.SSORoleRule{{Value: "leads", Role: "manager"}}, Default: "member",
		}},
	}
}

// trust tells the provider of the service provider that a connection is, as an administrator would.
func (i *samlIDP) trust(t testing.TB, w *world, connection string) {
	t.Helper()
	answer, metadata := newBrowser(t).send(t, request(t, http.MethodGet, w.api.URL+"/api/auth/sso/saml/"+connection+"/metadata", ""))
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/samlmetadata+xml" {
		t.Fatalf("metadata: %d %s", answer.StatusCode, metadata)
	}
	var e saml.EntityDescriptor
	if err := xml.Unmarshal([]byte(metadata), &e); err != nil {
		t.Fatal(err)
	}
	if answer, body := newBrowser(t).send(t, request(t, http.MethodPut, i.URL+"/services/"+connection, metadata)); answer.StatusCode != http.StatusNoContent {
		t.Fatalf("register the service provider: %d %s", answer.StatusCode, body)
	}
}

func request(t testing.TB, method, to, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// signIn makes user the one whom the provider knows in this browser.
func (i *samlIDP) signIn(t testing.TB, b *browser, user string) {
	t.Helper()
	r := request(t, http.MethodPost, i.URL+"/login", url.Values{"user": {user}, "password": {"pw"}}.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if answer, body := b.send(t, r); answer.StatusCode != http.StatusOK || !strings.Contains(body, user) {
		t.Fatalf("sign in at the provider: %d %s", answer.StatusCode, body)
	}
}

var field = regexp.MustCompile(`<form method="post" action="([^"]*)"|<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// posted is the form with which the page at a URL of the provider sends a browser to the platform.
func (b *browser) posted(t testing.TB, at string) (action string, form url.Values) {
	t.Helper()
	answer, body := b.send(t, request(t, http.MethodGet, at, ""))
	form = url.Values{}
	for _, match := range field.FindAllStringSubmatch(body, -1) {
		if match[1] != "" {
			action = html.UnescapeString(match[1])
		} else {
			form.Set(match[2], html.UnescapeString(match[3]))
		}
	}
	if form.Get("SAMLResponse") == "" {
		t.Fatalf("GET %s: %d %s", at, answer.StatusCode, body)
	}
	return action, form
}

// post sends a form and is the answer.
func (b *browser) post(t testing.TB, action string, form url.Values, headers ...string) (*http.Response, string) {
	t.Helper()
	r := request(t, http.MethodPost, action, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.send(t, r)
}

// code is the problem code in a body.
func code(t testing.TB, body string) string {
	t.Helper()
	var p problem.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return p.Code
}
