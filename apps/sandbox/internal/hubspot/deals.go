package hubspot

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// dealStage is a stage of the pipeline that every account has.
type dealStage struct{ id, label, closed, probability, status string }

var dealStages = []dealStage{
	{"appointmentscheduled", "Appointment scheduled", "false", "0.2", "open"}, {"contractsent", "Contract sent", "false", "0.9", "open"},
	{"closedwon", "Closed won", "true", "1.0", "won"}, {"closedlost", "Closed lost", "true", "0.0", "lost"},
}

// pipelines is GET /crm/pipelines/…/deals. The stages come in no order but what displayOrder says.
func (s *server) pipelines(_ *vendor.Account, _ *http.Request) vendor.Answer {
	made := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Format(iso)
	stages := []any{}
	for i, st := range slices.Backward(dealStages) {
		stages = append(stages, map[string]any{
			"id": st.id, "label": st.label, "displayOrder": i, "archived": false, "createdAt": made, "updatedAt": made, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
			"metadata": map[string]string{"isClosed": st.closed, "probability": st.probability},
		})
	}
	return vendor.OK(map[string]any{"results": []any{map[string]any{
		"id": "default", "label": "Sales Pipeline", "displayOrder": 0, "archived": false, "createdAt": made, "updatedAt": made, "stages": stages,
	}}})
}

// with is the deal with properties that a request says. One that is closed without a date is closed now.
func (d deal) with(properties map[string]string, now time.Time) (deal, *vendor.Answer) {
	order := *d.Order
	d.Order = &order
	no := func(format string, args ...any) (deal, *vendor.Answer) {
		answer := invalid(format, args...)
		return d, &answer
	}
	closed := d.Status == "won" || d.Status == "lost"
	for name, text := range properties {
		switch name {
		case "dealname":
			d.Name = text
		case "pipeline":
			if text != "default" {
				return no("Property values were not valid: pipeline")
			}
		case "dealstage":
			at := slices.IndexFunc(dealStages, func(s dealStage) bool { return s.id == text })
			if at < 0 {
				return no("Property values were not valid: dealstage")
			}
			d.Stage, d.Status = text, dealStages[at].status
		case "amount":
			amount, err := shop.ParseAmount(text)
			if err != nil {
				return no("Property values were not valid: amount")
			}
			d.Total = amount
		case "closedate":
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return no("Property values were not valid: closedate")
			}
			d.Closes = at
		default:
			return no("Property %q does not exist or is read only", name)
		}
	}
	if properties["closedate"] == "" && !closed && d.Status != "open" {
		d.Closes = now
	}
	d.Updated = now
	return d, nil
}

// saidOfDeal is what a request to make or change a deal says.
type saidOfDeal struct {
	Properties   map[string]string `json:"properties"`
	Associations []struct {
		To struct {
			ID string `json:"id"`
		} `json:"to"`
		Types []struct {
			Category string `json:"associationCategory"`
			ID       int    `json:"associationTypeId"`
		} `json:"types"`
	} `json:"associations"`
}

// work keeps a deal as it is now.
func (s *server) work(a *vendor.Account, d deal) deal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worked[a.Name] == nil {
		s.worked[a.Name] = map[int64]deal{}
	}
	if d.ID == 0 {
		d.ID = 800_000_000_000 + int64(len(s.worked[a.Name]))
	}
	s.worked[a.Name][d.ID] = d
	return d
}

// createDeal is POST /crm/objects/…/0-3, of a deal with one contact.
func (s *server) createDeal(a *vendor.Account, r *http.Request) vendor.Answer {
	var body saidOfDeal
	if err := vendor.Decode(r, &body); err != nil || body.Properties["dealname"] == "" || body.Properties["dealstage"] == "" || len(body.Associations) != 1 || len(body.Associations[0].Types) != 1 {
		return invalid("Invalid input JSON")
	}
	with := body.Associations[0]
	if of := with.Types[0]; of.Category != "HUBSPOT_DEFINED" || of.ID != 3 {
		return invalid("Deals are associated with contacts by the type 3, HUBSPOT_DEFINED")
	}
	people := s.people(a)
	who := slices.IndexFunc(people, func(c contact) bool { return strconv.FormatInt(c.ID, 10) == with.To.ID })
	if who < 0 {
		return refuse(http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no contact "+with.To.ID)
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	d, refused := deal{Order: &shop.Order{Currency: s.currency(a), CustomerID: people[who].ID, CreatedAt: now}, Status: "open"}.with(body.Properties, now)
	if refused != nil {
		return *refused
	}
	d = s.work(a, d)
	return vendor.Answer{Status: http.StatusCreated, Body: d.object().answer("hs_lastmodifieddate", slices.Sorted(maps.Keys(body.Properties)))}
}

func (s *server) findDeal(a *vendor.Account, r *http.Request) (deal, *vendor.Answer) {
	return find(r, s.deals(a), func(d deal) int64 { return d.ID })
}

// deal is GET /crm/objects/…/0-3/{id}.
func (s *server) deal(a *vendor.Account, r *http.Request) vendor.Answer {
	d, missing := s.findDeal(a, r)
	if missing != nil {
		return *missing
	}
	return d.object().show(r, "hs_lastmodifieddate", dealProperties)
}

// editDeal is PATCH /crm/objects/…/0-3/{id}. The answer has what was changed and no more.
func (s *server) editDeal(a *vendor.Account, r *http.Request) vendor.Answer {
	d, missing := s.findDeal(a, r)
	if missing != nil {
		return *missing
	}
	var body saidOfDeal
	if err := vendor.Decode(r, &body); err != nil || body.Associations != nil || len(body.Properties) == 0 {
		return invalid("Invalid input JSON")
	}
	d, refused := d.with(body.Properties, s.Now().UTC().Truncate(time.Millisecond))
	if refused != nil {
		return *refused
	}
	return vendor.OK(s.work(a, d).object().answer("hs_lastmodifieddate", slices.Sorted(maps.Keys(body.Properties))))
}
