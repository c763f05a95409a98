package audit

import (
	"context"
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

func from(t *testing.T, address string) context.Context {
	return audit.WithOrigin(t.Context(), audit.Origin{Address: address})
}

func TestThePolicyHasEffectAndLeavesATrace(t *testing.T) {
	f := newFixture(t)
	p := authapi.DefaultPolicy()
	p.Networks, p.Password.MinLength = []string{"203.0.113.0/24", "2001:db8::/32"}, 14
	version, err := f.SetPolicy(from(t, "203.0.113.7"), acme, p, -1)
	must(t, err)
	if version != 1 {
		t.Errorf("version %d", version)
	}
	var told []string
	for _, e := range f.Outbox(t) {
		told = append(told, e.Type)
		if e.Type == authapi.AccessChanged.Name {
			var data authapi.AccessChangedData
			must(t, json.Unmarshal(e.Data, &data))
			if data.OrganizationID != acme || data.Subject != "" || e.Organization != acme {
				t.Errorf("event %+v", data)
			}
		}
	}
	if len(told) != 2 {
		t.Errorf("events %v", told)
	}
	f.relay(t)
	list, err := f.List(t.Context(), acme, Filter{}, "", 10)
	must(t, err)
	if len(list.Items) != 1 || list.Items[0].Action != "auth.audit.policy" || list.Items[0].Details["changed"] != "password, networks" {
		t.Errorf("entries %+v", list.Items)
	}
	for organization, from := range map[string]map[string]bool{
		acme:   {"203.0.113.9": true, "2001:db8::1": true, "198.51.100.1": false},
		globex: {"198.51.100.1": true},
	} {
		var a identity.Access
		must(t, Networks{f.c.Policies}.Contribute(t.Context(), access.Member{Organization: organization, User: "ada"}, &a))
		for address, want := range from {
			if a.From(netip.MustParseAddr(address)) != want {
				t.Errorf("%s from %s: %v, want %v", organization, address, !want, want)
			}
		}
	}
}

func TestNobodyLocksThemselvesOut(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		networks []string
		address  string
		code     string
	}{
		{nil, "", ""},
		{[]string{"203.0.113.0/24"}, "203.0.113.7", ""},
		{[]string{"203.0.113.0/24"}, "::ffff:203.0.113.7", ""},
		{[]string{"10.0.0.0/8", "203.0.113.0/24"}, "203.0.113.7", ""},
		{[]string{"203.0.113.0/24"}, "198.51.100.1", authapi.CodeLocksYouOut},
		{[]string{"203.0.113.0/24"}, "", authapi.CodeLocksYouOut},
		{[]string{"203.0.113.0/24"}, "unknown", authapi.CodeLocksYouOut},
		{[]string{"203.0.113.0/24", "a network"}, "198.51.100.1", problem.CodeValidation},
	} {
		p := authapi.DefaultPolicy()
		p.Networks = test.networks
		_, before, err := f.c.Policies.Read(t.Context(), acme)
		must(t, err)
		_, err = f.SetPolicy(from(t, test.address), acme, p, before)
		if problem.Code(err) != test.code {
			t.Errorf("%v from %q: %v, want %q", test.networks, test.address, err, test.code)
		}
		if _, after, _ := f.c.Policies.Read(t.Context(), acme); test.code != "" && after != before {
			t.Errorf("%v from %q was refused and is there", test.networks, test.address)
		}
	}
	_, err := f.SetPolicy(t.Context(), acme, authapi.DefaultPolicy(), 99)
	wantCode(t, "another version", err, problem.CodePrecondition)
}
