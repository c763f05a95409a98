package shopify

import (
	"errors"
	"regexp"
	"strings"
)

// ErrShop says that a text names no shop.
var ErrShop = errors.New(`want the name of a shop, such as "demo" or "demo.myshopify.com"`)

const (
	domain = ".myshopify.com"
	// maxName is the longest label of a domain name (RFC 1035, section 2.3.4).
	maxName = 63
)

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// Domain is the normal form of a shop's name, "<name>.myshopify.com" in lower case, of the name alone or the domain with
// or without a scheme and slashes at its end: ErrShop. Nothing else of an address is accepted, so that whoever names a
// shop cannot name another host.
func Domain(shop string) (string, error) {
	shop = strings.ToLower(strings.TrimSpace(shop))
	shop = strings.TrimRight(strings.TrimPrefix(shop, "https://"), "/")
	shop = strings.TrimSuffix(shop, domain)
	if len(shop) > maxName || !name.MatchString(shop) {
		return "", ErrShop
	}
	return shop + domain, nil
}
