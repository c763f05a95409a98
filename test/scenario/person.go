package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/test/browser"
)

// answered is a step whose answer has WebAuthn options, with what a browser's authenticator makes of them, as "credential".
func answered(s Step, authenticator func(context.Context, json.RawMessage) (string, error)) Step {
	s.Then = func(ctx context.Context, body []byte, vars map[string]string) (err error) {
		var asked struct {
			PublicKey json.RawMessage `json:"public_key"`
		}
		if err := json.Unmarshal(body, &asked); err != nil {
			return err
		}
		vars["credential"], err = authenticator(ctx, asked.PublicKey)
		return err
	}
	return s
}

// RegisterPasskey has the authenticator of a browser make a passkey. It saves "passkey" and "token".
func RegisterPasskey(page *browser.Browser, name string) []Step {
	return []Step{
		answered(beginPasskey, page.Create),
		{
			Name: "a passkey: " + name, Method: http.MethodPost, Path: mfa + "/passkeys/finish", Want: http.StatusOK,
			Body: `{"challenge": "${begun}", "name": "` + name + `", "credential": ${credential}}`,
			Has:  map[string]any{"passkey.name": name, "passkey.cloned": false, "recovery_codes.#": 10, "refresh_token": nil},
			Save: map[string]string{"passkey": "passkey.id", "token": "access_token"},
		},
	}
}

var beginPasskey = Step{
	Name: "begin a passkey", Method: http.MethodPost, Path: mfa + "/passkeys/begin", Want: http.StatusOK,
	Has: map[string]any{"method": "passkey", "public_key.rp.id": "localhost"}, Save: map[string]string{"begun": "challenge"},
}

// beginPasswordless asks for a passkey of anybody's.
var beginPasswordless = Step{
	Name: "begin to sign in with a passkey", Method: http.MethodPost, Path: mfa + "/passkeys/login/begin", Want: http.StatusOK,
	Header: map[string]string{"Authorization": ""}, Save: map[string]string{"begun": "challenge"},
}

// passwordless ends it. It saves "token" and "refresh".
var passwordless = Step{
	Name: "sign in with a passkey alone", Method: http.MethodPost, Path: mfa + "/passkeys/login/finish", Want: http.StatusOK,
	Header: map[string]string{"Authorization": ""}, Body: `{"challenge": "${begun}", "credential": ${credential}}`,
	Has: map[string]any{"token_type": "Bearer", "mfa_required": nil}, Save: map[string]string{"token": "access_token", "refresh": "refresh_token"},
}

// Person is the way of two people as they go it, the first of them in a browser with its own code for passkeys: she registers,
// proves her address, signs in with a passkey and nothing else, and invites a colleague, who loses her telephone and then her
// sessions. What is read in mails is read in the inbox.
func Person(t *testing.T, site Site) {
	page := browser.Open(t, site.API+"/healthz")
	inPage := site
	inPage.HTTP = &http.Client{Transport: page}
	ada, grace, other := map[string]string{}, map[string]string{}, map[string]string{}

	Play(t, inPage, ada, Register(ada, "person"))
	Play(t, site, ada, []Step{site.Mail("${email}", "Welcome to Tandem", "link", linkToken)})
	Play(t, inPage, ada, []Step{
		Confirm("link", "verified"),
		{Name: "verified", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"user.email_verified": true, "acr": nil}},
	})
	Play(t, inPage, ada, RegisterPasskey(page, "Laptop"))
	signInWithPasskey(t, inPage, ada, page)
	secondFactorByPasskey(t, inPage, ada, page)
	lostPasskeys(t, site, inPage, ada, page)

	Join(t, site, ada, grace, "colleague", "member")
	Play(t, site, grace, Enrol())
	Play(t, site, grace, []Step{Challenged(nil), Show("recovery_code", "${recovery 0}")})
	Play(t, site, grace, []Step{
		site.Mail("${email}", "A recovery code of yours was used", "notice", `(remembered no longer)`),
		{Name: "that was two factors", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"acr": "mfa", "roles.0": "member"}},
		{Name: "her session", Method: http.MethodGet, Path: sessions, Want: http.StatusOK, Has: map[string]any{"items.0.current": true, "items.0.methods.1": "kba"}, Save: map[string]string{"session": "items.0.id"}},
		{Name: "nine codes are left", Method: http.MethodGet, Path: mfa, Want: http.StatusOK, Has: map[string]any{"recovery_codes": 9}},
	})

	Play(t, site, other, Register(other, "stranger"))
	signOut := Step{Name: "sign grace out", Method: http.MethodDelete, Path: organizations + "/members/${grace}/sessions", Want: http.StatusNoContent}
	ada["grace"], other["grace"], other["session"], grace["grace"] = grace["user"], grace["user"], grace["session"], grace["user"]
	Play(t, site, other, []Step{
		{Name: "another organization's owner sees no such member", Method: http.MethodGet, Path: organizations + "/members/${grace}", Want: http.StatusNotFound, Has: code("not_found")},
		not(signOut, "nor her sessions", http.StatusNotFound, "not_found"),
		{Name: "nor the one", Method: http.MethodDelete, Path: sessions + "/${session}", Want: http.StatusNotFound, Has: code("not_found")},
	})
	Play(t, site, grace, []Step{
		not(signOut, "a member signs nobody out", http.StatusForbidden, "permission_denied"),
		{Name: "she is still there", Method: http.MethodGet, Path: me, Want: http.StatusOK},
	})
	Play(t, inPage, ada, []Step{signOut})
	Play(t, site, grace, refused("token", "session_revoked"))
	Play(t, site, grace, []Step{
		{
			Name: "nor does she get another token", Method: http.MethodPost, Path: "/api/auth/refresh", Want: http.StatusUnauthorized, Header: map[string]string{"Authorization": ""},
			Body: map[string]string{"refresh_token": "${refresh}"}, Has: code("refresh_token_invalid"),
		},
		Challenged(nil),
		not(Show("recovery_code", "${recovery 0}"), "a recovery code is good once", http.StatusUnauthorized, "second_factor_invalid"),
		Show("recovery_code", "${recovery 1}"),
		{Name: "she reads why", Method: http.MethodGet, Path: sessions + "/activity", Want: http.StatusOK, Has: map[string]any{"items.1.session_id": "${session}", "items.1.reason": "administrator"}},
	})
	Play(t, inPage, ada, []Step{{Name: "ada goes on", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"user.id": "${user}"}}})
}

// signInWithPasskey signs out, and in again by the passkey of page. What the passkey said is good for that once.
func signInWithPasskey(t *testing.T, site Site, vars map[string]string, page *browser.Browser) {
	t.Helper()
	later := func(last string) error {
		if last <= vars["made"] {
			return fmt.Errorf("it was used at %q and made at %q", last, vars["made"])
		}
		return nil
	}
	inBrowser := func(agent string) error {
		if !strings.Contains(agent, "Chrome/") {
			return fmt.Errorf("%q is no Chromium", agent)
		}
		return nil
	}
	twice := beginPasskey
	twice.Name = "the browser makes no second passkey for the account"
	Play(t, site, vars, []Step{
		answered(twice, func(ctx context.Context, options json.RawMessage) (string, error) {
			made, err := page.Create(ctx, options)
			if err == nil || !strings.Contains(err.Error(), "InvalidStateError") {
				return "", errors.Join(fmt.Errorf("want an InvalidStateError, got %q", made), err)
			}
			return "", nil
		}),
		{Name: "it is listed", Method: http.MethodGet, Path: mfa + "/passkeys", Want: http.StatusOK, Has: map[string]any{"items.#": 1, "items.0.id": "${passkey}", "items.0.name": "Laptop"}, Save: map[string]string{"made": "items.0.last_used_at"}},
		{Name: "logout", Method: http.MethodPost, Path: "/api/auth/logout", Want: http.StatusNoContent},
	})
	Play(t, site, vars, refused("token", "session_revoked"))
	Play(t, site, vars, []Step{
		answered(beginPasswordless, page.Get), passwordless,
		{Name: "it was two factors", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"user.id": "${user}", "acr": "mfa"}},
		{Name: "and the session says which", Method: http.MethodGet, Path: sessions, Want: http.StatusOK, Has: map[string]any{"items.#": 1, "items.0.methods.#": 2, "items.0.methods.0": "hwk", "items.0.methods.1": "mfa", "items.0.user_agent": inBrowser}},
		{Name: "when it was used", Method: http.MethodGet, Path: mfa + "/passkeys", Want: http.StatusOK, Has: map[string]any{"items.0.last_used_at": later}},
		not(passwordless, "the same answer again", http.StatusUnauthorized, "invalid_credentials"),
		beginPasswordless,
		not(passwordless, "as the answer to something else", http.StatusUnauthorized, "invalid_credentials"),
	})
}

// secondFactorByPasskey signs in by password and passkey, and by password on the device that is remembered then; what asks for a
// second factor gets the passkey.
func secondFactorByPasskey(t *testing.T, site Site, vars map[string]string, page *browser.Browser) {
	t.Helper()
	ask := Step{
		Name: "ask for the passkey", Method: http.MethodPost, Path: mfa + "/challenge", Want: http.StatusOK, Header: map[string]string{"Authorization": ""},
		Body: map[string]string{"challenge": "${challenge}", "method": "passkey"}, Has: map[string]any{"challenge": "${challenge}", "public_key.allowCredentials.#": 1},
	}
	show := Show("passkey", "")
	show.Body = `{"challenge": "${challenge}", "method": "passkey", "credential": ${credential}, "remember_device": true}`
	show.Save["device"] = "device_token"
	renew := Step{Name: "new recovery codes", Method: http.MethodPost, Path: mfa + "/recovery-codes", Want: http.StatusOK, Has: map[string]any{"codes.#": 10}}
	Play(t, site, vars, []Step{
		Challenged(nil), answered(ask, page.Get), show,
		{Name: "password and passkey", Method: http.MethodGet, Path: sessions, Want: http.StatusOK, Has: map[string]any{"items.0.methods.0": "pwd", "items.0.methods.1": "hwk"}},
		Login(map[string]string{"device_token": "${device}"}),
		{Name: "a password alone", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"acr": nil}},
		not(renew, "step up first", http.StatusUnauthorized, "step_up_required"),
		answered(Step{
			Name: "begin to step up", Method: http.MethodPost, Path: mfa + "/step-up/challenge", Want: http.StatusOK,
			Body: map[string]string{"method": "passkey"}, Save: map[string]string{"begun": "challenge"},
		}, page.Get),
		{
			Name: "step up by the passkey", Method: http.MethodPost, Path: mfa + "/step-up", Want: http.StatusOK,
			Body: `{"method": "passkey", "challenge": "${begun}", "credential": ${credential}}`, Has: map[string]any{"refresh_token": nil}, Save: map[string]string{"token": "access_token"},
		},
		{Name: "now it is two factors", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"acr": "mfa"}},
		renew,
	})
}

// lostPasskeys is about passkeys that somebody else may have: a copy is noticed by its counter, and one that its owner has
// removed signs nobody in.
func lostPasskeys(t *testing.T, site, inPage Site, vars map[string]string, page *browser.Browser) {
	t.Helper()
	restore, err := page.Copy()
	if err != nil {
		t.Fatal(err)
	}
	Play(t, inPage, vars, []Step{answered(beginPasswordless, page.Get), passwordless})
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	remove := Step{Name: "remove it", Method: http.MethodDelete, Path: mfa + "/passkeys/${passkey}", Want: http.StatusNoContent}
	notIn := not(passwordless, "it does not sign in", http.StatusUnauthorized, "invalid_credentials")
	Play(t, inPage, vars, []Step{
		answered(beginPasswordless, page.Get), notIn,
		{Name: "it is known for a copy", Method: http.MethodGet, Path: mfa + "/passkeys", Want: http.StatusOK, Has: map[string]any{"items.0.cloned": true}},
		answered(beginPasswordless, page.Get), notIn,
	})
	Play(t, site, vars, []Step{site.Mail("${email}", "A passkey of yours was found to have a copy", "notice", `(Remove it)`)})
	Play(t, inPage, vars, []Step{
		not(remove, "nor does it count any more as what was shown", http.StatusUnauthorized, "step_up_required"),
		{Name: "codes are mailed to who has nothing else", Method: http.MethodPost, Path: mfa + "/step-up/challenge", Want: http.StatusOK, Body: map[string]string{"method": "email"}, Save: map[string]string{"begun": "challenge"}},
	})
	Play(t, site, vars, []Step{site.Mail("${email}", "Your code for Tandem", "mailed", `>(\d{6})<`)})
	Play(t, inPage, vars, []Step{
		{Name: "step up by the code", Method: http.MethodPost, Path: mfa + "/step-up", Want: http.StatusOK, Body: map[string]string{"method": "email", "challenge": "${begun}", "code": "${mailed}"}, Save: map[string]string{"token": "access_token"}},
		remove,
	})
	if err := page.Forget(); err != nil {
		t.Fatal(err)
	}
	Play(t, inPage, vars, RegisterPasskey(page, "New laptop"))
	Play(t, inPage, vars, []Step{answered(beginPasswordless, page.Get), passwordless, remove, answered(beginPasswordless, page.Get), notIn})
}
