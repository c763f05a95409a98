// Package policy keeps what each organization demands of its members.
package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// document is one for each organization.
const document = "policy"

// Service is the rules of policies. It is safe for concurrent use.
type Service struct {
	policies *store.Collection[authapi.SecurityPolicy]
}

// Open opens the policies in db.
func Open(ctx context.Context, db store.DB) (*Service, error) {
	policies, err := store.Tenant[authapi.SecurityPolicy](ctx, db, store.Def{Name: "security_policies"})
	if err != nil {
		return nil, fmt.Errorf("open the security policies: %w", err)
	}
	return &Service{policies}, nil
}

// Of is the policy in force for an organization.
func (s *Service) Of(ctx context.Context, organization string) (authapi.SecurityPolicy, error) {
	p, _, err := s.Read(ctx, organization)
	return p, err
}

// Read is Of with the policy's version, 0 for one that was never set.
func (s *Service) Read(ctx context.Context, organization string) (authapi.SecurityPolicy, int64, error) {
	doc, err := s.policies.In(organization).Get(ctx, document)
	if errors.Is(err, store.ErrNotFound) {
		return authapi.DefaultPolicy(), 0, nil
	}
	if err != nil {
		return authapi.SecurityPolicy{}, 0, fmt.Errorf("read the security policy: %w", err)
	}
	return doc.Value, doc.Version, nil
}

// Set replaces the policy that was read at version, with messages; -1 replaces whatever is there.
// Problems: 412 precondition_failed, 422 validation_failed.
func (s *Service) Set(ctx context.Context, organization string, p authapi.SecurityPolicy, version int64, messages ...store.Message) (int64, error) {
	if err := check(p); err != nil {
		return 0, err
	}
	policies := s.policies.In(organization)
	if version < 0 {
		current, err := policies.Get(ctx, document)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, fmt.Errorf("read the security policy: %w", err)
		}
		version = current.Version
	}
	var doc store.Doc[authapi.SecurityPolicy]
	var err error
	if version == 0 {
		doc, err = policies.Insert(ctx, document, p, messages...)
	} else {
		doc, err = policies.Replace(ctx, store.Doc[authapi.SecurityPolicy]{ID: document, Version: version, Value: p}, messages...)
	}
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrNotFound):
		return 0, problem.New(http.StatusPreconditionFailed, problem.CodePrecondition, "the policy was changed since it was read; read it again").Wrap(err)
	case err != nil:
		return 0, fmt.Errorf("set the security policy: %w", err)
	}
	return doc.Version, nil
}

func check(p authapi.SecurityPolicy) error {
	for i, text := range p.Networks {
		if _, err := netip.ParsePrefix(text); err != nil {
			return problem.Invalid(fmt.Sprintf("body.networks[%d]", i), "want a CIDR prefix such as 203.0.113.0/24")
		}
	}
	known := authapi.DefaultPolicy().MFA.Methods
	for i, method := range p.MFA.Methods {
		if !slices.Contains(known, method) {
			return problem.Invalid(fmt.Sprintf("body.mfa.methods[%d]", i), fmt.Sprintf("want one of %v", known))
		}
	}
	if len(p.MFA.RequiredRoles) > 0 && len(p.MFA.Methods) == 0 {
		return problem.Invalid("body.mfa.methods", "a second factor is required, so some method must count")
	}
	return nil
}
