package gohighlevel

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// desk has what was entered or changed here, by account.
type desk struct {
	mu     sync.Mutex
	people map[string]map[int64]person
	deals  map[string]map[string]opportunity
}

func newDesk() *desk {
	return &desk{people: map[string]map[int64]person{}, deals: map[string]map[string]opportunity{}}
}

// person is a contact: a customer of the shop, or somebody who was entered here.
type person struct {
	shop.Customer
	Phone, Type string
	DND         bool
}

// entered begins the numbers of who and what was entered here.
const entered = 7_000_000_000

// known are an account's contacts.
func (s server) known(a *vendor.Account) []person {
	data, _ := s.Data(a.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []person
	for _, c := range data.Customers {
		p, changed := s.desk.people[a.Name][c.ID]
		if !changed {
			p = person{*c, fmt.Sprintf("+1555%07d", c.ID%10_000_000), "lead", c.ID%10 == 0}
			if c.Orders > 1 {
				p.Type = "customer"
			}
		}
		all = append(all, p)
	}
	for id, p := range s.desk.people[a.Name] {
		if id >= entered {
			all = append(all, p)
		}
	}
	return all
}

func (p person) answer(a *vendor.Account) map[string]any {
	return map[string]any{
		"id": contactID(p.ID), "locationId": a.Name, "email": p.Email, "phone": p.Phone, "firstName": p.FirstName, "lastName": p.LastName, "type": p.Type, "dnd": p.DND,
		"dateAdded": stamp(p.CreatedAt), "dateUpdated": stamp(p.UpdatedAt), "tags": []string{},
	}
}

func bad(format string, args ...any) vendor.Answer {
	return vendor.Answer{Status: http.StatusBadRequest, Body: failure{http.StatusBadRequest, fmt.Sprintf(format, args...), "Bad Request"}}
}

// said is what a request says of a contact.
type said struct {
	LocationID string  `json:"locationId"`
	Email      *string `json:"email"`
	Phone      *string `json:"phone"`
	FirstName  *string `json:"firstName"`
	LastName   *string `json:"lastName"`
}

// write has a contact entered or changed, unless another has its address.
func (s server) write(a *vendor.Account, p person, body said) (person, *vendor.Answer) {
	if body.Email != nil && !strings.Contains(*body.Email, "@") {
		no := unprocessable("email must be an email")
		return p, &no
	}
	for into, text := range map[*string]*string{&p.Email: body.Email, &p.Phone: body.Phone, &p.FirstName: body.FirstName, &p.LastName: body.LastName} {
		if text != nil {
			*into = *text
		}
	}
	for _, other := range s.known(a) {
		if p.Email != "" && other.ID != p.ID && strings.EqualFold(other.Email, p.Email) {
			return p, &vendor.Answer{Status: http.StatusBadRequest, Body: map[string]any{
				"statusCode": http.StatusBadRequest, "message": "This location does not allow duplicated contacts.",
				"meta": map[string]string{"contactId": contactID(other.ID), "contactName": other.FirstName + " " + other.LastName, "matchingField": "email"},
			}}
		}
	}
	p.UpdatedAt = s.Now().UTC().Truncate(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.desk.people[a.Name]
	if all == nil {
		all = map[int64]person{}
		s.desk.people[a.Name] = all
	}
	if p.ID == 0 {
		p.ID, p.CreatedAt = entered+int64(len(all)), p.UpdatedAt
	}
	all[p.ID] = p
	return p, nil
}

// enter is POST /contacts/.
func (s server) enter(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	var body said
	if err := vendor.Decode(r, &body); err != nil {
		return unprocessable(err.Error())
	}
	if body.LocationID != a.Name {
		return elsewhere()
	}
	p, refused := s.write(a, person{Type: "lead"}, body)
	if refused != nil {
		return *refused
	}
	return vendor.Answer{Status: http.StatusCreated, Body: map[string]any{"contact": p.answer(a)}}
}

// find is the contact of a path.
func (s server) find(a *vendor.Account, r *http.Request) (person, *vendor.Answer) {
	for _, p := range s.known(a) {
		if contactID(p.ID) == r.PathValue("id") {
			return p, nil
		}
	}
	no := bad("Contact with id %s not found", r.PathValue("id"))
	return person{}, &no
}

// contact is GET /contacts/{id}.
func (s server) contact(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	p, missing := s.find(a, r)
	if missing != nil {
		return *missing
	}
	return vendor.OK(map[string]any{"contact": p.answer(a)})
}

// edit is PUT /contacts/{id}.
func (s server) edit(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	p, missing := s.find(a, r)
	if missing != nil {
		return *missing
	}
	var body said
	if err := vendor.Decode(r, &body); err != nil {
		return unprocessable(err.Error())
	}
	if body.LocationID != "" {
		return unprocessable("property locationId should not exist")
	}
	p, refused := s.write(a, p, body)
	if refused != nil {
		return *refused
	}
	return vendor.OK(map[string]any{"succeeded": true, "contact": p.answer(a)})
}

// pipeline is a series of stages.
type pipeline struct {
	id, name string
	stages   []string
}

var pipelines = []pipeline{
	{"pipeline1", "Sales", []string{"stage-open", "stage-won", "stage-lost", "stage-abandoned"}},
	{"pipeline2", "Partners", []string{"stage-first", "stage-last"}},
}

// pipelines is GET /opportunities/pipelines.
func (s server) pipelines(a *vendor.Account, _ *http.Request, q url.Values) vendor.Answer {
	if q.Get("locationId") != a.Name {
		return elsewhere()
	}
	list := []any{}
	for _, p := range pipelines {
		stages := []any{}
		for i, id := range p.stages {
			stages = append(stages, map[string]any{"id": id, "name": strings.TrimPrefix(id, "stage-"), "position": i, "showInFunnel": true, "showInPieChart": true})
		}
		list = append(list, map[string]any{"id": p.id, "name": p.name, "stages": stages, "showInFunnel": true, "showInPieChart": true, "locationId": a.Name})
	}
	return vendor.OK(map[string]any{"pipelines": list})
}

// opportunity is a sale that somebody works on: with a customer of three orders or more, worth what they spent, or what was entered.
type opportunity struct {
	ID, Name, Pipeline, Stage, Status, ContactID, Email string
	Value                                               shop.Amount
	Created, Updated, Changed                           time.Time
	// Expected is when an open one is to be closed, as a date; empty where nobody has said.
	Expected string
}

// deals are an account's opportunities, the oldest first.
func (s server) deals(a *vendor.Account) []opportunity {
	data, _ := s.Data(a.Name)
	s.mu.Lock()
	all := []opportunity{}
	own := map[string]bool{}
	for _, c := range data.Customers {
		if c.Orders < 3 {
			continue
		}
		status := []string{"open", "won", "lost", "abandoned"}[c.ID%4]
		o := opportunity{
			ID: fmt.Sprintf("opportunity%d", c.ID), Name: "More for " + c.FirstName + " " + c.LastName, Pipeline: "pipeline1", Stage: "stage-" + status, Status: status,
			ContactID: contactID(c.ID), Email: c.Email, Value: c.Spent, Created: c.CreatedAt, Updated: c.UpdatedAt, Changed: c.UpdatedAt,
			Expected: c.UpdatedAt.AddDate(0, 1, 0).Format(time.DateOnly),
		}
		if changed, is := s.desk.deals[a.Name][o.ID]; is {
			o = changed
		}
		own[o.ID] = true
		all = append(all, o)
	}
	for id, o := range s.desk.deals[a.Name] {
		if !own[id] {
			all = append(all, o)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b opportunity) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return all
}

func (o opportunity) answer(a *vendor.Account) map[string]any {
	body := map[string]any{
		"id": o.ID, "name": o.Name, "monetaryValue": json.Number(o.Value.String()), "pipelineId": o.Pipeline, "pipelineStageId": o.Stage, "status": o.Status,
		"contactId": o.ContactID, "locationId": a.Name, "createdAt": stamp(o.Created), "updatedAt": stamp(o.Updated), "lastStatusChangeAt": stamp(o.Changed),
		"contact": map[string]any{"id": o.ContactID, "email": o.Email},
	}
	if o.Expected != "" {
		body["forecastExpectedCloseDate"] = o.Expected
	}
	return body
}

// saidDeal is what a request says of an opportunity.
type saidDeal struct {
	LocationID string      `json:"locationId"`
	ContactID  string      `json:"contactId"`
	Name       string      `json:"name"`
	Pipeline   string      `json:"pipelineId"`
	Stage      string      `json:"pipelineStageId"`
	Status     string      `json:"status"`
	Value      json.Number `json:"monetaryValue"`
	Expected   string      `json:"forecastExpectedCloseDate"`
}

// writeDeal has an opportunity entered or changed.
func (s server) writeDeal(a *vendor.Account, o opportunity, body saidDeal) (opportunity, *vendor.Answer) {
	no := func(answer vendor.Answer) (opportunity, *vendor.Answer) { return o, &answer }
	now := s.Now().UTC().Truncate(time.Millisecond)
	at := slices.IndexFunc(pipelines, func(p pipeline) bool { return p.id == cmp.Or(body.Pipeline, o.Pipeline) })
	if at < 0 {
		return no(bad("The pipeline id is invalid."))
	}
	if body.Pipeline != "" && body.Pipeline != o.Pipeline {
		o.Pipeline, o.Stage = body.Pipeline, pipelines[at].stages[0]
	}
	if body.Stage != "" {
		if !slices.Contains(pipelines[at].stages, body.Stage) {
			return no(bad("The pipeline stage id is invalid."))
		}
		o.Stage = body.Stage
	}
	if body.Status != "" {
		if !slices.Contains([]string{"open", "won", "lost", "abandoned"}, body.Status) {
			return no(unprocessable("status must be a valid enum value"))
		}
		if o.Status != body.Status {
			o.Status, o.Changed = body.Status, now
		}
	}
	if body.Value != "" {
		value, err := shop.ParseAmount(body.Value.String())
		if err != nil {
			return no(unprocessable("monetaryValue must be a number conforming to the specified constraints"))
		}
		o.Value = value
	}
	if body.Expected != "" {
		if _, err := time.Parse(time.DateOnly, body.Expected); err != nil {
			return no(unprocessable("forecastExpectedCloseDate must be a date"))
		}
		o.Expected = body.Expected
	}
	o.Name, o.Updated = cmp.Or(body.Name, o.Name), now
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.desk.deals[a.Name]
	if all == nil {
		all = map[string]opportunity{}
		s.desk.deals[a.Name] = all
	}
	if o.ID == "" {
		o.ID, o.Created = fmt.Sprintf("opportunity%d", entered+len(all)), now
	}
	all[o.ID] = o
	return o, nil
}

// enterDeal is POST /opportunities/.
func (s server) enterDeal(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	var body saidDeal
	if err := vendor.Decode(r, &body); err != nil {
		return unprocessable(err.Error())
	}
	people := s.known(a)
	who := slices.IndexFunc(people, func(p person) bool { return contactID(p.ID) == body.ContactID })
	switch {
	case body.LocationID != a.Name:
		return elsewhere()
	case body.Name == "" || body.Pipeline == "" || body.Status == "" || body.ContactID == "":
		return unprocessable("name should not be empty", "pipelineId should not be empty", "status should not be empty", "contactId should not be empty")
	case who < 0:
		return bad("Contact with id %s not found", body.ContactID)
	}
	o, refused := s.writeDeal(a, opportunity{ContactID: body.ContactID, Email: people[who].Email}, body)
	if refused != nil {
		return *refused
	}
	return vendor.Answer{Status: http.StatusCreated, Body: map[string]any{"opportunity": o.answer(a)}}
}

// editDeal is PUT /opportunities/{id}.
func (s server) editDeal(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	all := s.deals(a)
	at := slices.IndexFunc(all, func(o opportunity) bool { return o.ID == r.PathValue("id") })
	if at < 0 {
		return bad("Opportunity with id %s not found", r.PathValue("id"))
	}
	var body saidDeal
	if err := vendor.Decode(r, &body); err != nil {
		return unprocessable(err.Error())
	}
	if body.LocationID != "" || body.ContactID != "" {
		return unprocessable("property locationId should not exist", "property contactId should not exist")
	}
	o, refused := s.writeDeal(a, all[at], body)
	if refused != nil {
		return *refused
	}
	return vendor.OK(map[string]any{"opportunity": o.answer(a)})
}

// workflow is an automation of an account: one of those that every shop has.
type workflow struct{ id, name, status string }

var workflows = []workflow{{"workflow1", "Welcome", "published"}, {"workflow2", "Ask for a review", "draft"}}

// workflows is GET /workflows/.
func (s server) workflows(a *vendor.Account, _ *http.Request, q url.Values) vendor.Answer {
	if q.Get("locationId") != a.Name {
		return elsewhere()
	}
	made := time.Date(2024, 2, 1, 8, 0, 0, 0, time.UTC)
	list := []any{}
	for i, w := range workflows {
		list = append(list, map[string]any{
			"id": w.id, "name": w.name, "status": w.status, "version": 3, "createdAt": stamp(made.AddDate(0, i, 0)), "updatedAt": stamp(made.AddDate(0, i, 5)), "locationId": a.Name,
		})
	}
	return vendor.OK(map[string]any{"workflows": list})
}

// enroll is POST /contacts/{id}/workflow/{workflow}.
func (s server) enroll(a *vendor.Account, r *http.Request, _ url.Values) vendor.Answer {
	if _, missing := s.find(a, r); missing != nil {
		return *missing
	}
	var body struct {
		Start string `json:"eventStartTime"`
	}
	if err := vendor.Decode(r, &body); err != nil {
		return unprocessable(err.Error())
	}
	at := slices.IndexFunc(workflows, func(w workflow) bool { return w.id == r.PathValue("workflow") })
	if at < 0 {
		return bad("Workflow with id %s not found", r.PathValue("workflow"))
	}
	return vendor.OK(map[string]any{"succeeded": workflows[at].status == "published"})
}
