package connection_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// rotating is a vendor of which refresh tokens are good once, or twice where it is lenient.
type rotating struct {
	vendor
	url string

	mu      sync.Mutex
	lenient bool
	used    map[string]int
	calls   int
	during  func() // what happens after it has rotated, before it answers
	revoke  func() error
	early   time.Duration
}

func newRotating(t *testing.T) *rotating {
	v := &rotating{used: map[string]int{}}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func (v *rotating) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls++
	token := r.FormValue("refresh_token")
	w.Header().Set("Content-Type", "application/json")
	if v.used[token] > 0 && (!v.lenient || v.used[token] > 1) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	v.used[token]++
	if v.during != nil {
		v.during()
	}
	fmt.Fprintf(w, `{"access_token":"access-%d","refresh_token":"refresh-%d","token_type":"bearer","expires_in":3600}`, v.calls, v.calls)
}

func (v *rotating) OAuth() connector.OAuth {
	return connector.OAuth{
		Revoke: func(context.Context, connector.Account) error { return v.revoke() },
		Early:  v.early,
		App:    connector.App{ClientID: "us", Secret: func(context.Context) (secrets.Secret, error) { return secrets.New("hush"), nil }},
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{TokenURL: v.url, AuthStyle: oauth2.AuthStyleInParams}
		},
		HTTP: http.DefaultClient, Now: func() time.Time { return time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC) },
	}
}

func (f *fixture) tokens() connector.Credentials {
	return connector.Credentials{AccessToken: secrets.New("access-0"), RefreshToken: secrets.New("refresh-0"), Authorized: true, ExpiresAt: f.now.Add(time.Hour)}
}

// authorize connects an account with tokens that end in an hour.
func (f *fixture) authorize(t *testing.T) connection.Connection {
	t.Helper()
	c, _, err := f.Connect(t.Context(), "o1", "acme", "shop-1", f.tokens())
	if err != nil || !c.Authorized {
		t.Fatalf("%+v, %v", c, err)
	}
	return c
}

// token is the access token that a process works with.
func token(t *testing.T, s *connection.Service, id string) string {
	t.Helper()
	_, account, err := s.Open(t.Context(), "o1", id, connection.Use{Purpose: connection.ForTest})
	if err != nil {
		t.Fatal(err)
	}
	return account.Credentials.AccessToken.Reveal()
}

func TestProcessesRefreshOnce(t *testing.T) {
	v := newRotating(t)
	f := open(t, v)
	c := f.authorize(t)
	if got := token(t, f.Service, c.ID); got != "access-0" || v.calls != 0 {
		t.Errorf("%s after %d refreshes, before it is time", got, v.calls)
	}
	f.now = f.now.Add(59 * time.Minute) // about to end
	v.during = func() { time.Sleep(100 * time.Millisecond) }
	processes := []*connection.Service{f.Service, f.serve(t, v)}
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			if got := token(t, processes[i%2], c.ID); got != "access-1" {
				t.Errorf("%s, want access-1", got)
			}
		})
	}
	wait.Wait()
	if v.calls != 1 {
		t.Errorf("the vendor was asked %d times", v.calls)
	}
}

// The vendor's tokens end in less time than they are to be refreshed before: at every use, if nothing was done about it.
func TestTokensThatEndTooSoonAreNotRefreshedAtEveryUse(t *testing.T) {
	v := newRotating(t)
	v.early = 3 * time.Hour
	f := open(t, v)
	c := f.authorize(t)
	for range 3 {
		if got := token(t, f.Service, c.ID); got != "access-1" {
			t.Errorf("%s, want access-1", got)
		}
	}
	f.now = f.now.Add(46 * time.Minute)
	if got := token(t, f.Service, c.ID); got != "access-2" {
		t.Errorf("a quarter of that time later: %s, want access-2", got)
	}
}

// A token without end and without a way to another is good until the vendor refuses it; then a person has to authorize us again.
func TestAnAuthorizationWithoutRefreshTokens(t *testing.T) {
	v, revoked := newRotating(t), 0
	v.revoke = func() error { revoked++; return nil }
	f := open(t, v)
	connect := func() connection.Connection {
		t.Helper()
		c, _, err := f.Connect(t.Context(), "o1", "acme", "shop-1", connector.Credentials{AccessToken: secrets.New("for ever"), Authorized: true})
		if err != nil || !c.Authorized || c.Refreshable {
			t.Fatalf("%+v, %v", c, err)
		}
		return c
	}
	c := connect()
	f.now = f.now.Add(10 * 365 * 24 * time.Hour)
	if got := token(t, f.Service, c.ID); got != "for ever" || v.calls != 0 {
		t.Errorf("%s after %d refreshes", got, v.calls)
	}
	if _, err := f.Refresh(t.Context(), "o1", "acme", c.ID); problem.Code(err) != connection.CodeNotOAuth {
		t.Errorf("refresh on demand: %v", err)
	}
	again, err := f.Refused(t.Context(), "o1", c, connection.Problem{Code: connector.CodeCredentialsRefused, Message: "refused"})
	if err != nil || again || v.calls != 0 {
		t.Errorf("refused: %t, %v after %d refreshes", again, err, v.calls)
	}
	if now, err := f.Get(t.Context(), "o1", c.ID); err != nil || now.Status != connection.NeedsAttention || f.View(now).Problem.Action != "authorize" {
		t.Errorf("%+v, %v", now, err)
	}
	if err := f.Disconnect(t.Context(), "o1", "acme", connect().ID); err != nil || revoked != 1 {
		t.Errorf("disconnect: %v after %d revocations", err, revoked)
	}
}

func TestWhoLeavesCutsNoRefreshOff(t *testing.T) {
	v := newRotating(t)
	f := open(t, v)
	c := f.authorize(t)
	ctx, leave := context.WithCancel(t.Context())
	v.during = leave
	if _, err := f.Refresh(ctx, "o1", "acme", c.ID); err != nil {
		t.Errorf("%v", err)
	}
	if got := token(t, f.Service, c.ID); got != "access-1" {
		t.Errorf("%s, want access-1", got)
	}
}

// TestAProcessKilledBeforeItStoredWhatTheVendorRotated says what happens then: others wait until its right has ended, and try the
// old token. What comes of that is the vendor's to say.
func TestAProcessKilledBeforeItStoredWhatTheVendorRotated(t *testing.T) {
	for _, lenient := range []bool{true, false} {
		t.Run(fmt.Sprintf("lenient %t", lenient), func(t *testing.T) {
			v := newRotating(t)
			v.lenient = lenient
			f := open(t, v)
			c := f.authorize(t)
			mine := f.db
			theirs, err := store.OpenSQLite(t.Context(), filepath.Join(f.dir, "integrations.db"))
			if err != nil {
				t.Fatal(err)
			}
			f.db = theirs
			dying := f.serve(t, v)
			f.db = mine
			killed := make(chan struct{})
			v.during = func() {
				if err := theirs.Close(); err != nil {
					t.Error(err)
				}
				close(killed)
			}
			go func() { _, _ = dying.Refresh(context.WithoutCancel(t.Context()), "o1", "acme", c.ID) }() // which tries in vain
			<-killed
			v.mu.Lock()
			v.during = nil
			v.mu.Unlock()

			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, err := f.Refresh(ctx, "o1", "acme", c.ID); !errors.Is(err, context.DeadlineExceeded) || v.calls != 1 {
				t.Errorf("while it may live: %v after %d calls", err, v.calls)
			}
			f.now = f.now.Add(time.Minute)
			now, err := f.Refresh(t.Context(), "o1", "acme", c.ID)
			if lenient {
				if got := token(t, f.Service, c.ID); err != nil || got != "access-2" {
					t.Errorf("%s, %v; want access-2", got, err)
				}
				return
			}
			if problem.Code(err) != connector.CodeGrantRevoked || now.Status == connection.Active {
				t.Errorf("%v: %+v", err, now)
			}
			if now, err = f.Get(t.Context(), "o1", c.ID); err != nil || now.Status != connection.NeedsAttention || f.View(now).Problem.Action != "authorize" {
				t.Errorf("%+v, %v", now, err)
			}
		})
	}
}

func TestWhatTheVendorRotatedIsStoredWhenTheStoreIsBack(t *testing.T) {
	v := newRotating(t)
	f := open(t, v)
	c := f.authorize(t)
	raw, err := sql.Open("sqlite", filepath.Join(f.dir, "integrations.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	do := func(statement string) {
		if _, err := raw.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Error(err)
		}
	}
	back := make(chan struct{})
	v.during = func() {
		do(`CREATE TRIGGER down BEFORE UPDATE ON doc_connections BEGIN SELECT RAISE(ABORT, 'the store is down'); END`)
		time.AfterFunc(200*time.Millisecond, func() {
			do(`DROP TRIGGER down`)
			close(back)
		})
	}
	if _, err := f.Refresh(t.Context(), "o1", "acme", c.ID); err != nil {
		t.Error(err)
	}
	<-back
	if got := token(t, f.Service, c.ID); got != "access-1" || v.calls != 1 {
		t.Errorf("%s after %d calls, want access-1 after one", got, v.calls)
	}
}

func TestAVendorInTroubleLeavesATokenThatIsGoodStill(t *testing.T) {
	v := newRotating(t)
	f := open(t, v)
	c := f.authorize(t)
	v.url = "http://127.0.0.1:1" // nobody
	f.now = f.now.Add(59 * time.Minute)
	if got := token(t, f.Service, c.ID); got != "access-0" {
		t.Errorf("%s, want access-0", got)
	}
	f.now = f.now.Add(2 * time.Minute)
	if _, _, err := f.Open(t.Context(), "o1", c.ID, connection.Use{Purpose: connection.ForTest}); problem.Code(err) != connector.CodeUnavailable {
		t.Errorf("once it has ended: %v", err)
	}
	if now, err := f.Get(t.Context(), "o1", c.ID); err != nil || now.Status != connection.Active {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestAnErrorOfOursKeepsNobodyWaiting(t *testing.T) {
	v := newRotating(t)
	f := open(t, v)
	c := f.authorize(t)
	f.keys["credentials-key"] = key(2)
	if _, err := f.serve(t, v).Refresh(t.Context(), "o1", "acme", c.ID); !errors.Is(err, vault.ErrOtherKey) || problem.Code(err) != "" {
		t.Errorf("with another key: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := f.Refresh(ctx, "o1", "acme", c.ID); err != nil {
		t.Errorf("with the key put back: %v", err)
	}
}

func TestADisconnectSaysWhatIsLeftAtTheVendor(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*testing.T, *fixture, *rotating, string)
		left   bool
		asked  int
	}{
		"an authorization": {func(*testing.T, *fixture, *rotating, string) {}, false, 1},
		"one that has ended": {func(t *testing.T, f *fixture, v *rotating, id string) {
			v.used["refresh-0"] = 1
			if _, err := f.Refresh(t.Context(), "o1", "acme", id); problem.Code(err) != connector.CodeGrantRevoked {
				t.Fatal(err)
			}
		}, false, 0},
		"one whose credentials cannot be read": {func(t *testing.T, f *fixture, _ *rotating, id string) {
			f.tamper(t, id)
			if _, _, err := f.Open(t.Context(), "o1", id, connection.Use{Purpose: connection.ForTest}); problem.Code(err) != connection.CodeUnreadable {
				t.Fatal(err)
			}
		}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v, asked := newRotating(t), 0
			v.revoke = func() error { asked++; return nil }
			f := open(t, v)
			id := f.authorize(t).ID
			c.before(t, f, v, id)
			if err := f.Disconnect(t.Context(), "o1", "acme", id); err != nil {
				t.Fatal(err)
			}
			now, err := f.Get(t.Context(), "o1", id)
			left := now.Problem != nil && now.Problem.Code == connection.CodeNotRevoked
			if err != nil || now.Status != connection.Disconnected || left != c.left || asked != c.asked {
				t.Errorf("%+v, %v; the vendor was asked %d times", now, err, asked)
			}
		})
	}
}

func TestADisconnectRevokesWhatIsConnectedMeanwhile(t *testing.T) {
	v := newRotating(t)
	f := open(t, v)
	id, asked := f.authorize(t).ID, 0
	v.revoke = func() error {
		if asked++; asked == 1 {
			f.now = f.now.Add(time.Second)
			f.authorize(t)
		}
		return nil
	}
	if err := f.Disconnect(t.Context(), "o1", "acme", id); err != nil {
		t.Fatal(err)
	}
	if now, err := f.Get(t.Context(), "o1", id); err != nil || now.Status != connection.Disconnected || now.Credentials != nil || asked != 2 {
		t.Errorf("%+v, %v; the vendor was asked %d times", now, err, asked)
	}
}

func TestTheLastOfAnAccountsConnectionsEndsTheAuthorization(t *testing.T) {
	v, asked := newRotating(t), 0
	v.revoke = func() error { asked++; return nil }
	f := open(t, v)
	ours := f.authorize(t)
	theirs, _, err := f.Connect(t.Context(), "o2", "acme", "shop-1", f.tokens())
	if err != nil {
		t.Fatal(err)
	}
	f.connect(t, "o3", "shop-1", "by a key, which does not end with the authorization")
	if _, _, err := f.Connect(t.Context(), "o3", "acme", "shop-2", f.tokens()); err != nil {
		t.Fatal(err)
	}
	if err := f.Disconnect(t.Context(), "o1", "acme", ours.ID); err != nil || asked != 0 {
		t.Errorf("%v; the vendor was asked %d times while another organization is connected", err, asked)
	}
	if now, err := f.Get(t.Context(), "o1", ours.ID); err != nil || now.Status != connection.Disconnected || now.Credentials != nil || now.Problem != nil {
		t.Errorf("%+v, %v", now, err)
	}
	if err := f.Disconnect(t.Context(), "o2", "acme", theirs.ID); err != nil || asked != 1 {
		t.Errorf("%v; the vendor was asked %d times at the last", err, asked)
	}
}

// sibling is another vendor of the same app and accounts, such as YouTube beside Google Ads.
type sibling struct {
	*rotating
	name, other string
}

func (v sibling) Vendor() string { return v.name }

func (v sibling) OAuth() connector.OAuth {
	o := v.rotating.OAuth()
	o.With = []string{v.other}
	return o
}

func TestAnAuthorizationThatIsAnotherVendorsTooEndsWithTheLastOfBoth(t *testing.T) {
	v, asked := newRotating(t), 0
	v.revoke = func() error { asked++; return nil }
	f := open(t, sibling{v, "acme", "acme-video"}, sibling{v, "acme-video", "acme"})
	ads := f.authorize(t)
	video, _, err := f.Connect(t.Context(), "o1", "acme-video", "shop-1", f.tokens())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Connect(t.Context(), "o1", "acme-video", "shop-2", f.tokens()); err != nil {
		t.Fatal(err)
	}
	if err := f.Disconnect(t.Context(), "o1", "acme", ads.ID); err != nil || asked != 0 {
		t.Errorf("%v; the vendor was asked %d times while the other vendor is connected", err, asked)
	}
	if err := f.Disconnect(t.Context(), "o1", "acme-video", video.ID); err != nil || asked != 1 {
		t.Errorf("%v; the vendor was asked %d times at the last", err, asked)
	}
}

func TestAnAuthorizationThatCannotBeKeptIsRevoked(t *testing.T) {
	v, asked := newRotating(t), 0
	v.revoke = func() error { asked++; return errors.New("the vendor is away") }
	f := open(t, v)
	f.authorize(t)
	f.limit = 1
	for _, c := range []struct {
		account     string
		credentials connector.Credentials
		asked       int
	}{
		{"shop-2", f.tokens(), 1},
		{"shop-1", f.tokens(), 0}, // another organization's connection needs it
		{"shop-2", credentials("by a key"), 0},
	} {
		asked = 0
		if _, _, err := f.Connect(t.Context(), "o2", "acme", c.account, c.credentials); problem.Code(err) != problem.CodeQuota || asked != c.asked {
			t.Errorf("%s: %v; the vendor was asked %d times, want %d", c.account, err, asked, c.asked)
		}
	}
}

// What somebody waits for is read again where what it meets passes soon. What may have been done is not done again.
func TestOnlyReadsAreTriedAgain(t *testing.T) {
	f := open(t, newRotating(t))
	f.authorize(t)
	trouble := &connector.Error{Class: connector.Transient, Code: connector.CodeUnavailable, Message: "the vendor has trouble"}
	busy := &connector.Error{Class: connector.Throttled, Code: connector.CodeThrottled, Message: "the vendor asks to wait", Wait: time.Minute}
	for _, c := range []struct {
		name    string
		purpose connection.Purpose
		answers []error // the last one again
		asked   int
		code    string
	}{
		{"trouble that passes", connection.ForRead, []error{trouble, nil}, 2, ""},
		{"trouble that stays", connection.ForRead, []error{trouble}, 3, connector.CodeUnavailable},
		{"a vendor that asks to wait long", connection.ForRead, []error{busy}, 1, connector.CodeThrottled},
		{"a mistake in the request", connection.ForRead, []error{problem.Invalid("query.account", "is none")}, 1, problem.CodeValidation},
		{"an error of ours", connection.ForRead, []error{errors.New("no secret")}, 1, connector.CodeUnavailable},
		{"something to be done", connection.ForWrite, []error{trouble, nil}, 1, connector.CodeUnavailable},
	} {
		asked := 0
		_, err := f.Ask(t.Context(), "o1", "acme", "", c.purpose, func(connector.Account) error {
			asked++
			return c.answers[min(asked, len(c.answers))-1]
		})
		if asked != c.asked || problem.Code(err) != c.code {
			t.Errorf("%s: asked %d times, %v", c.name, asked, err)
		}
	}
}
