package googleads

import (
	"net/http"
	"strings"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// offline marks a grant whose app asked for a refresh token, in what the person allowed. Prompted or not, the simulated person always
// consents for the first time.
const offline = " access_type=offline"

// oauth adds the page where people authorize apps, and the endpoints of tokens
// (https://developers.google.com/identity/protocols/oauth2/web-server).
func (s *server) oauth(mux *http.ServeMux) {
	pages := http.NewServeMux()
	s.v.HandlePage(pages, vendor.Page{Path: "accounts.google.com/o/oauth2/v2/auth"})
	mux.HandleFunc("/vendors/accounts.google.com/o/oauth2/v2/auth", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, vendor.MaxBody)
		if r.ParseForm() != nil || r.Form.Get("response_type") != "code" || r.Form.Get("scope") != scope {
			http.Error(w, "Error 400: invalid_request: response_type or scope is none that the app is known for", http.StatusBadRequest)
			return
		}
		if r.Form.Get("access_type") == "offline" {
			r.Form.Set("scope", scope+offline)
		}
		pages.ServeHTTP(w, r)
	})
	about := func(r *http.Request) string {
		for _, name := range []string{"code", "refresh_token", "token"} {
			if text := r.PostFormValue(name); text != "" {
				return text
			}
		}
		return ""
	}
	s.v.HandleToken(mux, "POST oauth2.googleapis.com/token", about, s.token)
	s.v.HandleToken(mux, "POST oauth2.googleapis.com/revoke", about, s.revoke)
}

func (s *server) token(r *http.Request) vendor.Answer {
	wrong := func(status int, code, description string) vendor.Answer {
		return vendor.Answer{Status: status, Body: map[string]string{"error": code, "error_description": description}}
	}
	if !s.v.App(r.PostFormValue("client_id"), r.PostFormValue("client_secret")) {
		return wrong(http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
	}
	var g vendor.Granted
	var ok bool
	switch kind := r.PostFormValue("grant_type"); kind {
	case "authorization_code":
		if r.PostFormValue("redirect_uri") == "" {
			return wrong(http.StatusBadRequest, "invalid_request", "Missing parameter: redirect_uri")
		}
		g, ok = s.v.Redeem(r.PostFormValue("code"), r.PostFormValue("redirect_uri"), r.PostFormValue("code_verifier"))
		if ok && !strings.HasSuffix(g.Scopes, offline) {
			g.Refresh = ""
		}
	case "refresh_token":
		g, ok = s.v.Refresh(r.PostFormValue("refresh_token"))
		g.Refresh = "" // it stays the same, and is not said again
	default:
		return wrong(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+kind)
	}
	if !ok {
		return wrong(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
	}
	body := map[string]any{"access_token": g.Access, "expires_in": g.ExpiresIn - 1, "scope": strings.TrimSuffix(g.Scopes, offline), "token_type": "Bearer"}
	if g.Refresh != "" {
		body["refresh_token"] = g.Refresh
	}
	return vendor.OK(body)
}

// revoke ends the authorization that a token of either kind is of.
func (s *server) revoke(r *http.Request) vendor.Answer {
	token := r.PostFormValue("token")
	g, ok := s.v.Refresh(token)
	if !ok {
		g, ok = s.v.Exchange(token)
	}
	if !ok {
		return vendor.Answer{Status: http.StatusBadRequest, Body: map[string]string{"error": "invalid_token", "error_description": "Token expired or revoked"}}
	}
	g.Account.Revoke(s.world.Now())
	return vendor.OK(map[string]any{})
}
