// Package group says what a route group is: a service with a name, modules with routes, events, jobs
// and durable runs. A group does not know which process hosts it, nor which other groups are beside it.
package group

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/sms"
	"github.com/tandemhq/tandem/pkg/state"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Spec is what others must know of a group before it is built: enough to render a topology, and to
// check that every call has a home.
type Spec struct {
	// Name is the group's identity everywhere: URL prefix, state keys, consumer, metric label.
	Name topology.Group
	// Summary says in one sentence what the group is for; it heads the group's API document.
	Summary string
	// Calls are the groups that this one calls. A call to any other is refused.
	Calls []topology.Group
	// Consumes are the names of the topics in On: each topic has a component of its own in the run files.
	Consumes []string
	// Migrated are the versions of the group's collections that have migrations (store.Def.Migrations), by name, so that
	// `platform doctor` can tell what this program knows.
	Migrated map[string]int
	// Hosts are those outside that the group can call by way of the sidecar, which has a resource for each (see package endpoint).
	Hosts []string
}

// Topics are all that the group consumes: its own, and what every group does about personal data. The auth
// group is the one that asks for that.
func (s Spec) Topics() []string {
	if s.Name == topology.Auth {
		return s.Consumes
	}
	return append(slices.Clone(s.Consumes), privacy.Topics()...)
}

// Group is a service, ready to be hosted.
type Group struct {
	Spec
	// Modules are the group's routes.
	Modules []Module
	// On are the events that the group consumes.
	On []events.Handler
	// Jobs are the group's schedules.
	Jobs []jobs.Job
	// Runs are the kinds of durable run that the group executes.
	Runs []runs.Kind
	// Personal is what the group keeps of persons. The zero value keeps nothing. What it keeps of an organization is erased by
	// DB.EraseOrganization, so a System collection with such documents has an Owner.
	Personal privacy.Personal
	// Background runs while the group is hosted, started in order and stopped in reverse.
	Background []Component
}

// Module is a set of routes below the group's prefix.
type Module interface {
	// Name is the module's part of the URL, metric label and permission, e.g. "dashboard".
	Name() string
	// Routes binds the module's routes, one line each.
	Routes(*Routes)
}

// Component is something that runs for as long as its process.
type Component interface {
	// Start returns when the component works; ctx bounds the start, not the component's life.
	Start(ctx context.Context) error
	// Stop ends the component and waits for it, at most until ctx is done.
	Stop(ctx context.Context) error
}

// Kernel is what the process hands to each group that it hosts. Everything in it is bound to the
// group: its own database, state keys, identity in calls.
type Kernel struct {
	DB      store.DB
	State   state.Store
	Call    *call.Client
	Secrets secrets.Source
	Runs    *runs.Runner
	Mail    mail.Sender
	SMS     sms.Sender
	// Quota takes what the organization's plan limits.
	Quota *quota.Client
	// Current is who acts with what they may do now, for what goes on without their token (see identity.Directory.Current).
	Current func(context.Context, identity.Principal) (identity.Principal, error)
	// Emit makes outbox messages of the group's events.
	Emit events.Emitter
	// Now is the clock, in UTC.
	Now func() time.Time
	// NewID makes an identifier that sorts by time (UUIDv7).
	NewID func() string
	// Metrics takes the group's own series.
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Builder makes a group out of its kernel. It opens collections and binds handlers; it starts nothing.
type Builder struct {
	Spec
	Build func(context.Context, Kernel) (Group, error)
}
