package passwords

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/trustelem/zxcvbn/frequency"
)

// Common knows the passwords that are tried first: the 30,000 most frequent ones of leaked lists, as the
// zxcvbn estimator ranks them (Wheeler, "zxcvbn: Low-Budget Password Strength Estimation", USENIX Security
// 2016). NIST SP 800-63B, section 5.1.1.2, asks for such a list.
type Common struct {
	words []string
	// sorted are the places of the words in their order, which is a thirtieth of what a map of them takes.
	sorted func() []uint16
}

// NewCommon is the list. It is sorted when it is first asked, which no start has to wait for.
func NewCommon() Common {
	words := frequency.FrequencyLists["passwords"]
	return Common{words, sync.OnceValue(func() []uint16 {
		sorted := make([]uint16, len(words))
		for i := range sorted {
			sorted[i] = uint16(i)
		}
		slices.SortFunc(sorted, func(a, b uint16) int { return strings.Compare(words[a], words[b]) })
		return sorted
	})}
}

// has tells whether password is on the list as it is, or when what is put around a word to please rules
// (digits, signs, capitals) is taken away, or is one such word after another.
func (c Common) has(password string) bool {
	lower := strings.ToLower(password)
	bare := strings.TrimFunc(lower, func(r rune) bool { return !unicode.IsLetter(r) })
	return c.is(lower) || c.is(bare) || c.repeats(lower)
}

func (c Common) is(word string) bool {
	_, is := slices.BinarySearchFunc(c.sorted(), word, func(at uint16, word string) int { return strings.Compare(c.words[at], word) })
	return is
}

// repeats tells whether text is one listed word twice or more often.
func (c Common) repeats(text string) bool {
	for n := 2; n <= len(text)/3; n++ {
		if unit := text[:len(text)/n]; len(text)%n == 0 && strings.Repeat(unit, n) == text && c.is(unit) {
			return true
		}
	}
	return false
}
