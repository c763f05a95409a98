package sessions

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

func open(t testing.TB) (*authtest.World, *Service) {
	t.Helper()
	w := authtest.New(t)
	s, err := Open(t.Context(), Config{DB: w.DB, Emit: w.Emit(), Now: w.Now, NewID: w.NewID, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return w, s
}

func begin(t testing.TB, s *Service, user string, scope ...string) Grant {
	t.Helper()
	grant, err := s.Begin(t.Context(), SignIn{User: user, Organization: "acme", Scope: scope, RememberMe: true})
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

func rotate(t testing.TB, s *Service, token string) Grant {
	t.Helper()
	grant, err := s.Rotate(t.Context(), token, nil)
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

func refused(t testing.TB, s *Service, token, code string) {
	t.Helper()
	grant, err := s.Rotate(t.Context(), token, nil)
	if problem.Code(err) != code || (err != nil && problem.From(err).Status != 401) {
		t.Errorf("refresh = %+v, %v; want 401 %s", grant, err, code)
	}
}

func revocations(t testing.TB, w *authtest.World) []authapi.SessionRevokedData {
	t.Helper()
	var all []authapi.SessionRevokedData
	for _, e := range w.Outbox(t) {
		if e.Type != authapi.SessionRevoked.Name {
			continue
		}
		var data authapi.SessionRevokedData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		if e.Organization != data.OrganizationID {
			t.Errorf("event of %q about %q", e.Organization, data.OrganizationID)
		}
		all = append(all, data)
	}
	return all
}

func TestRefreshTokensFollowEachOther(t *testing.T) {
	w, s := open(t)
	grant := begin(t, s, "ada", "analytics.*:read")
	seen := map[string]bool{}
	for range 5 {
		if seen[grant.RefreshToken] {
			t.Fatal("a refresh token came twice")
		}
		seen[grant.RefreshToken] = true
		w.Pass(20 * 24 * time.Hour)
		next := rotate(t, s, grant.RefreshToken)
		if next.Session != grant.Session || next.User != "ada" || next.Organization != "acme" || next.Scope.String() != "analytics.*:read" {
			t.Fatalf("refresh = %+v; want the session of %+v", next, grant)
		}
		grant = next
	}
	if n := len(revocations(t, w)); n != 0 {
		t.Errorf("%d revocations", n)
	}
}

func TestLostAnswerIsGivenAgain(t *testing.T) {
	w, s := open(t)
	first := begin(t, s, "ada")
	second := rotate(t, s, first.RefreshToken)
	for range 3 {
		if again := rotate(t, s, first.RefreshToken); again.RefreshToken != second.RefreshToken {
			t.Fatal("the repeated refresh has another successor")
		}
	}
	w.Pass(grace)
	if again := rotate(t, s, first.RefreshToken); again.RefreshToken != second.RefreshToken {
		t.Error("the repeated refresh has another successor at the end of the grace")
	}
	rotate(t, s, second.RefreshToken)
}

func TestReuseEndsTheSession(t *testing.T) {
	for name, wait := range map[string]func(*authtest.World, *Service, Grant){
		"after the grace": func(w *authtest.World, _ *Service, _ Grant) { w.Pass(grace + time.Microsecond) },
		"successor used":  func(_ *authtest.World, s *Service, second Grant) { rotate(t, s, second.RefreshToken) },
		"long ago": func(w *authtest.World, s *Service, second Grant) {
			for range 4 {
				w.Pass(time.Hour)
				second = rotate(t, s, second.RefreshToken)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := open(t)
			first := begin(t, s, "ada")
			bystander := begin(t, s, "ada")
			second := rotate(t, s, first.RefreshToken)
			wait(w, s, second)
			refused(t, s, first.RefreshToken, authapi.CodeRefreshTokenReused)
			refused(t, s, first.RefreshToken, authapi.CodeRefreshTokenReused)
			refused(t, s, second.RefreshToken, authapi.CodeRefreshTokenReused)
			rotate(t, s, bystander.RefreshToken)
			want := []authapi.SessionRevokedData{{
				SessionID: first.Session, UserID: "ada", OrganizationID: "acme", Reason: authapi.ByReuse, At: w.Now(),
			}}
			if got := revocations(t, w); !slices.Equal(got, want) {
				t.Errorf("events %+v; want %+v", got, want)
			}
		})
	}
}

func TestRefusedRefreshTokens(t *testing.T) {
	w, s := open(t)
	grant := begin(t, s, "ada")
	madeUp, err := newToken(grant.Session, []byte("guessed"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := "no-such-session" + strings.TrimPrefix(grant.RefreshToken, grant.Session)
	for _, token := range []string{"", "x", "a.b", madeUp.String(), elsewhere} {
		refused(t, s, token, authapi.CodeRefreshTokenInvalid)
	}
	grant = rotate(t, s, grant.RefreshToken) // who only knows the session's id has not ended it

	w.Pass(rememberedLife - time.Microsecond)
	grant = rotate(t, s, grant.RefreshToken)
	w.Pass(rememberedLife)
	refused(t, s, grant.RefreshToken, authapi.CodeRefreshTokenExpired)

	grant = begin(t, s, "ada")
	if err := s.Revoke(t.Context(), "ada", grant.Session, authapi.ByLogout); err != nil {
		t.Fatal(err)
	}
	refused(t, s, grant.RefreshToken, authapi.CodeRefreshTokenInvalid)
}

func TestRefreshNarrowsTheAccessTokenOnly(t *testing.T) {
	_, s := open(t)
	grant := begin(t, s, "ada", "analytics.*:read")
	if _, err := s.Rotate(t.Context(), grant.RefreshToken, Scope{"*:read"}); problem.Code(err) != authapi.CodeInvalidScope {
		t.Fatalf("more than the session has: %v; want invalid_scope", err)
	}
	// The refused refresh did not use the token up.
	next, err := s.Rotate(t.Context(), grant.RefreshToken, Scope{"analytics.dashboard:read"})
	if err != nil || next.Scope.String() != "analytics.dashboard:read" {
		t.Fatalf("refresh = %+v, %v; want the narrower scope", next, err)
	}
	if next = rotate(t, s, next.RefreshToken); next.Scope.String() != "analytics.*:read" {
		t.Errorf("the session was narrowed to %q", next.Scope)
	}
}

// Fifty clients, or one that is impatient, refresh with the same token at once.
func TestConcurrentRefreshesHaveOneWinner(t *testing.T) {
	w, s := open(t)
	first := begin(t, s, "ada")
	const clients = 50
	grants, errs := make([]Grant, clients), make([]error, clients)
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range clients {
		all.Go(func() {
			<-start
			grants[i], errs[i] = s.Rotate(context.WithoutCancel(t.Context()), first.RefreshToken, nil)
		})
	}
	close(start)
	all.Wait()

	for i, err := range errs {
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if grants[i].RefreshToken != grants[0].RefreshToken {
			t.Fatalf("clients %d and 0 have different successors", i)
		}
	}
	doc, err := s.sessions.Get(t.Context(), first.Session)
	if err != nil || doc.Version != 2 {
		t.Errorf("the session was written %d times, %v; want one rotation", doc.Version-1, err)
	}
	rotate(t, s, grants[0].RefreshToken)
	w.Pass(grace + time.Second)
	refused(t, s, first.RefreshToken, authapi.CodeRefreshTokenReused)
	if got := revocations(t, w); len(got) != 1 {
		t.Errorf("%d revocations; want 1", len(got))
	}
}

// A thief and the owner present a used token at once: the session ends once, with one event.
func TestConcurrentReuseEndsTheSessionOnce(t *testing.T) {
	w, s := open(t)
	first := begin(t, s, "ada")
	second := rotate(t, s, first.RefreshToken)
	rotate(t, s, second.RefreshToken)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { refused(t, s, first.RefreshToken, authapi.CodeRefreshTokenReused) })
	}
	all.Wait()
	if got := revocations(t, w); len(got) != 1 {
		t.Errorf("%d revocations; want 1", len(got))
	}
}

func TestNoUsableTokenIsStored(t *testing.T) {
	_, s := open(t)
	first := begin(t, s, "ada")
	second := rotate(t, s, first.RefreshToken)
	doc, err := s.sessions.Get(t.Context(), first.Session)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(doc.Value)
	if err != nil {
		t.Fatal(err)
	}
	for _, grant := range []Grant{first, second} {
		_, secret, _ := strings.Cut(grant.RefreshToken, ".")
		token, err := parseToken(grant.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		asBytes, _ := json.Marshal(token.secret[:])
		if strings.Contains(string(text), secret) || strings.Contains(string(text), strings.Trim(string(asBytes), `"`)) {
			t.Errorf("the stored session has a refresh token in it: %s", text)
		}
	}
}

func TestListIsTheUsersOwn(t *testing.T) {
	w, s := open(t)
	_, err := s.Begin(audit.WithOrigin(t.Context(), audit.Origin{Address: "203.0.113.7", UserAgent: "curl/8.5"}), SignIn{
		User: "ada", Organization: "acme", Scope: Scope{"*:read"}, RememberMe: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	began := w.Now()
	expired := begin(t, s, "ada")
	w.Pass(29 * 24 * time.Hour)
	ended := begin(t, s, "ada")
	if err := s.Revoke(t.Context(), "ada", ended.Session, authapi.ByUser); err != nil {
		t.Fatal(err)
	}
	begin(t, s, "eve")
	current := begin(t, s, "ada")
	page, err := s.List(t.Context(), "ada", current.Session, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []authapi.Session{
		{ID: current.Session, Current: true, CreatedAt: w.Now(), LastSeenAt: w.Now(), ExpiresAt: w.Now().Add(rememberedLife)},
		{ID: expired.Session, CreatedAt: began, LastSeenAt: began, ExpiresAt: began.Add(rememberedLife)},
		{ID: "id-1", Address: "203.0.113.7", UserAgent: "curl/8.5", Scope: "*:read", CreatedAt: began, LastSeenAt: began, ExpiresAt: began.Add(rememberedLife)},
	}
	for i := range page.Items {
		if page.Items[i].DeviceID == "" {
			t.Errorf("%+v has no device", page.Items[i])
		}
		page.Items[i].DeviceID = ""
	}
	if fmt.Sprint(page.Items) != fmt.Sprint(want) || page.NextCursor != "" {
		t.Errorf("list = %+v, next %q; want %+v", page.Items, page.NextCursor, want)
	}

	w.Pass(24 * time.Hour)
	refreshed := rotate(t, s, current.RefreshToken)
	if page, err = s.List(t.Context(), "ada", "", "", 10); err != nil || len(page.Items) != 1 || page.Items[0].ID != refreshed.Session ||
		page.Items[0].Current || !page.Items[0].LastSeenAt.Equal(w.Now()) || page.Items[0].CreatedAt.Equal(w.Now()) {
		t.Errorf("list = %+v, %v; want the refreshed session only, seen now", page, err)
	}
}

func TestListPages(t *testing.T) {
	w, s := open(t)
	var want []string
	for range 7 {
		w.Pass(time.Minute)
		want = append(want, begin(t, s, "ada").Session)
	}
	slices.Reverse(want)
	var got []string
	for cursor := ""; ; {
		page, err := s.List(t.Context(), "ada", "", cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			got = append(got, item.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
		begin(t, s, "ada") // a new one comes first and moves nothing
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages have %v; want %v", got, want)
	}
}

func TestRevoke(t *testing.T) {
	w, s := open(t)
	grant := begin(t, s, "ada")
	for _, c := range []struct{ user, id string }{{"eve", grant.Session}, {"ada", "no-such"}, {"ada", "../x"}, {"ada", ""}} {
		if err := s.Revoke(t.Context(), c.user, c.id, authapi.ByUser); problem.Code(err) != problem.CodeNotFound {
			t.Errorf("%s ends %q: %v; want not_found", c.user, c.id, err)
		}
	}
	for range 2 { // once more changes nothing
		if err := s.Revoke(t.Context(), "ada", grant.Session, authapi.ByUser); err != nil {
			t.Fatal(err)
		}
	}
	want := []authapi.SessionRevokedData{{SessionID: grant.Session, UserID: "ada", OrganizationID: "acme", Reason: authapi.ByUser, At: w.Now()}}
	if got := revocations(t, w); !slices.Equal(got, want) {
		t.Errorf("events %+v; want %+v", got, want)
	}
}

func TestRevokeAll(t *testing.T) {
	_, s := open(t)
	var grants []Grant
	for range 4 {
		grants = append(grants, begin(t, s, "ada"))
	}
	eve := begin(t, s, "eve")
	if err := s.RevokeAll(t.Context(), "ada", grants[2].Session, authapi.ByUser); err != nil {
		t.Fatal(err)
	}
	for i, grant := range grants {
		if i != 2 {
			refused(t, s, grant.RefreshToken, authapi.CodeRefreshTokenInvalid)
		}
	}
	kept := rotate(t, s, grants[2].RefreshToken)
	if err := s.RevokeAll(t.Context(), "ada", "", authapi.ByUser); err != nil {
		t.Fatal(err)
	}
	refused(t, s, kept.RefreshToken, authapi.CodeRefreshTokenInvalid)
	rotate(t, s, eve.RefreshToken)
}

func TestRevocationsEndWithTheTokens(t *testing.T) {
	w, s := open(t)
	end := func() string {
		grant := begin(t, s, "ada")
		if err := s.Revoke(t.Context(), "ada", grant.Session, authapi.ByUser); err != nil {
			t.Fatal(err)
		}
		return grant.Session
	}
	ask := func(since time.Time) (ids []string) {
		ended, err := s.Revocations(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range ended {
			ids = append(ids, r.ID)
		}
		return ids
	}
	if ids := ask(time.Time{}); ids != nil {
		t.Errorf("before any: %v", ids)
	}
	begin(t, s, "ada")
	first := end()
	w.Pass(time.Minute)
	since := w.Now()
	second := end()
	if ids := ask(time.Time{}); !slices.Equal(ids, []string{first, second}) {
		t.Errorf("revocations = %v; want both", ids)
	}
	if ids := ask(since); !slices.Equal(ids, []string{second}) {
		t.Errorf("since %v: %v; want the one at that very moment", since, ids)
	}
	if ids := ask(since.Add(time.Second)); ids != nil {
		t.Errorf("after the last: %v; want none", ids)
	}
	w.Pass(authapi.AccessTokenLife + authapi.ChangesOverlap - time.Minute + 7*time.Second)
	if ids := ask(time.Time{}); !slices.Equal(ids, []string{second}) {
		t.Errorf("when the first one's tokens are dead: %v; want %v", ids, second)
	}
	w.Pass(time.Hour)
	if ids := ask(time.Time{}); ids != nil {
		t.Errorf("an hour later: %v; want none", ids)
	}
}

func TestForgetKeepsWhatCanBeAsked(t *testing.T) {
	w, s := open(t)
	expired := begin(t, s, "ada")
	used := begin(t, s, "ada")
	w.Pass(20 * 24 * time.Hour)
	used = rotate(t, s, used.RefreshToken)
	revoked := begin(t, s, "ada")
	if err := s.Revoke(t.Context(), "ada", revoked.Session, authapi.ByUser); err != nil {
		t.Fatal(err)
	}
	count := func() int64 {
		n, err := s.sessions.Count(t.Context(), store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, step := range []struct {
		pass time.Duration
		left int64
	}{{0, 3}, {endedKept - time.Second, 3}, {2 * time.Second, 2}, {10 * 24 * time.Hour, 1}} {
		w.Pass(step.pass)
		if err := s.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != step.left {
			t.Errorf("%v later: %d sessions; want %d", step.pass, n, step.left)
		}
	}
	refused(t, s, expired.RefreshToken, authapi.CodeRefreshTokenInvalid)
	refused(t, s, used.RefreshToken, authapi.CodeRefreshTokenExpired)
}

func TestErasureEmptiesSessions(t *testing.T) {
	w, s := open(t)
	ctx := audit.WithOrigin(t.Context(), audit.Origin{Address: "203.0.113.7", UserAgent: "laptop"})
	signIn := func(organization string) string {
		t.Helper()
		grant, err := s.Begin(ctx, SignIn{User: "ada", Organization: organization})
		if err != nil {
			t.Fatal(err)
		}
		return grant.Session
	}
	due := signIn("acme")
	if err := s.Revoke(ctx, "ada", due, authapi.ByUser); err != nil {
		t.Fatal(err)
	}
	w.Pass(endedKept - tokenAlive + time.Minute)
	lives, elsewhere := signIn("acme"), signIn("umbrella")
	for _, want := range []int64{2, 0} {
		if n, err := s.Personal().Erase(ctx, privacy.Person{Organization: "acme", User: "ada"}); err != nil || n != want {
			t.Errorf("erased %d, %v; want %d", n, err, want)
		}
		w.Pass(time.Second)
	}
	now := w.Now().Add(-2 * time.Second) // when they were erased
	for id, want := range map[string]struct {
		told string
		kept time.Duration
	}{
		due:       {"", tokenAlive - time.Minute}, // as it was
		lives:     {"", tokenAlive},
		elsewhere: {"203.0.113.7 laptop " + deviceID("laptop"), shortLife + endedKept},
	} {
		doc, err := s.sessions.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		v := doc.Value
		told, kept := strings.TrimSpace(strings.Join([]string{v.Address, v.UserAgent, v.Device}, " ")), v.DeleteAfter.Sub(now)
		if told != want.told || kept != want.kept {
			t.Errorf("a session tells %q for %s more; want %q for %s", told, kept, want.told, want.kept)
		}
	}
}

func TestDevicesAndActivity(t *testing.T) {
	w, s := open(t)
	on := func(device string) Grant {
		t.Helper()
		grant, err := s.Begin(audit.WithOrigin(t.Context(), audit.Origin{UserAgent: device}), SignIn{User: "ada", Organization: "acme", AMR: []string{"pwd"}})
		if err != nil {
			t.Fatal(err)
		}
		w.Pass(time.Minute)
		return grant
	}
	added := func() (n int) {
		for _, e := range w.Outbox(t) {
			if e.Type == authapi.DeviceAdded.Name {
				n++
			}
		}
		return n
	}
	first := on("laptop")
	if n := added(); n != 0 {
		t.Errorf("%d new devices told of at the first sign-in of all", n)
	}
	phone := on("phone")
	on("laptop")
	if n := added(); n != 1 {
		t.Errorf("%d new devices told of; want the telephone", n)
	}
	if err := s.RevokeDevice(t.Context(), "ada", deviceID("laptop")); err != nil {
		t.Fatal(err)
	}
	list, err := s.List(t.Context(), "ada", "", "", 10)
	if err != nil || len(list.Items) != 1 || list.Items[0].ID != phone.Session {
		t.Errorf("left after the laptop: %+v, %v", list, err)
	}
	nowhere := func(user, device string) {
		t.Helper()
		if err := s.RevokeDevice(t.Context(), user, deviceID(device)); problem.Code(err) != problem.CodeNotFound {
			t.Errorf("end %s's sessions on %s: %v; want not_found", user, device, err)
		}
	}
	nowhere("ada", "laptop") // they were ended
	nowhere("ada", "tablet")
	nowhere("bob", "phone")
	w.Pass(shortLife)
	nowhere("ada", "phone") // it has expired
	page, err := s.Activity(t.Context(), "ada", "", 10)
	if err != nil || len(page.Items) != 3 {
		t.Fatalf("activity %+v, %v; want three sign-ins", page, err)
	}
	if last := page.Items[2]; last.SessionID != first.Session || last.Reason != string(authapi.ByUser) || last.EndedAt == nil || last.Methods[0] != "pwd" {
		t.Errorf("the first sign-in: %+v; want it ended by its user", last)
	}
	if middle := page.Items[1]; middle.Reason != "expired" || !middle.EndedAt.Equal(middle.SignedIn.Add(shortLife)) {
		t.Errorf("the telephone: %+v; want it expired", middle)
	}
}

func TestSessionsEndAsThePolicySays(t *testing.T) {
	w, s := open(t)
	grant, err := s.Begin(t.Context(), SignIn{User: "ada", Organization: "acme", Idle: time.Hour, Absolute: 90 * time.Minute, RememberMe: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Pass(59 * time.Minute)
	grant = rotate(t, s, grant.RefreshToken)
	w.Pass(32 * time.Minute) // within the hour of the last use, beyond the 90 minutes
	refused(t, s, grant.RefreshToken, authapi.CodeRefreshTokenExpired)
	idle, err := s.Begin(t.Context(), SignIn{User: "ada", Organization: "acme", Idle: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	w.Pass(61 * time.Minute)
	refused(t, s, idle.RefreshToken, authapi.CodeRefreshTokenExpired)
}

func TestStrengthen(t *testing.T) {
	_, s := open(t)
	grant, err := s.Begin(t.Context(), SignIn{User: "ada", Organization: "acme", AMR: []string{"pwd"}})
	if err != nil || grant.ACR() != "" {
		t.Fatalf("%+v, %v", grant, err)
	}
	if strong, err := s.Strengthen(t.Context(), "ada", grant.Session, "otp", "mfa"); err != nil || strong.ACR() != identity.ACRMultiFactor || !slices.Equal(strong.AMR, []string{"pwd", "otp", "mfa"}) {
		t.Errorf("strengthened: %+v, %v", strong, err)
	}
	if next := rotate(t, s, grant.RefreshToken); next.ACR() != identity.ACRMultiFactor {
		t.Errorf("after a refresh: %+v; want two factors still", next)
	}
	if _, err := s.Strengthen(t.Context(), "eve", grant.Session, "otp"); problem.Code(err) != problem.CodeNotFound {
		t.Errorf("another's session: %v", err)
	}
}

func TestQueriesReadAnIndex(t *testing.T) {
	w, s := open(t)
	for name, q := range map[string]store.Query{
		byUser:       live("ada"),
		byDevice:     {Index: byDevice, Equal: []any{"ada", "d"}},
		byBegin:      {Index: byBegin, Equal: []any{"ada"}, Descending: true},
		byRevocation: revokedSince(w.Now()),
		byDeletion:   {Index: byDeletion, Range: store.Range{Field: "delete_after", To: store.At(w.Now())}},
	} {
		plan, err := s.sessions.Explain(t.Context(), q, nil, nil)
		if err != nil || plan.Index != name || plan.Sorts {
			t.Errorf("%s: %+v, %v; want the index, without sorting", name, plan, err)
		}
	}
}

func TestGroupsHaveNoSessions(t *testing.T) {
	ctx := identity.AsGroup(t.Context(), "analytics", "acme")
	if _, err := Own(ctx); problem.Code(err) != problem.CodeForbidden {
		t.Errorf("a group: %v; want permission_denied", err)
	}
	if _, err := Own(t.Context()); problem.Code(err) != problem.CodeForbidden {
		t.Errorf("nobody: %v; want permission_denied", err)
	}
	want := identity.Principal{Subject: "ada", Organization: "acme", Session: "s"}
	if p, err := Own(identity.With(t.Context(), want)); err != nil || p.Session != "s" {
		t.Errorf("a user: %+v, %v", p, err)
	}
}

// The event decodes as other groups will read it.
func TestRevokedEventIsReadable(t *testing.T) {
	w, s := open(t)
	grant := begin(t, s, "ada")
	if err := s.Revoke(t.Context(), "ada", grant.Session, authapi.ByLogout); err != nil {
		t.Fatal(err)
	}
	var got authapi.SessionRevokedData
	handler := events.On(authapi.SessionRevoked, func(_ context.Context, e events.Event[authapi.SessionRevokedData]) error {
		got = e.Data
		return nil
	})
	for _, e := range w.Outbox(t) {
		if err := handler.Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if got.SessionID != grant.Session || got.Reason != authapi.ByLogout {
		t.Errorf("event = %s", fmt.Sprintf("%+v", got))
	}
}
