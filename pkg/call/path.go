package call

import (
	"net/url"
	"strings"
)

// PlainPath tells whether a URL's path means the same to everybody on the way: segments of printable
// ASCII, none of them "." or "..", no escaped separator, nothing that a second unescaping would change.
// A sidecar unescapes and cleans the paths that it is given.
func PlainPath(u *url.URL) bool {
	if strings.Count(u.Path, "/") != strings.Count(u.EscapedPath(), "/") {
		return false
	}
	for _, c := range []byte(u.Path) {
		if c <= ' ' || c > '~' || strings.IndexByte(`%?#\`, c) >= 0 {
			return false
		}
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
