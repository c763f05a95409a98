package audit

import (
	"context"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// SetPolicy replaces an organization's security policy that was read at version, -1 for whatever is there. Every process heeds
// it within 5 s. Problems: 412 precondition_failed, 422 validation_failed, 422 policy_locks_you_out for who would not be let in
// from where they ask.
func (s *Service) SetPolicy(ctx context.Context, organization string, p authapi.SecurityPolicy, version int64) (int64, error) {
	before, _, err := s.c.Policies.Read(ctx, organization)
	if err != nil {
		return 0, err
	}
	if err := staysIn(p.Networks, audit.OriginOf(ctx).Address); err != nil {
		return 0, err
	}
	changes, err := authapi.AccessChanged.Message(ctx, s.c.Emit, organization, authapi.AccessChangedData{
		OrganizationID: organization, Reason: "security policy",
	})
	if err != nil {
		return 0, err
	}
	entry, err := s.entry(ctx, organization, "policy", "", map[string]string{"changed": strings.Join(differences(before, p), ", ")})
	if err != nil {
		return 0, err
	}
	return s.c.Policies.Set(ctx, organization, p, version, changes, entry)
}

// staysIn refuses networks that the caller is in none of. Prefixes that do not parse are the policy's to refuse.
func staysIn(networks []string, address string) error {
	if len(networks) == 0 {
		return nil
	}
	malformed := func(text string) bool { _, err := netip.ParsePrefix(text); return err != nil }
	if slices.ContainsFunc(networks, malformed) {
		return nil
	}
	from, err := netip.ParseAddr(address)
	if err != nil || !(identity.Access{Networks: [][]string{networks}}).From(from) {
		return problem.New(http.StatusUnprocessableEntity, authapi.CodeLocksYouOut, "your own address is in none of the networks, so this would lock you out").
			With(problem.Field{Location: "body.networks", Message: "add a network with " + address})
	}
	return nil
}

// differences are the names of the parts of a policy that differ.
func differences(before, after authapi.SecurityPolicy) []string {
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	var names []string
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

// Networks is an access.Source: it lets members in from the networks of their organization's policy only.
type Networks struct{ Policies *policy.Service }

// Contribute implements access.Source.
func (n Networks) Contribute(ctx context.Context, m access.Member, to *identity.Access) error {
	p, err := n.Policies.Of(ctx, m.Organization)
	if err != nil {
		return err
	}
	if len(p.Networks) > 0 {
		to.Networks = append(to.Networks, p.Networks)
	}
	return nil
}
