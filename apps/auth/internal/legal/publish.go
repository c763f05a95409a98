package legal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/typed"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

var kindPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// Publish makes a version known to everybody. A version stays as it was published, whatever becomes of it;
// publishing the same again changes nothing. Problems: 409 version_published, 409 not_next_version, 422
// validation_failed.
func (s *Service) Publish(ctx context.Context, kind string, version int, p authapi.LegalPublication) (*authapi.LegalDocument, error) {
	wanted, err := s.compose(kind, version, p)
	if err != nil {
		return nil, err
	}
	for _, t := range p.Texts { // before the version that names them
		if err := s.keep(ctx, t.Text); err != nil {
			return nil, err
		}
	}
	changed, err := s.accessChanged(ctx, "", "legal document in force: "+name(kind, version))
	if err != nil {
		return nil, err
	}
	var kept document
	extend := func(v *series) (messages []store.Message, err error) {
		if version <= len(v.Versions) {
			kept = v.Versions[version-1]
			return nil, s.same(kept, wanted, p)
		}
		if next := len(v.Versions) + 1; version != next {
			return nil, problem.Newf(http.StatusConflict, authapi.CodeNotNextVersion, "the next version is %s", name(kind, next))
		}
		v.Versions = append(v.Versions, wanted)
		if v.takeEffect(wanted.PublishedAt) {
			messages = append(messages, changed)
		}
		kept = v.Versions[version-1]
		return messages, nil
	}
	for {
		_, err := s.series.Update(ctx, kind, extend)
		if errors.Is(err, store.ErrNotFound) {
			var first series
			messages, refused := extend(&first)
			if refused != nil {
				return nil, refused
			}
			_, err = s.series.Insert(ctx, kind, first, messages...)
		}
		switch {
		case err == nil:
			return s.published(kept), nil
		case errors.Is(err, store.ErrExists) && ctx.Err() == nil:
			continue // somebody else published the kind's first version
		}
		return nil, fmt.Errorf("publish a legal document: %w", err)
	}
}

// published is d as its publisher sees it.
func (s *Service) published(d document) *authapi.LegalDocument {
	v := view(d, 0, d.inForce(s.c.Now()))
	return &v
}

// same refuses to publish a version once more as something else.
func (s *Service) same(before, wanted document, p authapi.LegalPublication) error {
	sameTime := before.EffectiveAt.Equal(wanted.EffectiveAt.Time) || p.EffectiveAt.IsZero() && before.inForce(s.c.Now())
	if sameTime && before.WithdrawnAt == nil && before.Mandatory == wanted.Mandatory && slices.Equal(before.Texts, wanted.Texts) {
		return nil
	}
	return problem.New(http.StatusConflict, authapi.CodeVersionPublished, "this version was published before, as something else; publish the next one")
}

// compose checks a publication and brings it into the form that is stored.
func (s *Service) compose(kind string, version int, p authapi.LegalPublication) (document, error) {
	now := store.At(s.c.Now())
	d := document{Kind: kind, Version: version, Mandatory: p.Mandatory, PublishedAt: now, EffectiveAt: store.At(p.EffectiveAt)}
	if !kindPattern.MatchString(kind) {
		return d, problem.Invalid("path.kind", "want lower-case letters, digits and \"-\", at most 40")
	}
	if version < 1 {
		return d, problem.Invalid("path.version", "want 1 or more")
	}
	if p.EffectiveAt.IsZero() {
		d.EffectiveAt = now
	}
	for i, in := range p.Texts {
		at := fmt.Sprintf("body.texts[%d]", i)
		locale, err := canonical(in.Locale)
		if err != nil {
			return d, problem.Invalid(at+".locale", "want a language tag such as en or pt-BR")
		}
		if slices.ContainsFunc(d.Texts, func(t text) bool { return t.Locale == locale }) {
			return d, problem.Invalid(at+".locale", "this language is there twice")
		}
		title, err := typed.Name(at+".title", in.Title)
		if err != nil {
			return d, err
		}
		if strings.TrimSpace(in.Text) == "" {
			return d, problem.Invalid(at+".text", "want a text")
		}
		d.Texts = append(d.Texts, text{Locale: locale, Title: title, SHA256: hash(in.Text)})
	}
	if len(d.Texts) == 0 {
		return d, problem.Invalid("body.texts", "want a text at least")
	}
	return d, nil
}

// Withdraw takes back a version that has not taken effect; its number is not given again. Problems: 404, 409
// in_force.
func (s *Service) Withdraw(ctx context.Context, kind string, version int) (*authapi.LegalDocument, error) {
	var withdrawn document
	_, err := s.series.Update(ctx, kind, func(v *series) ([]store.Message, error) {
		now := store.At(s.c.Now())
		if version < 1 || version > len(v.Versions) {
			return nil, problem.NotFound("document")
		}
		d := &v.Versions[version-1]
		if d.inForce(now.Time) {
			return nil, problem.New(http.StatusConflict, authapi.CodeInForce, "this version has taken effect; publish the next one")
		}
		if d.WithdrawnAt == nil {
			d.WithdrawnAt = &now
			v.schedule()
		}
		withdrawn = *d
		return nil, nil
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return nil, problem.NotFound("document").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("withdraw a legal document: %w", err)
	}
	return s.published(withdrawn), nil
}

// TakeEffect notes that versions whose time has come are in force, and tells every process. It is how long
// from now the next one is due, negative when none is announced.
func (s *Service) TakeEffect(ctx context.Context) (time.Duration, error) {
	err := s.series.Each(ctx, due(s.c.Now()), func(doc store.Doc[series]) error {
		_, err := s.series.Update(ctx, doc.ID, func(v *series) ([]store.Message, error) {
			if !v.takeEffect(store.At(s.c.Now())) {
				return nil, nil // another process was faster, or it was withdrawn
			}
			changed, err := s.accessChanged(ctx, "", "legal document in force: "+doc.ID)
			return []store.Message{changed}, err
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("let legal documents take effect: %w", err)
	}
	next, err := s.series.First(ctx, announced())
	if errors.Is(err, store.ErrNotFound) {
		return -1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the next legal document: %w", err)
	}
	return max(0, next.Value.DueAt.Sub(s.c.Now())), nil
}
