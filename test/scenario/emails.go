package scenario

import (
	"net/http"
	"testing"
)

const verification = "/api/auth/email-verification"

// Confirm uses the link that was saved as name, signed in as whose account it is, which does what result says.
func Confirm(name, result string) Step {
	return Step{
		Name: "use the link", Method: http.MethodPost, Path: verification + "/confirm", Want: http.StatusOK,
		Body: map[string]string{"token": "${" + name + "}"}, Has: map[string]any{"result": result},
	}
}

// signedOut is s by who has no token.
func signedOut(s Step) Step {
	s.Header = map[string]string{"Authorization": ""}
	return s
}

// unproved is a link in the hands of who does not show that the account is theirs.
func unproved(name, link string) Step {
	s := Confirm(link, "")
	s.Name, s.Want, s.Has = name, http.StatusForbidden, code("email_link_needs_sign_in")
	return s
}

// dead is a link that does nothing any more, or never did.
func dead(name, token string) Step {
	return Step{
		Name: name, Method: http.MethodPost, Path: verification + "/confirm", Header: map[string]string{"Authorization": ""}, Want: http.StatusGone,
		Body: map[string]string{"token": token}, Has: code("email_link_invalid"),
	}
}

// Emails proves an address by a link from a mail, and moves the account to another address when both ends agree. Who asks learns
// nothing of who has an account.
func Emails(t *testing.T, site Site) {
	vars, other := map[string]string{}, map[string]string{}
	Play(t, site, vars, Register(vars, "emails"))
	Play(t, site, other, Register(other, "taken"))
	vars["new"], vars["taken"] = "new-"+vars["email"], other["email"]
	const proof, leave = "Confirm your e-mail address", "Confirm the change of your e-mail address"
	resend := func(email string) Step {
		return Step{Method: http.MethodPost, Path: verification + "/resend", Header: map[string]string{"Authorization": ""}, Body: map[string]string{"email": email}}
	}
	again := func(s Step, name string) Step {
		s.Name, s.Want, s.Has = name, http.StatusTooManyRequests, map[string]any{"code": "rate_limited", "header:Retry-After": Present}
		return s
	}
	nobody := resend("nobody-${email}")
	nobody.Name, nobody.Want = "a link for nobody", http.StatusAccepted
	Play(t, site, vars, []Step{
		{Name: "not verified yet", Method: http.MethodGet, Path: verification, Want: http.StatusOK, Has: map[string]any{"email": "${email}", "verified": false, "change": nil}},
		{Name: "another link", Method: http.MethodPost, Path: verification + "/send", Want: http.StatusAccepted},
		again(Step{Method: http.MethodPost, Path: verification + "/send"}, "too soon"),
		again(resend("${email}"), "too soon also for who does not say who they are"),
		nobody,
		again(resend("nobody-${email}"), "nobody is no exception"),
	})
	Play(t, site, vars, []Step{site.Mail("${email}", "Welcome to Tandem", "link", linkToken)})
	Play(t, site, vars, []Step{site.Mail("${email}", proof, "second link", linkToken)})
	Play(t, site, vars, []Step{
		dead("a made-up link", "q0mGg3fH9l3m0bC1V8tq8w5Hq2yqv2J6m3uZr1xkT4A"),
		signedOut(unproved("the link alone", "link")),
	})
	other["link"] = vars["link"]
	Play(t, site, other, []Step{unproved("somebody else's session", "link")})
	password := func(name, text string) Step {
		s := signedOut(Confirm("link", "verified"))
		s.Name, s.Body = name, map[string]string{"token": "${link}", "password": text}
		return s
	}
	guess := password("a wrong password", "not ${password}")
	guess.Want, guess.Has = http.StatusUnauthorized, code("invalid_credentials")
	Play(t, site, vars, []Step{
		guess,
		password("the password", "${password}"),
		dead("a second time", "${link}"),
		dead("the other one is not needed any more", "${second link}"),
		{Name: "verified", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"user.email_verified": true}},
		{Name: "no need for a link", Method: http.MethodPost, Path: verification + "/send", Want: http.StatusConflict, Has: code("email_already_verified")},
	})

	asked := map[string]any{"agreed_by_current": false, "agreed_by_requested": false, "expires_at": Present}
	change := func(name, to string) Step {
		return Step{Name: name, Method: http.MethodPost, Path: verification + "/change", Body: map[string]string{"email": to}, Want: http.StatusAccepted, Has: asked}
	}
	bad := func(name, to string) Step {
		s := change(name, to)
		s.Want, s.Has = http.StatusUnprocessableEntity, code("validation_failed")
		return s
	}
	signIn := func(name, email string) Step {
		s := Login(nil)
		s.Name, s.Body = name, map[string]string{"email": email, "password": "${password}"}
		return s
	}
	no := func(s Step) Step {
		s.Want, s.Has, s.Save = http.StatusUnauthorized, code("invalid_credentials"), nil
		return s
	}
	Play(t, site, vars, []Step{
		bad("not an address", "not an address"), bad("the same address", "${email}"), change("move", "${new}"),
		again(change("", "another-${email}"), "too soon"),
	})
	Play(t, site, vars, []Step{site.Mail("${email}", leave, "leave", linkToken)})
	Play(t, site, vars, []Step{site.Mail("${new}", proof, "arrive", linkToken)})
	Play(t, site, vars, []Step{
		signedOut(unproved("the link to the new address alone", "arrive")),
		Confirm("arrive", "agreed"),
		dead("a second time", "${arrive}"),
		{Name: "one end has agreed", Method: http.MethodGet, Path: verification, Want: http.StatusOK, Has: map[string]any{"email": "${email}", "change.email": "${new}", "change.agreed_by_requested": true, "change.agreed_by_current": false}},
		no(signIn("not there yet", "${new}")),
		signedOut(Confirm("leave", "changed")),
		no(signIn("not here any more", "${email}")),
		signIn("there", "${new}"),
		{Name: "moved", Method: http.MethodGet, Path: verification, Want: http.StatusOK, Has: map[string]any{"email": "${new}", "verified": true, "change": nil}},
	})
	Play(t, site, vars, []Step{site.Mail("${email}", "Your e-mail address was changed", "where to", `(new-)`)})

	third := map[string]string{"taken": other["email"]}
	Play(t, site, third, Register(third, "mover"))
	unverified := change("to an address that somebody has", "${taken}")
	unverified.Has = map[string]any{"agreed_by_current": true, "agreed_by_requested": false, "expires_at": Present} // never verified, so it has no say
	Play(t, site, third, []Step{unverified})
	Play(t, site, third, []Step{site.Mail("${taken}", "You have an account with this e-mail address", "greeting", `Hello (Ada)`)})
	Play(t, site, third, []Step{
		{Name: "under way, as far as who asked can see", Method: http.MethodGet, Path: verification, Want: http.StatusOK, Has: map[string]any{"email": "${email}", "change.email": "${taken}"}},
		{Name: "give it up", Method: http.MethodDelete, Path: verification + "/change", Want: http.StatusNoContent},
		{Name: "given up", Method: http.MethodGet, Path: verification, Want: http.StatusOK, Has: map[string]any{"email": "${email}", "change": nil}},
	})
}
