package sessions

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"testing/quick"
)

var family = []byte("a family key of thirty-two bytes")

func TestTokensReadBackAndKnowTheirFamily(t *testing.T) {
	other := []byte("another key, thirty-two bytes...")
	check := func(random [randomBytes]byte) bool {
		token, err := newToken("0199b1f2-7a10", family, bytes.NewReader(random[:]))
		if err != nil {
			return false
		}
		back, err := parseToken(token.String())
		return err == nil && back == token && back.of(family) && !back.of(other)
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

func TestChangedTokenIsOfNoFamily(t *testing.T) {
	token, err := newToken("s", family, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range secretBytes * 8 {
		changed := token
		changed.secret[bit/8] ^= 1 << (bit % 8)
		if changed.of(family) {
			t.Fatalf("bit %d changed and the tag still fits", bit)
		}
	}
}

func TestSuccessorIsReadableWithItsTokenOnly(t *testing.T) {
	tokens := make([]refreshToken, 3)
	for i := range tokens {
		var err error
		if tokens[i], err = newToken("s", family, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	sealed, err := tokens[0].seal(tokens[1])
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := tokens[0].open(sealed); err != nil || opened != tokens[1] {
		t.Errorf("open = %v, %v; want the successor", opened, err)
	}
	if opened, err := tokens[2].open(sealed); err == nil {
		t.Errorf("another token opened it: %v", opened)
	}
	elsewhere := tokens[0]
	elsewhere.session = "t"
	if opened, err := elsewhere.open(sealed); err == nil {
		t.Errorf("another session opened it: %v", opened)
	}
	if bytes.Contains(sealed, tokens[1].secret[:8]) {
		t.Error("the successor can be read in the sealed form")
	}
}

func TestParseToken(t *testing.T) {
	secret := strings.Repeat("A", 64)
	for _, text := range []string{
		"", ".", "s", "s.", "." + secret, "s" + secret, "s." + secret[1:], "s." + secret + "A",
		"s." + secret[:63] + "=", "s." + secret[:63] + "+", "s." + secret[:62] + "\r\n", "s ." + secret,
		"s/../t." + secret, "s.s." + secret, strings.Repeat("s", 65) + "." + secret, "ß." + secret,
	} {
		if token, err := parseToken(text); err == nil {
			t.Errorf("parseToken(%q) = %v; want an error", text, token)
		}
	}
	if _, err := parseToken("s." + secret); err != nil {
		t.Errorf("a token in the right form: %v", err)
	}
}

func FuzzParseToken(f *testing.F) {
	token, err := newToken("0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d", family, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.String())
	f.Add("s." + strings.Repeat("_", 64))
	f.Add("s." + strings.Repeat("-", 62) + "\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := parseToken(text)
		if err == nil && token.String() != text {
			t.Errorf("%q was read as %q", text, token)
		}
	})
}
