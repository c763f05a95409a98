package legal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

type fixture struct {
	*authtest.World
	*Service
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	w := authtest.New(t)
	s, err := Open(t.Context(), Config{DB: w.DB, Emit: w.Emit(), Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{w, s}
}

// english is a mandatory version in English and German.
func english(text string) authapi.LegalPublication {
	return authapi.LegalPublication{Mandatory: true, Texts: []authapi.LegalText{
		{Locale: "en", Title: "Terms of service", Text: text},
		{Locale: "de", Title: "Nutzungsbedingungen", Text: "Übersetzt: " + text},
	}}
}

// in is p, to take effect after d.
func (f *fixture) in(d time.Duration, p authapi.LegalPublication) authapi.LegalPublication {
	p.EffectiveAt = f.Now().Add(d)
	return p
}

func (f *fixture) publish(t testing.TB, kind string, version int, p authapi.LegalPublication) *authapi.LegalDocument {
	t.Helper()
	d, err := f.Publish(t.Context(), kind, version, p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// must is what a user must accept before anything else.
func (f *fixture) must(t testing.TB, user string) []string {
	t.Helper()
	var a identity.Access
	if err := f.Contribute(t.Context(), access.Member{Organization: "acme", User: user}, &a); err != nil {
		t.Fatal(err)
	}
	return a.Accept
}

func (f *fixture) wantMust(t testing.TB, user string, want ...string) {
	t.Helper()
	if got := f.must(t, user); !slices.Equal(got, want) {
		t.Errorf("%s must accept %q; want %q", user, got, want)
	}
}

func as(user string) identity.Principal {
	return identity.Principal{Subject: user, Organization: "acme", Session: "s-1"}
}

func (f *fixture) accept(t testing.TB, user, kind string, version int, text string) *authapi.LegalAcceptance {
	t.Helper()
	a, err := f.Accept(identity.With(t.Context(), as(user)), as(user), Consent{Kind: kind, Version: version, SHA256: hash(text)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (f *fixture) wantPending(t testing.TB, user string, want ...string) {
	t.Helper()
	list, err := f.Pending(t.Context(), user, "")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, item := range list.Items {
		got = append(got, fmt.Sprintf("%s/%d required=%t in force=%t", item.Kind, item.Version, item.Required, item.InForce))
	}
	if !slices.Equal(got, want) {
		t.Errorf("pending %q; want %q", got, want)
	}
}

// changes are the changes of access that were told.
func (f *fixture) changes(t testing.TB) []string {
	t.Helper()
	all := []string{}
	for _, e := range f.Outbox(t) {
		if e.Type != authapi.AccessChanged.Name {
			continue
		}
		var data authapi.AccessChangedData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("in %q of %q", data.OrganizationID, data.Subject))
	}
	return all
}

func refuses(t testing.TB, err error, status int, code string) {
	t.Helper()
	if problem.Code(err) != code || problem.From(err).Status != status {
		t.Errorf("got %v; want %d %s", err, status, code)
	}
}

func TestEverybodyMustAcceptANewVersion(t *testing.T) {
	f := newFixture(t)
	f.wantMust(t, "ada")
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	f.wantMust(t, "ada", "terms/1")
	f.wantPending(t, "ada", "terms/1 required=true in force=true")
	f.accept(t, "ada", authapi.LegalTerms, 1, "one")
	f.wantMust(t, "ada")
	f.wantPending(t, "ada")
	f.wantMust(t, "bob", "terms/1")

	f.publish(t, authapi.LegalTerms, 2, english("two"))
	f.publish(t, authapi.LegalPrivacy, 1, english("private"))
	f.wantMust(t, "ada", "privacy/1", "terms/2")
	f.wantMust(t, "bob", "privacy/1", "terms/2")
	f.accept(t, "ada", authapi.LegalTerms, 2, "two")
	f.wantMust(t, "ada", "privacy/1")
	if got, want := f.changes(t), []string{`in "" of ""`, `in "" of "ada"`, `in "" of ""`, `in "" of ""`, `in "" of "ada"`}; !slices.Equal(got, want) {
		t.Errorf("changes of access %q; want %q", got, want)
	}
}

// TestACorrectionAsksNobodyAgain publishes a version that is not mandatory: who accepted the one before has
// done so, and a newcomer accepts the text as it is now.
func TestACorrectionAsksNobodyAgain(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	f.accept(t, "ada", authapi.LegalTerms, 1, "one")
	correction := english("one, corrected")
	correction.Mandatory = false
	f.publish(t, authapi.LegalTerms, 2, correction)
	f.wantMust(t, "ada")
	f.wantPending(t, "ada")
	f.wantMust(t, "bob", "terms/2")
	f.wantPending(t, "bob", "terms/2 required=true in force=true")
	f.accept(t, "bob", authapi.LegalTerms, 2, "one, corrected")
	f.wantMust(t, "bob")
	f.publish(t, authapi.LegalTerms, 3, english("three"))
	f.wantMust(t, "ada", "terms/3")
	f.wantMust(t, "bob", "terms/3")
}

func TestWhatIsNotMandatoryStopsNobody(t *testing.T) {
	f := newFixture(t)
	cookies := english("crumbs")
	cookies.Mandatory = false
	f.publish(t, authapi.LegalCookies, 1, cookies)
	f.publish(t, "data-processing", 1, cookies)
	f.wantMust(t, "ada")
	f.wantPending(t, "ada", "cookies/1 required=false in force=true", "data-processing/1 required=false in force=true")
	f.accept(t, "ada", authapi.LegalCookies, 1, "crumbs")
	f.wantPending(t, "ada", "data-processing/1 required=false in force=true")
}

// TestAVersionTakesEffectAtItsMoment announces a version, and accepts it early.
func TestAVersionTakesEffectAtItsMoment(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	for _, user := range []string{"ada", "bob"} {
		f.accept(t, user, authapi.LegalTerms, 1, "one")
	}
	f.publish(t, authapi.LegalTerms, 2, f.in(30*24*time.Hour, english("two")))
	told := len(f.changes(t))
	effect := func(want time.Duration) {
		t.Helper()
		if next, err := f.TakeEffect(t.Context()); err != nil || next != want {
			t.Errorf("the next is due in %v, %v; want %v", next, err, want)
		}
	}
	f.wantMust(t, "ada")
	f.wantPending(t, "ada", "terms/2 required=false in force=false")
	f.accept(t, "ada", authapi.LegalTerms, 2, "two")
	told++
	effect(30 * 24 * time.Hour)
	f.Pass(30*24*time.Hour - time.Microsecond)
	effect(time.Microsecond)
	f.wantMust(t, "bob")
	if len(f.changes(t)) != told {
		t.Errorf("changes told before their time: %q", f.changes(t))
	}
	f.Pass(time.Microsecond)
	f.wantMust(t, "bob", "terms/2")
	f.wantMust(t, "ada")
	effect(-1)
	effect(-1)
	if got := f.changes(t); len(got) != told+1 || got[told] != `in "" of ""` {
		t.Errorf("changes %q; want one more, everybody's", got)
	}
}

// TestClocksThatDiffer lets one process see a version take effect before the other: what the other one
// answers after everybody has asked again must not let anybody stay without it.
func TestClocksThatDiffer(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, f.in(time.Hour, english("one")))
	behind, err := Open(t.Context(), Config{DB: f.DB, Emit: f.Emit(), Now: func() time.Time { return f.Now().Add(-time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	f.Pass(time.Hour)
	if _, err := f.TakeEffect(t.Context()); err != nil {
		t.Fatal(err)
	}
	slow := &fixture{f.World, behind}
	slow.wantMust(t, "ada", "terms/1")
	slow.accept(t, "ada", authapi.LegalTerms, 1, "one")
	f.wantMust(t, "ada")
}

func TestAcceptingWhatIsAnnouncedIsNotAcceptingWhatIsInForce(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	f.publish(t, authapi.LegalTerms, 2, f.in(time.Hour, english("two")))
	f.accept(t, "ada", authapi.LegalTerms, 2, "two")
	f.wantMust(t, "ada", "terms/1")
	f.wantPending(t, "ada", "terms/1 required=true in force=true")
}

func TestALaterVersionReplacesOneThatComesAfterIt(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, f.in(2*time.Hour, english("one")))
	f.publish(t, authapi.LegalTerms, 2, f.in(time.Hour, english("two")))
	if next, err := f.TakeEffect(t.Context()); err != nil || next != time.Hour {
		t.Errorf("the next is due in %v, %v", next, err)
	}
	f.Pass(3 * time.Hour)
	f.wantMust(t, "ada", "terms/2")
	f.accept(t, "ada", authapi.LegalTerms, 2, "two")
	f.wantMust(t, "ada")
}

func TestWithdraw(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	two := f.in(time.Hour, english("two"))
	f.publish(t, authapi.LegalTerms, 2, two)
	f.accept(t, "ada", authapi.LegalTerms, 1, "one")
	for range 2 {
		if d, err := f.Withdraw(t.Context(), authapi.LegalTerms, 2); err != nil || d.InForce {
			t.Errorf("withdrawn %+v, %v", d, err)
		}
	}
	_, err := f.Withdraw(t.Context(), authapi.LegalTerms, 1)
	refuses(t, err, 409, authapi.CodeInForce)
	for _, kind := range []string{authapi.LegalCookies, "\x00"} {
		_, err = f.Withdraw(t.Context(), kind, 1)
		refuses(t, err, 404, problem.CodeNotFound)
	}
	for range 2 {
		if next, err := f.TakeEffect(t.Context()); err != nil || next >= 0 {
			t.Errorf("next in %v, %v; want none", next, err)
		}
		f.wantMust(t, "ada")
		f.wantPending(t, "ada")
		f.Pass(2 * time.Hour)
	}
	_, err = f.Document(t.Context(), authapi.LegalTerms, 2, "")
	refuses(t, err, 404, problem.CodeNotFound)
	_, err = f.Accept(t.Context(), as("ada"), Consent{Kind: authapi.LegalTerms, Version: 2, SHA256: hash("two")})
	refuses(t, err, 404, problem.CodeNotFound)
	// The number is gone with it, or an acceptance of the one would pass for one of the other.
	_, err = f.Publish(t.Context(), authapi.LegalTerms, 2, two)
	refuses(t, err, 409, authapi.CodeVersionPublished)
	correction := english("three")
	correction.Mandatory = false
	f.publish(t, authapi.LegalTerms, 3, correction)
	f.wantMust(t, "ada") // nobody had to accept what was withdrawn
	f.wantMust(t, "bob", "terms/3")
}

func TestPublishingAgainChangesNothing(t *testing.T) {
	f := newFixture(t)
	first := f.publish(t, authapi.LegalTerms, 1, english("one"))
	scheduled := f.in(time.Hour, english("two"))
	f.publish(t, authapi.LegalTerms, 2, scheduled)
	events := len(f.Outbox(t))
	f.Pass(time.Minute)
	if again := f.publish(t, authapi.LegalTerms, 1, english("one")); fmt.Sprint(*again) != fmt.Sprint(*first) {
		t.Errorf("published %+v, then %+v", first, again)
	}
	f.publish(t, authapi.LegalTerms, 2, scheduled)
	if n := len(f.Outbox(t)); n != events {
		t.Errorf("%d events more", n-events)
	}
	other, optional, renamed := english("another"), english("one"), english("one")
	optional.Mandatory, renamed.Texts[0].Title = false, "Terms"
	for name, p := range map[string]authapi.LegalPublication{
		"another text": other, "optional": optional, "another title": renamed, "another time": f.in(time.Hour, english("one")),
	} {
		if _, err := f.Publish(t.Context(), authapi.LegalTerms, 1, p); problem.Code(err) != authapi.CodeVersionPublished {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := f.Publish(t.Context(), authapi.LegalTerms, 2, english("two")) // at once, not in an hour
	refuses(t, err, 409, authapi.CodeVersionPublished)
	for _, version := range []int{4, 7} {
		_, err = f.Publish(t.Context(), authapi.LegalTerms, version, english("four"))
		refuses(t, err, 409, authapi.CodeNotNextVersion)
	}
}

// TestOneOfManyPublishers publishes different texts as one version at once.
func TestOneOfManyPublishers(t *testing.T) {
	f := newFixture(t)
	var mu sync.Mutex
	var won []string
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			text := fmt.Sprintf("text %d", i)
			d, err := f.Publish(context.Background(), authapi.LegalTerms, 1, english(text))
			if problem.Code(err) == authapi.CodeVersionPublished {
				return
			}
			if err != nil || d.SHA256 != hash(text) {
				t.Errorf("published %+v, %v", d, err)
			}
			mu.Lock()
			defer mu.Unlock()
			won = append(won, text)
		})
	}
	all.Wait()
	d, err := f.Document(t.Context(), authapi.LegalTerms, 1, "en")
	if err != nil || len(won) != 1 || d.Text != won[0] {
		t.Errorf("%q won; the text is %+v, %v", won, d, err)
	}
}

func TestPublicationsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	text := func(locale, title, text string) authapi.LegalPublication {
		return authapi.LegalPublication{Texts: []authapi.LegalText{{Locale: locale, Title: title, Text: text}}}
	}
	twice := english("one")
	twice.Texts[1].Locale = "EN"
	for name, c := range map[string]struct {
		kind     string
		version  int
		p        authapi.LegalPublication
		location string
	}{
		"kind with a slash": {"terms/2", 1, english("one"), "path.kind"},
		"kind in capitals":  {"Terms", 1, english("one"), "path.kind"},
		"no kind":           {"", 1, english("one"), "path.kind"},
		"version 0":         {"terms", 0, english("one"), "path.version"},
		"no texts":          {"terms", 1, authapi.LegalPublication{}, "body.texts"},
		"no language":       {"terms", 1, text("", "Terms", "one"), "body.texts[0].locale"},
		"odd language":      {"terms", 1, text("../en", "Terms", "one"), "body.texts[0].locale"},
		"language twice":    {"terms", 1, twice, "body.texts[1].locale"},
		"blank title":       {"terms", 1, text("en", " ", "one"), "body.texts[0].title"},
		"title of lines":    {"terms", 1, text("en", "Terms\nof", "one"), "body.texts[0].title"},
		"blank text":        {"terms", 1, text("en", "Terms", " \n"), "body.texts[0].text"},
	} {
		_, err := f.Publish(t.Context(), c.kind, c.version, c.p)
		if p := problem.From(err); p.Code != problem.CodeValidation || len(p.Errors) != 1 || p.Errors[0].Location != c.location {
			t.Errorf("%s: %v; want %s", name, err, c.location)
		}
	}
}

func TestReading(t *testing.T) {
	f := newFixture(t)
	one := f.publish(t, authapi.LegalTerms, 1, english("one"))
	f.publish(t, authapi.LegalTerms, 2, f.in(time.Hour, english("two")))
	f.publish(t, authapi.LegalPrivacy, 1, f.in(time.Hour, english("private")))
	f.publish(t, authapi.LegalCookies, 1, english("crumbs"))
	f.publish(t, authapi.LegalCookies, 2, english("more crumbs"))

	list, err := f.Documents(t.Context(), "de-AT")
	var got []string
	for _, d := range list.Items {
		got = append(got, fmt.Sprintf("%s/%d %s %t", d.Kind, d.Version, d.Locale, d.InForce))
		if d.Text != "" {
			t.Errorf("the list has the text of %s", d.Kind)
		}
	}
	if want := []string{"cookies/2 de true", "privacy/1 de false", "terms/1 de true", "terms/2 de false"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("documents %q, %v; want %q", got, err, want)
	}
	for _, c := range []struct {
		kind, wanted string
		version      int
		title, text  string
	}{
		{"terms", "", 0, "Terms of service", "one"},
		{"terms", "fr", 0, "Terms of service", "one"},
		{"terms", "de", 0, "Nutzungsbedingungen", "Übersetzt: one"},
		{"terms", "fr;q=0.9, de;q=0.5", 2, "Nutzungsbedingungen", "Übersetzt: two"},
		{"privacy", "", 1, "Terms of service", "private"},
		{"cookies", "", 1, "Terms of service", "crumbs"}, // replaced, and readable as evidence
	} {
		d, err := f.Document(t.Context(), c.kind, c.version, c.wanted)
		if err != nil || d.Title != c.title || d.Text != c.text || d.SHA256 != hash(c.text) || !slices.Equal(d.Locales, []string{"en", "de"}) {
			t.Errorf("%s/%d in %q: %+v, %v; want %q", c.kind, c.version, c.wanted, d, err, c.text)
		}
	}
	if d, err := f.Document(t.Context(), "terms", 0, ""); err != nil || d.SHA256 != one.SHA256 || !d.InForce || !d.EffectiveAt.Equal(f.Now()) {
		t.Errorf("in force: %+v, %v", d, err)
	}
	for _, c := range []struct {
		kind    string
		version int
	}{{"privacy", 0}, {"terms", 3}, {"imprint", 0}, {"imprint", 1}, {"terms/1", 0}} {
		_, err := f.Document(t.Context(), c.kind, c.version, "")
		refuses(t, err, 404, problem.CodeNotFound)
	}
}

func TestAnAcceptanceIsEvidence(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	ctx := audit.WithOrigin(identity.With(t.Context(), as("ada")), audit.Origin{Address: "203.0.113.7", UserAgent: "Mozilla/5.0"})
	in := Consent{Kind: "terms", Version: 1, SHA256: strings.ToUpper(hash("Übersetzt: one"))}
	got, err := f.Accept(ctx, as("ada"), in)
	want := authapi.LegalAcceptance{
		Kind: "terms", Version: 1, Locale: "de", SHA256: hash("Übersetzt: one"), AcceptedAt: f.Now(), Address: "203.0.113.7",
		UserAgent: "Mozilla/5.0", OrganizationID: "acme", SessionID: "s-1",
	}
	if err != nil || *got != want {
		t.Fatalf("accepted %+v, %v; want %+v", got, err, want)
	}
	events := f.Outbox(t)
	// Once more, later, from elsewhere and after the version was replaced, changes nothing.
	f.Pass(time.Hour)
	f.publish(t, authapi.LegalTerms, 2, english("two"))
	again, err := f.Accept(audit.WithOrigin(ctx, audit.Origin{Address: "198.51.100.1"}), as("ada"), Consent{Kind: "terms", Version: 1, SHA256: hash("one")})
	if err != nil || *again != want {
		t.Errorf("accepted again %+v, %v", again, err)
	}
	list, err := f.Acceptances(t.Context(), "ada", "", 10)
	if err != nil || len(list.Items) != 1 || list.Items[0] != want {
		t.Errorf("acceptances %+v, %v", list, err)
	}
	if other, err := f.Acceptances(t.Context(), "bob", "", 10); err != nil || other.Items == nil || len(other.Items) != 0 {
		t.Errorf("acceptances of somebody else %+v, %v; want an empty list", other, err)
	}
	var told []string
	for _, e := range events[1:] { // after the publication's
		told = append(told, e.Type+" of "+e.Organization)
		if e.Type == authapi.LegalAccepted.Name {
			var data authapi.LegalAcceptedData
			if err := json.Unmarshal(e.Data, &data); err != nil || data != (authapi.LegalAcceptedData{UserID: "ada", OrganizationID: "acme", Kind: "terms", Version: 1, At: want.AcceptedAt}) {
				t.Errorf("event %+v, %v", data, err)
			}
		}
		if e.Type == audit.Recorded.Name {
			var entry audit.Entry
			if err := json.Unmarshal(e.Data, &entry); err != nil || entry.Action != "auth.legal.accept" || entry.Resource != "document:terms/1" || entry.Actor.Subject != "ada" || entry.Address != "203.0.113.7" {
				t.Errorf("entry %+v, %v", entry, err)
			}
		}
	}
	if want := []string{"auth.legal.accepted of acme", "auth.access.changed of ", "audit.recorded of acme"}; !slices.Equal(told, want) {
		t.Errorf("told %q; want %q", told, want)
	}
}

func TestAcceptancesThatAreRefused(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	f.publish(t, authapi.LegalTerms, 2, english("two"))
	for name, c := range map[string]struct {
		kind    string
		version int
		text    string
		status  int
		code    string
	}{
		"replaced":              {"terms", 1, "one", 409, authapi.CodeNotCurrent},
		"the former one's text": {"terms", 2, "one", 409, authapi.CodeTextMismatch},
		"not published":         {"terms", 3, "two", 404, problem.CodeNotFound},
		"no such kind":          {"imprint", 1, "two", 404, problem.CodeNotFound},
	} {
		_, err := f.Accept(t.Context(), as("ada"), Consent{Kind: c.kind, Version: c.version, SHA256: hash(c.text)})
		if problem.Code(err) != c.code || problem.From(err).Status != c.status {
			t.Errorf("%s: %v; want %d %s", name, err, c.status, c.code)
		}
	}
	f.wantMust(t, "ada", "terms/2")
}

func TestManyAcceptancesAtOnceAreOne(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			in := Consent{Kind: "terms", Version: 1, SHA256: hash("one")}
			ctx := audit.WithOrigin(context.Background(), audit.Origin{Address: fmt.Sprintf("203.0.113.%d", i)})
			if _, err := f.Accept(ctx, as("ada"), in); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	told := 0
	for _, e := range f.Outbox(t) {
		if e.Type == authapi.LegalAccepted.Name {
			told++
		}
	}
	if list, err := f.Acceptances(t.Context(), "ada", "", 10); err != nil || len(list.Items) != 1 || told != 1 {
		t.Errorf("%d acceptances, told %d times, %v", len(list.Items), told, err)
	}
}

func TestAcceptancesArePaged(t *testing.T) {
	f := newFixture(t)
	for version := 1; version <= 5; version++ {
		text := fmt.Sprintf("text %d", version)
		f.publish(t, authapi.LegalTerms, version, english(text))
		f.accept(t, "ada", authapi.LegalTerms, version, text)
		f.Pass(time.Second)
	}
	var got []int
	for cursor := ""; ; {
		page, err := f.Acceptances(t.Context(), "ada", cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Items {
			got = append(got, a.Version)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, []int{5, 4, 3, 2, 1}) {
		t.Errorf("versions %v", got)
	}
	if _, err := f.Acceptances(t.Context(), "ada", "rubbish", 2); !errors.Is(err, store.ErrBadCursor) {
		t.Errorf("a made-up cursor: %v", err)
	}
}

// TestAPersonIsErased keeps the evidence, less what says where it came from, and nothing of another organization.
func TestAPersonIsErased(t *testing.T) {
	f := newFixture(t)
	f.publish(t, authapi.LegalTerms, 1, english("one"))
	f.publish(t, authapi.LegalPrivacy, 1, english("private"))
	elsewhere := as("ada")
	elsewhere.Organization = "umbrella"
	for _, c := range []struct {
		p    identity.Principal
		kind string
		text string
	}{{as("ada"), authapi.LegalTerms, "one"}, {elsewhere, authapi.LegalPrivacy, "private"}, {as("bob"), authapi.LegalTerms, "one"}} {
		in := Consent{Kind: c.kind, Version: 1, SHA256: hash(c.text)}
		if _, err := f.Accept(audit.WithOrigin(t.Context(), audit.Origin{Address: "203.0.113.7", UserAgent: "a browser"}), c.p, in); err != nil {
			t.Fatal(err)
		}
	}
	person := privacy.Person{Organization: "acme", User: "ada"}
	data, err := f.Personal().Export(t.Context(), person)
	if all, ok := data["acceptances"].([]*authapi.LegalAcceptance); err != nil || !ok || len(all) != 1 || all[0].Kind != "terms" || all[0].Address != "203.0.113.7" {
		t.Errorf("exported %+v, %v; want what was accepted in acme", data, err)
	}
	if data, err := f.Personal().Export(t.Context(), privacy.Person{Organization: "acme", User: "eve"}); err != nil || data != nil {
		t.Errorf("exported %+v, %v of somebody who accepted nothing", data, err)
	}
	for _, want := range []int64{1, 0} {
		if n, err := f.Personal().Erase(t.Context(), person); err != nil || n != want {
			t.Errorf("erased %d, %v; want %d", n, err, want)
		}
	}
	for user, want := range map[string][]string{
		"ada": {"privacy in umbrella from 203.0.113.7 with a browser in s-1", "terms in acme from  with  in "},
		"bob": {"terms in acme from 203.0.113.7 with a browser in s-1"},
	} {
		list, err := f.Acceptances(t.Context(), user, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range list.Items {
			got = append(got, fmt.Sprintf("%s in %s from %s with %s in %s", a.Kind, a.OrganizationID, a.Address, a.UserAgent, a.SessionID))
			if len(a.SHA256) != 64 || a.AcceptedAt.IsZero() {
				t.Errorf("%s: no evidence is left: %+v", user, a)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", user, got, want)
		}
	}
	if err := f.EraseOrganization(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	list, err := f.Acceptances(t.Context(), "bob", "", 10)
	if err != nil || len(list.Items) != 1 || list.Items[0].OrganizationID+list.Items[0].Address+list.Items[0].UserAgent+list.Items[0].SessionID != "" {
		t.Errorf("after the organization was erased %+v, %v", list, err)
	}
	f.wantMust(t, "ada")
}

// TestTheCalendarIsOnTime runs two, as two processes do, on the real clock.
func TestTheCalendarIsOnTime(t *testing.T) {
	w := authtest.New(t)
	emit := w.Emit()
	emit.Now = time.Now
	s, err := Open(t.Context(), Config{DB: w.DB, Emit: emit, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{w, s}
	for range 2 {
		c := NewCalendar(s, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	p := english("one")
	p.EffectiveAt = time.Now().Add(look + look/10)
	f.publish(t, authapi.LegalTerms, 1, p)
	told := func() error {
		if n := len(f.changes(t)); n != 1 {
			return fmt.Errorf("%d changes told", n)
		}
		return nil
	}
	if told() == nil {
		t.Error("told before its time")
	}
	eventually.Succeeds(t, 10*time.Second, "it is told", told)
	terms, err := s.kind(t.Context(), authapi.LegalTerms)
	if err != nil || terms[0].InForceAt == nil {
		t.Fatalf("%+v, %v", terms, err)
	}
	if late := terms[0].InForceAt.Sub(p.EffectiveAt); late < -time.Microsecond || late > look*8/10 {
		t.Errorf("in force %v after its time", late)
	}
	f.publish(t, authapi.LegalPrivacy, 1, english("private"))
	f.wantMust(t, "ada", "privacy/1", "terms/1")
	if n := len(f.changes(t)); n != 2 {
		t.Errorf("%d changes told; want one for each version", n)
	}
}
