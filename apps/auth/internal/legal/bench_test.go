package legal

import (
	"fmt"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/pkg/identity"
)

// BenchmarkContribute is what legal documents cost each time that somebody's access is worked out: three kinds
// of ten versions in two languages, all accepted.
func BenchmarkContribute(b *testing.B) {
	f := newFixture(b)
	for _, kind := range []string{authapi.LegalTerms, authapi.LegalPrivacy, authapi.LegalCookies} {
		for version := 1; version <= 10; version++ {
			text := fmt.Sprintf("%s %d", kind, version)
			f.publish(b, kind, version, english(text))
			f.accept(b, "ada", kind, version, text)
		}
	}
	for b.Loop() {
		var a identity.Access
		if err := f.Contribute(b.Context(), access.Member{Organization: "acme", User: "ada"}, &a); err != nil || len(a.Accept) != 0 {
			b.Fatal(a, err)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	have := texts("en", "de", "pt-BR", "fr", "es")
	for b.Loop() {
		if choose(have, "de-CH, de;q=0.9, en;q=0.8") != 1 {
			b.Fatal("not German")
		}
	}
}
