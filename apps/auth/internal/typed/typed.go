// Package typed brings what people typed into the form that is stored.
package typed

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/tandemhq/tandem/pkg/problem"
)

// Name is text as a name, composed (NFC) and without space around it: 422 validation_failed at location where there is none, or
// one that cannot be shown.
func Name(location, text string) (string, error) {
	text = strings.TrimSpace(norm.NFC.String(text))
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", problem.Invalid(location, "want text without control characters")
	}
	return text, nil
}
