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
			err := Check(c.password, "lovelace.ada@example.com", "Analytical Engines")
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
	if err := Check("canada dry in a glass", "ada@example.com", "dry"); err != nil {
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
