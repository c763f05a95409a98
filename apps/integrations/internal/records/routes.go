package records

import (
	"context"
	"errors"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// Module is the routes of the records.
type Module struct{ records *Service }

// NewModule serves the records.
func NewModule(s *Service) *Module { return &Module{s} }

// Name implements group.Module.
func (m *Module) Name() string { return "records" }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	list(r, "/orders", m.records.Orders, "List orders by time of placement")
	list(r, "/customers", m.records.Customers, "List customers by when their vendor came to know them")
	list(r, "/products", m.records.Products, "List products by when they were entered")
}

// ListInput selects records.
type ListInput struct {
	From         string `query:"from" maxLength:"40" doc:"First instant (RFC 3339) or day (UTC); from the first record without it" example:"1997-01-01"`
	To           string `query:"to" maxLength:"40" doc:"Instant (RFC 3339) or day (UTC) before which the records are; to the last without it" example:"1998-07-01T00:00:00Z"`
	ConnectionID string `query:"connection_id" maxLength:"100" doc:"Records of this connection only"`
	Cursor       string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the otherwise same query"`
	Limit        int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Most records of the page"`
}

// list binds the reads of one kind of record.
func list[T integrationsapi.Record](r *group.Routes, path string, kind *Kind[T], summary string) {
	group.Get(r, path, func(ctx context.Context, in *ListInput) (*integrationsapi.Page[T], error) {
		span, err := parseRange(in.From, in.To)
		if err != nil {
			return nil, err
		}
		page, err := kind.Page(ctx, identity.Organization(ctx), in.ConnectionID, span, in.Cursor, in.Limit)
		return &page, err
	}, group.Needs("integrations.records:read"), group.Doc(summary, "Oldest first. `from` is inclusive, `to` exclusive; a date stands for its midnight in UTC."))
}

func parseRange(from, to string) (Range, error) {
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
