// Package quota holds organizations to what their plan allows, in all groups alike.
//
// What is counted (members, connections) is taken by the id of the thing that it is taken for, and given back when the thing
// is gone; taken twice for one id it counts once, so that whoever got no answer asks again. What is metered (agent runs, API
// calls) begins anew each calendar month in UTC. The auth group knows plans and figures. A Client asks it before anything is
// taken, so that no limit is ever passed; API calls are too many for that, and a Meter counts them in each process and reports
// them every few seconds.
package quota

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/problem"
)

// Resource is what a plan limits.
type Resource string

// The resources there are.
const (
	// Members are the people of an organization. The auth group counts them itself.
	Members Resource = "members"
	// Connections are an organization's connections to vendors.
	Connections Resource = "connections"
	// AgentRuns are runs of agents, by the month.
	AgentRuns Resource = "agent_runs"
	// APICalls are requests of the organization's users and API keys, by the month.
	APICalls Resource = "api_calls"
)

// Resources are all there are, in the order in which they are shown.
func Resources() []Resource { return []Resource{Members, Connections, AgentRuns, APICalls} }

// Metered tells whether r begins anew each month.
func (r Resource) Metered() bool { return r == AgentRuns || r == APICalls }

// Unlimited is the limit of what a plan does not limit.
const Unlimited int64 = -1

// Month is a calendar month in UTC.
type Month struct {
	// Name is e.g. "2026-01"; names sort as months do.
	Name string
	// From is its first moment, To that of the next month.
	From, To time.Time
}

// monthLayout is Month.Name for package time.
const monthLayout = "2006-01"

// MonthOf is the month in which t lies.
func MonthOf(t time.Time) Month {
	year, month, _ := t.UTC().Date()
	from := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	return Month{from.Format(monthLayout), from, from.AddDate(0, 1, 0)}
}

// has tells whether t lies in m.
func (m Month) has(t time.Time) bool { return !t.Before(m.From) && t.Before(m.To) }

// Claim asks for so much of a resource, or names what was taken before.
type Claim struct {
	Organization string   `json:"organization_id" minLength:"1" maxLength:"64" doc:"Whose quota it is"`
	Resource     Resource `json:"resource" enum:"connections,agent_runs" doc:"What is taken"`
	// ID is the id of the thing that it is taken for: the connection's, the run's.
	ID string `json:"id" minLength:"1" maxLength:"128" doc:"Id of the thing that it is taken for; once more with the same id counts once"`
	// Amount is how much; it is not looked at when something is given back.
	Amount int64 `json:"amount,omitempty" minimum:"1" maximum:"1000000" default:"1" doc:"How much"`
}

// Report is how many API calls one process has counted in one month so far. Reports of a process follow each other, and the
// last one counts: one that comes twice changes nothing.
type Report struct {
	Reporter string  `json:"reporter" minLength:"1" maxLength:"64" doc:"Names the process, from its start to its end"`
	Month    string  `json:"month" pattern:"^[0-9]{4}-(0[1-9]|1[0-2])$" doc:"Calendar month in UTC" example:"2026-01"`
	Calls    []Calls `json:"calls" minItems:"1" maxItems:"1000" nullable:"false"`
}

// Calls are one organization's.
type Calls struct {
	Organization string `json:"organization_id" minLength:"1" maxLength:"64"`
	Calls        int64  `json:"calls" minimum:"0" doc:"API calls of the month so far, in the process that reports"`
}

// Standing answers a report.
type Standing struct {
	// Over are the organizations of the report that have used up the month; none for a month that is over.
	Over []Overrun `json:"over" nullable:"false"`
}

// Overrun is an organization that has used up its month.
type Overrun struct {
	Organization string `json:"organization_id"`
	Used         int64  `json:"used"`
	Limit        int64  `json:"limit"`
}

// Authority keeps plans and figures: the auth group, as every process asks it.
type Authority interface {
	// TakeQuota counts a claim: 402 quota_exceeded.
	TakeQuota(ctx context.Context, c Claim) error
	// ReleaseQuota gives back what was taken for c.ID.
	ReleaseQuota(ctx context.Context, c Claim) error
	// ReportCalls counts API calls.
	ReportCalls(ctx context.Context, r Report) (Standing, error)
}

// Exceeded refuses what is over a limit of the plan, naming figure and limit: 402 quota_exceeded.
func Exceeded(r Resource, used, limit int64) *problem.Problem {
	allowed := strconv.FormatInt(limit, 10) + " " + strings.ReplaceAll(string(r), "_", " ")
	if r.Metered() {
		allowed += " a month"
	}
	return exceeded(problem.Newf(http.StatusPaymentRequired, problem.CodeQuota, "the plan allows %s, and %d are used", allowed, used), r, used, limit)
}

// exceededUntil is Exceeded for API calls: 429 quota_exceeded, with a Retry-After at the end of the month.
func exceededUntil(o Overrun, wait time.Duration) *problem.Problem {
	p := problem.Newf(http.StatusTooManyRequests, problem.CodeQuota, "the plan allows %d API calls a month, and %d are used", o.Limit, o.Used)
	return exceeded(p.After(wait), APICalls, o.Used, o.Limit)
}

func exceeded(p *problem.Problem, r Resource, used, limit int64) *problem.Problem {
	return p.With(problem.Field{Location: "quota." + string(r), Message: strconv.FormatInt(used, 10) + " of " + strconv.FormatInt(limit, 10)})
}
