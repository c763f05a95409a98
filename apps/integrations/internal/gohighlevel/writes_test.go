package gohighlevel_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// refused tells whether an error has a code.
func refused(err error, code string) bool { return err != nil && connector.Classify(err).Code == code }

func TestContactsAreEnteredAndChanged(t *testing.T) {
	w := start(t)
	made, err := w.CreateContact(t.Context(), w.account, connector.ContactFields{Email: "Grace@Example.com", FirstName: "Grace", Phone: "+15551234567"})
	if err != nil || made.Email != "grace@example.com" || made.FirstName != "Grace" || made.Stage != "lead" || !strings.HasPrefix(made.ID, "c1:") {
		t.Errorf("%+v, %v", made, err)
	}
	if _, err := w.CreateContact(t.Context(), w.account, connector.ContactFields{Email: "grace@example.com"}); !refused(err, connector.CodeExists) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := w.CreateContact(t.Context(), w.account, connector.ContactFields{Email: "nobody"}); !refused(err, connector.CodeInputRefused) {
		t.Errorf("no address: %v", err)
	}
	id := strings.TrimPrefix(made.ID, "c1:")
	changed, err := w.UpdateContact(t.Context(), w.account, id, connector.ContactFields{LastName: "Hopper"})
	if err != nil || changed.LastName != "Hopper" || changed.Email != "grace@example.com" || changed.Phone != made.Phone {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := w.UpdateContact(t.Context(), w.account, "contact77", connector.ContactFields{LastName: "Hopper"}); !refused(err, connector.CodeMissing) {
		t.Errorf("nobody: %v", err)
	}
	w.fault(`{"kind":"error500","after_requests":1}`) // when it is read anew
	again, err := w.CreateContact(t.Context(), w.account, connector.ContactFields{Email: "ada@example.com"})
	if err != nil || again.Email != "ada@example.com" {
		t.Errorf("what cannot be read anew: %+v, %v", again, err)
	}
	all := map[string]map[string]any{}
	w.sync("contacts", time.Time{}, all)
	w.exact("contacts", all)
	if all[id]["last_name"] != "Hopper" {
		t.Errorf("a sync reads %v", all[id])
	}
}

func TestOpportunitiesAreEnteredAndChanged(t *testing.T) {
	w := start(t)
	pipelines, err := w.Pipelines(t.Context(), w.account)
	if err != nil || len(pipelines) != 2 || pipelines[0].ID != "pipeline1" || len(pipelines[0].Stages) != 4 || pipelines[0].Stages[1] != (connector.Stage{ID: "stage-won", Name: "won"}) {
		t.Fatalf("%+v, %v", pipelines, err)
	}
	who, err := w.CreateContact(t.Context(), w.account, connector.ContactFields{Email: "grace@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	contact, worth := strings.TrimPrefix(who.ID, "c1:"), int64(120050)
	fields := connector.DealFields{Name: "Lamps", Pipeline: "pipeline1", ContactID: contact, AmountMinor: &worth, Expected: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
	made, err := w.CreateDeal(t.Context(), w.account, fields)
	if err != nil || made.Name != "Lamps" || made.AmountMinor != worth || made.Status != integrationsapi.DealOpen || made.ContactIDs[0] != who.ID || !made.ClosedAt.Equal(fields.Expected) {
		t.Fatalf("%+v, %v", made, err)
	}
	for name, change := range map[string]func(*connector.DealFields){
		"no such pipeline": func(d *connector.DealFields) { d.Pipeline = "elsewhere" },
		"no such stage":    func(d *connector.DealFields) { d.Stage = "elsewhere" },
	} {
		bad := fields
		change(&bad)
		if _, err := w.CreateDeal(t.Context(), w.account, bad); !refused(err, connector.CodeInputRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := fields
	bad.ContactID = "contact77"
	if _, err := w.CreateDeal(t.Context(), w.account, bad); !refused(err, connector.CodeMissing) {
		t.Errorf("with nobody: %v", err)
	}
	id := strings.TrimPrefix(made.ID, "c1:")
	won, err := w.UpdateDeal(t.Context(), w.account, id, connector.DealFields{Stage: "stage-won", Status: integrationsapi.DealWon})
	if err != nil || won.Status != integrationsapi.DealWon || won.Stage != "stage-won" || won.Name != "Lamps" || won.AmountMinor != worth || !won.ClosedAt.Equal(noon) {
		t.Errorf("%+v, %v", won, err)
	}
	if _, err := w.UpdateDeal(t.Context(), w.account, "opportunity77", connector.DealFields{Name: "Nothing"}); !refused(err, connector.CodeMissing) {
		t.Errorf("what there is not: %v", err)
	}
	all := map[string]map[string]any{}
	w.sync("deals", time.Time{}, all)
	w.exact("deals", all)
	if all[id]["stage"] != "stage-won" {
		t.Errorf("a sync reads %v", all[id])
	}
}

func TestWorkflowsAreListedAndBegun(t *testing.T) {
	w := start(t)
	of := w.Automations()
	list, next, err := of.List(t.Context(), w.account, "", 10)
	var got []string
	for _, one := range list {
		got = append(got, one.Name+": "+one.Status)
	}
	if err != nil || next != "" || !reflect.DeepEqual(got, []string{"Welcome: active", "Ask for a review: draft"}) {
		t.Fatalf("%q, %v", got, err)
	}
	who, err := w.CreateContact(t.Context(), w.account, connector.ContactFields{Email: "grace@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	contact := strings.TrimPrefix(who.ID, "c1:")
	for _, c := range []struct{ workflow, contact, code string }{
		{"workflow1", contact, ""}, {"workflow2", contact, connector.CodeInputRefused}, {"workflow9", contact, connector.CodeMissing}, {"workflow1", "contact77", connector.CodeMissing},
	} {
		if err := of.Enroll(t.Context(), w.account, c.workflow, c.contact); err != nil && !refused(err, c.code) || err == nil && c.code != "" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
