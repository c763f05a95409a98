package scenario

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"testing"
	"time"
)

const mfa = "/api/auth/mfa"

// appCode is what an authenticator app shows, with its space: the code of a secret so many steps of 30 s from now (RFC 6238,
// section 4.2).
func appCode(secret string, steps int) (string, error) {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		return "", fmt.Errorf("the app's secret: %w", err)
	}
	mac := hmac.New(sha1.New, key)
	if err := binary.Write(mac, binary.BigEndian, time.Now().Unix()/30+int64(steps)); err != nil {
		return "", err
	}
	sum := mac.Sum(nil)
	cut := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff
	return fmt.Sprintf("%03d %03d", cut/1000%1000, cut%1000), nil
}

// showsCode has the app of "secret" show a code for the step after s, as "code". A code is good for one use, and one that comes
// early or late by a step is accepted: so the first use may have the code of now, and the next, at once, the one after it.
func showsCode(s Step, steps int) Step {
	s.Then = func(_ context.Context, _ []byte, vars map[string]string) (err error) {
		vars["code"], err = appCode(vars["secret"], steps)
		return err
	}
	return s
}

// Enrol sets an authenticator app up, after which the session has shown a second factor. It saves "secret", "token", and ten
// recovery codes as "recovery 0" to "recovery 9".
func Enrol() []Step {
	save := map[string]string{"token": "access_token"}
	for i := range 10 {
		save[fmt.Sprintf("recovery %d", i)] = fmt.Sprintf("recovery_codes.%d", i)
	}
	return []Step{
		showsCode(Step{
			Name: "a secret for an app", Method: http.MethodPost, Path: mfa + "/totp", Want: http.StatusOK,
			Has: map[string]any{"secret": Present, "uri": Present}, Save: map[string]string{"secret": "secret"},
		}, 0),
		{
			Name: "the app shows its code", Method: http.MethodPost, Path: mfa + "/totp/confirm", Want: http.StatusOK,
			Body: map[string]string{"code": "${code}"}, Has: map[string]any{"recovery_codes.#": 10, "refresh_token": nil}, Lacks: []string{"${secret}"}, Save: save,
		},
	}
}

// Challenged is a login that waits for a second factor. It saves "challenge".
func Challenged(more map[string]string) Step {
	s := Login(more)
	s.Name, s.Save = "login, a second factor is missing", map[string]string{"challenge": "challenge"}
	s.Has = map[string]any{"mfa_required": true, "access_token": nil, "refresh_token": nil, "methods.0": Present}
	return s
}

// Show shows a second factor of a method for the login that waits. It saves "token" and "refresh".
func Show(method, factor string) Step {
	return Step{
		Name: "a second factor: " + method, Method: http.MethodPost, Path: mfa + "/verify", Want: http.StatusOK, Header: map[string]string{"Authorization": ""},
		Body: map[string]any{"challenge": "${challenge}", "method": method, "code": factor},
		Has:  map[string]any{"token_type": "Bearer"}, Save: map[string]string{"token": "access_token", "refresh": "refresh_token"},
	}
}

// SecondFactors is about an authenticator app, recovery codes, codes by mail and text message, and devices that need none of
// them for a while: at login, and before what asks for them.
func SecondFactors(t *testing.T, site Site) {
	vars := map[string]string{"number": fmt.Sprintf("44%010d", time.Now().UnixNano()/1000%1e10)} // nobody else's in this run
	Play(t, site, vars, Register(vars, "secondfactors"))
	renew := Step{
		Name: "new recovery codes", Method: http.MethodPost, Path: mfa + "/recovery-codes", Want: http.StatusOK,
		Has: map[string]any{"codes.#": 10}, Save: map[string]string{"new code": "codes.0", "newer code": "codes.1"},
	}
	confirm := Step{Method: http.MethodPost, Path: mfa + "/totp/confirm", Body: map[string]string{"code": "abcdef"}}
	Play(t, site, vars, []Step{
		{Name: "none yet", Method: http.MethodGet, Path: mfa, Want: http.StatusOK, Has: map[string]any{"methods.#": 0, "required": false, "recovery_codes": 0}},
		not(renew, "not without a second factor", http.StatusUnauthorized, "step_up_required"),
		not(confirm, "no app to confirm", http.StatusUnprocessableEntity, "second_factor_invalid"),
	})
	Play(t, site, vars, Enrol())
	Play(t, site, vars, []Step{
		{Name: "the session has shown it", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"acr": "mfa"}},
		{Name: "it is set up", Method: http.MethodGet, Path: mfa, Want: http.StatusOK, Has: map[string]any{"methods.0": "totp", "recovery_codes": 10, "totp.enrolled_at": Present}, Lacks: []string{"${secret}"}},
		{
			Name: "refresh", Method: http.MethodPost, Path: "/api/auth/refresh", Want: http.StatusOK, Header: map[string]string{"Authorization": ""},
			Body: map[string]string{"refresh_token": "${refresh}"}, Save: map[string]string{"token": "access_token"},
		},
		{Name: "the next access token says so too", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"acr": "mfa"}},
		{
			Name: "codes by text message", Method: http.MethodPost, Path: mfa + "/sms", Body: map[string]string{"number": "+${number}"}, Want: http.StatusOK,
			Has: map[string]any{"method": "sms"}, Save: map[string]string{"begun": "challenge"}, Lacks: []string{"${number}"},
		},
	})
	Play(t, site, vars, []Step{site.Mail("%2B${number}", "", "text", `(\d{6}) is your`)})
	sent := func(method, code string) Step {
		return Step{
			Name: "the code that was sent", Method: http.MethodPost, Path: mfa + "/" + method + "/confirm", Want: http.StatusOK,
			Body: map[string]string{"challenge": "${begun}", "code": code}, Has: map[string]any{"recovery_codes": nil}, Save: map[string]string{"token": "access_token"},
		}
	}
	Play(t, site, vars, []Step{
		{Name: "no passkey to ask for", Method: http.MethodPost, Path: mfa + "/step-up/challenge", Body: map[string]string{"method": "passkey"}, Want: http.StatusConflict, Has: code("factor_not_enrolled")},
		not(sent("sms", "abcdef"), "not the code that was sent", http.StatusUnprocessableEntity, "second_factor_invalid"),
		sent("sms", "${text}"),
		{Name: "codes by mail", Method: http.MethodPost, Path: mfa + "/email", Want: http.StatusOK, Has: map[string]any{"method": "email"}, Save: map[string]string{"begun": "challenge"}},
	})
	Play(t, site, vars, []Step{site.Mail("${email}", "Your code for Tandem", "mailed", `>(\d{6})<`)})

	remember := Show("totp", "${code}")
	remember.Body = map[string]any{"challenge": "${challenge}", "method": "totp", "code": "${code}", "remember_device": true}
	remember.Save = map[string]string{"token": "access_token", "device": "device_token"}
	trusted := Login(map[string]string{"device_token": "${device}"})
	trusted.Name = "login on the remembered device"
	Play(t, site, vars, []Step{
		sent("email", "${mailed}"),
		Challenged(nil),
		{Name: "no challenge", Method: http.MethodGet, Path: me, Header: map[string]string{"Authorization": "Bearer ${challenge}"}, Want: http.StatusUnauthorized, Has: code("token_invalid")},
		not(Show("totp", "${code}"), "a code that was used", http.StatusUnauthorized, "second_factor_invalid"),
		not(Step{Method: http.MethodPost, Path: mfa + "/challenge", Body: map[string]string{"challenge": "${challenge}", "method": "sms"}}, "another code right away", http.StatusTooManyRequests, "too_many_codes"),
		showsCode(Challenged(nil), 1),
		remember,
		not(remember, "the sign-in is over", http.StatusUnauthorized, "challenge_invalid"),
		{Name: "a remembered device", Method: http.MethodGet, Path: mfa + "/devices", Want: http.StatusOK, Has: map[string]any{"items.#": 1}},
		trusted,
		{Name: "one factor was shown", Method: http.MethodGet, Path: me, Want: http.StatusOK, Has: map[string]any{"acr": nil}},
		not(renew, "step up first", http.StatusUnauthorized, "step_up_required"),
		{
			Name: "step up by a recovery code", Method: http.MethodPost, Path: mfa + "/step-up", Body: map[string]string{"method": "recovery_code", "code": "${recovery 0}"},
			Want: http.StatusOK, Has: map[string]any{"refresh_token": nil}, Save: map[string]string{"token": "access_token"},
		},
		renew,
		{Name: "devices are forgotten, the telephone may be lost", Method: http.MethodGet, Path: mfa + "/devices", Want: http.StatusOK, Has: map[string]any{"items.#": 0}},
		Challenged(map[string]string{"device_token": "${device}"}),
		not(Show("recovery_code", "${recovery 1}"), "one of the former recovery codes", http.StatusUnauthorized, "second_factor_invalid"),
		Show("recovery_code", "${new code}"),
		Challenged(nil),
		not(Show("recovery_code", "${new code}"), "used", http.StatusUnauthorized, "second_factor_invalid"),
	})

	wrong := not(Show("totp", "abcdef"), "wrong", http.StatusUnauthorized, "second_factor_invalid")
	wrong.Times = 5
	locked := not(Show("totp", "abcdef"), "locked", http.StatusTooManyRequests, "factor_locked")
	locked.Has["header:Retry-After"] = Present
	Play(t, site, vars, []Step{wrong, locked, Challenged(nil), locked, Show("recovery_code", "${newer code}")})
	Play(t, site, vars, []Step{site.Mail("${email}", "Your authenticator app was locked for 15 minutes", "notice", `(failed five times)`)})

	remove := func(method string) Step {
		return Step{Name: "no more " + method, Method: http.MethodDelete, Path: mfa + "/" + method, Want: http.StatusNoContent}
	}
	Play(t, site, vars, []Step{
		remove("totp"), not(remove("totp"), "there is none", http.StatusNotFound, "not_found"), remove("sms"), remove("email"), Login(nil),
		{Name: "none again", Method: http.MethodGet, Path: mfa, Want: http.StatusOK, Has: map[string]any{"methods.#": 0, "recovery_codes": 0}},
	})
}
