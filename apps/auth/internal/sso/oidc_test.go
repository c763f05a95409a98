package sso

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

func newOIDC(t testing.TB) (*world, *openID, string) {
	t.Helper()
	w := newWorld(t)
	o := newOpenID(t)
	id := w.connect(t, o.settings())
	o.sendsBackTo(w.redirectURL(id))
	return w, o, id
}

func TestPersonIsProvisioned(t *testing.T) {
	w, o, id := newOIDC(t)
	o.Groups = []string{"everybody", "leads"}
	b := newBrowser(t)
	back := b.follow(t, w.startURL(id, ""), "https://app.example.com/")
	if got := query(t, back, "state"); !strings.HasPrefix(back, "https://app.example.com/signed-in?") || got != "xyz" {
		t.Errorf("back at %s, state %q", back, got)
	}
	if strings.Contains(back, "token") || len(w.begun.all) != 0 {
		t.Errorf("tokens before the code was redeemed, or in %s", back)
	}
	redeem := fmt.Sprintf(`{"code":%q,"remember_me":true,"scope":"analytics.*:read","device_token":"d"}`, query(t, back, "code"))
	var in authapi.SignIn
	if answer := w.do(t, "", http.MethodPost, "/api/auth/sso/token", redeem, &in, "User-Agent", "test/1.0", "X-Forwarded-For", "203.0.113.7"); answer.StatusCode != http.StatusOK {
		t.Fatalf("%d %+v", answer.StatusCode, in)
	}
	user, err := w.c.Accounts.UserByEmail(t.Context(), "ada@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	if u := user.Value; u.PasswordHash != "" || u.EmailVerifiedAt == nil || u.FirstName != "Ada" || u.LastName != "Lovelace" {
		t.Errorf("account %+v", u)
	}
	want := signin.Attempt{
		User: user.ID, Organization: "acme", AMR: []string{signin.Federated}, Scope: []string{"analytics.*:read"},
		RememberMe: true, Device: "d",
	}
	if got := w.begun.last(t); fmt.Sprint(got) != fmt.Sprint(want) || in.AccessToken != user.ID+" in acme" {
		t.Errorf("signed in as %+v, %+v; want %+v", got, in, want)
	}
	if got := w.rolesOf(t, "acme", "ada@acme.example"); !slices.Equal(got, []string{"manager"}) {
		t.Errorf("roles %q", got)
	}
	var told authapi.UserProvisionedData
	all := w.events(t, authapi.UserProvisioned.Name)
	if len(all) != 1 || json.Unmarshal(all[0], &told) != nil || told.UserID != user.ID || told.OrganizationID != "acme" || told.ConnectionID != id {
		t.Errorf("events %s", all)
	}
	w.refuses(t, "", http.MethodPost, "/api/auth/sso/token", redeem, http.StatusUnauthorized, authapi.CodeSSOCodeInvalid)

	if again := w.signsIn(t, id); again.User != user.ID || len(w.events(t, authapi.UserProvisioned.Name)) != 1 {
		t.Errorf("the second time as %+v, %d events", again, len(w.events(t, authapi.UserProvisioned.Name)))
	}
}

// A client that is no browser brings the provider's answer itself and gets the tokens in the answer.
func TestClientWithAHandle(t *testing.T) {
	w, _, id := newOIDC(t)
	var begun authapi.SSOStart
	if answer := w.do(t, "", http.MethodGet, "/api/auth/sso/"+id+"/start", "", &begun); answer.StatusCode != http.StatusOK || answer.Header.Get("Set-Cookie") != "" {
		t.Fatalf("%d %+v, cookie %q", answer.StatusCode, begun, answer.Header.Get("Set-Cookie"))
	}
	back := strings.TrimPrefix(newBrowser(t).follow(t, begun.URL, w.api.URL), w.api.URL)
	w.refuses(t, "", http.MethodGet, back, "", http.StatusUnauthorized, authapi.CodeSSOFlowInvalid)
	w.refuses(t, "", http.MethodGet, back, "", http.StatusUnauthorized, authapi.CodeSSOFlowInvalid, "X-SSO-Handle", "wrong")
	var in authapi.SignIn
	answer := w.do(t, "", http.MethodGet, back, "", &in, "X-SSO-Handle", begun.Handle)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Location") != "" || answer.Header.Get("Cache-Control") != "no-store" || in.AccessToken == "" {
		t.Errorf("%d %+v", answer.StatusCode, in)
	}
	w.refuses(t, "", http.MethodGet, back, "", http.StatusUnauthorized, authapi.CodeSSOFlowInvalid, "X-SSO-Handle", begun.Handle)
}

func TestRolesAndNameFollowTheProvider(t *testing.T) {
	w, o, id := newOIDC(t)
	user := w.signsIn(t, id).User
	roles := func() []string { return w.rolesOf(t, "acme", "ada@acme.example") }
	changes := func() int {
		n := 0
		for _, e := range w.events(t, authapi.AccessChanged.Name) {
			var data authapi.AccessChangedData
			if err := json.Unmarshal(e, &data); err != nil {
				t.Fatal(err)
			}
			if data.Subject == user && data.OrganizationID == "acme" {
				n++
			}
		}
		return n
	}
	if got := roles(); !slices.Equal(got, []string{"member"}) {
		t.Fatalf("roles %q", got)
	}
	before := changes()
	w.signsIn(t, id)
	if changes() != before {
		t.Error("access changed, although nothing did")
	}
	o.Groups, o.Present.LastName, o.Present.FirstName = []string{"leads"}, "King", "Au\u0000gusta"
	w.signsIn(t, id)
	if got := roles(); !slices.Equal(got, []string{"manager"}) || changes() <= before {
		t.Errorf("roles %q, access changed %d times; want manager and one more than %d", got, changes(), before)
	}
	u, err := w.c.Accounts.Users.Get(t.Context(), user)
	if err != nil || u.Value.LastName != "King" || u.Value.FirstName != "Augusta" {
		t.Errorf("%+v, %v", u.Value, err)
	}

	without := o.settings()
	without.Roles = authapi.SSORoles{Default: "viewer"}
	w.change(t, id, without)
	w.signsIn(t, id)
	if got := roles(); !slices.Equal(got, []string{"manager"}) {
		t.Errorf("roles %q; without a claim they stay", got)
	}
}

func TestOwnersStayOwners(t *testing.T) {
	w, o, id := newOIDC(t)
	o.Present.ID, o.Present.Email = "boss", "owner@acme.example"
	if got := w.signsIn(t, id); got.User != "owner-of-acme" {
		t.Fatalf("signed in as %+v", got)
	}
	if got := w.rolesOf(t, "acme", "owner@acme.example"); !slices.Equal(got, []string{identity.Owner}) {
		t.Errorf("roles %q", got)
	}
}

// Whom a provider can speak for, and who it can let in.
func TestWhoIsLetIn(t *testing.T) {
	for _, c := range []struct {
		name string
		// given prepares the world, the provider and the settings of the connection.
		given func(t *testing.T, w *world, o *openID, s *Settings)
		// code is empty for who is let in.
		code string
	}{
		{"somebody new", func(*testing.T, *world, *openID, *Settings) {}, ""},
		{"an account that has the address", func(t *testing.T, w *world, _ *openID, _ *Settings) { w.user(t, "u", "ada@acme.example", true) }, ""},
		{"an account that wrote the address otherwise", func(t *testing.T, w *world, o *openID, _ *Settings) {
			w.user(t, "u", "ada@acme.example", true)
			o.Present.Email = "Ada@ACME.example"
		}, ""},
		{"an account that never confirmed the address", func(t *testing.T, w *world, _ *openID, _ *Settings) { w.user(t, "u", "ada@acme.example", false) }, authapi.CodeSSOAccountRefused},
		{"an address that is not verified", func(_ *testing.T, _ *world, o *openID, _ *Settings) { o.Present.EmailVerified = false }, authapi.CodeSSOAccountRefused},
		{"an account, by an address that is not verified", func(t *testing.T, w *world, o *openID, _ *Settings) {
			w.user(t, "u", "ada@acme.example", true)
			o.Present.EmailVerified = false
		}, authapi.CodeSSOAccountRefused},
		{"an address that is trusted", func(_ *testing.T, _ *world, o *openID, s *Settings) {
			o.Present.EmailVerified, s.OIDC.TrustEmail = false, true
		}, ""},
		{"no address", func(_ *testing.T, _ *world, o *openID, _ *Settings) { o.Present.Email = "" }, authapi.CodeSSOAccountRefused},
		{"no address that is one", func(_ *testing.T, _ *world, o *openID, _ *Settings) { o.Present.Email = "ada" }, authapi.CodeSSOAccountRefused},
		{"an address from another claim", func(_ *testing.T, _ *world, o *openID, s *Settings) {
			s.Attributes.Email, o.Present.Username = "preferred_username", "boss@acme.example"
		}, authapi.CodeSSOAccountRefused},
		{"an address of nobody's domain", func(_ *testing.T, _ *world, o *openID, _ *Settings) { o.Present.Email = "ada@mail.example" }, authapi.CodeSSOAccountRefused},
		{"an account of nobody's domain", func(t *testing.T, w *world, o *openID, _ *Settings) {
			w.user(t, "u", "ada@mail.example", true)
			o.Present.Email = "ada@mail.example"
		}, authapi.CodeSSOAccountRefused},
		{"an account of another organization's domain", func(_ *testing.T, _ *world, o *openID, _ *Settings) { o.Present.Email = "owner@other.example" }, authapi.CodeSSOAccountRefused},
		{"an address below the domain", func(_ *testing.T, _ *world, o *openID, _ *Settings) { o.Present.Email = "ada@mail.acme.example" }, authapi.CodeSSOAccountRefused},
		{"a domain that was claimed only", func(t *testing.T, w *world, o *openID, _ *Settings) {
			if _, err := w.Claim(t.Context(), "acme", "acme.test"); err != nil {
				t.Fatal(err)
			}
			o.Present.Email = "ada@acme.test"
		}, authapi.CodeSSOAccountRefused},
		{"nobody new", func(_ *testing.T, _ *world, _ *openID, s *Settings) { s.Provision = false }, authapi.CodeSSONotProvisioned},
		{"no new member", func(t *testing.T, w *world, _ *openID, s *Settings) {
			w.user(t, "u", "ada@acme.example", true)
			s.Provision = false
		}, authapi.CodeSSONotProvisioned},
		{"a member", func(t *testing.T, w *world, _ *openID, s *Settings) {
			w.user(t, "u", "ada@acme.example", true)
			if err := w.roster.Join(t.Context(), "acme", "u", []string{"viewer"}); err != nil {
				t.Fatal(err)
			}
			s.Provision = false
		}, ""},
		{"somebody in none of the groups", func(_ *testing.T, _ *world, _ *openID, s *Settings) { s.Roles.Default = "" }, authapi.CodeSSONotProvisioned},
		{"a member in none of the groups", func(t *testing.T, w *world, _ *openID, s *Settings) {
			w.user(t, "u", "ada@acme.example", true)
			if err := w.roster.Join(t.Context(), "acme", "u", []string{"viewer"}); err != nil {
				t.Fatal(err)
			}
			s.Roles.Default = ""
		}, authapi.CodeSSONotProvisioned},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, o, id := newOIDC(t)
			s := o.settings()
			c.given(t, w, o, &s)
			w.change(t, id, s)
			before, err := w.c.Accounts.Users.Count(t.Context(), store.Query{})
			if err != nil {
				t.Fatal(err)
			}
			back := w.returned(t, id)
			if got := query(t, back, "error"); got != c.code || (query(t, back, "code") == "") != (c.code != "") {
				t.Errorf("back at %s; want error %q", back, c.code)
			}
			after, err := w.c.Accounts.Users.Count(t.Context(), store.Query{})
			if err != nil || c.code != "" && after != before {
				t.Errorf("%d accounts, %v; want %d still", after, err, before)
			}
			denied := slices.ContainsFunc(w.events(t, "audit.recorded"), func(e json.RawMessage) bool {
				return c.code != "" && strings.Contains(string(e), `"denied"`) && strings.Contains(string(e), c.code)
			})
			if denied != (c.code != "") {
				t.Errorf("audit log %s", w.events(t, "audit.recorded"))
			}
		})
	}
}

// A linked account is the organization's to speak for only as long as its address is.
func TestLinkEndsWithTheDomain(t *testing.T) {
	w, _, id := newOIDC(t)
	w.signsIn(t, id)
	if err := w.Disown(t.Context(), "acme", "acme.example"); err != nil {
		t.Fatal(err)
	}
	if got := query(t, w.returned(t, id), "error"); got != authapi.CodeSSOAccountRefused {
		t.Errorf("error %q; want %s", got, authapi.CodeSSOAccountRefused)
	}
}

// An address that was given to somebody else lets nobody into the account of who had it before.
func TestRecycledAddress(t *testing.T) {
	w, o, id := newOIDC(t)
	first := w.signsIn(t, id).User
	o.Present.Email = "ada.king@acme.example"
	if got := w.signsIn(t, id).User; got != first {
		t.Fatalf("with a new address she is %s", got)
	}
	o.Present.ID, o.Present.Email, o.Groups = "another-ada", "ada@acme.example", []string{"leads"}
	if got := query(t, w.returned(t, id), "error"); got != authapi.CodeSSOAccountRefused {
		t.Fatalf("error %q; want %s", got, authapi.CodeSSOAccountRefused)
	}
	if got := w.rolesOf(t, "acme", "ada@acme.example"); !slices.Equal(got, []string{"member"}) {
		t.Errorf("who was refused changed the roles to %q", got)
	}
	path := "/api/auth/sso/connections/" + id + "/identities/" + first
	w.refuses(t, "other", http.MethodDelete, path, "", http.StatusNotFound, problem.CodeNotFound)
	if answer := w.do(t, "acme", http.MethodDelete, path, "", nil); answer.StatusCode != http.StatusNoContent {
		t.Fatalf("unlink: %d", answer.StatusCode)
	}
	w.refuses(t, "acme", http.MethodDelete, path, "", http.StatusNotFound, problem.CodeNotFound)
	if got := w.signsIn(t, id).User; got != first {
		t.Errorf("after that somebody else is %s; want the account", got)
	}
}

func TestAccountThatIsGone(t *testing.T) {
	w, _, id := newOIDC(t)
	first := w.signsIn(t, id).User
	if err := w.c.Accounts.Users.Delete(t.Context(), first, 0); err != nil {
		t.Fatal(err)
	}
	if got := w.signsIn(t, id).User; got == first {
		t.Error("the same account again")
	}
}

func TestAnswersOfAnotherSignIn(t *testing.T) {
	w, _, id := newOIDC(t)
	b := newBrowser(t)
	callback := w.redirectURL(id)
	answer := b.follow(t, w.startURL(id, ""), callback)
	path := strings.TrimPrefix(answer, w.api.URL)
	for name, path := range map[string]string{
		"another browser": path,
		"another state":   strings.Replace(path, query(t, answer, "state"), strings.Repeat("0", 64), 1),
		"no state":        strings.TrimPrefix(callback, w.api.URL) + "?code=" + query(t, answer, "code"),
		"no such state":   strings.TrimPrefix(callback, w.api.URL) + "?state=x",
	} {
		var p problem.Problem
		if got := w.do(t, "", http.MethodGet, path, "", &p); got.StatusCode != http.StatusUnauthorized || p.Code != authapi.CodeSSOFlowInvalid {
			t.Errorf("%s: %d %s", name, got.StatusCode, p.Code)
		}
	}
	// None of them has used it up.
	if back := b.follow(t, answer, "https://app.example.com/"); query(t, back, "code") == "" {
		t.Errorf("back at %s", back)
	}
	if got, body := b.send(t, request(t, http.MethodGet, answer, "")); got.StatusCode != http.StatusUnauthorized || code(t, body) != authapi.CodeSSOFlowInvalid {
		t.Errorf("once more: %d %s", got.StatusCode, body)
	}
}

// The mix-up attack (RFC 9700, section 4.4): a person begins by the connection of a rogue provider, which sends them on to an
// honest one, with the state that it was given, to have the honest one's code brought back as an answer of its own.
func TestAnAnswerIsNotTakenForAnothers(t *testing.T) {
	w, _, honest := newOIDC(t)
	rogue := newOpenID(t)
	view, _, err := w.Create(t.Context(), owner("other"), rogue.settings())
	if err != nil {
		t.Fatal(err)
	}
	rogue.sendsBackTo(w.redirectURL(view.ID))
	b := newBrowser(t)
	lured, err := url.Parse(b.follow(t, w.startURL(view.ID, ""), rogue.URL))
	if err != nil {
		t.Fatal(err)
	}
	q := lured.Query()
	q.Set("redirect_uri", w.redirectURL(honest))
	answer := b.follow(t, w.oidcIssuer(t, honest)+"/authorize?"+q.Encode(), w.redirectURL(honest))
	if query(t, answer, "code") == "" || query(t, answer, "state") != q.Get("state") {
		t.Fatalf("the attack is played wrongly: %s", answer)
	}
	if got, body := b.send(t, request(t, http.MethodGet, answer, "")); got.StatusCode != http.StatusUnauthorized || code(t, body) != authapi.CodeSSOFlowInvalid {
		t.Errorf("%d %s; want %s", got.StatusCode, body, authapi.CodeSSOFlowInvalid)
	}
	if n := rogue.redeemed.Load(); n != 0 {
		t.Errorf("the rogue was given %d codes", n)
	}
	// Brought to where the rogue's answers go, the code is refused where the honest provider says whose it is.
	stolen := strings.Replace(answer, w.redirectURL(honest), w.redirectURL(view.ID), 1) + "&iss=" + url.QueryEscape(w.oidcIssuer(t, honest))
	if back := b.follow(t, stolen, "https://app.example.com/"); query(t, back, "error") != authapi.CodeSSORefused {
		t.Errorf("back at %s; want %s", back, authapi.CodeSSORefused)
	}
	if n := rogue.redeemed.Load(); n != 0 {
		t.Errorf("the rogue was given %d codes of the honest provider", n)
	}
}

func TestStolenCodeIsOfNoUse(t *testing.T) {
	w, _, id := newOIDC(t)
	victim, thief := newBrowser(t), newBrowser(t)
	callback := w.redirectURL(id)
	stolen := victim.follow(t, w.startURL(id, ""), callback)
	own := thief.follow(t, w.startURL(id, ""), callback)
	mixed := strings.Replace(own, query(t, own, "code"), url.QueryEscape(query(t, stolen, "code")), 1)
	if mixed == own {
		t.Fatal("the code is written otherwise in the URL")
	}
	if back := thief.follow(t, mixed, "https://app.example.com/"); query(t, back, "error") != authapi.CodeSSORefused {
		t.Errorf("back at %s; want %s, since the verifier is another", back, authapi.CodeSSORefused)
	}
}

func TestSignInTakesTenMinutesAtMost(t *testing.T) {
	for late, want := range map[time.Duration]string{flowLife - time.Second: "", flowLife: authapi.CodeSSOFlowInvalid} {
		w, _, id := newOIDC(t)
		b := newBrowser(t)
		answer := b.follow(t, w.startURL(id, ""), w.redirectURL(id))
		w.Pass(late)
		got, body := b.send(t, request(t, http.MethodGet, answer, ""))
		if want == "" && got.StatusCode != http.StatusSeeOther || want != "" && code(t, body) != want {
			t.Errorf("after %v: %d %s", late, got.StatusCode, body)
		}
	}
}

func TestOneOfManyIsLetIn(t *testing.T) {
	w, _, id := newOIDC(t)
	b := newBrowser(t)
	answer := b.follow(t, w.startURL(id, ""), w.redirectURL(id))
	var back atomic.Value
	var ends, refused atomic.Int64
	many(20, func() {
		got, body := b.send(t, request(t, http.MethodGet, answer, ""))
		switch {
		case got.StatusCode == http.StatusSeeOther:
			ends.Add(1)
			back.Store(got.Header.Get("Location"))
		case code(t, body) == authapi.CodeSSOFlowInvalid:
			refused.Add(1)
		}
	})
	if ends.Load() != 1 || refused.Load() != 19 {
		t.Fatalf("%d ends, %d refusals; want 1 of 20", ends.Load(), refused.Load())
	}
	redeem := Redemption{Code: query(t, back.Load().(string), "code")}
	ends.Store(0)
	many(20, func() {
		if _, err := w.Redeem(t.Context(), redeem); err == nil {
			ends.Add(1)
		} else if problem.Code(err) != authapi.CodeSSOCodeInvalid {
			t.Error(err)
		}
	})
	if ends.Load() != 1 {
		t.Errorf("%d redemptions; want 1", ends.Load())
	}
}

func many(n int, do func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(do)
	}
	all.Wait()
}

// Two tabs, or two devices, at the very first time: one account, one member, one link.
func TestFirstTimeTwiceAtOnce(t *testing.T) {
	w, _, id := newOIDC(t)
	var answers []string
	b := newBrowser(t)
	for range 6 {
		answers = append(answers, b.follow(t, w.startURL(id, ""), w.redirectURL(id)))
	}
	var all sync.WaitGroup
	for _, answer := range answers {
		all.Go(func() {
			if got, body := b.send(t, request(t, http.MethodGet, answer, "")); query(t, got.Header.Get("Location"), "code") == "" {
				t.Errorf("%d %s %s", got.StatusCode, got.Header.Get("Location"), body)
			}
		})
	}
	all.Wait()
	links, err := w.d.links.Count(t.Context(), store.Query{})
	users, err2 := w.c.Accounts.Users.Count(t.Context(), store.Query{})
	if err != nil || err2 != nil || links != 1 || users != 3 || len(w.events(t, authapi.UserProvisioned.Name)) != 1 {
		t.Errorf("%d links, %d users, %d events, %v, %v; want 1, 3, 1", links, users, len(w.events(t, authapi.UserProvisioned.Name)), err, err2)
	}
}

func TestCodeIsGoodForAMinute(t *testing.T) {
	w, _, id := newOIDC(t)
	for late, want := range map[time.Duration]string{codeLife - time.Second: "", codeLife: authapi.CodeSSOCodeInvalid} {
		back := w.returned(t, id)
		w.Pass(late)
		if _, err := w.Redeem(t.Context(), Redemption{Code: query(t, back, "code")}); problem.Code(err) != want {
			t.Errorf("after %v: %v", late, err)
		}
	}
}

func TestCodeIsBoundToWhoBegan(t *testing.T) {
	w, _, id := newOIDC(t)
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	start := w.startURL(id, "&code_challenge="+base64.RawURLEncoding.EncodeToString(sum[:]))
	for verifier, want := range map[string]string{verifier: "", "": authapi.CodeSSOCodeInvalid, verifier + "x": authapi.CodeSSOCodeInvalid} {
		redeem := Redemption{Code: query(t, newBrowser(t).follow(t, start, "https://app.example.com/"), "code"), Verifier: verifier}
		if _, err := w.Redeem(t.Context(), redeem); problem.Code(err) != want {
			t.Errorf("verifier %q: %v", verifier, err)
		}
		redeem.Verifier = strings.Repeat("v", 43)
		if _, err := w.Redeem(t.Context(), redeem); problem.Code(err) != authapi.CodeSSOCodeInvalid {
			t.Errorf("once more, after %q: %v", verifier, err)
		}
	}
}

func TestProviderSaysNo(t *testing.T) {
	w, _, id := newOIDC(t)
	for parameters, want := range map[string]string{
		"&error=access_denied&error_description=no": authapi.CodeSSODenied,
		"":                                      authapi.CodeSSODenied, // no code either
		"&code=x&iss=https://idp.other.example": authapi.CodeSSORefused,
		"&code=unknown":                         authapi.CodeSSORefused,
		"&error=access_denied&iss=https://idp.other.example": authapi.CodeSSORefused,
	} {
		b := newBrowser(t)
		provider := b.follow(t, w.startURL(id, ""), w.oidcIssuer(t, id))
		back := b.follow(t, w.redirectURL(id)+"?state="+query(t, provider, "state")+parameters, "https://app.example.com/")
		if query(t, back, "error") != want || query(t, back, "code") != "" || query(t, back, "state") != "xyz" {
			t.Errorf("%s: back at %s; want %s", parameters, back, want)
		}
	}
}

func (w *world) oidcIssuer(t testing.TB, id string) string {
	t.Helper()
	view, _, err := w.Connection(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	return view.OIDC.Issuer
}

func TestProviderDoesNotAnswer(t *testing.T) {
	w, o, id := newOIDC(t)
	b := newBrowser(t)
	answer := b.follow(t, w.startURL(id, ""), w.redirectURL(id))
	o.Close()
	if back := b.follow(t, answer, "https://app.example.com/"); query(t, back, "error") != authapi.CodeSSOUnreachable {
		t.Errorf("back at %s", back)
	}
	w.reopen(t, func(*Config) {})
	if _, err := w.Start(t.Context(), id, "", ""); problem.Code(err) != authapi.CodeSSOUnreachable || problem.From(err).Status != http.StatusBadGateway {
		t.Errorf("start: %v", err)
	}
}

// What begins by a connection ends by the same: not by one that was switched off, changed or removed meanwhile.
func TestConnectionChangesMeanwhile(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *world, *openID, string){
		"off": func(t *testing.T, w *world, o *openID, id string) {
			s := o.settings()
			s.Enabled = false
			w.change(t, id, s)
			w.refuses(t, "", http.MethodGet, "/api/auth/sso/"+id+"/start", "", http.StatusNotFound, problem.CodeNotFound)
		},
		"another client": func(t *testing.T, w *world, o *openID, id string) {
			s := o.settings()
			s.OIDC.ClientID = "other"
			w.change(t, id, s)
		},
		"gone": func(t *testing.T, w *world, _ *openID, id string) {
			if err := w.Delete(t.Context(), "acme", id); err != nil {
				t.Fatal(err)
			}
			w.refuses(t, "", http.MethodGet, "/api/auth/sso/"+id+"/start", "", http.StatusNotFound, problem.CodeNotFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, o, id := newOIDC(t)
			b := newBrowser(t)
			answer := b.follow(t, w.startURL(id, ""), w.redirectURL(id))
			change(t, w, o, id)
			if got, body := b.send(t, request(t, http.MethodGet, answer, "")); got.StatusCode != http.StatusUnauthorized || code(t, body) != authapi.CodeSSOFlowInvalid {
				t.Errorf("%d %s", got.StatusCode, body)
			}
		})
	}
}

func TestWhereBrowsersMayReturn(t *testing.T) {
	w, _, id := newOIDC(t)
	for to, want := range map[string]bool{
		page: true, "https://app.example.com": true, "https://APP.example.com/x": true,
		"https://app.example.com.evil.example/": false, "https://app.example.com@evil.example/": false, "https://evil.example/": false,
		"http://app.example.com/": false, "https://app.example.com:8443/": false, "//app.example.com/": false, "/signed-in": false,
		"https://user@app.example.com/": false, "https://app.example.com\\@evil.example/": false, "javascript:alert(1)": false,
		"https://app.example.com/#x": false, "https://app.example.com/\nx": false, "https://app.example.com/a\\b": false,
	} {
		if _, err := w.Start(t.Context(), id, to, ""); (err == nil) != want || err != nil && problem.Code(err) != problem.CodeValidation {
			t.Errorf("%q: %v; want %t", to, err, want)
		}
	}
	for _, origin := range []string{"app.example.com", "https://app.example.com/", "https://app.example.com/x", "ftp://app.example.com", "https://u@app.example.com", ""} {
		c := w.c
		c.ReturnOrigins = []string{origin}
		if _, err := Open(t.Context(), c); err == nil {
			t.Errorf("%q is an origin", origin)
		}
	}
}

func TestCookies(t *testing.T) {
	w := newWorld(t)
	w.reopen(t, func(c *Config) { c.BaseURL = "https://api.example.com" })
	for protocol, want := range map[authapi.SSOProtocol]http.SameSite{authapi.OIDC: http.SameSiteLaxMode, authapi.SAML: http.SameSiteNoneMode} {
		c := w.cookie("state", "binding", protocol)
		if !c.Secure || !c.HttpOnly || c.SameSite != want || !strings.HasPrefix(c.Name, "__Host-") || c.Path != "/" || c.Domain != "" || c.MaxAge != 600 || c.Valid() != nil {
			t.Errorf("%s: %s", protocol, c)
		}
	}
}

// The database holds nothing with which a sign-in under way could be taken over.
func TestFlowsKeepNoSecrets(t *testing.T) {
	w, _, id := newOIDC(t)
	begun, err := w.Start(t.Context(), id, "", "")
	if err != nil {
		t.Fatal(err)
	}
	state := query(t, begun.URL, "state")
	err = w.d.flows.Each(t.Context(), store.Query{}, func(doc store.Doc[flow]) error {
		text, err := json.Marshal(doc)
		for _, secret := range []string{state, begun.Handle, derive(begun.Handle, "verifier"), derive(begun.Handle, "nonce")} {
			if strings.Contains(string(text), secret) {
				t.Errorf("stored %s", text)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if query(t, begun.URL, "nonce") != derive(begun.Handle, "nonce") || strings.Contains(begun.URL, begun.Handle) {
		t.Errorf("sent to %s", begun.URL)
	}
}

func TestForget(t *testing.T) {
	w, _, id := newOIDC(t)
	w.returned(t, id)
	if _, err := w.Start(t.Context(), id, "", ""); err != nil {
		t.Fatal(err)
	}
	count := func() int64 {
		flows, err := w.d.flows.Count(t.Context(), store.Query{})
		tickets, err2 := w.d.tickets.Count(t.Context(), store.Query{})
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return flows + tickets
	}
	for _, c := range []struct {
		pass time.Duration
		want int64
	}{{0, 2}, {codeLife + time.Second, 1}, {flowLife, 0}} {
		w.Pass(c.pass)
		if err := w.Forget(t.Context()); err != nil || count() != c.want {
			t.Errorf("%d kept, %v; want %d", count(), err, c.want)
		}
	}
}

// Whatever comes to the callback, nobody is let in who did not begin.
func FuzzCallback(f *testing.F) {
	w, _, id := newOIDC(f)
	begun, err := w.Start(f.Context(), id, "", "")
	if err != nil {
		f.Fatal(err)
	}
	state := query(f, begun.URL, "state")
	f.Add("state="+state+"&code=x", w.browsers().CookieName(state)+"=y")
	f.Add("state="+state+"&error=access_denied&iss=x", "=;;")
	f.Add("code=x", "")
	f.Fuzz(func(t *testing.T, parameters, cookies string) {
		r := httptest.NewRequest(http.MethodGet, w.redirectURL(id), nil)
		r.URL.RawQuery = parameters
		r.Header.Set("Cookie", cookies)
		answer := httptest.NewRecorder()
		w.api.Config.Handler.ServeHTTP(answer, r)
		if answer.Code != http.StatusUnauthorized && answer.Code != http.StatusUnprocessableEntity || answer.Header().Get("Location") != "" {
			t.Errorf("%q, %q: %d %s", parameters, cookies, answer.Code, answer.Body)
		}
	})
}
