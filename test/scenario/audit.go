package scenario

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const audit = "/api/auth/audit"

// loggedWithin is how long an entry may take from what it tells of to the log.
const loggedWithin = 30 * time.Second

// logged waits until the log says that something was done, or tried, with a result.
func logged(action, result string) Step {
	return Step{
		Name: "logged: " + action + " " + result, Method: http.MethodGet, Path: audit + "/entries?action=" + action + "&result=" + result, Want: http.StatusOK, Within: loggedWithin,
		Has: map[string]any{"items.0.action": action, "items.0.result": result, "items.0.hash": Present, "items.0.trace_id": Present},
	}
}

// AuditLog is about what the log of an organization tells, in one chain that can be proved, and what it does not tell.
func AuditLog(t *testing.T, site Site) {
	ours, theirs, grace := map[string]string{"shop": "audited"}, map[string]string{}, map[string]string{}
	Play(t, site, ours, Register(ours, "audit"))
	Play(t, site, theirs, Register(theirs, "unaudited"))
	Play(t, site, ours, Connect())
	Play(t, site, ours, Enrol())
	Join(t, site, ours, grace, "auditee", "viewer")
	ours["next"] = "see how they run, see how they run"
	Play(t, site, ours, []Step{
		{Name: "another password", Method: http.MethodPost, Path: password, Body: map[string]string{"current_password": "${password}", "password": "${next}"}, Want: http.StatusNoContent},
		Role("bookkeeper", "analytics.*:read"), Key("export", map[string]any{"scopes": []string{"analytics.*:read"}}),
	})
	Play(t, site, grace, []Step{
		not(Role("mine", "analytics.*:read"), "not for her", http.StatusForbidden, "permission_denied"),
		{Name: "nor to look at the log", Method: http.MethodGet, Path: audit + "/entries", Want: http.StatusForbidden, Has: code("permission_denied")},
	})
	denied := logged("auth.rbac.create", "denied")
	denied.Has["items.0.code"], denied.Has["items.0.actor.subject"] = "permission_denied", grace["user"]
	connected := logged("integrations.shopify.connect", "success")
	connected.Has["items.0.actor.subject"], connected.Has["items.0.actor.session"], connected.Has["items.0.address"] = "${user}", Present, Present
	secret := []string{"${password}", "${next}", "${token}", "${refresh}", "${secret}", "${export}", "${recovery 0}", "argon2", shopToken, "@example.com"}
	Play(t, site, ours, []Step{
		denied, connected, logged("auth.rbac.create", "success"), logged("auth.mfa.enrol", "success"), logged("auth.api-keys.create", "success"),
		logged("auth.organizations.invite", "success"), logged("auth.auth.sign-in", "success"), logged("auth.auth.change-password", "success"),
		{Name: "nothing secret in it, and no addresses", Method: http.MethodGet, Path: audit + "/entries?limit=200", Want: http.StatusOK, Lacks: secret, Save: map[string]string{"head": "items.0.hash"}},
		{Name: "newest first, by pages", Method: http.MethodGet, Path: audit + "/entries?limit=1", Want: http.StatusOK, Has: map[string]any{"items.#": 1}, Save: map[string]string{"cursor": "next_cursor", "latest": "items.0.sequence"}},
		{Name: "the page after", Method: http.MethodGet, Path: audit + "/entries?limit=1&cursor=${cursor}", Want: http.StatusOK, Has: map[string]any{"items.#": 1, "items.0.sequence": func(got string) error {
			if got == ours["latest"] {
				return fmt.Errorf("the record %s again", got)
			}
			return nil
		}}},
		{Name: "what somebody did", Method: http.MethodGet, Path: audit + "/entries?actor=" + grace["user"] + "&result=success", Want: http.StatusOK, Lacks: []string{"${user}"}},
		{Name: "the chain holds", Method: http.MethodGet, Path: audit + "/verify", Want: http.StatusOK, Has: map[string]any{"ok": true, "from": 1, "broken": nil, "head.hash": Present}},
		{Name: "as lines of JSON", Method: http.MethodGet, Path: audit + "/export", Want: http.StatusOK, Has: map[string]any{"header:Content-Type": "application/x-ndjson"}, Lacks: secret, Then: chained},
		{Name: "as a sheet", Method: http.MethodGet, Path: audit + "/export?format=csv&action=auth.rbac.", Want: http.StatusOK, Then: sheet},
		logged("auth.audit.export", "success"),
	})
	Play(t, site, theirs, []Step{
		{Name: "none of it is in another log", Method: http.MethodGet, Path: audit + "/entries?limit=200", Want: http.StatusOK, Lacks: []string{ours["user"], ours["organization"], ours["head"], grace["user"]}},
		{Name: "whose chain is its own", Method: http.MethodGet, Path: audit + "/verify", Want: http.StatusOK, Has: map[string]any{"ok": true}, Lacks: []string{ours["head"]}},
	})
}

// chained is an error unless each line of an export continues the one before.
func chained(_ context.Context, body []byte, _ map[string]string) error {
	before := ""
	lines := strings.Split(strings.TrimSpace(string(body)), "\n")
	for _, line := range lines {
		var entry struct{ Action, Previous, Hash string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return err
		}
		if entry.Previous != before || entry.Hash == "" || entry.Action == "" {
			return fmt.Errorf("after %s comes %s", before, line)
		}
		before = entry.Hash
	}
	if len(lines) < 5 {
		return fmt.Errorf("%d lines", len(lines))
	}
	return nil
}

// sheet is an error unless an export has a header and rows as long as it.
func sheet(_ context.Context, body []byte, _ map[string]string) error {
	rows, err := csv.NewReader(strings.NewReader(string(body))).ReadAll()
	if err != nil {
		return err
	}
	if len(rows) < 3 || !slices.Contains(rows[0], "action") || !strings.Contains(string(body), "auth.rbac.create") {
		return fmt.Errorf("%d rows under %v", len(rows), rows[0])
	}
	return nil
}

// policyPath is where the security policy is.
const policyPath = audit + "/policy"

// setPolicy demands of members what change makes of the policy that demands nothing.
func setPolicy(name string, change func(policy map[string]any)) Step {
	policy := map[string]any{
		"password": map[string]any{"min_length": 12, "require_upper": false, "require_lower": false, "require_digit": false, "require_symbol": false},
		"sessions": map[string]any{"idle_minutes": 0, "absolute_hours": 0},
		"mfa":      map[string]any{"required_roles": []string{}, "methods": []string{"passkey", "totp", "email", "sms", "recovery_code"}, "remember_days": 30},
		"networks": []string{}, "require_verified_email": false, "enforce_sso": false,
	}
	change(policy)
	return Step{Name: name, Method: http.MethodPut, Path: policyPath, Want: http.StatusOK, Body: policy, Save: map[string]string{"etag": "header:ETag"}}
}

// Policies is about what an organization demands of its members, and that it comes to pass.
func Policies(t *testing.T, site Site) {
	ours, grace := map[string]string{}, map[string]string{}
	Play(t, site, ours, Register(ours, "policies"))
	Join(t, site, ours, grace, "policed", "viewer")
	nothing := func(map[string]any) {}
	networks := func(prefixes ...string) func(map[string]any) {
		return func(p map[string]any) { p["networks"] = prefixes }
	}
	longer := func(p map[string]any) {
		p["password"] = map[string]any{"min_length": 20, "require_upper": false, "require_lower": false, "require_digit": true, "require_symbol": false}
	}
	stale := setPolicy("", nothing)
	stale.Header = map[string]string{"If-Match": `"99"`}
	Play(t, site, ours, []Step{
		{Name: "nothing is demanded", Method: http.MethodGet, Path: policyPath, Want: http.StatusOK, Has: map[string]any{"password.min_length": 12, "mfa.required_roles.#": 0, "networks.#": 0}},
		not(setPolicy("", nothing), "not without a second factor", http.StatusUnauthorized, "step_up_required"),
	})
	Play(t, site, ours, Enrol())
	Play(t, site, ours, []Step{
		not(stale, "changed since it was read", http.StatusPreconditionFailed, "precondition_failed"),
		not(setPolicy("", networks("203.0.113.0/24")), "not to lock oneself out", http.StatusUnprocessableEntity, "policy_locks_you_out"),
		not(setPolicy("", networks("everywhere")), "no network", http.StatusUnprocessableEntity, "validation_failed"),
		setPolicy("longer passwords", longer),
	})
	change := Step{Name: "long enough, with a digit", Method: http.MethodPost, Path: password, Want: http.StatusNoContent, Body: map[string]string{"current_password": "${password}", "password": "four and 20 blackbirds in a pie"}}
	short, plain := change, change
	short.Body = map[string]string{"current_password": "${password}", "password": "20 blackbirds pie"}
	plain.Body = map[string]string{"current_password": "${password}", "password": "twenty blackbirds baked in a pie"}
	Play(t, site, grace, []Step{
		not(short, "too short here", http.StatusUnprocessableEntity, "weak_password"),
		not(plain, "without a digit", http.StatusUnprocessableEntity, "weak_password"),
		change,
	})
	grace["password"] = "four and 20 blackbirds in a pie"

	Play(t, site, ours, []Step{setPolicy("second factors", func(p map[string]any) {
		p["mfa"] = map[string]any{"required_roles": []string{"viewer"}, "methods": []string{"totp", "email"}, "remember_days": 0}
	})})
	send := Step{Name: "a code by mail", Method: http.MethodPost, Path: mfa + "/challenge", Body: map[string]string{"challenge": "${challenge}", "method": "email"}, Want: http.StatusOK, Header: map[string]string{"Authorization": ""}, Has: map[string]any{"challenge": "${challenge}", "sent_to": Present}, Lacks: []string{"${email}"}}
	required := Challenged(nil)
	required.Has["methods.#"], required.Has["methods.0"] = 1, "email"
	Play(t, site, grace, []Step{
		required, send, site.Mail("${email}", "Your code for Tandem", "mailed", `>(\d{6})<`),
		not(Show("email", "abcdef"), "not the code", http.StatusUnauthorized, "second_factor_invalid"),
		Show("email", "${mailed}"),
		{Name: "her session has it", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"acr": "mfa"}},
	})

	login := func(name, code string) Step { return not(Login(nil), name, http.StatusForbidden, code) }
	Play(t, site, ours, []Step{setPolicy("sign in through an identity provider", func(p map[string]any) { p["enforce_sso"] = true })})
	Play(t, site, grace, []Step{login("not by a password", "sso_required")})
	Play(t, site, ours, []Step{
		Challenged(nil), // owners still do, or nobody could undo it
		setPolicy("verified addresses", func(p map[string]any) { p["require_verified_email"] = true }),
		login("the owner has not verified theirs", "email_not_verified"),
	})
	Play(t, site, grace, []Step{Login(nil)}) // hers is, by the invitation
	Play(t, site, ours, []Step{setPolicy("nothing again", nothing), Challenged(nil)})
}

// PersonalData is about what is known of a person: they have a copy of it from all groups, and it is erased everywhere, while the
// log stays provable.
func PersonalData(t *testing.T, site Site) {
	ours, grace := map[string]string{}, map[string]string{}
	Play(t, site, ours, Register(ours, "personaldata"))
	Join(t, site, ours, grace, "subject", "admin")
	ours["grace"], grace["owner"] = grace["user"], ours["user"]
	ask := func(kind, user string) Step {
		return Step{
			Name: kind, Method: http.MethodPost, Path: audit + "/data-requests", Want: http.StatusAccepted, Body: map[string]string{"kind": kind, "user_id": user},
			Has: map[string]any{"kind": kind, "user_id": user, "header:Location": Present}, Save: map[string]string{"request": "id"},
		}
	}
	answered := func(status string) Step {
		return Step{
			Name: "every group has answered", Method: http.MethodGet, Path: audit + "/data-requests/${request}", Want: http.StatusOK, Within: 2 * time.Minute,
			Has: map[string]any{"status": status, "groups.#": 7, "missing.#": 0},
		}
	}
	download := Step{Name: "download", Method: http.MethodGet, Path: audit + "/data-requests/${request}/download", Want: http.StatusOK, Has: map[string]any{"header:Content-Type": "application/zip"}, Then: archived}
	given := func(verb string) Step {
		return Step{
			Name: "nor is she named where she was given something: " + verb, Method: http.MethodGet, Path: audit + "/entries?action=auth.rbac." + verb, Want: http.StatusOK,
			Within: loggedWithin, Has: map[string]any{"items.0.resource": "user:erased", "items.0.details.permission": "integrations.sync:read"}, Lacks: []string{"${grace}"},
		}
	}
	Play(t, site, grace, []Step{
		Role("mine", "analytics.*:read"), // something that she did
		ask("export", "${user}"), answered("ready"), download,
		not(ask("erase_person", "${user}"), "to erase takes a second factor", http.StatusUnauthorized, "step_up_required"),
	})
	ours["request"], ours["copy"] = grace["request"], grace["request"]
	Play(t, site, ours, Enrol())
	Play(t, site, ours, []Step{
		Grant("connection", time.Hour),
		logged("auth.rbac.grant", "success"),
		download, // the owner answers such requests, too
		not(ask("erase_person", "${user}"), "not the last owner", http.StatusConflict, "last_owner"),
		not(ask("export", nobodys), "nobody", http.StatusNotFound, "not_found"),
		logged("auth.rbac.create", "success"),
		ask("erase_person", "${grace}"), answered("done"),
	})
	Play(t, site, grace, gone("token"))
	Play(t, site, grace, []Step{not(Login(nil), "she is unknown", http.StatusUnauthorized, "invalid_credentials")})
	Play(t, site, ours, []Step{
		{Name: "what she did, somebody did", Method: http.MethodGet, Path: audit + "/entries?action=auth.rbac.create", Want: http.StatusOK, Has: map[string]any{"items.0.actor.subject": "erased", "items.0.address": nil}, Lacks: []string{"${grace}"}},
		given("grant"), given("withdraw"),
		{Name: "and the chain holds", Method: http.MethodGet, Path: audit + "/verify", Want: http.StatusOK, Has: map[string]any{"ok": true, "erased": func(got string) error {
			if got == "0" {
				return fmt.Errorf("nothing was erased")
			}
			return nil
		}}},
		{Name: "her copy is gone", Method: http.MethodGet, Path: audit + "/data-requests/${copy}/download", Want: http.StatusGone, Has: code("data_request_expired")},
		{Name: "no member", Method: http.MethodGet, Path: organizations + "/members/${grace}", Want: http.StatusNotFound, Has: code("not_found")},
	})
}

// archived is an error unless a download has what auth knows of its person, and no secret.
func archived(_ context.Context, body []byte, vars map[string]string) error {
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return err
	}
	all := ""
	for _, file := range archive.File {
		part, err := file.Open()
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(part, 1<<20))
		if err := errors.Join(err, part.Close()); err != nil {
			return err
		}
		if !json.Valid(text) {
			return fmt.Errorf("%s is not JSON: %.500s", file.Name, text)
		}
		all += file.Name + string(text)
	}
	if !strings.Contains(all, "auth.json") || !strings.Contains(all, "subject-") {
		return fmt.Errorf("auth's part is missing: %.2000s", all)
	}
	for _, secret := range []string{"argon2", "password_hash", vars["password"], vars["token"]} {
		if strings.Contains(all, secret) {
			return fmt.Errorf("%s is in it: %.2000s", secret, all)
		}
	}
	return nil
}
