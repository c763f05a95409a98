package host_test

import (
	"net/http"
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
		"a custom permission":   {identity.Access{Permissions: []string{"analytics.notes:write"}}, "POST", base + "/n1/touch", 200, ""},
		"a grant":               {identity.Access{Grants: []identity.Grant{{Permission: "analytics.notes:write", Resource: "n1", ExpiresAt: &future}}}, "POST", base + "/n1/touch", 200, ""},
		"a grant on another":    {identity.Access{Grants: []identity.Grant{{Permission: "analytics.notes:write", Resource: "n2"}}}, "POST", base + "/n1/touch", 403, "permission_denied"},
		"an expired grant":      {identity.Access{Grants: []identity.Grant{{Permission: "analytics.notes:write", Resource: "n1", ExpiresAt: &past}}}, "POST", base + "/n1/touch", 403, "permission_denied"},
		"a document to accept":  {identity.Access{Permissions: []string{"*:*"}, Accept: []string{"terms/3"}}, "GET", base + "/mine", 403, "acceptance_required"},
		"one's own network":     {identity.Access{Networks: [][]string{{"192.0.2.0/24"}}}, "GET", base + "/mine", 200, ""},
		"another network":       {identity.Access{Networks: [][]string{{"198.51.100.0/24"}}}, "GET", base + "/mine", 403, "network_not_allowed"},
		"one network of two":    {identity.Access{Networks: [][]string{{"192.0.2.0/24"}, {"198.51.100.0/24"}}}, "GET", base + "/mine", 403, "network_not_allowed"},
		"one factor of two":     {identity.Access{Permissions: []string{"*:*"}}, "POST", base + "/strong", 401, "step_up_required"},
		"no permission to sign": {identity.Access{}, "POST", base + "/strong", 403, "permission_denied"},
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
