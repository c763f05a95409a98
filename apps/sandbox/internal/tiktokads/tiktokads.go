// Package tiktokads simulates TikTok's API for Business as far as advertisers, campaigns, reports, ads and their files go. Its documentation is at
// business-api.tiktok.com/portal/docs. Whatever goes wrong is told in an answer with status 200.
package tiktokads

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const (
	host = "business-api.tiktok.com"
	api  = host + "/open_api/v1.3/"
	// end is the slash at the end of every path, without which there is nothing.
	end = "/{$}"
)

type server struct{ *vendor.Vendor }

// Register adds the simulated vendor.
func Register(mux *http.ServeMux, w vendor.World) {
	v := vendor.New(vendor.Options{
		Name: shop.TikTokAds, World: w, // its tokens have no end, and there are no refresh tokens
		Token: func(r *http.Request) string { return r.Header.Get("Access-Token") },
		Words: vendor.Refusals{
			Broken: func(w http.ResponseWriter, status int) {
				vendor.WriteJSON(w, status, failure(50000, "System error.").Body)
			},
			Unauthorized: func(w http.ResponseWriter) {
				vendor.WriteJSON(w, http.StatusOK, failure(40105, "Access token is incorrect or has been revoked.").Body)
			},
		},
		Throttled: func(w http.ResponseWriter, status int, _ time.Duration) {
			if status == 0 {
				status = http.StatusOK
			}
			vendor.WriteJSON(w, status, failure(40100, "Too many requests. Please retry in some time.").Body)
		},
	})
	s := server{v}
	v.HandleToken(mux, "POST "+api+"oauth2/access_token"+end, func(r *http.Request) string {
		var body exchange
		_ = peek(r, &body) // whose it is does not matter where it cannot be read
		return body.Code
	}, s.token)
	v.HandlePage(mux, vendor.Page{Path: host + "/portal/auth", Client: "app_id", Code: "auth_code"})
	for pattern, answer := range map[string]func(*vendor.Account, *http.Request) vendor.Answer{
		"POST " + api + "oauth2/revoke_token" + end:  s.revoke,
		"GET " + api + "oauth2/advertiser/get" + end: s.list,
		"GET " + api + "advertiser/info" + end:       s.info,
		"GET " + api + "user/info" + end:             s.user,
		"GET " + api + "campaign/get" + end:          s.campaigns,
		"GET " + api + "report/integrated/get" + end: s.report,
		"GET " + api + "ad/get" + end:                s.ads,
		"GET " + api + "file/video/ad/info" + end:    s.videos,
		"GET " + api + "file/image/ad/info" + end:    s.images,
	} {
		v.Handle(mux, pattern, answer)
	}
	v.RegisterAdmin(mux)
	v.RegisterTruth(mux, s.truth)
}

// failure is an answer that something went wrong.
func failure(code int, format string, args ...any) vendor.Answer {
	return vendor.OK(map[string]any{"code": code, "message": fmt.Sprintf(format, args...), "request_id": "2026simulated", "data": map[string]any{}})
}

func invalid(format string, args ...any) vendor.Answer { return failure(40002, format, args...) }

func success(data any) vendor.Answer {
	return vendor.OK(map[string]any{"code": 0, "message": "OK", "request_id": "2026simulated", "data": data})
}

// peek decodes a body in JSON that has no other fields than into, and leaves it to be read again.
func peek(r *http.Request, into any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	if r.Header.Get("Content-Type") != "application/json" {
		return fmt.Errorf("the Content-Type is %q", r.Header.Get("Content-Type"))
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

type exchange struct {
	AppID  string `json:"app_id"`
	Secret string `json:"secret"`
	Code   string `json:"auth_code"`
}

func (s server) token(r *http.Request) vendor.Answer {
	var body exchange
	if err := peek(r, &body); err != nil || body.Code == "" {
		return invalid("auth_code: Missing data for required field.")
	}
	if !s.App(body.AppID, body.Secret) {
		return failure(40101, "The app id or secret is invalid.")
	}
	got, ok := s.Redeem(body.Code, "", "")
	if !ok {
		return failure(40110, "The auth_code is invalid or has been used.")
	}
	var ids []string
	for _, one := range s.AdAccounts(got.Account.Name, shop.TikTokAds) {
		ids = append(ids, id(one))
	}
	return success(map[string]any{"access_token": got.Access, "advertiser_ids": ids, "scope": []int{1, 4}})
}

func (s server) revoke(a *vendor.Account, r *http.Request) vendor.Answer {
	var body struct {
		AppID  string `json:"app_id"`
		Secret string `json:"secret"`
		Token  string `json:"access_token"`
	}
	if err := peek(r, &body); err != nil {
		return invalid("%v", err)
	}
	switch {
	case !s.App(body.AppID, body.Secret):
		return failure(40101, "The app id or secret is invalid.")
	case body.Token != r.Header.Get("Access-Token"):
		return failure(40105, "Access token is incorrect or has been revoked.")
	}
	a.Revoke(s.Now())
	return success(map[string]any{})
}

func (s server) user(a *vendor.Account, _ *http.Request) vendor.Answer {
	return success(map[string]any{
		"core_user_id": fmt.Sprint(s.AdAccounts(a.Name, shop.TikTokAds)[0].Business), "display_name": a.Name, "email": a.Name + "@example.com",
		"create_time": s.Now().AddDate(-3, 0, 0).Unix(),
	})
}
