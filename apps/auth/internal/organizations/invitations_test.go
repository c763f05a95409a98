package organizations

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/store"
)

var newcomer = Newcomer{FirstName: "Grace", LastName: "Hopper", Password: "three blind mice in a row"}

// invite invites an address and returns the token from the mail.
func (f *fixture) invite(t testing.TB, by identity.Principal, address string, roles ...string) (*authapi.Invitation, string) {
	t.Helper()
	view := must[*authapi.Invitation](t)(f.Invite(t.Context(), by, address, roles))
	return view, f.post(t)
}

func TestANewcomerRegisters(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	_, token := f.invite(t, ada, "Grace@Example.com", "viewer", "member", "viewer")
	if sent := f.mails.sent[0]; f.mails.to[0] != "grace@example.com" || sent.Organization != "The acme company" || sent.InvitedBy != "ada Byron" ||
		sent.Role != "member, viewer" || !sent.Link.ExpiresAt.Equal(f.Now().Add(7*24*time.Hour)) {
		t.Errorf("mailed %+v to %v", sent, f.mails.to)
	}
	offer := must[*authapi.InvitationOffer](t)(f.Offer(t.Context(), token))
	if offer.Email != "grace@example.com" || offer.HasAccount || offer.Organization != "The acme company" || !slices.Equal(offer.Roles, []string{"member", "viewer"}) {
		t.Errorf("offered %+v", offer)
	}
	weak := newcomer
	weak.Password = "short"
	_, err := f.Register(t.Context(), token, weak)
	refused(t, err, http.StatusUnprocessableEntity, authapi.CodeWeakPassword)
	_, err = f.Register(t.Context(), token, Newcomer{FirstName: "\x00", LastName: "x", Password: newcomer.Password})
	refused(t, err, http.StatusUnprocessableEntity, problem.CodeValidation)

	done := must[*authapi.Registration](t)(f.Register(t.Context(), token, newcomer))
	if done.Organization.ID != "acme" || done.User.Email != "grace@example.com" || !done.User.EmailVerified || !slices.Equal(done.User.Roles, []string{"member", "viewer"}) {
		t.Errorf("registered %+v", done)
	}
	person := must[store.Doc[accounts.User]](t)(f.people.UserByEmail(t.Context(), "grace@example.com"))
	if person.Value.PasswordHash != "hash of "+newcomer.Password {
		t.Errorf("kept %+v", person.Value)
	}
	must[*authapi.Member](t)(f.Member(t.Context(), "acme", person.ID))
	if joined := told(t, f.World, authapi.UserJoined); len(joined) != 1 || joined[0].UserID != person.ID {
		t.Errorf("told %+v", joined)
	}
	entries := told(t, f.World, audit.Recorded)
	if last := entries[len(entries)-1]; last.Action != "auth.organizations.join" || last.Actor.Subject != person.ID || last.Resource != "user:"+person.ID {
		t.Errorf("recorded %+v; want that she joined by herself", last)
	}
	_, err = f.Register(t.Context(), token, newcomer)
	refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)
	_, err = f.Offer(t.Context(), token)
	refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)
}

func TestAnAccountAccepts(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	grace := f.company(t, "globex", "grace")
	eve := f.company(t, "initech", "eve")
	_, token := f.invite(t, ada, "grace@example.com", "owner")
	if offer := must[*authapi.InvitationOffer](t)(f.Offer(t.Context(), token)); !offer.HasAccount {
		t.Errorf("offered %+v to who has an account", offer)
	}
	_, err := f.Register(t.Context(), token, newcomer)
	refused(t, err, http.StatusConflict, authapi.CodeEmailTaken)
	_, err = f.Accept(t.Context(), eve, token)
	refused(t, err, http.StatusForbidden, authapi.CodeInvitationForOther)

	mine := must[*authapi.MyOrganization](t)(f.Accept(t.Context(), grace, token))
	if mine.ID != "acme" || !slices.Equal(mine.Roles, []string{"owner"}) || mine.Current || !mine.JoinedAt.Equal(f.Now()) {
		t.Errorf("joined %+v", mine)
	}
	person := must[store.Doc[accounts.User]](t)(f.people.Users.Get(t.Context(), "grace"))
	if person.Value.EmailVerifiedAt == nil {
		t.Error("the address is not proved by the token that was mailed to it")
	}
	_, err = f.Accept(t.Context(), grace, token)
	refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)
	_, err = f.Invite(t.Context(), ada, "GRACE@example.com", []string{"member"})
	refused(t, err, http.StatusConflict, authapi.CodeAlreadyMember)
}

func TestATokenIsRedeemedOnce(t *testing.T) {
	for name, redeem := range map[string]func(f *fixture, s *Service, t *testing.T, token string) error{
		"register": func(_ *fixture, s *Service, t *testing.T, token string) error {
			_, err := s.Register(t.Context(), token, newcomer)
			return err
		},
		"accept": func(_ *fixture, s *Service, t *testing.T, token string) error {
			_, err := s.Accept(t.Context(), identity.Principal{Subject: "eve", Session: "s"}, token)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			ada := f.company(t, "acme", "ada")
			address := "grace@example.com"
			if name == "accept" {
				f.company(t, "initech", "eve")
				address = "eve@example.com"
			}
			_, token := f.invite(t, ada, address, "member")
			processes := []*Service{f.Service, f.process(t)}
			var mu sync.Mutex
			won := 0
			var all sync.WaitGroup
			for i := range 16 {
				all.Go(func() {
					err := redeem(f, processes[i%2], t, token)
					mu.Lock()
					defer mu.Unlock()
					switch problem.Code(err) {
					case "":
						if err != nil {
							t.Error(err)
						}
						won++
					case authapi.CodeInvitationInvalid:
					default:
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := len(told(t, f.World, authapi.UserJoined)); won != 1 || n != 1 {
				t.Errorf("%d won and %d joined; want one", won, n)
			}
		})
	}
}

func TestWhoWorksForNobodyRegistersAgain(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	f.employ(t, "acme", "grace", "member")
	if err := f.Remove(t.Context(), ada, "grace"); err != nil {
		t.Fatal(err)
	}
	_, token := f.invite(t, ada, "grace@example.com", "viewer")
	if offer := must[*authapi.InvitationOffer](t)(f.Offer(t.Context(), token)); offer.HasAccount {
		t.Error("offered to sign in, which nobody can who works for nobody")
	}
	done := must[*authapi.Registration](t)(f.Register(t.Context(), token, newcomer))
	if done.User.ID != "grace" || done.User.FirstName != "Grace" || !slices.Equal(done.User.Roles, []string{"viewer"}) {
		t.Errorf("registered %+v; want the account that there was", done.User)
	}
	// She had never proved her address, so the passkeys may have been anybody's.
	if !slices.Equal(f.bared, []string{"grace"}) {
		t.Errorf("dropped the credentials of %v; want those from before the address was proved", f.bared)
	}
	if err := f.Remove(t.Context(), ada, "grace"); err != nil {
		t.Fatal(err)
	}
	_, token = f.invite(t, ada, "grace@example.com", "viewer")
	must[*authapi.Registration](t)(f.Register(t.Context(), token, newcomer))
	if len(f.bared) != 1 {
		t.Error("dropped also what she had set up herself")
	}
}

func TestAClosedAccountIsNotTakenOver(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	now := store.At(f.Now())
	must[store.Doc[accounts.User]](t)(f.people.Users.Insert(t.Context(), "grace", accounts.User{Email: "grace@example.com", DisabledAt: &now}))
	_, token := f.invite(t, ada, "grace@example.com", "viewer")
	_, err := f.Register(t.Context(), token, newcomer)
	refused(t, err, http.StatusConflict, authapi.CodeEmailTaken)
}

func TestNobodyInvites(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	admin := f.employ(t, "acme", "bob", "admin")
	viewer := f.employ(t, "acme", "eve", "viewer")
	f.invite(t, ada, "waiting@example.com", "member")
	for name, c := range map[string]struct {
		by      identity.Principal
		address string
		role    string
		status  int
		code    string
	}{
		"no address":                   {ada, "nobody", "member", http.StatusUnprocessableEntity, problem.CodeValidation},
		"as what there is not":         {ada, "a@example.com", "king", http.StatusUnprocessableEntity, problem.CodeValidation},
		"as an owner without being it": {admin, "a@example.com", identity.Owner, http.StatusForbidden, authapi.CodeOwnersOnly},
		"with more than they have":     {viewer, "a@example.com", "admin", http.StatusForbidden, authapi.CodeNotHeld},
		"a member":                     {ada, "eve@example.com", "member", http.StatusConflict, authapi.CodeAlreadyMember},
		"who is invited":               {ada, "Waiting@example.com", "viewer", http.StatusConflict, authapi.CodeAlreadyInvited},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Invite(t.Context(), c.by, c.address, []string{c.role})
			refused(t, err, c.status, c.code)
		})
	}
	must[*authapi.OrganizationProfile](t)(f.ChangePlan(t.Context(), authapi.PlanChange{Organization: "acme", Plan: "free", Limits: own{quota.Members: 3}}))
	_, err := f.Invite(t.Context(), ada, "b@example.com", []string{"member"})
	refused(t, err, http.StatusPaymentRequired, problem.CodeQuota)
}

func TestWhoFindsItFullComesBackLater(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	_, token := f.invite(t, ada, "grace@example.com", "member")
	plan := func(members int64) {
		t.Helper()
		must[*authapi.OrganizationProfile](t)(f.ChangePlan(t.Context(), authapi.PlanChange{Organization: "acme", Plan: "free", Limits: own{quota.Members: members}}))
	}
	plan(1)
	_, err := f.Register(t.Context(), token, newcomer)
	refused(t, err, http.StatusPaymentRequired, problem.CodeQuota)
	plan(2)
	must[*authapi.Registration](t)(f.Register(t.Context(), token, newcomer))
}

func TestAnInvitationEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, f *fixture, ada identity.Principal, id string){
		"by time": func(_ *testing.T, f *fixture, _ identity.Principal, _ string) { f.Pass(invitationLife) },
		"when it is revoked": func(t *testing.T, f *fixture, ada identity.Principal, id string) {
			if err := f.Revoke(t.Context(), ada, id); err != nil {
				t.Fatal(err)
			}
		},
		"with the organization": func(t *testing.T, f *fixture, ada identity.Principal, _ string) {
			must[*authapi.OrganizationProfile](t)(f.Delete(t.Context(), ada))
		},
		"when it is mailed again": func(t *testing.T, f *fixture, ada identity.Principal, id string) {
			f.Pass(firstPause)
			must[*authapi.Invitation](t)(f.Resend(t.Context(), ada, id))
			f.post(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			ada := f.company(t, "acme", "ada")
			view, token := f.invite(t, ada, "grace@example.com", "member")
			end(t, f, ada, view.ID)
			_, err := f.Offer(t.Context(), token)
			refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)
			_, err = f.Register(t.Context(), token, newcomer)
			refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)
			if name == "with the organization" {
				return
			}
			// It may end between the look at it and the claim.
			err = f.redeem(t.Context(), view.ID, atrest.Digest(token), func() error { t.Error("redeemed"); return nil })
			refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)
		})
	}
}

func TestAnExpiredInvitationMakesRoom(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	old, _ := f.invite(t, ada, "grace@example.com", "member")
	f.Pass(invitationLife)
	if list := must[*authapi.Invitations](t)(f.Invitations(t.Context(), "acme", "", 10)); len(list.Items) != 0 {
		t.Errorf("waiting: %+v", list.Items)
	}
	_, err := f.Resend(t.Context(), ada, old.ID)
	refused(t, err, http.StatusNotFound, problem.CodeNotFound)
	_, token := f.invite(t, ada, "grace@example.com", "viewer")
	must[*authapi.Registration](t)(f.Register(t.Context(), token, newcomer))

	f.invite(t, ada, "other@example.com", "viewer")
	f.Pass(invitationLife - time.Second)
	for _, want := range []int64{1, 0} {
		if err := f.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := must[int64](t)(f.d.invitations.Count(t.Context(), store.Query{})); n != want {
			t.Errorf("%d invitations are kept; want %d", n, want)
		}
		f.Pass(2 * time.Second)
	}
}

func TestInvitationsOfOthers(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	grace := f.company(t, "globex", "grace")
	view, _ := f.invite(t, ada, "new@example.com", "member")
	f.Pass(time.Hour)
	for _, id := range []string{view.ID, "never", "\x01"} {
		_, err := f.Resend(t.Context(), grace, id)
		refused(t, err, http.StatusNotFound, problem.CodeNotFound)
		refused(t, f.Revoke(t.Context(), grace, id), http.StatusNotFound, problem.CodeNotFound)
	}
	if list := must[*authapi.Invitations](t)(f.Invitations(t.Context(), "globex", "", 10)); len(list.Items) != 0 {
		t.Errorf("another organization sees %+v", list.Items)
	}
	list := must[*authapi.Invitations](t)(f.Invitations(t.Context(), "acme", "", 10))
	if len(list.Items) != 1 || list.Items[0].ID != view.ID || list.Items[0].SentAt == nil || list.Items[0].InvitedBy != "ada" {
		t.Errorf("waiting: %+v", list.Items)
	}
}

func TestMailsAreFew(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	view, _ := f.invite(t, ada, "new@example.com", "member")
	for i, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		_, err := f.Resend(t.Context(), ada, view.ID)
		refused(t, err, http.StatusTooManyRequests, problem.CodeRateLimited)
		if wait := problem.From(err).RetryAfter(); wait != pause {
			t.Errorf("mail %d may go in %v; want %v", i+2, wait, pause)
		}
		f.Pass(pause)
		must[*authapi.Invitation](t)(f.Resend(t.Context(), ada, view.ID))
	}
	for i := range mailsADay - 4 {
		must[*authapi.Invitation](t)(f.Invite(t.Context(), ada, fmt.Sprintf("p%d@example.com", i), []string{"member"}))
	}
	_, err := f.Invite(t.Context(), ada, "one-more@example.com", []string{"member"})
	refused(t, err, http.StatusTooManyRequests, problem.CodeRateLimited)
	wait := problem.From(err).RetryAfter()
	if midnight := f.Now().Add(wait); midnight.Format(time.TimeOnly) != "00:00:00" || wait > 24*time.Hour {
		t.Errorf("more mails in %v", wait)
	}
	f.Pass(wait)
	must[*authapi.Invitation](t)(f.Invite(t.Context(), ada, "one-more@example.com", []string{"member"}))
}

func TestAMailThatFailsIsTriedAgain(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	must[*authapi.Invitation](t)(f.Invite(t.Context(), ada, "grace@example.com", []string{"member"}))
	f.mails.err = errors.New("mailbox full")
	issued := events.Event[authapi.InvitationIssuedData]{Data: told(t, f.World, authapi.InvitationIssued)[0]}
	if err := f.Mail(t.Context(), issued); !errors.Is(err, f.mails.err) {
		t.Fatalf("mail: %v", err)
	}
	f.mails.err = nil
	must[*authapi.Registration](t)(f.Register(t.Context(), f.post(t), newcomer))
	// The event may come again, for what is gone.
	if err := f.Mail(t.Context(), issued); err != nil || len(f.mails.sent) != 1 {
		t.Errorf("%d mails, %v; want one", len(f.mails.sent), err)
	}
}

func TestNoTokenIsStored(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	view, token := f.invite(t, ada, "grace@example.com", "member")
	if len(token) != 43 { // 256 bits in base64url
		t.Errorf("token of %d characters", len(token))
	}
	doc := must[store.Doc[invitation]](t)(f.d.invitations.Get(t.Context(), view.ID))
	if strings.Contains(fmt.Sprintf("%+v", doc), token) {
		t.Error("the token is in the document")
	}
	for _, e := range f.Outbox(t) {
		if strings.Contains(string(e.Data), token) || strings.Contains(string(e.Data), "grace@") {
			t.Errorf("an event tells %s", e.Data)
		}
	}
	_, err := f.Offer(t.Context(), doc.Value.Token)
	refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)
}

func TestALeftoverInvitationLetsNobodyBackIn(t *testing.T) {
	f := newFixture(t)
	ada := f.company(t, "acme", "ada")
	_, token := f.invite(t, ada, "grace@example.com", "member")
	grace := f.employ(t, "acme", "grace", "member") // as if the process had died after she joined
	_, err := f.Accept(t.Context(), grace, token)
	refused(t, err, http.StatusConflict, authapi.CodeAlreadyMember)
	_, err = f.Offer(t.Context(), token)
	refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)

	_, token = f.invite(t, ada, "eve@example.com", "member")
	f.employ(t, "acme", "eve", "member")
	if err := f.Remove(t.Context(), ada, "eve"); err != nil {
		t.Fatal(err)
	}
	_, err = f.Register(t.Context(), token, newcomer)
	refused(t, err, http.StatusNotFound, authapi.CodeInvitationInvalid)
}
