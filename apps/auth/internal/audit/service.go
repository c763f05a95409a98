// Package audit keeps what was done that matters to security: one log for each organization, chained by hashes so that it can be
// proved that nothing was changed or taken out. Beside it are what an organization demands of its members, how long its log is
// kept, and the requests of people for what is known of them.
package audit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// DataDeadline is how long a data request waits for its parts.
const DataDeadline = 24 * time.Hour

// Keeper is a module of this group that keeps personal data, with the name of its part in an export.
type Keeper struct {
	Name string
	privacy.Personal
}

// Config is what a Service needs. All but Keepers are required.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	Policies *policy.Service
	Runs     *runs.Runner
	// Groups are those that deliver their parts of a data request: all but this one.
	Groups []topology.Group
	// Keepers are this group's own, asked in order after all other groups; the audit log itself comes after them, so that
	// nobody stays in what they had to tell.
	Keepers []Keeper
	// MayErase is a problem where a user must not be erased from an organization, such as its last owner.
	MayErase func(ctx context.Context, organization, user string) error
	Emit     events.Emitter
	Now      func() time.Time
	NewID    func() string
	// Random is where the salts of records come from.
	Random io.Reader
	Log    *slog.Logger
}

// Service is the rules of the audit log, of security policies and of data requests. It is safe for concurrent use.
type Service struct {
	c Config
	d documents
	// most bounds one verification, in records.
	most int64
}

// Open opens what the module keeps in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	if c.DB == nil || c.Accounts == nil || c.Policies == nil || c.Runs == nil || c.MayErase == nil || c.Emit.NewID == nil ||
		c.Now == nil || c.NewID == nil || c.Random == nil || c.Log == nil {
		return nil, errors.New("open the audit log: something of its configuration is missing")
	}
	d, err := openDocuments(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	s := &Service{c: c, d: d, most: 50_000}
	s.c.Keepers = append(slices.Clone(c.Keepers), Keeper{Name: "audit", Personal: privacy.Personal{Export: s.export, Erase: s.erase}})
	return s, nil
}

// entry is the message of what was done in this module.
func (s *Service) entry(ctx context.Context, organization, verb, resource string, details map[string]string) (store.Message, error) {
	return audit.Message(ctx, s.c.Emit, organization, audit.Entry{Action: "auth.audit." + verb, Resource: resource, Details: details})
}
