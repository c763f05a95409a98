package connector_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
)

// pullAll reads a stream to its end and tells what its pages say has been read.
func pullAll(t *testing.T, pull func(context.Context, connector.Account, connector.Request) (connector.Page, error), a connector.Account, r connector.Request) (pages []connector.Page, err error) {
	t.Helper()
	r.Size = 10
	for range 1000 {
		page, err := pull(t.Context(), a, r)
		if err != nil {
			return pages, err
		}
		pages = append(pages, page)
		if page.Next == "" {
			return pages, nil
		}
		r.Cursor = page.Next
	}
	t.Fatal("no end after 1000 pages")
	return nil, nil
}

// accounts are three, of which some cannot be read. It tells what is read since when.
func accounts(bad map[string]error) (by connector.ByAccount, read *[]string) {
	read = new([]string)
	return connector.ByAccount{
		List: func(context.Context, connector.Account) ([]connector.SubAccount, error) {
			return []connector.SubAccount{{ID: "a", Name: "Shop A"}, {ID: "b"}, {ID: "c"}}, nil
		},
		Read: func(_ context.Context, _ connector.Account, of connector.SubAccount, r connector.Request) (connector.Page, error) {
			*read = append(*read, fmt.Sprintf("%s%s %s", of.ID, r.Cursor, r.Since.Format("15h")))
			switch {
			case bad[of.ID] != nil:
				return connector.Page{}, bad[of.ID]
			case r.Cursor == "":
				return connector.Page{Next: "2", Changed: map[string]time.Time{"a": noon, "b": noon.Add(-time.Hour)}[of.ID]}, nil
			}
			return connector.Page{}, nil
		},
	}, read
}

func TestEachAccountIsReadFromWhereItWasReadTo(t *testing.T) {
	for _, c := range []struct {
		name    string
		chosen  []string
		since   map[string]time.Time
		want    []string
		changed map[string]time.Time
	}{
		{"all", nil, nil, []string{"a 00h", "a2 00h", "b 00h", "b2 00h", "c 00h", "c2 00h"}, map[string]time.Time{"a": noon, "b": noon.Add(-time.Hour)}},
		{"the chosen one", []string{"b"}, nil, []string{"b 00h", "b2 00h"}, map[string]time.Time{"b": noon.Add(-time.Hour)}},
		{"one that is new", []string{"a", "b"}, map[string]time.Time{"a": noon}, []string{"a 12h", "a2 12h", "b 00h", "b2 00h"}, map[string]time.Time{"a": noon, "b": noon.Add(-time.Hour)}},
	} {
		by, read := accounts(nil)
		pages, err := pullAll(t, by.Pull, connector.Account{Chosen: c.chosen}, connector.Request{SinceOf: c.since})
		if err != nil || !slices.Equal(*read, c.want) {
			t.Errorf("%s: read %q, want %q, %v", c.name, *read, c.want, err)
		}
		changed := map[string]time.Time{}
		for i, page := range pages {
			if !page.Changed.IsZero() || len(page.ChangedOf) > 0 && i%2 == 0 {
				t.Errorf("%s: page %d counts as read before its account is", c.name, i)
			}
			maps.Copy(changed, page.ChangedOf)
		}
		if !maps.Equal(changed, c.changed) {
			t.Errorf("%s: read up to %v, want %v", c.name, changed, c.changed)
		}
	}
}

func TestAnAccountThatCannotBeReadStopsNoOther(t *testing.T) {
	closed := &connector.Error{Class: connector.Permanent, Code: connector.CodeAccountUnavailable, Message: "closed"}
	by, read := accounts(map[string]error{"a": closed})
	pages, err := pullAll(t, by.Pull, connector.Account{}, connector.Request{})
	e := connector.Classify(err)
	if want := []string{"a 00h", "b 00h", "b2 00h", "c 00h", "c2 00h"}; !slices.Equal(*read, want) || len(pages) != len(want) {
		t.Errorf("read %q in %d pages, want %q", *read, len(pages), want)
	}
	if err == nil || e.Class != connector.Permanent || e.Code != connector.CodeAccountUnavailable || !strings.Contains(e.Message, "Shop A") {
		t.Errorf("in the end: %v", err)
	}

	by, _ = accounts(map[string]error{"a": &connector.Error{Class: connector.Transient, Code: "vendor_down"}})
	if pages, err := pullAll(t, by.Pull, connector.Account{}, connector.Request{}); connector.Classify(err).Class != connector.Transient || len(pages) != 0 {
		t.Errorf("what passes is no reason to go on without it: %d pages, %v", len(pages), err)
	}
	by, _ = accounts(map[string]error{"c": closed})
	if pages, err := pullAll(t, by.Pull, connector.Account{}, connector.Request{}); connector.Classify(err).Code != connector.CodeAccountUnavailable || len(pages) != 4 {
		t.Errorf("the last one: %d pages, %v", len(pages), err)
	}
	by, _ = accounts(nil)
	if _, err := pullAll(t, by.Pull, connector.Account{Chosen: []string{"gone"}}, connector.Request{}); connector.Classify(err).Code != connector.CodeAccountUnavailable {
		t.Errorf("the chosen one has gone: %v", err)
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
			pages, err := pullAll(t, func(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
				return d.Pull(ctx, a, connector.SubAccount{ID: "a", TimeZone: c.zone}, r)
			}, connector.Account{}, connector.Request{Since: c.since})
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(windows); got != c.want {
				t.Errorf("windows %s, want %s", got, c.want)
			}
			if last := pages[len(pages)-1].Changed; last.Format(time.DateOnly) != windows[len(windows)-1][12:] {
				t.Errorf("read up to %s", last)
			}
		})
	}
	d := connector.Daily{History: 10, Window: 4, Now: func() time.Time { return noon }}
	if page, err := d.Pull(t.Context(), connector.Account{}, connector.SubAccount{ID: "a"}, connector.Request{}); !connectortest.Impossible(page, err) {
		t.Errorf("an account without a time zone: %v", err)
	}
	for _, cursor := range []string{"x", `{"next":"soon","last":"2026-11-22"}`,
		`{"from":"2026-11-20","last":"2026-11-22","open":[{"from":"2026-11-16","to":"2026-11-19"}]}`, // of code that meant another day
	} {
		if page, err := d.Pull(t.Context(), connector.Account{}, connector.SubAccount{TimeZone: "UTC"}, connector.Request{Cursor: cursor}); !connectortest.Impossible(page, err) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// windowsOf reads twenty days in windows of four, of two pages each, four at once. It tells what is read, and in how many pages.
func windowsOf(t *testing.T, before func(window, cursor string) error) (read []string, pages []connector.Page, err error) {
	t.Helper()
	var mu sync.Mutex
	d := connector.Daily{History: 19, Window: 4, AtOnce: 4, Now: func() time.Time { return noon }, Read: func(_ context.Context, _ connector.Account, _ connector.SubAccount, from, to time.Time, cursor string, _ int) (connector.Page, error) {
		window := from.Format("01-02") + ".." + to.Format("01-02")
		if err := before(window, cursor); err != nil {
			return connector.Page{}, err
		}
		mu.Lock()
		defer mu.Unlock()
		read = append(read, window+cursor)
		page := connector.Page{Records: connector.Records{Performance: []integrationsapi.Performance{{ID: window + cursor}}}}
		if cursor == "" {
			page.Next = " more"
		}
		return page, nil
	}}
	pages, err = pullAll(t, func(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
		return d.Pull(ctx, a, connector.SubAccount{ID: "a", TimeZone: "UTC"}, r)
	}, connector.Account{}, connector.Request{})
	return read, pages, err
}

// allWindows are those of windowsOf, with their pages.
var allWindows = []string{
	"11-03..11-06", "11-03..11-06 more", "11-07..11-10", "11-07..11-10 more", "11-11..11-14", "11-11..11-14 more",
	"11-15..11-18", "11-15..11-18 more", "11-19..11-22", "11-19..11-22 more",
}

func idsOf(pages []connector.Page) (ids []string) {
	for _, page := range pages {
		ids = append(ids, page.Records.IDs()...)
	}
	return slices.Sorted(slices.Values(ids))
}

func TestWindowsAreReadAtTheSameTime(t *testing.T) {
	var first sync.WaitGroup
	first.Add(4)
	read, pages, err := windowsOf(t, func(window, cursor string) error {
		if cursor == "" && window < "11-19" { // each waits until four have been asked for
			first.Done()
			first.Wait()
		}
		return nil
	})
	if err != nil || len(pages) != 4 || !slices.Equal(idsOf(pages), allWindows) || len(read) != len(allWindows) {
		t.Errorf("read %q in %d pages, %v", read, len(pages), err)
	}
	for i, page := range pages {
		if page.Changed.IsZero() != (i < 3) {
			t.Errorf("page %d counts as read up to %v", i, page.Changed)
		}
	}
}

func TestAWindowThatIsRefusedKeepsWhatTheOthersHaveRead(t *testing.T) {
	var mu sync.Mutex
	refused := false
	read, pages, err := windowsOf(t, func(window, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if window == "11-07..11-10" && !refused {
			refused = true
			return &connector.Error{Class: connector.Throttled, Code: connector.CodeThrottled, Wait: 3 * time.Second}
		}
		return nil
	})
	if err != nil || !slices.Equal(idsOf(pages), allWindows) || len(read) != len(allWindows) {
		t.Errorf("read %q, %v", read, err)
	}
	if pages[0].Refused == nil || pages[0].Refused.Wait != 3*time.Second || len(idsOf(pages[:1])) != 3 {
		t.Errorf("of the first page %v is refused, and it has %q", pages[0].Refused, idsOf(pages[:1]))
	}
	for i, page := range pages[1:] {
		if page.Records.Len() != 1 {
			t.Errorf("page %d is of %d windows, although the vendor has asked to wait", i+2, page.Records.Len())
		}
	}
	_, pages, err = windowsOf(t, func(window, _ string) error {
		if window == "11-07..11-10" {
			return &connector.Error{Class: connector.TooLarge}
		}
		return nil
	})
	if connector.Classify(err).Class != connector.TooLarge || len(pages) > 0 {
		t.Errorf("one is of another kind: %d pages, %v", len(pages), err)
	}
}

func TestWindowsThatAreAllRefusedAreReadInTurn(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	_, pages, err := windowsOf(t, func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		asked++
		return &connector.Error{Class: connector.Throttled, Wait: time.Duration(asked) * time.Second}
	})
	if len(pages) != 1 || pages[0].Refused == nil || pages[0].Refused.Wait != 4*time.Second || pages[0].Records.Len() > 0 {
		t.Errorf("the first time: %+v", pages)
	}
	if connector.Classify(err).Class != connector.Throttled || asked != 5 {
		t.Errorf("the second time: %d windows asked for, %v", asked, err)
	}
}

func TestAPanicInAWindowIsAnError(t *testing.T) {
	_, _, err := windowsOf(t, func(window, _ string) error {
		if window == "11-07..11-10" {
			panic("broken")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "panic: broken") {
		t.Error(err)
	}
}

// Webhooks about an account find the connections that read it.
func TestTheFirstPageTellsWhichAccountsAreRead(t *testing.T) {
	by, _ := accounts(nil)
	for _, chosen := range [][]string{nil, {"b", "c"}} {
		pages, err := pullAll(t, by.Pull, connector.Account{Chosen: chosen}, connector.Request{})
		want := chosen
		if want == nil {
			want = []string{"a", "b", "c"}
		}
		if err != nil || !slices.Equal(pages[0].Accounts, want) {
			t.Errorf("%q are read, want %q, %v", pages[0].Accounts, want, err)
		}
		for i, page := range pages[1:] {
			if page.Accounts != nil {
				t.Errorf("page %d tells it, too", i+2)
			}
		}
	}
}
