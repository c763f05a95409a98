package passwords

import (
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestPasswordPolicy(t *testing.T) {
	for _, c := range []struct {
		name, password, why string // why is a part of the field error, "" for a good password
	}{
		{"a sentence", "three blind mice in a row", ""},
		{"no composition rules", "tmzkqpwvxlbn", ""},
		{"any script", "корабли лавировали", ""},
		{"just long enough", "q7-Zw!xK0pLm", ""},
		{"longest", strings.Repeat("q7-Zw!xK0pLm dfg", 8), ""},
		{"empty", "", "shorter"},
		{"11 characters", "q7-Zw!xK0pL", "shorter"},
		{"11 characters of many bytes", strings.Repeat("ü", 11), "shorter"},
		{"129 characters", strings.Repeat("q7-Zw!xK0pLm dfg", 8) + "x", "longer"},
		{"the local part", "lovelace.ada", "e-mail"},
		{"around the local part", "xX-Lovelace.Ada-1815", "e-mail"},
		{"the local part, hidden", "l.o-v_e l.a+c/e a=d!a 99", "e-mail"},
		{"the organization", "Analytical Engines", "organization"},
		{"around the organization", "my analytical-engines!", "organization"},
		{"one character", "aaaaaaaaaaaaaa", "over and over"},
		{"a unit", "abcdabcdabcdab", "over and over"},
		{"a unit in both cases", "AbabABabABab", "over and over"},
		{"letters up", "ABCDefghijklm", "over and over"},
		{"letters down", "zyxwvutsrqpo", "over and over"},
		{"digits up", "4567890123456", "over and over"},
		{"digits down", "3210987654321", "over and over"},
		{"a sequence with an end of its own", "abcdefghijkl!", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := NewRules().Check(c.password, authapi.PasswordPolicy{}, "lovelace.ada@example.com", "Analytical Engines")
			if c.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			p := problem.From(err)
			if p.Code != authapi.CodeWeakPassword || p.Status != 422 || len(p.Errors) != 1 ||
				p.Errors[0].Location != "body.password" || !strings.Contains(p.Errors[0].Message, c.why) {
				t.Errorf("%+v; want weak_password because of %q", p, c.why)
			}
		})
	}
}

func TestShortNamesAreInManyPasswords(t *testing.T) {
	if err := NewRules().Check("canada dry in a glass", authapi.PasswordPolicy{}, "ada@example.com", "dry"); err != nil {
		t.Error(err)
	}
}

func TestPasswordsAreTheSameFromAnyKeyboard(t *testing.T) {
	composed, err := Prepare("café\u00a0olé café")
	if err != nil {
		t.Fatal(err)
	}
	decomposed, err := Prepare("cafe\u0301 ole\u0301 cafe\u0301")
	if err != nil || composed != decomposed {
		t.Errorf("%q and %q, %v; want one password", composed, decomposed, err)
	}
	if a, _ := Prepare("Correct horse"); a == "correct horse" {
		t.Error("upper and lower case are one password")
	}
	for _, text := range []string{"", "with\x00nul character", "two\nlines of text"} {
		if p, err := Prepare(text); err == nil {
			t.Errorf("Prepare(%q) = %q; want an error", text, p)
		}
	}
}

func TestCommonPasswordsAndTheOrganizationsRules(t *testing.T) {
	strict := authapi.PasswordPolicy{MinLength: 16, RequireUpper: true, RequireLower: true, RequireDigit: true, RequireSymbol: true}
	rules := NewRules()
	for _, c := range []struct {
		password string
		policy   authapi.PasswordPolicy
		why      string // "" for none
	}{
		{"qwertyuiop123456789", authapi.PasswordPolicy{}, "tried first"},
		{"Password12345!", authapi.PasswordPolicy{}, "tried first"},
		{"dragondragon", authapi.PasswordPolicy{}, "tried first"},
		{"three blind mice", authapi.PasswordPolicy{}, ""},
		{"three blind mice", strict, "upper-case"},
		{"Three blind mice", strict, "digit"},
		{"Three blind mice 3", strict, "sign"},
		{"THREE BLIND MICE 3!", strict, "lower-case"},
		{"Three mice 3!", strict, "shorter than 16"},
		{"Three blind mice, 3", strict, ""},
	} {
		err := rules.Check(c.password, c.policy, "ada@example.com", "Engines")
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(problem.From(err).Errors[0].Message, c.why) {
			t.Errorf("%q under %+v: %v, want %q", c.password, c.policy, err, c.why)
		}
	}
	if n := len(NewCommon().words); n < 10_000 {
		t.Errorf("%d common passwords, want 10,000 at least", n)
	}
}
