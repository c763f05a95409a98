package hubspot

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// workflow is an automation of an account: one of those that every shop has.
type workflow struct {
	Flow, Workflow int64 // its ids in the newer and in the older API
	Name, Kind     string
	Enabled        bool
	Object         string
	Made           time.Time
}

func workflows() []workflow {
	made := time.Date(2024, 6, 7, 17, 27, 8, 0, time.UTC)
	return []workflow{
		{585051946, 41001, "Welcome", "WORKFLOW", true, "0-1", made},
		{585051947, 41002, "Win back", "WORKFLOW", false, "0-1", made.AddDate(0, 1, 0)},
		{585051948, 41003, "Tell sales of a large deal", "WORKFLOW", true, "0-3", made.AddDate(0, 2, 0)},
		{585051949, 41004, "After the newsletter form", "ACTION_SET", true, "0-1", made.AddDate(0, 3, 0)},
	}
}

// flows is GET /automation/v4/flows.
func (s *server) flows(a *vendor.Account, r *http.Request) vendor.Answer {
	limit, from := 100, 0
	for name, into := range map[string]*int{"limit": &limit, "after": &from} {
		if text := r.URL.Query().Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return invalid("%s is not a number", name)
			}
			*into = n
		}
	}
	if limit < 1 || limit > 100 {
		return invalid("limit must be between 1 and 100")
	}
	all := workflows()
	page, more := vendor.PageOf(a, all, from, limit)
	results := []any{}
	for _, w := range page {
		results = append(results, map[string]any{
			"id": strconv.FormatInt(w.Flow, 10), "name": w.Name, "flowType": w.Kind, "isEnabled": w.Enabled, "objectTypeId": w.Object, "revisionId": "7",
			"createdAt": w.Made.Format(iso), "updatedAt": w.Made.AddDate(0, 0, 1).Format(iso),
		})
	}
	body := map[string]any{"results": results}
	if more {
		body["paging"] = map[string]any{"next": map[string]string{"after": strconv.Itoa(from + limit)}}
	}
	return vendor.OK(body)
}

// mappings is POST /automation/v4/workflow-id-mappings/batch/read.
func (s *server) mappings(_ *vendor.Account, r *http.Request) vendor.Answer {
	var body struct {
		Inputs []struct {
			Type   string `json:"type"`
			FlowID string `json:"flowId"`
		} `json:"inputs"`
	}
	if err := vendor.Decode(r, &body); err != nil || len(body.Inputs) == 0 {
		return invalid("Invalid input JSON")
	}
	results, missing := []any{}, []any{}
	for _, in := range body.Inputs {
		if in.Type != "FLOW_ID" {
			return invalid("The simulated account maps FLOW_ID only")
		}
		at := slices.IndexFunc(workflows(), func(w workflow) bool { return strconv.FormatInt(w.Flow, 10) == in.FlowID })
		if at < 0 {
			missing = append(missing, map[string]any{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "No workflow of flow " + in.FlowID, "context": map[string]any{}, "links": map[string]any{}})
			continue
		}
		results = append(results, map[string]any{"flowId": workflows()[at].Flow, "workflowId": workflows()[at].Workflow})
	}
	now := s.Now().UTC().Format(iso)
	answer := map[string]any{"status": "COMPLETE", "startedAt": now, "completedAt": now, "results": results}
	if len(missing) == 0 {
		return vendor.OK(answer)
	}
	answer["numErrors"], answer["errors"] = len(missing), missing
	return vendor.Answer{Status: http.StatusMultiStatus, Body: answer}
}

// enroll is POST /automation/v2/workflows/{id}/enrollments/contacts/{email}, which takes workflows of contacts that are on.
func (s *server) enroll(a *vendor.Account, r *http.Request) vendor.Answer {
	at := slices.IndexFunc(workflows(), func(w workflow) bool { return strconv.FormatInt(w.Workflow, 10) == r.PathValue("id") })
	if at < 0 || workflows()[at].Object != "0-1" {
		return refuse(http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no contact workflow "+r.PathValue("id"))
	}
	if !workflows()[at].Enabled {
		return invalid("Workflow %s is not enabled", r.PathValue("id"))
	}
	if !slices.ContainsFunc(s.people(a), func(c contact) bool { return strings.EqualFold(c.Email, r.PathValue("email")) }) {
		return refuse(http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no contact of that address")
	}
	return vendor.Answer{Status: http.StatusNoContent}
}

// asked are the days, until before a time, of a season that a report is about.
func (s *server) asked(a *vendor.Account, r *http.Request) (from, until time.Time, refused *vendor.Answer) {
	at := slices.IndexFunc(s.seasons(a), func(c campaign) bool { return c.ID == r.PathValue("id") })
	if at < 0 {
		no := refuse(http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no campaign "+r.PathValue("id"))
		return from, until, &no
	}
	c := s.seasons(a)[at]
	from, until = c.From, c.From.AddDate(0, 3, 0)
	for name, into := range map[string]*time.Time{"startDate": &from, "endDate": &until} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			no := invalid("%s must be in the format YYYY-MM-DD", name)
			return from, until, &no
		}
		if name == "endDate" {
			if day = day.AddDate(0, 0, 1); day.Before(until) {
				*into = day
			}
		} else if day.After(from) {
			*into = day
		}
	}
	return from, until, nil
}

// metrics is GET /marketing/campaigns/…/{id}/reports/metrics: of the season, what happened on its days.
func (s *server) metrics(a *vendor.Account, r *http.Request) vendor.Answer {
	from, until, refused := s.asked(a, r)
	if refused != nil {
		return *refused
	}
	data, _ := s.Data(a.Name)
	within := func(t time.Time) bool { return !t.Before(from) && t.Before(until) }
	var orders, fresh int
	buyers := map[int64]bool{}
	for _, o := range data.Orders {
		if within(o.CreatedAt) {
			orders++
			buyers[o.CustomerID] = true
		}
	}
	for _, c := range data.Customers {
		if within(c.CreatedAt) {
			fresh++
		}
	}
	return vendor.OK(map[string]int{"sessions": 40 * orders, "newContactsFirstTouch": fresh, "newContactsLastTouch": fresh / 2, "influencedContacts": len(buyers)})
}

// models are HubSpot's of attribution.
var models = []string{"LINEAR", "FIRST_INTERACTION", "LAST_INTERACTION", "FULL_PATH", "U_SHAPED", "W_SHAPED", "TIME_DECAY", "J_SHAPED", "INVERSE_J_SHAPED"}

// revenue is GET /marketing/campaigns/…/{id}/reports/revenue: a quarter of the deals that were won on the season's days.
func (s *server) revenue(a *vendor.Account, r *http.Request) vendor.Answer {
	from, until, refused := s.asked(a, r)
	if refused != nil {
		return *refused
	}
	if model := r.URL.Query().Get("attributionModel"); model != "" && !slices.Contains(models, model) {
		return invalid("There is no attribution model %s", model)
	}
	var deals int
	var worth shop.Amount
	people := map[int64]bool{}
	for _, d := range s.deals(a) {
		if d.Status == "won" && !d.Closes.Before(from) && d.Closes.Before(until) {
			deals++
			worth += d.Total
			people[d.CustomerID] = true
		}
	}
	amount := float64(worth) / 10_000
	return vendor.OK(map[string]any{
		"contactsNumber": len(people), "dealsNumber": deals, "currencyCode": s.currency(a), "dealAmount": rounded(amount), "revenueAmount": rounded(amount / 4),
	})
}

// rounded is an amount as Java writes numbers, with an exponent from ten millions on.
func rounded(amount float64) number {
	if amount >= 1e7 {
		return number(strings.Replace(fmt.Sprintf("%E", amount), "E+0", "E", 1))
	}
	return number(strconv.FormatFloat(amount, 'f', 2, 64))
}

// number is one in JSON as it is written.
type number string

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) { return []byte(n), nil }
