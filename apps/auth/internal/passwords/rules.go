package passwords

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/problem"
)

const (
	minPassword = 12  // characters
	maxPassword = 128 // characters
	// minTelling is how long a name must be before a password that contains it says something about the
	// password: "al" is in many a good one.
	minTelling = 4
	// maxUnit is how long a unit may be whose repetition counts as a run ("abcdabcdabcd").
	maxUnit = 4
)

// Prepare is what is hashed of a password: its OpaqueString (RFC 8265), so that two keyboards
// that encode one character in two ways enter one password. It is an error for control characters.
func Prepare(text string) (string, error) { return precis.OpaqueString.String(text) }

// Rules hold passwords against what is demanded of everybody and what an organization demands besides.
type Rules struct{ common Common }

// NewRules are the rules with the list of common passwords.
func NewRules() Rules { return Rules{NewCommon()} }

// Check holds a prepared password of a person against the policy of their organization: 422 weak_password
// that names the rule.
func (r Rules) Check(password string, policy authapi.PasswordPolicy, email, organization string) error {
	local, _, _ := strings.Cut(email, "@")
	folded := fold(password)
	least := max(minPassword, policy.MinLength)
	switch n := utf8.RuneCountInString(password); {
	case n < least:
		return Weak(fmt.Sprintf("shorter than %d characters", least))
	case n > maxPassword:
		return Weak(fmt.Sprintf("longer than %d characters", maxPassword))
	case contains(folded, local), contains(folded, email):
		return Weak("contains the e-mail address")
	case contains(folded, organization):
		return Weak("contains the organization's name")
	case isRun([]rune(strings.ToLower(password))):
		return Weak("is one character or sequence over and over")
	case r.common.has(password):
		return Weak("is among the passwords that are tried first")
	}
	return composition(password, policy)
}

// composition holds a password against the kinds of characters that an organization demands.
func composition(password string, policy authapi.PasswordPolicy) error {
	for _, kind := range []struct {
		demanded bool
		of       func(rune) bool
		name     string
	}{
		{policy.RequireUpper, unicode.IsUpper, "upper-case letter"},
		{policy.RequireLower, unicode.IsLower, "lower-case letter"},
		{policy.RequireDigit, unicode.IsDigit, "digit"},
		{policy.RequireSymbol, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) }, "sign"},
	} {
		if kind.demanded && !strings.ContainsFunc(password, kind.of) {
			return Weak("has no " + kind.name + ", which the organization demands")
		}
	}
	return nil
}

func contains(folded, name string) bool {
	name = fold(name)
	return utf8.RuneCountInString(name) >= minTelling && strings.Contains(folded, name)
}

// fold leaves letters and digits, in lower case, so that punctuation does not hide a name.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// isRun tells whether text is a short unit repeated, or counts up or down; after 9 comes 0.
func isRun(text []rune) bool {
	for unit := 1; unit <= maxUnit; unit++ {
		if repeats(text, unit) {
			return true
		}
	}
	return counts(text, 1) || counts(text, -1)
}

func repeats(text []rune, unit int) bool {
	for i := unit; i < len(text); i++ {
		if text[i] != text[i-unit] {
			return false
		}
	}
	return true
}

func counts(text []rune, step rune) bool {
	for i := 1; i < len(text); i++ {
		from, to := text[i-1], text[i]
		wraps := step == 1 && from == '9' && to == '0' || step == -1 && from == '0' && to == '9'
		if to != from+step && !wraps {
			return false
		}
	}
	return true
}

// Weak refuses a password, and says why: 422 weak_password.
func Weak(why string) *problem.Problem {
	return problem.New(http.StatusUnprocessableEntity, authapi.CodeWeakPassword, "the password is too easy to guess or too long").
		With(problem.Field{Location: "body.password", Message: why})
}
