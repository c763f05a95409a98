package connector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// Read reads a page of the days from from to to, both inclusive, each the midnight of its date in UTC: an *Error.
	Read func(ctx context.Context, a Account, of SubAccount, from, to time.Time, cursor string, size int) (Page, error)
	Now  func() time.Time
}

// within is the cursor of Daily.
type within struct {
	// From is the first day of the window, Last that of all of them, as dates.
	From   string `json:"from"`
	Last   string `json:"last"`
	Cursor string `json:"cursor,omitempty"`
}

// Pull is a ByAccount's Read.
func (d Daily) Pull(ctx context.Context, a Account, of SubAccount, r Request) (Page, error) {
	var now within
	if r.Cursor == "" {
		zone, err := time.LoadLocation(of.TimeZone)
		if err == nil && of.TimeZone == "" { // which Go takes for UTC
			err = errors.New("it has none")
		}
		if err != nil {
			return Page{}, BadAnswer("the time zone of account %.60q: %w", of.ID, err)
		}
		today := date(d.Now().In(zone))
		first := today.AddDate(0, 0, -d.History)
		if since := date(r.Since.UTC()); !r.Since.IsZero() && since.After(first) {
			first = since
		}
		now = within{From: min(first.Format(time.DateOnly), today.Format(time.DateOnly)), Last: today.Format(time.DateOnly)}
	} else if err := json.Unmarshal([]byte(r.Cursor), &now); err != nil {
		return Page{}, BadAnswer("a cursor of days that is none: %.100q", r.Cursor)
	}
	from, fromErr := time.Parse(time.DateOnly, now.From)
	last, lastErr := time.Parse(time.DateOnly, now.Last)
	if fromErr != nil || lastErr != nil {
		return Page{}, BadAnswer("a cursor of days that is none: %.100q", r.Cursor)
	}
	to := from.AddDate(0, 0, d.Window-1)
	if to.After(last) {
		to = last
	}
	page, err := d.Read(ctx, a, of, from, to, now.Cursor, r.Size)
	if err != nil {
		return Page{}, err
	}
	page.Changed = time.Time{}
	if now.Cursor = page.Next; now.Cursor == "" {
		if to.Equal(last) { // read up to here, whether there were figures or not
			page.Next, page.Changed = "", last
			return page, nil
		}
		now.From = to.AddDate(0, 0, 1).Format(time.DateOnly)
	}
	next, err := json.Marshal(now)
	if err != nil {
		return Page{}, fmt.Errorf("encode the cursor: %w", err)
	}
	page.Next = string(next)
	return page, nil
}

const (
	// attributionWindow is how long advertising platforms still attribute conversions to a day: 28 days after a click.
	attributionWindow = 28 * 24 * time.Hour
	// adHistory is how many days back their figures are read: three years, a little less than the 37 months that Meta has.
	adHistory = 1095
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
	Now      func() time.Time
}

// Streams are campaigns and performance.
func (p Advertising) Streams() []Stream {
	days := Daily{History: adHistory, Window: p.Window, Read: p.Days, Now: p.Now}
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
