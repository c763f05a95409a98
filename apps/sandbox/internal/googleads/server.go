// Package googleads simulates what a sync uses of the Google Ads API in its REST form, and of Google's OAuth: customers below a
// manager, queries (GAQL) that are parsed as strictly as the vendor does, pages, headers, and the vendor's errors. Advertising on YouTube
// is campaigns of the same accounts, so that two of the platform's vendors are this one.
//
// The names of fields, resources and errors are those of the protos in googleapis, google/ads/googleads/v25.
package googleads

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// DeveloperToken is the one that the simulated API knows.
const DeveloperToken = "developer-token-of-the-simulated-app"

const (
	version = "v25"
	scope   = "https://www.googleapis.com/auth/adwords"
	// pageRows is how many rows a page has; a client neither chooses nor relies on it. Those of small accounts have fewer than the vendor's,
	// so that they have more than one page.
	pageRows, pageRowsOfSmall = 10_000, 500
	// small is how many rows there are in all at most of a small account.
	small = 2000
)

// server answers for one vendor.Vendor.
type server struct {
	world vendor.World
	v     *vendor.Vendor
}

// Register adds Google's API, its OAuth and its administration to a mux.
func Register(mux *http.ServeMux, w vendor.World) {
	s := &server{world: w}
	s.v = vendor.New(vendor.Options{
		Name: shop.GoogleAds, World: w,
		Tokens: vendor.Tokens{Prefix: "ya29.", Access: time.Hour, Refresh: 10 * 365 * 24 * time.Hour},
		Words: vendor.Refusals{
			Broken: func(w http.ResponseWriter, status int) {
				write(w, refuse(status, "INTERNAL", "Internal error encountered."))
			},
			Unauthorized: func(w http.ResponseWriter) { write(w, unauthenticated()) },
		},
		Throttled: func(w http.ResponseWriter, status int, wait time.Duration) { write(w, exhausted(status, wait)) },
	})
	s.oauth(mux)
	s.v.Handle(mux, "GET googleads.googleapis.com/{version}/customers:listAccessibleCustomers", s.accessible)
	s.v.Handle(mux, "POST googleads.googleapis.com/{version}/customers/{customer}/{method}", s.search)
	for _, name := range []string{shop.GoogleAds, shop.YouTubeAds} {
		s.v.RegisterAdminAs(mux, name)
		s.v.RegisterTruthAs(mux, name, func(a *vendor.Account) vendor.Truth { return s.truth(a, name) })
	}
}

func write(w http.ResponseWriter, a vendor.Answer) { vendor.WriteJSON(w, a.Status, a.Body) }

// headers checks what every request has to say; nil when it does.
func (s *server) headers(r *http.Request) *vendor.Answer {
	var refused vendor.Answer
	switch token := r.Header.Get("developer-token"); {
	case r.PathValue("version") != version && strings.HasPrefix(r.PathValue("version"), "v"):
		refused = failure(http.StatusBadRequest, "INVALID_ARGUMENT", "requestError", "UNSUPPORTED_VERSION", "Version "+r.PathValue("version")+" is deprecated.", nil)
	case token == "":
		refused = failure(http.StatusBadRequest, "INVALID_ARGUMENT", "requestError", "DEVELOPER_TOKEN_PARAMETER_MISSING", "Required header 'developer-token' is missing.", nil)
	case token != DeveloperToken:
		refused = failure(http.StatusUnauthorized, "UNAUTHENTICATED", "authenticationError", "DEVELOPER_TOKEN_INVALID", "The developer token is not valid.", nil)
	default:
		return nil
	}
	return &refused
}

// accessible lists the customers that a person has access to, other than by way of a manager.
func (s *server) accessible(a *vendor.Account, r *http.Request) vendor.Answer {
	if refused := s.headers(r); refused != nil {
		return *refused
	}
	if r.URL.RawQuery != "" {
		return invalid("Invalid JSON payload received. Unknown name in the query.")
	}
	names := []string{}
	for _, c := range s.customers(a) {
		if c.direct {
			names = append(names, "customers/"+c.id)
		}
	}
	return vendor.OK(map[string]any{"resourceNames": names})
}

// search answers a query with a page of rows.
func (s *server) search(a *vendor.Account, r *http.Request) vendor.Answer {
	if r.PathValue("method") != "googleAds:search" {
		return refuse(http.StatusNotFound, "NOT_FOUND", "Method not found.")
	}
	if refused := s.headers(r); refused != nil {
		return *refused
	}
	of, refused := s.customer(a, r)
	if refused != nil {
		return *refused
	}
	var asked map[string]json.RawMessage
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || json.NewDecoder(r.Body).Decode(&asked) != nil {
		return invalid("Invalid JSON payload received.")
	}
	var text, pageToken string
	for name, value := range asked {
		into := map[string]*string{"query": &text, "pageToken": &pageToken, "page_token": &pageToken}[name]
		switch {
		case name == "pageSize" || name == "page_size":
			return failure(http.StatusBadRequest, "INVALID_ARGUMENT", "requestError", "PAGE_SIZE_NOT_SUPPORTED", "Setting the page size is not supported.", nil)
		case into == nil:
			return invalid(fmt.Sprintf("Invalid JSON payload received. Unknown name %q: Cannot find field.", name))
		case json.Unmarshal(value, into) != nil:
			return invalid(fmt.Sprintf("Invalid value at '%s' (TYPE_STRING).", name))
		}
	}
	if text == "" {
		return failure(http.StatusBadRequest, "INVALID_ARGUMENT", "requestError", "REQUIRED_FIELD_MISSING", "Required field is missing: query", nil)
	}
	q, wrong := parse(text)
	if wrong == nil && of.manager && q.hasMetrics() {
		wrong = &queryError{"REQUESTED_METRICS_FOR_MANAGER", "Metrics cannot be requested for a manager account."}
	}
	if wrong != nil {
		return failure(http.StatusBadRequest, "INVALID_ARGUMENT", "queryError", wrong.code, wrong.message, nil)
	}
	rows := s.rows(a, of, q)
	start, ok := startOf(pageToken, text)
	if !ok || start > len(rows) {
		return failure(http.StatusBadRequest, "INVALID_ARGUMENT", "requestError", "INVALID_PAGE_TOKEN", "The page token is invalid.", nil)
	}
	return vendor.OK(s.page(a, q, rows, start, text))
}

// page is the rows from start on, with the faults of pages that are due.
func (s *server) page(a *vendor.Account, q query, rows []values, start int, text string) map[string]any {
	size := pageRows
	if len(rows) <= small {
		size = pageRowsOfSmall
	}
	page, more := vendor.PageOf(a, rows, start, size)
	results := make([]map[string]any, len(page))
	for i, has := range page {
		results[i] = q.row(has)
	}
	body := map[string]any{"fieldMask": q.mask(), "queryResourceConsumption": strconv.Itoa(len(results))}
	if len(results) > 0 { // proto3 leaves empty lists out
		body["results"] = results
	}
	if more {
		body["nextPageToken"] = pageTokenOf(start+size, text)
	}
	return body
}

// A page token is good for the query that it was given for.
func pageTokenOf(start int, query string) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%x", start, hash(query)))
}

func startOf(token, query string) (start int, ok bool) {
	if token == "" {
		return 0, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0, false
	}
	number, _, _ := strings.Cut(string(raw), "/")
	start, err = strconv.Atoi(number)
	return start, err == nil && start > 0 && pageTokenOf(start, query) == token
}
