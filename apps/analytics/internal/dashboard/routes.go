// Package dashboard is the module analytics/dashboard: the one view over an organization's orders.
//
// It keeps roll-ups of the orders by UTC day and second, made from the records of integrations whenever those change, and
// answers from columns of them in memory. Any time zone's days, weeks and months are cut out of these by the second, and
// distinct customers are counted over whatever range is asked for.
package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/analytics/analyticsapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/store"
)

// Module is the dashboard.
type Module struct {
	documents *documents
	orders    Orders
	now       func() time.Time
	cache     *cache
	pending   pending
	maxPass   int           // orders held before their days are stored
	passTime  time.Duration // for reading them
}

const (
	maxPass = 20_000
	// passTime leaves a delivery the time to store what it could read (events.HandleTimeout is 4.5 s). A day that takes longer
	// to read cannot be rolled up: about 60,000 orders at 50 ms for a page of 1,000.
	passTime = 3 * time.Second
	// maxRows bounds what is kept in memory between queries, at about 24 bytes a row.
	maxRows = 1_000_000
)

// New opens the dashboard's collections in db. now is the clock.
func New(ctx context.Context, db store.DB, orders Orders, now func() time.Time) (*Module, error) {
	d, err := openDocuments(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("open the dashboard's collections: %w", err)
	}
	return &Module{
		documents: d, orders: orders, now: now, maxPass: maxPass, passTime: passTime,
		cache: newCache(d, maxRows), pending: pending{queue: map[string]*queue{}},
	}, nil
}

// Name is "dashboard".
func (m *Module) Name() string { return "dashboard" }

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	group.Get(r, "", m.show, group.Needs(analyticsapi.PermissionDashboardRead), group.Doc("Show orders, customers and revenue of a period",
		"The range is divided into buckets of local days, weeks, months, quarters or years and compared with an earlier one. "+
			"Test orders and cancelled orders do not count. Every figure is computed from the orders of its period: customers of a month are not the sum of its days'.",
		"Ranges that are not over change with time: such an answer is as of the beginning of the current minute."),
		group.Problems(http.StatusUnprocessableEntity))
}

// ShowInput is what to show.
type ShowInput struct {
	From        string `query:"from" format:"date" doc:"First local day, inclusive; 29 days before to when missing" example:"1997-01-01"`
	To          string `query:"to" format:"date" doc:"Last local day, inclusive; yesterday when missing, or today when from is given" example:"1998-06-30"`
	Granularity string `query:"granularity" enum:"day,week,month,quarter,year" doc:"Length of a bucket; by the length of the range when missing" example:"month"`
	TimeZone    string `query:"tz" default:"UTC" maxLength:"64" doc:"IANA time zone that days begin and end in" example:"America/New_York"`
	WeekStart   string `query:"week_start" default:"monday" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday" doc:"First day of the week" example:"monday"`
	Currency    string `query:"currency" pattern:"^[A-Z]{3}$" patternDescription:"three capital letters" doc:"ISO 4217 code: only orders in this currency count. When missing, all do" example:"USD"`
	Compare     string `query:"compare" default:"previous_period" enum:"previous_period,last_month,last_quarter,last_year,52_weeks" doc:"What to compare with: as many days right before, the same days a month, quarter or year earlier, or 364 days earlier" example:"previous_period"`
	IfNoneMatch string `header:"If-None-Match" doc:"ETags of answers that the caller has; 304 when one of them still holds" example:"\"7-1f0c2b9a5d3e4f60\""`
}

// ShowOutput is the dashboard, or its absence when the caller has it already.
type ShowOutput struct {
	Status       int
	ETag         string `header:"ETag" doc:"Changes with the data, the question, and the minute while the range is not over"`
	CacheControl string `header:"Cache-Control" doc:"The answer is one organization's, and to be asked for again"`
	Body         *analyticsapi.Dashboard
}

func (m *Module) show(ctx context.Context, in *ShowInput) (*ShowOutput, error) {
	organization := identity.Organization(ctx)
	q, err := m.question(in)
	if err != nil {
		return nil, err
	}
	st, err := m.cache.state(ctx, organization)
	if err != nil {
		return nil, fmt.Errorf("read the state of the roll-ups: %w", err)
	}
	out := &ShowOutput{Status: http.StatusOK, ETag: etag(st, q), CacheControl: "private, no-cache"}
	if matches(in.IfNoneMatch, out.ETag) {
		out.Status = http.StatusNotModified
		return out, nil
	}
	c, err := m.cache.columns(ctx, organization, st)
	if err != nil {
		return nil, fmt.Errorf("read the roll-ups: %w", err)
	}
	if !c.serves(st) { // they are newer
		out.ETag = etag(c.state, q)
	}
	if out.Body, err = c.dashboard(q); err != nil {
		return nil, err
	}
	return out, nil
}

// etag names all that an answer is made of.
func etag(st store.Doc[state], q question) string {
	at := ""
	if span := q.calendar.Span(q.days); q.at.Before(span.End) {
		at = q.at.Format(time.RFC3339)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{st.CreatedAt.Format(time.RFC3339Nano), q.days.From.String(), q.days.To.String(),
		string(q.granularity), q.calendar.Zone(), q.weekStart, q.currency, string(q.comparison), at}, " ")))
	return `"` + strconv.FormatInt(st.Value.DataVersion, 10) + "-" + hex.EncodeToString(sum[:8]) + `"`
}

// matches compares weakly, as If-None-Match does (RFC 9110, section 13.1.2): proxies that compress weaken an ETag.
func matches(ifNoneMatch, etag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
			return true
		}
	}
	return false
}
