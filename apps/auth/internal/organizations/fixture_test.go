package organizations

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// fixture is a service on a real database, and what stands around it.
type fixture struct {
	*authtest.World
	*Service
	people *accounts.Accounts
	roster *roster
	mails  *outgoing
	begun  signIns
	ended  endings
	erased []string // people
	bared  []string // people whose credentials were dropped
	// eraseFails makes the other modules' erasure fail.
	eraseFails error
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{World: authtest.New(t), mails: &outgoing{}}
	people, err := accounts.Open(t.Context(), f.DB)
	if err != nil {
		t.Fatal(err)
	}
	f.people, f.roster = people, &roster{people: people, now: f.Now}
	f.Service = f.process(t)
	return f
}

// process is another process on the same data.
func (f *fixture) process(t testing.TB) *Service {
	t.Helper()
	s, err := Open(t.Context(), Config{
		DB: f.DB, Accounts: f.people, Roster: f.roster, SignIns: &f.begun, Sessions: &f.ended, Mails: f.mails,
		Password: func(_ context.Context, _, _, password string) (string, error) {
			if len(password) < 12 {
				return "", problem.New(http.StatusUnprocessableEntity, authapi.CodeWeakPassword, "too short")
			}
			return "hash of " + password, nil
		},
		DropCredentials: func(_ context.Context, user string) error {
			f.bared = append(f.bared, user)
			return nil
		},
		Erase: []func(context.Context, string) error{func(context.Context, string) error { return f.eraseFails }},
		ErasePerson: func(ctx context.Context, user string) error {
			f.erased = append(f.erased, user)
			return f.people.Users.Delete(ctx, user, 0)
		},
		Groups: []topology.Group{topology.Auth, topology.Analytics, topology.ML},
		Plans:  DefaultPlans(), Emit: f.Emit(), Now: f.Now, NewID: f.NewID, Random: rand.Reader,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// own are limits of one organization.
type own = map[quota.Resource]int64

// found registers an organization.
func (f *fixture) found(t testing.TB, id string) {
	t.Helper()
	_, err := f.people.Organizations.Insert(t.Context(), id, accounts.Organization{
		Name: "The " + id + " company", Plan: authapi.DefaultPlan, CreatedAt: store.At(f.Now()),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// employ gives user, who gets an account if they have none, a membership.
func (f *fixture) employ(t testing.TB, organization, user string, roles ...string) identity.Principal {
	t.Helper()
	_, err := f.people.Users.Insert(t.Context(), user, accounts.User{Email: user + "@example.com", FirstName: user, LastName: "Byron", CreatedAt: store.At(f.Now())})
	if err != nil && !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	_, err = f.people.Memberships.Insert(t.Context(), accounts.MembershipID(organization, user), accounts.Membership{
		User: user, Organization: organization, Roles: roles, CreatedAt: store.At(f.Now()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return identity.Principal{Subject: user, Organization: organization, Roles: roles, Session: "session of " + user}
}

// company is an organization with an owner.
func (f *fixture) company(t testing.TB, id, owner string) identity.Principal {
	t.Helper()
	f.found(t, id)
	return f.employ(t, id, owner, identity.Owner)
}

// told are the data of the stored events of one topic.
func told[T any](t testing.TB, w *authtest.World, topic events.Topic[T]) []T {
	t.Helper()
	all := []T{}
	for _, e := range w.Outbox(t) {
		if e.Type != topic.Name {
			continue
		}
		var data T
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// recorded are the actions in the audit log.
func (f *fixture) recorded(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, entry := range told(t, f.World, audit.Recorded) {
		all = append(all, entry.Action)
	}
	return all
}

// refused fails unless err is a problem with status and code.
func refused(t testing.TB, err error, status int, code string) {
	t.Helper()
	if problem.Code(err) != code || problem.From(err).Status != status {
		t.Errorf("%v; want %d %s", err, status, code)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// roster is what the module needs of rbac, in little: one at a time.
type roster struct {
	people *accounts.Accounts
	now    func() time.Time
	mu     sync.Mutex
}

func (r *roster) MayGive(_ context.Context, by identity.Principal, roles []string) error {
	for _, role := range roles {
		carries := identity.BuiltInRoles()[role]
		if carries == nil {
			return problem.Invalid("body.roles", "no such role")
		}
		if role == identity.Owner && !slices.Contains(by.Roles, identity.Owner) {
			return problem.New(http.StatusForbidden, authapi.CodeOwnersOnly, "owners only")
		}
		if !slices.ContainsFunc(carries, by.Can) {
			return problem.New(http.StatusForbidden, authapi.CodeNotHeld, "not yours to give")
		}
	}
	return nil
}

func (r *roster) Join(ctx context.Context, organization, user string, roles []string, messages ...store.Message) error {
	_, err := r.people.Memberships.Insert(ctx, accounts.MembershipID(organization, user), accounts.Membership{
		User: user, Organization: organization, Roles: roles, CreatedAt: store.At(r.now()),
	}, messages...)
	if errors.Is(err, store.ErrExists) {
		return problem.New(http.StatusConflict, authapi.CodeAlreadyMember, "a member already")
	}
	return err
}

func (r *roster) Leave(ctx context.Context, by identity.Principal, user string, messages ...store.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	owners := []string{}
	err := r.people.Memberships.Each(ctx, membersOf(by.Organization), func(doc store.Doc[accounts.Membership]) error {
		if slices.Contains(doc.Value.Roles, identity.Owner) {
			owners = append(owners, doc.Value.User)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if slices.Equal(owners, []string{user}) {
		return problem.New(http.StatusConflict, authapi.CodeLastOwner, "the last owner")
	}
	return r.people.Memberships.Delete(ctx, accounts.MembershipID(by.Organization, user), 0, messages...)
}

// signIns are the attempts that began.
type signIns []signin.Attempt

func (s *signIns) Begin(_ context.Context, a signin.Attempt) (*authapi.SignIn, error) {
	*s = append(*s, a)
	return &authapi.SignIn{AccessToken: "token for " + a.Organization}, nil
}

// endings are the users whose sessions ended, the organizations in which they did, and why.
type endings [][3]string

// SignedInAt is early: everybody signed in when the world began.
func (*endings) SignedInAt(context.Context, string, string) (time.Time, error) {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), nil
}

func (e *endings) RevokeIn(_ context.Context, user, organization string, reason authapi.RevocationReason) error {
	*e = append(*e, [3]string{user, organization, string(reason)})
	return nil
}

// outgoing are the invitations that were mailed. It fails with err.
type outgoing struct {
	sent []mails.Invitation
	to   []string
	err  error
}

func (o *outgoing) Invitation(_ context.Context, to mails.Recipient, in mails.Invitation) error {
	if o.err != nil {
		return o.err
	}
	o.sent, o.to = append(o.sent, in), append(o.to, to.Email)
	return nil
}

// post mails what was issued and is not mailed yet, and returns the latest token.
func (f *fixture) post(t testing.TB) string {
	t.Helper()
	issued := told(t, f.World, authapi.InvitationIssued)
	for _, data := range issued[len(f.mails.sent):] {
		if err := f.Mail(t.Context(), events.Event[authapi.InvitationIssuedData]{Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	return f.mails.sent[len(f.mails.sent)-1].Link.Token
}
