package klaviyo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// flow is an automation of an account: one of those that every shop has.
type flow struct {
	ID, Name, Status, Trigger string
	Archived                  bool
	Made                      time.Time
}

func flows() []flow {
	made := time.Date(2023, 3, 1, 9, 0, 0, 0, time.UTC)
	return []flow{
		{"FlwWlc", "Welcome", "live", "Added to List", false, made},
		{"FlwBck", "Back to the shop", "manual", "Metric", false, made.AddDate(0, 1, 0)},
		{"FlwDem", "After a demonstration", "live", "Metric", false, made.AddDate(0, 2, 0)},
		{"FlwNew", "Birthday", "draft", "Date Based", false, made.AddDate(0, 3, 0)},
		{"FlwOld", "Welcome, old", "live", "Added to List", true, made.AddDate(-1, 0, 0)},
	}
}

// flows is GET /api/flows.
func (s *server) flows(a *vendor.Account, r *http.Request) vendor.Answer {
	from, size, problem := paging(r, 50, 50)
	if problem != nil {
		return *problem
	}
	if sort := r.URL.Query().Get("sort"); sort != "created" {
		return invalid("sort", "The simulated account sorts by created only.")
	}
	all := flows()
	slices.SortFunc(all, func(a, b flow) int { return a.Made.Compare(b.Made) })
	entries := []any{}
	page, _ := vendor.PageOf(a, all, from, size)
	for _, f := range page {
		attributes := map[string]any{
			"name": f.Name, "status": f.Status, "archived": f.Archived, "trigger_type": f.Trigger, "created": f.Made.Format(iso), "updated": f.Made.AddDate(0, 0, 7).Format(iso),
		}
		if problem := sparse(attributes, r, "flow"); problem != nil {
			return *problem
		}
		entries = append(entries, map[string]any{"type": "flow", "id": f.ID, "attributes": attributes, "links": self("/api/flows/" + f.ID)})
	}
	return vendor.OK(map[string]any{"data": entries, "links": links(r, from, size, len(all))})
}

// event is something that somebody did.
type event struct {
	ID, Profile, Metric, Name, Unique string
	At                                time.Time
	Properties                        map[string]any
}

// happened are an account's events, the latest first: the shop's orders, and what was sent here.
func (s *server) happened(a *vendor.Account) []event {
	data, _ := s.Data(a.Name)
	s.mu.Lock()
	list := slices.Clone(s.told[a.Name])
	s.mu.Unlock()
	for _, o := range data.Orders {
		if o.CustomerID != 0 && !o.CreatedAt.After(s.Now()) {
			list = append(list, event{
				ID: fmt.Sprintf("3v%d", o.ID), Profile: profileID(o.CustomerID), Metric: "Ord8Sh", Name: "Placed Order", At: o.CreatedAt,
				Properties: map[string]any{"OrderId": o.Name, "$value": json.Number(o.Total.String())},
			})
		}
	}
	slices.SortFunc(list, func(a, b event) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return list
}

// events is GET /api/events.
func (s *server) events(a *vendor.Account, r *http.Request) vendor.Answer {
	from, size, problem := paging(r, 1000, 200)
	if problem != nil {
		return *problem
	}
	query := r.URL.Query()
	include := query.Get("include")
	switch {
	case query.Get("sort") != "-datetime":
		return invalid("sort", "The simulated account sorts by -datetime only.")
	case include != "" && include != "metric":
		return invalid("include", "Not a relationship of the resource that is simulated.")
	}
	conditions, problem := filter(query.Get("filter"), "equals(profile_id)", "equals(metric_id)", "greater-or-equal(datetime)", "greater-than(datetime)", "less-than(datetime)", "less-or-equal(datetime)")
	if problem != nil {
		return *problem
	}
	for _, c := range conditions {
		if _, err := time.Parse(time.RFC3339, c.value); err != nil && c.field == "datetime" {
			return invalid("filter", "Invalid filter provided.")
		}
	}
	all := slices.DeleteFunc(s.happened(a), func(e event) bool {
		return slices.ContainsFunc(conditions, func(c condition) bool {
			switch c.field {
			case "profile_id":
				return e.Profile != c.value
			case "metric_id":
				return e.Metric != c.value
			}
			return !c.holds(e.At)
		})
	})
	entries, included, named := []any{}, []any{}, map[string]bool{}
	page, _ := vendor.PageOf(a, all, from, size)
	for _, e := range page {
		entries = append(entries, map[string]any{
			"type": "event", "id": e.ID, "links": self("/api/events/" + e.ID),
			"attributes": map[string]any{"timestamp": e.At.Unix(), "datetime": e.At.UTC().Format(iso), "uuid": e.ID, "event_properties": e.Properties},
			"relationships": map[string]any{
				"profile": map[string]any{"data": map[string]string{"type": "profile", "id": e.Profile}},
				"metric":  map[string]any{"data": map[string]string{"type": "metric", "id": e.Metric}},
			},
		})
		if !named[e.Metric] {
			named[e.Metric] = true
			attributes := map[string]any{"name": e.Name, "created": "2022-11-08T00:00:00+00:00", "updated": "2022-11-08T00:00:00+00:00", "integration": map[string]string{"object": "integration", "name": "API"}}
			if problem := sparse(attributes, r, "metric"); problem != nil {
				return *problem
			}
			included = append(included, map[string]any{"type": "metric", "id": e.Metric, "attributes": attributes, "links": self("/api/metrics/" + e.Metric)})
		}
	}
	body := map[string]any{"data": entries, "links": links(r, from, size, len(all))}
	if include != "" {
		body["included"] = included
	}
	return vendor.OK(body)
}

// tell is POST /api/events. Of an address that it does not know, the account makes a profile; an event of the same metric, profile and
// unique_id counts once.
func (s *server) tell(a *vendor.Account, r *http.Request) vendor.Answer {
	var body struct {
		Data struct {
			Type       string `json:"type"`
			Attributes struct {
				Properties map[string]any `json:"properties"`
				Time       string         `json:"time"`
				Value      json.Number    `json:"value"`
				Currency   string         `json:"value_currency"`
				Unique     string         `json:"unique_id"`
				Metric     struct {
					Data struct {
						Type       string `json:"type"`
						Attributes struct {
							Name string `json:"name"`
						} `json:"attributes"`
					} `json:"data"`
				} `json:"metric"`
				Profile said `json:"profile"`
			} `json:"attributes"`
		} `json:"data"`
	}
	no := func(pointer, detail string) vendor.Answer {
		return refuse(http.StatusBadRequest, "invalid", detail, map[string]string{"pointer": "/data/attributes/" + pointer})
	}
	if err := vendor.Decode(r, &body); err != nil || body.Data.Type != "event" {
		return refuse(http.StatusBadRequest, "invalid", "Invalid input.", nil)
	}
	of := body.Data.Attributes
	who := of.Profile.Data
	at, err := time.Parse(time.RFC3339, cmp.Or(of.Time, s.Now().UTC().Format(time.RFC3339)))
	switch {
	case of.Properties == nil:
		return no("properties", "Properties are required.")
	case of.Metric.Data.Type != "metric" || of.Metric.Data.Attributes.Name == "":
		return no("metric", "A metric with a name is required.")
	case who.Type != "profile" || who.ID == "" && who.Attributes.Email == nil:
		return no("profile", "One profile identifier is required.")
	case who.Attributes.Email != nil && !strings.Contains(*who.Attributes.Email, "@"):
		return no("profile/data/attributes/email", "Invalid email address")
	case err != nil:
		return no("time", "Invalid datetime provided.")
	case of.Currency != "" && of.Value == "":
		return no("value_currency", "A value is required.")
	}
	people := s.people(a)
	known := slices.IndexFunc(people, func(p profile) bool {
		return p.ID == who.ID || who.ID == "" && strings.EqualFold(p.Email, *who.Attributes.Email)
	})
	var p profile
	switch {
	case known >= 0:
		p = people[known]
	case who.ID != "":
		return no("profile/data/id", "A profile with this id does not exist.")
	default:
		var taken *vendor.Answer
		if p, taken = s.make(a, of.Profile); taken != nil {
			return *taken
		}
	}
	if of.Value != "" {
		of.Properties["$value"] = of.Value
	}
	name := of.Metric.Data.Attributes.Name
	id := "Cst" + accountID(name)
	if i := slices.IndexFunc(all, func(m metric) bool { return m.Name == name && m.Integration == "API" }); i >= 0 {
		id = all[i].ID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	again := slices.ContainsFunc(s.told[a.Name], func(e event) bool {
		return of.Unique != "" && e.Unique == of.Unique && e.Metric == id && e.Profile == p.ID
	})
	if !again {
		s.told[a.Name] = append(s.told[a.Name], event{
			ID: fmt.Sprintf("4e%d", len(s.told[a.Name])+1), Profile: p.ID, Metric: id, Name: name, Unique: of.Unique, At: at.UTC(), Properties: of.Properties,
		})
	}
	return vendor.Answer{Status: http.StatusAccepted}
}
