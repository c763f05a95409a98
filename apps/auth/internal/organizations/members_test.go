package organizations

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
)

func TestMembers(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	f.company(t, "globex", "grace")
	for _, user := range []string{"bob", "carl"} {
		f.Pass(time.Minute)
		f.employ(t, "acme", user, "member")
	}
	var got []string
	for cursor := ""; ; {
		page := must[*authapi.Members](t)(f.Members(t.Context(), "acme", cursor, 2))
		for _, m := range page.Items {
			got = append(got, m.ID+" "+m.Email)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if want := []string{"ada ada@example.com", "bob bob@example.com", "carl carl@example.com"}; !slices.Equal(got, want) {
		t.Errorf("members %v; want %v", got, want)
	}
	bob := must[*authapi.Member](t)(f.Member(t.Context(), "acme", "bob"))
	if bob.FirstName != "bob" || !slices.Equal(bob.Roles, []string{"member"}) || bob.SignedInAt != nil || bob.EmailVerified {
		t.Errorf("%+v", bob)
	}
	for _, id := range []string{"grace", "nobody", "\x01"} {
		_, err := f.Member(t.Context(), "acme", id)
		refused(t, err, http.StatusNotFound, problem.CodeNotFound)
	}
}

func TestRemove(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	f.company(t, "globex", "grace")
	f.employ(t, "acme", "bob", "member")
	f.employ(t, "globex", "bob", "member")
	carl := f.employ(t, "acme", "carl", "member")

	refused(t, f.Remove(t.Context(), ada, "grace"), http.StatusNotFound, problem.CodeNotFound)
	refused(t, f.Remove(t.Context(), ada, "ada"), http.StatusConflict, authapi.CodeLastOwner)
	for _, err := range []error{f.Remove(t.Context(), ada, "bob"), f.Leave(t.Context(), carl)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	refused(t, f.Remove(t.Context(), ada, "bob"), http.StatusNotFound, problem.CodeNotFound)
	removed := told(t, f.World, authapi.UserRemoved)
	want := []authapi.UserRemovedData{
		{OrganizationID: "acme", UserID: "bob", By: "ada", At: f.Now()},
		{OrganizationID: "acme", UserID: "carl", By: "carl", At: f.Now()},
	}
	if !slices.Equal(removed, want) {
		t.Errorf("told %+v; want %+v", removed, want)
	}
	for _, data := range removed {
		if err := f.EndSessions(t.Context(), events.Event[authapi.UserRemovedData]{Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if want := (endings{{"bob", "acme", "removed"}, {"carl", "acme", "removed"}}); !slices.Equal(f.ended, want) {
		t.Errorf("ended the sessions of %v; want %v", f.ended, want)
	}
	if actions := f.recorded(t); !slices.Equal(actions, []string{"auth.organizations.remove-member", "auth.organizations.leave"}) {
		t.Errorf("recorded %v", actions)
	}
	must[*authapi.Member](t)(f.Member(t.Context(), "globex", "bob"))
}

func TestSignOut(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	f.company(t, "globex", "grace")
	bob := f.employ(t, "acme", "bob", "admin")

	for _, id := range []string{"grace", "nobody", "\x01"} {
		refused(t, f.SignOut(t.Context(), ada, id), http.StatusNotFound, problem.CodeNotFound)
	}
	refused(t, f.SignOut(t.Context(), bob, "ada"), http.StatusForbidden, authapi.CodeOwnersOnly)
	if len(f.ended) > 0 {
		t.Fatalf("refused, and yet it ended the sessions of %v", f.ended)
	}
	if err := f.SignOut(t.Context(), ada, "bob"); err != nil {
		t.Fatal(err)
	}
	if want := (endings{{"bob", "acme", "administrator"}}); !slices.Equal(f.ended, want) {
		t.Errorf("ended the sessions of %v; want %v", f.ended, want)
	}
	must[*authapi.Member](t)(f.Member(t.Context(), "acme", "bob"))
}

func TestSeatsAreNotOversold(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada") // who has one of the five seats
	processes := []*Service{f.Service, f.process(t)}
	var joining sync.WaitGroup
	var mu sync.Mutex
	joined, full := 0, 0
	for i := range 32 {
		joining.Go(func() {
			err := processes[i%2].Join(t.Context(), "acme", fmt.Sprintf("user-%d", i), []string{"member"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				joined++
			case problem.Code(err) == problem.CodeQuota && problem.From(err).Status == http.StatusPaymentRequired:
				full++
			default:
				t.Error(err)
			}
		})
	}
	joining.Wait()
	members := must[int64](t)(f.people.Memberships.Count(t.Context(), membersOf("acme")))
	if joined != 4 || full != 28 || members != 5 {
		t.Errorf("%d joined, %d found it full, %d members; want 4, 28 and 5", joined, full, members)
	}
}

func TestASeatPromisedAndNotTakenIsFreeAgain(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	organization, err := f.organization(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // the process dies before they join
		if err := f.seat(t.Context(), organization, fmt.Sprintf("user-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.seat(t.Context(), organization, "user-0"); err != nil {
		t.Errorf("asked again: %v", err)
	}
	refused(t, f.Join(t.Context(), "acme", "late", []string{"member"}), http.StatusPaymentRequired, problem.CodeQuota)
	f.Pass(promise)
	if err := f.Join(t.Context(), "acme", "late", []string{"member"}); err != nil {
		t.Error(err)
	}
}

func TestJoin(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	if err := f.Join(t.Context(), "acme", "bob", []string{"member"}); err != nil {
		t.Fatal(err)
	}
	want := []authapi.UserJoinedData{{OrganizationID: "acme", UserID: "bob", At: f.Now()}}
	if got := told(t, f.World, authapi.UserJoined); !slices.Equal(got, want) {
		t.Errorf("told %+v; want %+v", got, want)
	}
	// To be full is no news to a member.
	_, err := f.ChangePlan(t.Context(), authapi.PlanChange{Organization: "acme", Plan: "free", Limits: own{quota.Members: 1}})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, f.Join(t.Context(), "acme", "bob", []string{"member"}), http.StatusConflict, authapi.CodeAlreadyMember)
	refused(t, f.Join(t.Context(), "acme", "carl", []string{"member"}), http.StatusPaymentRequired, problem.CodeQuota)
	refused(t, f.Join(t.Context(), "nobody", "carl", []string{"member"}), http.StatusNotFound, problem.CodeNotFound)
	must[*authapi.OrganizationProfile](t)(f.Delete(t.Context(), ada))
	refused(t, f.Join(t.Context(), "acme", "carl", []string{"member"}), http.StatusNotFound, problem.CodeNotFound)
}
