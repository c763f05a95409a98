package verification

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// fixture is a service with people, and an inbox for all of them.
type fixture struct {
	*authtest.World
	*Service
	accounts *accounts.Accounts

	mails   []mail.Message
	refused error           // of the next mail
	handled map[string]bool // events by id
}

func (f *fixture) Send(_ context.Context, m mail.Message) error {
	if err := f.refused; err != nil {
		f.refused = nil
		return err
	}
	f.mails = append(f.mails, m)
	return nil
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{World: authtest.New(t), handled: map[string]bool{}}
	base, err := url.Parse("http://localhost:8000")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mails.New(f, base)
	if err != nil {
		t.Fatal(err)
	}
	if f.accounts, err = accounts.Open(t.Context(), f.DB); err != nil {
		t.Fatal(err)
	}
	f.Service, err = Open(t.Context(), Config{
		DB: f.DB, Accounts: f.accounts, Mails: m, Authenticate: f.authenticate, Emit: f.Emit(), Now: f.Now, NewID: f.NewID, Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// ada is signed in as who most links here are about.
var ada = Proof{Caller: signedIn("ada")}

func signedIn(user string) identity.Principal {
	return identity.Principal{Subject: user, Organization: "acme", Session: "s", Access: &identity.Access{Permissions: identity.OwnPermissions()}}
}

// authenticate knows one password, which everybody has.
func (f *fixture) authenticate(ctx context.Context, email, password string) (string, error) {
	person, err := f.accounts.UserByEmail(ctx, email)
	if err != nil || password != goodPassword {
		return "", problem.New(http.StatusUnauthorized, authapi.CodeInvalidCredentials, "wrong")
	}
	return person.ID, nil
}

const goodPassword = "three blind mice in a row"

// person joins acme and works for umbrella as well.
func (f *fixture) person(t testing.TB, id, email string, verified bool) identity.Principal {
	t.Helper()
	u := accounts.User{Email: email, FirstName: "Ada", CreatedAt: store.At(f.Now())}
	if verified {
		at := store.At(f.Now())
		u.EmailVerifiedAt = &at
	}
	if _, err := f.accounts.Users.Insert(t.Context(), id, u); err != nil {
		t.Fatal(err)
	}
	for _, organization := range []string{"acme", "umbrella"} {
		m := accounts.Membership{User: id, Organization: organization, Roles: []string{"member"}, CreatedAt: store.At(f.Now())}
		if _, err := f.accounts.Memberships.Insert(t.Context(), accounts.MembershipID(organization, id), m); err != nil {
			t.Fatal(err)
		}
	}
	return signedIn(id)
}

// deliver handles the events that were not, and is the error of the last that failed.
func (f *fixture) deliver(t testing.TB) error {
	t.Helper()
	var failed error
	handler := events.On(authapi.EmailLinkRequested, f.Requested)
	for _, e := range f.Outbox(t) {
		if e.Type != handler.Topic || f.handled[e.ID] {
			continue
		}
		if err := handler.Handle(t.Context(), e); err != nil {
			failed = err
			continue
		}
		f.handled[e.ID] = true
	}
	return failed
}

var tokenPattern = regexp.MustCompile(`#token=([A-Za-z0-9_-]+)"`)

// mailed are the tokens that were mailed to an address with a subject, oldest first, "" for a mail without.
func (f *fixture) mailed(t testing.TB, email, subject string) []string {
	t.Helper()
	if err := f.deliver(t); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range f.mails {
		if m.To != email || m.Subject != subject {
			continue
		}
		token := ""
		if found := tokenPattern.FindStringSubmatch(m.HTML); found != nil {
			token = found[1]
		}
		all = append(all, token)
	}
	return all
}

func (f *fixture) last(t testing.TB, email, subject string) string {
	t.Helper()
	all := f.mailed(t, email, subject)
	if len(all) == 0 || all[len(all)-1] == "" {
		t.Fatalf("no mail %q with a link to %s in %+v", subject, email, f.mails)
	}
	return all[len(all)-1]
}

func (f *fixture) confirms(t testing.TB, token string, want authapi.EmailConfirmationResult) {
	t.Helper()
	got, err := f.Confirm(t.Context(), token, ada)
	if err != nil || got.Result != want {
		t.Fatalf("confirm = %+v, %v; want %s", got, err, want)
	}
}

// refuses is the problem, which must have the status and code.
func refuses(t testing.TB, err error, status int, code string) *problem.Problem {
	t.Helper()
	if problem.Code(err) != code || problem.From(err).Status != status {
		t.Fatalf("got %v; want %d %s", err, status, code)
	}
	return problem.From(err)
}

func (f *fixture) user(t testing.TB, id string) accounts.User {
	t.Helper()
	doc, err := f.accounts.Users.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return doc.Value
}

// told is how often each organization heard of a topic, or had an entry of an action.
func (f *fixture) told(t testing.TB, name string) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, e := range f.Outbox(t) {
		if strings.Contains(string(e.Data), "example.") {
			t.Errorf("an event holds an address: %s", e.Data)
		}
		if e.Type == audit.Recorded.Name {
			var entry audit.Entry
			if err := json.Unmarshal(e.Data, &entry); err != nil {
				t.Fatal(err)
			}
			if entry.Actor.Subject != "ada" || entry.Resource != "user:ada" {
				t.Errorf("entry %+v", entry)
			}
			if entry.Action == name {
				all[e.Organization]++
			}
		}
		if e.Type == name {
			all[e.Organization]++
		}
	}
	return all
}

func (f *fixture) everywhereOnce(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if got := fmt.Sprint(f.told(t, name)); got != "map[acme:1 umbrella:1]" {
			t.Errorf("%s: %s; want it once in each organization", name, got)
		}
	}
}

const (
	verifySubject  = "Confirm your e-mail address"
	approveSubject = "Confirm the change of your e-mail address"
	changedSubject = "Your e-mail address was changed"
	takenSubject   = "You have an account with this e-mail address"
)

func TestAnAddressIsVerifiedOnce(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	if err := f.Service.Send(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	token := f.last(t, "ada@example.com", verifySubject)
	if len(token) < 43 {
		t.Errorf("the token has %d characters; 256 bits have 43", len(token))
	}
	if status, err := f.Status(t.Context(), "ada"); err != nil || status.Verified || status.Email != "ada@example.com" {
		t.Errorf("status %+v, %v", status, err)
	}
	f.Pass(linkLife - time.Microsecond)
	f.confirms(t, token, authapi.EmailVerified)
	if status, err := f.Status(t.Context(), "ada"); err != nil || !status.Verified || !status.VerifiedAt.Equal(f.Now()) {
		t.Errorf("status %+v, %v", status, err)
	}
	f.everywhereOnce(t, authapi.UserVerified.Name, "auth.email-verification.verify")
	_, err := f.Confirm(t.Context(), token, ada)
	refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
	refuses(t, f.Service.Send(t.Context(), "ada"), 409, authapi.CodeEmailAlreadyVerified)
	f.everywhereOnce(t, authapi.UserVerified.Name)
}

func TestLinksThatAreRefused(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	if err := f.Service.Send(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	token := f.last(t, "ada@example.com", verifySubject)
	stored, err := f.links.Find(t.Context(), store.Query{})
	if err != nil || len(stored.Items) != 1 || stored.Items[0].ID == token {
		t.Fatalf("stored %+v, %v; want one digest", stored, err)
	}
	for name, wrong := range map[string]string{
		"nothing": "", "made up": strings.Repeat("A", 43), "padded": token + "=", "the digest": stored.Items[0].ID, "control characters": "a\x00b",
	} {
		if _, err := f.Confirm(t.Context(), wrong, ada); problem.Code(err) != authapi.CodeEmailLinkInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.Pass(linkLife)
	_, err = f.Confirm(t.Context(), token, ada)
	refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
	if f.user(t, "ada").EmailVerifiedAt != nil {
		t.Error("the address was verified")
	}
}

// A link proves an address only for who also shows that the account is theirs. Else whoever registers with somebody's address
// would only have to wait until its owner uses the link.
func TestALinkAloneProvesNothing(t *testing.T) {
	narrow, key := signedIn("ada"), signedIn("ada")
	narrow.Scope = []string{"analytics.*:read"}
	key.Session, key.Key = "", "k1"
	strangers := map[string]struct {
		by     Proof
		status int
		code   string
	}{
		"the link alone":                         {Proof{}, 403, authapi.CodeEmailLinkNeedsSignIn},
		"another's session":                      {Proof{Caller: signedIn("bob")}, 403, authapi.CodeEmailLinkNeedsSignIn},
		"a session for other uses":               {Proof{Caller: narrow}, 403, authapi.CodeEmailLinkNeedsSignIn},
		"an API key":                             {Proof{Caller: key}, 403, authapi.CodeEmailLinkNeedsSignIn},
		"a wrong password":                       {Proof{Password: "guessed"}, 401, authapi.CodeInvalidCredentials},
		"another's session and a wrong password": {Proof{Caller: signedIn("bob"), Password: "guessed"}, 401, authapi.CodeInvalidCredentials},
	}
	owners := map[string]Proof{
		"a session": ada, "the password": {Password: goodPassword},
		"the password and another's session": {Caller: signedIn("bob"), Password: goodPassword},
	}
	for name, of := range map[string]struct {
		verified bool
		ask      func(f *fixture) (address string, err error)
		want     authapi.EmailConfirmationResult
	}{
		"the first address": {false, func(f *fixture) (string, error) {
			return "ada@example.com", f.Service.Send(t.Context(), "ada")
		}, authapi.EmailVerified},
		"a new address, after one that was never proved": {false, func(f *fixture) (string, error) {
			_, err := f.Change(t.Context(), ada.Caller, "eve@example.com")
			return "eve@example.com", err
		}, authapi.EmailChanged},
		"a new address, after one that was": {true, func(f *fixture) (string, error) {
			_, err := f.Change(t.Context(), ada.Caller, "eve@example.com")
			return "eve@example.com", err
		}, authapi.EmailChangeAgreed},
	} {
		for proof, owner := range owners {
			t.Run(name+", "+proof, func(t *testing.T) {
				f := newFixture(t)
				f.person(t, "ada", "ada@example.com", of.verified)
				before := f.user(t, "ada")
				address, err := of.ask(f)
				if err != nil {
					t.Fatal(err)
				}
				token := f.last(t, address, verifySubject)
				for name, c := range strangers {
					if _, err := f.Confirm(t.Context(), token, c.by); problem.Code(err) != c.code || problem.From(err).Status != c.status {
						t.Errorf("%s: %v; want %d %s", name, err, c.status, c.code)
					}
				}
				if now := f.user(t, "ada"); now.Email != before.Email || (now.EmailVerifiedAt == nil) != (before.EmailVerifiedAt == nil) {
					t.Errorf("the account was changed: %+v", now)
				}
				got, err := f.Confirm(t.Context(), token, owner)
				if err != nil || got.Result != of.want {
					t.Errorf("%+v, %v; want %s, since the link is good still", got, err, of.want)
				}
			})
		}
	}
}

// Whoever registered with somebody's address has a move to another one under way when its owner proves that it is theirs. The
// move, for which nobody asked the owner, must not take the account away.
func TestAMoveEndsWhenTheFormerAddressIsProved(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "ada@example.com", false)
	if _, err := f.Change(t.Context(), p, "eve@example.com"); err != nil {
		t.Fatal(err)
	}
	moveIn := f.last(t, "eve@example.com", verifySubject)
	if err := f.Service.Send(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	f.confirms(t, f.last(t, "ada@example.com", verifySubject), authapi.EmailVerified)
	if status, err := f.Status(t.Context(), "ada"); err != nil || status.Change != nil {
		t.Errorf("status %+v, %v; want no change under way", status, err)
	}
	_, err := f.Confirm(t.Context(), moveIn, ada)
	refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
	if got := f.user(t, "ada").Email; got != "ada@example.com" {
		t.Errorf("the account has moved to %s", got)
	}
}

// TestASecondLinkDoesNotEndTheFirst asks twice: the person may find either mail first.
func TestASecondLinkDoesNotEndTheFirst(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	for range 2 {
		if err := f.Service.Send(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		f.Pass(time.Hour)
	}
	links := f.mailed(t, "ada@example.com", verifySubject)
	if len(links) != 2 || links[0] == links[1] {
		t.Fatalf("links %q", links)
	}
	f.confirms(t, links[0], authapi.EmailVerified)
	_, err := f.Confirm(t.Context(), links[1], ada)
	refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
}

func TestOneOfManyWins(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "ada@example.com", false)
	if err := f.Service.Send(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	f.wins(t, f.last(t, "ada@example.com", verifySubject))
	if _, err := f.Change(t.Context(), p, "ada@example.org"); err != nil {
		t.Fatal(err)
	}
	f.wins(t, f.last(t, "ada@example.com", approveSubject)) // the first end
	f.wins(t, f.last(t, "ada@example.org", verifySubject))  // the second, which lets it happen
	if got := f.user(t, "ada").Email; got != "ada@example.org" {
		t.Errorf("address %s", got)
	}
	f.everywhereOnce(t, authapi.UserEmailChanged.Name)
}

// wins uses a link many times at once.
func (f *fixture) wins(t *testing.T, token string) {
	t.Helper()
	const many = 20
	errs := make([]error, many)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = f.Confirm(context.Background(), token, ada) })
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, many)
	}
}

func TestResendTellsNothing(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	f.person(t, "bob", "bob@example.com", true)
	for _, email := range []string{" Ada@Example.com", "bob@example.com", "nobody@example.com"} {
		if err := f.Resend(t.Context(), email); err != nil {
			t.Fatal(err)
		}
		// The second time it is refused, whoever it is.
		if wait := refuses(t, f.Resend(t.Context(), email), 429, problem.CodeRateLimited).RetryAfter(); wait != time.Minute {
			t.Errorf("%s: Retry-After %v", email, wait)
		}
	}
	if n := len(f.Outbox(t)); n != 3 {
		t.Errorf("%d events; want the same for each", n)
	}
	if err := f.deliver(t); err != nil {
		t.Fatal(err)
	}
	if len(f.mails) != 1 || f.mails[0].To != "ada@example.com" {
		t.Errorf("mails %+v; want one, to who needs it", f.mails)
	}
	for _, email := range []string{"ada", "ada@example.com, eve@example.com", "ada@example.com\r\nBcc: eve@example.com"} {
		refuses(t, f.Resend(t.Context(), email), 422, problem.CodeValidation)
	}
}

func TestTheWaitGrows(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	var waits []time.Duration
	for range 9 {
		if err := f.Service.Send(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		wait := refuses(t, f.Resend(t.Context(), "ada@example.com"), 429, problem.CodeRateLimited).RetryAfter()
		waits = append(waits, wait)
		f.Pass(wait - time.Microsecond)
		refuses(t, f.Resend(t.Context(), "ada@example.com"), 429, problem.CodeRateLimited)
		f.Pass(time.Microsecond)
	}
	m := time.Minute
	if want := []time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, 60 * m, 60 * m, 60 * m}; !slices.Equal(waits, want) {
		t.Errorf("waits %v; want %v", waits, want)
	}
	f.Pass(sentKept)
	if err := f.Service.Send(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if wait := refuses(t, f.Resend(t.Context(), "ada@example.com"), 429, problem.CodeRateLimited).RetryAfter(); wait != m {
		t.Errorf("after a day's rest the wait is %v", wait)
	}
}

func TestManyRequestsAtOnceSendOneMail(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _ = f.Resend(context.Background(), "ada@example.com") })
	}
	all.Wait()
	if n := len(f.mailed(t, "ada@example.com", verifySubject)); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestBothEndsAgree lets the ends agree in either order.
func TestBothEndsAgree(t *testing.T) {
	for _, currentFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("current first: %t", currentFirst), func(t *testing.T) {
			f := newFixture(t)
			p := f.person(t, "ada", "ada@example.com", true)
			c, err := f.Change(t.Context(), p, " Ada@Example.org")
			if err != nil || c.Email != "ada@example.org" || c.AgreedByCurrent || c.AgreedByRequested || !c.ExpiresAt.Equal(f.Now().Add(linkLife)) {
				t.Fatalf("change %+v, %v", c, err)
			}
			leave, moveIn := f.last(t, "ada@example.com", approveSubject), f.last(t, "ada@example.org", verifySubject)
			first, second := leave, moveIn
			if !currentFirst {
				first, second = moveIn, leave
			}
			f.confirms(t, first, authapi.EmailChangeAgreed)
			if got := f.user(t, "ada").Email; got != "ada@example.com" {
				t.Fatalf("one end has agreed, and the address is %s", got)
			}
			status, err := f.Status(t.Context(), "ada")
			if err != nil || status.Change == nil || status.Change.AgreedByCurrent != currentFirst || status.Change.AgreedByRequested == currentFirst {
				t.Errorf("status %+v, %v", status, err)
			}
			_, err = f.Confirm(t.Context(), first, ada)
			refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
			f.Pass(time.Hour)
			f.confirms(t, second, authapi.EmailChanged)
			u := f.user(t, "ada")
			if u.Email != "ada@example.org" || u.EmailVerifiedAt == nil || !u.EmailVerifiedAt.Equal(f.Now()) {
				t.Errorf("user %+v", u)
			}
			f.everywhereOnce(t, authapi.UserEmailChanged.Name, authapi.UserVerified.Name, "auth.email-verification.change")
			if status, err := f.Status(t.Context(), "ada"); err != nil || status.Change != nil || status.Email != "ada@example.org" {
				t.Errorf("status %+v, %v", status, err)
			}
			if n := len(f.mailed(t, "ada@example.com", changedSubject)); n != 1 {
				t.Errorf("the former address got %d notices", n)
			}
			if n, err := f.changes.Count(t.Context(), store.Query{}); err != nil || n != 0 {
				t.Errorf("%d changes left, %v", n, err)
			}
		})
	}
}

func TestAnAddressThatWasNeverVerifiedHasNoSay(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "aad@example.com", false)
	if c, err := f.Change(t.Context(), p, "ada@example.com"); err != nil || !c.AgreedByCurrent {
		t.Fatalf("change %+v, %v", c, err)
	}
	f.confirms(t, f.last(t, "ada@example.com", verifySubject), authapi.EmailChanged)
	if u := f.user(t, "ada"); u.Email != "ada@example.com" || u.EmailVerifiedAt == nil {
		t.Errorf("user %+v", u)
	}
	if err := f.deliver(t); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.mails {
		if m.To == "aad@example.com" {
			t.Errorf("a stranger got %q", m.Subject)
		}
	}
}

// TestATakenAddressTellsItsOwnerOnly asks for the address of another account.
func TestATakenAddressTellsItsOwnerOnly(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "ada@example.com", true)
	f.person(t, "bob", "bob@example.com", true)
	c, err := f.Change(t.Context(), p, "bob@example.com")
	if err != nil || c.Email != "bob@example.com" || c.AgreedByRequested {
		t.Fatalf("change %+v, %v; want what is answered for any address", c, err)
	}
	if status, err := f.Status(t.Context(), "ada"); err != nil || status.Change == nil {
		t.Errorf("status %+v, %v", status, err)
	}
	if got := f.mailed(t, "bob@example.com", takenSubject); !slices.Equal(got, []string{""}) {
		t.Errorf("its owner got %q; want one mail without a link", got)
	}
	f.confirms(t, f.last(t, "ada@example.com", approveSubject), authapi.EmailChangeAgreed)
	if n := len(f.mailed(t, "bob@example.com", verifySubject)); n != 0 || f.user(t, "ada").Email != "ada@example.com" {
		t.Errorf("%d links; address %s", n, f.user(t, "ada").Email)
	}
}

// TestTheIndexDecidesWhoseAnAddressIs takes the address away while both ends are asked.
func TestTheIndexDecidesWhoseAnAddressIs(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "ada@example.com", true)
	if _, err := f.Change(t.Context(), p, "new@example.com"); err != nil {
		t.Fatal(err)
	}
	f.confirms(t, f.last(t, "ada@example.com", approveSubject), authapi.EmailChangeAgreed)
	moveIn := f.last(t, "new@example.com", verifySubject)
	f.person(t, "bob", "new@example.com", false)
	_, err := f.Confirm(t.Context(), moveIn, ada)
	refuses(t, err, 409, authapi.CodeEmailTaken)
	_, err = f.Confirm(t.Context(), moveIn, ada)
	refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
	if got := f.user(t, "ada").Email; got != "ada@example.com" {
		t.Errorf("address %s", got)
	}
	if len(f.told(t, authapi.UserEmailChanged.Name)) != 0 {
		t.Error("a change was told of")
	}
}

func TestANewRequestReplacesTheFormer(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "ada@example.com", true)
	if _, err := f.Change(t.Context(), p, "one@example.com"); err != nil {
		t.Fatal(err)
	}
	_, err := f.Change(t.Context(), p, "two@example.com")
	refuses(t, err, 429, problem.CodeRateLimited)
	first := f.last(t, "one@example.com", verifySubject)
	f.Pass(time.Minute)
	if _, err := f.Change(t.Context(), p, "two@example.com"); err != nil {
		t.Fatal(err)
	}
	_, err = f.Confirm(t.Context(), first, ada)
	refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
	second := f.last(t, "two@example.com", verifySubject)
	if err := f.GiveUp(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if err := f.GiveUp(t.Context(), "ada"); err != nil {
		t.Errorf("giving up nothing: %v", err)
	}
	_, err = f.Confirm(t.Context(), second, ada)
	refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
	if status, err := f.Status(t.Context(), "ada"); err != nil || status.Change != nil {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "ada@example.com", true)
	for _, email := range []string{"", "ada", " ADA@example.com", "a@example.com;b@example.com"} {
		_, err := f.Change(t.Context(), p, email)
		refuses(t, err, 422, problem.CodeValidation)
	}
	_, err := f.Change(t.Context(), identity.Principal{Subject: "gone", Organization: "acme"}, "a@example.com")
	refuses(t, err, 404, problem.CodeNotFound)
}

// TestALinkForAnotherAddressProvesNothing gives the account another unverified address after the mail.
func TestALinkForAnotherAddressProvesNothing(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	if err := f.Service.Send(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	token := f.last(t, "ada@example.com", verifySubject)
	_, err := f.accounts.Users.Update(t.Context(), "ada", func(u *accounts.User) ([]store.Message, error) {
		u.Email = "ada@example.org"
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Confirm(t.Context(), token, ada)
	refuses(t, err, 410, authapi.CodeEmailLinkInvalid)
}

func TestAMailThatWasRefusedIsSentLater(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "ada@example.com", true)
	if _, err := f.Change(t.Context(), p, "ada@example.org"); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no server")
	f.refused = refused
	if err := f.deliver(t); !errors.Is(err, refused) {
		t.Fatalf("got %v; want the refusal, so that the event comes again", err)
	}
	f.confirms(t, f.last(t, "ada@example.com", approveSubject), authapi.EmailChangeAgreed)
	f.confirms(t, f.last(t, "ada@example.org", verifySubject), authapi.EmailChanged)
}

func TestWelcome(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	f.person(t, "bob", "bob@example.com", true)
	if _, err := f.accounts.Organizations.Insert(t.Context(), "acme", accounts.Organization{Name: "Acme"}); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ada", "bob", "gone"} {
		e := events.Event[authapi.UserRegisteredData]{Data: authapi.UserRegisteredData{UserID: user, OrganizationID: "acme"}}
		if err := f.Registered(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.mailed(t, "bob@example.com", "Welcome to Tandem"); !slices.Equal(got, []string{""}) {
		t.Errorf("who is verified got %q; want one mail without a link", got)
	}
	f.confirms(t, f.last(t, "ada@example.com", "Welcome to Tandem"), authapi.EmailVerified)
	if len(f.mails) != 2 {
		t.Errorf("%d mails", len(f.mails))
	}
}

func TestForget(t *testing.T) {
	f := newFixture(t)
	p := f.person(t, "ada", "ada@example.com", true)
	if _, err := f.Change(t.Context(), p, "ada@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := f.deliver(t); err != nil {
		t.Fatal(err)
	}
	left := func() (n int64) {
		for _, count := range []func(context.Context, store.Query) (int64, error){f.links.Count, f.changes.Count, f.sent.Count} {
			one, err := count(t.Context(), store.Query{})
			if err != nil {
				t.Fatal(err)
			}
			n += one
		}
		return n
	}
	f.Pass(linkLife)
	if err := f.Forget(t.Context()); err != nil || left() != 5 {
		t.Errorf("%d documents before they expire, %v; want 2 links, 1 change, 2 counts", left(), err)
	}
	f.Pass(time.Microsecond)
	if err := f.Forget(t.Context()); err != nil || left() != 0 {
		t.Errorf("%d documents after they expired, %v", left(), err)
	}
}
