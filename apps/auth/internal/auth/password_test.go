package auth

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

const otherPassword = "see how they run, see how"

// principal is who a sign-in's access token is for.
func (f *fixture) principal(t testing.TB, in *authapi.SignIn) identity.Principal {
	t.Helper()
	p, err := f.verifier().Verify(t.Context(), in.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestChangePassword(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	other := f.login(t, "ada@example.com", goodPassword)
	p := f.principal(t, f.login(t, "ada@example.com", goodPassword))
	f.Pass(freshSignIn + time.Second)
	for name, c := range map[string]struct{ current, next, code string }{
		"without the old one": {"", otherPassword, authapi.CodeReauthenticate},
		"with a wrong one":    {"wrong", otherPassword, authapi.CodeInvalidCredentials},
		"with a weak one":     {goodPassword, "qwertyuiop123456", authapi.CodeWeakPassword},
		"with the old again":  {goodPassword, goodPassword, authapi.CodePasswordUnchanged},
	} {
		if err := f.ChangePassword(t.Context(), p, c.current, c.next); problem.Code(err) != c.code {
			t.Errorf("%s: %v; want %s", name, err, c.code)
		}
	}
	if err := f.ChangePassword(t.Context(), p, goodPassword, otherPassword); err != nil {
		t.Fatal(err)
	}
	f.fails(t, "ada@example.com", goodPassword, authapi.CodeInvalidCredentials)
	if _, err := f.Refresh(t.Context(), other.RefreshToken, ""); problem.Code(err) != authapi.CodeRefreshTokenInvalid {
		t.Errorf("another session lives on: %v", err)
	}
	fresh := f.principal(t, f.login(t, "ada@example.com", otherPassword))
	if err := f.ChangePassword(t.Context(), fresh, "", otherPassword); problem.Code(err) != authapi.CodePasswordUnchanged {
		t.Errorf("the same again right after a sign-in: %v", err)
	}
	if err := f.ChangePassword(t.Context(), fresh, "", goodPassword); err != nil {
		t.Errorf("right after a sign-in the old one is asked for: %v", err)
	}
	f.deliver(t)
	if n := f.sentTo("ada@example.com", "password was changed"); n != 2 {
		t.Errorf("%d mails tell of the changes, want 2", n)
	}
}

// The organization's own rules hold for new passwords.
func TestChangePasswordHeedsThePolicy(t *testing.T) {
	f := newFixture(t)
	r := f.register(t, ada())
	p := f.principal(t, f.login(t, "ada@example.com", goodPassword))
	rules := authapi.DefaultPolicy()
	rules.Password.RequireDigit = true
	if _, err := f.c.Policies.Set(t.Context(), r.Organization.ID, rules, -1); err != nil {
		t.Fatal(err)
	}
	if err := f.ChangePassword(t.Context(), p, goodPassword, otherPassword); problem.Code(err) != authapi.CodeWeakPassword {
		t.Errorf("without a digit: %v", err)
	}
	if err := f.ChangePassword(t.Context(), p, goodPassword, otherPassword+" 3"); err != nil {
		t.Errorf("with a digit: %v", err)
	}
}

var resetLink = regexp.MustCompile(`https://app\.example\.com/reset-password#token=([A-Za-z0-9_-]+)`)

// resetToken is the token in the latest mail.
func (f *fixture) resetToken(t testing.TB) string {
	t.Helper()
	f.deliver(t)
	last := f.sent[len(f.sent)-1]
	match := resetLink.FindStringSubmatch(last.HTML)
	if match == nil {
		t.Fatalf("no link in %+v", last)
	}
	token, err := url.PathUnescape(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestResetPassword(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	before := f.login(t, "ada@example.com", goodPassword)
	for range 7 { // locked, too
		_, _ = f.Login(t.Context(), Credentials{Email: "ada@example.com", Password: "wrong"})
	}
	for _, email := range []string{"ADA@example.com", "nobody@example.com"} {
		if err := f.RequestReset(t.Context(), email); err != nil {
			t.Fatalf("%s: %v", email, err)
		}
	}
	token := f.resetToken(t)
	if f.sentTo("nobody@example.com", "") != 0 {
		t.Error("a mail to nobody")
	}
	if err := f.Reset(t.Context(), "nonsense", otherPassword); problem.Code(err) != authapi.CodeResetTokenInvalid {
		t.Errorf("a made-up token: %v", err)
	}
	if err := f.Reset(t.Context(), token, "short"); problem.Code(err) != authapi.CodeWeakPassword {
		t.Errorf("a weak password: %v", err)
	}
	if err := f.Reset(t.Context(), token, otherPassword); err != nil {
		t.Fatal(err)
	}
	if err := f.Reset(t.Context(), token, goodPassword); problem.Code(err) != authapi.CodeResetTokenInvalid {
		t.Errorf("a used token: %v", err)
	}
	if _, err := f.Refresh(t.Context(), before.RefreshToken, ""); problem.Code(err) != authapi.CodeRefreshTokenInvalid {
		t.Errorf("a session from before: %v", err)
	}
	p := f.principal(t, f.login(t, "ada@example.com", otherPassword))
	if me, _, err := f.Me(t.Context(), p); err != nil || !me.User.EmailVerified {
		t.Errorf("%+v, %v; the token came by mail, so the address is verified", me, err)
	}
}

// What was set up before an address was proved goes before the address counts as proved, and once more after it; what is set up
// later stays.
func TestTheFirstResetDropsWhatWasSetUpBefore(t *testing.T) {
	f := newFixture(t)
	r := f.register(t, ada())
	var dropped []bool // whether the address was proved
	fail := errors.New("crash")
	f.c.DropCredentials = func(ctx context.Context, user string) error {
		person, err := f.c.Accounts.Users.Get(ctx, user)
		dropped = append(dropped, person.Value.EmailVerifiedAt != nil)
		return errors.Join(err, fail)
	}
	reset := func() error {
		f.Pass(time.Hour)
		if err := f.RequestReset(t.Context(), "ada@example.com"); err != nil {
			t.Fatal(err)
		}
		return f.Reset(t.Context(), f.resetToken(t), otherPassword)
	}
	if err := reset(); !errors.Is(err, fail) {
		t.Errorf("%v; want %v", err, fail)
	}
	if person, err := f.c.Accounts.Users.Get(t.Context(), r.User.ID); err != nil || person.Value.EmailVerifiedAt != nil {
		t.Errorf("the address is proved although what was set up is still there, %v", err)
	}
	fail, dropped = nil, nil
	for range 2 {
		if err := reset(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(dropped, []bool{false, true}) {
		t.Errorf("dropped with a proved address: %v; want before and after the first reset only", dropped)
	}
}

func TestResetTokensEnd(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	if err := f.RequestReset(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	token := f.resetToken(t)
	f.Pass(resetLife)
	if err := f.Reset(t.Context(), token, otherPassword); problem.Code(err) != authapi.CodeResetTokenInvalid {
		t.Errorf("half an hour later: %v", err)
	}
	f.Pass(time.Hour)
	f.sent = nil
	for range resetsAnHour + 3 {
		if err := f.RequestReset(t.Context(), "ada@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	f.deliver(t)
	if n := len(f.sent); n != resetsAnHour {
		t.Errorf("%d mails within an hour, want %d", n, resetsAnHour)
	}
}

func TestOneOfManyRedeemsAToken(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	if err := f.RequestReset(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	token := f.resetToken(t)
	var wins sync.Map
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			password := strings.Repeat("mice in a row ", 2) + string(rune('a'+i))
			if err := f.Reset(t.Context(), token, password); err == nil {
				wins.Store(password, true)
			} else if problem.Code(err) != authapi.CodeResetTokenInvalid {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	won := 0
	wins.Range(func(password, _ any) bool {
		won++
		f.login(t, "ada@example.com", password.(string))
		return true
	})
	if won != 1 {
		t.Errorf("%d set a password with one token", won)
	}
}

func TestNewDevicesAreMailed(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	for _, agent := range []string{"laptop/1.0", "laptop/1.0", "telephone/2.0"} {
		_, err := f.Login(audit.WithOrigin(t.Context(), audit.Origin{Address: "203.0.113.7", UserAgent: agent}), Credentials{Email: "ada@example.com", Password: goodPassword})
		if err != nil {
			t.Fatal(err)
		}
	}
	f.deliver(t)
	if n := f.sentTo("ada@example.com", "new device"); n != 1 {
		t.Fatalf("%d mails about new devices, want one", n)
	}
	if text := f.sent[len(f.sent)-1].HTML; !strings.Contains(text, "203.0.113.7") || !strings.Contains(text, "telephone") {
		t.Errorf("it does not say from where and with what: %s", text)
	}
}

func TestGuessingAtManyAccountsLocksTheAddress(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	from := func(address, email string) error {
		_, err := f.Login(audit.WithOrigin(t.Context(), audit.Origin{Address: address}), Credentials{Email: email, Password: goodPassword})
		return err
	}
	for i := range freeFailuresOfAddress {
		email := "u" + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + "@example.org"
		if err := from("203.0.113.7", email); problem.Code(err) != authapi.CodeInvalidCredentials {
			t.Fatalf("failure %d: %v", i+1, err)
		}
	}
	if err := from("203.0.113.7", "ada@example.com"); problem.Code(err) != authapi.CodeAccountLocked {
		t.Errorf("after %d failures from one address: %v; want %s", freeFailuresOfAddress, err, authapi.CodeAccountLocked)
	}
	if _, err := f.Authenticate(audit.WithOrigin(t.Context(), audit.Origin{Address: "203.0.113.7"}), "ada@example.com", goodPassword); problem.Code(err) != authapi.CodeAccountLocked {
		t.Errorf("the password alone, from the same address: %v; want %s", err, authapi.CodeAccountLocked)
	}
	if err := from("203.0.113.8", "ada@example.com"); err != nil {
		t.Errorf("from another address: %v", err)
	}
}

func TestUpdateProfile(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	p := f.principal(t, f.login(t, "ada@example.com", goodPassword))
	_, version, err := f.Me(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	read := group.AtVersion(&struct{}{}, version).ETag
	first, odd := "Augusta Ada", "\x00"
	me, next, err := f.UpdateProfile(t.Context(), p, &first, nil, group.IfMatch{IfMatch: read})
	if err != nil || me.User.FirstName != first || me.User.LastName != "Lovelace" || next != version+1 {
		t.Errorf("%+v at %d, %v", me, next, err)
	}
	if _, _, err := f.UpdateProfile(t.Context(), p, &first, nil, group.IfMatch{IfMatch: read}); problem.Code(err) != problem.CodePrecondition {
		t.Errorf("over another's change: %v; want %s", err, problem.CodePrecondition)
	}
	if _, _, err := f.UpdateProfile(t.Context(), p, nil, &odd, group.IfMatch{}); problem.Code(err) != problem.CodeValidation {
		t.Errorf("a control character: %v", err)
	}
}

// deliver hands the events in the outbox to their handlers, once each.
func (f *fixture) deliver(t testing.TB) {
	t.Helper()
	handlers := map[string]func(events.Raw) error{}
	for _, h := range []events.Handler{
		events.On(authapi.PasswordResetRequested, f.SendReset), events.On(authapi.PasswordChanged, f.TellChange), events.On(authapi.DeviceAdded, f.TellDevice),
	} {
		handlers[h.Topic] = func(e events.Raw) error { return h.Handle(t.Context(), e) }
	}
	var done []string
	for _, e := range f.Outbox(t) {
		if handle := handlers[e.Type]; handle != nil {
			if err := handle(e); err != nil {
				t.Fatal(err)
			}
		}
		done = append(done, e.ID)
	}
	if err := f.DB.Outbox().Done(t.Context(), done...); err != nil {
		t.Fatal(err)
	}
}

// sentTo counts the mails to an address whose subject contains a text.
func (f *fixture) sentTo(to, subject string) (n int) {
	for _, m := range f.sent {
		if m.To == to && strings.Contains(strings.ToLower(m.Subject), subject) {
			n++
		}
	}
	return n
}
