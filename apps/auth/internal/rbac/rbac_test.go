package rbac

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const acme = "acme"

// office is an organization to test with.
type office struct {
	*authtest.World
	*Service
	accounts *accounts.Accounts
	rights   *access.Service
}

// open is an office with members, as {"ada": {"owner"}}.
func open(t testing.TB, members map[string][]string) *office {
	t.Helper()
	w := authtest.New(t)
	a, err := accounts.Open(t.Context(), w.DB)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{DB: w.DB, Accounts: a, Emit: w.Emit(), Now: w.Now, NewID: w.NewID})
	if err != nil {
		t.Fatal(err)
	}
	rights, err := access.Open(t.Context(), access.Config{DB: w.DB, Accounts: a, Sources: []access.Source{s}, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	o := &office{w, s, a, rights}
	o.hire(t, acme, members)
	return o
}

// hire puts members into an organization.
func (o *office) hire(t testing.TB, organization string, members map[string][]string) {
	t.Helper()
	if _, err := o.accounts.Organizations.Insert(t.Context(), organization, accounts.Organization{Name: organization}); err != nil && !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	for user, roles := range members {
		_, err := o.accounts.Users.Insert(t.Context(), user, accounts.User{Email: user + "@example.com"})
		if err != nil && !errors.Is(err, store.ErrExists) {
			t.Fatal(err)
		}
		_, err = o.accounts.Memberships.Insert(t.Context(), accounts.MembershipID(organization, user),
			accounts.Membership{User: user, Organization: organization, Roles: roles})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// as is user acting, with tokens narrowed to scope.
func as(user string, scope ...string) identity.Principal {
	return identity.Principal{Subject: user, Organization: acme, Session: "s", Scope: scope}
}

func always(int64) error { return nil }

// may is what user may do in acme.
func (o *office) may(t testing.TB, user string) identity.Access {
	t.Helper()
	a, err := o.rights.Of(t.Context(), acme, user)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// roles are those that the membership of user says, nil for who is no member.
func (o *office) roles(t testing.TB, user string) []string {
	t.Helper()
	m, err := o.accounts.Membership(t.Context(), acme, user)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return m.Value.Roles
}

func (o *office) role(t testing.TB, name string, permissions ...string) {
	t.Helper()
	if _, _, err := o.CreateRole(t.Context(), as("ada"), name, Definition{Permissions: permissions}); err != nil {
		t.Fatal(err)
	}
}

func (o *office) assign(t testing.TB, user string, roles ...string) {
	t.Helper()
	if err := o.Assign(t.Context(), as("ada"), user, roles, always); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, status int, code string) {
	t.Helper()
	if problem.Code(err) != code || code != "" && problem.From(err).Status != status {
		t.Errorf("error is %v; want %d %s", err, status, code)
	}
}

// told are the changes of roles that were stored since the last time.
func (o *office) told(t testing.TB) (changes []authapi.RoleChangedData, subjects []string, actions []string) {
	t.Helper()
	for _, e := range o.Outbox(t) {
		switch e.Type {
		case authapi.RoleChanged.Name:
			changes = append(changes, decoded[authapi.RoleChangedData](t, e))
		case authapi.AccessChanged.Name:
			subjects = append(subjects, decoded[authapi.AccessChangedData](t, e).Subject)
		case audit.Recorded.Name:
			entry := decoded[audit.Entry](t, e)
			actions = append(actions, entry.Action+" "+entry.Resource)
		}
		if err := o.DB.Outbox().Done(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	return changes, subjects, actions
}

func decoded[T any](t testing.TB, e events.Raw) (data T) {
	t.Helper()
	if e.Organization != acme {
		t.Errorf("%s of organization %q", e.Type, e.Organization)
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRolesCarryPermissions(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}})
	o.role(t, "campaigner", "analytics.campaigns:write", "analytics.*:read")
	o.assign(t, "bob", "campaigner", "viewer")

	a := o.may(t, "bob")
	for permission, want := range map[string]bool{
		"analytics.campaigns:write": true, "analytics.dashboard:read": true, "ml.models:read": true, "auth.sessions:write": true,
		"analytics.dashboard:write": false, "auth.rbac:write": false,
	} {
		if a.Can(permission) != want {
			t.Errorf("%s: %v", permission, !want)
		}
	}
	if slices.Contains(a.Permissions, "analytics.*:read") {
		t.Errorf("%v has what *:read covers", a.Permissions)
	}
	if _, _, err := o.UpdateRole(t.Context(), as("ada"), "campaigner", Definition{Permissions: []string{"ml.*:write"}}, always); err != nil {
		t.Fatal(err)
	}
	if a := o.may(t, "bob"); a.Can("analytics.campaigns:write") || !a.Can("ml.models:write") {
		t.Errorf("after the role changed: %v", a.Permissions)
	}
}

func TestEveryChangeIsTold(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}})
	var id string
	for _, step := range []struct {
		do      func() error
		change  authapi.RoleChangedData
		subject []string // whose access changes; nil for nobody's
		action  string
	}{{
		do: func() error {
			_, _, err := o.CreateRole(t.Context(), as("ada"), "campaigner", Definition{Permissions: []string{"ml.*:write"}})
			return err
		},
		change: authapi.RoleChangedData{Change: authapi.RoleCreated, Role: "campaigner"}, action: "auth.rbac.create role:campaigner",
	}, {
		do:     func() error { return o.Assign(t.Context(), as("ada"), "bob", []string{"viewer", "campaigner"}, always) },
		change: authapi.RoleChangedData{Change: authapi.RolesAssigned, UserID: "bob", Roles: []string{"campaigner", "viewer"}}, subject: []string{"bob"},
		action: "auth.rbac.assign user:bob",
	}, {
		do: func() error {
			_, _, err := o.UpdateRole(t.Context(), as("ada"), "campaigner", Definition{Permissions: []string{"*:read"}}, always)
			return err
		},
		change: authapi.RoleChangedData{Change: authapi.RoleUpdated, Role: "campaigner"}, subject: []string{""}, action: "auth.rbac.update role:campaigner",
	}, {
		do: func() error {
			g, err := o.Grant(t.Context(), as("ada"), NewGrant{User: "bob", Permission: "ml.models:write", Resource: "m1"})
			if err == nil {
				id = g.ID
			}
			return err
		},
		change: authapi.RoleChangedData{Change: authapi.GrantGiven, UserID: "bob", Grant: "?"}, subject: []string{"bob"}, action: "auth.rbac.grant user:bob",
	}, {
		do:     func() error { return o.Withdraw(t.Context(), as("ada"), id) },
		change: authapi.RoleChangedData{Change: authapi.GrantWithdrawn, UserID: "bob", Grant: "?"}, subject: []string{"bob"}, action: "auth.rbac.withdraw user:bob",
	}, {
		do:     func() error { return o.Assign(t.Context(), as("ada"), "bob", []string{"viewer"}, always) },
		change: authapi.RoleChangedData{Change: authapi.RolesAssigned, UserID: "bob", Roles: []string{"viewer"}}, subject: []string{"bob"},
		action: "auth.rbac.assign user:bob",
	}, {
		do:     func() error { return o.DeleteRole(t.Context(), as("ada"), "campaigner", always) },
		change: authapi.RoleChangedData{Change: authapi.RoleDeleted, Role: "campaigner"}, action: "auth.rbac.delete role:campaigner",
	}, {
		do:     func() error { return o.Leave(t.Context(), as("ada"), "bob") },
		change: authapi.RoleChangedData{Change: authapi.MemberLeft, UserID: "bob"}, subject: []string{"bob", "bob"}, // before and after the membership went
	}, {
		do:     func() error { return o.Join(t.Context(), acme, "bob", []string{"member"}) },
		change: authapi.RoleChangedData{Change: authapi.MemberJoined, UserID: "bob", Roles: []string{"member"}}, subject: []string{"bob"},
	}} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.change.Change, err)
		}
		changes, subjects, actions := o.told(t)
		want := step.change
		want.OrganizationID, want.At = acme, o.Now()
		var wantActions []string
		if step.action != "" {
			wantActions = []string{step.action}
		}
		if want.Grant == "?" {
			want.Grant = id
		}
		if len(changes) != 1 || !reflect.DeepEqual(changes[0], want) || !slices.Equal(subjects, step.subject) || !slices.Equal(actions, wantActions) {
			t.Errorf("told %+v, access of %q, %q; want %+v, %q, %q", changes, subjects, actions, want, step.subject, wantActions)
		}
	}
	if err := o.Assign(t.Context(), as("ada"), "bob", []string{"member"}, always); err != nil {
		t.Fatal(err)
	}
	if changes, subjects, _ := o.told(t); changes != nil || subjects != nil {
		t.Errorf("an assignment of what was there already told %v", changes)
	}
}

func TestNobodyGivesWhatTheyLack(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "adam": {"admin"}, "max": {"manager"}, "bob": {"viewer"}})
	o.role(t, "personnel", "auth.rbac:write", "analytics.*:read")
	o.role(t, "analyst", "analytics.*:read")
	o.role(t, "planner", "analytics.*:write")
	o.hire(t, acme, map[string][]string{"pia": {"personnel"}, "ann": {"planner"}})
	key := identity.Principal{Subject: "key:k", Key: "k", Organization: acme, Access: &identity.Access{Permissions: []string{"analytics.*:read", "auth.rbac:write"}}}
	tomorrow := o.Now().Add(24 * time.Hour)
	grant := func(by identity.Principal, permission string) func() error {
		return func() error {
			_, err := o.Grant(t.Context(), by, NewGrant{"bob", permission, "r", &tomorrow})
			return err
		}
	}
	assign := func(by identity.Principal, user string, roles ...string) func() error {
		return func() error { return o.Assign(t.Context(), by, user, roles, always) }
	}
	create := func(by identity.Principal, name string, permissions ...string) func() error {
		return func() error {
			_, _, err := o.CreateRole(t.Context(), by, name, Definition{Permissions: permissions})
			return err
		}
	}
	update := func(by identity.Principal, name string, permissions ...string) func() error {
		return func() error {
			_, _, err := o.UpdateRole(t.Context(), by, name, Definition{Permissions: permissions}, always)
			return err
		}
	}
	for name, test := range map[string]struct {
		do   func() error
		code string
	}{
		"a role with more":                   {create(as("pia"), "r1", "analytics.*:read", "analytics.dashboard:write"), authapi.CodeNotHeld},
		"a role with every action":           {create(as("pia"), "r2", "analytics.dashboard:*"), authapi.CodeNotHeld},
		"a role with every group":            {create(as("pia"), "r3", "*:read"), authapi.CodeNotHeld},
		"a role with less":                   {create(as("pia"), "r4", "analytics.dashboard:read"), ""},
		"more for a role of one's own":       {update(as("pia"), "personnel", "*:*"), authapi.CodeNotHeld},
		"less for a role with more":          {update(as("pia"), "planner", "analytics.*:read"), authapi.CodeNotHeld},
		"less for a role with as much":       {update(as("pia"), "analyst", "analytics.dashboard:read"), ""},
		"a role with more to oneself":        {assign(as("pia"), "pia", "personnel", "manager"), authapi.CodeNotHeld},
		"a role with more to another":        {assign(as("pia"), "bob", "viewer", "planner"), authapi.CodeNotHeld},
		"taking a role with more":            {assign(as("pia"), "ann", "analyst"), authapi.CodeNotHeld},
		"a role with as much":                {assign(as("pia"), "pia", "personnel", "analyst"), ""},
		"a grant of more":                    {grant(as("pia"), "integrations.sync:write"), authapi.CodeNotHeld},
		"a grant of as much":                 {grant(as("pia"), "analytics.dashboard:read"), ""},
		"within a token's scope":             {grant(as("ada", "analytics.*:read", "auth.rbac:write"), "analytics.dashboard:read"), ""},
		"beyond a token's scope":             {grant(as("ada", "analytics.*:read", "auth.rbac:write"), "ml.models:read"), authapi.CodeNotHeld},
		"an owner by a narrow token":         {assign(as("ada", "auth.*:*"), "bob", "owner"), authapi.CodeOwnersOnly},
		"an owner by an administrator":       {assign(as("adam"), "adam", "owner"), authapi.CodeOwnersOnly},
		"no owner by an administrator":       {assign(as("adam"), "ada", "admin"), authapi.CodeOwnersOnly},
		"the owner removed by administrator": {func() error { return o.Leave(t.Context(), as("adam"), "ada") }, authapi.CodeOwnersOnly},
		"who has more, removed":              {func() error { return o.Leave(t.Context(), as("pia"), "max") }, authapi.CodeNotHeld},
		"by an API key, as much":             {grant(key, "analytics.dashboard:read"), ""},
		"by an API key, more":                {grant(key, "ml.models:read"), authapi.CodeNotHeld},
		"an owner by an API key":             {assign(identity.Principal{Subject: "key:k", Key: "k", Organization: acme, Access: &identity.Access{Permissions: []string{"*:*"}}}, "max", "owner"), authapi.CodeOwnersOnly},
		"an invitation with more":            {func() error { return o.MayGive(t.Context(), as("pia"), []string{"manager"}) }, authapi.CodeNotHeld},
		"an invitation with as much":         {func() error { return o.MayGive(t.Context(), as("pia"), []string{"analyst"}) }, ""},
		"an invitation with no such role":    {func() error { return o.MayGive(t.Context(), as("pia"), []string{"king"}) }, problem.CodeValidation},
		"by who is no member":                {grant(as("eve"), "analytics.dashboard:read"), problem.CodeForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			status := 403
			if test.code == problem.CodeValidation {
				status = 422
			}
			wantCode(t, test.do(), status, test.code)
		})
	}
	err := o.MayGive(t.Context(), as("pia"), []string{"planner"})
	if p := problem.From(err); len(p.Errors) != 1 || p.Errors[0].Location != "analytics.*:write" {
		t.Errorf("%v does not say what is lacking", err)
	}
}

func TestAnOrganizationKeepsAnOwner(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"admin"}, "old": {"owner"}})
	if _, err := o.accounts.Users.Update(t.Context(), "old", func(u *accounts.User) ([]store.Message, error) {
		at := store.At(o.Now())
		u.DisabledAt = &at // who has closed the account owns nothing any more
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, o.Assign(t.Context(), as("ada"), "ada", []string{"admin"}, always), 409, authapi.CodeLastOwner)
	wantCode(t, o.Leave(t.Context(), as("ada"), "ada"), 409, authapi.CodeLastOwner)
	if changes, _, _ := o.told(t); changes != nil {
		t.Errorf("told %v of what did not happen", changes)
	}
	o.assign(t, "ada", "owner", "viewer") // the owner may be more
	o.assign(t, "bob", "owner")
	if err := o.Leave(t.Context(), as("ada"), "ada"); err != nil {
		t.Fatal(err)
	}
	if got := o.roles(t, "ada"); got != nil {
		t.Errorf("who has left is %v", got)
	}
	wantCode(t, o.Leave(t.Context(), as("bob"), "bob"), 409, authapi.CodeLastOwner)
}

func TestAnotherOrganizationIsNotThere(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}})
	o.hire(t, "bolt", map[string][]string{"eve": {"owner"}})
	o.role(t, "campaigner", "*:read")
	g, err := o.Grant(t.Context(), as("ada"), NewGrant{User: "ada", Permission: "*:read", Resource: "r"})
	if err != nil {
		t.Fatal(err)
	}
	eve := identity.Principal{Subject: "eve", Organization: "bolt", Session: "s"}
	_, _, shown := o.Of(t.Context(), "bolt", "ada")
	_, _, role := o.Role(t.Context(), "bolt", "campaigner")
	_, _, update := o.UpdateRole(t.Context(), eve, "campaigner", Definition{Permissions: []string{"*:*"}}, always)
	_, one := o.OneGrant(t.Context(), "bolt", g.ID)
	for name, err := range map[string]error{
		"roles of a member": shown, "role": role, "update": update, "grant": one,
		"delete": o.DeleteRole(t.Context(), eve, "campaigner", always), "assign": o.Assign(t.Context(), eve, "ada", []string{"viewer"}, always),
		"leave": o.Leave(t.Context(), eve, "ada"), "withdraw": o.Withdraw(t.Context(), eve, g.ID),
	} {
		if problem.From(err).Status != 404 {
			t.Errorf("%s: %v; want 404", name, err)
		}
	}
	_, err = o.Grant(t.Context(), eve, NewGrant{User: "ada", Permission: "*:read", Resource: "r"})
	wantCode(t, err, 422, problem.CodeValidation)
	wantCode(t, o.Assign(t.Context(), eve, "eve", []string{"owner", "campaigner"}, always), 422, problem.CodeValidation)
	list, err := o.Grants(t.Context(), "bolt", "ada", "", "", 10)
	if err != nil || len(list.Items) != 0 {
		t.Errorf("grants of another organization: %+v, %v", list, err)
	}
}

func TestRolesAreChangedAsTheyWereRead(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}})
	_, first, err := o.CreateRole(t.Context(), as("ada"), "campaigner", Definition{Description: " Runs campaigns ", Permissions: []string{"ml.*:read"}})
	if err != nil {
		t.Fatal(err)
	}
	changed := errors.New("changed")
	read := func(at int64) func(int64) error {
		return func(version int64) error {
			if version != at {
				return changed
			}
			return nil
		}
	}
	v, second, err := o.UpdateRole(t.Context(), as("ada"), "campaigner", Definition{Permissions: []string{"ml.*:write"}}, read(first))
	if err != nil || second == first || !slices.Equal(v.Permissions, []string{"ml.*:write"}) {
		t.Fatalf("%+v %d, %v", v, second, err)
	}
	if _, _, err := o.UpdateRole(t.Context(), as("ada"), "campaigner", Definition{}, read(first)); !errors.Is(err, changed) {
		t.Errorf("update of what was changed: %v", err)
	}
	if err := o.DeleteRole(t.Context(), as("ada"), "campaigner", read(first)); !errors.Is(err, changed) {
		t.Errorf("deletion of what was changed: %v", err)
	}
	if err := o.DeleteRole(t.Context(), as("ada"), "campaigner", read(second)); err != nil {
		t.Fatal(err)
	}
	if _, again, err := o.CreateRole(t.Context(), as("ada"), "campaigner", Definition{Permissions: []string{"ml.*:read"}}); err != nil || again == first {
		t.Errorf("a role made anew is version %d as before, %v", again, err)
	}
	_, _, err = o.CreateRole(t.Context(), as("ada"), "campaigner", Definition{Permissions: []string{"ml.*:read"}})
	wantCode(t, err, 409, authapi.CodeRoleExists)
	_, _, err = o.CreateRole(t.Context(), as("ada"), "viewer", Definition{Permissions: []string{"ml.*:read"}})
	wantCode(t, err, 409, authapi.CodeRoleExists)
	_, _, err = o.UpdateRole(t.Context(), as("ada"), "viewer", Definition{Permissions: []string{"ml.*:read"}}, always)
	wantCode(t, err, 409, authapi.CodeRoleBuiltIn)
	wantCode(t, o.DeleteRole(t.Context(), as("ada"), "owner", always), 409, authapi.CodeRoleBuiltIn)

	_, version, err := o.Of(t.Context(), acme, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Assign(t.Context(), as("ada"), "bob", []string{"member"}, read(version)); err != nil {
		t.Fatal(err)
	}
	if err := o.Assign(t.Context(), as("ada"), "bob", []string{"manager"}, read(version)); !errors.Is(err, changed) {
		t.Errorf("assignment over another one: %v", err)
	}
}

func TestARoleInUseStays(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}})
	o.role(t, "campaigner", "ml.*:read")
	o.assign(t, "bob", "campaigner")
	err := o.DeleteRole(t.Context(), as("ada"), "campaigner", always)
	wantCode(t, err, 409, authapi.CodeRoleInUse)
	if p := problem.From(err); len(p.Errors) != 1 || p.Errors[0].Location != "bob" {
		t.Errorf("%v does not say who has it", err)
	}
	for i := range maxRoles - 1 {
		o.role(t, fmt.Sprintf("role-%d", i), "ml.*:read")
	}
	_, _, err = o.CreateRole(t.Context(), as("ada"), "one-more", Definition{Permissions: []string{"ml.*:read"}})
	wantCode(t, err, 409, authapi.CodeLimitReached)
	list, err := o.Roles(t.Context(), acme)
	if err != nil || len(list.Items) != 5+maxRoles || list.Items[0].Name != "owner" || !list.Items[4].BuiltIn || list.Items[5].Name != "campaigner" {
		t.Errorf("%d roles, %v", len(list.Items), err)
	}
}

func TestGrantsEnd(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}})
	end := o.Now().Add(time.Hour)
	give := func(permission, resource string, end *time.Time) *authapi.ResourceGrant {
		t.Helper()
		g, err := o.Grant(t.Context(), as("ada"), NewGrant{"bob", permission, resource, end})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	give("integrations.sync:write", "run-1", &end)
	lasting := give("integrations.*:write", "run-2", nil)
	a := o.may(t, "bob")
	if !a.CanOn("integrations.sync:write", "run-1", o.Now()) || a.CanOn("integrations.sync:write", "run-1", end) ||
		a.CanOn("integrations.sync:write", "run-3", o.Now()) || a.Can("integrations.sync:write") || !a.CanOn("integrations.sync:write", "run-2", end) {
		t.Errorf("grants are %+v", a.Grants)
	}
	for query, want := range map[[2]string]int{{"", ""}: 2, {"bob", ""}: 2, {"bob", "run-1"}: 1, {"", "run-2"}: 1, {"ada", ""}: 0} {
		if list, err := o.Grants(t.Context(), acme, query[0], query[1], "", 10); err != nil || len(list.Items) != want {
			t.Errorf("grants of %q: %+v, %v", query, list, err)
		}
	}
	o.Pass(time.Hour)
	if a := o.may(t, "bob"); len(a.Grants) != 1 || a.Grants[0].Resource != "run-2" {
		t.Errorf("after an hour: %+v", a.Grants)
	}
	o.Pass(time.Second)
	if err := o.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := o.Grants(t.Context(), acme, "", "", "", 10); err != nil || len(list.Items) != 1 || list.Items[0].ID != lasting.ID {
		t.Errorf("kept after their end: %+v, %v", list, err)
	}
	if err := o.Withdraw(t.Context(), as("ada"), lasting.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, o.Withdraw(t.Context(), as("ada"), lasting.ID), 404, problem.CodeNotFound)
	if a := o.may(t, "bob"); len(a.Grants) != 0 {
		t.Errorf("after it was withdrawn: %+v", a.Grants)
	}
	past := o.Now()
	_, err := o.Grant(t.Context(), as("ada"), NewGrant{"bob", "ml.*:read", "r", &past})
	wantCode(t, err, 422, problem.CodeValidation)
	_, err = o.Grant(t.Context(), as("ada"), NewGrant{"bob", "everything", "r", nil})
	wantCode(t, err, 422, problem.CodeValidation)
	for i := range maxGrants {
		give("ml.*:write", fmt.Sprintf("model-%d", i), nil)
	}
	_, err = o.Grant(t.Context(), as("ada"), NewGrant{"bob", "ml.*:read", "r", nil})
	wantCode(t, err, 409, authapi.CodeLimitReached)
}

func TestWhoComesBackBringsNothing(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"admin"}})
	if _, err := o.Grant(t.Context(), as("ada"), NewGrant{User: "bob", Permission: "ml.*:write", Resource: "model-1"}); err != nil {
		t.Fatal(err)
	}
	if err := o.Leave(t.Context(), as("ada"), "bob"); err != nil {
		t.Fatal(err)
	}
	_, err := o.Grant(t.Context(), as("ada"), NewGrant{User: "bob", Permission: "ml.*:write", Resource: "model-1"})
	wantCode(t, err, 422, problem.CodeValidation)
	wantCode(t, o.Join(t.Context(), acme, "bob", []string{"king"}), 422, problem.CodeValidation)
	if err := o.Join(t.Context(), acme, "bob", []string{"viewer"}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, o.Join(t.Context(), acme, "bob", []string{"owner"}), 409, authapi.CodeAlreadyMember)
	if a := o.may(t, "bob"); len(a.Grants) != 0 || a.Can("ml.models:write") {
		t.Errorf("bob may %+v", a)
	}
}

// TestAnAssignmentOutlivesItsProcess has decisions that were never carried out, because the process died.
func TestAnAssignmentOutlivesItsProcess(t *testing.T) {
	for name, finish := range map[string]func(*testing.T, *office, string) error{
		"by the event that tells of it": func(t *testing.T, o *office, user string) error {
			return o.Settle(t.Context(), events.Event[authapi.AccessChangedData]{Data: authapi.AccessChangedData{OrganizationID: acme, Subject: user}})
		},
		"by the next assignment": func(t *testing.T, o *office, user string) error {
			err := o.Assign(t.Context(), as("ada"), user, []string{"viewer"}, always)
			if user == "leo" && problem.From(err).Status == 404 { // has left, so there is nobody to assign to
				return nil
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"owner"}, "leo": {"member"}})
			if _, err := o.Grant(t.Context(), as("ada"), NewGrant{User: "leo", Permission: "ml.*:write", Resource: "r"}); err != nil {
				t.Fatal(err)
			}
			err := o.d.decide(t.Context(), acme, func(c *charter) ([]store.Message, error) {
				c.Pending = map[string]assignment{
					"bob": {ID: "1", Roles: []string{"viewer"}, At: store.At(o.Now())}, "leo": {ID: "2", At: store.At(o.Now())},
				}
				return nil, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if a := o.may(t, "bob"); a.Can("auth.rbac:write") {
				t.Errorf("bob, an owner no longer, may %v", a.Permissions)
			}
			if a := o.may(t, "leo"); len(a.Permissions)+len(a.Grants) != 0 {
				t.Errorf("leo, who leaves, may %+v", a)
			}
			wantCode(t, o.Leave(t.Context(), as("ada"), "ada"), 409, authapi.CodeLastOwner)
			for _, user := range []string{"bob", "leo"} {
				if err := finish(t, o, user); err != nil {
					t.Fatal(err)
				}
			}
			if got := o.roles(t, "bob"); !slices.Equal(got, []string{"viewer"}) {
				t.Errorf("bob is %v", got)
			}
			if got := o.roles(t, "leo"); got != nil {
				t.Errorf("leo is %v", got)
			}
			if list, err := o.Grants(t.Context(), acme, "leo", "", "", 10); err != nil || len(list.Items) != 0 {
				t.Errorf("leo's grants: %+v, %v", list, err)
			}
			if c, err := o.d.charter(t.Context(), acme); err != nil || len(c.Pending) != 0 {
				t.Errorf("pending: %v, %v", c.Pending, err)
			}
		})
	}
}
