package connection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/vault"
)

// rotateKey makes another key the current one, and keeps the former ones.
func (f *fixture) rotateKey(b byte) {
	former := f.keys["credentials-keys-previous"]
	f.keys["credentials-keys-previous"] = strings.TrimSuffix(f.keys["credentials-key"]+","+former, ",")
	f.keys["credentials-key"] = key(b)
}

// counts are a pass's, as "values resealed left unreadable".
func counts(s vault.Sealing) string {
	return fmt.Sprint(s.Values, s.Resealed, s.Left, s.Unreadable)
}

func TestCredentialsOfAFormerKeyAreSealedAgain(t *testing.T) {
	f := open(t, vendor{})
	const connections = 12
	ids := map[string]string{}
	for i := range connections {
		organization := fmt.Sprint("o", i%3)
		c, _ := f.connect(t, organization, fmt.Sprint("shop-", i), fmt.Sprint("token-", i))
		ids[c.ID] = organization + " token-" + fmt.Sprint(i)
	}
	works := func(when string) {
		t.Helper()
		f.now = f.now.Add(time.Minute)
		process := f.serve(t, vendor{})
		for id, want := range ids {
			organization, token, _ := strings.Cut(want, " ")
			if _, account, err := process.Open(t.Context(), organization, id, connection.Use{Purpose: connection.ForSync}); err != nil || account.Credentials.AccessToken.Reveal() != token {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	if got, err := f.Reseal(t.Context()); err != nil || counts(got) != "12 0 0 0" {
		t.Errorf("with nothing to do: %+v, %v", got, err)
	}
	f.rotateKey(2)
	works("under a former key")
	if got, err := f.Sealing(t.Context()); err != nil || counts(got) != "12 0 12 0" {
		t.Errorf("before: %+v, %v", got, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	looks := 0
	f.looked = func() { // at the clock, which a pass does a few times for each connection
		if looks++; looks == 2*connections {
			cancel()
		}
	}
	first, err := f.Reseal(ctx)
	f.looked = nil
	if !errors.Is(err, context.Canceled) || first.Resealed == 0 || first.Resealed == connections {
		t.Fatalf("cut short: %+v, %v", first, err)
	}
	works("half-way")
	if got, err := f.Sealing(t.Context()); err != nil || got.Left != connections-first.Resealed {
		t.Errorf("half-way: %+v, %v", got, err)
	}
	f.rotateKey(3) // before the first is done
	rest, err := f.serve(t, vendor{}).Reseal(t.Context())
	if err != nil || counts(rest) != "12 12 0 0" {
		t.Errorf("the rest: %+v, %v", rest, err)
	}
	delete(f.keys, "credentials-keys-previous")
	works("without the former keys")
	if got, err := f.Reseal(t.Context()); err != nil || counts(got) != "12 0 0 0" {
		t.Errorf("once more: %+v, %v", got, err)
	}
}

func TestWhatCannotBeReadKeepsNoFormerKey(t *testing.T) {
	f := open(t, vendor{})
	for i, organization := range []string{"o1", "o2", "o3"} {
		f.connect(t, organization, fmt.Sprint("shop-", i), "token-one")
	}
	damaged, _ := f.connect(t, "o1", "shop-damaged", "token-one")
	f.tamper(t, damaged.ID)
	gone, _ := f.connect(t, "o1", "shop-gone", "token-one")
	if err := f.Disconnect(t.Context(), "o1", "acme", gone.ID); err != nil {
		t.Fatal(err)
	}
	f.rotateKey(2)
	if got, err := f.serve(t, vendor{}).Reseal(t.Context()); err != nil || counts(got) != "4 3 0 1" {
		t.Errorf("%+v, %v", got, err)
	}
	if now, err := f.Get(t.Context(), "o1", damaged.ID); err != nil || now.Status != connection.Active {
		t.Errorf("to look is no use: %+v, %v", now, err)
	}
	f.keys["credentials-key"] = key(9) // a mistake: what it replaces is no former key
	if got, err := f.serve(t, vendor{}).Reseal(t.Context()); err != nil || counts(got) != "4 0 0 4" {
		t.Errorf("with a wrong key: %+v, %v", got, err)
	}
	if _, _, err := f.serve(t, vendor{}).Open(t.Context(), "o2", f.first(t, "o2"), connection.Use{Purpose: connection.ForSync}); !errors.Is(err, vault.ErrOtherKey) {
		t.Errorf("with a wrong key: %v", err)
	}
	f.keys["credentials-key"] = "no key"
	if got, err := f.Reseal(t.Context()); err == nil || strings.Contains(err.Error(), "no key,") {
		t.Errorf("with no key: %+v, %v", got, err)
	}
}

// first is the id of an organization's first connection.
func (f *fixture) first(t *testing.T, organization string) string {
	t.Helper()
	all, _, err := f.List(t.Context(), organization, "", "", 1)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d connections, %v", len(all), err)
	}
	return all[0].ID
}

// TestARefreshUnderWayIsNotLost has credentials sealed again while the vendor rotates them: what it says is kept.
func TestARefreshUnderWayIsNotLost(t *testing.T) {
	v := newRotating(t)
	f := open(t, v)
	c := f.authorize(t)
	f.rotateKey(2)
	other := f.serve(t, v) // which knows of the key already, while the process that refreshes does not
	v.during = func() {
		if got, err := other.Reseal(t.Context()); err != nil || counts(got) != "1 0 1 0" {
			t.Errorf("during a refresh: %+v, %v", got, err)
		}
	}
	if _, err := f.Refresh(t.Context(), "o1", "acme", c.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Reseal(t.Context()); err != nil || counts(got) != "1 1 0 0" {
		t.Errorf("after it: %+v, %v", got, err)
	}
	if got := token(t, f.Service, c.ID); got != "access-1" || v.calls != 1 {
		t.Errorf("%s after %d refreshes, want access-1", got, v.calls)
	}
}

func TestWhatIsShownOfASecret(t *testing.T) {
	f := open(t, vendor{})
	for secret, want := range map[string]string{
		"": "****", "abcd": "****", "abcdefghijk": "****", "abcdefghijkl": "****ijkl", "shpat_0123456789abcdef": "****cdef",
	} {
		c, _ := f.connect(t, "o1", "shop-1", secret)
		told, err := f.Secret(t.Context(), "o1", c)
		if err != nil || told.Masked != want || !told.Current || told.Key != c.Credentials.Key {
			t.Errorf("%q: %+v, %v; want %s", secret, told, err, want)
		}
	}
	c, _ := f.connect(t, "o1", "shop-1", "shpat_0123456789abcdef")
	f.rotateKey(2)
	if told, err := f.serve(t, vendor{}).Secret(t.Context(), "o1", c); err != nil || told.Masked != "****cdef" || told.Current {
		t.Errorf("under a former key: %+v, %v", told, err)
	}
	f.keys["credentials-keys-previous"] = key(9)
	if told, err := f.serve(t, vendor{}).Secret(t.Context(), "o1", c); err != nil || told.Masked != "" || told.Current {
		t.Errorf("under another key: %+v, %v", told, err)
	}
	if uses, err := f.Uses(t.Context(), "o1", c.ID); err != nil || len(uses) != 0 {
		t.Errorf("to look is no use: %+v, %v", uses, err)
	}
}

// as is ctx in which somebody acts.
func as(ctx context.Context, subject string) context.Context {
	return identity.With(ctx, identity.Principal{Subject: subject, Organization: "o1"})
}

func TestWhoUsedCredentialsWhen(t *testing.T) {
	f := open(t, vendor{})
	c, _ := f.connect(t, "o1", "shop-1", "token-one")
	start := f.now
	sync := func(s *connection.Service, run string) {
		t.Helper()
		ctx := identity.AsGroup(t.Context(), topology.Integrations, "o1")
		if _, _, err := s.Open(ctx, "o1", c.ID, connection.Use{Purpose: connection.ForSync, RunID: run}); err != nil {
			t.Fatal(err)
		}
	}
	// history is the uses as "who what from–to", in seconds.
	history := func() (all []string) {
		t.Helper()
		uses, err := f.Uses(t.Context(), "o1", c.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uses {
			all = append(all, fmt.Sprintf("%s %s %s %.0f–%.0f", u.Subject, u.Purpose, u.RunID, u.Since.Sub(start).Seconds(), u.Until.Sub(start).Seconds()))
		}
		return all
	}
	other := f.serve(t, vendor{})
	for range 100 { // steps of a sync, of two processes
		sync(f.Service, "run-1")
		sync(other, "run-1")
		f.now = f.now.Add(time.Second)
	}
	if got := fmt.Sprint(history()); got != "[group:integrations sync run-1 0–60]" {
		t.Errorf("after a sync of 100 s: %s", got)
	}
	if _, err := f.Test(as(t.Context(), "ada"), "o1", "acme", c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Test(as(t.Context(), "grace"), "o1", "acme", c.ID); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Hour)
	sync(f.Service, "run-2")
	want := []string{"group:integrations sync run-2 3700–3700", "grace test  100–100", "ada test  100–100", "group:integrations sync run-1 0–60"}
	if got := history(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}

	for i := range 100 { // a day of the schedule
		f.now = f.now.Add(15 * time.Minute)
		sync(f.Service, fmt.Sprint("run-", 3+i))
	}
	got := history()
	if len(got) != 20 || !strings.Contains(got[0], "run-102") || !strings.HasPrefix(got[18], "grace") || !strings.HasPrefix(got[19], "ada") {
		t.Errorf("the schedule drives out what people did: %q", got)
	}
	if uses, err := f.Uses(t.Context(), "o2", c.ID); err != nil || len(uses) != 0 {
		t.Errorf("another organization sees %+v, %v", uses, err)
	}
}

// TestASyncWritesAUseOnceAMinute counts writes by the version of the document that they change.
func TestASyncWritesAUseOnceAMinute(t *testing.T) {
	f := open(t, vendor{})
	c, _ := f.connect(t, "o1", "shop-1", "token-one")
	for range 1000 {
		if _, _, err := f.Open(t.Context(), "o1", c.ID, connection.Use{Purpose: connection.ForSync}); err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(100 * time.Millisecond)
	}
	kept, err := store.Tenant[struct {
		Uses []connection.Use `json:"uses"`
	}](t.Context(), f.db, store.Def{Name: "credential-uses"})
	if err != nil {
		t.Fatal(err)
	}
	if doc, err := kept.In("o1").Get(t.Context(), c.ID); err != nil || doc.Version != 2 || len(doc.Value.Uses) != 1 {
		t.Errorf("%d writes in 100 s, %+v, %v; want 2", doc.Version, doc.Value, err)
	}
}
