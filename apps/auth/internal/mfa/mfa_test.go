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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/pquerna/otp/totp"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

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
		DB: w.DB, Accounts: w.people, Policies: w.policies, Sessions: w.sessions, Access: allowed, Factors: enrolled, Key: key,
		Now: w.Now, NewID: w.NewID, Random: rand.Reader,
	})
	check()
	letters, err := mails.New(mailbox{w}, &url.URL{Scheme: "https", Host: "app.example.com"})
	check()
	w.Service, err = Open(t.Context(), Config{
		DB: w.DB, Accounts: w.people, Factors: enrolled, Policies: w.policies, SignIn: w.in, SignedInAt: w.signedInAt,
		Sealer: newBox(t), Mails: letters, SMS: telephones{w}, Emit: w.Emit(), Now: w.Now, NewID: w.NewID, Random: rand.Reader,
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

func (w *world) signedInAt(ctx context.Context, user, session string) (time.Time, error) {
	list, err := w.sessions.List(ctx, user, session, "", 100)
	if err != nil {
		return time.Time{}, err
	}
	for _, s := range list.Items {
		if s.ID == session {
			return s.CreatedAt, nil
		}
	}
	return time.Time{}, problem.NotFound("session")
}

// box seals with a key of its own.
type box struct{ *subtle.XChaCha20Poly1305 }

func newBox(t testing.TB) box {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	cipher, err := subtle.NewXChaCha20Poly1305(key)
	if err != nil {
		t.Fatal(err)
	}
	return box{cipher}
}

func (b box) Seal(_ context.Context, owner string, value []byte) ([]byte, error) {
	return b.Encrypt(value, []byte(owner))
}

func (b box) Open(_ context.Context, owner string, sealed []byte) ([]byte, error) {
	return b.Decrypt(sealed, []byte(owner))
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
		ForwardedFor: "203.0.113.7, 10.0.0.1", UserAgent: "test/1.0",
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

func TestSigningInWithAnApp(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	if p := principal(t, enrolled.AccessToken); p.ACR != identity.ACRMultiFactor || !slices.Contains(p.AMR, signin.OTP) || enrolled.RefreshToken != "" {
		t.Errorf("enrolling did not count as a second factor: %+v", p)
	}
	if len(enrolled.RecoveryCodes) != 10 {
		t.Errorf("%d recovery codes with the first factor", len(enrolled.RecoveryCodes))
	}

	answer := w.password(t, "ada", "acme", "")
	if !answer.MFARequired || !slices.Equal(answer.Methods, []authapi.MFAMethod{authapi.MFATOTP, authapi.MFARecovery}) {
		t.Fatalf("asked for %+v", answer)
	}
	code := w.code(t, secret)
	signedIn, err := w.verify(t, answer.Challenge, Proof{Method: authapi.MFATOTP, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	if p := principal(t, signedIn.AccessToken); p.ACR != identity.ACRMultiFactor || strings.Join(p.AMR, " ") != "pwd otp mfa" || p.Subject != "ada" {
		t.Errorf("signed in as %+v", p)
	}
	if signedIn.RefreshToken == "" || signedIn.DeviceToken != "" {
		t.Errorf("%+v", signedIn)
	}
	_, err = w.verify(t, answer.Challenge, Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "the challenge again", err, authapi.CodeChallengeInvalid)
	_, err = w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: code})
	want(t, "the code again", err, authapi.CodeSecondFactorInvalid)
	_, err = w.verify(t, w.waiting(t), Proof{Method: authapi.MFAPasskey})
	want(t, "a factor that is not set up", err, authapi.CodeFactorNotEnrolled)
	w.Pass(11 * time.Minute)
	_, err = w.verify(t, answer.Challenge, Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "an old challenge", err, authapi.CodeChallengeInvalid)

	wantTold := []string{"auth.mfa.enrol success", "added totp", "auth.mfa.verify success", "auth.mfa.verify denied"}
	if told := w.told(t); !slices.Equal(told, wantTold) {
		t.Errorf("told %q; want %q", told, wantTold)
	}
}

// A code of an earlier step than the last is refused too: it may have been overlooked by its thief only.
func TestACodeOfAnEarlierStepIsRefused(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	w.Pass(totpStep)
	earlier := w.code(t, secret)
	w.Pass(totpStep)
	if _, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)}); err != nil {
		t.Fatal(err)
	}
	_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: earlier})
	want(t, "the step before", err, authapi.CodeSecondFactorInvalid)
}

func TestACodeShownManyTimesAtOnceSignsInOnce(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	code, challenges := w.code(t, secret), make([]string, 20)
	for i := range challenges {
		challenges[i] = w.waiting(t)
	}
	got := atOnce(t, len(challenges), func(i int) error {
		_, err := w.verify(t, challenges[i], Proof{Method: authapi.MFATOTP, Code: code})
		return err
	})
	if got[""] != 1 || got[""]+got[authapi.CodeSecondFactorInvalid]+got[authapi.CodeFactorLocked] != len(challenges) {
		t.Errorf("%v; want one to sign in", got)
	}
}

func TestAnAppTakesThePlaceOfAnother(t *testing.T) {
	w := newWorld(t)
	first, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	made, err := w.BeginTOTP(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.StepUp(t.Context(), p, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, first)}); err != nil {
		t.Errorf("the first before the second is confirmed: %v", err)
	}
	again, err := w.ConfirmTOTP(t.Context(), p, w.code(t, made.Secret))
	if err != nil || len(again.RecoveryCodes) != 0 {
		t.Fatalf("%+v, %v; want no more recovery codes", again, err)
	}
	w.Pass(totpStep)
	_, err = w.StepUp(t.Context(), p, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, first)})
	want(t, "the first", err, authapi.CodeSecondFactorInvalid)
	_, err = w.StepUp(t.Context(), p, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, made.Secret)})
	want(t, "the second", err, "")
	if told := w.told(t); !slices.Contains(told, "renewed totp") {
		t.Errorf("told %q", told)
	}
}

func TestSetUpOfAnApp(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	_, err := w.ConfirmTOTP(t.Context(), p, "123456")
	want(t, "nothing to confirm", err, authapi.CodeSecondFactorInvalid)
	if problem.From(err).Status != 422 {
		t.Errorf("status %d; want 422", problem.From(err).Status)
	}
	made, err := w.BeginTOTP(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(made.URI)
	if err != nil || uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Path != "/Tandem:ada@example.com" ||
		uri.Query().Get("secret") != made.Secret || uri.Query().Get("issuer") != "Tandem" || uri.Query().Get("digits") != "6" ||
		uri.Query().Get("period") != "30" || uri.Query().Get("algorithm") != "SHA1" || len(made.Secret) != 32 {
		t.Errorf("URI %s, secret %s, %v", made.URI, made.Secret, err)
	}
	_, err = w.ConfirmTOTP(t.Context(), p, "000000")
	want(t, "a wrong code", err, authapi.CodeSecondFactorInvalid)
	eve := principal(t, w.password(t, "eve", "umbrella", "").AccessToken)
	_, err = w.ConfirmTOTP(t.Context(), eve, w.code(t, made.Secret))
	want(t, "another user", err, authapi.CodeSecondFactorInvalid)
	if signedIn := w.password(t, "ada", "acme", ""); signedIn.MFARequired {
		t.Error("an app that was not confirmed counts")
	}
	w.Pass(secretLife)
	p = w.fresh(t)
	_, err = w.ConfirmTOTP(t.Context(), p, w.code(t, made.Secret))
	want(t, "too late", err, authapi.CodeSecondFactorInvalid)
}

func TestWhoMaySetUpAFactor(t *testing.T) {
	w := newWorld(t)
	old := w.fresh(t)
	w.Pass(recent + time.Second)
	_, err := w.BeginTOTP(t.Context(), old)
	want(t, "an old session without a factor", err, authapi.CodeRecentSignInRequired)
	if header := problem.From(err).GetHeaders().Get("WWW-Authenticate"); !strings.Contains(header, `max_age="900"`) {
		t.Errorf("WWW-Authenticate: %s", header)
	}
	w.demand(t, func(m *authapi.MFAPolicy) { m.Methods = []authapi.MFAMethod{authapi.MFATOTP} })
	_, err = w.BeginEmail(t.Context(), w.fresh(t))
	want(t, "a factor that does not count", err, authapi.CodeFactorNotAllowed)

	before := w.fresh(t)
	_, enrolled := w.app(t)
	_, err = w.BeginTOTP(t.Context(), before)
	want(t, "a session without its factor", err, problem.CodeStepUp)
	if header := problem.From(err).GetHeaders().Get("WWW-Authenticate"); !strings.Contains(header, `acr_values="mfa"`) {
		t.Errorf("WWW-Authenticate: %s", header)
	}
	w.Pass(time.Hour)
	_, err = w.BeginTOTP(t.Context(), principal(t, enrolled.AccessToken))
	want(t, "a session with its factor", err, "")
}

func TestFiveFailuresLockAFactor(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	for i := range 5 {
		_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"})
		want(t, fmt.Sprintf("failure %d", i+1), err, authapi.CodeSecondFactorInvalid)
	}
	w.Pass(5 * time.Minute)
	_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "the right code", err, authapi.CodeFactorLocked)
	if p := problem.From(err); p.Status != 429 || p.RetryAfter() != 10*time.Minute {
		t.Errorf("status %d, retry after %v", p.Status, p.RetryAfter())
	}
	_, err = w.StepUp(t.Context(), principal(t, enrolled.AccessToken), "", Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "the right code in a session", err, authapi.CodeFactorLocked)
	_, err = w.verify(t, w.waiting(t), Proof{Method: authapi.MFARecovery, Code: enrolled.RecoveryCodes[0]})
	want(t, "another factor", err, "")
	w.Pass(10 * time.Minute)
	_, err = w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "after 15 minutes", err, "")
	if told := w.told(t); !slices.Contains(told, "locked totp") {
		t.Errorf("the lock was not told: %q", told)
	}
}

func TestASuccessForgetsFailures(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	for range 3 {
		for range 4 {
			_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"})
			want(t, "a failure", err, authapi.CodeSecondFactorInvalid)
		}
		_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
		want(t, "the right code", err, "")
		w.Pass(totpStep)
	}
}

// However many are made at once, no more guesses are answered than one after the other would be.
func TestGuessesMadeAtOnceAreLockedToo(t *testing.T) {
	w := newWorld(t)
	w.app(t)
	challenge := w.waiting(t)
	got := atOnce(t, 50, func(i int) error {
		_, err := w.verify(t, challenge, Proof{Method: authapi.MFATOTP, Code: fmt.Sprintf("%06d", i)})
		return err
	})
	if got[authapi.CodeSecondFactorInvalid] != 5 || got[authapi.CodeFactorLocked] != 45 {
		t.Errorf("%v; want 5 answers", got)
	}
}

// A used code that comes again must not make failures count from the start.
func TestAUsedCodeDoesNotForgetFailures(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	used := w.code(t, secret)
	if _, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: used}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		code := "000000"
		if i == 3 {
			code = used
		}
		_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: code})
		want(t, "a guess", err, authapi.CodeSecondFactorInvalid)
	}
	_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"})
	want(t, "one more", err, authapi.CodeFactorLocked)
}

func TestStepUp(t *testing.T) {
	w := newWorld(t)
	before := w.fresh(t)
	secret, _ := w.app(t)
	answer, err := w.StepUp(t.Context(), before, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	if err != nil {
		t.Fatal(err)
	}
	after := principal(t, answer.AccessToken)
	if after.ACR != identity.ACRMultiFactor || after.Session != before.Session || answer.RefreshToken != "" {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for _, method := range []authapi.MFAMethod{authapi.MFAEmail, authapi.MFASMS, authapi.MFAPasskey} {
		_, err := w.StepUpChallenge(t.Context(), before, method)
		want(t, string(method), err, authapi.CodeFactorNotEnrolled)
	}
	_, err = w.StepUpChallenge(t.Context(), before, authapi.MFATOTP)
	want(t, "nothing to send", err, problem.CodeValidation)
}

// Who must show a second factor and has none gets in with a code by mail, to set up another.
func TestAFactorThatEverybodyHas(t *testing.T) {
	w := newWorld(t)
	w.demand(t, func(m *authapi.MFAPolicy) { m.RequiredRoles = []string{"*"} })
	answer := w.password(t, "ada", "acme", "")
	if !slices.Equal(answer.Methods, []authapi.MFAMethod{authapi.MFAEmail}) {
		t.Fatalf("%+v", answer)
	}
	sent, err := w.Challenge(t.Context(), answer.Challenge, authapi.MFAEmail)
	if err != nil || sent.SentTo != "a•••@example.com" || sent.ExpiresIn != 600 || sent.Challenge != answer.Challenge {
		t.Fatalf("%+v, %v", sent, err)
	}
	signedIn, err := w.verify(t, answer.Challenge, Proof{Method: authapi.MFAEmail, Code: w.mailed(t)})
	if err != nil || principal(t, signedIn.AccessToken).ACR != identity.ACRMultiFactor {
		t.Fatalf("%+v, %v", signedIn, err)
	}
	w.Pass(time.Hour)
	if _, err := w.BeginTOTP(t.Context(), principal(t, signedIn.AccessToken)); err != nil {
		t.Errorf("set up another: %v", err)
	}
}

func TestWhatIsNotTheFirstFactorToGo(t *testing.T) {
	w := newWorld(t)
	_, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	want(t, "what is not there", w.Remove(t.Context(), p, authapi.MFASMS), problem.CodeNotFound)
	w.demand(t, func(m *authapi.MFAPolicy) {
		m.RequiredRoles, m.Methods = []string{"owner"}, []authapi.MFAMethod{authapi.MFATOTP, authapi.MFAPasskey, authapi.MFARecovery}
	})
	want(t, "the last", w.Remove(t.Context(), p, authapi.MFATOTP), authapi.CodeLastFactor)
	elsewhere := p
	elsewhere.Organization = "umbrella"
	want(t, "the last, from elsewhere", w.Remove(t.Context(), elsewhere, authapi.MFATOTP), authapi.CodeLastFactor)
	key := w.passkey(t, p)
	want(t, "one of two", w.Remove(t.Context(), p, authapi.MFATOTP), "")
	want(t, "the other", w.RemovePasskey(t.Context(), p, key.id), authapi.CodeLastFactor)
	w.demand(t, func(m *authapi.MFAPolicy) { m.RequiredRoles = nil })
	want(t, "the last that nobody demands", w.RemovePasskey(t.Context(), p, key.id), "")
	view, err := w.Show(t.Context(), p)
	if err != nil || len(view.Methods) != 0 || view.RecoveryCodes != 0 {
		t.Errorf("%+v, %v; want nothing left", view, err)
	}
	if signedIn := w.password(t, "ada", "acme", ""); signedIn.MFARequired {
		t.Errorf("asked for %v", signedIn.Methods)
	}
}

func TestShow(t *testing.T) {
	w := newWorld(t)
	w.demand(t, func(m *authapi.MFAPolicy) { m.RequiredRoles = []string{"admin"} })
	view, err := w.Show(t.Context(), w.fresh(t))
	if err != nil || view.Required || len(view.Methods) != 0 || view.Methods == nil || view.Passkeys == nil || len(view.Allowed) != 5 {
		t.Errorf("%+v, %v", view, err)
	}
	_, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	w.telephone(t, p)
	w.demand(t, func(m *authapi.MFAPolicy) { m.RequiredRoles = []string{"owner"} })
	view, err = w.Show(t.Context(), p)
	if err != nil || !view.Required || view.RecoveryCodes != 10 || view.TOTP == nil || view.SMS == nil || view.SMS.Number != "+44•••••••000" || view.Email != nil {
		t.Errorf("%+v, %v", view, err)
	}
	wanted := []authapi.MFAMethod{authapi.MFATOTP, authapi.MFASMS, authapi.MFARecovery}
	if !slices.Equal(view.Methods, wanted) {
		t.Errorf("methods %v; want %v", view.Methods, wanted)
	}
}

func TestUsersAreToldByMail(t *testing.T) {
	w := newWorld(t)
	w.app(t)
	for method := range nouns {
		for _, change := range []authapi.MFAChange{authapi.MFAAdded, authapi.MFARemoved, authapi.MFARenewed, authapi.MFAUsed, authapi.MFALocked, authapi.MFACloned} {
			if text := sentence(method, change); !strings.Contains(text, nouns[method]) || !strings.HasSuffix(text, ".") {
				t.Errorf("%s %s: %q", method, change, text)
			}
		}
	}
	var told []mail.Message
	for _, e := range w.Outbox(t) {
		if e.Type != authapi.MFAChanged.Name {
			continue
		}
		if err := notifying(w).Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		told = w.mails
	}
	if len(told) != 1 || told[0].To != "ada@example.com" || !strings.Contains(told[0].HTML, "A new authenticator app was added to your account.") {
		t.Errorf("mails: %+v", told)
	}
	if err := w.people.Users.Delete(t.Context(), "ada", 0); err != nil {
		t.Fatal(err)
	}
	for _, e := range w.Outbox(t) {
		if e.Type == authapi.MFAChanged.Name {
			if err := notifying(w).Handle(t.Context(), e); err != nil || len(w.mails) != 1 {
				t.Errorf("a user who is gone: %v, %d mails", err, len(w.mails))
			}
		}
	}
}

// Whoever reads the database or the events gets nothing to sign in with.
func TestNothingSecretIsStoredOrTold(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	w.telephone(t, p)
	secrets := append([]string{secret, w.texted(t)}, enrolled.RecoveryCodes...)
	challenge := w.waiting(t)
	if _, err := w.Challenge(t.Context(), challenge, authapi.MFASMS); err == nil {
		t.Fatal("a code a minute at most")
	}
	w.Pass(time.Minute)
	if _, err := w.Challenge(t.Context(), challenge, authapi.MFASMS); err != nil {
		t.Fatal(err)
	}
	code := w.texted(t)
	signedIn, err := w.Verify(t.Context(), Verification{Challenge: w.waiting(t), Proof: Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)}, Remember: true})
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, challenge, code, signedIn.DeviceToken, strings.Split(signedIn.DeviceToken, ".")[1])
	raw, err := totpEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, string(raw), base64.StdEncoding.EncodeToString(raw))
	stored := w.kept(t) + w.passing(t)
	for _, e := range w.Outbox(t) {
		stored += string(e.Data) + "\n"
	}
	for _, text := range secrets {
		if strings.Contains(stored, text) || strings.Contains(stored, strings.ReplaceAll(text, "-", "")) {
			t.Errorf("%q is there to read:\n%s", text, stored)
		}
	}
	for _, personal := range []string{"ada@example.com", number} {
		for _, e := range w.Outbox(t) {
			if strings.Contains(string(e.Data), personal) {
				t.Errorf("an event has %s: %s", personal, e.Data)
			}
		}
	}
}

func TestForgettingAndErasing(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	key := w.passkey(t, p)
	if _, err := w.BeginTOTP(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"}); err == nil {
		t.Fatal("a guess was right")
	}
	if _, err := w.Verify(t.Context(), Verification{Challenge: w.waiting(t), Proof: Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)}, Remember: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"}); err == nil {
		t.Fatal("a guess was right")
	}
	forget := func() string {
		t.Helper()
		if err := w.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.passing(t)
	}
	if left := forget(); strings.Count(left, "\n") != 3 {
		t.Errorf("too early: %s", left)
	}
	w.Pass(time.Hour)
	if left := forget(); strings.Count(left, "\n") != 1 || !strings.Contains(left, "test/1.0") {
		t.Errorf("an hour later there is more than the device: %s", left)
	}
	w.Pass(30 * 24 * time.Hour)
	if left := forget(); left != "" {
		t.Errorf("30 days later: %s", left)
	}
	if err := w.Erase(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if left := w.kept(t) + w.passing(t); left != "" {
		t.Errorf("after erasing: %s", left)
	}
	if err := w.Erase(t.Context(), "ada"); err != nil {
		t.Errorf("erasing again: %v", err)
	}
	want(t, "a key that is gone", w.RemovePasskey(t.Context(), p, key.id), problem.CodeNotFound)
}

func TestARelyingPartyThatCannotBe(t *testing.T) {
	for name, party := range map[string]RelyingParty{
		"no origins":   {ID: "example.com"},
		"no domain":    {ID: "https://example.com", Origins: []string{"https://example.com"}},
		"with a port":  {ID: "example.com:443", Origins: []string{"https://example.com"}},
		"what is none": {ID: "exa mple", Origins: []string{"https://example.com"}},
	} {
		if _, err := newWebAuthn(party.completed()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := newWebAuthn(RelyingParty{}.completed()); err != nil {
		t.Errorf("the default: %v", err)
	}
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
