// Package catalogue is the group's core module: what can be connected, what is, how it does, and what to do where it does not.
package catalogue

import (
	"context"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/vendor"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Module is the routes of the catalogue.
type Module struct {
	vendors     []vendor.Row
	connections *connection.Service
	now         func() time.Time
}

// NewModule serves the catalogue of vendors.
func NewModule(vendors []vendor.Row, connections *connection.Service, now func() time.Time) *Module {
	return &Module{vendors, connections, now}
}

// Name implements group.Module.
func (m *Module) Name() string { return string(topology.Integrations) }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	group.Get(r, "", m.show, group.Needs("integrations.integrations:read"), group.Doc("Show what can be connected and what is",
		"Every vendor, how it is connected, and the organization's connections to it: how they do, how fresh their data is, when it is read next, and what to do where somebody has to."))
}

// View is the catalogue.
type View struct {
	Items []VendorView `json:"items" nullable:"false" doc:"Vendors by name"`
}

// VendorView is a vendor that can be connected.
type VendorView struct {
	Vendor   string          `json:"vendor" doc:"The vendor's name in routes and records" example:"shopify"`
	Title    string          `json:"title" doc:"Its name for people" example:"Shopify"`
	Category vendor.Category `json:"category" enum:"commerce,advertising,messaging,crm,payments,attribution" doc:"What it is for" example:"commerce"`
	// Connect is empty where this platform has no app at the vendor and the vendor takes no keys.
	Connect     []string         `json:"connect" nullable:"false" doc:"How an account is connected: oauth by a person at the vendor's page, key by a key that was made there. None where this platform has no app at the vendor" example:"[\"oauth\",\"key\"]"`
	Streams     []string         `json:"streams" nullable:"false" doc:"Kinds of records that it has" example:"[\"orders\",\"customers\",\"products\"]"`
	Connections []ConnectionView `json:"connections" nullable:"false" doc:"The organization's connections to it"`
}

// Health is how a connection does, in a word.
type Health string

const (
	// Healthy connections have data of every stream, as fresh as the schedule makes it.
	Healthy Health = "healthy"
	// Waiting connections have streams that were never read.
	Waiting Health = "waiting"
	// Late connections have not been read for three intervals of the schedule.
	Late Health = "late"
	// Failing connections work, but the last sync of a stream failed.
	Failing Health = "failing"
	// Broken connections need somebody.
	Broken Health = "broken"
	// Paused connections are left alone until they are resumed.
	Paused Health = "paused"
	// Ended connections were disconnected.
	Ended Health = "disconnected"
)

// ConnectionView is a connection, and how it does.
type ConnectionView struct {
	connection.View
	Health Health `json:"health" enum:"healthy,waiting,late,failing,broken,paused,disconnected" doc:"How it does: healthy; waiting for its first sync; late, not read for three intervals; failing in a stream; broken until somebody acts; paused; disconnected" example:"healthy"`
	// FreshAt is the earliest of its streams'.
	FreshAt    *store.Time `json:"fresh_at,omitempty" format:"date-time" doc:"Up to when the data of every stream is known, UTC; missing before the first sync of each"`
	NextSyncAt *store.Time `json:"next_sync_at,omitempty" format:"date-time" doc:"When it is read next on the schedule, UTC; missing while it is not"`
	WhatToDo   string      `json:"what_to_do,omitempty" doc:"What somebody has to do; missing when nothing" example:"Authorize the account again: GET /api/integrations/shopify/oauth/authorize"`
}

func (m *Module) show(ctx context.Context, _ *struct{}) (*View, error) {
	organization := identity.Organization(ctx)
	next, err := m.connections.NextSyncs(ctx, organization)
	if err != nil {
		return nil, err
	}
	out := &View{Items: []VendorView{}}
	for _, row := range m.vendors {
		v := VendorView{Vendor: row.Connector.Vendor(), Title: row.Title, Category: row.Category, Connect: ways(row), Streams: []string{}, Connections: []ConnectionView{}}
		for _, s := range row.Connector.Streams() {
			v.Streams = append(v.Streams, s.Name)
		}
		for cursor := ""; ; {
			page, more, err := m.connections.List(ctx, organization, v.Vendor, cursor, 0)
			if err != nil {
				return nil, err
			}
			for _, c := range page {
				v.Connections = append(v.Connections, m.view(c, next[c.ID]))
			}
			if cursor = more; cursor == "" {
				break
			}
		}
		out.Items = append(out.Items, v)
	}
	return out, nil
}

// ways are how accounts of a vendor can be connected here.
func ways(row vendor.Row) []string {
	ways := []string{}
	if a, ok := row.Connector.(connector.Authorizer); ok && a.OAuth().ClientID != "" {
		ways = append(ways, "oauth")
	}
	if _, ok := row.Connector.(connector.Keyed); ok || row.TakesKeys {
		ways = append(ways, "key")
	}
	return ways
}

// late is how old data is that the schedule should have renewed.
const late = 3

func (m *Module) view(c connection.Connection, next store.Time) ConnectionView {
	v := ConnectionView{View: m.connections.View(c), Health: Healthy}
	failing := ""
	for _, s := range v.Streams {
		if s.Problem != nil && failing == "" {
			failing = s.Stream + " could not be read: " + s.Problem.Message
		}
		switch {
		case s.SyncedAt == nil:
			v.Health, v.FreshAt = Waiting, nil
		case v.Health == Healthy && (v.FreshAt == nil || s.SyncedAt.Before(v.FreshAt.Time)):
			v.FreshAt = s.SyncedAt
		}
	}
	if c.Syncable() == nil && !next.IsZero() {
		v.NextSyncAt = &next
	}
	routes := "/api/integrations/" + c.Vendor
	switch {
	case c.Status == connection.Disconnected:
		v.Health = Ended
		if c.Problem != nil {
			v.WhatToDo = "Remove the app at the vendor: " + c.Problem.Message
		}
	case c.Status == connection.NeedsAttention && v.Problem.Action == "authorize":
		v.Health, v.WhatToDo = Broken, "Authorize the account again: GET "+routes+"/oauth/authorize"
	case c.Status == connection.NeedsAttention:
		v.Health, v.WhatToDo = Broken, "Connect it by another key: POST "+routes+"/connect"
	case c.PausedAt != nil:
		v.Health, v.WhatToDo = Paused, "Resume it, when it is to be synced again: POST /api/integrations/sync/resume"
	case failing != "":
		v.Health, v.WhatToDo = Failing, failing
	case v.FreshAt != nil && m.now().Sub(v.FreshAt.Time) > late*m.connections.Every:
		v.Health = Late
	}
	return v
}
