package legal

import "testing"

func texts(locales ...string) []text {
	all := make([]text, len(locales))
	for i, locale := range locales {
		all[i].Locale = locale
	}
	return all
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		have   []text
		wanted string
		want   string
	}{
		{texts("en", "de", "pt-BR"), "", "en"},
		{texts("en", "de", "pt-BR"), "de", "de"},
		{texts("en", "de", "pt-BR"), "DE-ch", "de"},
		{texts("en", "de", "pt-BR"), "de_AT", "de"},
		{texts("de", "en"), "en-GB", "en"},
		{texts("de", "en"), "fr", "de"}, // the authoritative text
		{texts("en", "de", "pt-BR"), "fr, de;q=0.1", "de"},
		{texts("en", "de", "pt-BR"), "de;q=0.1, en;q=0.9", "en"},
		{texts("en", "de"), "*", "en"},
		{texts("en", "da"), "no", "en"}, // understood, but not well enough for a contract
		{texts("en", "da", "de"), "no, de;q=0.5", "de"},
		{texts("en", "zh-Hans"), "zh-TW", "en"},
		{texts("en", "zh-Hans"), "zh-CN", "zh-Hans"},
		{texts("en", "de"), "de;q=zero", "en"},
		{texts("en", "de"), "../../etc/passwd", "en"},
	} {
		if got := c.have[choose(c.have, c.wanted)].Locale; got != c.want {
			t.Errorf("%q of %v is %s; want %s", c.wanted, c.have, got, c.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{"EN-us": "en-US", "de": "de", "zh-hant-tw": "zh-Hant-TW", "": "", "e": "", "english please": "", "en\x00": ""} {
		if got, err := canonical(in); got != want || (err == nil) != (want != "") {
			t.Errorf("canonical(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzChoose(f *testing.F) {
	for _, wanted := range []string{"", "de-CH, en;q=0.8", "*", "x-private", "zh-Hant-TW-u-co-stroke", "de;q=", "i-klingon,,"} {
		f.Add(wanted)
	}
	have := texts("en", "de", "pt-BR")
	f.Fuzz(func(t *testing.T, wanted string) {
		if i := choose(have, wanted); i < 0 || i >= len(have) {
			t.Errorf("%q is text %d", wanted, i)
		}
		locale, err := canonical(wanted)
		if err != nil {
			return
		}
		if again, err := canonical(locale); err != nil || again != locale {
			t.Errorf("%q became %q, which becomes %q, %v", wanted, locale, again, err)
		}
	})
}
