package sync_test

import (
	"context"
	"fmt"
	stdsync "sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// platform is an advertising platform with two accounts, of which figures are read in windows at the same time. Every campaign has figures
// on each of historyDays days; a page has one campaign's.
type platform struct {
	now func() time.Time

	mu     stdsync.Mutex
	reads  int
	before func(n int)
}

const (
	historyDays = 60
	campaigns   = 2
)

func (p *platform) Vendor() string { return "platform" }

func (p *platform) Identify(context.Context, connector.Account) (connector.Identity, error) {
	return connector.Identity{ID: "business", Account: "business", Title: "Business"}, nil
}

func (p *platform) Accounts(context.Context, connector.Account) ([]connector.SubAccount, error) {
	return []connector.SubAccount{{ID: "a", Currency: "USD", TimeZone: "UTC"}, {ID: "b", Currency: "USD", TimeZone: "UTC"}}, nil
}

func (p *platform) Streams() []connector.Stream {
	return connector.Advertising{Accounts: p.Accounts, Days: p.days, DaysPage: 100, CampaignsPage: 100, Window: 7, Now: p.now}.Streams()[1:]
}

func (p *platform) first() time.Time {
	return p.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-historyDays)
}

func (p *platform) days(ctx context.Context, a connector.Account, of connector.SubAccount, from, to time.Time, cursor string, _ int) (connector.Page, error) {
	p.mu.Lock()
	p.reads++
	n, before := p.reads, p.before
	p.mu.Unlock()
	if before != nil {
		before(n)
	}
	if ctx.Err() != nil {
		return connector.Page{}, ctx.Err()
	}
	var page connector.Page
	campaign := "1"
	if cursor != "" {
		campaign = cursor
	} else {
		page.Next = fmt.Sprint(campaigns)
	}
	for day := from; !day.After(to); day = day.AddDate(0, 0, 1) {
		if day.Before(p.first()) {
			continue
		}
		page.Records.Performance = append(page.Records.Performance, integrationsapi.Performance{
			ID: a.Connection + ":" + of.ID + campaign + ":" + day.Format(time.DateOnly), ConnectionID: a.Connection, Vendor: p.Vendor(), AccountID: of.ID,
			CampaignID: a.Connection + ":" + of.ID + campaign, Day: store.At(day), TimeZone: "UTC", Currency: "USD", SpendMinor: int64(day.YearDay()), Impressions: 1,
		})
	}
	return page, nil
}

// connectPlatform is a fixture with a platform that is connected.
func connectPlatform(t *testing.T) (*fixture, *platform) {
	t.Helper()
	f := open(t, 1)
	p := &platform{now: f.clock.now}
	f.more = []connector.Connector{p}
	f.restart()
	c, _, err := f.connections.Connect(t.Context(), org, p.Vendor(), "business", connector.Credentials{AccessToken: secrets.New("token")})
	if err != nil {
		t.Fatal(err)
	}
	f.connection = c.ID
	return f, p
}

// checkDays compares the figures with those that there are, each once.
func (f *fixture) checkDays(p *platform) {
	f.t.Helper()
	got := map[string]int64{}
	n := 0
	for cursor := ""; ; {
		page, err := f.records.Performance.Page(f.t.Context(), org, "", records.Range{}, cursor, 1000)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, one := range page.Items {
			n++
			got[one.ID] = one.SpendMinor
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if want := 2 * campaigns * historyDays; n != want || len(got) != want {
		f.t.Errorf("%d figures of %d days of campaigns, want %d", n, len(got), want)
	}
	for day := p.first(); !day.After(p.now()); day = day.AddDate(0, 0, 1) {
		for _, campaign := range []string{"a1", "a2", "b1", "b2"} {
			if id := f.connection + ":" + campaign + ":" + day.Format(time.DateOnly); got[id] != int64(day.YearDay()) {
				f.t.Fatalf("%s is %d", id, got[id])
			}
		}
	}
}

func TestAProcessKilledWhileItReadsSeveralWindowsLosesAndRepeatsNothing(t *testing.T) {
	whole, p := connectPlatform(t)
	if counts := whole.syncOf("performance", sync.Backfill); counts.Records != 2*campaigns*historyDays || counts.Changed != counts.Records {
		t.Errorf("without a kill: %+v", counts)
	}
	whole.checkDays(p)
	all := p.reads
	for n := 1; n <= all; n += 37 {
		t.Run(fmt.Sprintf("at read %d of %d", n, all), func(t *testing.T) {
			f, p := connectPlatform(t)
			run := f.startOf("performance", sync.Backfill)
			ctx, kill := context.WithCancel(t.Context())
			p.before = func(i int) {
				if i == n {
					kill()
				}
			}
			// The step that is cut off has kept pages, and nothing of it is recorded.
			for ctx.Err() == nil {
				if outcome, _ := f.runner.Drive(ctx, f.executor.last[run.ID]); outcome.Done {
					t.Fatal("it has ended before")
				}
			}
			f.clock.pass(time.Minute) // beyond the lease
			f.restart()
			if run = f.drive(run.ID, 200); run.Status != runs.Succeeded {
				t.Fatalf("%s: %+v", run.Status, run.Error)
			}
			f.checkDays(p)
			at, err := f.connections.Get(t.Context(), org, f.connection)
			if err != nil {
				t.Fatal(err)
			}
			if read := at.Streams["performance"].Watermarks; len(read) != 2 || read["a"].Format(time.DateOnly) != p.now().UTC().Format(time.DateOnly) {
				t.Errorf("read up to %v", read)
			}
		})
	}
}
