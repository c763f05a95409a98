package identity_test

import (
	"fmt"
	"testing"
)

// BenchmarkVerify is what an access token costs in every process: the first time with its signature, and again from memory.
func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b)
	verify := func(tokens []string) func(*testing.B) {
		return func(b *testing.B) {
			v := i.verifier()
			if _, err := v.Verify(b.Context(), tokens[0]); err != nil { // which fetches the keys
				b.Fatal(err)
			}
			for n := 0; b.Loop(); n++ {
				if _, err := v.Verify(b.Context(), tokens[n%len(tokens)]); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	tokens := make([]string, 20_000) // twice as many as are remembered, so that none is when its turn comes again
	for n := range tokens {
		claims := i.claims()
		claims.Subject = fmt.Sprint("u", n)
		tokens[n] = i.sign(b, claims, "k1")
	}
	b.Run("First", verify(tokens))
	b.Run("Again", verify(tokens[:1]))
}
