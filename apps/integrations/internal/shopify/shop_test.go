package shopify_test

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/integrations/internal/shopify"
)

func TestDomain(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"demo", "demo.myshopify.com"},
		{"demo.myshopify.com", "demo.myshopify.com"},
		{"  Demo.MyShopify.com/ ", "demo.myshopify.com"},
		{"https://demo.myshopify.com//", "demo.myshopify.com"},
		{"a", "a.myshopify.com"},
		{"my-shop_2", "my-shop_2.myshopify.com"},
		{strings.Repeat("a", 63), strings.Repeat("a", 63) + ".myshopify.com"},
		{strings.Repeat("a", 64), ""},
		{"", ""},
		{".myshopify.com", ""},
		{"-demo", ""},
		{"_demo", ""},
		{"demo.example.com", ""},
		{"demo.shop.dev", ""},
		{"demo.myshopify.com.example.com", ""},
		{"example.com/demo.myshopify.com", ""},
		{"example.com#.myshopify.com", ""},
		{"example.com?.myshopify.com", ""},
		{"user@demo.myshopify.com", ""},
		{"demo.myshopify.com:8080", ""},
		{"http://demo.myshopify.com", ""},
		{"127.0.0.1", ""},
		{"demo\n.myshopify.com", ""},
		{"demo%2e", ""},
		{"démo", ""},
		{"demo/../x", ""},
	} {
		got, err := shopify.Domain(c.in)
		if got != c.want || (c.want == "") != errors.Is(err, shopify.ErrShop) {
			t.Errorf("%q: %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

var vendorPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-_]*\.myshopify\.com$`)

func FuzzDomain(f *testing.F) {
	for _, seed := range []string{"demo", "https://Demo.myshopify.com/", "a@b.myshopify.com", "x.myshopify.com.evil.test", "K"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		domain, err := shopify.Domain(in)
		if err != nil {
			return
		}
		if !vendorPattern.MatchString(domain) {
			t.Errorf("%q became %q, which is not what the vendor calls a shop", in, domain)
		}
		u, err := url.Parse("https://" + domain + "/admin")
		if err != nil || u.Host != domain || u.User != nil || u.Path != "/admin" {
			t.Errorf("%q became %q, which is another address: %v", in, domain, u)
		}
		if again, err := shopify.Domain(domain); again != domain || err != nil {
			t.Errorf("%q is not its own normal form: %q, %v", domain, again, err)
		}
	})
}
