package sync_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
)

// bad are the records in quarantine.
func (f *fixture) bad() []sync.BadRecord {
	f.t.Helper()
	page, err := f.Quarantine(f.t.Context(), org, f.connection, "", 200)
	if err != nil {
		f.t.Fatal(err)
	}
	return page.Items
}

// spoil has the vendor send so many pages each with a record of which a field is missing.
func (f *fixture) spoil(field string, pages int) {
	f.t.Helper()
	f.admin("POST faults", fmt.Sprintf(`{"kind":"spoil_record","field":%q,"times":%d}`, field, pages))
}

func TestARecordThatIsNoneStopsNoOther(t *testing.T) {
	for _, field := range []string{"id", "currencyCode", "processedAt", "updatedAt"} {
		t.Run(field, func(t *testing.T) {
			f := open(t, 113)
			f.spoil(field, 2)
			if got, want := f.sync(sync.Backfill), (sync.Counts{Records: 111, Changed: 111, Pages: 5, Quarantined: 2}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			bad := f.bad()
			if len(bad) != 2 || bad[0].Problem == "" || bad[0].Stream != "orders" || (bad[0].RecordID == "") != (field == "id") || bad[0].Raw != "" {
				t.Fatalf("%+v", bad)
			}
			one, err := f.Bad(t.Context(), org, bad[0].ID)
			if err != nil || !strings.Contains(one.Raw, "gid://shopify/") && field != "id" || !strings.Contains(one.Raw, field) {
				t.Errorf("%+v, %v", one, err)
			}
			// The vendor has mended it: it is read again, as nothing else is needed.
			run, err := f.Replay(t.Context(), org, bad[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			if run = f.drive(run.ID, 50); run.Status != runs.Succeeded {
				t.Fatalf("%s: %+v", run.Status, run.Error)
			}
			if bad := f.bad(); len(bad) != 0 {
				t.Errorf("still in quarantine: %+v", bad)
			}
			f.check()
		})
	}
}

func TestARecordThatStaysBadStaysInQuarantineOnce(t *testing.T) {
	f := open(t, 30)
	f.sync(sync.Backfill)
	f.clock.pass(time.Hour)
	f.place(90001, 4200)
	f.spoil("currencyCode", 1)
	if got := f.sync(sync.Incremental); got.Quarantined != 1 {
		t.Fatalf("%+v", got)
	}
	first := f.bad()
	f.spoil("currencyCode", 1)
	run, err := f.Replay(t.Context(), org, first[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	f.drive(run.ID, 50)
	again := f.bad()
	if len(again) != 1 || again[0].ID != first[0].ID || again[0].RunID != run.ID || !again[0].FirstAt.Equal(first[0].FirstAt.Time) || !again[0].LastAt.After(first[0].LastAt.Time) {
		t.Errorf("%+v, then %+v", first, again)
	}
	if v := f.view(run.ID); v.Quarantined != 1 || v.Records > 10 {
		t.Errorf("the replay of what was met by an incremental sync: %+v", v)
	}
	if run, err = f.Replay(t.Context(), org, again[0].ID); err != nil {
		t.Fatal(err)
	}
	f.drive(run.ID, 50)
	if bad := f.bad(); len(bad) != 0 {
		t.Errorf("still in quarantine: %+v", bad)
	}
	// A good version drops it by its id, although the sync does not read from where it was met.
	f.spoil("currencyCode", 1)
	f.sync(sync.Backfill)
	bad := f.bad()
	id, err := strconv.Atoi(bad[0].RecordID)
	if err != nil || len(bad) != 1 {
		t.Fatalf("%+v, %v", bad, err)
	}
	f.clock.pass(time.Hour)
	f.admin("POST orders", fmt.Sprintf(`{"orders":[{"id":%d,"total":"0.07"}]}`, id))
	f.sync(sync.Incremental)
	if bad := f.bad(); len(bad) != 0 {
		t.Errorf("still in quarantine: %+v", bad)
	}
}

// TestWhoWasErasedIsNotInQuarantine has a customer be sent who is not valid, and mentions somebody who was erased.
func TestWhoWasErasedIsNotInQuarantine(t *testing.T) {
	f := open(t, 30)
	f.spoil("updatedAt", 1)
	if run := f.drive(f.startOf("customers", sync.Backfill).ID, 50); run.Status != runs.Succeeded {
		t.Fatalf("%s: %+v", run.Status, run.Error)
	}
	bad := f.bad()
	if len(bad) != 1 {
		t.Fatalf("%+v", bad)
	}
	one, err := f.Bad(t.Context(), org, bad[0].ID)
	addresses := records.AddressesIn(one.Raw)
	if err != nil || len(addresses) != 1 {
		t.Fatalf("%q mentions %q, %v", one.Raw, addresses, err)
	}
	if _, err := f.records.Erase(t.Context(), org, addresses[0]); err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(t.Context(), org, one.ID); err != nil {
		t.Fatal(err)
	}
	f.spoil("updatedAt", 1)
	if run := f.drive(f.startOf("customers", sync.Backfill).ID, 50); run.Status != runs.Succeeded {
		t.Fatalf("%s: %+v", run.Status, run.Error)
	}
	if bad := f.bad(); len(bad) != 0 {
		t.Errorf("in quarantine again: %+v", bad)
	}
}

func TestTheQuarantineIsTheOrganizations(t *testing.T) {
	f := open(t, 30)
	f.spoil("id", 1)
	f.sync(sync.Backfill)
	bad := f.bad()
	if page, err := f.Quarantine(t.Context(), "o2", "", "", 10); err != nil || len(page.Items) != 0 {
		t.Errorf("another's: %+v, %v", page, err)
	}
	for _, c := range []struct {
		organization, connection, word string
		want                           int
	}{{org, "", "displayFinancialStatus", 1}, {org, f.connection, "displayFinancialStatus", 1}, {org, "another", "displayFinancialStatus", 0}, {"o2", "", "displayFinancialStatus", 0}, {org, "", "rubbish", 0}} {
		found, err := f.BadAbout(t.Context(), c.organization, c.connection, func(b sync.BadRecord) bool { return strings.Contains(b.Raw, c.word) })
		if err != nil || len(found) != c.want {
			t.Errorf("%+v: %d, %v", c, len(found), err)
		}
	}
	_, showErr := f.Bad(t.Context(), "o2", bad[0].ID)
	_, replayErr := f.Replay(t.Context(), "o2", bad[0].ID)
	for name, err := range map[string]error{"show": showErr, "replay": replayErr, "discard": f.Discard(t.Context(), "o2", bad[0].ID)} {
		if problem.Code(err) != problem.CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.Discard(t.Context(), org, bad[0].ID); err != nil || len(f.bad()) != 0 {
		t.Errorf("%v, %+v", err, f.bad())
	}
	if _, err := f.Quarantine(t.Context(), org, "", "rubbish", 10); !errors.Is(err, store.ErrBadCursor) {
		t.Errorf("a cursor of nothing: %v", err)
	}
}

func TestAVendorThatSendsNothingGoodFailsTheSync(t *testing.T) {
	f := open(t, 1400)
	f.spoilAll = true
	run := f.drive(f.start(sync.Backfill).ID, 300)
	if run.Status != runs.Failed || run.Error.Code != connector.CodeBadAnswer {
		t.Errorf("%s: %+v", run.Status, run.Error)
	}
	if v := f.view(run.ID); v.Records != 0 || v.Quarantined == 0 || v.Quarantined > 1000 {
		t.Errorf("%+v", v)
	}
}
