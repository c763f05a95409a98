package klaviyo

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// condition is one of a filter: operator(field,value).
type condition struct{ operator, field, value string }

var conditionText = regexp.MustCompile(`^([a-z-]+)\(([a-zA-Z_.]+),(?:'([^']*)'|"([^"]*)"|([^'",()]*))\)(?:,|$)`)

// filter is the conditions of a filter, all of which have to hold, and nil where it is not well-formed or has others than those allowed.
func filter(text string, allowed ...string) ([]condition, *vendor.Answer) {
	var all []condition
	for text != "" {
		found := conditionText.FindStringSubmatch(text)
		if found == nil || !slices.Contains(allowed, found[1]+"("+found[2]+")") {
			p := invalid("filter", "Invalid filter provided.")
			return nil, &p
		}
		all = append(all, condition{found[1], found[2], found[3] + found[4] + found[5]})
		text = text[len(found[0]):]
	}
	return all, nil
}

// holds tells whether a time is as a condition wants it; the value was checked by times.
func (c condition) holds(at time.Time) bool {
	value, _ := time.Parse(time.RFC3339, c.value)
	switch c.operator {
	case "greater-than":
		return at.After(value)
	case "greater-or-equal":
		return !at.Before(value)
	case "less-than":
		return at.Before(value)
	default:
		return !at.After(value)
	}
}

// sparse leaves of a resource's attributes those that fields asks for, as there are of a known list.
func sparse(attributes map[string]any, r *http.Request, kind string) *vendor.Answer {
	text := r.URL.Query().Get("fields[" + kind + "]")
	if text == "" {
		return nil
	}
	fields := strings.Split(text, ",")
	for _, field := range fields {
		if _, known := attributes[field]; !known {
			p := invalid("fields["+kind+"]", fmt.Sprintf("'%s' is not a valid field for the resource.", field))
			return &p
		}
	}
	for name := range attributes {
		if !slices.Contains(fields, name) {
			delete(attributes, name)
		}
	}
	return nil
}

const iso = "2006-01-02T15:04:05+00:00"

// profile is somebody whom an account knows.
type profile struct {
	ID, Email, FirstName, LastName, Phone string
	Created, Updated                      time.Time
	// Suppressed tells that no mail may be sent.
	Suppressed bool
}

func profileID(customer int64) string { return fmt.Sprintf("01%024d", customer) }

// people are an account's profiles in the order of their last change.
func (s *server) people(a *vendor.Account) []profile {
	data, _ := s.Data(a.Name)
	s.mu.Lock()
	list := slices.Clone(s.created[a.Name])
	s.mu.Unlock()
	for _, c := range data.Customers {
		list = append(list, profile{
			ID: profileID(c.ID), Email: c.Email, FirstName: c.FirstName, LastName: c.LastName, Created: c.CreatedAt, Updated: c.UpdatedAt, Suppressed: c.ID%7 == 0,
		})
	}
	s.mu.Lock()
	for i, p := range list {
		if edited, is := s.edits[a.Name][p.ID]; is {
			list[i] = edited
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b profile) int { return cmp.Or(a.Updated.Compare(b.Updated), cmp.Compare(a.ID, b.ID)) })
	return list
}

// orNull is a text, or null where there is none.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (p profile) attributes() map[string]any {
	marketing := map[string]any{"can_receive_email_marketing": !p.Suppressed, "consent": "SUBSCRIBED", "consent_timestamp": p.Created.Format(iso), "suppression": []any{}}
	if p.Suppressed {
		marketing["consent"], marketing["suppression"] = "UNSUBSCRIBED", []any{map[string]string{"reason": "UNSUBSCRIBE", "timestamp": p.Updated.Format(iso)}}
	}
	return map[string]any{
		"email": orNull(p.Email), "phone_number": orNull(p.Phone), "external_id": nil, "first_name": orNull(p.FirstName), "last_name": orNull(p.LastName),
		"organization": nil, "locale": nil, "title": nil, "image": nil, "created": p.Created.UTC().Format(iso), "updated": p.Updated.UTC().Format(iso), "last_event_date": nil,
		"subscriptions": map[string]any{"email": map[string]any{"marketing": marketing}},
	}
}

func (s *server) profiles(a *vendor.Account, r *http.Request) vendor.Answer {
	from, size, problem := paging(r, 100, 20)
	if problem != nil {
		return *problem
	}
	query := r.URL.Query()
	if sort := query.Get("sort"); sort != "updated" {
		return invalid("sort", "The simulated account sorts by updated only.")
	}
	conditions, problem := filter(query.Get("filter"), "greater-than(updated)", "less-than(updated)", "greater-than(created)", "less-than(created)")
	if problem != nil {
		return *problem
	}
	additional := query.Get("additional-fields[profile]")
	if additional != "" && additional != "subscriptions" {
		return invalid("additional-fields[profile]", "Not a known additional field.")
	}
	for _, c := range conditions {
		if _, err := time.Parse(time.RFC3339, c.value); err != nil {
			return invalid("filter", "Invalid filter provided.")
		}
	}
	all := slices.DeleteFunc(s.people(a), func(p profile) bool {
		return slices.ContainsFunc(conditions, func(c condition) bool {
			if c.field == "created" {
				return !c.holds(p.Created)
			}
			return !c.holds(p.Updated)
		})
	})
	entries := []any{}
	page, _ := vendor.PageOf(a, all, from, size)
	for _, p := range page {
		attributes := p.attributes()
		if additional == "" {
			delete(attributes, "subscriptions")
		}
		if problem := sparse(attributes, r, "profile"); problem != nil {
			return *problem
		}
		entries = append(entries, map[string]any{"type": "profile", "id": p.ID, "attributes": attributes, "links": self("/api/profiles/" + p.ID)})
	}
	return vendor.OK(map[string]any{"data": entries, "links": links(r, from, size, len(all))})
}

// campaign is a mailing as the account has it.
type campaign struct {
	shop.Mailing
	ID, MessageID, Channel, Status string
	Updated                        time.Time
}

// mailings are an account's campaigns, those that are to be sent in the next days too.
func (s *server) mailings(a *vendor.Account) []campaign {
	now := s.Now()
	var list []campaign
	for _, m := range s.Parameters(a.Name).Mailings(now.AddDate(0, 0, 7)) {
		c := campaign{Mailing: m, ID: fmt.Sprintf("01C%023d", m.ID), MessageID: fmt.Sprintf("01M%023d", m.ID), Channel: "email", Status: "Sent", Updated: m.SentAt}
		if m.Planned.After(now) {
			continue
		}
		if m.Text {
			c.Channel = "sms"
		}
		if m.SentAt.After(now) {
			c.Status, c.Updated = "Scheduled", m.Planned
		}
		list = append(list, c)
	}
	return list
}

func (s *server) campaigns(a *vendor.Account, r *http.Request) vendor.Answer {
	from, size, problem := paging(r, 100, 100)
	if problem != nil {
		return *problem
	}
	query := r.URL.Query()
	if sort := query.Get("sort"); sort != "updated_at" {
		return invalid("sort", "The simulated account sorts by updated_at only.")
	}
	include := query.Get("include")
	if include != "" && include != "campaign-messages" {
		return invalid("include", "Not a relationship of the resource.")
	}
	conditions, problem := filter(query.Get("filter"), "equals(messages.channel)", "greater-than(updated_at)", "greater-or-equal(updated_at)", "less-than(updated_at)", "less-or-equal(updated_at)")
	if problem != nil {
		return *problem
	}
	channel := ""
	for _, c := range conditions {
		if c.field == "messages.channel" {
			channel = c.value
		} else if _, err := time.Parse(time.RFC3339, c.value); err != nil {
			return invalid("filter", "Invalid filter provided.")
		}
	}
	if !slices.Contains([]string{"email", "sms", "mobile_push"}, channel) {
		return invalid("filter", "A channel filter is required to list campaigns.")
	}
	all := slices.DeleteFunc(s.mailings(a), func(m campaign) bool {
		return m.Channel != channel || slices.ContainsFunc(conditions, func(c condition) bool { return c.field == "updated_at" && !c.holds(m.Updated) })
	})
	slices.SortFunc(all, func(a, b campaign) int { return cmp.Or(a.Updated.Compare(b.Updated), cmp.Compare(a.ID, b.ID)) })
	entries, included := []any{}, []any{}
	page, _ := vendor.PageOf(a, all, from, size)
	for _, c := range page {
		attributes := map[string]any{
			"name": c.Name, "status": c.Status, "archived": false, "audiences": map[string]any{"included": []string{"Y6nRLr"}, "excluded": []string{}},
			"send_options": map[string]any{"use_smart_sending": true}, "tracking_options": map[string]any{"is_tracking_opens": true, "is_tracking_clicks": true},
			"send_strategy": map[string]any{"method": "static", "datetime": c.SentAt.Format(iso), "options": map[string]any{"is_local": false}},
			"created_at":    c.Planned.Format(iso), "scheduled_at": c.Planned.Format(iso), "updated_at": c.Updated.Format(iso), "send_time": c.SentAt.Format(iso),
		}
		if problem := sparse(attributes, r, "campaign"); problem != nil {
			return *problem
		}
		messages := map[string]any{"links": map[string]any{"self": "https://" + host + "/api/campaigns/" + c.ID + "/relationships/campaign-messages"}}
		if include != "" {
			messages["data"] = []any{map[string]string{"type": "campaign-message", "id": c.MessageID}}
			of := map[string]any{"created_at": c.Planned.Format(iso), "updated_at": c.Updated.Format(iso), "definition": map[string]any{"channel": c.Channel}}
			if problem := sparse(of, r, "campaign-message"); problem != nil {
				return *problem
			}
			included = append(included, map[string]any{"type": "campaign-message", "id": c.MessageID, "attributes": of, "links": self("/api/campaign-messages/" + c.MessageID)})
		}
		entries = append(entries, map[string]any{
			"type": "campaign", "id": c.ID, "attributes": attributes, "links": self("/api/campaigns/" + c.ID), "relationships": map[string]any{"campaign-messages": messages},
		})
	}
	body := map[string]any{"data": entries, "links": links(r, from, size, len(all))}
	if include != "" {
		body["included"] = included
	}
	return vendor.OK(body)
}

// said is what a request to make or change a profile says of it.
type said struct {
	Data struct {
		Type       string `json:"type"`
		ID         string `json:"id"`
		Attributes struct {
			Email     *string `json:"email"`
			Phone     *string `json:"phone_number"`
			FirstName *string `json:"first_name"`
			LastName  *string `json:"last_name"`
		} `json:"attributes"`
	} `json:"data"`
}

// read reads it: of a profile that is made, with an address.
func (b *said) read(r *http.Request, id string) *vendor.Answer {
	if err := vendor.Decode(r, b); err != nil || b.Data.Type != "profile" || b.Data.ID != id {
		no := refuse(http.StatusBadRequest, "invalid", "Invalid input.", nil)
		return &no
	}
	if email := b.Data.Attributes.Email; email == nil && id == "" || email != nil && !strings.Contains(*email, "@") {
		no := refuse(http.StatusBadRequest, "invalid", "Invalid email address", map[string]string{"pointer": "/data/attributes/email"})
		return &no
	}
	return nil
}

// with is the profile with what a request says of it.
func (p profile) with(b said) profile {
	of := b.Data.Attributes
	for into, text := range map[*string]*string{&p.Email: of.Email, &p.Phone: of.Phone, &p.FirstName: of.FirstName, &p.LastName: of.LastName} {
		if text != nil {
			*into = *text
		}
	}
	return p
}

// taken refuses an address that another profile has; of a profile that comes twice, the first is meant.
func taken(all []profile, email, but string) *vendor.Answer {
	seen := map[string]bool{}
	for _, p := range all {
		if seen[p.ID] {
			continue
		}
		if seen[p.ID] = true; p.ID != but && strings.EqualFold(p.Email, email) {
			no := refuse(http.StatusConflict, "duplicate_profile", "A profile already exists with one of these identifiers.", nil)
			no.Body.(map[string]any)["errors"].([]map[string]any)[0]["meta"] = map[string]string{"duplicate_profile_id": p.ID}
			return &no
		}
	}
	return nil
}

// resource is the profile as an answer to who has written it.
func (p profile) resource(status int, r *http.Request) vendor.Answer {
	attributes := p.attributes()
	if r.URL.Query().Get("additional-fields[profile]") != "subscriptions" {
		delete(attributes, "subscriptions")
	}
	return vendor.Answer{Status: status, Body: map[string]any{
		"data": map[string]any{"type": "profile", "id": p.ID, "attributes": attributes, "links": self("/api/profiles/" + p.ID)},
	}}
}

// create makes a profile of an address that the account does not have.
func (s *server) create(a *vendor.Account, r *http.Request) vendor.Answer {
	var body said
	if no := body.read(r, ""); no != nil {
		return *no
	}
	p, no := s.make(a, body)
	if no != nil {
		return *no
	}
	return p.resource(http.StatusCreated, r)
}

func (s *server) make(a *vendor.Account, body said) (profile, *vendor.Answer) {
	known := s.people(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := taken(slices.Concat(known, s.created[a.Name]), *body.Data.Attributes.Email, ""); no != nil {
		return profile{}, no
	}
	now := s.Now().UTC().Truncate(time.Second)
	p := profile{ID: fmt.Sprintf("01N%023d", len(s.created[a.Name])+1), Created: now, Updated: now}.with(body)
	s.created[a.Name] = append(s.created[a.Name], p)
	return p, nil
}

// edit changes a profile.
func (s *server) edit(a *vendor.Account, r *http.Request) vendor.Answer {
	all, id := s.people(a), r.PathValue("id")
	at := slices.IndexFunc(all, func(p profile) bool { return p.ID == id })
	if at < 0 {
		return refuse(http.StatusNotFound, "not_found", "A profile with id "+id+" does not exist.", nil)
	}
	var body said
	if no := body.read(r, id); no != nil {
		return *no
	}
	if email := body.Data.Attributes.Email; email != nil {
		if no := taken(all, *email, id); no != nil {
			return *no
		}
	}
	p := all[at].with(body)
	p.Updated = s.Now().UTC().Truncate(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.edits[a.Name] == nil {
		s.edits[a.Name] = map[string]profile{}
	}
	s.edits[a.Name][id] = p
	return p.resource(http.StatusOK, r)
}
