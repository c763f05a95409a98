// Package stripe simulates the part of Stripe's API that a sync of charges and customers uses: lists by creation, events, expansion,
// disputes, the balance, and OAuth of Connect. The charges are those of the shop's orders, and its customers are theirs.
package stripe

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// server is the simulated vendor.
type server struct {
	*vendor.Vendor
	books books
}

// Register adds Stripe to a mux.
func Register(mux *http.ServeMux, w vendor.World) {
	s := &server{Vendor: vendor.New(vendor.Options{
		Name: "stripe", World: w, KeyPrefix: "rk_live_",
		// Stripe says of neither how long it lives; access tokens do not end by themselves.
		Tokens: vendor.Tokens{Prefix: "sk_live_", Refresh: 10 * 365 * 24 * time.Hour, Rotates: true},
		Words: vendor.Refusals{
			Broken: func(w http.ResponseWriter, status int) {
				vendor.WriteJSON(w, status, failure{errorBody{Type: "api_error", Message: "An unknown error occurred"}})
			},
			Unauthorized: func(w http.ResponseWriter) {
				vendor.WriteJSON(w, http.StatusUnauthorized, failure{errorBody{Type: "invalid_request_error", Message: "Invalid API Key provided"}})
			},
		},
		// There is no Retry-After (docs.stripe.com/rate-limits).
		Throttled: func(w http.ResponseWriter, _ int, _ time.Duration) {
			w.Header().Set("Stripe-Rate-Limited-Reason", "global-rate")
			vendor.WriteJSON(w, http.StatusTooManyRequests, failure{errorBody{Type: "invalid_request_error", Code: "rate_limit", Message: "Request rate limit exceeded."}})
		},
	})}
	s.Webhooks = s.webhooks()
	const api = "GET api.stripe.com/v1/"
	s.handle(mux, api+"account", nil, s.account)
	s.handle(mux, api+"balance", nil, s.balance)
	s.handle(mux, api+"charges", with(listed, "expand[]", []string{"data.balance_transaction"}), s.listCharges)
	s.handle(mux, api+"charges/{id}", with(nil, "expand[]", []string{"balance_transaction"}), s.oneCharge)
	s.handle(mux, api+"customers", listed, s.listCustomers)
	s.handle(mux, api+"customers/{id}", nil, s.oneCustomer)
	s.handle(mux, api+"disputes", with(listed, "charge", nil), s.listDisputes)
	s.handle(mux, api+"events", with(listed, "types[]", eventTypes), s.listEvents)
	s.HandlePage(mux, vendor.Page{Path: "connect.stripe.com/oauth/authorize", Code: "code"})
	s.HandleToken(mux, "POST connect.stripe.com/oauth/token", func(r *http.Request) string {
		if r.PostFormValue("grant_type") == "refresh_token" {
			return r.PostFormValue("refresh_token")
		}
		return r.PostFormValue("code")
	}, s.token)
	s.HandleToken(mux, "POST connect.stripe.com/oauth/deauthorize", func(*http.Request) string { return "" }, s.deauthorize)
	s.RegisterAdmin(mux)
	s.RegisterTruth(mux, s.truth)
}

// failure is how Stripe says that something is wrong (docs.stripe.com/api/errors).
type failure struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Type    string `json:"type"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
	DocURL  string `json:"doc_url,omitempty"`
}

func invalid(status int, code, param, message string) vendor.Answer {
	e := errorBody{Type: "invalid_request_error", Code: code, Message: message, Param: param}
	if code != "" {
		e.DocURL = "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(code, "_", "-")
	}
	return vendor.Answer{Status: status, Body: failure{e}}
}

func missing(kind, id, param string) vendor.Answer {
	status := http.StatusNotFound
	if param == "starting_after" {
		status = http.StatusBadRequest
	}
	return invalid(status, "resource_missing", param, "No such "+kind+": '"+id+"'")
}

// parameters are what an operation takes: by name what is good, nil for every value.
type parameters map[string]func(value string) bool

func isNumber(value string) bool {
	_, err := strconv.ParseInt(value, 10, 64)
	return err == nil
}

// listed is what every list takes.
var listed = parameters{
	"limit":          func(v string) bool { n, err := strconv.Atoi(v); return err == nil && n >= 1 && n <= 100 },
	"starting_after": func(v string) bool { return v != "" },
	"created[gte]":   isNumber, "created[gt]": isNumber, "created[lte]": isNumber, "created[lt]": isNumber,
}

// with adds a parameter of certain values, or of any when nil.
func with(p parameters, name string, values []string) parameters {
	q := parameters{}
	maps.Copy(q, p)
	q[name] = func(v string) bool { return values == nil && v != "" || slices.Contains(values, v) }
	return q
}

// versions are the form of the API's versions that have this release's objects.
var versions = regexp.MustCompile(`^20\d\d-\d\d-\d\d\.dahlia$`)

// index is the place of an element in an array, which Stripe also takes without a number.
var index = regexp.MustCompile(`\[[0-9]+\]$`)

// handle serves an operation with the parameters that it takes and no others.
func (s *server) handle(mux *http.ServeMux, pattern string, p parameters, answer func(a *vendor.Account, r *http.Request, q url.Values) vendor.Answer) {
	s.Handle(mux, pattern, func(a *vendor.Account, r *http.Request) vendor.Answer {
		// Without a version Stripe answers in the account's own, which may be any; here that is a mistake.
		if version := r.Header.Get("Stripe-Version"); !versions.MatchString(version) {
			return invalid(http.StatusBadRequest, "", "", "Invalid Stripe API version: "+version)
		}
		q, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return invalid(http.StatusBadRequest, "", "", "Invalid request")
		}
		for _, name := range slices.Collect(maps.Keys(q)) {
			if plain := index.ReplaceAllString(name, "[]"); plain != name {
				q[plain] = append(q[plain], q[name]...)
				q.Del(name)
			}
		}
		for name, values := range q {
			good, known := p[name]
			if !known {
				return invalid(http.StatusBadRequest, "parameter_unknown", name, "Received unknown parameter: "+name)
			}
			if !strings.HasSuffix(name, "[]") && len(values) > 1 || len(values) > 20 {
				return invalid(http.StatusBadRequest, "", name, "Invalid array: too many values")
			}
			for _, v := range values {
				if good != nil && !good(v) {
					return invalid(http.StatusBadRequest, "parameter_invalid", name, "Invalid value: "+v)
				}
			}
		}
		return answer(a, r, q)
	})
}

// entry is an object in a list.
type entry interface {
	key() string
	at() int64
}

// page is a list as Stripe gives it.
type page struct {
	Object  string `json:"object"`
	URL     string `json:"url"`
	HasMore bool   `json:"has_more"`
	Data    []any  `json:"data"`
}

// pageOf cuts a page out of all entries, which are newest first. The entry that the next page begins after is the last of this one, so
// that stays where it is when pages are spoilt.
func pageOf[E entry](a *vendor.Account, r *http.Request, q url.Values, kind string, all []E, show func(E) any) vendor.Answer {
	bound := func(name string, fallback int64) int64 {
		if n, err := strconv.ParseInt(q.Get(name), 10, 64); err == nil {
			return n
		}
		return fallback
	}
	from := max(bound("created[gte]", 0), bound("created[gt]", -1)+1)
	to := min(bound("created[lte]", 1<<60), bound("created[lt]", 1<<60)-1)
	newest := func(at int64) int { // the first entry that is not newer
		return sort.Search(len(all), func(i int) bool { return all[i].at() <= at })
	}
	start, end := newest(to), newest(from-1)
	if after := q.Get("starting_after"); after != "" {
		i := slices.IndexFunc(all, func(e E) bool { return e.key() == after })
		if i < 0 {
			return missing(kind, after, "starting_after")
		}
		start = max(start, i+1)
	}
	end = max(start, end)
	limit := int(bound("limit", 10))
	if overlap := min(start, limit/5); overlap > 0 && q.Get("starting_after") != "" && start < end {
		if _, on := a.Take(vendor.DuplicatePage); on {
			start -= overlap
		}
	}
	out := page{Object: "list", URL: strings.TrimPrefix(r.URL.Path, "/vendors/api.stripe.com"), HasMore: end-start > limit, Data: []any{}}
	for _, e := range all[start:min(end, start+limit)] {
		out.Data = append(out.Data, show(e))
	}
	if n := len(out.Data) - 1; n > 1 {
		if _, on := a.Take(vendor.ReorderPages); on {
			slices.Reverse(out.Data[:n])
		}
	}
	return vendor.OK(out)
}

// account is GET /v1/account.
func (s *server) account(a *vendor.Account, _ *http.Request, _ url.Values) vendor.Answer {
	data, _ := s.Data(a.Name)
	return vendor.OK(map[string]any{
		"id": accountID(a), "object": "account", "country": "US", "default_currency": strings.ToLower(data.Currency), "email": "owner@" + a.Name + ".example.com",
		"business_profile": map[string]any{"name": a.Name}, "charges_enabled": true, "payouts_enabled": true, "type": "standard",
		"settings": map[string]any{"dashboard": map[string]any{"display_name": a.Name, "timezone": "Etc/UTC"}},
	})
}

// accountID is the vendor's id of an account.
func accountID(a *vendor.Account) string { return "acct_" + strings.ReplaceAll(a.Name, "-", "_") }

// token is POST /oauth/token (docs.stripe.com/connect/oauth-reference).
func (s *server) token(r *http.Request) vendor.Answer {
	if r.PostFormValue("client_secret") != s.ClientSecret && vendor.Bearer(r) != s.ClientSecret {
		return refused(http.StatusUnauthorized, "invalid_client", "No such API key")
	}
	var granted vendor.Granted
	var ok bool
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		granted, ok = s.Redeem(r.PostFormValue("code"), "", "")
	case "refresh_token":
		granted, ok = s.Refresh(r.PostFormValue("refresh_token"))
	default:
		return refused(http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported")
	}
	if !ok {
		return refused(http.StatusBadRequest, "invalid_grant", "The code or refresh token does not exist, was used, or has been revoked")
	}
	return vendor.OK(map[string]any{
		"access_token": granted.Access, "refresh_token": granted.Refresh, "token_type": "bearer", "scope": granted.Scopes, "livemode": true,
		"stripe_user_id": accountID(granted.Account), "stripe_publishable_key": "pk_live_" + granted.Account.Name,
	})
}

// deauthorize is POST /oauth/deauthorize.
func (s *server) deauthorize(r *http.Request) vendor.Answer {
	id := r.PostFormValue("stripe_user_id")
	a, known := s.Account(strings.ReplaceAll(strings.TrimPrefix(id, "acct_"), "_", "-"))
	if vendor.Bearer(r) != s.ClientSecret && r.PostFormValue("client_secret") != s.ClientSecret || r.PostFormValue("client_id") != s.ClientID || !known || accountID(a) != id {
		return refused(http.StatusUnauthorized, "invalid_client", "This application is not connected to that account, or it does not exist")
	}
	a.Revoke(s.Now())
	return vendor.OK(map[string]any{"stripe_user_id": id})
}

func refused(status int, code, description string) vendor.Answer {
	return vendor.Answer{Status: status, Body: map[string]string{"error": code, "error_description": description}}
}
