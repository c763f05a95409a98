package apikeys

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// serve is the module's routes where p acts; permissions and second factors are not checked, as it is the host that does so.
func serve(t *testing.T, o *office, p identity.Principal) http.Handler {
	t.Helper()
	router := mux.NewRouter()
	config := huma.DefaultConfig("test", "1")
	config.Components.Schemas = huma.NewMapRegistry("#/", func(t reflect.Type, hint string) string { // as the host keeps them apart
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		return path.Base(t.PkgPath()) + huma.DefaultSchemaNamer(t, hint)
	})
	api := humamux.New(router, config)
	for _, operation := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(o.Service, o.people)}}) {
		if err := operation.Check(); err != nil {
			t.Error(err)
		}
		operation.Register(api, func(ctx huma.Context, next func(huma.Context)) {
			next(huma.WithContext(ctx, identity.With(ctx.Context(), p)))
		})
	}
	return router
}

func ask(t *testing.T, h http.Handler, method, to, body, match string, out any) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/api/auth/api-keys"+to, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header.Set("Content-Type", "application/json")
	if match != "" {
		r.Header.Set("If-Match", match)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, to, w.Code, w.Body, err)
		}
	}
	return w.Result()
}

func TestRoutes(t *testing.T) {
	o := open(t)
	h := serve(t, o, o.as("ada"))
	var issued authapi.IssuedAPIKey
	resp := ask(t, h, "POST", "", `{"name":"Export","scopes":["analytics.*:read"],"networks":["203.0.113.0/24"],"expires_at":"2027-01-01T00:00:00Z"}`, "", &issued)
	if resp.StatusCode != 201 || resp.Header.Get("Location") != "/api/auth/api-keys/"+issued.ID || resp.Header.Get("ETag") != `"1"` || issued.Name != "Export" {
		t.Fatalf("%d %v %+v", resp.StatusCode, resp.Header, issued)
	}
	one := "/" + issued.ID
	for _, step := range []struct {
		method, path, body, match string
		want                      int
		code                      string
	}{
		{"POST", "", `{"name":"","scopes":["*:read"]}`, "", 422, ""},
		{"POST", "", `{"name":"k","scopes":[]}`, "", 422, ""},
		{"POST", "", `{"name":"k","scopes":null}`, "", 422, ""},
		{"POST", "", `{"name":"k","scopes":["read"]}`, "", 422, "validation_failed"},
		{"POST", "", `{"name":"k","scopes":["*:read"],"networks":["here"]}`, "", 422, "validation_failed"},
		{"POST", "", `{"name":"k","scopes":["*:read"],"expires_at":"2025-01-01T00:00:00Z"}`, "", 422, "validation_failed"},
		{"POST", "", `{"name":"k","scopes":["*:read"],"key":"tdm_mine"}`, "", 422, ""},
		{"GET", "", "", "", 200, ""},
		{"GET", "?cursor=mine", "", "", 400, "bad_request"},
		{"GET", one, "", "", 200, ""},
		{"GET", "/nothing", "", "", 404, "not_found"},
		{"PUT", one, `{"name":"Export","scopes":["ml.*:read"]}`, `"7"`, 412, "precondition_failed"},
		{"PUT", one, `{"name":"Export","scopes":["ml.*:read"]}`, `"1"`, 200, ""},
		{"PUT", "/nothing", `{"name":"Export","scopes":["ml.*:read"]}`, "", 404, "not_found"},
		{"POST", one + "/rotate", `{}`, `"1"`, 412, "precondition_failed"},
		{"POST", one + "/rotate", `{"overlap_hours":169}`, "", 422, ""},
		{"POST", one + "/rotate", `{"overlap_hours":-1}`, "", 422, ""},
		{"POST", "/nothing/rotate", `{}`, "", 404, "not_found"},
		{"POST", "/verify", `{"key":"` + issued.Key + `"}`, "", 200, ""},
		{"POST", "/verify", `{"key":"tdm_x"}`, "", 401, problem.CodeTokenInvalid},
		{"DELETE", one, "", "", 204, ""},
		{"DELETE", one, "", "", 204, ""},
		{"DELETE", "/nothing", "", "", 404, "not_found"},
		{"PUT", one, `{"name":"Export","scopes":["ml.*:read"]}`, "", 404, "not_found"},
		{"POST", one + "/rotate", `{}`, "", 404, "not_found"},
		{"POST", "/verify", `{"key":"` + issued.Key + `"}`, "", 401, problem.CodeTokenInvalid},
	} {
		var p struct{ Code string }
		var out any
		if step.want >= 400 {
			out = &p
		}
		resp := ask(t, h, step.method, step.path, step.body, step.match, out)
		if resp.StatusCode != step.want || p.Code != step.code {
			t.Errorf("%s %s %s: %d %s; want %d %s", step.method, step.path, step.body, resp.StatusCode, p.Code, step.want, step.code)
		}
	}
}

func TestOverlapIsADayUnlessSaid(t *testing.T) {
	o := open(t)
	h := serve(t, o, o.as("ada"))
	for body, want := range map[string]time.Duration{`{}`: 24 * time.Hour, `{"overlap_hours":0}`: 0, `{"overlap_hours":168}`: 7 * 24 * time.Hour} {
		key := o.create(t, Settings{})
		var issued authapi.IssuedAPIKey
		ask(t, h, "POST", "/"+key.ID+"/rotate", body, "", &issued)
		got := time.Duration(0)
		if issued.PreviousUntil != nil {
			got = issued.PreviousUntil.Sub(o.Now())
		}
		if got != want {
			t.Errorf("%s overlaps by %s; want %s", body, got, want)
		}
		o.good(t, issued.Key)
	}
}

// TestKeysDoNotMakeKeys holds that a key that has leaked can be got rid of by revoking it.
func TestKeysDoNotMakeKeys(t *testing.T) {
	o := open(t)
	own := o.create(t, Settings{Scopes: []string{"*:*"}})
	h := serve(t, o, identity.Principal{Subject: "key:" + own.ID, Key: own.ID, Organization: "acme", Access: &identity.Access{Permissions: []string{"*:*"}}})
	body := `{"name":"k","scopes":["*:read"]}`
	for _, step := range [][2]string{{"POST", ""}, {"PUT", "/" + own.ID}} {
		if resp := ask(t, h, step[0], step[1], body, "", nil); resp.StatusCode != 403 {
			t.Errorf("%s %s by a key: %d", step[0], step[1], resp.StatusCode)
		}
	}
	if resp := ask(t, h, "POST", "/"+own.ID+"/rotate", `{}`, "", nil); resp.StatusCode != 403 {
		t.Errorf("rotation by a key: %d", resp.StatusCode)
	}
	if resp := ask(t, h, "DELETE", "/"+own.ID, "", "", nil); resp.StatusCode != 204 {
		t.Errorf("revocation by the key itself: %d", resp.StatusCode)
	}
}

func TestWhatGivesAKeyTakesASecondFactor(t *testing.T) {
	o := open(t)
	for _, op := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(o.Service, o.people)}}) {
		gives := op.Method == http.MethodPut || op.Method == http.MethodPost && !op.Access.Internal
		if op.StepUp != gives {
			t.Errorf("%s asks for a second factor: %v", op.Route(), op.StepUp)
		}
		if secret := op.Method == http.MethodPost; op.Sensitive != secret {
			t.Errorf("the answer of %s is kept: %v", op.Route(), !op.Sensitive)
		}
	}
}

// TestWhoChangesAKeyAtTheSameTime has one of two rotations of the same revision, among uses that change the document as well.
func TestWhoChangesAKeyAtTheSameTime(t *testing.T) {
	o := open(t)
	for range 10 {
		key := o.create(t, Settings{})
		h := serve(t, o, o.as("ada"))
		var statuses [4]int
		var all sync.WaitGroup
		for i := range statuses {
			all.Go(func() {
				if i%2 == 0 {
					statuses[i] = ask(t, h, "POST", "/"+key.ID+"/rotate", `{"overlap_hours":1}`, `"1"`, nil).StatusCode
				} else {
					statuses[i] = ask(t, h, "POST", "/verify", `{"key":"`+key.Key+`"}`, "", nil).StatusCode
				}
			})
		}
		all.Wait()
		if won := statuses[0] == 201 || statuses[0] == 200; statuses[1] != 200 || statuses[3] != 200 || won == (statuses[2] < 300) || statuses[0]+statuses[2] != 200+412 {
			t.Fatalf("statuses %v; want one rotation and two uses", statuses)
		}
	}
}
