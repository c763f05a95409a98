package host_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/identity"
)

// may is what u1 may do in o1 in these tests, and a token from before it was said.
func (p *process) may(t *testing.T, a identity.Access) (token string) {
	t.Helper()
	token = p.authority.Token(t, "o1", "u1", nil, func(c *identity.Claims) { c.AccessHash = a.Hash() })
	p.authority.Set("o1", "u1", a)
	return token
}

func TestWhatIsAllowedOnTopOfRoles(t *testing.T) {
	p := start(t, nil)
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		access       identity.Access
		method, path string
		status       int
		code         string
	}{
		"a custom permission":    {identity.Access{Permissions: []string{"analytics.notes:write"}}, "POST", base + "/n1/touch", 200, ""},
		"a grant":                {identity.Access{Grants: []identity.Grant{{Permission: "analytics.notes:write", Resource: "n1", ExpiresAt: &future}}}, "POST", base + "/n1/touch", 200, ""},
		"a grant on another":     {identity.Access{Grants: []identity.Grant{{Permission: "analytics.notes:write", Resource: "n2"}}}, "POST", base + "/n1/touch", 403, "permission_denied"},
		"an expired grant":       {identity.Access{Grants: []identity.Grant{{Permission: "analytics.notes:write", Resource: "n1", ExpiresAt: &past}}}, "POST", base + "/n1/touch", 403, "permission_denied"},
		"a document to accept":   {identity.Access{Permissions: []string{"*:*"}, Accept: []string{"terms/3"}}, "GET", base + "/mine", 403, "acceptance_required"},
		"one's own network":      {identity.Access{Networks: [][]string{{"192.0.2.0/24"}}}, "GET", base + "/mine", 200, ""},
		"another network":        {identity.Access{Networks: [][]string{{"198.51.100.0/24"}}}, "GET", base + "/mine", 403, "network_not_allowed"},
		"one network of two":     {identity.Access{Networks: [][]string{{"192.0.2.0/24"}, {"198.51.100.0/24"}}}, "GET", base + "/mine", 403, "network_not_allowed"},
		"one factor of two":      {identity.Access{Permissions: []string{"*:*"}}, "POST", base + "/strong", 401, "step_up_required"},
		"a deleted organization": {identity.Access{EraseAt: &future}, "POST", base + "/n1/touch", 403, "organization_deleting"},
		"no permission to sign":  {identity.Access{}, "POST", base + "/strong", 403, "permission_denied"},
	} {
		if w := p.do(c.method, c.path, p.may(t, c.access), ""); w.Code != c.status || code(w) != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, w.Code, w.Body, c.status, c.code)
		}
	}
	strong := p.authority.Token(t, "o1", "u2", []string{"owner"}, func(c *identity.Claims) { c.ACR = identity.ACRMultiFactor })
	if w := p.do("POST", base+"/strong", strong, ""); w.Code != 200 {
		t.Errorf("with two factors: %d %s", w.Code, w.Body)
	}
	w := p.do("GET", base+"/mine", p.may(t, identity.Access{Accept: []string{"terms/3"}}), "")
	if !strings.Contains(w.Body.String(), `"location":"terms/3"`) {
		t.Errorf("it does not say what to accept: %s", w.Body)
	}
}

// A change of what somebody may do reaches the process within 5 s, although their token says otherwise.
func TestAChangeOfAccessTakesEffect(t *testing.T) {
	p := start(t, nil)
	token := p.authority.Token(t, "o1", "u1", []string{"owner"}, nil)
	touch := func() int { return p.do("POST", base+"/n1/touch", token, "").Code }
	if got := touch(); got != http.StatusOK {
		t.Fatalf("an owner: %d", got)
	}
	p.authority.Set("o1", "u1", identity.Access{Permissions: []string{"*:read"}})
	p.authority.Change("o1", "u1")
	for deadline := time.Now().Add(5 * time.Second); touch() != http.StatusForbidden; {
		if time.Now().After(deadline) {
			t.Fatal("5 s later they may still write")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A grant counts where a request names its resource, be it in the query or the body. A body that could name two names none.
func TestGrantsCountForWhatARequestNames(t *testing.T) {
	p := start(t, nil)
	token := p.may(t, identity.Access{Grants: []identity.Grant{{Permission: "analytics.notes:write", Resource: "n1"}}})
	for name, c := range map[string]struct {
		path, body string
		status     int
	}{
		"the query":                   {"/move?note=n1", "", 200},
		"another in the query":        {"/move?note=n2", "", 403},
		"two in the query":            {"/move?note=n2&note=n1", "", 403},
		"none in the query":           {"/move", "", 403},
		"the body":                    {"/copy", `{"note":"n1"}`, 200},
		"another in the body":         {"/copy", `{"note":"n2"}`, 403},
		"twice in the body":           {"/copy", `{"note":"n1","note":"n2"}`, 403},
		"in two spellings":            {"/copy", `{"note":"n1","Note":"n2"}`, 403},
		"in two spellings, the other": {"/copy", `{"Note":"n2","note":"n1"}`, 403},
		"no text":                     {"/copy", `{"note":["n1"]}`, 403},
		"no JSON":                     {"/copy", `note=n1`, 403},
		"too large a body":            {"/copy", `{"note":"n1","more":"` + strings.Repeat("x", 1<<20) + `"}`, 403},
		"a body of no use":            {"", `{"text":"n1"}`, 403},
	} {
		for _, header := range [][]string{nil, {"Idempotency-Key", "k-" + name}} {
			if w := p.do("POST", base+c.path, token, c.body, header...); w.Code != c.status || c.status == 200 && !strings.Contains(w.Body.String(), `"text":"n1"`) {
				t.Errorf("%s %v: %d %s; want %d", name, header, w.Code, w.Body, c.status)
			}
		}
	}
}

// Who has done what a refusal asked for is let in by the next request, before the feed of changes tells of it.
func TestARefusalThatWasDoneAwayWithEndsAtOnce(t *testing.T) {
	p := start(t, nil)
	soon, all := time.Now().Add(time.Hour), identity.Access{Permissions: []string{"*:*"}}
	for code, halted := range map[string]identity.Access{
		"acceptance_required":   {Permissions: []string{"*:*"}, Accept: []string{"terms/3"}},
		"organization_deleting": {EraseAt: &soon},
	} {
		token := p.may(t, halted)
		touch := func() *httptest.ResponseRecorder { return p.do("POST", base+"/n1/touch", token, "") }
		if w := touch(); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), code) {
			t.Errorf("%d %s; want 403 %s", w.Code, w.Body, code)
		}
		p.authority.Set("o1", "u1", all)
		if w := touch(); w.Code != http.StatusOK {
			t.Errorf("after %s: %d %s", code, w.Code, w.Body)
		}
		p.authority.Set("o1", "u1", identity.Access{})
		token = p.may(t, halted)
		p.authority.Set("o1", "u1", identity.Access{})
		if w := touch(); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "permission_denied") {
			t.Errorf("after %s and the loss of every permission: %d %s; want what auth says now", code, w.Code, w.Body)
		}
	}
}

func TestUnknownSubjectsAreRefused(t *testing.T) {
	p := start(t, func(c *config.Config) { c.RateLimit = 0 })
	token := p.authority.Token(t, "o1", "u1", []string{"owner"}, func(c *identity.Claims) { c.Subject = "gone" })
	if w := p.do("GET", base+"/mine", token, ""); w.Code != http.StatusUnauthorized || code(w) != "token_invalid" {
		t.Errorf("%d %s; want 401 token_invalid", w.Code, w.Body)
	}
	if w := p.do("GET", base+"/mine", "tdm_nothing", ""); w.Code != http.StatusUnauthorized || code(w) != "token_invalid" {
		t.Errorf("an API key that is none: %d %s; want 401 token_invalid", w.Code, w.Body)
	}
}
