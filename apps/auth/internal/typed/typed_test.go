package typed

import (
	"testing"

	"github.com/tandemhq/tandem/pkg/problem"
)

func TestName(t *testing.T) {
	for text, want := range map[string]string{
		" Ada\t":       "Ada",
		"Jose\u0301":   "José",
		"Ada Lovelace": "Ada Lovelace",
		"":             "",
		" ":            "",
		"A\x00da":      "",
		"A\u202eda":    "",
		"A\nda":        "",
	} {
		got, err := Name("body.name", text)
		if got != want || (want == "") != (problem.Code(err) == problem.CodeValidation) {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}
