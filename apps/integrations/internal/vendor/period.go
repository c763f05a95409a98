package vendor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// maxDays is how many days a read of figures covers.
const maxDays = 366

// Days are the days that a read of figures is about.
type Days struct {
	From string `query:"from" format:"date" doc:"First day, inclusive; 29 days before to when missing" example:"1997-02-01"`
	To   string `query:"to" format:"date" doc:"Last day, inclusive; today when missing" example:"1997-02-28"`
}

// PeriodInput is whose figures are read and of which days.
type PeriodInput struct {
	ConnectionInput
	Account string `query:"account" maxLength:"253" doc:"Account of the connection, by its id; may be left out when there is only one, or only one is chosen" example:"act_1001"`
	Days
}

// PageInput is a part of a list.
type PageInput struct {
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the otherwise same query"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"Most entries of the page"`
}

// Of is whose figures an answer has and of which days.
type Of struct {
	ConnectionID string `json:"connection_id" doc:"Connection that was asked" example:"0197a3f2-1111-7000-8000-000000000001"`
	AccountID    string `json:"account_id" doc:"The vendor's id of the account" example:"act_1001"`
	Currency     string `json:"currency" doc:"ISO 4217 code of the amounts" example:"USD"`
	TimeZone     string `json:"time_zone" doc:"IANA name of the account's time zone" example:"America/New_York"`
	From         string `json:"from" format:"date" doc:"First day, inclusive" example:"1997-02-01"`
	To           string `json:"to" format:"date" doc:"Last day, inclusive" example:"1997-02-28"`
}

// Find is the account that a request means, which may be left out: an *Error, or a problem.
type Find func(ctx context.Context, a connector.Account, id string) (connector.SubAccount, error)

// Ask finds the account that a request means, and has it asked for the days that it means: a problem.
func (in PeriodInput) Ask(ctx context.Context, connections *connection.Service, vendor string, find Find, ask func(a connector.Account, of connector.SubAccount, from, to time.Time) error) (Of, error) {
	var out Of
	c, err := connections.Ask(ctx, identity.Organization(ctx), vendor, in.ConnectionID, connection.ForRead, func(a connector.Account) error {
		of, err := find(ctx, a, in.Account)
		if err != nil {
			return err
		}
		from, to, err := in.Span(connections.Now(), of.TimeZone)
		if err != nil {
			return err
		}
		out = Of{AccountID: of.ID, Currency: of.Currency, TimeZone: of.TimeZone, From: from.Format(time.DateOnly), To: to.Format(time.DateOnly)}
		return ask(a, of, from, to)
	})
	out.ConnectionID = c.ID
	return out, err
}

// Listed finds the account among all that an authorization opens.
func Listed(l connector.Lister) Find {
	return func(ctx context.Context, a connector.Account, id string) (connector.SubAccount, error) {
		all, err := l.Accounts(ctx, a)
		if err != nil {
			return connector.SubAccount{}, err
		}
		ids := make([]string, len(all))
		for i, one := range all {
			ids[i] = one.ID
		}
		if id, err = Pick(a, ids, id); err != nil {
			return connector.SubAccount{}, err
		}
		return all[slices.Index(ids, id)], nil
	}
}

// Pick is the id of an account or, where that is empty, the only one there is among those that are chosen: a problem.
func Pick(a connector.Account, ids []string, id string) (string, error) {
	if id == "" {
		some := ids
		if len(a.Chosen) > 0 {
			some = slices.DeleteFunc(slices.Clone(ids), func(one string) bool { return !slices.Contains(a.Chosen, one) })
		}
		if len(some) != 1 {
			return "", problem.Invalid("query.account", fmt.Sprintf("there are %d accounts; say which", len(some)))
		}
		return some[0], nil
	}
	if !slices.Contains(ids, id) {
		return "", problem.Invalid("query.account", "is none of the accounts that the connection opens")
	}
	return id, nil
}

// Span are the first and the last day that a request means, each the midnight of its date in UTC: a problem.
func (in Days) Span(now time.Time, zone string) (from, to time.Time, err error) {
	local, err := time.LoadLocation(zone)
	if err != nil {
		return from, to, connector.BadAnswer("the time zone: %w", err)
	}
	to, err = time.Parse(time.DateOnly, cmp.Or(in.To, now.In(local).Format(time.DateOnly)))
	if err != nil {
		return from, to, problem.Invalid("query.to", "want a date such as 1997-02-28")
	}
	from, err = time.Parse(time.DateOnly, cmp.Or(in.From, to.AddDate(0, 0, -29).Format(time.DateOnly)))
	switch {
	case err != nil:
		return from, to, problem.Invalid("query.from", "want a date such as 1997-02-01")
	case from.After(to):
		return from, to, problem.Invalid("query.from", "is after to")
	case to.Sub(from) >= maxDays*24*time.Hour:
		return from, to, problem.Invalid("query.from", fmt.Sprintf("is more than %d days before to", maxDays))
	}
	return from, to, nil
}
