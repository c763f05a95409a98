package audit

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/store"
)

// mixed has 120 entries of four actors, three actions, two resources and two results recorded, a minute apart.
func mixed(t *testing.T, f *fixture) (begin time.Time) {
	t.Helper()
	begin = f.Now()
	actions := []string{"auth.sessions.revoke", "auth.auth.login", "integrations.sync.start"}
	for i := range 120 {
		e := audit.Entry{
			At: begin.Add(time.Duration(i) * time.Minute), Action: actions[i%3], Actor: audit.Actor{Subject: fmt.Sprint("user-", i%4)},
			Resource: fmt.Sprint("session:", i%2),
		}
		if i%5 == 0 {
			e.Result, e.Code = audit.Denied, "permission_denied"
		}
		must(t, f.Record(t.Context(), told(acme, fmt.Sprint("event-", i), e)))
	}
	return begin
}

func TestFilters(t *testing.T) {
	f := newFixture(t)
	begin := mixed(t, f)
	f.record(t, globex, "user-0", 1)
	for name, test := range map[string]struct {
		filter Filter
		fits   func(i int) bool
	}{
		"all":              {Filter{}, func(int) bool { return true }},
		"actor":            {Filter{Actor: "user-1"}, func(i int) bool { return i%4 == 1 }},
		"action":           {Filter{Action: "auth.auth.login"}, func(i int) bool { return i%3 == 1 }},
		"group":            {Filter{Action: "auth."}, func(i int) bool { return i%3 < 2 }},
		"half a word":      {Filter{Action: "auth.auth.lo"}, func(i int) bool { return i%3 == 1 }},
		"half a module":    {Filter{Action: "auth.se"}, func(i int) bool { return i%3 == 0 }},
		"resource":         {Filter{Resource: "session:1"}, func(i int) bool { return i%2 == 1 }},
		"result":           {Filter{Result: audit.Denied}, func(i int) bool { return i%5 == 0 }},
		"actor and action": {Filter{Actor: "user-1", Action: "auth.auth"}, func(i int) bool { return i%4 == 1 && i%3 == 1 }},
		"all at once": {Filter{Actor: "user-0", Action: "auth.sessions.", Resource: "session:0", Result: audit.Denied, From: begin, To: begin.Add(100 * time.Minute)},
			func(i int) bool { return i%60 == 0 && i < 100 }},
		"time":    {Filter{From: begin.Add(10 * time.Minute), To: begin.Add(20 * time.Minute)}, func(i int) bool { return i >= 10 && i < 20 }},
		"nobody":  {Filter{Actor: "user-9"}, func(int) bool { return false }},
		"nothing": {Filter{Action: "auth.legal.accept"}, func(int) bool { return false }},
	} {
		var want []int64 // newest first
		for i := 119; i >= 0; i-- {
			if test.fits(i) {
				want = append(want, int64(i+1))
			}
		}
		for _, limit := range []int{1, 7, 200} {
			got := []int64{}
			for cursor, pages := "", 0; ; pages++ {
				list, err := f.List(t.Context(), acme, test.filter, cursor, limit)
				must(t, err)
				if len(list.Items) > limit {
					t.Fatalf("%s: a page of %d entries, limit %d", name, len(list.Items), limit)
				}
				for _, e := range list.Items {
					got = append(got, e.Sequence)
				}
				if cursor = list.NextCursor; cursor == "" {
					break
				}
				if pages > 130 {
					t.Fatalf("%s: no end", name)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) && len(got)+len(want) > 0 {
				t.Errorf("%s, by %d: %v, want %v", name, limit, got, want)
			}
		}
		var each []authapi.AuditEntry
		must(t, f.Each(t.Context(), acme, test.filter, func(e authapi.AuditEntry) error { each = append(each, e); return nil }))
		if len(each) != len(want) || len(each) > 0 && each[0].Sequence != want[len(want)-1] {
			t.Errorf("%s, oldest first: %s", name, sequences(each))
		}
		plan, err := f.d.records.In(acme).Explain(t.Context(), test.filter.query(), nil, nil)
		if err != nil || plan.Index == "scan" || plan.Sorts {
			t.Errorf("%s: plan %+v, %v", name, plan, err)
		}
	}
}

func TestListBounds(t *testing.T) {
	f := newFixture(t)
	mixed(t, f)
	_, err := f.List(t.Context(), acme, Filter{}, "no cursor", 10)
	if !errors.Is(err, store.ErrBadCursor) {
		t.Errorf("a cursor that is none: %v", err)
	}
	list, err := f.List(t.Context(), acme, Filter{}, "", 10)
	must(t, err)
	if _, err = f.List(t.Context(), globex, Filter{}, list.NextCursor, 10); !errors.Is(err, store.ErrBadCursor) {
		t.Errorf("another organization's cursor: %v", err)
	}
	stop := errors.New("stop")
	if err := f.Each(t.Context(), acme, Filter{}, func(authapi.AuditEntry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error of a visit: %v", err)
	}
}

// TestAWholeExportIsTheChain has an entry that came late, of what happened before the one ahead of it.
func TestAWholeExportIsTheChain(t *testing.T) {
	f := newFixture(t)
	f.record(t, acme, "ada", 2)
	late := f.entryBy("bob")
	late.At = late.At.Add(-time.Hour)
	must(t, f.Record(t.Context(), told(acme, "late", late)))
	f.record(t, acme, "ada", 1)
	var all []authapi.AuditEntry
	must(t, f.Each(t.Context(), acme, Filter{}, func(e authapi.AuditEntry) error { all = append(all, e); return nil }))
	if sequences(all) != "[1 2 3 4]" {
		t.Errorf("exported %s", sequences(all))
	}
}
