// Package hubspot simulates HubSpot's API of version 2026-03: contacts, deals and what they are associated with, marketing campaigns,
// for tokens of private apps and for an app that people authorize. An account's contacts are the customers of the shop of its name, its
// deals that shop's large orders.
package hubspot

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const (
	host    = "api.hubapi.com"
	version = "2026-03"
	// timeZone is that of every account.
	timeZone = "Europe/Berlin"
)

// server is the simulated vendor.
type server struct {
	*vendor.Vendor

	mu      sync.Mutex
	created map[string][]contact         // by account, those that were made here
	edits   map[string]map[int64]contact // by account and id, those that were changed here, as they are now
	worked  map[string]map[int64]deal    // likewise, the deals that were made or changed here
}

// Register serves the vendor.
func Register(mux *http.ServeMux, w vendor.World) {
	s := &server{created: map[string][]contact{}, edits: map[string]map[int64]contact{}, worked: map[string]map[int64]deal{}}
	s.Vendor = vendor.New(vendor.Options{
		Name: "hubspot", World: w, KeyPrefix: "pat-na1-",
		Tokens: vendor.Tokens{Access: 30 * time.Minute, Refresh: 10 * 365 * 24 * time.Hour},
		Words: vendor.Refusals{
			Broken: func(w http.ResponseWriter, status int) {
				write(w, refuse(status, "INTERNAL_ERROR", "internal error"))
			},
			Unauthorized: func(w http.ResponseWriter) {
				write(w, refuse(http.StatusUnauthorized, "INVALID_AUTHENTICATION", "Authentication credentials not found."))
			},
		},
		Told: func(h http.Header, b vendor.Budget) {
			if strings.HasSuffix(b.Asked, "/search") { // answers to searches tell nothing
				return
			}
			h.Set("X-HubSpot-RateLimit-Max", strconv.Itoa(b.Requests))
			h.Set("X-HubSpot-RateLimit-Remaining", strconv.Itoa(b.Left))
			h.Set("X-HubSpot-RateLimit-Interval-Milliseconds", strconv.FormatFloat(1000*b.Seconds, 'f', 0, 64))
		},
		Throttled: func(w http.ResponseWriter, status int, wait time.Duration) {
			if status == http.StatusLocked {
				write(w, refuse(status, "RATE_LIMITS", "The resource is locked."))
				return
			}
			policy := "SECONDLY"
			if wait > time.Second {
				policy = "TEN_SECONDLY_ROLLING"
			}
			vendor.WriteJSON(w, http.StatusTooManyRequests, map[string]string{
				"status": "error", "message": "You have reached your " + strings.ToLower(policy) + " limit.", "errorType": "RATE_LIMIT", "correlationId": correlation, "policyName": policy,
			})
		},
	})
	s.Webhooks = s.webhooks()
	s.handle(mux, "GET "+host+"/account-info/"+version+"/details", nil, s.details)
	for _, name := range []string{"contacts", "0-1"} {
		s.handle(mux, "POST "+host+"/crm/objects/"+version+"/"+name+"/search", nil, s.searchContacts)
	}
	for _, name := range []string{"deals", "0-3"} {
		s.handle(mux, "POST "+host+"/crm/objects/"+version+"/"+name+"/search", nil, s.searchDeals)
	}
	s.handle(mux, "POST "+host+"/crm/objects/"+version+"/contacts", nil, s.create)
	s.handle(mux, "GET "+host+"/crm/objects/"+version+"/contacts/{id}", []string{"properties", "archived"}, s.contact)
	s.handle(mux, "PATCH "+host+"/crm/objects/"+version+"/contacts/{id}", nil, s.edit)
	s.handle(mux, "POST "+host+"/crm/objects/"+version+"/0-3", nil, s.createDeal)
	s.handle(mux, "GET "+host+"/crm/objects/"+version+"/0-3/{id}", []string{"properties"}, s.deal)
	s.handle(mux, "PATCH "+host+"/crm/objects/"+version+"/0-3/{id}", nil, s.editDeal)
	s.handle(mux, "GET "+host+"/crm/pipelines/"+version+"/deals", nil, s.pipelines)
	s.handle(mux, "GET "+host+"/automation/v4/flows", []string{"after", "limit"}, s.flows)
	s.handle(mux, "POST "+host+"/automation/v4/workflow-id-mappings/batch/read", nil, s.mappings)
	s.handle(mux, "POST "+host+"/automation/v2/workflows/{id}/enrollments/contacts/{email}", nil, s.enroll)
	s.handle(mux, "GET "+host+"/marketing/campaigns/"+version+"/{id}/reports/metrics", []string{"startDate", "endDate"}, s.metrics)
	s.handle(mux, "GET "+host+"/marketing/campaigns/"+version+"/{id}/reports/revenue", []string{"startDate", "endDate", "attributionModel"}, s.revenue)
	s.handle(mux, "POST "+host+"/crm/associations/"+version+"/0-3/0-1/batch/read", nil, s.associations)
	s.handle(mux, "GET "+host+"/marketing/campaigns/"+version, []string{"after", "limit", "name", "properties", "sort"}, s.campaigns)
	s.HandlePage(mux, vendor.Page{Path: "app.hubspot.com/oauth/authorize"})
	s.HandleToken(mux, "POST "+host+"/oauth/"+version+"/token", about, s.token)
	s.HandleToken(mux, "POST "+host+"/oauth/"+version+"/token/revoke", about, s.revoke)
	s.RegisterAdmin(mux)
	s.RegisterTruth(mux, s.truth)
}

// write writes an answer that a fault or refusal gives.
func write(w http.ResponseWriter, a vendor.Answer) { vendor.WriteJSON(w, a.Status, a.Body) }

const correlation = "aeb5f871-7f07-4993-9211-075dc63e7cbf"

// refuse is an error in HubSpot's envelope.
func refuse(status int, category, message string) vendor.Answer {
	return vendor.Answer{Status: status, Body: map[string]any{"status": "error", "message": message, "correlationId": correlation, "category": category}}
}

func invalid(format string, args ...any) vendor.Answer {
	return refuse(http.StatusBadRequest, "VALIDATION_ERROR", fmt.Sprintf(format, args...))
}

// handle serves an operation that takes some parameters.
func (s *server) handle(mux *http.ServeMux, pattern string, parameters []string, handle func(a *vendor.Account, r *http.Request) vendor.Answer) {
	s.Handle(mux, pattern, func(a *vendor.Account, r *http.Request) vendor.Answer {
		if r.Method != http.MethodGet && r.Header.Get("Content-Type") != "application/json" {
			return refuse(http.StatusUnsupportedMediaType, "VALIDATION_ERROR", "Content-Type must be application/json")
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return invalid("The query cannot be read.")
		}
		for name := range query {
			if !slices.Contains(parameters, name) {
				return invalid("Unknown parameter %s", name)
			}
		}
		return handle(a, r)
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

// deny is an error of OAuth, with HubSpot's words beside those of the standard.
func deny(code, own string) vendor.Answer {
	return vendor.Answer{Status: http.StatusBadRequest, Body: map[string]string{"error": code, "error_description": own, "status": own, "message": own, "correlationId": correlation}}
}

func (s *server) token(r *http.Request) vendor.Answer {
	if !s.App(r.PostFormValue("client_id"), r.PostFormValue("client_secret")) {
		return deny("invalid_client", "BAD_CLIENT_ID")
	}
	var granted vendor.Granted
	var good bool
	own := "BAD_AUTH_CODE"
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		if r.PostFormValue("redirect_uri") == "" {
			return deny("invalid_request", "MISSING_REDIRECT_URI")
		}
		granted, good = s.Redeem(r.PostFormValue("code"), r.PostFormValue("redirect_uri"), r.PostFormValue("code_verifier"))
	case "refresh_token":
		granted, good = s.Refresh(r.PostFormValue("refresh_token"))
		own = "BAD_REFRESH_TOKEN"
	default:
		return deny("unsupported_grant_type", "BAD_GRANT_TYPE")
	}
	if !good {
		return deny("invalid_grant", own)
	}
	return vendor.OK(map[string]any{
		"access_token": granted.Access, "refresh_token": granted.Refresh, "token_type": "bearer", "token_use": "access_token", "expires_in": granted.ExpiresIn,
		"hub_id": portal(granted.Account.Name), "scopes": strings.Fields(granted.Scopes), "user_id": 1,
	})
}

func (s *server) revoke(r *http.Request) vendor.Answer {
	if !s.App(r.PostFormValue("client_id"), r.PostFormValue("client_secret")) {
		return deny("invalid_client", "BAD_CLIENT_ID")
	}
	if granted, good := s.Refresh(r.PostFormValue("token")); good {
		granted.Account.Revoke(s.Now())
	}
	return vendor.Answer{Status: http.StatusNoContent}
}

// portal is the id of an account.
func portal(name string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return int64(h.Sum32()%90_000_000) + 10_000_000
}

func (s *server) currency(a *vendor.Account) string {
	data, _ := s.Data(a.Name)
	return data.Currency
}

func (s *server) details(a *vendor.Account, _ *http.Request) vendor.Answer {
	return vendor.OK(map[string]any{
		"portalId": portal(a.Name), "accountType": "STANDARD", "timeZone": timeZone, "companyCurrency": s.currency(a), "additionalCurrencies": []string{},
		"utcOffset": "+01:00", "utcOffsetMilliseconds": 3_600_000, "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
	})
}
