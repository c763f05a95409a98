package gohighlevel_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
)

func TestContactsAreEnteredAndChanged(t *testing.T) {
	w := start(t)
	made, changed := connectortest.Contacts(t, w, w.account, "contact77", func() {})
	if made.Stage != "lead" {
		t.Errorf("%+v, then %+v", made, changed)
	}
	id := strings.TrimPrefix(made.ID, "c1:")
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
		if _, err := w.CreateDeal(t.Context(), w.account, bad); !connectortest.Refused(err, connector.CodeInputRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := fields
	bad.ContactID = "contact77"
	if _, err := w.CreateDeal(t.Context(), w.account, bad); !connectortest.Refused(err, connector.CodeMissing) {
		t.Errorf("with nobody: %v", err)
	}
	id := strings.TrimPrefix(made.ID, "c1:")
	won, err := w.UpdateDeal(t.Context(), w.account, id, connector.DealFields{Stage: "stage-won", Status: integrationsapi.DealWon})
	if err != nil || won.Status != integrationsapi.DealWon || won.Stage != "stage-won" || won.Name != "Lamps" || won.AmountMinor != worth || !won.ClosedAt.Equal(noon) {
		t.Errorf("%+v, %v", won, err)
	}
	if _, err := w.UpdateDeal(t.Context(), w.account, "opportunity77", connector.DealFields{Name: "Nothing"}); !connectortest.Refused(err, connector.CodeMissing) {
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
		if err := of.Enroll(t.Context(), w.account, c.workflow, c.contact); err != nil && !connectortest.Refused(err, c.code) || err == nil && c.code != "" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
