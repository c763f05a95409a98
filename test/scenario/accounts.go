package scenario

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// heeded is how soon every process of every topology heeds that somebody may do something else than before.
const heeded = 5 * time.Second

// SignIn is Login on a device that calls itself so. It saves the access token as name and nothing else.
func SignIn(device, name string) Step {
	s := Login(nil)
	s.Name, s.Header, s.Save = "login on "+device, map[string]string{"Authorization": "", "User-Agent": device}, map[string]string{name: "access_token"}
	return s
}

// with is a request's header that has the token saved as name.
func with(name string) map[string]string {
	return map[string]string{"Authorization": "Bearer ${" + name + "}"}
}

// code is what an answer has that is a problem.
func code(code string) map[string]any { return map[string]any{"code": code} }

// refused are steps that wait until a token is refused, by the group that ended its session and by another one.
func refused(name, code string) []Step {
	refused := Step{
		Method: http.MethodGet, Header: with(name), Want: http.StatusUnauthorized, Within: heeded, Has: map[string]any{"code": code},
	}
	here, there := refused, refused
	here.Name, here.Path = name+" is refused by auth", "/api/auth/me"
	there.Name, there.Path = name+" is refused by another group", "/api/integrations/records/orders"
	return []Step{here, there}
}

const me, password = "/api/auth/me", "/api/auth/password"

// Profile is about what people are called, and about changes that cross.
func Profile(t *testing.T, site Site) {
	vars := map[string]string{}
	Play(t, site, vars, Register(vars, "profile"))
	rename := func(name string, match string, first any) Step {
		return Step{Name: name, Method: http.MethodPatch, Path: me, Header: map[string]string{"If-Match": match}, Body: map[string]any{"first_name": first}}
	}
	want := func(s Step, status int, has map[string]any) Step { s.Want, s.Has = status, has; return s }
	Play(t, site, vars, []Step{
		{Name: "who I am", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"user.first_name": "Ada"}, Save: map[string]string{"etag": "header:ETag"}},
		want(rename("as it was read", "${etag}", "Augusta"), http.StatusOK, map[string]any{"user.first_name": "Augusta", "user.last_name": "Lovelace", "header:ETag": Present}),
		want(rename("as it was read before that", "${etag}", "Adelaide"), http.StatusPreconditionFailed, code("precondition_failed")),
		want(rename("no ETag", "3", "Adelaide"), http.StatusBadRequest, code("bad_request")),
		want(rename("whatever is there", "", "  Ada  "), http.StatusOK, map[string]any{"user.first_name": "Ada"}),
		want(rename("no name", "", ""), http.StatusUnprocessableEntity, code("validation_failed")),
		want(rename("control characters", "", "A\u0007da"), http.StatusUnprocessableEntity, code("validation_failed")),
		want(rename("not a text", "", 7), http.StatusUnprocessableEntity, code("validation_failed")),
		{Name: "an address is no part of it", Method: http.MethodPatch, Path: me, Body: map[string]string{"email": "x@example.com"}, Want: http.StatusUnprocessableEntity, Has: code("validation_failed")},
		{Name: "it is as it was left", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"user.first_name": "Ada", "user.email": "${email}"}},
	})
}

// Passwords is about new passwords: by who knows the old one, and by who gets the account's mail. Sessions of who had the
// old one end.
func Passwords(t *testing.T, site Site) {
	vars := map[string]string{"next": "see how they run, see how they run", "last": "they all ran after the farmer's wife"}
	Play(t, site, vars, Register(vars, "passwords"))
	change := func(current, next string) map[string]string {
		return map[string]string{"current_password": current, "password": next}
	}
	Play(t, site, vars, []Step{
		SignIn("Telephone", "telephone"),
		{Name: "not the old one", Method: http.MethodPost, Path: password, Body: change("not the password at all", "${next}"), Want: http.StatusUnauthorized, Has: code("invalid_credentials")},
		{Name: "weak", Method: http.MethodPost, Path: password, Body: change("${password}", "password1234"), Want: http.StatusUnprocessableEntity, Has: code("weak_password"), Lacks: []string{"password1234"}},
		{Name: "the same again", Method: http.MethodPost, Path: password, Body: change("${password}", "${password}"), Want: http.StatusUnprocessableEntity, Has: code("password_unchanged")},
		{Name: "change", Method: http.MethodPost, Path: password, Body: change("${password}", "${next}"), Want: http.StatusNoContent},
	})
	Play(t, site, vars, refused("telephone", "session_revoked"))
	Play(t, site, vars, []Step{
		{Name: "the session that changed it goes on", Method: http.MethodGet, Path: me, Want: http.StatusOK},
		{
			Name: "the old one", Method: http.MethodPost, Path: "/api/auth/login", Want: http.StatusUnauthorized, Header: map[string]string{"Authorization": ""},
			Body: map[string]string{"email": "${email}", "password": "${password}"}, Has: code("invalid_credentials"),
		},
	})
	Play(t, site, vars, []Step{site.Mail("${email}", "Your password was changed", "notice", `(If that was not you)`)})

	vars["password"] = vars["next"]
	reset := func(token, password string) map[string]string {
		return map[string]string{"token": token, "password": password}
	}
	ask := Step{Method: http.MethodPost, Path: password + "/reset-request", Want: http.StatusAccepted, Header: map[string]string{"Authorization": ""}}
	nobody, somebody := ask, ask
	nobody.Name, nobody.Body = "nobody has forgotten theirs", map[string]string{"email": "nobody-${email}"}
	somebody.Name, somebody.Body = "somebody has", map[string]string{"email": "${email}"}
	for _, s := range []*Step{&nobody, &somebody} { // the same answer, to the last byte
		s.Then = func(_ context.Context, body []byte, _ map[string]string) error {
			return matches(string(body), true, "", nil)
		}
	}
	Play(t, site, vars, []Step{SignIn("Telephone", "telephone"), nobody, somebody})
	Play(t, site, vars, []Step{site.Mail("${email}", "Set a new password", "reset", linkToken)})
	Play(t, site, vars, []Step{
		{Name: "a made-up token", Method: http.MethodPost, Path: password + "/reset", Body: reset("q0mGg3fH9l3m0bC1V8tq8w5Hq2yqv2J6m3uZr1xkT4A", "${last}"), Want: http.StatusUnauthorized, Has: code("reset_token_invalid")},
		{Name: "weak", Method: http.MethodPost, Path: password + "/reset", Body: reset("${reset}", "aaaaaaaaaaaaaa"), Want: http.StatusUnprocessableEntity, Has: code("weak_password")},
		{Name: "reset", Method: http.MethodPost, Path: password + "/reset", Body: reset("${reset}", "${last}"), Want: http.StatusNoContent},
		{Name: "a second time", Method: http.MethodPost, Path: password + "/reset", Body: reset("${reset}", "${last}"), Want: http.StatusUnauthorized, Has: code("reset_token_invalid")},
	})
	Play(t, site, vars, refused("token", "session_revoked"))
	Play(t, site, vars, refused("telephone", "session_revoked"))
	vars["password"] = vars["last"]
	Play(t, site, vars, []Step{Login(nil), {Name: "signed in with it", Method: http.MethodGet, Path: me, Want: http.StatusOK}})
}

const sessions = "/api/auth/sessions"

// Devices is about where somebody is signed in, where they were, and ending it.
func Devices(t *testing.T, site Site) {
	vars := map[string]string{}
	Play(t, site, vars, Register(vars, "devices"))
	Play(t, site, vars, []Step{
		SignIn("Telephone", "telephone"), SignIn("Telephone", "again"), SignIn("Tablet", "tablet"),
		{
			Name: "four sessions", Method: http.MethodGet, Path: sessions, Want: http.StatusOK,
			Has:  map[string]any{"items.#": 4, "items.0.user_agent": "Tablet", "items.1.user_agent": "Telephone", "items.3.current": true, "items.0.current": false},
			Save: map[string]string{"tablet session": "items.0.id", "device": "items.1.device_id", "current": "items.3.id"},
		},
		{Name: "a page of them", Method: http.MethodGet, Path: sessions + "?limit=3", Want: http.StatusOK, Has: map[string]any{"items.#": 3}, Save: map[string]string{"cursor": "next_cursor"}},
		{Name: "the page after", Method: http.MethodGet, Path: sessions + "?limit=3&cursor=${cursor}", Want: http.StatusOK, Has: map[string]any{"items.#": 1, "items.0.id": "${current}", "next_cursor": nil}},
		{Name: "end those on the telephone", Method: http.MethodDelete, Path: sessions + "/devices/${device}", Want: http.StatusNoContent},
		{Name: "none is left there", Method: http.MethodDelete, Path: sessions + "/devices/${device}", Want: http.StatusNotFound, Has: code("not_found")},
		{Name: "end the one on the tablet", Method: http.MethodDelete, Path: sessions + "/${tablet session}", Want: http.StatusNoContent},
		{Name: "no such session", Method: http.MethodDelete, Path: sessions + "/0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d", Want: http.StatusNotFound, Has: code("not_found")},
	})
	for _, name := range []string{"telephone", "again", "tablet"} {
		Play(t, site, vars, refused(name, "session_revoked"))
	}
	Play(t, site, vars, []Step{site.Mail("${email}", "A new device signed in to your account", "user agent", `(Telephone|Tablet)`)})
	Play(t, site, vars, []Step{
		{
			Name: "where it was signed in", Method: http.MethodGet, Path: sessions + "/activity", Want: http.StatusOK, Has: map[string]any{
				"items.#": 4, "items.0.user_agent": "Tablet", "items.0.reason": "user", "items.0.ended_at": Present, "items.0.methods.0": "pwd",
				"items.3.session_id": "${current}", "items.3.ended_at": nil,
			},
		},
		SignIn("Television", "television"),
		{Name: "end all others", Method: http.MethodDelete, Path: sessions + "?keep_current=true", Want: http.StatusNoContent},
		{Name: "this one is left", Method: http.MethodGet, Path: sessions, Want: http.StatusOK, Has: map[string]any{"items.#": 1, "items.0.id": "${current}"}},
	})
	Play(t, site, vars, refused("television", "session_revoked"))
	Play(t, site, vars, []Step{
		SignIn("Television", "television"),
		{Name: "logout everywhere", Method: http.MethodPost, Path: "/api/auth/logout-everywhere", Want: http.StatusNoContent},
	})
	Play(t, site, vars, refused("television", "session_revoked"))
	Play(t, site, vars, refused("token", "session_revoked"))
}
