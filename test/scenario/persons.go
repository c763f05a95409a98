package scenario

import (
	"net/http"
	"testing"
	"time"
)

// Persons is about the people whom an organization's vendors know: what is kept of one is found and erased by their address, no sync
// brings it again before they are readmitted, and one whom the vendor has erased is forgotten by its webhook.
func Persons(t *testing.T, site Site) {
	const list, persons, contacts = "/api/integrations/hubspot", "/api/integrations/records/persons", "/api/integrations/records/contacts"
	admin := site.Devstack + "/sandbox/vendors/hubspot/persons"
	ours, theirs := map[string]string{}, map[string]string{}
	Play(t, site, ours, Register(ours, "keeper-of-persons"))
	Play(t, site, theirs, Register(theirs, "keeper-of-nobody"))
	synced := func(mode string) []Step { return append([]Step{StartSyncOf("contacts", mode)}, SyncEnds(false)...) }
	Play(t, site, ours, []Step{{
		Name: "connect", Method: http.MethodPost, Path: list + "/connect", Want: http.StatusCreated, Body: map[string]string{"api_key": "pat-na1-persons"}, Save: map[string]string{"connection": "id"},
	}})
	Play(t, site, ours, synced("backfill"))
	Play(t, site, ours, []Step{{
		Name: "one of them", Method: http.MethodGet, Path: contacts + "?limit=1", Want: http.StatusOK, Has: map[string]any{"items.#": 1, "items.0.email": Present},
		Save: map[string]string{"first": "items.0.email"},
	}})
	about := func(name, what, whom string, has map[string]any) Step {
		return Step{Name: name, Method: http.MethodPost, Path: persons + "/" + what, Want: http.StatusOK, Body: map[string]string{"email": whom}, Has: has}
	}
	there, gone := map[string]any{"contacts.#": 1, "contacts.0.email": "${first}", "quarantined.#": 0}, map[string]any{"contacts.#": 0, "customers.#": 0, "payments.#": 0}
	theirs["first"] = ours["first"]
	Play(t, site, theirs, []Step{
		about("not by another organization", "find", "${first}", gone),
		about("nor erased by it", "erase", "${first}", map[string]any{"contacts": 0}),
	})
	readmit := about("they have come back", "readmit", "${first}", nil)
	readmit.Want = http.StatusNoContent
	Play(t, site, ours, []Step{
		about("found", "find", "${first}", there),
		about("erased", "erase", "${first}", map[string]any{"contacts": 1, "customers": 0, "payments": 0, "quarantined": 0}),
		about("nothing left", "find", "${first}", gone),
		{
			Name: "nor entered at the list", Method: http.MethodPost, Path: list + "/contacts", Want: http.StatusConflict,
			Body: map[string]string{"email": "${first}"}, Has: code("person_erased"),
		},
		not(about("", "erase", "nobody", nil), "nobody's address", http.StatusUnprocessableEntity, "validation_failed"),
	})
	Play(t, site, ours, synced("backfill"))
	Play(t, site, ours, []Step{about("nor after a sync", "find", "${first}", gone), readmit})
	Play(t, site, ours, synced("backfill"))
	hubspot := vendor{name: "hubspot"}
	before := hubspot.records(t, site, ours, "contacts")
	Play(t, site, ours, []Step{
		about("here again", "find", "${first}", there),
		{
			Name: "the list tells of changes", Method: http.MethodPost, Path: admin + "/webhooks", Want: http.StatusCreated,
			Body: map[string]any{"address": site.API + webhooks + "/hubspot", "topics": []string{"contact.privacyDeletion"}},
		},
		{Name: "it erases somebody", Method: http.MethodPost, Path: admin + "/webhooks/events", Want: http.StatusAccepted, Body: map[string]string{"topic": "contact.privacyDeletion"}},
		{
			Name: "which is done", Method: http.MethodGet, Path: webhooks + "/deliveries", Want: http.StatusOK, Within: 30 * time.Second,
			Has: map[string]any{"items.#": 1, "items.0.status": "processed", "items.0.topic": "contact.privacyDeletion"},
		},
	})
	if after := hubspot.records(t, site, ours, "contacts"); len(after) != len(before)-1 {
		t.Errorf("%d contacts of %d are left, want one less", len(after), len(before))
	}
}
