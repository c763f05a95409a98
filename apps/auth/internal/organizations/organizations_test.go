package organizations

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/topology"
)

func TestRename(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	f.company(t, "globex", "grace")
	view, version, err := f.Rename(t.Context(), "acme", "  Analytical Engines ", anyVersion)
	if err != nil || view.Name != "Analytical Engines" || version != 2 {
		t.Fatalf("%+v at version %d, %v", view, version, err)
	}
	changed := errors.New("changed")
	_, _, err = f.Rename(t.Context(), "acme", "Difference Engines", func(v int64) error {
		if v != 1 {
			return changed
		}
		return nil
	})
	if !errors.Is(err, changed) {
		t.Errorf("renamed what was changed since: %v", err)
	}
	if _, _, err = f.Rename(t.Context(), "acme", "Analytical Engines", anyVersion); err != nil {
		t.Error(err)
	}
	_, _, err = f.Rename(t.Context(), "acme", "two\nlines", anyVersion)
	refused(t, err, http.StatusUnprocessableEntity, problem.CodeValidation)
	_, _, err = f.Rename(t.Context(), "nobody", "x", anyVersion)
	refused(t, err, http.StatusNotFound, problem.CodeNotFound)

	if n := told(t, f.World, authapi.OrganizationUpdated); len(n) != 1 || n[0].OrganizationID != "acme" || n[0].EraseAt != nil {
		t.Errorf("told of %+v; want of one change", n)
	}
	other, _, err := f.Profile(t.Context(), "globex")
	if err != nil || other.Name != "The globex company" {
		t.Errorf("the other organization is %+v, %v", other, err)
	}
}

func TestADeletedOrganizationCanBeRestoredFor30Days(t *testing.T) {
	f := newFixture(t)
	owner := f.company(t, "acme", "ada")
	admin := f.employ(t, "acme", "bob", "admin")
	_, err := f.Delete(t.Context(), admin)
	refused(t, err, http.StatusForbidden, authapi.CodeOwnersOnly)

	deleted := must[*authapi.OrganizationProfile](t)(f.Delete(t.Context(), owner))
	end := f.Now().Add(30 * 24 * time.Hour)
	if deleted.EraseAt == nil || !deleted.EraseAt.Equal(end) {
		t.Fatalf("it is erased at %v; want %v", deleted.EraseAt, end)
	}
	f.Pass(time.Hour)
	if again := must[*authapi.OrganizationProfile](t)(f.Delete(t.Context(), owner)); !again.EraseAt.Equal(end) {
		t.Errorf("deleted again it is erased at %v; want %v still", again.EraseAt, end)
	}
	f.Pass(29 * 24 * time.Hour)
	if err := f.EraseDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = f.Restore(t.Context(), admin)
	refused(t, err, http.StatusForbidden, authapi.CodeOwnersOnly)
	if restored := must[*authapi.OrganizationProfile](t)(f.Restore(t.Context(), owner)); restored.EraseAt != nil {
		t.Errorf("restored it is erased at %v", restored.EraseAt)
	}
	if n := told(t, f.World, authapi.AccessChanged); len(n) != 2 || n[0].OrganizationID != "acme" || n[0].Subject != "" {
		t.Errorf("access changed: %+v; want everybody's, twice", n)
	}
	if n := told(t, f.World, authapi.OrganizationUpdated); len(n) != 2 || n[0].EraseAt == nil || n[1].EraseAt != nil {
		t.Errorf("told of %+v", n)
	}

	must[*authapi.OrganizationProfile](t)(f.Delete(t.Context(), owner))
	f.Pass(30 * 24 * time.Hour)
	_, err = f.Restore(t.Context(), owner)
	refused(t, err, http.StatusConflict, authapi.CodeErasing)
}

func TestMembersOfADeletedOrganizationCanDoNothingElse(t *testing.T) {
	f := newFixture(t)
	owner := f.company(t, "acme", "ada")
	contribute := func(permissions ...string) identity.Access {
		t.Helper()
		a := identity.Access{Permissions: permissions, Grants: []identity.Grant{{Permission: "*:read", Resource: "shop"}}}
		if err := f.Contribute(t.Context(), access.Member{Organization: "acme", User: "ada"}, &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := contribute("*:*"); !a.Can("analytics.dashboard:read") || len(a.Grants) != 1 {
		t.Errorf("before it is deleted an owner has %+v", a)
	}
	must[*authapi.OrganizationProfile](t)(f.Delete(t.Context(), owner))
	if a := contribute("*:*"); a.Can("analytics.dashboard:read") || a.Can("auth.organizations:write") || !a.Can("auth.organizations:delete") || len(a.Grants) != 0 {
		t.Errorf("an owner has %+v", a)
	}
	if a := contribute("*:read"); a.Can("auth.organizations:delete") || !a.Can("auth.organizations:read") {
		t.Errorf("a viewer has %+v", a)
	}
}

func TestErasure(t *testing.T) {
	f := newFixture(t)
	owner := f.company(t, "acme", "ada")
	f.employ(t, "acme", "bob", "member")
	other := f.company(t, "globex", "grace")
	f.employ(t, "globex", "bob", "member") // he works for both
	f.employ(t, "acme", "eve", "viewer")
	for _, by := range []identity.Principal{owner, other} {
		organization := by.Organization
		must[*authapi.Invitation](t)(f.Invite(t.Context(), by, "new@example.com", []string{"member"}))
		if err := f.Take(t.Context(), quota.Claim{Organization: organization, Resource: quota.Connections, ID: "shop", Amount: 1}); err != nil {
			t.Fatal(err)
		}
		must[*quota.Standing](t)(f.Report(t.Context(), quota.Report{Reporter: "p", Month: "2026-01", Calls: []quota.Calls{{Organization: organization, Calls: 7}}}))
	}
	must[*authapi.OrganizationProfile](t)(f.Delete(t.Context(), owner))
	_, err := f.Erasure(t.Context(), "acme")
	refused(t, err, http.StatusNotFound, problem.CodeNotFound)
	confirm := func(organization string, g topology.Group) (*authapi.Erasure, error) {
		return f.Confirm(t.Context(), authapi.ErasureConfirmation{Organization: organization, Group: g})
	}
	_, err = confirm("acme", topology.ML) // nobody asked for it
	refused(t, err, http.StatusNotFound, problem.CodeNotFound)

	f.Pass(30*24*time.Hour + 2*time.Hour)
	f.eraseFails = errors.New("no room")
	if err := f.EraseDue(t.Context()); !errors.Is(err, f.eraseFails) {
		t.Fatalf("erase: %v", err)
	}
	f.eraseFails = nil
	for range 2 {
		if err := f.EraseDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := told(t, f.World, privacy.OrganizationErasing); len(n) != 1 || n[0].OrganizationID != "acme" {
		t.Errorf("groups were told %+v; want once of acme", n)
	}
	if slices.Sort(f.erased); !slices.Equal(f.erased, []string{"ada", "eve"}) {
		t.Errorf("erased the people %v; want those who worked for nobody else", f.erased)
	}
	if view := must[*authapi.Erasure](t)(f.Erasure(t.Context(), "acme")); !slices.Equal(view.Missing, []topology.Group{topology.Analytics, topology.ML}) || view.DoneAt != nil {
		t.Errorf("%+v; want two groups missing", view)
	}
	_, err = confirm("acme", "integrations")
	refused(t, err, http.StatusUnprocessableEntity, problem.CodeValidation)
	for range 2 {
		must[*authapi.Erasure](t)(confirm("acme", topology.ML))
	}
	if n := told(t, f.World, authapi.OrganizationErased); len(n) != 0 {
		t.Errorf("it is erased before all groups said so: %+v", n)
	}
	// What came late is erased too.
	must[*quota.Standing](t)(f.Report(t.Context(), quota.Report{Reporter: "late", Month: "2026-02", Calls: []quota.Calls{{Organization: "acme", Calls: 7}}}))
	for range 2 {
		if view := must[*authapi.Erasure](t)(confirm("acme", topology.Analytics)); view.DoneAt == nil || len(view.Missing) != 0 {
			t.Errorf("%+v; want it done", view)
		}
	}
	if n := told(t, f.World, authapi.OrganizationErased); len(n) != 1 {
		t.Errorf("told of %+v; want of one erased", n)
	}
	f.leftOf(t, "acme", 0)
	f.leftOf(t, "globex", 1)
	if err := f.EraseDue(t.Context()); err != nil {
		t.Error(err)
	}
}

// leftOf counts, in each collection, the documents of an organization.
func (f *fixture) leftOf(t *testing.T, organization string, want int) {
	t.Helper()
	_, _, err := f.Profile(t.Context(), organization)
	left := map[string]bool{
		"organization": err == nil,
		"members":      must[int64](t)(f.people.Memberships.Count(t.Context(), membersOf(organization))) > 0,
		"invitations":  len(must[*authapi.Invitations](t)(f.Service.Invitations(t.Context(), organization, "", 0)).Items) > 0,
		"API calls":    must[int64](t)(f.calls(t.Context(), organization, "2026-01"))+must[int64](t)(f.calls(t.Context(), organization, "2026-02")) > 0,
	}
	f.Pass(-30 * 24 * time.Hour) // when the invitation had not expired
	left["invitations"] = len(must[*authapi.Invitations](t)(f.Service.Invitations(t.Context(), organization, "", 0)).Items) > 0
	f.Pass(30 * 24 * time.Hour)
	_, err = f.d.balances.In(organization).Get(t.Context(), string(quota.Connections))
	left["balance"] = err == nil
	for what, there := range left {
		if there != (want > 0) {
			t.Errorf("%s of %s is there: %t; want %t", what, organization, there, want > 0)
		}
	}
}

func TestMyOrganizations(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	f.Pass(time.Hour)
	f.company(t, "globex", "grace")
	f.employ(t, "globex", "ada", "viewer")
	first := must[*authapi.MyOrganizations](t)(f.Mine(t.Context(), ada, "", 1))
	if len(first.Items) != 1 || first.Items[0].ID != "acme" || !first.Items[0].Current || !slices.Equal(first.Items[0].Roles, ada.Roles) || first.NextCursor == "" {
		t.Fatalf("first page %+v", first)
	}
	second := must[*authapi.MyOrganizations](t)(f.Mine(t.Context(), ada, first.NextCursor, 1))
	if len(second.Items) != 1 || second.Items[0].ID != "globex" || second.Items[0].Current || second.NextCursor != "" {
		t.Errorf("second page %+v", second)
	}
	_, err := f.Mine(t.Context(), ada, "nonsense", 1)
	if err == nil {
		t.Error("took a cursor that is none")
	}
}

func TestSwitch(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	f.company(t, "globex", "grace")
	f.company(t, "initech", "bill")
	f.employ(t, "globex", "ada", "viewer")
	ada.AMR, ada.ACR, ada.Scope = []string{signin.Password, signin.OTP}, identity.ACRMultiFactor, []string{"analytics.*:read"}
	tokens := must[*authapi.SignIn](t)(f.Switch(t.Context(), ada, "globex"))
	if tokens.AccessToken != "token for globex" || len(f.begun) != 1 {
		t.Fatalf("%+v", tokens)
	}
	a := f.begun[0]
	if a.User != "ada" || a.Organization != "globex" || !slices.Equal(a.AMR, ada.AMR) || !a.Strong || !slices.Equal(a.Scope, sessions.Scope(ada.Scope)) || a.AuthenticatedAt.IsZero() {
		t.Errorf("began %+v; want what the session has, and no more", a)
	}
	for _, id := range []string{"initech", "nobody", "a/b", "\x01"} {
		_, err := f.Switch(t.Context(), ada, id)
		refused(t, err, http.StatusNotFound, problem.CodeNotFound)
	}
	ada.AMR = []string{signin.Federated, signin.OTP}
	_, err := f.Switch(t.Context(), ada, "globex")
	refused(t, err, http.StatusForbidden, authapi.CodeSignInAgain)
	_, err = f.Switch(t.Context(), ada, "acme") // a session does not renew itself
	refused(t, err, http.StatusConflict, problem.CodeConflict)
}
