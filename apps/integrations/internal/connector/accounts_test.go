package connector_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// pullAll reads a stream to its end and tells what the last page says has been read.
func pullAll(t *testing.T, pull func(context.Context, connector.Account, connector.Request) (connector.Page, error), a connector.Account, since time.Time) (changed []time.Time) {
	t.Helper()
	r := connector.Request{Since: since, Size: 10}
	for range 1000 {
		page, err := pull(t.Context(), a, r)
		if err != nil {
			t.Fatal(err)
		}
		changed = append(changed, page.Changed)
		if page.Next == "" {
			return changed
		}
		r.Cursor = page.Next
	}
	t.Fatal("no end after 1000 pages")
	return nil
}

// One account that is read must not make those that are not look as if they were.
func TestAccountsCountAsReadTogether(t *testing.T) {
	var read []string
	newest := map[string]time.Time{"a": noon, "b": noon.Add(-time.Hour)}
	by := connector.ByAccount{
		List: func(context.Context, connector.Account) ([]connector.SubAccount, error) {
			return []connector.SubAccount{{ID: "a"}, {ID: "b"}, {ID: "c"}}, nil
		},
		Read: func(_ context.Context, _ connector.Account, of connector.SubAccount, r connector.Request) (connector.Page, error) {
			read = append(read, of.ID+r.Cursor)
			if r.Cursor == "" {
				return connector.Page{Next: "2", Changed: newest[of.ID]}, nil
			}
			return connector.Page{}, nil
		},
	}
	changed := pullAll(t, by.Pull, connector.Account{}, time.Time{})
	if want := []string{"a", "a2", "b", "b2", "c", "c2"}; !slices.Equal(read, want) {
		t.Errorf("read %q, want %q", read, want)
	}
	for i, at := range changed {
		if last := i == len(changed)-1; last != at.Equal(noon) || !last && !at.IsZero() {
			t.Errorf("page %d says %s", i, at)
		}
	}
	read = nil
	pullAll(t, by.Pull, connector.Account{Chosen: []string{"b"}}, time.Time{})
	if want := []string{"b", "b2"}; !slices.Equal(read, want) {
		t.Errorf("read %q of the chosen one, want %q", read, want)
	}
}

func TestDaysAreReadInWindows(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		since      time.Time
		want       string
	}{
		{"all there is", "UTC", time.Time{}, "[2026-11-12..2026-11-15 2026-11-16..2026-11-19 2026-11-20..2026-11-22]"},
		{"since a day", "UTC", noon.AddDate(0, 0, -2), "[2026-11-20..2026-11-22]"},
		{"since the day itself", "UTC", noon, "[2026-11-22..2026-11-22]"},
		{"since before all", "UTC", noon.AddDate(-1, 0, 0), "[2026-11-12..2026-11-15 2026-11-16..2026-11-19 2026-11-20..2026-11-22]"},
		{"where it is tomorrow already", "Pacific/Kiritimati", noon, "[2026-11-22..2026-11-23]"},
		{"after today", "UTC", noon.AddDate(0, 0, 2), "[2026-11-22..2026-11-22]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var windows []string
			d := connector.Daily{History: 10, Window: 4, Now: func() time.Time { return noon }, Read: func(_ context.Context, _ connector.Account, _ connector.SubAccount, from, to time.Time, cursor string, _ int) (connector.Page, error) {
				if cursor == "" {
					windows = append(windows, from.Format(time.DateOnly)+".."+to.Format(time.DateOnly))
					return connector.Page{Next: "more"}, nil
				}
				return connector.Page{}, nil
			}}
			changed := pullAll(t, func(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
				return d.Pull(ctx, a, connector.SubAccount{ID: "a", TimeZone: c.zone}, r)
			}, connector.Account{}, c.since)
			if got := fmt.Sprint(windows); got != c.want {
				t.Errorf("windows %s, want %s", got, c.want)
			}
			if last := changed[len(changed)-1]; last.Format(time.DateOnly) != windows[len(windows)-1][12:] {
				t.Errorf("read up to %s", last)
			}
		})
	}
	d := connector.Daily{History: 10, Window: 4, Now: func() time.Time { return noon }}
	for _, cursor := range []string{"x", `{"from":"soon","last":"2026-11-22"}`} {
		if _, err := d.Pull(t.Context(), connector.Account{}, connector.SubAccount{TimeZone: "UTC"}, connector.Request{Cursor: cursor}); connector.Classify(err).Code != connector.CodeBadAnswer {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}
