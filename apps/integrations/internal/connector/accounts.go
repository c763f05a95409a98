package connector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
)

// ByAccount reads a stream of a vendor whose authorizations open several accounts: the chosen ones, one after the other, each from
// where it was read to. One that cannot be read keeps none of the others from being read; its error comes when they are.
type ByAccount struct {
	// List are the accounts there are (see Lister).
	List func(ctx context.Context, a Account) ([]SubAccount, error)
	// Read reads a page of one account: an *Error.
	Read func(ctx context.Context, a Account, of SubAccount, r Request) (Page, error)
}

// at is the cursor of ByAccount.
type at struct {
	// Accounts are those that are not read yet, the current one first.
	Accounts []SubAccount `json:"accounts"`
	// Cursor is the current one's.
	Cursor string `json:"cursor,omitempty"`
	// Changed is the newest change of the current one so far, in Unix microseconds.
	Changed int64 `json:"changed,omitempty"`
	// Failed are the names of those that could not be read, Code is why the last one could not.
	Failed []string `json:"failed,omitempty"`
	Code   string   `json:"code,omitempty"`
}

// failure names the accounts that could not be read.
func (now at) failure(cause error) error {
	return &Error{
		Class: Permanent, Code: now.Code, Cause: cause,
		Message: strings.Join(now.Failed, ", ") + " could not be read: closed, or not allowed by the authorization; choose other accounts, or mend that at the vendor",
	}
}

// Pull is a Stream's.
func (b ByAccount) Pull(ctx context.Context, a Account, r Request) (Page, error) {
	var now at
	var read []string
	if r.Cursor == "" {
		read = []string{}
		all, err := b.List(ctx, a)
		if err != nil {
			return Page{}, err
		}
		for _, one := range all {
			if len(a.Chosen) == 0 || slices.Contains(a.Chosen, one.ID) {
				now.Accounts, read = append(now.Accounts, one), append(read, one.ID)
			}
		}
		switch {
		case len(now.Accounts) == 0 && len(a.Chosen) > 0:
			return Page{}, &Error{Class: Permanent, Code: CodeAccountUnavailable, Message: "none of the chosen accounts is there any more; choose others"}
		case len(now.Accounts) == 0:
			return Page{Accounts: read}, nil
		}
	} else if err := json.Unmarshal([]byte(r.Cursor), &now); err != nil || len(now.Accounts)+len(now.Failed) == 0 {
		return Page{}, BadAnswer("a cursor of accounts that is none: %.100q", r.Cursor)
	}
	if len(now.Accounts) == 0 {
		return Page{}, now.failure(nil)
	}
	of := now.Accounts[0]
	since := r.Since
	if r.SinceOf != nil {
		since = r.SinceOf[of.ID]
	}
	page, err := b.Read(ctx, a, of, Request{Since: since, Cursor: now.Cursor, Size: r.Size})
	switch e := Classify(err); {
	case err == nil:
	case e.Class == Permanent && (e.Code == CodeAccountUnavailable || e.Code == CodePermissionMissing):
		now.Failed, now.Code = append(now.Failed, cmp.Or(of.Name, of.ID)), e.Code
		if page = (Page{}); len(now.Accounts) == 1 {
			return page, now.failure(err)
		}
	default:
		return Page{}, err
	}
	page.Accounts = read
	if !page.Changed.IsZero() {
		now.Changed = max(now.Changed, page.Changed.UnixMicro())
	}
	page.Changed = time.Time{}
	if now.Cursor = page.Next; now.Cursor == "" {
		if now.Changed != 0 {
			page.ChangedOf = map[string]time.Time{of.ID: time.UnixMicro(now.Changed).UTC()}
		}
		now.Accounts, now.Changed = now.Accounts[1:], 0
	}
	if page.Next = ""; len(now.Accounts)+len(now.Failed) == 0 {
		return page, nil
	}
	next, err := json.Marshal(now)
	page.Next = string(next)
	return page, err
}

// Daily reads figures by day, which vendors correct for a while: from the day of Request.Since, or History days back, to today in
// the account's time zone, in windows of at most Window days. It is a ByAccount's Read.
type Daily struct {
	// History is how many days back a backfill goes.
	History int
	// Window is the most days that the vendor answers at once.
	Window int
	// AtOnce is how many windows are read at the same time, as long as the vendor does not ask to wait; one when zero. A page is then one of
	// each of them, so that a sync has nothing to remember but its cursor, whatever it is interrupted by.
	AtOnce int
	// Read reads a page of the days from from to to, both inclusive, each the midnight of its date in UTC: an *Error. It is called by
	// several goroutines at once where AtOnce is more than one.
	Read func(ctx context.Context, a Account, of SubAccount, from, to time.Time, cursor string, size int) (Page, error)
	Now  func() time.Time
}

// mostAtOnce bounds the records of a page of several windows.
const mostAtOnce = 10_000

// within is the cursor of Daily.
type within struct {
	// Next is the first day that is in no window yet, Last that of all of them, as dates.
	Next string `json:"next"`
	Last string `json:"last"`
	// Open are the windows that are not read to their ends.
	Open []window `json:"open,omitempty"`
	// Slower tells that the vendor has asked to wait: from then on one window is read at a time.
	Slower bool `json:"slower,omitempty"`
}

// window is days From to To, both inclusive, as dates, that are read as far as Cursor.
type window struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Cursor string `json:"cursor,omitempty"`
}

// Pull is a ByAccount's Read.
func (d Daily) Pull(ctx context.Context, a Account, of SubAccount, r Request) (Page, error) {
	now, err := d.at(of, r)
	if err != nil {
		return Page{}, err
	}
	atOnce := max(1, min(d.AtOnce, mostAtOnce/max(1, r.Size)))
	if now.Slower {
		atOnce = 1
	}
	for len(now.Open) < atOnce && now.Next <= now.Last {
		next, err := d.next(&now)
		if err != nil {
			return Page{}, err
		}
		now.Open = append(now.Open, next)
	}
	reading := now.Open[:min(len(now.Open), atOnce)]
	pages, errs := make([]Page, len(reading)), make([]error, len(reading))
	var all sync.WaitGroup
	for i, w := range reading {
		all.Go(func() {
			defer Recover(&errs[i])
			pages[i], errs[i] = d.read(ctx, a, of, w, r.Size)
		})
	}
	all.Wait()
	page, err := now.merge(pages, errs)
	if err != nil {
		return Page{}, err
	}
	if len(now.Open) == 0 && now.Next > now.Last { // read up to here, whether there were figures or not
		page.Changed, err = time.Parse(time.DateOnly, now.Last)
		return page, err
	}
	next, err := json.Marshal(now)
	if err != nil {
		return Page{}, fmt.Errorf("encode the cursor: %w", err)
	}
	page.Next = string(next)
	return page, nil
}

// at is the cursor of a request.
func (d Daily) at(of SubAccount, r Request) (now within, err error) {
	if r.Cursor != "" {
		if err := json.Unmarshal([]byte(r.Cursor), &now); err != nil || now.Next == "" || now.Last == "" || len(now.Open) == 0 && now.Next > now.Last {
			return within{}, BadAnswer("a cursor of days that is none: %.100q", r.Cursor)
		}
		return now, nil
	}
	zone, err := time.LoadLocation(of.TimeZone)
	if err == nil && of.TimeZone == "" { // which Go takes for UTC
		err = errors.New("it has none")
	}
	if err != nil {
		return within{}, BadAnswer("the time zone of account %.60q: %w", of.ID, err)
	}
	today := date(d.Now().In(zone))
	first := today.AddDate(0, 0, -d.History)
	if since := date(r.Since.UTC()); !r.Since.IsZero() && since.After(first) {
		first = since
	}
	return within{Next: min(first.Format(time.DateOnly), today.Format(time.DateOnly)), Last: today.Format(time.DateOnly)}, nil
}

// next takes the next window off the days that are in none.
func (d Daily) next(now *within) (window, error) {
	from, err := time.Parse(time.DateOnly, now.Next)
	if err != nil {
		return window{}, BadAnswer("a cursor of days that is none: %w", err)
	}
	next := window{From: now.Next, To: min(from.AddDate(0, 0, d.Window-1).Format(time.DateOnly), now.Last)}
	to, err := time.Parse(time.DateOnly, next.To)
	if err != nil {
		return window{}, BadAnswer("a cursor of days that is none: %w", err)
	}
	now.Next = to.AddDate(0, 0, 1).Format(time.DateOnly)
	return next, nil
}

func (d Daily) read(ctx context.Context, a Account, of SubAccount, w window, size int) (Page, error) {
	from, fromErr := time.Parse(time.DateOnly, w.From)
	to, toErr := time.Parse(time.DateOnly, w.To)
	if fromErr != nil || toErr != nil {
		return Page{}, BadAnswer("a window of days that is none: %.40q to %.40q", w.From, w.To)
	}
	return d.Read(ctx, a, of, from, to, w.Cursor, size)
}

// merge makes one page of those of the first windows that are open, and moves these on. A window whose page the vendor has refused because
// of its limits stays where it is, which Page.Refused tells. Any other error is that of the whole page, and so is the refusal of a window that
// was read alone: it leaves nothing to remember.
func (now *within) merge(pages []Page, errs []error) (Page, error) {
	var page Page
	open := make([]window, 0, len(now.Open))
	for i, w := range now.Open {
		if i >= len(pages) {
			open = append(open, w)
			continue
		}
		if e := Classify(errs[i]); errs[i] != nil && (e.Class != Throttled || len(pages) == 1) {
			return Page{}, errs[i]
		} else if errs[i] != nil {
			if page.Refused == nil || e.Wait > page.Refused.Wait {
				page.Refused = e
			}
			now.Slower = true
			open = append(open, w)
			continue
		}
		got := pages[i]
		page.Records.add(got.Records)
		page.Bad = append(page.Bad, got.Bad...)
		page.Wait = max(page.Wait, got.Wait)
		now.Slower = now.Slower || got.Wait > 0
		if w.Cursor = got.Next; w.Cursor != "" {
			open = append(open, w)
		}
	}
	now.Open = open
	return page, nil
}

const (
	// attributionWindow is how long advertising platforms still attribute conversions to a day: 28 days after a click.
	attributionWindow = 28 * 24 * time.Hour
	// adHistory is how many days back their figures are read: three years, a little less than the 37 months that Meta has.
	adHistory = 1095
	// adWindows is how many windows of them are read at once.
	adWindows = 4
)

// Advertising is an advertising platform's streams. Its campaigns are few and cannot be listed by their last change: every sync reads
// them all. Their figures by day are read again for as long as they change.
type Advertising struct {
	// Accounts are the advertising accounts there are (see Lister).
	Accounts func(ctx context.Context, a Account) ([]SubAccount, error)
	// Campaigns reads a page of an account's campaigns, of at most CampaignsPage.
	Campaigns     func(ctx context.Context, a Account, of SubAccount, r Request) (Page, error)
	CampaignsPage int
	// Days reads a page of figures, of at most DaysPage, within Window days (see Daily).
	Days     func(ctx context.Context, a Account, of SubAccount, from, to time.Time, cursor string, size int) (Page, error)
	DaysPage int
	Window   int
	// Narrow tells that the vendor allows few requests in a short time: several at once would have the budget keep a distance that uses less of
	// it than one after the other, so windows are read in turn.
	Narrow bool
	Now    func() time.Time
}

// Streams are campaigns and performance.
func (p Advertising) Streams() []Stream {
	days := Daily{History: adHistory, Window: p.Window, AtOnce: adWindows, Read: p.Days, Now: p.Now}
	if p.Narrow {
		days.AtOnce = 1
	}
	return []Stream{
		{Name: integrationsapi.KindCampaigns, PageSize: p.CampaignsPage, Pull: ByAccount{List: p.Accounts, Read: p.Campaigns}.Pull},
		{Name: integrationsapi.KindPerformance, PageSize: p.DaysPage, LookBack: attributionWindow, History: adHistory * 24 * time.Hour, Pull: ByAccount{List: p.Accounts, Read: days.Pull}.Pull},
	}
}

// date is the midnight in UTC of t's date.
func date(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
