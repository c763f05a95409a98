// Package access works out what a member of an organization may do at the moment, from all the modules
// that have a say in it, and keeps the list of whose access has changed lately.
package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// alive is how long after a change an access token from before it may be accepted still.
	alive = authapi.AccessTokenLife + 5*time.Second + authapi.ChangesOverlap
	// changesKept is how long a change is kept, which is well over alive.
	changesKept = time.Hour

	byChange = "changed-at"
)

// Member is whose access is worked out.
type Member struct {
	Organization string
	User         string
	Roles        []string
}

// Source has a say in what members may do.
type Source interface {
	// Contribute adds to what m may do.
	Contribute(ctx context.Context, m Member, to *identity.Access) error
}

// SourceFunc is a Source of one function.
type SourceFunc func(ctx context.Context, m Member, to *identity.Access) error

// Contribute calls f.
func (f SourceFunc) Contribute(ctx context.Context, m Member, to *identity.Access) error {
	return f(ctx, m, to)
}

// Keys knows API keys.
type Keys interface {
	// AccessOf is what the key may do, given what the member who made it may do now: store.ErrNotFound for a key
	// that is none of the organization's, or no longer good.
	AccessOf(ctx context.Context, organization, key string, of func(user string) (identity.Access, error)) (identity.Access, error)
}

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	// Sources are asked in order.
	Sources []Source
	Keys    Keys
	Now     func() time.Time
}

// Service is the rules of access. It is safe for concurrent use.
type Service struct {
	c       Config
	changes *store.Documents[change]
}

// change is the last change of somebody's access.
type change struct {
	Organization string     `json:"organization"`
	Subject      string     `json:"subject"`
	ChangedAt    store.Time `json:"changed_at"`
}

// Open opens the changes in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	changes, err := store.System[change](ctx, c.DB, store.Def{Name: "access_changes", Indexes: []store.Index{
		{Name: byChange, Fields: []string{"changed_at"}},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the changes of access: %w", err)
	}
	return &Service{c, changes}, nil
}

// Of is what a user may do in an organization now; for who is no member a 404 problem that wraps
// store.ErrNotFound.
func (s *Service) Of(ctx context.Context, organization, user string) (identity.Access, error) {
	person, membership, err := s.c.Accounts.Member(ctx, organization, user)
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) || err == nil && person.Value.DisabledAt != nil {
		return identity.Access{}, problem.NotFound("member").Wrap(errors.Join(err, store.ErrNotFound))
	}
	if err != nil {
		return identity.Access{}, fmt.Errorf("read a member: %w", err)
	}
	a := identity.Access{Permissions: []string{}}
	member := Member{organization, user, membership.Value.Roles}
	for _, source := range s.c.Sources {
		if err := source.Contribute(ctx, member, &a); err != nil {
			return identity.Access{}, fmt.Errorf("work out the access of a member: %w", err)
		}
	}
	return a, nil
}

// Current is what a subject, a user's id or "key:<id>", may do now. One that may do nothing any more is a
// 401 token_invalid.
func (s *Service) Current(ctx context.Context, organization, subject string) (*identity.CurrentAccess, error) {
	current := &identity.CurrentAccess{AsOf: s.c.Now().UTC()} // before reading: what is read may be newer
	var err error
	if key, isKey := strings.CutPrefix(subject, identity.KeySubject("")); isKey {
		current.Access, err = s.c.Keys.AccessOf(ctx, organization, key, func(user string) (identity.Access, error) {
			return s.Of(ctx, organization, user)
		})
	} else {
		current.Access, err = s.Of(ctx, organization, subject)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(http.StatusUnauthorized, problem.CodeTokenInvalid, "whoever this token was for has no access any more").Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	return current, nil
}

// Changed notes that somebody's access has changed. It takes the event that tells of it, so that it is
// noted whatever happens to the process that made the change.
func (s *Service) Changed(ctx context.Context, e events.Event[authapi.AccessChangedData]) error {
	at := store.At(s.c.Now())
	_, err := s.changes.PutMany(ctx, []store.Put[change]{{
		ID: "changed:" + e.Data.OrganizationID + ":" + e.Data.Subject, Value: change{e.Data.OrganizationID, e.Data.Subject, at},
	}})
	if err != nil {
		return fmt.Errorf("note a change of access: %w", err)
	}
	return nil
}

// Since are the changes at or after since that still matter, with the moment to ask for next.
func (s *Service) Since(ctx context.Context, since time.Time) ([]identity.AccessChange, time.Time, error) {
	now := s.c.Now()
	if oldest := now.Add(-alive); since.Before(oldest) {
		since = oldest
	}
	all := []identity.AccessChange{}
	q := store.Query{Index: byChange, Range: store.Range{Field: "changed_at", From: store.At(since)}}
	err := s.changes.Each(ctx, q, func(doc store.Doc[change]) error {
		all = append(all, identity.AccessChange{
			Organization: doc.Value.Organization, Subject: doc.Value.Subject, ChangedAt: doc.Value.ChangedAt.Time,
		})
		return nil
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("list changes of access: %w", err)
	}
	return all, now.Add(-authapi.ChangesOverlap), nil
}

// Forget deletes changes that matter to no token any more.
func (s *Service) Forget(ctx context.Context) error {
	due := store.Query{Index: byChange, Range: store.Range{Field: "changed_at", To: store.At(s.c.Now().Add(-changesKept))}}
	if err := s.changes.DeleteDue(ctx, due); err != nil {
		return fmt.Errorf("forget changes of access: %w", err)
	}
	return nil
}
