package sso

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	proofPrefix   = "tandem-domain-verification="
	lookupTimeout = 5 * time.Second
)

// parseDomain is the normalized form of a domain, which is that of e-mail addresses.
func parseDomain(text string) (string, error) {
	email, err := accounts.ParseEmail("postmaster@" + strings.TrimSpace(text))
	if err != nil {
		return "", problem.Invalid("body.domain", "want a domain such as example.com").Wrap(err)
	}
	return domainOf(email), nil
}

// domainOf is the domain of a normalized e-mail address.
func domainOf(email string) string { return email[strings.LastIndexByte(email, '@')+1:] }

func domainView(d domain) authapi.SSODomain {
	v := authapi.SSODomain{Domain: d.Domain, Verified: d.Owned != nil, TXT: proofPrefix + d.Token, CreatedAt: d.CreatedAt.Time}
	if d.VerifiedAt != nil {
		v.VerifiedAt = &d.VerifiedAt.Time
	}
	return v
}

// Domains is a page of an organization's, the oldest first.
func (s *Service) Domains(ctx context.Context, organization, cursor string, limit int) (*authapi.SSODomains, error) {
	page, err := s.d.domains.Find(ctx, store.Query{Index: byOrganization, Equal: []any{organization}, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	list := &authapi.SSODomains{Items: []authapi.SSODomain{}, NextCursor: page.Next}
	for _, doc := range page.Items {
		list.Items = append(list.Items, domainView(doc.Value))
	}
	return list, nil
}

// Claim notes that an organization says that a domain is its own, and gives it what to publish there. Any number of
// organizations can say so; one can prove it. Once more changes nothing. Problem: 422 for what is no domain.
func (s *Service) Claim(ctx context.Context, organization, text string) (*authapi.SSODomain, error) {
	name, err := parseDomain(text)
	if err != nil {
		return nil, err
	}
	token, err := s.random()
	if err != nil {
		return nil, err
	}
	recorded, err := s.record(ctx, organization, "claim-domain", "domain:"+name, nil)
	if err != nil {
		return nil, err
	}
	doc, err := s.d.domains.Insert(ctx, domainID(organization, name), domain{
		Organization: organization, Domain: name, Token: token, CreatedAt: store.At(s.c.Now()),
	}, recorded)
	if errors.Is(err, store.ErrExists) {
		doc, err = s.d.domains.Get(ctx, domainID(organization, name))
	}
	if err != nil {
		return nil, fmt.Errorf("claim a domain: %w", err)
	}
	view := domainView(doc.Value)
	return &view, nil
}

// VerifyDomain looks for the proof in the domain's DNS. Problems: 404, 409 domain_unproved, 409 domain_taken.
func (s *Service) VerifyDomain(ctx context.Context, organization, name string) (*authapi.SSODomain, error) {
	doc, err := s.domain(ctx, organization, name)
	if err != nil {
		return nil, err
	}
	proof := proofPrefix + doc.Value.Token
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	// The dot at the end keeps the resolver from looking in domains of its own.
	records, err := s.c.Resolver.LookupTXT(lookup, doc.Value.Domain+".")
	if !slices.Contains(records, proof) {
		return nil, problem.Newf(http.StatusConflict, authapi.CodeDomainUnproved,
			"the domain has no TXT record %s; it can take a while until one that was just made is seen", proof).Wrap(err)
	}
	recorded, err := s.record(ctx, organization, "verify-domain", "domain:"+doc.Value.Domain, nil)
	if err != nil {
		return nil, err
	}
	doc, err = s.d.domains.Update(ctx, doc.ID, func(d *domain) ([]store.Message, error) {
		if d.Owned != nil {
			return nil, nil
		}
		now := store.At(s.c.Now())
		d.Owned, d.VerifiedAt = &d.Domain, &now
		return []store.Message{recorded}, nil
	})
	switch {
	case errors.Is(err, store.ErrDuplicate):
		return nil, problem.New(http.StatusConflict, authapi.CodeDomainTaken, "another organization has proved that this domain is its own").Wrap(err)
	case errors.Is(err, store.ErrNotFound):
		return nil, problem.NotFound("domain").Wrap(err)
	case err != nil:
		return nil, fmt.Errorf("verify a domain: %w", err)
	}
	view := domainView(doc.Value)
	return &view, nil
}

// Disown forgets a domain of an organization: 404. Its identity providers speak for addresses there no more.
func (s *Service) Disown(ctx context.Context, organization, name string) error {
	doc, err := s.domain(ctx, organization, name)
	if err != nil {
		return err
	}
	recorded, err := s.record(ctx, organization, "disown-domain", "domain:"+doc.Value.Domain, nil)
	if err != nil {
		return err
	}
	if err := s.d.domains.Delete(ctx, doc.ID, 0, recorded); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("forget a domain: %w", err)
	}
	return nil
}

func (s *Service) domain(ctx context.Context, organization, text string) (store.Doc[domain], error) {
	name, err := parseDomain(text)
	if err != nil {
		return store.Doc[domain]{}, problem.NotFound("domain").Wrap(err)
	}
	doc, err := s.d.domains.Get(ctx, domainID(organization, name))
	if errors.Is(err, store.ErrNotFound) {
		return doc, problem.NotFound("domain").Wrap(err)
	}
	if err != nil {
		return doc, fmt.Errorf("read a domain: %w", err)
	}
	return doc, nil
}

// ownerOf is the organization that has proved that a domain is its own, or "".
func (s *Service) ownerOf(ctx context.Context, name string) (string, error) {
	doc, err := s.d.domains.First(ctx, store.Query{Index: byOwned, Equal: []any{name}})
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for the owner of a domain: %w", err)
	}
	return doc.Value.Organization, nil
}

// Discover says how people with an e-mail address sign in. It looks at the address's domain only, so the answer is the same
// whether anybody has the address. Problem: 422 for what is no address.
func (s *Service) Discover(ctx context.Context, text string) (*authapi.SSODiscovery, error) {
	email, err := accounts.ParseEmail(text)
	if err != nil {
		return nil, problem.Invalid("body.email", err.Error())
	}
	found := &authapi.SSODiscovery{Connections: []authapi.SSOChoice{}}
	owner, err := s.ownerOf(ctx, domainOf(email))
	if err != nil || owner == "" {
		return found, err
	}
	rules, err := s.c.Policies.Of(ctx, owner)
	if err != nil {
		return nil, err
	}
	found.Required = rules.EnforceSSO
	of := store.Query{Index: byOrganization, Equal: []any{owner}}
	err = s.d.connections.Each(ctx, of, func(doc store.Doc[connection]) error {
		if doc.Value.Enabled {
			found.Connections = append(found.Connections, authapi.SSOChoice{
				ID: doc.ID, Name: doc.Value.Name, Protocol: doc.Value.protocol(), StartURL: s.url(doc.ID, "start"),
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for an organization's connections: %w", err)
	}
	return found, nil
}
