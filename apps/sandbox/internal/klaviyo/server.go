// Package klaviyo simulates Klaviyo's API of revision 2026-07-15 (github.com/klaviyo/openapi): accounts, profiles, campaigns, flows,
// events, metrics, their aggregates and reports, in JSON:API, for keys and for an app that people authorize. An account's profiles are the customers of the
// shop of its name, its campaigns that shop's mailings.
package klaviyo

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const (
	host      = "a.klaviyo.com"
	mediaType = "application/vnd.api+json"
	// timeZone is that of every account.
	timeZone = "America/New_York"
)

// server is the simulated vendor.
type server struct {
	*vendor.Vendor
	zone *time.Location

	mu      sync.Mutex
	created map[string][]profile          // by account, those that were made here
	edits   map[string]map[string]profile // by account and id, those that were changed here, as they are now
	told    map[string][]event            // by account, the events that were sent here
}

// Register serves the vendor.
func Register(mux *http.ServeMux, w vendor.World) {
	s := &server{created: map[string][]profile{}, edits: map[string]map[string]profile{}, told: map[string][]event{}, zone: zoneOf(timeZone)}
	s.Vendor = vendor.New(vendor.Options{
		Name: "klaviyo", World: w, KeyPrefix: "pk_",
		Tokens: vendor.Tokens{Access: time.Hour, Refresh: 90 * 24 * time.Hour, PKCE: true},
		Token: func(r *http.Request) string {
			if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Klaviyo-API-Key "); ok {
				return key
			}
			return vendor.Bearer(r)
		},
		Words: vendor.Refusals{
			Broken: func(w http.ResponseWriter, status int) {
				write(w, refuse(status, "server_error", "A server error occurred.", nil))
			},
			Unauthorized: func(w http.ResponseWriter) {
				write(w, refuse(http.StatusUnauthorized, "authentication_failed", "Incorrect authentication credentials.", nil))
			},
		},
		Told: func(h http.Header, b vendor.Budget) {
			h.Set("RateLimit-Limit", fmt.Sprintf("%d, %d;w=%g", b.Requests, b.Requests, b.Seconds))
			h.Set("RateLimit-Remaining", strconv.Itoa(b.Left))
			h.Set("RateLimit-Reset", strconv.Itoa(int(math.Ceil(b.Reset.Seconds()))))
		},
		Throttled: func(w http.ResponseWriter, status int, wait time.Duration) {
			seconds := int((wait + time.Second - 1) / time.Second)
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
			write(w, refuse(http.StatusTooManyRequests, "throttled", fmt.Sprintf("Request was throttled. Expected available in %d seconds.", seconds), nil))
		},
	})
	s.Webhooks = s.webhooks()
	s.handle(mux, "GET "+host+"/api/accounts", []string{"fields[account]"}, s.account)
	s.handle(mux, "GET "+host+"/api/profiles", []string{"additional-fields[profile]", "fields[profile]", "filter", "page[cursor]", "page[size]", "sort"}, s.profiles)
	s.handle(mux, "POST "+host+"/api/profiles", []string{"additional-fields[profile]"}, s.create)
	s.handle(mux, "PATCH "+host+"/api/profiles/{id}", []string{"additional-fields[profile]"}, s.edit)
	s.handle(mux, "GET "+host+"/api/flows", []string{"fields[flow]", "page[cursor]", "page[size]", "sort"}, s.flows)
	s.handle(mux, "GET "+host+"/api/events", []string{"fields[metric]", "filter", "include", "page[cursor]", "page[size]", "sort"}, s.events)
	s.handle(mux, "POST "+host+"/api/events", nil, s.tell)
	s.handle(mux, "POST "+host+"/api/campaign-values-reports", []string{"page_cursor"}, s.campaignValues)
	s.handle(mux, "POST "+host+"/api/flow-values-reports", []string{"page_cursor"}, s.flowValues)
	s.handle(mux, "GET "+host+"/api/campaigns", []string{"fields[campaign]", "fields[campaign-message]", "filter", "include", "page[cursor]", "page[size]", "sort"}, s.campaigns)
	s.handle(mux, "GET "+host+"/api/metrics", []string{"fields[metric]", "filter", "page[cursor]"}, s.metrics)
	s.handle(mux, "POST "+host+"/api/metric-aggregates", nil, s.aggregate)
	s.HandlePage(mux, vendor.Page{Path: "www.klaviyo.com/oauth/authorize"})
	s.HandleToken(mux, "POST "+host+"/oauth/token", about, s.token)
	s.HandleToken(mux, "POST "+host+"/oauth/revoke", about, s.revoke)
	s.RegisterAdmin(mux)
	s.RegisterTruth(mux, s.truth)
}

// zoneOf is a zone that there is.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC // of a system without time zones; what the account says of itself is then wrong, and a test sees it
	}
	return zone
}

// write writes an answer that a fault or refusal gives.
func write(w http.ResponseWriter, a vendor.Answer) {
	vendor.WriteJSON(w, a.Status, a.Body)
}

// refuse is an error in Klaviyo's envelope. Source tells what of the request it is about.
func refuse(status int, code, detail string, source map[string]string) vendor.Answer {
	if source == nil {
		source = map[string]string{"pointer": "/data/"}
	}
	return vendor.Answer{Status: status, Header: http.Header{"Content-Type": {mediaType}}, Body: map[string]any{"errors": []map[string]any{{
		"id": "5f9f9f9e-0000-4000-8000-000000000000", "status": status, "code": code, "title": detail, "detail": detail, "source": source,
	}}}}
}

func invalid(parameter, detail string) vendor.Answer {
	return refuse(http.StatusBadRequest, "invalid", detail, map[string]string{"parameter": parameter})
}

var revision = regexp.MustCompile(`^202[4-6]-(01|04|07|10)-15$`)

// handle serves an operation that takes some parameters.
func (s *server) handle(mux *http.ServeMux, pattern string, parameters []string, handle func(a *vendor.Account, r *http.Request) vendor.Answer) {
	s.Handle(mux, pattern, func(a *vendor.Account, r *http.Request) vendor.Answer {
		switch {
		case !revision.MatchString(r.Header.Get("revision")):
			return refuse(http.StatusBadRequest, "invalid", "The revision header is required.", nil)
		case r.Header.Get("Accept") != mediaType:
			return refuse(http.StatusNotAcceptable, "not_acceptable", "Could not satisfy the request Accept header.", nil)
		case r.Method != http.MethodGet && r.Header.Get("Content-Type") != mediaType:
			return refuse(http.StatusUnsupportedMediaType, "unsupported_media_type", "Unsupported media type in request.", nil)
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return invalid("query", "The query cannot be read.")
		}
		for name, values := range query {
			if !slices.Contains(parameters, name) || len(values) != 1 {
				return invalid(name, fmt.Sprintf("'%s' is not an allowed query parameter.", name))
			}
		}
		answer := handle(a, r)
		if answer.Header == nil {
			answer.Header = http.Header{"Content-Type": {mediaType}}
		}
		return answer
	})
}

// about is the code or token that a request of OAuth is about.
func about(r *http.Request) string {
	for _, name := range []string{"code", "refresh_token", "token"} {
		if text := r.PostFormValue(name); text != "" {
			return text
		}
	}
	return ""
}

// app tells whether a request is the app's, which says so by HTTP Basic only.
func (s *server) app(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	return basic && s.App(id, secret)
}

var verifier = regexp.MustCompile(`^[a-zA-Z0-9\-._~]{43,128}$`)

func (s *server) token(r *http.Request) vendor.Answer {
	granted, refused := s.Grant(r, s.app(r), verifier)
	if refused != nil {
		return *refused
	}
	return vendor.OK(map[string]any{
		"access_token": granted.Access, "refresh_token": granted.Refresh, "token_type": "Bearer", "expires_in": granted.ExpiresIn, "scope": granted.Scopes,
	})
}

func (s *server) revoke(r *http.Request) vendor.Answer {
	if !s.app(r) {
		return vendor.Answer{Status: http.StatusUnauthorized, Body: map[string]string{"error": "invalid_client"}}
	}
	// Whether there was such a token makes no difference (RFC 7009, section 2.2).
	if granted, good := s.Refresh(r.PostFormValue("token")); good {
		granted.Account.Revoke(s.Now())
	}
	return vendor.Answer{Status: http.StatusOK}
}

// accountID is the public key of an account, which is its id.
func accountID(name string) string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefgh"
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	sum := h.Sum64()
	id := make([]byte, 6)
	for i := range id {
		id[i] = alphabet[sum%32]
		sum /= 32
	}
	return string(id)
}

func (s *server) account(a *vendor.Account, _ *http.Request) vendor.Answer {
	id := accountID(a.Name)
	return vendor.OK(map[string]any{"data": []any{map[string]any{
		"type": "account", "id": id, "links": self("/api/accounts/" + id),
		"attributes": map[string]any{
			"test_account": false, "industry": "Ecommerce, Other", "timezone": timeZone, "preferred_currency": s.currency(a), "public_api_key": id, "locale": "en-US",
			"contact_information": map[string]any{"organization_name": a.Name, "default_sender_name": a.Name, "default_sender_email": "hello@" + a.Name + ".example"},
		},
	}}, "links": self("/api/accounts")})
}

func (s *server) currency(a *vendor.Account) string {
	data, _ := s.Data(a.Name)
	return data.Currency
}

func self(path string) map[string]any { return map[string]any{"self": "https://" + host + path} }

// paging is where a list is: its size and the index of its first entry.
func paging(r *http.Request, largest, fallback int) (from, size int, problem *vendor.Answer) {
	size = fallback
	if text := r.URL.Query().Get("page[size]"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > largest {
			p := invalid("page[size]", fmt.Sprintf("Page size must be an integer between 1 and %d.", largest))
			return 0, 0, &p
		}
		size = n
	}
	if text := r.URL.Query().Get("page[cursor]"); text != "" {
		n, ok := index(text)
		if !ok {
			p := invalid("page[cursor]", "Invalid cursor provided.")
			return 0, 0, &p
		}
		from = n
	}
	return from, size, nil
}

func cursorAt(index int) string {
	return base64.RawURLEncoding.EncodeToString([]byte("at:" + strconv.Itoa(index)))
}

func index(cursor string) (int, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	text, ours := strings.CutPrefix(string(raw), "at:")
	n, bad := strconv.Atoi(text)
	return n, err == nil && ours && bad == nil && n > 0
}

// links are those of a page of a list of some length.
func links(r *http.Request, from, size, length int) map[string]any {
	all := map[string]any{"self": "https://" + host + r.URL.RequestURI(), "next": nil, "prev": nil}
	if from+size < length {
		query := r.URL.Query()
		query.Set("page[cursor]", cursorAt(from+size))
		all["next"] = "https://" + host + strings.TrimPrefix(r.URL.Path, "/vendors/"+host) + "?" + query.Encode()
	}
	return all
}
