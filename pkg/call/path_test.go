package call_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/call"
)

// FuzzPlainPath holds what is admitted against what a sidecar does to paths: unescape again, and clean.
func FuzzPlainPath(f *testing.F) {
	f.Add("/api/auth/%2e%2e/x")
	f.Add("/api/auth/me")
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !call.PlainPath(u) {
			return
		}
		again, err := url.PathUnescape(u.Path)
		if err != nil || again != u.Path {
			t.Errorf("%q unescapes to %q and then to %q", target, u.Path, again)
		}
		if cleaned := path.Clean(u.Path); strings.Count(cleaned, "/") < strings.Count(strings.TrimRight(u.Path, "/"), "/") && !strings.Contains(u.Path, "//") {
			t.Errorf("%q cleans to %q", target, cleaned)
		}
	})
}
