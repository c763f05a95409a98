package connector

import (
	"net/http"
	"strings"
	"time"
)

// Web is how vendors are reached. Their addresses are configuration; nothing that a user says becomes a host.
type Web struct {
	HTTP *http.Client
	Now  func() time.Time
	// Hosts is the base URL of a vendor's API, in which {host} stands for its host: https://{host}.
	Hosts string
	// Pages is that of the pages where people authorize us.
	Pages string
}

// API is the base URL of the API at a host.
func (w Web) API(host string) string { return strings.ReplaceAll(w.Hosts, "{host}", host) }

// Page is the base URL of the pages at a host.
func (w Web) Page(host string) string { return strings.ReplaceAll(w.Pages, "{host}", host) }

// Fetch is Fetch.
func (w Web) Fetch(r *http.Request, into any) error { return Fetch(w.HTTP, w.Now, r, into) }

// Ask is Fetch for a vendor that says in its answers what is wrong, also in those with status 200: explain comes before what a
// status means in HTTP.
func (w Web) Ask(r *http.Request, into any, explain Explain) error {
	return fetch(w.HTTP, w.Now, r, into, explain)
}
