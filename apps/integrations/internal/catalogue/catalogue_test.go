package catalogue

import (
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// acme has two streams.
type acme struct{ connector.Connector }

func (acme) Vendor() string { return "acme" }
func (acme) Streams() []connector.Stream {
	return []connector.Stream{{Name: "orders"}, {Name: "customers"}}
}

func TestHowAConnectionDoes(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) store.Time { return store.At(now.Add(-d)) }
	read := func(orders, customers store.Time, why *connection.Problem) map[string]connection.Stream {
		return map[string]connection.Stream{"orders": {SyncedAt: orders}, "customers": {SyncedAt: customers, Problem: why}}
	}
	problem := &connection.Problem{Code: "credentials_refused", Message: "the vendor refuses the key"}
	m := NewModule(nil, &connection.Service{Options: connection.Options{Connectors: []connector.Connector{acme{}}, Every: 15 * time.Minute}}, func() time.Time { return now })
	due := store.At(now.Add(time.Minute))
	for _, c := range []struct {
		name   string
		c      connection.Connection
		health Health
		fresh  time.Duration // ago; 0 when it is not known
		next   bool
		todo   string
	}{
		{"never read", connection.Connection{Status: connection.Active}, Waiting, 0, true, ""},
		{"read in part", connection.Connection{Status: connection.Active, Streams: read(ago(time.Minute), store.Time{}, nil)}, Waiting, 0, true, ""},
		{"fresh", connection.Connection{Status: connection.Active, Streams: read(ago(time.Minute), ago(20*time.Minute), nil)}, Healthy, 20 * time.Minute, true, ""},
		{"old", connection.Connection{Status: connection.Active, Streams: read(ago(time.Minute), ago(time.Hour), nil)}, Late, time.Hour, true, ""},
		{"failing", connection.Connection{Status: connection.Active, Streams: read(ago(time.Minute), ago(time.Minute), problem)}, Failing, time.Minute, true, "customers could not be read: the vendor refuses the key"},
		{"refused", connection.Connection{Status: connection.NeedsAttention, Problem: problem}, Broken, 0, false, "Connect it by another key: POST /api/integrations/acme/connect"},
		{"revoked", connection.Connection{Status: connection.NeedsAttention, Problem: problem, Authorized: true}, Broken, 0, false, "Authorize the account again: GET /api/integrations/acme/oauth/authorize"},
		{"paused", connection.Connection{Status: connection.Active, PausedAt: &due, Streams: read(ago(time.Minute), ago(time.Minute), problem)}, Paused, time.Minute, false, "Resume it, when it is to be synced again: POST /api/integrations/sync/resume"},
		{"disconnected", connection.Connection{Status: connection.Disconnected}, Ended, 0, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.c.Vendor = "acme"
			if c.c.Status != connection.Disconnected {
				c.c.Credentials = &vault.Sealed{}
			}
			v := m.view(c.c, due)
			fresh := time.Duration(0)
			if v.FreshAt != nil {
				fresh = now.Sub(v.FreshAt.Time)
			}
			if v.Health != c.health || fresh != c.fresh || (v.NextSyncAt != nil) != c.next || v.WhatToDo != c.todo {
				t.Errorf("%s, fresh %s ago, next %v, %q; want %s, %s, %t, %q", v.Health, fresh, v.NextSyncAt, v.WhatToDo, c.health, c.fresh, c.next, c.todo)
			}
		})
	}
}
