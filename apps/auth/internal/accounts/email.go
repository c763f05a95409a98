package accounts

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
)

const (
	maxEmail = 254 // bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets)
	maxLocal = 64  // bytes (RFC 5321, section 4.5.3.1.1)
)

var (
	errEmail = errors.New("want an e-mail address such as ada@example.com")
	// dotAtom is RFC 5322's dot-atom with the letters of RFC 6531.
	dotAtom = regexp.MustCompile("^[a-z0-9!#$%&'*+/=?^_`{|}~\\x{80}-\\x{10ffff}-]+(\\.[a-z0-9!#$%&'*+/=?^_`{|}~\\x{80}-\\x{10ffff}-]+)*$")
	// domain has two labels or more, the last of which is no number, so that no IP address passes.
	domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$`)
)

// ParseEmail is the normalized form of an address: the local part as a case-mapped user name (RFC 8265),
// the domain in ASCII (RFC 5891). Two spellings of one form are one account. Mail servers may tell upper
// from lower case in the local part; none that people use does.
func ParseEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	at := strings.LastIndexByte(text, '@')
	if at < 0 || len(text) > maxEmail || !utf8.ValidString(text) {
		return "", errEmail
	}
	local, err := precis.UsernameCaseMapped.String(text[:at])
	if err != nil || len(local) > maxLocal || !dotAtom.MatchString(local) {
		return "", errEmail
	}
	domain, err := idna.Lookup.ToASCII(text[at+1:])
	if err != nil || !domainName.MatchString(domain) {
		return "", errEmail
	}
	email := local + "@" + domain
	if len(email) > maxEmail {
		return "", errEmail
	}
	return email, nil
}
