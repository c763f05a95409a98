package legal

import (
	"slices"

	"golang.org/x/text/language"
)

// choose is the index of the text for somebody who wants the languages of wanted, an Accept-Language list
// (RFC 9110, section 12.5.4) or one tag: the first text, which is the authoritative one, when there is none in
// a language of the list. A neighbouring language, as Danish is to Norwegian, is not near enough for a contract.
func choose(texts []text, wanted string) int {
	preferred, _, err := language.ParseAcceptLanguage(wanted)
	if err != nil {
		return 0
	}
	var have []language.Tag
	var at []int
	for i, t := range texts {
		tag := language.Make(t.Locale)
		if slices.ContainsFunc(preferred, func(p language.Tag) bool { return sameLanguage(p, tag) }) {
			have, at = append(have, tag), append(at, i)
		}
	}
	if len(have) == 0 {
		return 0
	}
	_, best, confidence := language.NewMatcher(have).Match(preferred...)
	if confidence < language.High {
		return 0
	}
	return at[best]
}

func sameLanguage(a, b language.Tag) bool {
	baseA, _ := a.Base()
	baseB, _ := b.Base()
	return baseA == baseB
}

// canonical is the one spelling of a language tag (RFC 5646): "en-US" for "EN-us".
func canonical(locale string) (string, error) {
	tag, err := language.Parse(locale)
	if err != nil {
		return "", err
	}
	return tag.String(), nil
}
