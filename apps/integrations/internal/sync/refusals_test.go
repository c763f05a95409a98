package sync_test

import (
	"context"
	stdsync "sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// scripted is a vendor that answers as a test says, and allows as many requests as windows say.
type scripted struct {
	now     func() time.Time
	windows []connector.Window
	// answer is that to the n-th request for a page of a stream, from 1 on.
	answer func(stream string, n int, r connector.Request) (connector.Page, error)

	mu    stdsync.Mutex
	asked map[string][]time.Time
}

func (s *scripted) Vendor() string { return "scripted" }

func (s *scripted) Identify(context.Context, connector.Account) (connector.Identity, error) {
	return connector.Identity{ID: "it", Account: "it", Title: "It"}, nil
}

func (s *scripted) Limits() []connector.Limit { return []connector.Limit{{Windows: s.windows}} }

func (s *scripted) Streams() (all []connector.Stream) {
	for _, name := range []string{"customers", "products"} {
		all = append(all, connector.Stream{Name: name, PageSize: 10, Pull: func(_ context.Context, _ connector.Account, r connector.Request) (connector.Page, error) {
			s.mu.Lock()
			s.asked[name] = append(s.asked[name], s.now())
			n := len(s.asked[name])
			s.mu.Unlock()
			return s.answer(name, n, r)
		}})
	}
	return all
}

// costs is what a page tells that took so many requests.
func (s *scripted) costs(requests float64) *connector.Budget {
	b := connector.Bucket(s.windows, 1)
	b.Cost = requests
	return &b
}

// connectScripted has the vendor connected in two processes.
func connectScripted(t *testing.T, s *scripted) (*fixture, []process) {
	t.Helper()
	f := open(t, 1)
	s.now, s.asked = f.clock.now, map[string][]time.Time{}
	f.more = []connector.Connector{s}
	processes := []process{f.process(), f.process()}
	c, _, err := f.connections.Connect(t.Context(), org, s.Vendor(), "it", connector.Credentials{AccessToken: secrets.New("token")})
	if err != nil {
		t.Fatal(err)
	}
	f.connection = c.ID
	return f, processes
}

// begin starts a sync in a process, and drives it once.
func (f *fixture) begin(in process, stream string) (id string, outcome runs.Outcome) {
	f.t.Helper()
	run, err := in.Start(f.t.Context(), org, sync.Input{ConnectionID: f.connection, Stream: stream, Mode: sync.Backfill})
	if err != nil {
		f.t.Fatal(err)
	}
	if outcome, err = in.runner.Drive(f.t.Context(), f.executor.last[run.ID]); err != nil {
		f.t.Fatal(err)
	}
	return run.ID, outcome
}

func TestAllSyncsWaitForAsLongAsARefusalSays(t *testing.T) {
	const wait = 30 * time.Second
	refusal := &connector.Error{Class: connector.Throttled, Code: connector.CodeThrottled, Wait: wait}
	for _, c := range []struct {
		name string
		page connector.Page
		err  error
	}{
		{"of a page", connector.Page{}, refusal},
		{"of a part of a page", connector.Page{Next: "2", Refused: refusal}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			vendor := &scripted{windows: []connector.Window{{Requests: 10, Per: time.Second}}, answer: func(stream string, n int, _ connector.Request) (connector.Page, error) {
				if stream == "customers" && n == 1 {
					return c.page, c.err
				}
				return connector.Page{}, nil
			}}
			f, processes := connectScripted(t, vendor)
			first, outcome := f.begin(processes[0], "customers")
			if outcome.Wait < wait-time.Second {
				t.Errorf("the sync that was refused waits %v", outcome.Wait)
			}
			second, outcome := f.begin(processes[1], "products")
			f.clock.pass(outcome.Wait)
			for _, id := range []string{second, first} {
				if run := f.drive(id, 10); run.Status != runs.Succeeded {
					t.Errorf("%s: %+v", run.Status, run.Error)
				}
			}
			for _, again := range []time.Time{vendor.asked["products"][0], vendor.asked["customers"][1]} {
				if after := again.Sub(vendor.asked["customers"][0]); after < wait-time.Second || after > wait+10*time.Second {
					t.Errorf("asked again after %v", after)
				}
			}
		})
	}
}

func TestAPageThatFailsIsPaid(t *testing.T) {
	for _, class := range []connector.Class{connector.TooLarge, connector.Throttled} {
		t.Run(string(class), func(t *testing.T) {
			vendor := &scripted{windows: []connector.Window{{Requests: 10, Per: time.Second}}}
			vendor.answer = func(_ string, n int, _ connector.Request) (connector.Page, error) {
				if n == 1 {
					return connector.Page{Budget: vendor.costs(300)}, &connector.Error{Class: class, Code: connector.CodeUnavailable}
				}
				return connector.Page{}, nil
			}
			f, _ := connectScripted(t, vendor)
			if run := f.drive(f.startOf("customers", sync.Backfill).ID, 20); run.Status != runs.Succeeded {
				t.Fatalf("%s: %+v", run.Status, run.Error)
			}
			if asked := vendor.asked["customers"]; len(asked) != 2 || asked[1].Sub(asked[0]) < 25*time.Second {
				t.Errorf("asked at %v", asked)
			}
		})
	}
}

func TestALimitThatIsDeclaredNoMoreEnds(t *testing.T) {
	vendor := &scripted{windows: []connector.Window{{Requests: 2, Per: time.Minute}}}
	vendor.answer = func(_ string, _ int, r connector.Request) (page connector.Page, err error) {
		if vendor.windows != nil {
			page.Budget = vendor.costs(2)
		}
		page.Next = map[string]string{"": "2", "2": "3", "3": "4"}[r.Cursor]
		return page, nil
	}
	f, _ := connectScripted(t, vendor)
	took := func() time.Duration {
		began := f.clock.now()
		f.syncOf("customers", sync.Backfill)
		return f.clock.now().Sub(began)
	}
	if took := took(); took < time.Minute {
		t.Fatalf("with the limit it takes %v", took)
	}
	vendor.windows = nil
	if took := took(); took > 10*time.Second {
		t.Errorf("without it still %v", took)
	}
}

func TestAPanicWhileAPageIsReadAheadIsAnError(t *testing.T) {
	vendor := &scripted{answer: func(_ string, n int, r connector.Request) (connector.Page, error) {
		if n == 2 {
			panic("broken")
		}
		return connector.Page{Next: map[string]string{"": "2", "2": "3"}[r.Cursor]}, nil
	}}
	f, _ := connectScripted(t, vendor)
	if run := f.drive(f.startOf("customers", sync.Backfill).ID, 20); run.Status != runs.Succeeded {
		t.Errorf("%s: %+v", run.Status, run.Error)
	}
	if n := len(vendor.asked["customers"]); n != 4 {
		t.Errorf("%d pages were asked for, want 3 and one again", n)
	}
}
