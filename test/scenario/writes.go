package scenario

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// ask is a read of a vendor, live.
func (v vendor) ask(name, path string, has map[string]any) Step {
	return Step{Name: name, Method: http.MethodGet, Path: "/api/integrations/" + v.name + path, Want: http.StatusOK, Has: has}
}

// write is a request that has something done at a vendor.
func (v vendor) write(name, method, path string, want int, body map[string]any, has map[string]any) Step {
	return Step{Name: name, Method: method, Path: "/api/integrations/" + v.name + path, Want: want, Body: body, Has: has}
}

// private has a step done by somebody of another organization, who is told that there is no such connection.
func private(t *testing.T, site Site, theirs map[string]string, steps ...Step) {
	t.Helper()
	for _, s := range steps {
		s.Path = strings.ReplaceAll(s.Path, "?", "?connection_id=${connection}&")
		if !strings.Contains(s.Path, "?") {
			s.Path += "?connection_id=${connection}"
		}
		Play(t, site, theirs, []Step{not(s, "not by others: "+s.Name, http.StatusNotFound, "not_found")})
	}
}

// contact has somebody entered and changed, who is among the records at once, and saves who it is.
func (v vendor) contact(t *testing.T, site Site, ours, theirs map[string]string) {
	t.Helper()
	const at = "/contacts/${contact}"
	enter := v.write("somebody is entered", http.MethodPost, "/contacts", http.StatusCreated,
		map[string]any{"email": "grace@example.org", "first_name": "Grace"}, map[string]any{"email": "grace@example.org", "first_name": "Grace", "connection_id": "${connection}"})
	enter.Save, enter.Header = map[string]string{"contact": "id"}, map[string]string{"Idempotency-Key": "enter-grace-at-" + v.name}
	bad, twice := enter, enter
	bad.Body, bad.Header, twice.Header = map[string]any{"email": "nobody"}, nil, nil
	again := enter
	again.Name, again.Has = "the same request again", map[string]any{"id": "${contact}"}
	change := v.write("she is changed", http.MethodPatch, at, http.StatusOK, map[string]any{"last_name": "Hopper"}, map[string]any{"id": "${contact}", "last_name": "Hopper", "email": "grace@example.org"})
	nothing, elsewhere, nobody := change, change, change
	nothing.Body = map[string]any{}
	elsewhere.Path = "/api/integrations/" + v.name + "/contacts/0197a3f2-1111-7000-8000-000000000001:51?connection_id=${connection}"
	nobody.Path = "/api/integrations/" + v.name + "/contacts/${connection}:77"
	Play(t, site, ours, []Step{
		not(bad, "not without an address", http.StatusUnprocessableEntity, "validation_failed"), enter, again, not(twice, "not twice", http.StatusConflict, "vendor_has_it"),
	})
	_, id, _ := strings.Cut(ours["contact"], ":")
	if got := v.records(t, site, ours, "contacts")[id]; got == nil || got["first_name"] != "Grace" {
		t.Errorf("the records have %v of who was entered", got)
	}
	Play(t, site, ours, []Step{
		change, not(nothing, "not without a change", http.StatusUnprocessableEntity, "validation_failed"),
		not(elsewhere, "not of another connection", http.StatusNotFound, "not_found"), not(nobody, "not whom there is not", http.StatusNotFound, "vendor_lacks_it"),
	})
	if got := v.records(t, site, ours, "contacts")[id]; got["last_name"] != "Hopper" || got["first_name"] != "Grace" {
		t.Errorf("the records have %v of who was changed", got)
	}
	theirs["contact"] = ours["contact"]
	private(t, site, theirs, enter, change)
	v.noted(t, site, ours, "enter-contact", "change-contact")
}

// noted looks actions up in the audit log.
func (v vendor) noted(t *testing.T, site Site, vars map[string]string, verbs ...string) {
	t.Helper()
	for _, verb := range verbs {
		Play(t, site, vars, []Step{logged("integrations."+v.name+"."+verb, "success")})
	}
}

// hubspot is what is written at HubSpot and asked live.
func hubspot(v vendor, t *testing.T, site Site, ours, theirs map[string]string) {
	v.contact(t, site, ours, theirs)
	v.deal(t, site, ours, theirs)
	list := v.ask("its workflows", "/workflows?limit=2", map[string]any{"items.#": 2, "items.0.name": "Welcome", "items.0.status": "active", "items.0.enrolls": "true", "items.1.status": "paused", "next_cursor": Present})
	list.Save = map[string]string{"workflow": "items.0.id", "paused": "items.1.id"}
	begin := v.write("one begins for a contact", http.MethodPost, "/workflows/${workflow}/enrollments", http.StatusOK, map[string]any{"contact_id": "${contact}"},
		map[string]any{"automation_id": "${workflow}", "contact_id": "${contact}", "enrolled_at": Present})
	paused := begin
	paused.Path = strings.ReplaceAll(begin.Path, "workflow}", "paused}")
	for id, c := range v.records(t, site, ours, "campaigns") {
		if c["status"] == "ended" {
			ours["campaign"] = ours["connection"] + ":" + id
		}
	}
	theirs["campaign"], theirs["workflow"] = ours["campaign"], "585051946"
	credit := v.ask("what a campaign is credited with", "/analytics?campaign_id=${campaign}", map[string]any{
		"campaign_id": "${campaign}", "sessions": Present, "influenced_contacts": Present, "revenue.deals": Present, "revenue.currency": "USD", "revenue.model": "LINEAR",
	})
	none := credit
	none.Path = strings.ReplaceAll(credit.Path, "${campaign}", "${connection}:00001999-0000-4000-8000-000000000001")
	Play(t, site, ours, []Step{
		list, begin, not(paused, "not one that is off", http.StatusUnprocessableEntity, "vendor_input_refused"), credit, not(none, "not of none", http.StatusNotFound, "vendor_lacks_it"),
	})
	private(t, site, theirs, list, begin, credit)
	v.noted(t, site, ours, "enroll")
}

// deal has a deal entered and won, which is among the records at once.
func (v vendor) deal(t *testing.T, site Site, ours, theirs map[string]string) {
	t.Helper()
	pipelines := v.ask("its pipelines", "/pipelines", map[string]any{"items.0.name": Present, "items.0.stages.1.id": Present})
	pipelines.Save = map[string]string{"pipeline": "items.0.id"}
	deal := map[string]any{"name": "Lamps", "pipeline": "${pipeline}", "contact_id": "${contact}", "amount_minor": 120050, "expected_on": "2031-05-01"}
	enter := v.write("a deal is entered", http.MethodPost, "/deals", http.StatusCreated, deal, map[string]any{
		"name": "Lamps", "amount_minor": 120050, "currency": "USD", "status": "open", "contact_ids.0": "${contact}", "closed_at": "2031-05-01T00:00:00.000000Z",
	})
	enter.Save = map[string]string{"deal": "id"}
	bad, nobody := enter, enter
	bad.Body = map[string]any{"name": "Lamps", "pipeline": "elsewhere", "contact_id": "${contact}"}
	nobody.Body = map[string]any{"name": "Lamps", "pipeline": "${pipeline}", "contact_id": "${connection}:77"}
	win := v.write("it is won", http.MethodPatch, "/deals/${deal}", http.StatusOK, map[string]any{"status": "won"}, map[string]any{"id": "${deal}", "status": "won", "name": "Lamps", "amount_minor": 120050})
	Play(t, site, ours, []Step{
		pipelines, not(bad, "not in no pipeline", http.StatusUnprocessableEntity, "vendor_input_refused"), not(nobody, "not with nobody", http.StatusNotFound, "vendor_lacks_it"), enter, win,
	})
	_, id, _ := strings.Cut(ours["deal"], ":")
	if got := v.records(t, site, ours, "deals")[id]; got == nil || got["status"] != "won" || fmt.Sprint(got["amount_minor"]) != "120050" {
		t.Errorf("the records have %v of the deal", got)
	}
	theirs["deal"], theirs["pipeline"] = ours["deal"], ours["pipeline"]
	private(t, site, theirs, pipelines, enter, win)
	v.noted(t, site, ours, "enter-deal", "change-deal")
}

// gohighlevel is what is written at HighLevel and asked live.
func gohighlevel(v vendor, t *testing.T, site Site, ours, theirs map[string]string) {
	v.contact(t, site, ours, theirs)
	v.deal(t, site, ours, theirs)
	list := v.ask("its workflows", "/workflows", map[string]any{"items.0.name": "Welcome", "items.0.enrolls": "true"})
	list.Save = map[string]string{"workflow": "items.0.id"}
	begin := v.write("one begins for a contact", http.MethodPost, "/workflows/${workflow}/enrollments", http.StatusOK, map[string]any{"contact_id": "${contact}"}, map[string]any{"automation_id": "${workflow}"})
	Play(t, site, ours, []Step{list, begin})
	theirs["workflow"] = ours["workflow"]
	private(t, site, theirs, list, begin)
	v.noted(t, site, ours, "enroll")
}

// klaviyo is what is written at Klaviyo and asked live.
func klaviyo(v vendor, t *testing.T, site Site, ours, theirs map[string]string) {
	v.contact(t, site, ours, theirs)
	list := v.ask("its flows", "/flows?limit=2", map[string]any{"items.#": 2, "items.1.name": "Welcome", "items.1.status": "active", "items.0.status": "archived", "next_cursor": Present})
	event := map[string]any{"name": "Booked a demonstration", "contact_id": "${contact}", "event_id": "d1", "value_minor": 9900, "currency": "USD", "properties": map[string]any{"city": "Graz"}}
	tell := v.write("an event is told", http.MethodPost, "/events", http.StatusAccepted, event, map[string]any{"connection_id": "${connection}"})
	nobody, worthless := tell, tell
	nobody.Body = map[string]any{"name": "Booked a demonstration"}
	worthless.Body = map[string]any{"name": "Booked a demonstration", "contact_id": "${contact}", "value_minor": 9900}
	read := v.ask("and read", "/events?contact_id=${contact}", map[string]any{"items.#": 1, "items.0.name": "Booked a demonstration", "items.0.contact_id": "${contact}", "items.0.properties.city": "Graz"})
	orders := v.ask("orders are events", "/events?metric_id=Ord8Sh&limit=1", map[string]any{"items.#": 1, "items.0.name": "Placed Order", "next_cursor": Present})
	campaigns := v.ask("what came of campaigns", "/reports/campaigns", map[string]any{"metric_id": "Ord8Sh", "currency": "USD", "items.0.campaign_id": Present, "items.0.recipients": Present, "items.0.revenue_minor": Present})
	flows := v.ask("what came of flows", "/reports/flows", map[string]any{"metric_id": "Ord8Sh", "items.#": 1, "items.0.flow_name": "Welcome", "items.0.recipients": Present})
	backward := campaigns
	backward.Path += "?from=1997-03-02&to=1997-03-01"
	Play(t, site, ours, []Step{
		list, tell, not(nobody, "not of nobody", http.StatusUnprocessableEntity, "validation_failed"), not(worthless, "not worth something of no currency", http.StatusUnprocessableEntity, "validation_failed"),
		read, orders, campaigns, flows, not(backward, "not backward", http.StatusUnprocessableEntity, "validation_failed"),
	})
	private(t, site, theirs, list, tell, read, orders, campaigns, flows)
	v.noted(t, site, ours, "send-event")
}
