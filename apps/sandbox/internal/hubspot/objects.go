package hubspot

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const iso = "2006-01-02T15:04:05.000Z"

// object is an object of the CRM; a property that it does not have is empty.
type object struct {
	id               int64
	created, updated time.Time
	properties       map[string]string
}

// answer is the object with the properties that were asked for and those that always come.
func (o object) answer(modified string, asked []string) map[string]any {
	properties := map[string]any{}
	for _, name := range append(slices.Clone(asked), "createdate", "hs_object_id", modified) {
		properties[name] = nil
		if text := o.properties[name]; text != "" {
			properties[name] = text
		}
	}
	return map[string]any{
		"id": strconv.FormatInt(o.id, 10), "properties": properties, "createdAt": o.created.UTC().Format(iso), "updatedAt": o.updated.UTC().Format(iso), "archived": false,
	}
}

func newObject(id int64, modified string, created, updated time.Time, properties map[string]string) object {
	properties["hs_object_id"], properties["createdate"], properties[modified] = strconv.FormatInt(id, 10), created.UTC().Format(iso), updated.UTC().Format(iso)
	return object{id, created, updated, properties}
}

// search is a PublicObjectSearchRequest.
type search struct {
	FilterGroups []struct {
		Filters []struct {
			Property  string   `json:"propertyName"`
			Operator  string   `json:"operator"`
			Value     string   `json:"value"`
			HighValue string   `json:"highValue"`
			Values    []string `json:"values"`
		} `json:"filters"`
	} `json:"filterGroups"`
	Sorts []struct {
		Property  string `json:"propertyName"`
		Direction string `json:"direction"`
	} `json:"sorts"`
	Query      string   `json:"query"`
	Properties []string `json:"properties"`
	Limit      int      `json:"limit"`
	After      string   `json:"after"`
}

// most is how many hits a search gives on all of its pages together.
const most = 10_000

// answerSearch answers a search of objects, which have their last change in a property.
func answerSearch(a *vendor.Account, r *http.Request, modified string, known []string, objects []object) vendor.Answer {
	q := search{Limit: 10}
	if err := vendor.Decode(r, &q); err != nil {
		return invalid("Invalid input JSON")
	}
	from := 0
	if q.After != "" {
		n, err := strconv.Atoi(q.After)
		if err != nil || n < 0 {
			return invalid("after is not an index")
		}
		from = n
	}
	switch {
	case q.Limit < 1 || q.Limit > 200:
		return invalid("Limit must be between 1 and 200")
	case from+q.Limit > most:
		return invalid("Cannot return more than %d results", most)
	case len(q.FilterGroups) > 6 || q.Query != "":
		return invalid("The simulated account has 6 groups of filters and no full text")
	case len(q.Sorts) > 1:
		return invalid("Only one sort is allowed")
	}
	if no := unknown(q.Properties, known, modified); no != nil {
		return *no
	}
	number := func(o object, property string) (int64, bool) {
		switch property {
		case "hs_object_id":
			return o.id, true
		case modified:
			return o.updated.UnixMilli(), true
		case "createdate":
			return o.created.UnixMilli(), true
		}
		return 0, false
	}
	found := objects
	if len(q.FilterGroups) > 0 {
		found = nil
	}
	hit := make([]bool, len(objects))
	for _, g := range q.FilterGroups {
		for i, o := range objects {
			all := true
			for _, f := range g.Filters {
				has, ok := number(o, f.Property)
				want, err := strconv.ParseInt(f.Value, 10, 64)
				if !ok || err != nil {
					return invalid("Property values were not valid: %s", f.Property)
				}
				switch f.Operator {
				case "GTE":
					all = all && has >= want
				case "GT":
					all = all && has > want
				case "EQ":
					all = all && has == want
				default:
					return invalid("The simulated account does not compare by %s", f.Operator)
				}
			}
			hit[i] = hit[i] || all
		}
	}
	for i, o := range objects {
		if hit[i] {
			found = append(found, o)
		}
	}
	sort, sign := "createdate", 1
	if len(q.Sorts) == 1 {
		sort = q.Sorts[0].Property
		if q.Sorts[0].Direction == "DESCENDING" {
			sign = -1
		}
	}
	if _, ok := number(object{}, sort); !ok {
		return invalid("The simulated account does not sort by %s", sort)
	}
	slices.SortFunc(found, func(a, b object) int {
		x, _ := number(a, sort)
		y, _ := number(b, sort)
		return cmp.Or(sign*cmp.Compare(x, y), cmp.Compare(b.id, a.id)) // those of one time come in no order that helps anybody
	})
	page, more := vendor.PageOf(a, found, from, q.Limit)
	results := []any{}
	for _, o := range page {
		results = append(results, o.answer(modified, q.Properties))
	}
	body := map[string]any{"total": len(found), "results": results}
	if more {
		body["paging"] = map[string]any{"next": map[string]string{"after": strconv.Itoa(from + q.Limit)}}
	}
	return vendor.OK(body)
}

// contact is somebody whom an account knows.
type contact struct {
	ID                                int64
	Email, FirstName, LastName, Phone string
	Stage, OptOut                     string
	Created, Updated                  time.Time
}

// people are an account's contacts.
func (s *server) people(a *vendor.Account) []contact {
	data, _ := s.Data(a.Name)
	s.mu.Lock()
	list := slices.Clone(s.created[a.Name])
	s.mu.Unlock()
	for _, c := range data.Customers {
		one := contact{ID: c.ID, Email: c.Email, FirstName: c.FirstName, LastName: c.LastName, Stage: "customer", Created: c.CreatedAt, Updated: c.UpdatedAt}
		switch c.ID % 7 { // of many, nothing is said
		case 0:
			one.OptOut = "true"
		case 1:
			one.OptOut = "false"
		}
		if c.Orders > 3 {
			one.Stage = "evangelist"
		}
		list = append(list, one)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range list {
		if edited, is := s.edits[a.Name][c.ID]; is {
			list[i] = edited
		}
	}
	return list
}

func (c contact) object() object {
	return newObject(c.ID, "lastmodifieddate", c.Created, c.Updated, map[string]string{
		"email": c.Email, "firstname": c.FirstName, "lastname": c.LastName, "phone": c.Phone, "lifecyclestage": c.Stage, "hs_email_optout": c.OptOut,
	})
}

var contactProperties = []string{"email", "firstname", "lastname", "phone", "lifecyclestage", "hs_email_optout"}

func (s *server) searchContacts(a *vendor.Account, r *http.Request) vendor.Answer {
	var objects []object
	for _, c := range s.people(a) {
		objects = append(objects, c.object())
	}
	return answerSearch(a, r, "lastmodifieddate", contactProperties, objects)
}

// said is what a request to enter or change a contact says of it.
func said(r *http.Request, associations bool) (properties map[string]string, refused *vendor.Answer) {
	var body struct {
		Properties   map[string]string `json:"properties"`
		Associations []any             `json:"associations"`
	}
	err := vendor.Decode(r, &body)
	no := invalid("Invalid input JSON")
	if err != nil || body.Properties == nil || !associations && body.Associations != nil {
		return nil, &no
	}
	for name := range body.Properties {
		if !slices.Contains(contactProperties, name) {
			no = invalid("Property %q does not exist", name)
			return nil, &no
		}
	}
	if email, given := body.Properties["email"]; given && email != "" && !strings.Contains(email, "@") {
		no = invalid("Property values were not valid: email")
		return nil, &no
	}
	return body.Properties, nil
}

// taken refuses an address that another contact has; of a contact that comes twice, the first is meant.
func taken(all []contact, email string, but int64) *vendor.Answer {
	seen := map[int64]bool{}
	for _, c := range all {
		if seen[c.ID] {
			continue
		}
		if seen[c.ID] = true; email != "" && c.ID != but && strings.EqualFold(c.Email, email) {
			no := refuse(http.StatusConflict, "CONFLICT", fmt.Sprintf("Contact already exists. Existing ID: %d", c.ID))
			return &no
		}
	}
	return nil
}

// create makes a contact of an address that the account does not have.
func (s *server) create(a *vendor.Account, r *http.Request) vendor.Answer {
	properties, refused := said(r, true)
	if refused != nil {
		return *refused
	}
	known := s.people(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := taken(slices.Concat(known, s.created[a.Name]), properties["email"], 0); no != nil {
		return *no
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	c := contact{ID: 900_000_000_000 + int64(len(s.created[a.Name])), Stage: "lead", Created: now, Updated: now}.with(properties)
	s.created[a.Name] = append(s.created[a.Name], c)
	return vendor.Answer{Status: http.StatusCreated, Body: c.object().answer("lastmodifieddate", []string{"email", "firstname", "lastname"})}
}

// with is the contact with properties that a request says.
func (c contact) with(properties map[string]string) contact {
	for name, into := range map[string]*string{
		"email": &c.Email, "firstname": &c.FirstName, "lastname": &c.LastName, "phone": &c.Phone, "lifecyclestage": &c.Stage, "hs_email_optout": &c.OptOut,
	} {
		if text, given := properties[name]; given {
			*into = text
		}
	}
	return c
}

// find is the object of a path among all that there are.
func find[T any](r *http.Request, all []T, id func(T) int64) (one T, no *vendor.Answer) {
	for _, one := range all {
		if strconv.FormatInt(id(one), 10) == r.PathValue("id") {
			return one, nil
		}
	}
	missing := refuse(http.StatusNotFound, "OBJECT_NOT_FOUND", "Object not found. objectId are usually numeric.")
	return one, &missing
}

// unknown refuses properties that no object of a kind has.
func unknown(asked, known []string, modified string) *vendor.Answer {
	for _, name := range asked {
		if !slices.Contains(known, name) && name != "createdate" && name != modified {
			no := invalid("The simulated account has no property %s", name)
			return &no
		}
	}
	return nil
}

// show answers with the properties of an object that a request asks for.
func (o object) show(r *http.Request, modified string, known []string) vendor.Answer {
	asked := strings.Split(r.URL.Query().Get("properties"), ",")
	if no := unknown(asked, known, modified); no != nil {
		return *no
	}
	return vendor.OK(o.answer(modified, asked))
}

func (s *server) findContact(a *vendor.Account, r *http.Request) (contact, *vendor.Answer) {
	return find(r, s.people(a), func(c contact) int64 { return c.ID })
}

// contact is GET /crm/objects/…/contacts/{id}.
func (s *server) contact(a *vendor.Account, r *http.Request) vendor.Answer {
	c, missing := s.findContact(a, r)
	if missing != nil {
		return *missing
	}
	return c.object().show(r, "lastmodifieddate", contactProperties)
}

// edit changes a contact. The answer has what was changed and no more.
func (s *server) edit(a *vendor.Account, r *http.Request) vendor.Answer {
	c, missing := s.findContact(a, r)
	if missing != nil {
		return *missing
	}
	properties, refused := said(r, false)
	if refused != nil {
		return *refused
	}
	if no := taken(s.people(a), properties["email"], c.ID); no != nil {
		return *no
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.edits[a.Name] == nil {
		s.edits[a.Name] = map[int64]contact{}
	}
	c = c.with(properties)
	c.Updated = s.Now().UTC().Truncate(time.Millisecond)
	s.edits[a.Name][c.ID] = c
	return vendor.OK(c.object().answer("lastmodifieddate", slices.Sorted(maps.Keys(properties))))
}

const (
	// large is what an order has to be worth for somebody to have worked on it.
	large = shop.Amount(250 * 10_000)
	// negotiated is how long that takes from the order on.
	negotiated = 7 * 24 * time.Hour
)

// deal is a large order as sales see it.
type deal struct {
	*shop.Order
	Name, Stage, Status string
	Updated, Closes     time.Time
	// Currency is empty where it is the account's.
	Currency string
}

func (s *server) deals(a *vendor.Account) []deal {
	data, _ := s.Data(a.Name)
	var list []deal
	for _, o := range data.Orders {
		if o.Total < large || o.Test {
			continue
		}
		d := deal{Order: o, Name: "Order " + o.Name, Stage: "contractsent", Status: "open", Updated: o.UpdatedAt, Closes: o.CreatedAt.Add(negotiated)}
		if o.ID%3 != 0 {
			d.Currency = o.Currency
		}
		switch {
		case !o.CancelledAt.IsZero():
			d.Stage, d.Status = "closedlost", "lost"
		case !d.Closes.After(s.Now()):
			d.Stage, d.Status = "closedwon", "won"
			if d.Closes.After(d.Updated) {
				d.Updated = d.Closes
			}
		}
		list = append(list, d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[int64]bool{}
	for i, d := range list {
		known[d.ID] = true
		if now, is := s.worked[a.Name][d.ID]; is {
			list[i] = now
		}
	}
	for id, d := range s.worked[a.Name] {
		if !known[id] {
			list = append(list, d)
		}
	}
	return list
}

var dealProperties = []string{"dealname", "pipeline", "dealstage", "amount", "deal_currency_code", "closedate", "hs_is_closed", "hs_is_closed_won"}

func (d deal) object() object {
	properties := map[string]string{
		"dealname": d.Name, "pipeline": "default", "dealstage": d.Stage, "amount": d.Total.String(), "deal_currency_code": d.Currency,
		"hs_is_closed": strconv.FormatBool(d.Status != "open"), "hs_is_closed_won": strconv.FormatBool(d.Status == "won"),
	}
	if !d.Closes.IsZero() {
		properties["closedate"] = d.Closes.UTC().Format(iso)
	}
	return newObject(d.ID, "hs_lastmodifieddate", d.CreatedAt, d.Updated, properties)
}

func (s *server) searchDeals(a *vendor.Account, r *http.Request) vendor.Answer {
	var objects []object
	for _, d := range s.deals(a) {
		objects = append(objects, d.object())
	}
	return answerSearch(a, r, "hs_lastmodifieddate", dealProperties, objects)
}

// associations tells the contacts of deals, as a 207 where some have none.
func (s *server) associations(a *vendor.Account, r *http.Request) vendor.Answer {
	var body struct {
		Inputs []struct {
			ID    string `json:"id"`
			After string `json:"after"`
		} `json:"inputs"`
	}
	if err := vendor.Decode(r, &body); err != nil || len(body.Inputs) == 0 || len(body.Inputs) > 1000 {
		return invalid("Between 1 and 1000 inputs are required")
	}
	byID := map[string]deal{}
	for _, d := range s.deals(a) {
		byID[strconv.FormatInt(d.ID, 10)] = d
	}
	results, missing := []any{}, []any{}
	for _, in := range body.Inputs {
		d, known := byID[in.ID]
		if !known || d.CustomerID == 0 {
			missing = append(missing, map[string]any{
				"status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "context": map[string]any{"fromObjectId": []string{in.ID}},
				"message": "No contact is associated with deal " + in.ID + ".",
			})
			continue
		}
		results = append(results, map[string]any{"from": map[string]string{"id": in.ID}, "to": []any{map[string]any{
			"toObjectId": d.CustomerID, "associationTypes": []any{map[string]any{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": nil}},
		}}})
	}
	now := s.Now().UTC().Format(iso)
	answer := map[string]any{"status": "COMPLETE", "startedAt": now, "completedAt": now, "results": results}
	if len(missing) == 0 {
		return vendor.OK(answer)
	}
	answer["numErrors"], answer["errors"] = len(missing), missing
	return vendor.Answer{Status: http.StatusMultiStatus, Body: answer}
}

// campaign is a season of the shop's marketing.
type campaign struct {
	ID, Name, Status       string
	From, Created, Updated time.Time
	Currency               string
}

// seasons are an account's campaigns, one a quarter, the oldest first: from that in which the shop's history begins to the next one.
func (s *server) seasons(a *vendor.Account) []campaign {
	now, first := s.Now().UTC(), s.Parameters(a.Name).From
	var list []campaign
	for from := time.Date(first.Year(), (first.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC); from.Before(now.AddDate(0, 3, 0)); from = from.AddDate(0, 3, 0) {
		quarter := (int(from.Month())-1)/3 + 1
		c := campaign{
			ID: fmt.Sprintf("%08d-0000-4000-8000-%012d", from.Year(), quarter), Name: fmt.Sprintf("%s %d", []string{"Winter", "Spring", "Summer", "Autumn"}[quarter-1], from.Year()),
			Status: "planned", From: from, Created: from.AddDate(0, -4, 3), Updated: from.AddDate(0, -4, 3),
		}
		if quarter%2 == 0 {
			c.Currency = s.currency(a)
		}
		switch end := from.AddDate(0, 3, 0); {
		case !end.After(now):
			c.Status, c.Updated = "completed", end
		case !from.After(now):
			c.Status, c.Updated = "in_progress", from
		}
		list = append(list, c)
	}
	return list
}

func (s *server) campaigns(a *vendor.Account, r *http.Request) vendor.Answer {
	query := r.URL.Query()
	limit, from := 50, 0
	for name, into := range map[string]*int{"limit": &limit, "after": &from} {
		if text := query.Get(name); text != "" {
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
	if sort := query.Get("sort"); sort != "createdAt" {
		return invalid("The simulated account sorts by createdAt only")
	}
	all := s.seasons(a)
	page, more := vendor.PageOf(a, all, from, limit)
	results := []any{}
	for _, c := range page {
		has := map[string]string{
			"hs_name": c.Name, "hs_start_date": c.From.Format(time.DateOnly), "hs_end_date": c.From.AddDate(0, 3, -1).Format(time.DateOnly), "hs_campaign_status": c.Status,
			"hs_currency_code": c.Currency,
		}
		properties := map[string]string{}
		for _, name := range query["properties"] {
			text, known := has[name]
			if !known {
				return invalid("There is no property %s", name)
			}
			if text != "" {
				properties[name] = text
			}
		}
		results = append(results, map[string]any{
			"id": c.ID, "properties": properties, "createdAt": c.Created.Format(iso), "updatedAt": c.Updated.Format(iso), "businessUnits": []any{},
		})
	}
	body := map[string]any{"total": len(all), "results": results}
	if more {
		body["paging"] = map[string]any{"next": map[string]string{"after": strconv.Itoa(from + limit), "link": "https://" + host + "/marketing/campaigns/" + version}}
	}
	return vendor.OK(body)
}

// truth is what a sync of an account has to arrive at.
func (s *server) truth(a *vendor.Account) vendor.Truth {
	contacts, deals, campaigns := map[string]map[string]any{}, map[string]map[string]any{}, map[string]map[string]any{}
	for _, c := range s.people(a) {
		of := map[string]any{"vendor": "hubspot", "stage": c.Stage, "created_at": vendor.Stamp(c.Created), "updated_at": vendor.Stamp(c.Updated)}
		for name, text := range map[string]string{"email": strings.ToLower(c.Email), "first_name": c.FirstName, "last_name": c.LastName, "phone": c.Phone} {
			if text != "" {
				of[name] = text
			}
		}
		if c.OptOut != "" {
			of["subscribed"] = c.OptOut == "false"
		}
		contacts[strconv.FormatInt(c.ID, 10)] = of
	}
	for _, d := range s.deals(a) {
		of := map[string]any{
			"vendor": "hubspot", "name": d.Name, "pipeline": "default", "stage": d.Stage, "status": d.Status, "amount_minor": vendor.Minor(d.Total, d.Order.Currency),
			"currency": d.Order.Currency, "created_at": vendor.Stamp(d.CreatedAt), "updated_at": vendor.Stamp(d.Updated),
		}
		if !d.Closes.IsZero() {
			of["closed_at"] = vendor.Stamp(d.Closes)
		}
		deals[strconv.FormatInt(d.ID, 10)] = of
	}
	for _, c := range s.seasons(a) {
		of := map[string]any{
			"vendor": "hubspot", "account_id": strconv.FormatInt(portal(a.Name), 10), "name": c.Name, "channel": "other", "started_at": vendor.Stamp(c.From),
			"status": map[string]string{"planned": "scheduled", "in_progress": "active", "completed": "ended"}[c.Status],
		}
		if c.Currency != "" {
			of["currency"] = c.Currency
		}
		campaigns[c.ID] = of
	}
	return vendor.Truth{"contacts": contacts, "deals": deals, "campaigns": campaigns}
}
