package audit

import (
	"errors"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const aDay = 24 * time.Hour

func (f *fixture) keep(t *testing.T, organization string, days int) {
	t.Helper()
	_, err := f.SetRetention(t.Context(), organization, authapi.AuditRetention{Days: days}, -1)
	must(t, err)
}

func TestRetentionKeepsTheRestProvable(t *testing.T) {
	f := newFixture(t)
	f.keep(t, acme, 30)
	f.relay(t) // 1: the retention itself
	f.record(t, acme, "ada", 4)
	f.Pass(20 * aDay)
	f.record(t, acme, "ada", 3)
	f.record(t, globex, "grace", 2)
	whole := f.verified(t, acme)
	must(t, f.Trim(t.Context()))
	if v := f.verified(t, acme); v.Checked != 8 || v.Start.Sequence != 0 {
		t.Errorf("nothing is old: %+v", v)
	}
	f.Pass(15 * aDay)
	must(t, f.Trim(t.Context()))
	v := f.verified(t, acme)
	if !v.OK || v.From != 6 || v.To != 8 || v.Checked != 3 || v.Start.Sequence != 5 || v.Head != whole.Head {
		t.Errorf("after the cut: %+v", v)
	}
	f.relay(t)
	list, err := f.List(t.Context(), acme, Filter{}, "", 10)
	must(t, err)
	if sequences(list.Items) != "[9 8 7 6]" || list.Items[0].Action != "auth.audit.trim" || list.Items[0].Details["first"] != "1" || list.Items[0].Details["last"] != "5" {
		t.Errorf("entries %+v", list.Items)
	}
	if v := f.verified(t, globex); !v.OK || v.Checked != 2 {
		t.Errorf("the other organization's: %+v", v)
	}
	// Also when all of it is old.
	f.Pass(60 * aDay)
	must(t, f.Trim(t.Context()))
	if v := f.verified(t, acme); !v.OK || v.Checked != 0 || v.Start.Sequence != 9 || v.Head.Sequence != 9 {
		t.Errorf("all was old: %+v", v)
	}
	f.relay(t)
	f.record(t, acme, "ada", 2)
	if v := f.verified(t, acme); !v.OK || v.From != 10 || v.To != 12 {
		t.Errorf("and goes on: %+v", v)
	}
	f.tamper(t, acme, 10, func(r *record) { r.Previous[0]++; r.Hash, _ = r.digest(acme, f.at(t, acme, 10).ID) })
	if v := f.verified(t, acme); v.OK || v.Broken != 10 {
		t.Errorf("the first that is left is another: %+v", v)
	}
}

// TestACutThatWasInterrupted has the process end after it moved the beginning, before it deleted.
func TestACutThatWasInterrupted(t *testing.T) {
	f := newFixture(t)
	f.record(t, acme, "ada", 5)
	must(t, f.cut(t.Context(), acme, mark{}, f.at(t, acme, 3).Value.mark()))
	if v := f.verified(t, acme); !v.OK || v.From != 4 || v.Checked != 2 {
		t.Errorf("before the next run: %+v", v)
	}
	must(t, f.cut(t.Context(), acme, mark{}, f.at(t, acme, 5).Value.mark())) // another process that decided before
	must(t, f.Trim(t.Context()))
	if n, err := f.d.records.In(acme).Count(t.Context(), store.Query{}); err != nil || n != 2 {
		t.Errorf("%d records, %v", n, err)
	}
	if v := f.verified(t, acme); !v.OK || v.From != 4 || v.Checked != 2 {
		t.Errorf("after it: %+v", v)
	}
}

func TestABrokenLogIsNotTrimmed(t *testing.T) {
	f := newFixture(t)
	f.record(t, acme, "ada", 5)
	f.record(t, globex, "grace", 5)
	f.tamper(t, acme, 3, func(r *record) { r.Code = "x" })
	f.Pass(500 * aDay)
	if err := f.Trim(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
	if v := f.verified(t, acme); v.OK || v.Broken != 3 {
		t.Errorf("the proof of the change: %+v", v)
	}
	if v := f.verified(t, globex); v.Start.Sequence != 5 {
		t.Errorf("the other organization's log was not trimmed: %+v", v)
	}
}

func TestRetentionIsVersioned(t *testing.T) {
	f := newFixture(t)
	r, version, err := f.Retention(t.Context(), acme)
	must(t, err)
	if r.Days != 400 || version != 0 {
		t.Errorf("retention %+v at version %d", r, version)
	}
	for _, step := range []struct {
		version, want int64
		code          string
	}{{1, 0, problem.CodePrecondition}, {0, 1, ""}, {0, 0, problem.CodePrecondition}, {1, 2, ""}, {1, 0, problem.CodePrecondition}, {-1, 3, ""}} {
		version, err := f.SetRetention(t.Context(), acme, authapi.AuditRetention{Days: 90}, step.version)
		if problem.Code(err) != step.code || version != step.want {
			t.Errorf("set at version %d: version %d, %v", step.version, version, err)
		}
	}
	f.relay(t)
	list, err := f.List(t.Context(), acme, Filter{Action: "auth.audit.retention"}, "", 10)
	must(t, err)
	if len(list.Items) != 3 || list.Items[2].Details["before"] != "400" || list.Items[2].Details["days"] != "90" {
		t.Errorf("entries %+v", list.Items)
	}
	if r, _, err := f.Retention(t.Context(), globex); err != nil || r.Days != 400 {
		t.Errorf("the other organization's: %+v, %v", r, err)
	}
}
