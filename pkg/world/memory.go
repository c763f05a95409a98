package world

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/sms"
	"github.com/tandemhq/tandem/pkg/state"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Memory is a process that stands alone: every group in it, no sidecar. Documents are in the stores
// that the configuration names; all else ends with the process. It is for tests.
type Memory struct {
	Config    config.Config
	SecretMap secrets.Map
	// Handler is the process's own; it must be set before anything calls.
	Handler http.Handler

	states    *state.Memory
	bus       *events.Local
	executor  *runs.Local
	schedules *jobs.Local
	inbox     *Inbox
}

// NewMemory makes a world out of nothing.
func NewMemory(c config.Config, s secrets.Map, now func() time.Time, log *slog.Logger) *Memory {
	return &Memory{
		Config: c, SecretMap: s, states: state.NewMemory(now), bus: events.NewLocal(), executor: runs.NewLocal(log),
		schedules: jobs.NewLocal(now, time.After), inbox: &Inbox{},
	}
}

// Open has nothing to wait for.
func (m *Memory) Open(context.Context) error { return nil }

// Ready is never an error.
func (m *Memory) Ready(context.Context) error { return nil }

// Secrets are those it was made with.
func (m *Memory) Secrets() secrets.Source { return m.SecretMap }

// Mail goes to Inbox.
func (m *Memory) Mail() mail.Sender { return m.inbox }

// SMS goes to Inbox, as mail to the telephone number.
func (m *Memory) SMS() sms.Sender { return texts{m.inbox} }

// Inbox has the mails that were sent.
func (m *Memory) Inbox() *Inbox { return m.inbox }

// State is the group's part of the memory.
func (m *Memory) State(g topology.Group) state.Store { return m.states.Bind(g) }

// Bus delivers to the groups of this process.
func (m *Memory) Bus() events.Bus { return m.bus }

// Attach delivers to a group's consumer.
func (m *Memory) Attach(c *events.Consumer) { m.bus.Attach(c) }

// AttachSchedules tells the scheduler what fires.
func (m *Memory) AttachSchedules(s *jobs.Scheduler) { m.schedules.Attach(s.Fire) }

// Local is the bus, to wait for.
func (m *Memory) Local() *events.Local { return m.bus }

// Schedules fire in this process.
func (m *Memory) Schedules() jobs.Registrar { return m.schedules }

// Executor drives runs in this process.
func (m *Memory) Executor() runs.Executor { return m.executor }

// Invoke dispatches in this process.
func (m *Memory) Invoke() call.Route { return &call.Direct{Handler: m.Handler} }

// Store opens the group's database as the configuration says.
func (m *Memory) Store(ctx context.Context, g topology.Group) (store.DB, error) {
	return OpenStore(ctx, m.Config, g)
}

// Inbox keeps mails. It is safe for concurrent use.
type Inbox struct {
	mu    sync.Mutex
	mails []mail.Message
}

// Send keeps the mail.
func (i *Inbox) Send(_ context.Context, m mail.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mails = append(i.mails, m)
	return nil
}

// texts are text messages, kept among the mails.
type texts struct{ inbox *Inbox }

func (t texts) Send(ctx context.Context, m sms.Message) error {
	return t.inbox.Send(ctx, mail.Message{To: m.To, Subject: "Text message", HTML: m.Text})
}

// To are the mails sent to an address so far.
func (i *Inbox) To(address string) []mail.Message {
	i.mu.Lock()
	defer i.mu.Unlock()
	var list []mail.Message
	for _, m := range i.mails {
		if m.To == address {
			list = append(list, m)
		}
	}
	return list
}
