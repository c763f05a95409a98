// Package linkedinads simulates what a sync uses of LinkedIn's Marketing APIs and OAuth: ad accounts, campaigns and figures by day, with
// Rest.li's way of writing queries, the headers that every request needs, and the vendor's errors
// (https://learn.microsoft.com/en-us/linkedin/marketing/).
package linkedinads

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// Versions are served for a year at least; these are those of the last.
const (
	oldestVersion = "202512"
	newestVersion = "202611"
)

const (
	// maxPage is the most entries of a page, defaultPage those of one whose size is not asked for.
	maxPage     = 1000
	defaultPage = 100
	// maxElements is the most figures of an answer; more are cut off.
	maxElements = 15_000
	// maxMetrics is the most fields of figures.
	maxMetrics = 20
)

// server answers for one vendor.Vendor.
type server struct {
	world vendor.World
	v     *vendor.Vendor
}

// Register adds LinkedIn's API, its OAuth and its administration to a mux.
func Register(mux *http.ServeMux, w vendor.World) {
	s := &server{world: w}
	s.v = vendor.New(vendor.Options{
		Name: shop.LinkedInAds, World: w,
		// A refresh token ends a year after the person authorized the app, however often it is used.
		Tokens: vendor.Tokens{Prefix: "AQ", Access: 60 * 24 * time.Hour, Refresh: 365 * 24 * time.Hour},
		Words: vendor.Refusals{
			Broken: func(w http.ResponseWriter, status int) {
				write(w, refuse(status, 0, "INTERNAL_SERVER_ERROR", "Internal Server Error"))
			},
			Unauthorized: func(w http.ResponseWriter) {
				write(w, refuse(http.StatusUnauthorized, 65601, "REVOKED_ACCESS_TOKEN", "The token used in the request has been revoked by the user"))
			},
		},
		Throttled: func(w http.ResponseWriter, status int, _ time.Duration) {
			if status == 0 {
				status = http.StatusTooManyRequests
			}
			write(w, refuse(status, 101, "TOO_MANY_REQUESTS", "Resource level throttle limit for calls to this resource is reached."))
		},
	})
	s.v.HandlePage(mux, vendor.Page{Path: "www.linkedin.com/oauth/v2/authorization"})
	s.v.HandleToken(mux, "POST www.linkedin.com/oauth/v2/accessToken", func(r *http.Request) string {
		if code := r.PostFormValue("code"); code != "" {
			return code
		}
		return r.PostFormValue("refresh_token")
	}, s.token)
	s.handle(mux, "adAccountUsers", "r_ads", []string{"q"}, s.users)
	s.handle(mux, "adAccounts", "r_ads", []string{"q", "search", "pageSize", "pageToken"}, s.accounts)
	s.handle(mux, "adAccounts/{account}/adCampaigns", "r_ads", []string{"q", "search", "pageSize", "pageToken"}, s.campaigns)
	s.handle(mux, "adAnalytics", "r_ads_reporting", []string{"q", "pivot", "timeGranularity", "dateRange", "accounts", "fields"}, s.analytics)
	s.v.RegisterAdmin(mux)
	s.v.RegisterTruth(mux, s.truth)
}

func write(w http.ResponseWriter, a vendor.Answer) { vendor.WriteJSON(w, a.Status, a.Body) }

// refuse answers with an error.
func refuse(status, serviceErrorCode int, code, message string) vendor.Answer {
	body := map[string]any{"status": status, "code": code, "message": message}
	if serviceErrorCode != 0 {
		body["serviceErrorCode"] = serviceErrorCode
	}
	return vendor.Answer{Status: status, Body: body}
}

func invalid(format string, args ...any) vendor.Answer {
	return refuse(http.StatusBadRequest, 0, "ILLEGAL_ARGUMENT", fmt.Sprintf(format, args...))
}

// token gives tokens (https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens).
func (s *server) token(r *http.Request) vendor.Answer {
	wrong := func(status int, code, description string) vendor.Answer {
		return vendor.Answer{Status: status, Body: map[string]string{"error": code, "error_description": description}}
	}
	if !s.v.App(r.PostFormValue("client_id"), r.PostFormValue("client_secret")) {
		return wrong(http.StatusUnauthorized, "invalid_client", "Client authentication failed")
	}
	var g vendor.Granted
	var ok bool
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		if r.PostFormValue("redirect_uri") == "" {
			return wrong(http.StatusBadRequest, "invalid_request", "A required parameter \"redirect_uri\" is missing")
		}
		if g, ok = s.v.Redeem(r.PostFormValue("code"), r.PostFormValue("redirect_uri"), ""); !ok {
			return wrong(http.StatusBadRequest, "invalid_request", "Unable to retrieve access token: appid/redirect uri/code verifier does not match authorization code. Or authorization code expired. Or external member binding exists")
		}
	case "refresh_token":
		if g, ok = s.v.Refresh(r.PostFormValue("refresh_token")); !ok {
			return wrong(http.StatusBadRequest, "invalid_grant", "The provided authorization grant or refresh token is invalid, expired or revoked")
		}
	default:
		return wrong(http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported")
	}
	return vendor.OK(map[string]any{"access_token": g.Access, "expires_in": g.ExpiresIn, "refresh_token": g.Refresh, "scope": strings.ReplaceAll(g.Scopes, " ", ",")})
}

// handle serves a resource, once the request is one by its headers, scope and parameters, which are passed on as they were written.
func (s *server) handle(mux *http.ServeMux, path, scope string, parameters []string, answer func(a *vendor.Account, r *http.Request, q map[string]string) vendor.Answer) {
	s.v.Handle(mux, "GET api.linkedin.com/rest/"+path, func(a *vendor.Account, r *http.Request) vendor.Answer {
		switch version := r.Header.Get("Linkedin-Version"); {
		case version == "":
			return refuse(http.StatusBadRequest, 0, "VERSION_MISSING", "A version must be present. Please specify a version by adding the LinkedIn-Version header.")
		case !regexp.MustCompile(`^[0-9]{6}$`).MatchString(version) || version < oldestVersion || version > newestVersion:
			return refuse(http.StatusUpgradeRequired, 0, "NONEXISTENT_VERSION", "Requested version "+version+"01 is not active")
		case r.Header.Get("X-Restli-Protocol-Version") != "2.0.0":
			return invalid("The simulator speaks Rest.li of version 2.0.0 only")
		case !slices.Contains(strings.Fields(strings.ReplaceAll(s.v.Scopes(vendor.Bearer(r)), ",", " ")), scope):
			return refuse(http.StatusForbidden, 100, "ACCESS_DENIED", "Not enough permissions to access: "+path)
		}
		written := map[string]string{}
		for _, part := range strings.Split(r.URL.RawQuery, "&") {
			name, value, _ := strings.Cut(part, "=")
			if !slices.Contains(parameters, name) {
				return refuse(http.StatusBadRequest, 0, "QUERY_PARAM_NOT_ALLOWED", fmt.Sprintf("Query parameter %.40q is not allowed", name))
			}
			if written[name] != "" {
				return invalid("Query parameter %.40q is there twice", name)
			}
			written[name] = value
		}
		return answer(a, r, written)
	})
}

// member is the person of an account.
func (s *server) member(a *vendor.Account) string {
	return "urn:li:person:" + base64.RawURLEncoding.EncodeToString([]byte(a.Name))
}

func (s *server) users(a *vendor.Account, _ *http.Request, q map[string]string) vendor.Answer {
	if q["q"] != "authenticatedUser" {
		return refuse(http.StatusBadRequest, 0, "ILLEGAL_ARGUMENT", "No finder of that name")
	}
	elements := []map[string]any{}
	for _, of := range s.adAccounts(a) {
		elements = append(elements, map[string]any{"account": accountURN(of), "user": s.member(a), "role": "VIEWER"})
	}
	return vendor.OK(map[string]any{"elements": elements, "paging": map[string]any{"start": 0, "count": len(elements), "links": []any{}}})
}

func accountURN(of vendor.AdAccount) string {
	return fmt.Sprintf("urn:li:sponsoredAccount:%d", of.Number)
}

func (s *server) accounts(a *vendor.Account, _ *http.Request, q map[string]string) vendor.Answer {
	var all []map[string]any
	for _, of := range s.adAccounts(a) {
		all = append(all, map[string]any{
			"id": of.Number, "name": of.Name, "currency": of.Currency(), "status": "ACTIVE", "type": "BUSINESS", "test": false, "servingStatuses": []string{"RUNNABLE"},
		})
	}
	if q["search"] != "" {
		return invalid("The simulator searches accounts by nothing")
	}
	return found(a, q, all)
}

// found is a page of what a finder of the name search finds.
func found(a *vendor.Account, q map[string]string, all []map[string]any) vendor.Answer {
	if q["q"] != "search" {
		return invalid("No finder of that name")
	}
	size := defaultPage
	if text, sized := q["pageSize"]; sized {
		var err error
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > maxPage {
			return invalid("pageSize must be from 1 to %d", maxPage)
		}
	}
	from := 0
	if token := q["pageToken"]; token != "" {
		text, err := url.QueryUnescape(token)
		number, decodeErr := base64.StdEncoding.DecodeString(text)
		if from, _ = strconv.Atoi(string(number)); err != nil || decodeErr != nil || from < 1 {
			return invalid("The pageToken is invalid")
		}
	}
	page, more := vendor.PageOf(a, all, from, size)
	metadata := map[string]any{}
	if more {
		metadata["nextPageToken"] = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(from + size)))
	}
	if page == nil {
		page = []map[string]any{}
	}
	return vendor.OK(map[string]any{"elements": page, "metadata": metadata})
}
