package scenario

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	rbac   = "/api/auth/rbac"
	orders = "/api/integrations/records/orders"
	runs   = "/api/integrations/sync/runs"
)

// may and mayNot wait until somebody may read what is at a path, or may not any more.
func may(path string) Step {
	return Step{Name: "may read " + path, Method: http.MethodGet, Path: path, Want: http.StatusOK, Within: heeded}
}

func mayNot(path string) Step {
	return Step{Name: "may not read " + path, Method: http.MethodGet, Path: path, Want: http.StatusForbidden, Within: heeded, Has: code("permission_denied")}
}

// Role makes a role. It saves "etag".
func Role(name string, permissions ...string) Step {
	return Step{
		Name: "make the role " + name, Method: http.MethodPost, Path: rbac + "/roles", Want: http.StatusCreated, Body: map[string]any{"name": name, "permissions": permissions},
		Has: map[string]any{"name": name, "built_in": false, "header:Location": rbac + "/roles/" + name}, Save: map[string]string{"etag": "header:ETag"},
	}
}

// Assign gives a member roles, in place of those that they had.
func Assign(user string, roles ...string) Step {
	return Step{
		Name: "assign " + roles[0], Method: http.MethodPut, Path: rbac + "/members/" + user + "/roles", Want: http.StatusOK, Body: map[string]any{"roles": roles},
		Has: map[string]any{"roles.0": roles[0]},
	}
}

// Grant gives the member "grace" what it takes to see a run, for so long. It saves "grant".
func Grant(run string, end time.Duration) Step {
	return Step{
		Name: "grant one thing", Method: http.MethodPost, Path: rbac + "/grants", Want: http.StatusCreated, Save: map[string]string{"grant": "id"},
		Body: map[string]string{
			"user_id": "${grace}", "permission": "integrations.sync:read", "resource": run, "expires_at": time.Now().Add(end).UTC().Format(time.RFC3339Nano),
		},
	}
}

// unknownPermission is a step like s that is refused for a permission that is none, and says which, and where those are that are.
func unknownPermission(s Step, permission string) Step {
	s = not(s, "no permission: "+permission, http.StatusUnprocessableEntity, "validation_failed")
	s.Has["detail"] = func(detail string) error {
		if !strings.Contains(detail, `"`+permission+`"`) || !strings.Contains(detail, rbac+"/permissions") {
			return errors.New("it names neither the permission nor the list of all")
		}
		return nil
	}
	return s
}

// Roles is about who may do what by their roles: those that every organization has, and its own. Nobody gives what they do not
// have, somebody always owns the organization, and other groups heed each change within 5 s.
func Roles(t *testing.T, site Site) {
	ours, grace := map[string]string{"first": nobodys}, map[string]string{}
	Play(t, site, ours, Register(ours, "roles"))
	Join(t, site, ours, grace, "operator", "viewer")
	ours["grace"] = grace["user"]
	change := func(permissions ...string) Step {
		return Step{
			Name: "change the role", Method: http.MethodPut, Path: rbac + "/roles/order-reader", Header: map[string]string{"If-Match": "${etag}"}, Want: http.StatusOK,
			Body: map[string]any{"permissions": permissions}, Has: map[string]any{"header:ETag": Present},
		}
	}
	stale := Assign("${grace}", "order-reader")
	stale.Header = map[string]string{"If-Match": `"99"`}

	Play(t, site, grace, []Step{may(orders), may(runs), not(Role("mine", "analytics.*:read"), "a viewer makes no roles", http.StatusForbidden, "permission_denied")})
	Play(t, site, ours, []Step{
		{Name: "what there is to give", Method: http.MethodGet, Path: rbac + "/permissions?group=integrations", Want: http.StatusOK, Within: 30 * time.Second, Contains: "integrations.records:read"},
		Role("order-reader", "auth.auth:read", "integrations.records:read"),
		not(Role("order-reader", "auth.auth:read"), "the name is taken", http.StatusConflict, "role_exists"),
		not(Role("Order Reader", "auth.auth:read"), "no name", http.StatusUnprocessableEntity, "validation_failed"),
		unknownPermission(Role("other", "orders"), "orders"),
		unknownPermission(Role("other", "integrations.no-such-module:read"), "integrations.no-such-module:read"),
		not(stale, "the member was changed since", http.StatusPreconditionFailed, "precondition_failed"),
		not(Assign("${grace}", "no-such-role"), "no such role", http.StatusUnprocessableEntity, "validation_failed"),
		Assign("${grace}", "order-reader"),
	})
	Play(t, site, grace, []Step{may(orders), mayNot(runs), {Name: "her roles", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"user.roles.0": "order-reader"}}})
	Play(t, site, ours, []Step{
		change("auth.auth:read", "analytics.dashboard:read"),
		not(change("auth.auth:read"), "changed since it was read", http.StatusPreconditionFailed, "precondition_failed"),
		{Name: "a member has it", Method: http.MethodDelete, Path: rbac + "/roles/order-reader", Want: http.StatusConflict, Has: code("role_in_use")},
		{Name: "a built-in role", Method: http.MethodDelete, Path: rbac + "/roles/viewer", Want: http.StatusConflict, Has: code("role_built_in")},
	})
	Play(t, site, grace, []Step{mayNot(orders)})

	// Whoever gives roles gives no more than they have, and does not put those out of office who have more.
	Play(t, site, ours, []Step{
		Role("keeper", "auth.auth:read", "auth.rbac:*", "auth.organizations:*", "analytics.dashboard:read"),
		Assign("${grace}", "keeper"),
		{Name: "nobody has it any more", Method: http.MethodDelete, Path: rbac + "/roles/order-reader", Want: http.StatusNoContent},
	})
	grace["owner"], grace["grace"], grace["first"] = ours["user"], grace["user"], nobodys
	hers := Role("dashboards", "analytics.dashboard:read")
	hers.Within = heeded // to read roles she was allowed as a viewer too, so only this shows that auth heeds the change
	Play(t, site, grace, []Step{
		hers,
		{Name: "she keeps roles", Method: http.MethodGet, Path: rbac + "/roles", Want: http.StatusOK, Has: map[string]any{"items.#": 7, "items.6.name": "keeper"}},
		not(Role("syncs", "integrations.sync:write"), "what she does not have", http.StatusForbidden, "permission_not_held"),
		not(Grant("${first}", time.Hour), "not on one thing either", http.StatusForbidden, "permission_not_held"),
		not(Assign("${grace}", "admin"), "not to herself either", http.StatusForbidden, "permission_not_held"),
		not(Assign("${grace}", "owner"), "she makes no owners", http.StatusForbidden, "owners_only"),
		not(Assign("${owner}", "dashboards"), "nor does she unmake them", http.StatusForbidden, "owners_only"),
		not(Invite("friend@example.com", "admin"), "nor invite who would have more", http.StatusForbidden, "permission_not_held"),
	})
	Play(t, site, ours, []Step{
		not(Assign("${user}", "viewer"), "the last owner stays one", http.StatusConflict, "last_owner"),
		Assign("${grace}", "owner"),
		Assign("${user}", "viewer"),
	})
	Play(t, site, grace, []Step{may(orders)})
	Play(t, site, ours, []Step{{Name: "an owner no more", Method: http.MethodPost, Path: rbac + "/roles", Body: map[string]any{"name": "more", "permissions": []string{"analytics.*:read"}}, Want: http.StatusForbidden, Within: heeded, Has: code("permission_denied")}})
}

// Grants is about a permission on one thing, which ends by itself or is withdrawn, and about asking whether something is allowed.
func Grants(t *testing.T, site Site) {
	ours, grace := map[string]string{"shop": "grants"}, map[string]string{}
	Play(t, site, ours, Register(ours, "grants"))
	Play(t, site, ours, Connect())
	Play(t, site, ours, Sync("incremental"))
	ours["first"] = ours["run"]
	Play(t, site, ours, Sync("incremental"))
	Join(t, site, ours, grace, "grantee", "viewer")
	ours["grace"], ours["second"], grace["first"], grace["second"] = grace["user"], ours["run"], ours["first"], ours["run"]
	Play(t, site, ours, []Step{Role("nothing-much", "auth.auth:read", "analytics.dashboard:read"), Assign("${grace}", "nothing-much")})
	other := Grant("${first}", time.Hour)
	other.Body = map[string]string{"user_id": nobodys, "permission": "integrations.sync:read", "resource": "${first}"}
	Play(t, site, ours, []Step{
		not(Grant("${first}", -time.Minute), "an end that has passed", http.StatusUnprocessableEntity, "validation_failed"),
		not(other, "to who is no member", http.StatusUnprocessableEntity, "validation_failed"),
		Grant("${second}", 2*heeded+2*time.Second),
		Grant("${first}", time.Hour),
	})
	check := func(permission, resource string) map[string]string {
		return map[string]string{"permission": permission, "resource": resource}
	}
	ask := Step{Name: "ask", Method: http.MethodPost, Path: rbac + "/check", Body: check("integrations.sync:read", "${first}"), Want: http.StatusOK, Within: heeded, Has: map[string]any{"allowed": true}}
	about := Step{Name: "ask about somebody else", Method: http.MethodPost, Path: rbac + "/check", Body: map[string]string{"permission": "integrations.sync:read", "user_id": "${grace}"}, Want: http.StatusOK, Has: map[string]any{"allowed": false}}
	many := []any{}
	for range 101 {
		many = append(many, check("integrations.sync:read", ""))
	}
	Play(t, site, grace, []Step{
		mayNot(runs), may(runs + "/${first}"), may(runs + "/${second}"), ask,
		{
			Name: "ask several times", Method: http.MethodPost, Path: rbac + "/check/batch", Want: http.StatusOK, Within: heeded, Has: map[string]any{"items.#": 3, "items.0.allowed": true, "items.1.allowed": false, "items.2.allowed": true},
			Body: map[string]any{"checks": []any{check("integrations.sync:read", "${first}"), check("integrations.sync:read", nobodys), check("analytics.dashboard:read", "")}},
		},
		{Name: "too often", Method: http.MethodPost, Path: rbac + "/check/batch", Want: http.StatusUnprocessableEntity, Body: map[string]any{"checks": many}, Has: code("validation_failed")},
		{Name: "about others takes a permission", Method: http.MethodPost, Path: rbac + "/check", Want: http.StatusForbidden, Body: map[string]string{"permission": "integrations.sync:read", "user_id": ours["user"]}, Has: code("permission_denied")},
	})
	Play(t, site, ours, []Step{
		about,
		{Name: "withdraw the grant", Method: http.MethodDelete, Path: rbac + "/grants/${grant}", Want: http.StatusNoContent},
		{Name: "it is gone", Method: http.MethodGet, Path: rbac + "/grants/${grant}", Want: http.StatusNotFound, Has: code("not_found")},
	})
	ended := mayNot(runs + "/${second}") // by itself
	ended.Within = 2*heeded + 4*time.Second
	Play(t, site, grace, []Step{mayNot(runs + "/${first}"), ended})

	// A connection is named in the query, and in the body where a sync begins.
	ours["one"], ours["shop"] = ours["connection"], "grants-other"
	Play(t, site, ours, Connect())
	grace["one"], grace["other"], grace["foreign"] = ours["one"], ours["connection"], foreignConnection(t, site)
	for _, permission := range []string{"integrations.records:read", "integrations.shopify:*", "integrations.sync:write"} {
		for _, connection := range []string{grace["one"], grace["foreign"]} {
			Play(t, site, ours, []Step{{
				Name: "grant " + permission, Method: http.MethodPost, Path: rbac + "/grants", Want: http.StatusCreated,
				Body: map[string]string{"user_id": "${grace}", "permission": permission, "resource": connection},
			}})
		}
	}
	on := func(method, path, connection string, want int, code any) Step {
		return Step{Name: method + " " + path + " of " + connection, Method: method, Path: path + "?connection_id=" + connection, Want: want, Within: heeded, Has: map[string]any{"code": code}}
	}
	start := func(connection string, want int, code any) Step {
		return Step{
			Name: "start a sync of " + connection, Method: http.MethodPost, Path: runs, Want: want, Within: heeded, Has: map[string]any{"code": code},
			Body: map[string]string{"connection_id": connection, "mode": "incremental"},
		}
	}
	shopOrders, test := "/api/integrations/shopify/orders", "/api/integrations/shopify/test"
	Play(t, site, grace, []Step{
		on(http.MethodGet, orders, "${one}", http.StatusOK, nil),
		on(http.MethodGet, orders, "${other}", http.StatusForbidden, "permission_denied"),
		mayNot(orders),
		on(http.MethodGet, shopOrders, "${one}", http.StatusOK, nil),
		on(http.MethodGet, shopOrders, "${other}", http.StatusForbidden, "permission_denied"),
		on(http.MethodPost, test, "${one}", http.StatusOK, nil),
		on(http.MethodPost, test, "${other}", http.StatusForbidden, "permission_denied"),
		on(http.MethodDelete, "/api/integrations/shopify", "${other}", http.StatusForbidden, "permission_denied"),
		start("${one}", http.StatusAccepted, nil),
		start("${other}", http.StatusForbidden, "permission_denied"),
		// The id of another organization's connection was granted; it gives nothing.
		{Name: "another organization's orders", Method: http.MethodGet, Path: orders + "?connection_id=${foreign}", Want: http.StatusOK, Within: heeded, Has: map[string]any{"items.#": 0}},
		on(http.MethodPost, test, "${foreign}", http.StatusNotFound, "not_found"),
		start("${foreign}", http.StatusNotFound, "not_found"),
	})
}

// foreignConnection is a connection of another organization, with orders.
func foreignConnection(t *testing.T, site Site) string {
	t.Helper()
	theirs := map[string]string{"shop": "grants-foreign"}
	Play(t, site, theirs, Register(theirs, "foreign-grants"))
	Play(t, site, theirs, Connect())
	Play(t, site, theirs, Sync("incremental"))
	return theirs["connection"]
}
