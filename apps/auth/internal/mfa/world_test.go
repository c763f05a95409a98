package mfa

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/pquerna/otp/totp"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/apps/auth/internal/keys"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/sms"
	"github.com/tandemhq/tandem/pkg/store"
)

// world is an auth group with nothing but sign-ins and second factors. Ada owns acme and is a member of
// umbrella, where Eve is the owner.
type world struct {
	*authtest.World
	*Service
	people   *accounts.Accounts
	policies *policy.Service
	sessions *sessions.Service
	in       *signin.Service

	mu    sync.Mutex
	mails []mail.Message
	texts []sms.Message
	fails error
}

const number = "+441632960000"

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{World: authtest.New(t)}
	var err error
	check := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.people, err = accounts.Open(t.Context(), w.DB)
	check()
	w.policies, err = policy.Open(t.Context(), w.DB)
	check()
	w.sessions, err = sessions.Open(t.Context(), sessions.Config{DB: w.DB, Emit: w.Emit(), Now: w.Now, NewID: w.NewID, Random: rand.Reader})
	check()
	allowed, err := access.Open(t.Context(), access.Config{DB: w.DB, Accounts: w.people, Now: w.Now})
	check()
	key, err := keys.NewRing(t.Context(), func(context.Context) (keys.Signing, error) {
		return keys.New(secrets.New(base64.StdEncoding.EncodeToString(make([]byte, ed25519.SeedSize))), secrets.Secret{})
	}, w.Now, slog.New(slog.DiscardHandler))
	check()
	enrolled, err := OpenFactors(t.Context(), w.DB, w.Now)
	check()
	w.in, err = signin.Open(t.Context(), signin.Config{
		DB: w.DB, Accounts: w.people, Policies: w.policies, Sessions: w.sessions, Access: allowed, Factors: enrolled, Key: key, Emit: w.Emit(),
		Now: w.Now, NewID: w.NewID, Random: rand.Reader,
	})
	check()
	letters, err := mails.New(mailbox{w}, &url.URL{Scheme: "https", Host: "app.example.com"})
	check()
	w.Service, err = Open(t.Context(), Config{
		DB: w.DB, Accounts: w.people, Factors: enrolled, Policies: w.policies, SignIn: w.in, SignedInAt: w.sessions.SignedInAt,
		Sealer: authtest.NewSealer(t), Mails: letters, SMS: telephones{w}, Emit: w.Emit(), Now: w.Now, NewID: w.NewID, Random: rand.Reader,
	})
	check()
	for _, organization := range []string{"acme", "umbrella"} {
		_, err = w.people.Organizations.Insert(t.Context(), organization, accounts.Organization{Name: organization})
		check()
	}
	for user, roles := range map[string]map[string]string{
		"ada": {"acme": "owner", "umbrella": "member"}, "eve": {"umbrella": "owner"},
	} {
		_, err = w.people.Users.Insert(t.Context(), user, accounts.User{Email: user + "@example.com", FirstName: user, LastName: "Lovelace"})
		check()
		for organization, role := range roles {
			_, err = w.people.Memberships.Insert(t.Context(), accounts.MembershipID(organization, user),
				accounts.Membership{User: user, Organization: organization, Roles: []string{role}, CreatedAt: store.At(w.Now())})
			check()
		}
	}
	return w
}

type mailbox struct{ *world }

func (m mailbox) Send(_ context.Context, message mail.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mails = append(m.mails, message)
	return m.fails
}

type telephones struct{ *world }

func (p telephones) Send(_ context.Context, message sms.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.texts = append(p.texts, message)
	return p.fails
}

var sixDigits = regexp.MustCompile(`(?:>|^)([0-9]{6})(?:<| is)`)

// mailed is the code in the last mail, texted that in the last text message.
func (w *world) mailed(t testing.TB) string {
	t.Helper()
	return codeIn(t, w.mails[len(w.mails)-1].HTML)
}

func (w *world) texted(t testing.TB) string {
	t.Helper()
	return codeIn(t, w.texts[len(w.texts)-1].Text)
}

func codeIn(t testing.TB, text string) string {
	t.Helper()
	found := sixDigits.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no code in %q", text)
	}
	return found[1]
}

// password is a sign-in to acme as it is after the right password.
func (w *world) password(t testing.TB, user, organization, device string) *authapi.SignIn {
	t.Helper()
	answer, err := w.in.Begin(t.Context(), signin.Attempt{
		User: user, Organization: organization, AMR: []string{signin.Password}, Device: device,
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// principal is whoever an access token is for.
func principal(t testing.TB, token string) identity.Principal {
	t.Helper()
	var claims identity.Claims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &claims); err != nil {
		t.Fatal(err)
	}
	return identity.Principal{
		Subject: claims.Subject, Organization: claims.Organization, Session: claims.Session, Roles: claims.Roles, AMR: claims.AMR, ACR: claims.ACR,
	}
}

// fresh is ada with a session that has just begun with a password.
func (w *world) fresh(t testing.TB) identity.Principal {
	t.Helper()
	answer := w.password(t, "ada", "acme", "")
	if answer.MFARequired {
		t.Fatalf("ada is asked for %v", answer.Methods)
	}
	return principal(t, answer.AccessToken)
}

// waiting is the challenge of a sign-in of ada that waits for a second factor.
func (w *world) waiting(t testing.TB) string {
	t.Helper()
	answer := w.password(t, "ada", "acme", "")
	if !answer.MFARequired || answer.AccessToken != "" {
		t.Fatalf("signed in without a second factor: %+v", answer)
	}
	return answer.Challenge
}

// app enrols an authenticator app: its secret, and who enrolled it.
func (w *world) app(t testing.TB) (string, *authapi.MFAEnrolled) {
	t.Helper()
	p := w.fresh(t)
	secret, err := w.BeginTOTP(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	enrolled, err := w.ConfirmTOTP(t.Context(), p, w.code(t, secret.Secret))
	if err != nil {
		t.Fatal(err)
	}
	w.Pass(totpStep)
	return secret.Secret, enrolled
}

// code is what the app shows now.
func (w *world) code(t testing.TB, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func (w *world) verify(t testing.TB, challenge string, proof Proof) (*authapi.MFASignIn, error) {
	t.Helper()
	return w.Verify(t.Context(), Verification{Challenge: challenge, Proof: proof})
}

// demand sets acme's rules for second factors.
func (w *world) demand(t testing.TB, change func(*authapi.MFAPolicy)) {
	t.Helper()
	rules, err := w.policies.Of(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	change(&rules.MFA)
	if _, err := w.policies.Set(t.Context(), "acme", rules, -1); err != nil {
		t.Fatal(err)
	}
}

// want checks the code of a problem, "" for none.
func want(t testing.TB, what string, err error, code string) {
	t.Helper()
	if problem.Code(err) != code || code == "" && err != nil {
		t.Errorf("%s: %v; want %q", what, err, code)
	}
}

// at once does something so many times at once, and counts the problems that it had; "" for none.
func atOnce(t testing.TB, times int, do func(i int) error) map[string]int {
	t.Helper()
	var ready, done sync.WaitGroup
	answers := make([]error, times)
	begin := make(chan struct{})
	for i := range times {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-begin
			answers[i] = do(i)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	count := map[string]int{}
	for _, err := range answers {
		code := problem.Code(err)
		if err != nil && code == "" {
			t.Errorf("no problem: %v", err)
		}
		count[code]++
	}
	return count
}

// told is what users are mailed and what the audit log is told, in order: "added totp", "auth.mfa.enrol success".
func (w *world) told(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, e := range w.Outbox(t) {
		var data struct {
			Change, Method, Action, Result string
		}
		decode(t, e.Data, &data)
		switch e.Type {
		case authapi.MFAChanged.Name:
			all = append(all, data.Change+" "+data.Method)
		case "audit.recorded":
			all = append(all, data.Action+" "+data.Result)
		}
	}
	return all
}

// kept are the documents that stay, passing those that Forget deletes, a line each.
func (w *world) kept(t testing.TB) string {
	return lines(t, w.c.Factors.users) + lines(t, w.c.Factors.passkeys)
}

func (w *world) passing(t testing.TB) string {
	return lines(t, w.c.Factors.devices) + lines(t, w.ceremonies.Documents) + lines(t, w.tallies.Documents)
}

func lines[T any](t testing.TB, d *store.Documents[T]) string {
	t.Helper()
	var all strings.Builder
	err := d.Each(t.Context(), store.Query{}, func(doc store.Doc[T]) error {
		fmt.Fprintf(&all, "%s %s\n", doc.ID, encoded(t, doc.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// telephone enrols codes by text message.
func (w *world) telephone(t testing.TB, p identity.Principal) {
	t.Helper()
	sent, err := w.BeginSMS(t.Context(), p, number)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ConfirmCodes(t.Context(), p, authapi.MFASMS, sent.Challenge, w.texted(t)); err != nil {
		t.Fatal(err)
	}
}

// notifying is how the group handles the events that users are told of.
func notifying(w *world) events.Handler { return events.On(authapi.MFAChanged, w.Notify) }

func decode(t testing.TB, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

var errDown = errors.New("the post is closed")
