package records

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// Module is the routes of the records.
type Module struct {
	records *Service
	persons func(*group.Routes)
}

// NewModule serves the records; persons binds what the module has about the people in them.
func NewModule(s *Service, persons func(*group.Routes)) *Module { return &Module{s, persons} }

// Name implements group.Module.
func (m *Module) Name() string { return "records" }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	m.persons(r)
	m.bindRetention(r, group.Needs("integrations.records:read"))
	for _, k := range m.records.kinds() {
		at, needs := "/"+strings.ReplaceAll(k.kind(), "_", "-"), group.Needs("integrations.records:read")
		k.bind(r, at, needs, nil)
		k.bindExport(r, at+"/export", needs)
		k.bindChanges(r, at+"/changes", needs)
	}
}

// readable is a kind of record that can be listed.
type readable interface {
	kind() string
	bind(r *group.Routes, path string, needs group.Option, connection Connection)
	bindExport(r *group.Routes, path string, needs group.Option)
	bindChanges(r *group.Routes, path string, needs group.Option)
	expire(ctx context.Context, p policy) error
	sweep(ctx context.Context, organization, connection string, from time.Time, cursor string, gone func(integrationsapi.Head) bool) (string, int, error)
}

// kinds are all there are, in the order in which people see them.
func (s *Service) kinds() []readable {
	return []readable{s.Orders, s.Customers, s.Products, s.Payments, s.Contacts, s.Deals, s.Campaigns, s.Performance, s.EmailPerformance}
}

func (s *Service) kindOf(name string) (readable, bool) {
	for _, k := range s.kinds() {
		if k.kind() == name {
			return k, true
		}
	}
	return nil, false
}

// Connection finds the connection that a request means, by the id that it gives, which may be empty: a problem.
type Connection func(ctx context.Context, id string) (string, error)

// BindOf binds the read of one kind for the connections of one vendor. It panics for a kind that there is not.
func (s *Service) BindOf(kind string, r *group.Routes, needs group.Option, connection Connection) {
	k, ok := s.kindOf(kind)
	if !ok {
		panic("records: there is no kind " + kind) //nolint:forbidigo // a stream without a kind is a mistake of this program
	}
	k.bind(r, "/"+strings.ReplaceAll(kind, "_", "-"), needs, connection)
}

func (k *Kind[T]) kind() string { return k.name }

// ListInput selects records.
type ListInput struct {
	From         string `query:"from" maxLength:"40" doc:"First instant (RFC 3339) or day (UTC); from the first record without it" example:"1997-01-01"`
	To           string `query:"to" maxLength:"40" doc:"Instant (RFC 3339) or day (UTC) before which the records are; to the last without it" example:"1998-07-01T00:00:00Z"`
	ConnectionID string `query:"connection_id" maxLength:"100" doc:"Records of this connection only"`
	Cursor       string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the otherwise same query"`
	Limit        int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Most records of the page"`
}

// bind binds the reads of a kind, of all connections or of the one that is found.
func (k *Kind[T]) bind(r *group.Routes, path string, needs group.Option, connection Connection) {
	more := "Oldest first. `from` is inclusive, `to` exclusive; a date stands for its midnight in UTC."
	of := []group.Option{needs, group.About(integrationsapi.KindConnection, "query.connection_id")}
	if connection != nil {
		more += " Without connection_id those of the only connection there is; with several, 422."
		of = append(of, group.Problems(http.StatusNotFound, http.StatusUnprocessableEntity))
	}
	group.Get(r, path, func(ctx context.Context, in *ListInput) (*integrationsapi.Page[T], error) {
		span, err := ParseRange(in.From, in.To)
		if err != nil {
			return nil, err
		}
		id := in.ConnectionID
		if connection != nil {
			if id, err = connection(ctx, id); err != nil {
				return nil, err
			}
		}
		page, err := k.Page(ctx, identity.Organization(ctx), id, span, in.Cursor, in.Limit)
		return &page, err
	}, append(of, group.Doc("List "+k.title+" by "+k.by, more))...)
}

func (k *Kind[T]) bindExport(r *group.Routes, path string, needs group.Option) {
	group.Stream(r, path, k.download, needs, group.About(integrationsapi.KindConnection, "query.connection_id"), group.Doc("Export "+k.title,
		"All of a range in one file, oldest first, as NDJSON or Apache Parquet. What is stored while it is written may or may not be in it. A file that ends early was cut: the connection is broken off then."))
}

// ParseRange reads the first instant of a range and that before which it ends, either empty for none: a problem.
func ParseRange(from, to string) (Range, error) {
	var r Range
	for _, end := range []struct {
		location, text string
		into           *time.Time
	}{{"query.from", from, &r.From}, {"query.to", to, &r.To}} {
		if end.text == "" {
			continue
		}
		t, err := parseInstant(end.text)
		if err != nil {
			return Range{}, problem.Invalid(end.location, "want an instant such as 1997-01-01T00:00:00Z or a date such as 1997-01-01")
		}
		*end.into = t
	}
	if from != "" && to != "" && r.To.Before(r.From) {
		return Range{}, problem.Invalid("query.to", "is before from")
	}
	return r, nil
}

func parseInstant(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if t = t.UTC(); err == nil && (t.Year() < 1 || t.Year() > 9999) { // an offset can carry it there
		err = errors.New("year outside 1 to 9999")
	}
	return t, err
}
