package analyticsapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tandemhq/tandem/pkg/call"
)

// Client calls analytics for another group. Errors are problems: those of the call, and the group's own.
type Client struct{ *call.Client }

// DashboardQuery says what a dashboard shows. Every field may be empty, which leaves it to the server.
type DashboardQuery struct {
	// From and To are the first and the last local day, both inclusive, as 2006-01-02.
	From, To string
	// Granularity is day, week, month, quarter or year.
	Granularity string
	// TimeZone is an IANA name; UTC when empty.
	TimeZone string
	// WeekStart is an English weekday in lower case; monday when empty.
	WeekStart string
	// Currency is an ISO 4217 code: only orders in it count.
	Currency string
	// Compare is one of the comparisons of package period.
	Compare string
}

// Dashboard is the organization's dashboard.
func (c Client) Dashboard(ctx context.Context, q DashboardQuery) (*Dashboard, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"from": q.From, "to": q.To, "granularity": q.Granularity, "tz": q.TimeZone,
		"week_start": q.WeekStart, "currency": q.Currency, "compare": q.Compare,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return call.Do[Dashboard](ctx, c.Client, call.Request{
		To: Name, Method: http.MethodGet, Path: "/api/analytics/dashboard", Query: query,
	})
}
