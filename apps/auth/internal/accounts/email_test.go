package accounts

import (
	"strings"
	"testing"
	"unicode"
)

func TestParseEmail(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"ada@example.com", "ada@example.com"},
		{"  Ada@Example.COM\t", "ada@example.com"},
		{"ada.lovelace+tandem@mail.example.co.uk", "ada.lovelace+tandem@mail.example.co.uk"},
		{"o'brien@example.com", "o'brien@example.com"},
		{"jörg@münchen.example", "jörg@xn--mnchen-3ya.example"},
		{"JÖRG@xn--MNCHEN-3ya.example", "jörg@xn--mnchen-3ya.example"},
		{"jo\u0308rg@example.com", "jörg@example.com"}, // decomposed
		{"ａｄａ@example.com", "ada@example.com"},         // full width
		{"", ""},
		{"ada", ""},
		{"@example.com", ""},
		{"ada@", ""},
		{"ada@localhost", ""},
		{"ada@example.com.", ""},
		{"ada@-example.com", ""},
		{"ada@example..com", ""},
		{"ada@exa_mple.com", ""},
		{"ada@127.0.0.1", ""},
		{"ada@[127.0.0.1]", ""},
		{".ada@example.com", ""},
		{"ada.@example.com", ""},
		{"a..da@example.com", ""},
		{"a da@example.com", ""},
		{"ada@b@example.com", ""},
		{`"ada"@example.com`, ""},
		{"Ada <ada@example.com>", ""},
		{"ada@example.com, eve@example.com", ""},
		{"ada@example.com\r\nBcc: eve@example.com", ""},
		{"a\x00da@example.com", ""},
		{"a\u200bda@example.com", ""}, // zero-width space
		{"ada\xff@example.com", ""},
		{strings.Repeat("a", 64) + "@example.com", strings.Repeat("a", 64) + "@example.com"},
		{strings.Repeat("a", 65) + "@example.com", ""},
		{"ada@" + strings.Repeat("a", 64) + ".com", ""},
		{"ada@" + strings.Repeat("a.", 130) + "com", ""},
	} {
		got, err := ParseEmail(c.text)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("ParseEmail(%q) = %q, %v; want %q", c.text, got, err, c.want)
		}
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, text := range []string{"ada@example.com", " Ada@Example.COM ", "jörg@münchen.example", "İ@x.example", "a@ß.example", "ﬃ@a.b", "a\r\n@b.c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		email, err := ParseEmail(text)
		if err != nil {
			return
		}
		again, err := ParseEmail(email)
		if err != nil || again != email {
			t.Errorf("%q became %q, which becomes %q, %v", text, email, again, err)
		}
		if strings.Count(email, "@") != 1 || len(email) > maxEmail ||
			strings.ContainsFunc(email, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.IsUpper(r) }) ||
			strings.ContainsAny(email, `<>()[]\,;:"`) {
			t.Errorf("%q became %q, which does not belong in a mail's header", text, email)
		}
	})
}
