package records_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestOldRecordsAreErased(t *testing.T) {
	h := newHistory(t)
	put := func(organization string, ages ...int) {
		t.Helper()
		var orders []integrationsapi.Order
		for _, age := range ages {
			orders = append(orders, order("c1", age, day.AddDate(0, 0, -age)))
		}
		if _, err := h.Put(t.Context(), organization, connector.Records{Orders: orders}); err != nil {
			t.Fatal(err)
		}
	}
	left := func(organization string) (ids []string) {
		t.Helper()
		page, err := h.Orders.Page(t.Context(), organization, "", records.Range{}, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Items {
			ids = append(ids, o.ID)
		}
		return ids
	}
	h.now = day.Add(12 * time.Hour)
	put("o1", 0, 29, 30, 31, 400)
	put("o2", 400)
	if err := h.Retain(t.Context(), "o1", records.Policy{Kind: "orders", Days: 30}); err != nil {
		t.Fatal(err)
	}
	if err := h.Retain(t.Context(), "o1", records.Policy{Kind: "rubbish", Days: 30}); problem.Code(err) != problem.CodeValidation {
		t.Errorf("of a kind that there is not: %v", err)
	}
	expire := func() (entries []audit.Entry) {
		t.Helper()
		if err := h.Job().Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		messages, err := h.db.Outbox().Pending(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			raw, err := events.Decode(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if m.Topic == audit.Recorded.Wire() {
				var e audit.Entry
				if err := json.Unmarshal(raw.Data, &e); err != nil || raw.Organization != "o1" {
					t.Fatal(raw.Organization, err)
				}
				entries = append(entries, e)
			}
			if err := h.db.Outbox().Done(t.Context(), m.ID); err != nil {
				t.Fatal(err)
			}
		}
		return entries
	}
	entries := expire()
	if got := left("o1"); len(got) != 3 || got[0] != id(30) {
		t.Errorf("left are %v", got)
	}
	if got := left("o2"); len(got) != 1 {
		t.Errorf("another organization has %v left", got)
	}
	if len(entries) != 1 || entries[0].Action != "integrations.records.expire" || entries[0].Details["records"] != "2" || entries[0].Actor.Subject != "group:integrations" {
		t.Errorf("audit entries %+v", entries)
	}
	if again := expire(); len(again) != 0 {
		t.Errorf("entries of nothing: %+v", again)
	}
	put("o1", 31, 30) // by a sync
	if got := left("o1"); len(got) != 3 {
		t.Errorf("what is too old came again: %v", got)
	}
	h.now = h.now.Add(2 * records.Lag)
	h.read(10, nothing)
	h.want("after the erasure", map[string]int64{id(0): 100, id(29): 100, id(30): 100})

	policies, err := h.Retention(t.Context(), "o1")
	if err != nil || len(policies.Items) != 9 || policies.Items[0] != (records.Policy{Kind: "orders", Days: 30}) || policies.Items[1].Days != 0 {
		t.Errorf("%+v, %v", policies, err)
	}
	if err := h.Retain(t.Context(), "o1", records.Policy{Kind: "orders"}); err != nil {
		t.Fatal(err)
	}
	put("o1", 400)
	if expire(); len(left("o1")) != 4 {
		t.Errorf("left without a policy are %v", left("o1"))
	}
}

func TestRemovalsAreForgottenInTheEnd(t *testing.T) {
	h := newHistory(t)
	h.put(h.Service, 1, 1, 2, 3)
	h.now = h.now.Add(time.Minute)
	if err := h.Orders.Remove(t.Context(), "o1", id(1)); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(records.RemovalsFor + time.Minute)
	if err := h.Orders.Remove(t.Context(), "o1", id(2)); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(time.Minute)
	if got := h.read(10, nothing); len(got) != 2 {
		t.Errorf("changes of %v, want one record and one removal", got)
	}
}
