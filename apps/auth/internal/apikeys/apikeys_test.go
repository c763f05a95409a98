package apikeys

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

var (
	_ access.Keys = (*Service)(nil)
	_ Rights      = (*access.Service)(nil)
)

// people are what users of acme may do now.
type people struct {
	may     map[string]identity.Access
	changed []authapi.AccessChangedData
}

func (p *people) Of(_ context.Context, organization, user string) (identity.Access, error) {
	a, ok := p.may[user]
	if !ok || organization != "acme" {
		return a, problem.NotFound("member").Wrap(store.ErrNotFound)
	}
	return a, nil
}

func (p *people) Changed(_ context.Context, e events.Event[authapi.AccessChangedData]) error {
	p.changed = append(p.changed, e.Data)
	return nil
}

// signedInAt knows everybody's session "s"; others have ended.
func signedInAt(_ context.Context, _, session string) (time.Time, error) {
	if session != "s" {
		return time.Time{}, problem.NotFound("session")
	}
	return time.Time{}, nil
}

type office struct {
	*authtest.World
	*Service
	people *people
}

func open(t testing.TB) *office {
	t.Helper()
	w := authtest.New(t)
	s, err := Open(t.Context(), Config{
		DB: w.DB, Emit: w.Emit(), Now: w.Now, NewID: w.NewID, SignedInAt: signedInAt, Needed: needed, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &office{w, s, &people{may: map[string]identity.Access{
		"ada": {Permissions: []string{"*:*"}}, "bob": {Permissions: []string{"*:read", "auth.api-keys:write"}},
	}}}
}

// needed knows no operation of module "analytics.nothing".
func needed(_ context.Context, location string, permissions []string) error {
	for _, p := range permissions {
		if strings.HasPrefix(p, "analytics.nothing:") {
			return problem.Invalid(location, "no operation needs "+p)
		}
	}
	return nil
}

func (o *office) as(user string, scope ...string) identity.Principal {
	a := o.people.may[user]
	return identity.Principal{Subject: user, Organization: "acme", Session: "s", Access: &a, Scope: scope}
}

func always(int64) error { return nil }

// create makes a key of ada's.
func (o *office) create(t testing.TB, in Settings) *authapi.IssuedAPIKey {
	t.Helper()
	if in.Name == "" {
		in.Name = "Export"
	}
	if in.Scopes == nil {
		in.Scopes = []string{"analytics.*:read"}
	}
	k, _, err := o.Create(t.Context(), o.as("ada"), in)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// rotate gives a key of ada's another secret.
func (o *office) rotate(t testing.TB, id string, overlap time.Duration) *authapi.IssuedAPIKey {
	t.Helper()
	k, _, err := o.Rotate(t.Context(), o.as("ada"), id, overlap, always)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// good is what a key stands for.
func (o *office) good(t testing.TB, key string) identity.APIKey {
	t.Helper()
	k, err := o.Verify(t.Context(), o.people, key)
	if err != nil {
		t.Fatal(err)
	}
	return *k
}

func (o *office) refused(t testing.TB, key, code string) {
	t.Helper()
	k, err := o.Verify(t.Context(), o.people, key)
	wantCode(t, err, 401, code)
	if k != nil {
		t.Errorf("the key is %+v", k)
	}
}

func wantCode(t testing.TB, err error, status int, code string) {
	t.Helper()
	if problem.Code(err) != code || code != "" && problem.From(err).Status != status {
		t.Errorf("error is %v; want %d %s", err, status, code)
	}
}

func TestAKeyIsShownOnceAndKeptAsADigest(t *testing.T) {
	o := open(t)
	end := o.Now().Add(90 * 24 * time.Hour)
	issued := o.create(t, Settings{Name: "  Nightly export ", Scopes: []string{"ml.*:read", "analytics.*:read", "ml.*:read"}, Networks: []string{"203.0.113.9/24", "2001:db8::1/32"}, ExpiresAt: &end})
	want := authapi.APIKey{
		ID: issued.ID, Name: "Nightly export", Status: authapi.APIKeyActive, Scopes: []string{"analytics.*:read", "ml.*:read"},
		Networks: []string{"2001:db8::/32", "203.0.113.0/24"}, CreatedBy: "ada", CreatedAt: o.Now(), ExpiresAt: &end,
	}
	if !reflect.DeepEqual(issued.APIKey, want) || !strings.HasPrefix(issued.Key, "tdm_"+issued.ID+"_") {
		t.Errorf("issued %+v; want %+v", issued, want)
	}
	doc, err := o.keys.Get(t.Context(), issued.ID)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(doc.Value)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(issued.Key, "_")[2]
	for _, e := range o.Outbox(t) {
		kept = append(kept, e.Data...)
	}
	if bytes.Contains(kept, []byte(secret[:10])) {
		t.Errorf("the secret is kept: %s", kept)
	}
	k := o.good(t, issued.Key)
	if k.ID != issued.ID || k.Organization != "acme" || !k.ExpiresAt.Equal(end) || !k.AsOf.Equal(o.Now()) {
		t.Errorf("the key is %+v", k)
	}
	list, err := o.List(t.Context(), "acme", "", 10)
	if err != nil || len(list.Items) != 1 || list.Items[0].LastUsedAt == nil {
		t.Errorf("%+v, %v", list, err)
	}
	text, err := json.Marshal(list)
	if err != nil || bytes.Contains(text, []byte(secret)) {
		t.Errorf("the list shows the secret: %s, %v", text, err)
	}
}

func TestWhatIsNoGoodKey(t *testing.T) {
	o := open(t)
	end := o.Now().Add(time.Hour)
	issued := o.create(t, Settings{ExpiresAt: &end})
	other := o.create(t, Settings{})
	wrong, err := newToken(issued.ID, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := newToken("nobody", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := parse(other.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "tdm_", issued.Key + "0", wrong.String(), nobody.String(), token{issued.ID, theirs.secret}.String()} {
		o.refused(t, text, problem.CodeTokenInvalid)
	}
	o.good(t, issued.Key)
	o.Pass(time.Hour)
	o.refused(t, issued.Key, problem.CodeTokenExpired)
	o.refused(t, wrong.String(), problem.CodeTokenInvalid) // whoever guesses is not told that it has expired
	if _, err := o.AccessOf(t.Context(), "acme", issued.ID, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("access of an expired key: %v", err)
	}
	if v, _, err := o.Show(t.Context(), "acme", issued.ID); err != nil || v.Status != authapi.APIKeyExpired {
		t.Errorf("%+v, %v", v, err)
	}
	for range 2 {
		if err := o.Revoke(t.Context(), o.as("bob"), other.ID); err != nil {
			t.Fatal(err)
		}
	}
	o.refused(t, other.Key, problem.CodeTokenInvalid)
	if v, _, err := o.Show(t.Context(), "acme", other.ID); err != nil || v.Status != authapi.APIKeyRevoked || v.RevokedAt == nil {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestAKeyNeverMayMoreThanItsCreator(t *testing.T) {
	o := open(t)
	issued := o.create(t, Settings{Scopes: []string{"analytics.*:*"}, Networks: []string{"203.0.113.0/24"}})
	access := func() identity.Access {
		t.Helper()
		a, err := o.AccessOf(t.Context(), "acme", issued.ID, func(user string) (identity.Access, error) { return o.people.Of(t.Context(), "acme", user) })
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	before := access()
	if !before.Can("analytics.dashboard:write") || before.Can("ml.models:read") || !reflect.DeepEqual(before.Networks, [][]string{{"203.0.113.0/24"}}) {
		t.Errorf("the key may %+v", before)
	}
	if hash := o.good(t, issued.Key).AccessHash; hash != before.Hash() {
		t.Errorf("access %s is called %s", before.Hash(), hash)
	}
	o.people.may["ada"] = identity.Access{
		Permissions: []string{"*:read"}, Grants: []identity.Grant{{Permission: "*:write", Resource: "r"}}, Accept: []string{"terms/2"},
		Networks: [][]string{{"203.0.0.0/16"}},
	}
	after := access()
	want := identity.Access{
		Permissions: []string{"analytics.*:read"}, Grants: []identity.Grant{{Permission: "analytics.*:write", Resource: "r"}},
		Networks: [][]string{{"203.0.0.0/16"}, {"203.0.113.0/24"}},
	}
	if !reflect.DeepEqual(after, want) {
		t.Errorf("the key may %+v; want %+v", after, want)
	}
	if hash := o.good(t, issued.Key).AccessHash; hash != want.Hash() {
		t.Error("the name of the access is another one")
	}
	if _, err := o.AccessOf(t.Context(), "bolt", issued.ID, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("in another organization: %v", err)
	}
	delete(o.people.may, "ada")
	o.refused(t, issued.Key, problem.CodeTokenInvalid)
}

func TestNobodyMakesAKeyForWhatTheyLack(t *testing.T) {
	o := open(t)
	strong := o.create(t, Settings{Scopes: []string{"ml.*:write"}})
	create := func(by identity.Principal, scopes ...string) error {
		_, _, err := o.Create(t.Context(), by, Settings{Name: "k", Scopes: scopes})
		return err
	}
	update := func(id string, scopes ...string) error {
		_, _, err := o.Update(t.Context(), o.as("bob"), id, Settings{Name: "k", Scopes: scopes}, always)
		return err
	}
	_, _, rotated := o.Rotate(t.Context(), o.as("bob"), strong.ID, 0, always)
	weak := o.create(t, Settings{})
	for name, test := range map[string]struct {
		err  error
		code string
	}{
		"as much":               {create(o.as("bob"), "analytics.*:read"), ""},
		"more":                  {create(o.as("bob"), "analytics.*:read", "ml.*:write"), authapi.CodeNotHeld},
		"more than the token":   {create(o.as("ada", "ml.*:read"), "analytics.*:read"), authapi.CodeNotHeld},
		"widening":              {update(weak.ID, "ml.*:write"), authapi.CodeNotHeld},
		"taking over by update": {update(strong.ID, "analytics.*:read"), authapi.CodeNotHeld},
		"by rotation":           {rotated, authapi.CodeNotHeld},
		"narrowing":             {update(weak.ID, "analytics.dashboard:read"), ""},
		"revoking":              {o.Revoke(t.Context(), o.as("bob"), strong.ID), ""},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, test.err, 403, test.code) })
	}
	past := o.Now()
	for name, in := range map[string]Settings{
		"name":    {Name: " \t", Scopes: []string{"*:read"}},
		"control": {Name: "a\x00b", Scopes: []string{"*:read"}},
		"scope":   {Name: "k", Scopes: []string{"everything"}},
		"unknown": {Name: "k", Scopes: []string{"analytics.nothing:read"}},
		"network": {Name: "k", Scopes: []string{"*:read"}, Networks: []string{"203.0.113.0"}},
		"mapped":  {Name: "k", Scopes: []string{"*:read"}, Networks: []string{"::ffff:203.0.113.0/120"}},
		"past":    {Name: "k", Scopes: []string{"*:read"}, ExpiresAt: &past},
	} {
		_, _, err := o.Create(t.Context(), o.as("ada"), in)
		if problem.Code(err) != problem.CodeValidation {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := o.Update(t.Context(), o.as("ada"), weak.ID, in, always); problem.Code(err) != problem.CodeValidation {
			t.Errorf("%s, by a change: %v", name, err)
		}
	}
}

// TestAnEndedSessionMakesNoKeys holds that whom a new password has signed out keeps no way in: their access token passes for seconds more.
func TestAnEndedSessionMakesNoKeys(t *testing.T) {
	o := open(t)
	own := o.create(t, Settings{})
	ended := o.as("ada")
	ended.Session = "ended"
	in := Settings{Name: "k", Scopes: []string{"*:read"}}
	_, _, create := o.Create(t.Context(), ended, in)
	_, _, update := o.Update(t.Context(), ended, own.ID, in, always)
	_, _, rotate := o.Rotate(t.Context(), ended, own.ID, 0, always)
	for name, err := range map[string]error{"create": create, "update": update, "rotate": rotate} {
		t.Run(name, func(t *testing.T) { wantCode(t, err, 401, problem.CodeSessionRevoked) })
	}
	o.good(t, own.Key)
	if list, err := o.List(t.Context(), "acme", "", 10); err != nil || len(list.Items) != 1 || list.Items[0].Name != own.Name {
		t.Errorf("%+v, %v; want the key as it was", list, err)
	}
}

func TestRotationOverlaps(t *testing.T) {
	o := open(t)
	end := o.Now().Add(48 * time.Hour)
	first := o.create(t, Settings{ExpiresAt: &end})
	second := o.rotate(t, first.ID, 24*time.Hour)
	if second.ID != first.ID || second.Key == first.Key || second.RotatedAt == nil || !second.PreviousUntil.Equal(o.Now().Add(24*time.Hour)) {
		t.Errorf("rotated: %+v", second)
	}
	if k := o.good(t, first.Key); !k.ExpiresAt.Equal(o.Now().Add(24 * time.Hour)) {
		t.Errorf("the first secret is good until %s", k.ExpiresAt)
	}
	if k := o.good(t, second.Key); !k.ExpiresAt.Equal(end) {
		t.Errorf("the second secret is good until %s", k.ExpiresAt)
	}
	o.Pass(24 * time.Hour)
	o.refused(t, first.Key, problem.CodeTokenExpired)
	o.good(t, second.Key)
	third := o.rotate(t, first.ID, 72*time.Hour) // longer than the key itself
	if k := o.good(t, second.Key); !k.ExpiresAt.Equal(end) {
		t.Errorf("the second secret is good until %s", k.ExpiresAt)
	}
	fourth := o.rotate(t, first.ID, 0) // has leaked
	o.refused(t, first.Key, problem.CodeTokenInvalid)
	o.refused(t, second.Key, problem.CodeTokenInvalid)
	o.refused(t, third.Key, problem.CodeTokenExpired)
	o.good(t, fourth.Key)
	o.Pass(24 * time.Hour)
	o.refused(t, fourth.Key, problem.CodeTokenExpired)
	_, _, err := o.Rotate(t.Context(), o.as("ada"), first.ID, 0, always)
	wantCode(t, err, 404, problem.CodeNotFound)
}

func TestLastUseIsNotedOnceAMinute(t *testing.T) {
	o := open(t)
	issued := o.create(t, Settings{})
	used := func() (time.Time, int64) {
		t.Helper()
		doc, err := o.keys.Get(t.Context(), issued.ID)
		if err != nil || doc.Value.LastUsedAt == nil {
			t.Fatalf("%+v, %v", doc, err)
		}
		return doc.Value.LastUsedAt.Time, doc.Version
	}
	o.good(t, issued.Key)
	first, version := used()
	o.Pass(useNoted - time.Second)
	for range 3 {
		o.good(t, issued.Key)
	}
	if at, again := used(); !at.Equal(first) || again != version {
		t.Errorf("noted again within a minute, at %s, version %d after %d", at, again, version)
	}
	o.Pass(time.Second)
	o.good(t, issued.Key)
	if at, again := used(); !at.Equal(o.Now()) || again != version+1 {
		t.Errorf("noted at %s, version %d; want %s", at, again, o.Now())
	}
	if _, revision, err := o.Show(t.Context(), "acme", issued.ID); err != nil || revision != 1 {
		t.Errorf("revision %d, %v; uses are no changes", revision, err)
	}
}

func TestKeysFollowTheirCreator(t *testing.T) {
	o := open(t)
	first, second := o.create(t, Settings{}), o.create(t, Settings{})
	if err := o.Revoke(t.Context(), o.as("ada"), second.ID); err != nil {
		t.Fatal(err)
	}
	hear := func(organization, subject string) []string {
		t.Helper()
		o.people.changed = nil
		err := o.Follow(o.people)(t.Context(), events.Event[authapi.AccessChangedData]{Data: authapi.AccessChangedData{OrganizationID: organization, Subject: subject}})
		if err != nil {
			t.Fatal(err)
		}
		var subjects []string
		for _, c := range o.people.changed {
			subjects = append(subjects, c.OrganizationID+" "+c.Subject)
		}
		return subjects
	}
	want := []string{"acme key:" + first.ID}
	for subject, want := range map[[2]string][]string{
		{"acme", "ada"}: want, {"", "ada"}: want, {"bolt", "ada"}: nil, {"acme", "bob"}: nil, {"acme", ""}: nil, {"acme", "key:" + first.ID}: nil,
	} {
		if got := hear(subject[0], subject[1]); !slices.Equal(got, want) {
			t.Errorf("after a change of %q: %q; want %q", subject, got, want)
		}
	}
	ada := o.people.may["ada"]
	delete(o.people.may, "ada")
	hear("acme", "ada")
	o.people.may["ada"] = ada // who comes back finds no keys
	o.refused(t, first.Key, problem.CodeTokenInvalid)
}

func TestEveryChangeIsTold(t *testing.T) {
	o := open(t)
	issued := o.create(t, Settings{})
	o.rotate(t, issued.ID, time.Hour)
	if _, _, err := o.Update(t.Context(), o.as("ada"), issued.ID, Settings{Name: "k", Scopes: []string{"*:read"}}, always); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := o.Revoke(t.Context(), o.as("ada"), issued.ID); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, e := range o.Outbox(t) {
		var data struct{ Action, Resource, Subject string }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case audit.Recorded.Name:
			got = append(got, data.Action+" "+data.Resource)
		case authapi.AccessChanged.Name:
			got = append(got, "changed "+data.Subject)
		}
	}
	key := "key:" + issued.ID
	want := []string{
		"auth.api-keys.create " + key, "auth.api-keys.rotate " + key, "changed " + key,
		"auth.api-keys.update " + key, "changed " + key, "auth.api-keys.revoke " + key, "changed " + key,
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q; want %q", got, want)
	}
}

func TestAnotherOrganizationIsNotThere(t *testing.T) {
	o := open(t)
	issued := o.create(t, Settings{})
	eve := identity.Principal{Subject: "eve", Organization: "bolt", Session: "s", Access: &identity.Access{Permissions: []string{"*:*"}}}
	_, _, show := o.Show(t.Context(), "bolt", issued.ID)
	_, _, update := o.Update(t.Context(), eve, issued.ID, Settings{Name: "k", Scopes: []string{"*:*"}}, always)
	_, _, rotate := o.Rotate(t.Context(), eve, issued.ID, 0, always)
	_, _, none := o.Show(t.Context(), "acme", "nothing")
	for name, err := range map[string]error{"show": show, "update": update, "rotate": rotate, "revoke": o.Revoke(t.Context(), eve, issued.ID), "none": none, "revoke none": o.Revoke(t.Context(), eve, "nothing")} {
		if problem.Code(err) != problem.CodeNotFound || problem.From(err).Detail != problem.From(none).Detail {
			t.Errorf("%s: %v; want 404 like one that never was", name, err)
		}
	}
	if list, err := o.List(t.Context(), "bolt", "", 10); err != nil || len(list.Items) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	o.good(t, issued.Key)
	if n, err := o.DB.EraseOrganization(t.Context(), "bolt"); err != nil || n != 0 {
		t.Fatalf("erased %d, %v", n, err)
	}
	o.good(t, issued.Key)
	if n, err := o.DB.EraseOrganization(t.Context(), "acme"); err != nil || n != 1 {
		t.Fatalf("erased %d, %v", n, err)
	}
	o.refused(t, issued.Key, problem.CodeTokenInvalid)
}

func TestEndedKeysAreForgotten(t *testing.T) {
	o := open(t)
	end := o.Now().Add(time.Hour)
	o.create(t, Settings{ExpiresAt: &end})
	revoked, lasting := o.create(t, Settings{}), o.create(t, Settings{})
	if err := o.Revoke(t.Context(), o.as("ada"), revoked.ID); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{endedKept - time.Minute, 3}, {2 * time.Minute, 2}, {time.Hour, 1}} {
		o.Pass(step.wait)
		if err := o.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := o.List(t.Context(), "acme", "", 10)
		if err != nil || len(list.Items) != step.want || list.Items[0].ID != lasting.ID {
			t.Errorf("%d keys, %v; want %d", len(list.Items), err, step.want)
		}
	}
}

// TestManyKeys holds that a key is found by its id in an index, and that nothing else reads all keys either.
func TestManyKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 keys")
	}
	o := open(t)
	issued := o.create(t, Settings{})
	const n = 100_000
	o.addOthers(t, 0, n)
	everything := time.Now()
	if total, err := o.keys.Count(t.Context(), store.Query{}); err != nil || total != n+1 {
		t.Fatalf("%d keys, %v", total, err)
	}
	scan := time.Since(everything)
	const times = 200
	began := time.Now()
	for range times {
		o.good(t, issued.Key)
	}
	each := time.Since(began) / times
	t.Logf("verification among %d keys takes %s; counting them takes %s", n, each, scan)
	if each > scan/2 {
		t.Errorf("verification takes %s, as if it read all keys, which takes %s", each, scan)
	}
	first, err := o.keys.Find(t.Context(), store.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]store.Query{
		"": {Cursor: first.Next, Limit: 1}, byOrganization: of("acme"), byCreator: live("ada"),
		byDeletion: {Index: byDeletion, Range: store.Range{Field: "delete_after", To: store.At(o.Now())}},
	} {
		plan, err := o.keys.Explain(t.Context(), q, nil, nil)
		if err != nil || plan.Index != name || plan.Sorts || strings.Contains(plan.Detail, "SCAN") {
			t.Errorf("%q is answered by %+v, %v", name, plan, err)
		}
	}
}

// addOthers adds the keys from to less than to of others, in whole thousands: 1,000 of an organization, 200 of a creator. They
// come in the order of the indexes, so that SQLite touches fewer pages.
func (o *office) addOthers(t testing.TB, from, to int) {
	t.Helper()
	const page = 1000
	for i := from; i < to; i += page {
		puts := make([]store.Put[key], page)
		for j := range puts {
			puts[j] = store.Put[key]{ID: fmt.Sprintf("other%d", i+j), Value: key{
				Organization: fmt.Sprintf("org-%04d", (i+j)/1000), Creator: fmt.Sprintf("user-%05d", (i+j)/200), Name: "k", Scopes: []string{"*:read"},
				Digest: make([]byte, 32), CreatedAt: store.At(o.Now()), Revision: 1,
			}}
		}
		if _, err := o.keys.PutMany(t.Context(), puts); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkKeys checks one key among few others and among many.
func BenchmarkKeys(b *testing.B) {
	o := open(b)
	issued := o.create(b, Settings{})
	for among, from := 1000, 0; among <= 1_000_000; among, from = 1000*among, among {
		o.addOthers(b, from, among)
		b.Run(fmt.Sprintf("Among%d", among), func(b *testing.B) {
			for b.Loop() {
				o.good(b, issued.Key)
			}
		})
	}
}
