// Package metaads simulates Meta's Marketing API as far as campaigns, insights and ads go, with its tokens that are exchanged for others.
// Its documentation is at developers.facebook.com/docs/marketing-apis.
package metaads

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// versions are those of the Graph API that are served.
var versions = []string{"v24.0", "v25.0", "v26.0"}

const (
	host = "graph.facebook.com/{version}"
	page = "www.facebook.com/{version}/dialog/oauth"
)

type server struct{ *vendor.Vendor }

// Register adds the simulated vendor.
func Register(mux *http.ServeMux, w vendor.World) {
	v := vendor.New(vendor.Options{
		Name: shop.MetaAds, World: w,
		Tokens: vendor.Tokens{Prefix: "EAA", Access: 5_183_944 * time.Second, First: 90 * time.Minute},
		Token:  token,
		Words:  vendor.Refusals{Broken: broken, Unauthorized: unauthorized},
		Told: func(h http.Header, b vendor.Budget) {
			tier := "standard_access"
			if b.Requests <= 600 {
				tier = "development_access"
			}
			h.Set("X-Business-Use-Case-Usage", fmt.Sprintf(
				`{"1001":[{"type":"ads_insights","call_count":%d,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":0,"ads_api_access_tier":%q}]}`,
				100-100*b.Left/b.Requests, tier))
		},
		Throttled: throttled,
	})
	s := server{v}
	s.Webhooks = s.webhooks()
	for _, method := range []string{"GET", "POST"} {
		v.HandleToken(mux, method+" "+host+"/oauth/access_token", func(r *http.Request) string {
			return r.FormValue("code") + r.FormValue("fb_exchange_token")
		}, s.token)
	}
	v.HandlePage(mux, vendor.Page{Path: page})
	for pattern, answer := range map[string]func(*vendor.Account, *http.Request) vendor.Answer{
		"GET " + host + "/me":                  s.me,
		"GET " + host + "/me/permissions":      s.permissions,
		"DELETE " + host + "/me/permissions":   s.revoke,
		"GET " + host + "/me/adaccounts":       s.ads(s.accounts),
		"GET " + host + "/{account}/campaigns": s.ads(s.campaigns),
		"GET " + host + "/{account}/insights":  s.ads(s.insights),
		"GET " + host + "/{$}":                 s.ads(s.byIDs),
	} {
		v.Handle(mux, pattern, s.proved(answer))
	}
	v.RegisterAdmin(mux)
	v.RegisterTruth(mux, s.truth)
}

// token is that of the header, or of the parameter.
func token(r *http.Request) string {
	if given := vendor.Bearer(r); given != "" {
		return given
	}
	return r.URL.Query().Get("access_token")
}

// failure is an answer with an error.
func failure(status, code, subcode int, kind, format string, args ...any) vendor.Answer {
	e := map[string]any{"message": fmt.Sprintf(format, args...), "type": kind, "code": code, "fbtrace_id": "A0simulated"}
	if subcode != 0 {
		e["error_subcode"] = subcode
	}
	if code == 2 {
		e["is_transient"] = true
	}
	return vendor.Answer{Status: status, Body: map[string]any{"error": e}}
}

func write(w http.ResponseWriter, a vendor.Answer) { vendor.WriteJSON(w, a.Status, a.Body) }

func invalid(format string, args ...any) vendor.Answer {
	return failure(http.StatusBadRequest, 100, 0, "OAuthException", "(#100) "+format, args...)
}

func broken(w http.ResponseWriter, status int) {
	write(w, failure(status, 2, 0, "OAuthException", "Service temporarily unavailable"))
}

func unauthorized(w http.ResponseWriter) {
	write(w, failure(http.StatusBadRequest, 190, 460, "OAuthException", "Error validating access token: The session has been invalidated."))
}

// throttled refuses a use of an account for minutes, and a short one as that of a person, which has no estimate.
func throttled(w http.ResponseWriter, status int, wait time.Duration) {
	if status == 0 {
		status = http.StatusBadRequest
	}
	minutes := int(wait.Minutes())
	w.Header().Set("X-Business-Use-Case-Usage", fmt.Sprintf(
		`{"1001":[{"type":"ads_insights","call_count":100,"total_cputime":20,"total_time":20,"estimated_time_to_regain_access":%d}]}`, minutes))
	if minutes == 0 {
		write(w, failure(status, 17, 2446079, "OAuthException", "(#17) User request limit reached"))
		return
	}
	write(w, failure(status, 80000, 2446079, "OAuthException", "(#80000) There have been too many calls from this ad-account. Wait a bit and try again."))
}

// versioned tells what is wrong with the version of a request.
func versioned(r *http.Request) (vendor.Answer, bool) {
	if slices.Contains(versions, r.PathValue("version")) {
		return vendor.Answer{}, true
	}
	return failure(http.StatusBadRequest, 2635, 0, "OAuthException", "(#2635) You are calling a deprecated version of the Ads API."), false
}

// proved lets those requests through that prove to come from who has the app's secret, which the app demands.
func (s server) proved(answer func(*vendor.Account, *http.Request) vendor.Answer) func(*vendor.Account, *http.Request) vendor.Answer {
	return func(a *vendor.Account, r *http.Request) vendor.Answer {
		if refused, ok := versioned(r); !ok {
			return refused
		}
		mac := hmac.New(sha256.New, []byte(s.ClientSecret))
		mac.Write([]byte(token(r)))
		switch given := r.URL.Query().Get("appsecret_proof"); {
		case given == "":
			return failure(http.StatusBadRequest, 100, 0, "GraphMethodException", "API calls from the server require an appsecret_proof argument")
		case given != hex.EncodeToString(mac.Sum(nil)):
			return failure(http.StatusBadRequest, 100, 0, "GraphMethodException", "Invalid appsecret_proof provided in the API argument")
		}
		return answer(a, r)
	}
}

// ads lets those requests through whose tokens allow to read ads.
func (s server) ads(answer func(*vendor.Account, *http.Request) vendor.Answer) func(*vendor.Account, *http.Request) vendor.Answer {
	return func(a *vendor.Account, r *http.Request) vendor.Answer {
		if !slices.Contains(strings.Split(s.Scopes(token(r)), ","), "ads_read") {
			return failure(http.StatusForbidden, 200, 0, "OAuthException", "(#200) Ad account owner has NOT grant ads_management or ads_read permission")
		}
		return answer(a, r)
	}
}

// token is the token endpoint: of a code it gives a token that ends soon, of a token one that lasts.
func (s server) token(r *http.Request) vendor.Answer {
	if refused, ok := versioned(r); !ok {
		return refused
	}
	switch {
	case r.FormValue("client_id") != s.ClientID:
		return failure(http.StatusBadRequest, 101, 0, "OAuthException", "Error validating application. Cannot get application info due to a system error.")
	case !s.App(r.FormValue("client_id"), r.FormValue("client_secret")):
		return failure(http.StatusBadRequest, 1, 0, "OAuthException", "Error validating client secret.")
	}
	var got vendor.Granted
	var ok bool
	switch grant := r.FormValue("grant_type"); grant {
	case "", "authorization_code":
		if r.FormValue("redirect_uri") == "" {
			return failure(http.StatusBadRequest, 191, 0, "OAuthException", "Missing redirect_uri parameter.")
		}
		if got, ok = s.Redeem(r.FormValue("code"), r.FormValue("redirect_uri"), ""); !ok {
			return failure(http.StatusBadRequest, 100, 36009, "OAuthException", "This authorization code has been used.")
		}
	case "fb_exchange_token":
		if got, ok = s.Exchange(r.FormValue("fb_exchange_token")); !ok {
			return failure(http.StatusBadRequest, 190, 463, "OAuthException", "Error validating access token: Session has expired.")
		}
	default:
		return failure(http.StatusBadRequest, 100, 0, "OAuthException", "Unsupported grant type %q", grant)
	}
	return vendor.OK(map[string]any{"access_token": got.Access, "token_type": "bearer", "expires_in": got.ExpiresIn})
}

func (s server) me(a *vendor.Account, r *http.Request) vendor.Answer {
	whole := map[string]any{"id": fmt.Sprint(s.AdAccounts(a.Name, shop.MetaAds)[0].Business), "name": a.Name}
	chosen, refused := only(r, whole, "id", "name")
	if refused != nil {
		return *refused
	}
	return vendor.OK(chosen(whole))
}

func (s server) permissions(_ *vendor.Account, r *http.Request) vendor.Answer {
	data := []map[string]string{{"permission": "public_profile", "status": "granted"}}
	for _, scope := range strings.Split(s.Scopes(token(r)), ",") {
		data = append(data, map[string]string{"permission": scope, "status": "granted"})
	}
	return vendor.OK(map[string]any{"data": data})
}

func (s server) revoke(a *vendor.Account, _ *http.Request) vendor.Answer {
	a.Revoke(s.Now())
	return vendor.OK(map[string]any{"success": true})
}
