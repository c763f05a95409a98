package scenario

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

const organizations = "/api/auth/organizations"

// Join lets a new person, whose vars are theirs, join the organization of ours with a role, by an invitation, and sign in.
// Beside what Register saves, theirs gets "joined", the id of the organization.
func Join(t *testing.T, site Site, ours, theirs map[string]string, name, role string) {
	t.Helper()
	theirs["email"], theirs["password"] = fmt.Sprintf("%s-%d@example.com", name, time.Now().UnixNano()), "correct horse battery "+name
	ours["invited"] = theirs["email"]
	Play(t, site, ours, []Step{Invite("${invited}", role)})
	Play(t, site, theirs, []Step{
		site.Mail("${email}", "You are invited to Tandem", "invitation token", linkToken),
		{
			Name: name + " joins", Method: http.MethodPost, Path: organizations + "/invitations/register", Want: http.StatusCreated,
			Body: map[string]string{"token": "${invitation token}", "first_name": "Grace", "last_name": "Hopper", "password": "${password}"},
			Has:  map[string]any{"user.email": "${email}", "user.email_verified": true, "user.roles.0": role}, Lacks: []string{"${password}"},
			Save: map[string]string{"user": "user.id", "joined": "organization.id"},
		},
		Login(nil),
	})
}

// Invite invites somebody. It saves "invitation".
func Invite(email, role string) Step {
	return Step{
		Name: "invite", Method: http.MethodPost, Path: organizations + "/invitations", Want: http.StatusCreated, Body: map[string]any{"email": email, "roles": []string{role}},
		Has: map[string]any{"email": email, "roles.0": role, "expires_at": Present}, Save: map[string]string{"invitation": "id"},
	}
}

// Organizations is about who works for an organization: people who are invited and join with a new account or with the one that
// they have, switch, leave and are removed; and about its end.
func Organizations(t *testing.T, site Site) {
	ours, grace, linus := map[string]string{}, map[string]string{}, map[string]string{}
	Play(t, site, ours, Register(ours, "organizations"))
	Play(t, site, linus, Register(linus, "linus"))
	rename := func(match, name string) Step {
		return Step{
			Name: "rename", Method: http.MethodPatch, Path: organizations + "/current", Header: map[string]string{"If-Match": match}, Body: map[string]string{"name": name},
			Want: http.StatusOK, Has: map[string]any{"name": name, "header:ETag": Present},
		}
	}
	Play(t, site, ours, []Step{
		{Name: "its profile", Method: http.MethodGet, Path: organizations + "/current", Want: http.StatusOK, Has: map[string]any{"id": "${organization}", "plan": "free", "erase_at": nil}, Save: map[string]string{"etag": "header:ETag"}},
		rename("${etag}", "Analytical Engines"),
		not(rename("${etag}", "Difference Engines"), "renamed since it was read", http.StatusPreconditionFailed, "precondition_failed"),
		not(Invite("grace@example.com", "no-such-role"), "no such role", http.StatusUnprocessableEntity, "validation_failed"),
		not(Invite("${email}", "viewer"), "a member already", http.StatusConflict, "already_member"),
	})

	Join(t, site, ours, grace, "grace", "viewer")
	Play(t, site, grace, []Step{
		{Name: "where grace is", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"organization.id": ours["organization"], "organization.name": "Analytical Engines", "roles.0": "viewer"}},
		{Name: "another group lets her read", Method: http.MethodGet, Path: "/api/integrations/records/orders", Want: http.StatusOK},
		not(Invite("friend@example.com", "viewer"), "she may not invite", http.StatusForbidden, "permission_denied"),
		{Name: "a token is good once", Method: http.MethodPost, Path: organizations + "/invitations/register", Want: http.StatusNotFound, Body: map[string]string{"token": "${invitation token}", "first_name": "Grace", "last_name": "Hopper", "password": "${password}"}, Has: code("invitation_invalid")},
	})

	ours["invited"] = linus["email"]
	accept := Step{
		Name: "accept", Method: http.MethodPost, Path: organizations + "/invitations/accept", Want: http.StatusOK, Body: map[string]string{"token": "${invitation token}"},
		Has: map[string]any{"name": "Analytical Engines", "current": false, "roles.0": "member"}, Save: map[string]string{"joined": "id"},
	}
	again := not(Invite("${invited}", "member"), "invited already", http.StatusConflict, "already_invited")
	Play(t, site, ours, []Step{
		Invite("${invited}", "member"), again,
		{Name: "too soon to mail it again", Method: http.MethodPost, Path: organizations + "/invitations/${invitation}/resend", Want: http.StatusTooManyRequests, Has: map[string]any{"code": "rate_limited", "header:Retry-After": Present}},
		{Name: "it waits", Method: http.MethodGet, Path: organizations + "/invitations", Want: http.StatusOK, Has: map[string]any{"items.#": 1, "items.0.email": "${invited}"}, Lacks: []string{"token"}},
	})
	Play(t, site, linus, []Step{
		site.Mail("${email}", "You are invited to Tandem", "invitation token", linkToken),
		{Name: "what it is for", Method: http.MethodGet, Path: organizations + "/invitations/${invitation token}", Header: map[string]string{"Authorization": ""}, Want: http.StatusOK, Has: map[string]any{"organization": "Analytical Engines", "has_account": true}},
		{Name: "a made-up token", Method: http.MethodGet, Path: organizations + "/invitations/q0mGg3fH9l3m0bC1V8tq8w5Hq2yqv2J6m3uZr1xkT4A", Header: map[string]string{"Authorization": ""}, Want: http.StatusNotFound, Has: code("invitation_invalid")},
	})
	grace["invitation token"] = linus["invitation token"]
	Play(t, site, grace, []Step{not(accept, "not for her", http.StatusForbidden, "invitation_for_other")})
	Play(t, site, linus, []Step{
		accept,
		not(accept, "a second time", http.StatusNotFound, "invitation_invalid"),
		{Name: "two organizations", Method: http.MethodGet, Path: organizations, Want: http.StatusOK, Has: map[string]any{"items.#": 2, "items.0.current": true, "items.1.id": "${joined}"}},
		{Name: "switch", Method: http.MethodPost, Path: organizations + "/${joined}/switch", Want: http.StatusOK, Save: map[string]string{"there": "access_token"}},
		{Name: "there", Method: http.MethodGet, Path: me, Header: with("there"), Want: http.StatusOK, Has: map[string]any{"organization.id": "${joined}", "roles.0": "member"}},
		{Name: "and still here", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"organization.id": "${organization}", "roles.0": "owner"}},
		{Name: "login to one of them", Method: http.MethodPost, Path: "/api/auth/login", Header: map[string]string{"Authorization": ""}, Body: map[string]string{"email": "${email}", "password": "${password}", "organization_id": "${joined}"}, Want: http.StatusOK, Save: map[string]string{"there": "access_token"}},
		{Name: "it is that one", Method: http.MethodGet, Path: me, Header: with("there"), Want: http.StatusOK, Has: map[string]any{"organization.id": "${joined}"}},
	})
	grace["other"], ours["grace"], ours["linus"] = linus["organization"], grace["user"], linus["user"]
	Play(t, site, grace, []Step{
		{Name: "she does not work there", Method: http.MethodPost, Path: organizations + "/${other}/switch", Want: http.StatusNotFound, Has: code("not_found")},
		{Name: "nor can she sign in there", Method: http.MethodPost, Path: "/api/auth/login", Header: map[string]string{"Authorization": ""}, Body: map[string]string{"email": "${email}", "password": "${password}", "organization_id": "${other}"}, Want: http.StatusForbidden, Has: code("no_organization")},
		{Name: "a viewer removes nobody", Method: http.MethodDelete, Path: organizations + "/members/${user}", Want: http.StatusForbidden, Has: code("permission_denied")},
	})

	Play(t, site, ours, []Step{
		{Name: "three members", Method: http.MethodGet, Path: organizations + "/members", Want: http.StatusOK, Has: map[string]any{"items.#": 3, "items.0.id": "${user}", "items.1.id": "${grace}", "items.2.id": "${linus}"}},
		{Name: "the last owner stays", Method: http.MethodPost, Path: organizations + "/leave", Want: http.StatusConflict, Has: code("last_owner")},
		{Name: "remove grace", Method: http.MethodDelete, Path: organizations + "/members/${grace}", Want: http.StatusNoContent},
		{Name: "she is gone", Method: http.MethodGet, Path: organizations + "/members/${grace}", Want: http.StatusNotFound, Has: code("not_found")},
	})
	Play(t, site, grace, gone("token"))
	Play(t, site, grace, []Step{{
		Name: "nowhere to sign in to", Method: http.MethodPost, Path: "/api/auth/login", Header: map[string]string{"Authorization": ""}, Want: http.StatusForbidden,
		Body: map[string]string{"email": "${email}", "password": "${password}"}, Has: code("no_organization"),
	}})
	Play(t, site, linus, []Step{{Name: "leave", Method: http.MethodPost, Path: organizations + "/leave", Header: with("there"), Want: http.StatusNoContent}})
	Play(t, site, linus, gone("there"))
	Play(t, site, linus, []Step{{Name: "his own is untouched", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"organization.id": "${organization}"}}})
}

// gone are steps that wait until the token of who is no member any more is refused, by auth and by another group: as that of
// nobody, or of a session that has ended.
func gone(name string) []Step {
	steps := refused(name, "")
	for i := range steps {
		steps[i].Has = nil
	}
	return steps
}

// ChangePlan is what whoever bills does: vars["operator"], of Site.Operator.
func ChangePlan(plan string) Step {
	return Step{
		Name: "whoever bills changes the plan", Method: http.MethodPut, Path: organizations + "/plan", Header: with("operator"), Want: http.StatusOK,
		Body: map[string]string{"organization_id": "${organization}", "plan": plan}, Has: map[string]any{"plan": plan},
	}
}

// Plans is about limits: what is over them is refused by the group that would have it, and says so.
func Plans(t *testing.T, site Site) {
	operator, err := site.Operator()
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"operator": operator}
	Play(t, site, vars, Register(vars, "plans"))
	for i := range 3 {
		vars["shop"] = fmt.Sprintf("plan-%d", i)
		Play(t, site, vars, Connect()[:1])
	}
	vars["shop"] = "one-too-many"
	change := ChangePlan("team")
	byOwner := change
	byOwner.Header = nil
	Play(t, site, vars, []Step{
		not(Connect()[0], "a fourth", http.StatusPaymentRequired, "quota_exceeded"),
		{Name: "what is used", Method: http.MethodGet, Path: organizations + "/usage", Want: http.StatusOK, Has: map[string]any{
			"plan": "free", "items.0.resource": "members", "items.0.used": 1, "items.0.limit": 5, "items.1.resource": "connections", "items.1.used": 3, "items.1.limit": 3,
		}},
		{Name: "API calls are counted", Method: http.MethodGet, Path: organizations + "/usage", Want: http.StatusOK, Within: 30 * time.Second, Has: map[string]any{
			"items.3.resource": "api_calls", "items.3.metered": true, "items.3.used": func(got string) error {
				if got == "0" || got == "" {
					return fmt.Errorf("%q calls are counted", got)
				}
				return nil
			},
		}},
		not(byOwner, "owners do not", http.StatusForbidden, "permission_denied"),
		change, Connect()[0],
	})
}

// Ending is about deleting an organization: nobody can use it from then on, until an owner restores it.
func Ending(t *testing.T, site Site) {
	ours, grace := map[string]string{}, map[string]string{}
	Play(t, site, ours, Register(ours, "ending"))
	Join(t, site, ours, grace, "colleague", "admin")
	remove := Step{Name: "delete", Method: http.MethodDelete, Path: organizations + "/current", Want: http.StatusOK, Has: map[string]any{"id": "${organization}", "erase_at": Present}}
	restore := Step{Name: "restore", Method: http.MethodPost, Path: organizations + "/current/restore", Want: http.StatusOK, Has: map[string]any{"erase_at": nil}}
	work := func(name string, status int) Step {
		return Step{Name: name, Method: http.MethodGet, Path: "/api/integrations/records/orders", Want: status, Within: heeded}
	}
	halted := func(name string) Step {
		s := work(name, http.StatusForbidden)
		s.Has, s.Contains = code("organization_deleting"), "/api/auth/organizations/current/restore"
		return s
	}
	atOnce := func(s Step) Step {
		s.Within = 0
		return s
	}
	Play(t, site, ours, []Step{not(remove, "not without a second factor", http.StatusUnauthorized, "step_up_required")})
	Play(t, site, grace, Enrol())
	Play(t, site, grace, []Step{not(remove, "owners only", http.StatusForbidden, "owners_only")})
	Play(t, site, ours, Enrol())
	Play(t, site, ours, []Step{remove, halted("nothing to be done in it")})
	Play(t, site, grace, []Step{halted("not for her either"), not(restore, "owners only", http.StatusForbidden, "owners_only")})
	Play(t, site, ours, []Step{
		{Name: "until when", Method: http.MethodGet, Path: organizations + "/current", Want: http.StatusOK, Has: map[string]any{"erase_at": Present}},
		restore, atOnce(work("as before", http.StatusOK)),
	})
	Play(t, site, grace, []Step{atOnce(work("for her too", http.StatusOK))})
}
