package hubspot_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/hubspot"
)

func TestContactsAreEnteredAndChanged(t *testing.T) {
	s, c, a := world(t)
	made, changed := connectortest.Contacts(t, c, a, "77", func() { s.Now = s.Now.Add(time.Minute) })
	if made.Phone != "+15551234567" || made.Stage == "" || !changed.UpdatedAt.After(made.UpdatedAt.Time) {
		t.Errorf("%+v, then %+v", made, changed)
	}
	id := strings.TrimPrefix(made.ID, "c1:")
	if _, err := c.UpdateContact(t.Context(), a, id, connector.ContactFields{Email: "none"}); !connectortest.Refused(err, connector.CodeInputRefused) {
		t.Errorf("no address: %v", err)
	}
	stream := connectortest.Stream(t, c, integrationsapi.KindContacts)
	records, _ := byID(t, connectortest.Pull(t, stream, a, time.Time{}, stream.PageSize))
	s.Exact(hubspot.Vendor, demo, integrationsapi.KindContacts, records)
	if records[id] != changed {
		t.Errorf("a sync reads %+v, the change has said %+v", records[id], changed)
	}
	if other := anybody(records, id); other != "" {
		if _, err := c.UpdateContact(t.Context(), a, id, connector.ContactFields{Email: other}); !connectortest.Refused(err, connector.CodeExists) {
			t.Errorf("the address of somebody else: %v", err)
		}
	}
}

// anybody is the address of somebody else.
func anybody(records map[string]any, but string) string {
	for id, r := range records {
		if c := r.(integrationsapi.Contact); id != but && c.Email != "" {
			return c.Email
		}
	}
	return ""
}

// A contact that was entered is told of though it cannot be read anew, as nobody is to enter it twice.
func TestAContactThatWasEnteredIsTold(t *testing.T) {
	s, c, a := world(t)
	s.Fault(hubspot.Vendor, demo, map[string]any{"kind": "error500", "after_requests": 1})
	made, err := c.CreateContact(t.Context(), a, connector.ContactFields{Email: "grace@example.com", FirstName: "Grace"})
	if err != nil || made.Email != "grace@example.com" || made.FirstName != "Grace" {
		t.Errorf("%+v, %v", made, err)
	}
	s.AllMet(hubspot.Vendor, demo)
}

func TestWorkflowsAreListedAndBegun(t *testing.T) {
	s, c, a := world(t)
	of := c.Automations()
	var all []connector.Automation
	for cursor, n := "", 0; ; n++ {
		page, next, err := of.List(t.Context(), a, cursor, 1)
		if err != nil || n > 10 {
			t.Fatal(err)
		}
		all = append(all, page...)
		if cursor = next; cursor == "" {
			break
		}
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name+", "+one.Status)
	}
	if want := []string{"Welcome, active", "Win back, paused", "Tell sales of a large deal, active"}; !slices.Equal(names, want) {
		t.Fatalf("%q, want %q", names, want)
	}
	made, err := c.CreateContact(t.Context(), a, connector.ContactFields{Email: "grace+1@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	who := strings.TrimPrefix(made.ID, "c1:")
	for _, one := range all {
		if err := of.Enroll(t.Context(), a, one.ID, who); (err == nil) != one.Enrolls {
			t.Errorf("enrolled in %+v: %v", one, err)
		}
	}
	for _, bad := range []struct{ workflow, contact, code string }{
		{"999", who, connector.CodeMissing}, {all[0].ID, "77", connector.CodeMissing}, {all[1].ID, who, connector.CodeInputRefused},
	} {
		if err := of.Enroll(t.Context(), a, bad.workflow, bad.contact); !connectortest.Refused(err, bad.code) {
			t.Errorf("contact %s in workflow %s: %v", bad.contact, bad.workflow, err)
		}
	}
	s.Fails(hubspot.Vendor, demo, a, func() error { _, _, err := of.List(t.Context(), a, "", 10); return err },
		connectortest.Failure{Kind: "throttle", Class: connector.Throttled}, connectortest.Failure{Kind: "error500", Status: http.StatusBadGateway, Class: connector.Transient},
		connectortest.Failure{Kind: "html", Class: connector.Transient}, connectortest.Failure{Kind: "truncated", Class: connector.Transient})
}

func TestCampaignsAreCreditedWithWhatTheySold(t *testing.T) {
	_, c, a := world(t)
	stream := connectortest.Stream(t, c, integrationsapi.KindDeals)
	from, to := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 8, 31, 0, 0, 0, 0, time.UTC)
	var deals, worth int64
	for _, page := range connectortest.Pull(t, stream, a, time.Time{}, stream.PageSize) {
		for _, d := range page.Records.Deals {
			if d.Status == integrationsapi.DealWon && !d.ClosedAt.Before(from) && d.ClosedAt.Before(to.AddDate(0, 0, 1)) {
				deals, worth = deals+1, worth+d.AmountMinor
			}
		}
	}
	const summer = "00002026-0000-4000-8000-000000000003"
	revenue, err := c.Revenue(t.Context(), a, summer, "LINEAR", "USD", from, to)
	if err != nil || deals == 0 || revenue.Deals != deals || revenue.DealAmountMinor != worth || (revenue.RevenueMinor-worth/4)/2 != 0 {
		t.Errorf("%+v, %v; want %d deals of %d", revenue, err, deals, worth)
	}
	metrics, err := c.Metrics(t.Context(), a, summer, from, to)
	if err != nil || metrics.Sessions == 0 || metrics.NewFirstTouch == 0 || metrics.InfluencedContacts == 0 {
		t.Errorf("%+v, %v", metrics, err)
	}
	if _, err := c.Metrics(t.Context(), a, "00001999-0000-4000-8000-000000000003", from, to); !connectortest.Refused(err, connector.CodeMissing) {
		t.Errorf("no such campaign: %v", err)
	}
	if _, err := c.Revenue(t.Context(), a, summer, "GUESSED", "USD", from, to); !connectortest.Refused(err, connector.CodeInputRefused) {
		t.Errorf("no such model: %v", err)
	}
}

func TestDealsAreEnteredAndChanged(t *testing.T) {
	s, c, a := world(t)
	pipelines, err := c.Pipelines(t.Context(), a)
	if err != nil || len(pipelines) != 1 || pipelines[0].ID != "default" || len(pipelines[0].Stages) != 4 || pipelines[0].Stages[0].ID != "appointmentscheduled" {
		t.Fatalf("%+v, %v", pipelines, err)
	}
	who, err := c.CreateContact(t.Context(), a, connector.ContactFields{Email: "grace@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	worth := int64(120050)
	fields := connector.DealFields{Name: "Lamps", Pipeline: "default", ContactID: strings.TrimPrefix(who.ID, "c1:"), AmountMinor: &worth, Expected: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
	made, err := c.CreateDeal(t.Context(), a, fields)
	if err != nil || made.Name != "Lamps" || made.AmountMinor != worth || made.Status != integrationsapi.DealOpen || made.Stage != "appointmentscheduled" || !slices.Equal(made.ContactIDs, []string{who.ID}) || !made.ClosedAt.Equal(fields.Expected) {
		t.Fatalf("%+v, %v", made, err)
	}
	// Of one that cannot be read anew, the same is told.
	s.Fault(hubspot.Vendor, demo, map[string]any{"kind": "error500", "after_requests": 3})
	again, err := c.CreateDeal(t.Context(), a, fields)
	s.AllMet(hubspot.Vendor, demo)
	if again.ID, again.CreatedAt, again.UpdatedAt = made.ID, made.CreatedAt, made.UpdatedAt; err != nil || !reflect.DeepEqual(again, made) {
		t.Errorf("%+v, %v; want %+v", again, err, made)
	}
	for name, bad := range map[string]struct {
		change func(*connector.DealFields)
		code   string
	}{
		"no such pipeline":          {func(d *connector.DealFields) { d.Pipeline = "elsewhere" }, connector.CodeInputRefused},
		"no such stage":             {func(d *connector.DealFields) { d.Stage = "elsewhere" }, connector.CodeInputRefused},
		"a stage of another status": {func(d *connector.DealFields) { d.Stage, d.Status = "closedwon", integrationsapi.DealLost }, connector.CodeInputRefused},
		"nobody":                    {func(d *connector.DealFields) { d.ContactID = "77" }, connector.CodeMissing},
	} {
		d := fields
		bad.change(&d)
		if _, err := c.CreateDeal(t.Context(), a, d); !connectortest.Refused(err, bad.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	id := strings.TrimPrefix(made.ID, "c1:")
	s.Now = s.Now.Add(time.Minute)
	won, err := c.UpdateDeal(t.Context(), a, id, connector.DealFields{Status: integrationsapi.DealWon})
	if err != nil || won.Status != integrationsapi.DealWon || won.Stage != "closedwon" || won.Name != "Lamps" || !won.ClosedAt.Equal(s.Now) || !slices.Equal(won.ContactIDs, []string{who.ID}) {
		t.Errorf("%+v, %v", won, err)
	}
	if _, err := c.UpdateDeal(t.Context(), a, "77", connector.DealFields{Name: "Nothing"}); !connectortest.Refused(err, connector.CodeMissing) {
		t.Errorf("what there is not: %v", err)
	}
	stream := connectortest.Stream(t, c, integrationsapi.KindDeals)
	records, _ := byID(t, connectortest.Pull(t, stream, a, time.Time{}, stream.PageSize))
	s.Exact(hubspot.Vendor, demo, integrationsapi.KindDeals, records)
	if !reflect.DeepEqual(records[id], won) {
		t.Errorf("a sync reads %+v, the change has said %+v", records[id], won)
	}
}
