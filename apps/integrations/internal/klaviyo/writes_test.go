package klaviyo_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/klaviyo"
)

func TestContactsAreEnteredAndChanged(t *testing.T) {
	w := newWorld(t)
	made, changed := connectortest.Contacts(t, w, byKey, "01NOBODY", func() { w.now = w.now.Add(time.Minute) })
	if made.Subscribed == nil || !changed.UpdatedAt.After(made.UpdatedAt.Time) {
		t.Errorf("%+v, then %+v", made, changed)
	}
	id := strings.TrimPrefix(made.ID, "c1:")
	if _, err := w.UpdateContact(t.Context(), byKey, id, connector.ContactFields{Email: "none"}); !connectortest.Refused(err, connector.CodeInputRefused) {
		t.Errorf("no address: %v", err)
	}
	got, _, _, err := w.pull(integrationsapi.KindContacts, time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.exact(integrationsapi.KindContacts, got)
	if got[id]["last_name"] != "Hopper" || got[id]["updated_at"] != changed.UpdatedAt.UTC().Format("2006-01-02T15:04:05.000000Z") {
		t.Errorf("a sync reads %v, the change has said %+v", got[id], changed)
	}
}

func TestFlowsAreListed(t *testing.T) {
	w := newWorld(t)
	var got []string
	for cursor, n := "", 0; ; n++ {
		page, next, err := w.Automations().List(t.Context(), byKey, cursor, 2)
		if err != nil || n > 10 {
			t.Fatal(err)
		}
		for _, f := range page {
			got = append(got, f.Name+": "+f.Status+" by "+f.Trigger)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	want := []string{
		"Welcome, old: archived by Added to List", "Welcome: active by Added to List", "Back to the shop: manual by Metric", "After a demonstration: active by Metric", "Birthday: draft by Date Based",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, _, err := w.Automations().List(t.Context(), byKey, "elsewhere", 2); !connectortest.Refused(err, connector.CodeInputRefused) {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func TestEventsAreToldAndRead(t *testing.T) {
	w := newWorld(t)
	worth := int64(9950)
	event := connector.NewEvent{
		Name: "Booked a demonstration", Email: "new@example.org", ID: "d1", At: w.now.Add(-time.Hour), ValueMinor: &worth, Currency: "USD", Properties: map[string]any{"city": "Graz"},
	}
	for range 2 { // which counts once
		if err := w.SendEvent(t.Context(), byKey, event); err != nil {
			t.Fatal(err)
		}
	}
	list, _, err := w.Events(t.Context(), byKey, klaviyo.EventsQuery{From: w.now.Add(-time.Hour), To: w.now}, "", 100)
	list = slices.DeleteFunc(list, func(e klaviyo.Event) bool { return e.Name != event.Name })
	if err != nil || len(list) != 1 || !list[0].At.Equal(event.At) || list[0].Properties["$value"] != 99.5 || list[0].Properties["city"] != "Graz" {
		t.Fatalf("%+v, %v", list, err)
	}
	contacts, _, _, err := w.pull(integrationsapi.KindContacts, w.now.AddDate(0, 0, -1), 0)
	who := strings.TrimPrefix(list[0].ContactID, "c1:")
	if err != nil || contacts[who]["email"] != "new@example.org" {
		t.Errorf("whose event it is: %v, %v", contacts[who], err)
	}
	again := connector.NewEvent{Name: event.Name, ContactID: who}
	if err := w.SendEvent(t.Context(), byKey, again); err != nil {
		t.Error(err)
	}
	w.now = w.now.Add(time.Second)
	var names []string
	for cursor, n := "", 0; ; n++ {
		page, next, err := w.Events(t.Context(), byKey, klaviyo.EventsQuery{ContactID: who, MetricID: list[0].MetricID}, cursor, 1)
		if err != nil || n > 10 {
			t.Fatal(err)
		}
		for _, e := range page {
			names = append(names, e.Name+" "+e.ContactID)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if one := event.Name + " c1:" + who; !slices.Equal(names, []string{one, one}) {
		t.Errorf("%q", names)
	}
	if err := w.SendEvent(t.Context(), byKey, connector.NewEvent{Name: "Left", ContactID: "01NOBODY"}); !connectortest.Refused(err, connector.CodeInputRefused) {
		t.Errorf("of nobody: %v", err)
	}
	w.fault("throttle", 1)
	if err := w.SendEvent(t.Context(), byKey, again); connector.Classify(err).Class != connector.Throttled {
		t.Errorf("throttled: %v", err)
	}
}

func TestReportsAddUpWhatWasSent(t *testing.T) {
	w := newWorld(t)
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)
	var truth map[string]map[string]map[string]any
	w.admin(http.MethodGet, "truth", nil, &truth)
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]klaviyo.Values{}
	for id, c := range truth["campaigns"] {
		sent, err := time.Parse(time.RFC3339, c["started_at"].(string))
		if day := sent.In(zone).Format(time.DateOnly); err != nil || day < "2026-01-01" || day > "2026-10-31" {
			continue
		}
		var v klaviyo.Values
		for day, f := range truth["email_performance"] {
			if !strings.HasPrefix(day, id+":") {
				continue
			}
			n := func(name string) int64 { return int64(f[name].(float64)) }
			v.Recipients, v.Delivered, v.Opens, v.Clicks = v.Recipients+n("recipients"), v.Delivered+n("delivered"), v.Opens+n("opens"), v.Clicks+n("clicks")
			v.Unsubscribes, v.Conversions, v.RevenueMinor = v.Unsubscribes+n("unsubscribes"), v.Conversions+n("conversions"), v.RevenueMinor+n("revenue_minor")
		}
		want["c1:"+id] = v
	}
	got, rows := map[string]klaviyo.Values{}, 0
	for cursor, n := "", 0; ; n++ {
		page, next, err := w.Report(t.Context(), byKey, klaviyo.CampaignReport, "USD", "Ord8Sh", from, to, cursor)
		if err != nil || n > 10 {
			t.Fatal(err)
		}
		for _, r := range page {
			got[r.CampaignID], rows = r.Values, rows+1
			if r.MessageID == "" || r.MessageName == "" || r.Channel == "" || r.FlowID != "" {
				t.Errorf("%+v", r)
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if len(want) < 40 || rows != len(want) {
		t.Fatalf("%d rows, want %d", rows, len(want))
	}
	for id, v := range want {
		if got[id] != v {
			t.Errorf("%s: %+v, want %+v", id, got[id], v)
		}
	}
	flows, _, err := w.Report(t.Context(), byKey, klaviyo.FlowReport, "USD", "Ord8Sh", from, to, "")
	if err != nil || len(flows) != 1 || flows[0].FlowID != "FlwWlc" || flows[0].Recipients == 0 || flows[0].RevenueMinor == 0 || flows[0].CampaignID != "" {
		t.Errorf("%+v, %v", flows, err)
	}
	if _, _, err := w.Report(t.Context(), byKey, klaviyo.FlowReport, "USD", "Nothng", from, to, ""); !connectortest.Refused(err, connector.CodeInputRefused) {
		t.Errorf("by no metric: %v", err)
	}
	if _, _, err := w.Report(t.Context(), byKey, klaviyo.FlowReport, "USD", "Ord8Sh", from.AddDate(-1, 0, 0), to, ""); !connectortest.Refused(err, connector.CodeInputRefused) {
		t.Errorf("of more than a year: %v", err)
	}
}

// answers is a vendor that answers every request alike.
type answers struct {
	text string
	got  []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.got = append(a.got, r.URL.Query().Get("filter"))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a.text)), Request: r}, nil
}

func TestTheSameEventsAreAskedForInTheSameWords(t *testing.T) {
	vendor := &answers{text: `{"data":[],"links":{}}`}
	c := klaviyo.NewConnector(connector.Web{HTTP: &http.Client{Transport: vendor}, Now: time.Now}, connector.App{})
	for range 20 {
		if _, _, err := c.Events(t.Context(), byKey, klaviyo.EventsQuery{ContactID: "who", MetricID: "what"}, "", 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range vendor.got {
		if want := `equals(profile_id,"who"),equals(metric_id,"what")`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
