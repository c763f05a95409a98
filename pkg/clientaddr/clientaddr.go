// Package clientaddr finds out where a request came from when proxies stand in between.
package clientaddr

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Header is where proxies write the addresses that a request passed, the client's first.
const Header = "X-Forwarded-For"

// Of is the address of the client: the connection's own, or, where that is a trusted proxy, the last
// address in the header that is none. What a client writes into the header itself is never believed.
func Of(r *http.Request, trusted []netip.Prefix) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !within(host, trusted) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values(Header), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if hop = strings.TrimSpace(hop); hop == "" {
			continue
		} else if host = hop; !within(hop, trusted) {
			break
		}
	}
	return host
}

func within(address string, trusted []netip.Prefix) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}
