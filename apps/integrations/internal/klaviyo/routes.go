package klaviyo

import (
	"context"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/vendor"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// Routes binds what only Klaviyo has.
func (c *Connector) Routes(r *group.Routes, connections *connection.Service) {
	n := reads{c, connections}
	options := []group.Option{
		group.Needs("integrations.klaviyo:read"), group.About(integrationsapi.KindConnection, "query.connection_id"), group.Problems(404, 409, 422, 502, 503),
	}
	group.Get(r, "/events", n.events, append(options,
		group.Doc("List what people did", "The latest first, of all people and metrics or of one. Klaviyo is asked; nothing is kept."))...)
	const asked = "By Klaviyo's own count, of what was sent in the period. Klaviyo is asked, which answers twice a minute and 225 times a day; nothing is kept. Days are of the account's time zone, at most a year."
	group.Get(r, "/reports/campaigns", n.report(CampaignReport), append(options, group.Doc("Read what came of campaigns", asked))...)
	group.Get(r, "/reports/flows", n.report(FlowReport), append(options, group.Doc("Read what came of flows", asked))...)
}

// reads asks for connections.
type reads struct {
	*Connector
	connections *connection.Service
}

// EventsInput selects events.
type EventsInput struct {
	vendor.ConnectionInput
	ContactID string `query:"contact_id" maxLength:"220" doc:"Of this contact only, by its id in the records" example:"0197a3f2-1111-7000-8000-000000000001:01GDDKASAP8TKDDA2GRZDSVP4H"`
	MetricID  string `query:"metric_id" maxLength:"100" pattern:"^[A-Za-z0-9_-]*$" doc:"Of this metric only, by Klaviyo's id" example:"RESQ6t"`
	From      string `query:"from" maxLength:"40" doc:"First instant (RFC 3339) or day (UTC)" example:"1997-01-01"`
	To        string `query:"to" maxLength:"40" doc:"Instant (RFC 3339) or day (UTC) before which the events are" example:"1998-07-01T00:00:00Z"`
	vendor.PageInput
}

// EventsView is a page of events.
type EventsView struct {
	Items      []Event `json:"items" nullable:"false" doc:"The events, the latest first"`
	NextCursor string  `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"bmV4dDo6aWQ6Ok5S"`
}

func (n reads) events(ctx context.Context, in *EventsInput) (*EventsView, error) {
	span, err := records.ParseRange(in.From, in.To)
	if err != nil {
		return nil, err
	}
	q, of := EventsQuery{MetricID: in.MetricID, From: span.From, To: span.To}, in.ConnectionID
	if in.ContactID != "" {
		if q.ContactID, of, err = vendor.Within("contact", in.ContactID, of); err != nil {
			return nil, err
		}
	}
	view := EventsView{}
	_, err = n.connections.Ask(ctx, identity.Organization(ctx), Vendor, of, connection.ForRead, func(a connector.Account) error {
		all, next, err := n.Events(ctx, a, q, in.Cursor, in.Limit)
		view.Items, view.NextCursor = append([]Event{}, all...), next
		return err
	})
	return &view, err
}

// ReportInput selects a page of a report.
type ReportInput struct {
	vendor.PeriodInput
	MetricID string `query:"metric_id" maxLength:"100" pattern:"^[A-Za-z0-9_-]*$" doc:"The metric that conversions are counted by, by Klaviyo's id; that of orders without it" example:"RESQ6t"`
	Cursor   string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the otherwise same query"`
}

// ReportView is a page of a report.
type ReportView struct {
	vendor.Of
	MetricID   string `json:"metric_id" doc:"The metric that conversions were counted by" example:"RESQ6t"`
	Items      []Row  `json:"items" nullable:"false" doc:"One for each message"`
	NextCursor string `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"bmV4dDo6aWQ6Ok5S"`
}

func (n reads) report(of ReportKind) group.Handler[ReportInput, ReportView] {
	return func(ctx context.Context, in *ReportInput) (*ReportView, error) {
		view := ReportView{MetricID: in.MetricID}
		var err error
		view.Of, err = in.Ask(ctx, n.connections, Vendor, n.one, func(a connector.Account, account connector.SubAccount, from, to time.Time) (err error) {
			if view.MetricID == "" {
				if view.MetricID, err = n.conversionMetric(ctx, a); err != nil {
					return err
				}
			}
			rows, next, err := n.Report(ctx, a, of, account.Currency, view.MetricID, from, to, in.Cursor)
			view.Items, view.NextCursor = append([]Row{}, rows...), next
			return err
		})
		return &view, err
	}
}

// one is a vendor.Find of the only account that credentials open.
func (c *Connector) one(ctx context.Context, a connector.Account, id string) (connector.SubAccount, error) {
	all, err := c.accounts(ctx, a)
	if err != nil {
		return connector.SubAccount{}, err
	}
	_, err = vendor.Pick(a, []string{all[0].ID}, id)
	return all[0], err
}
