// Package legal keeps the platform's legal documents, and the evidence of who accepted which text. Operators
// publish them for everybody; while somebody has to accept one, nothing else is allowed to them.
package legal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// Config is what a Service needs.
type Config struct {
	DB   store.DB
	Emit events.Emitter
	Now  func() time.Time
}

// Service is the rules of legal documents. It is safe for concurrent use.
type Service struct {
	c Config
	collections
}

// Open opens the documents and acceptances in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	collections, err := openCollections(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	return &Service{c, collections}, nil
}

// Documents are those in force and those announced, by kind, in the languages that come nearest to wanted.
func (s *Service) Documents(ctx context.Context, wanted string) (*authapi.LegalDocuments, error) {
	kinds, err := s.kinds(ctx)
	if err != nil {
		return nil, err
	}
	now := s.c.Now()
	list := &authapi.LegalDocuments{Items: []authapi.LegalDocument{}}
	for _, v := range kinds {
		if current, ok := v.current(now); ok {
			list.Items = append(list.Items, view(current, choose(current.Texts, wanted), true))
		}
		for _, d := range v.announced(now) {
			list.Items = append(list.Items, view(d, choose(d.Texts, wanted), false))
		}
	}
	return list, nil
}

func view(d document, i int, inForce bool) authapi.LegalDocument {
	t := d.Texts[i]
	locales := make([]string, len(d.Texts))
	for i := range d.Texts {
		locales[i] = d.Texts[i].Locale
	}
	return authapi.LegalDocument{
		Kind: d.Kind, Version: d.Version, Locale: t.Locale, Locales: locales, Title: t.Title, SHA256: t.SHA256,
		Mandatory: d.Mandatory, InForce: inForce, PublishedAt: d.PublishedAt.Time, EffectiveAt: d.EffectiveAt.Time,
	}
}

// Document is a version with its text, the one in force where version is 0: 404 for none.
func (s *Service) Document(ctx context.Context, kind string, version int, wanted string) (*authapi.LegalDocument, error) {
	v, err := s.kind(ctx, kind)
	if err != nil {
		return nil, err
	}
	d, inForce := v.current(s.c.Now())
	if version != 0 && version != d.Version {
		d, _ = v.at(version)
		inForce = false
	}
	if d.Version == 0 {
		return nil, problem.NotFound("document")
	}
	return s.whole(ctx, d, wanted, inForce)
}

// whole is d with its text.
func (s *Service) whole(ctx context.Context, d document, wanted string, inForce bool) (*authapi.LegalDocument, error) {
	v := view(d, choose(d.Texts, wanted), inForce)
	text, err := s.bodies.Get(ctx, v.SHA256)
	if err != nil {
		return nil, fmt.Errorf("read a legal text: %w", err)
	}
	v.Text = text.Value.Text
	return &v, nil
}

// Contribute names the documents that m must accept before anything else. It implements access.Source.
func (s *Service) Contribute(ctx context.Context, m access.Member, to *identity.Access) error {
	kinds, err := s.kinds(ctx)
	if err != nil {
		return err
	}
	now := s.c.Now()
	for _, v := range kinds {
		first, last, required := v.required(now)
		if !required {
			continue
		}
		accepted, err := s.accepted(ctx, m.User, v[0].Kind, first, last)
		if err != nil {
			return err
		}
		if !accepted {
			to.Accept = append(to.Accept, name(v[0].Kind, last))
		}
	}
	return nil
}

// Pending are the documents in force and announced that user can accept and has not.
func (s *Service) Pending(ctx context.Context, user, wanted string) (*authapi.LegalPendings, error) {
	kinds, err := s.kinds(ctx)
	if err != nil {
		return nil, err
	}
	now := s.c.Now()
	list := &authapi.LegalPendings{Items: []authapi.LegalPending{}}
	for _, v := range kinds {
		candidates := v.announced(now)
		current, inForce := v.current(now)
		first, last, required := v.required(now)
		if inForce {
			candidates = append(versions{current}, candidates...)
		}
		for _, d := range candidates {
			isCurrent := inForce && d.Version == current.Version
			from, to := d.Version, d.Version
			if isCurrent && required {
				from, to = first, last
			}
			accepted, err := s.accepted(ctx, user, d.Kind, from, to)
			if err != nil {
				return nil, err
			}
			if !accepted {
				list.Items = append(list.Items, authapi.LegalPending{
					LegalDocument: view(d, choose(d.Texts, wanted), isCurrent), Required: isCurrent && required,
				})
			}
		}
	}
	return list, nil
}

// Consent is somebody's word that they accept a text.
type Consent struct {
	Kind    string
	Version int
	// SHA256 is the hash of the text that they saw.
	SHA256 string
}

// Accept keeps the evidence that p accepts the version in force, or one that is announced. What was accepted
// before stays as it was. Problems: 404; 409 not_current for a version that was replaced; 409 text_mismatch.
func (s *Service) Accept(ctx context.Context, p identity.Principal, in Consent) (*authapi.LegalAcceptance, error) {
	id := acceptanceID(p.Subject, in.Kind, in.Version)
	before, err := s.acceptances.Get(ctx, id)
	if err == nil {
		return evidence(before.Value), nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("look for the acceptance: %w", err)
	}
	t, err := s.acceptable(ctx, in)
	if err != nil {
		return nil, err
	}
	from := audit.OriginOf(ctx)
	a := acceptance{
		User: p.Subject, Organization: p.Organization, Session: p.Session, Kind: in.Kind, Version: in.Version,
		Locale: t.Locale, SHA256: t.SHA256, AcceptedAt: store.At(s.c.Now()),
		Address: from.Address, UserAgent: from.UserAgent,
	}
	messages, err := s.tell(ctx, a)
	if err != nil {
		return nil, err
	}
	_, err = s.acceptances.Insert(ctx, id, a, messages...)
	if errors.Is(err, store.ErrExists) {
		return s.Accept(ctx, p, in) // another request was the first
	}
	if err != nil {
		return nil, fmt.Errorf("keep an acceptance: %w", err)
	}
	return evidence(a), nil
}

// acceptable is the text that in is about.
func (s *Service) acceptable(ctx context.Context, in Consent) (text, error) {
	v, err := s.kind(ctx, in.Kind)
	if err != nil {
		return text{}, err
	}
	d, ok := v.at(in.Version)
	if !ok {
		return text{}, problem.NotFound("document")
	}
	if current, _ := v.current(s.c.Now()); d.Version < current.Version {
		return text{}, problem.Newf(http.StatusConflict, authapi.CodeNotCurrent, "this version was replaced; %s is in force", name(in.Kind, current.Version))
	}
	for _, t := range d.Texts {
		if strings.EqualFold(t.SHA256, in.SHA256) {
			return t, nil
		}
	}
	return text{}, problem.New(http.StatusConflict, authapi.CodeTextMismatch, "the hash is not that of a text of this version; read it again")
}

// tell is what others hear of an acceptance, and what goes into the organization's log.
func (s *Service) tell(ctx context.Context, a acceptance) ([]store.Message, error) {
	accepted, err := authapi.LegalAccepted.Message(ctx, s.c.Emit, a.Organization, authapi.LegalAcceptedData{
		UserID: a.User, OrganizationID: a.Organization, Kind: a.Kind, Version: a.Version, At: a.AcceptedAt.Time,
	})
	if err != nil {
		return nil, err
	}
	changed, err := s.accessChanged(ctx, a.User, "acceptance")
	if err != nil {
		return nil, err
	}
	entry, err := audit.Message(ctx, s.c.Emit, a.Organization, audit.Entry{
		Action: "auth.legal.accept", Resource: "document:" + name(a.Kind, a.Version), Address: a.Address, UserAgent: a.UserAgent,
		Details: map[string]string{"locale": a.Locale, "sha256": a.SHA256},
	})
	if err != nil {
		return nil, err
	}
	return []store.Message{accepted, changed, entry}, nil
}

// accessChanged tells every process that user, or everybody, may do something else now, in all organizations.
func (s *Service) accessChanged(ctx context.Context, user, reason string) (store.Message, error) {
	return authapi.AccessChanged.Message(ctx, s.c.Emit, "", authapi.AccessChangedData{Subject: user, Reason: reason})
}

// Acceptances is a page of what user accepted, the latest first.
func (s *Service) Acceptances(ctx context.Context, user, cursor string, limit int) (*authapi.LegalAcceptances, error) {
	page, err := s.acceptances.Find(ctx, store.Query{Index: byUser, Equal: []any{user}, Descending: true, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list acceptances: %w", err)
	}
	list := &authapi.LegalAcceptances{Items: make([]authapi.LegalAcceptance, len(page.Items)), NextCursor: page.Next}
	for i, doc := range page.Items {
		list.Items[i] = *evidence(doc.Value)
	}
	return list, nil
}

func evidence(a acceptance) *authapi.LegalAcceptance {
	return &authapi.LegalAcceptance{
		Kind: a.Kind, Version: a.Version, Locale: a.Locale, SHA256: a.SHA256, AcceptedAt: a.AcceptedAt.Time,
		Address: a.Address, UserAgent: a.UserAgent, OrganizationID: a.Organization, SessionID: a.Session,
	}
}
