package sync

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// stepTime is how long a step goes on with pages; one that has begun is finished.
	stepTime = time.Second
	// stepPages bounds what a crash makes a step read again.
	stepPages = 16
	// longPage is how many records a page has at least of which there is one at a time in memory.
	longPage = 5000
	// pausedLook is how often a sync looks whether its connection is paused still, if nobody wakes it.
	pausedLook = time.Minute
)

// Counts are what a sync has done. They are the progress of its run.
type Counts struct {
	// Records were read, repeats included.
	Records int `json:"records"`
	// Changed of them were new or different.
	Changed int `json:"changed"`
	Pages   int `json:"pages"`
	// Quarantined could not be records, and are not among Records.
	Quarantined int `json:"quarantined"`
	// Removed are the vendor's no more.
	Removed int `json:"removed"`
}

// cursor is where a sync is.
type cursor struct {
	Since store.Time `json:"since,omitzero"`
	// SinceOf and ReadOf are Since and Read of each account, of a stream that is read by account.
	SinceOf map[string]time.Time  `json:"since_of"` // with none, each is read from its beginning
	ReadOf  map[string]store.Time `json:"read_of,omitempty"`
	Page    string                `json:"page,omitempty"`
	Size    int                   `json:"size"`
	// Read is the newest change that was read.
	Read store.Time `json:"read,omitzero"`
	// Paused tells that the sync waits for its connection to be resumed.
	Paused bool `json:"paused,omitempty"`
	// Expected is how many records there are to be read in all; nil where the vendor does not tell.
	Expected *int `json:"expected,omitempty"`
	// Sweep is where the removal of a full sync is.
	Sweep sweep `json:"sweep,omitzero"`
	// Paid is what it has of the budget that the vendor allows.
	Paid paid `json:"paid,omitzero"`
	// Pace is how many records had been read at times of the last minute, the oldest first.
	Pace []sample `json:"pace,omitempty"`
	Counts
}

// RunKind makes a sync a kind of durable run.
func (s *Service) RunKind() runs.Kind {
	return runs.Kind{Name: Kind, Step: s.step, OnFailed: func(ctx context.Context, run runs.Run) ([]store.Message, error) {
		var in Input
		var at cursor
		if err := run.Into(&in, &at); err != nil {
			return nil, err
		}
		if run.Status == runs.Failed {
			why := connection.Problem{Code: run.Error.Code, Message: run.Error.Message}
			err := s.Connections.Read(ctx, run.Organization, in.ConnectionID, in.Stream, connection.Stream{Problem: &why})
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
		}
		m, err := s.finished(ctx, run, in, at.Counts)
		return []store.Message{m}, err
	}}
}

// step pulls pages and keeps each, with the events that tell of it, before it counts as read. So a step that is done again
// pulls the same pages and finds that nothing is different.
func (s *Service) step(ctx context.Context, run runs.Run) (runs.Next, error) {
	var in Input
	var at cursor
	if err := run.Into(&in, &at); err != nil {
		return runs.Next{}, err
	}
	c, err := s.Connections.Get(ctx, run.Organization, in.ConnectionID)
	if err != nil {
		return runs.Next{}, unlessItPasses(err)
	}
	stream, ok := s.stream(c.Vendor, in.Stream)
	if !ok {
		return runs.Next{}, runs.Permanent(problem.Newf(http.StatusUnprocessableEntity, problem.CodeValidation, "%s has no stream %s", c.Vendor, in.Stream))
	}
	if len(run.Cursor) == 0 {
		at.Size = stream.PageSize
		if in.Mode == Full { // what one left that did not come to its end
			if err := s.forgetSent(ctx, run.Organization, in, run.ID); err != nil {
				return runs.Next{}, err
			}
		}
		if !in.Since.IsZero() {
			at.Since = in.Since
		} else if read := c.Streams[stream.Name].Watermark; in.Mode == Incremental && !read.IsZero() {
			at.Since = store.At(read.Add(-stream.LookBack))
			at.SinceOf = map[string]time.Time{}
			for account, read := range c.Streams[stream.Name].Watermarks {
				at.SinceOf[account] = read.Add(-stream.LookBack)
			}
		}
	}
	if at.Paused = problem.Code(c.Syncable()) == connection.CodePaused; at.Paused {
		at.Pace = nil // a pause says nothing of the pace
		return runs.Next{Cursor: at, Progress: at.Counts, Wait: pausedLook}, nil
	}
	if at.Sweep.Begun {
		return s.sweepStep(ctx, run, c, stream, in, at)
	}
	c, account, err := s.Connections.Unlock(ctx, run.Organization, c, connection.Use{Purpose: connection.ForSync, Actor: in.By, RunID: run.ID})
	if err != nil {
		return runs.Next{}, unlessItPasses(err)
	}
	at.sample(s.Now())
	limit := s.limit(c.Vendor, in)
	if wait, err := s.pay(ctx, run.Organization, in, limit, &at.Paid); err != nil {
		return runs.Next{}, err
	} else if wait > 0 {
		return runs.Next{Cursor: at, Progress: at.Counts, Wait: wait}, nil
	}
	began := at.Pages
	last, failure := s.pages(ctx, run, in, source{c.Vendor, stream, limit}, account, &at)
	at.sample(s.Now())
	if at.Pages > began {
		read := connection.Stream{Watermark: at.Read, Watermarks: at.ReadOf}
		if failure == nil && last.Next == "" {
			read.SyncedAt, read.RunID = store.At(s.Now()), run.ID
		}
		if err := s.Connections.Read(ctx, run.Organization, c.ID, stream.Name, read); err != nil {
			return runs.Next{}, err
		}
	}
	next := runs.Next{Cursor: at, Progress: at.Counts, Wait: last.Wait}
	refusal := last.Refused
	if e := connector.Classify(failure); failure != nil && e.Class == connector.Throttled {
		refusal = e
	} else if refusal != nil {
		s.counts.failed(c.Vendor, stream.Name, refusal)
		next.Wait = max(next.Wait, refusal.Wait)
	}
	var paid error
	if failure == nil && last.Next == "" {
		paid = s.giveBack(ctx, run.Organization, in, limit, &at.Paid)
	} else if refusal != nil {
		paid = s.refused(ctx, run.Organization, in, limit, refusal.Wait, &at.Paid)
	}
	if paid != nil {
		return runs.Next{}, paid
	}
	next.Cursor = at
	if failure != nil {
		return s.failed(ctx, run.Organization, c, stream.Name, at, at.Pages > began, failure)
	}
	if err := tooBad(at); err != nil {
		return runs.Next{}, err
	}
	if last.Next == "" && in.Mode == Full {
		at.Sweep.Begun, next.Wait = true, 0
		next.Cursor = at
		return next, nil
	}
	if last.Next == "" {
		return s.succeeded(ctx, run, in, at)
	}
	return next, nil
}

// succeeded is the last step of a sync.
func (s *Service) succeeded(ctx context.Context, run runs.Run, in Input, at cursor) (runs.Next, error) {
	if err := s.passed(ctx, run.Organization, run, in, at.reads()); err != nil {
		return runs.Next{}, err
	}
	run.Status = runs.Succeeded
	m, err := s.finished(ctx, run, in, at.Counts)
	return runs.Next{Cursor: at, Progress: at.Counts, Done: true, Messages: []store.Message{m}}, err
}

// sweepStep is a step of the end of a full sync.
func (s *Service) sweepStep(ctx context.Context, run runs.Run, c connection.Connection, stream connector.Stream, in Input, at cursor) (runs.Next, error) {
	done, err := s.sweep(ctx, run, c, stream, in, &at)
	if err != nil {
		return runs.Next{}, err
	}
	if !done {
		return runs.Next{Cursor: at, Progress: at.Counts}, nil
	}
	return s.succeeded(ctx, run, in, at)
}

// source is what a sync reads.
type source struct {
	vendor string
	stream connector.Stream
	limit  connector.Limit
}

// pages pulls and keeps pages from at on, which it moves, until the stream or the step's time ends, or the vendor wants a
// pause. While one page is kept, the next is already pulled, unless it is long. It returns the last page that was kept, without its records.
func (s *Service) pages(ctx context.Context, run runs.Run, in Input, from source, account connector.Account, at *cursor) (connector.Page, error) {
	organization, vendor, stream := run.Organization, from.vendor, from.stream
	known, err := s.inQuarantine(ctx, organization, account.Connection, stream.Name)
	if err != nil {
		return connector.Page{}, ownError{err}
	}
	of := bad{ConnectionID: account.Connection, Vendor: vendor, Stream: stream.Name, RunID: run.ID, Since: at.reads()}
	ctx, cancel := context.WithCancel(ctx)
	var ahead chan pulled
	defer func() {
		cancel()
		if ahead != nil {
			<-ahead
		}
	}()
	end := s.Now().Add(stepTime)
	var last connector.Page
	var next pulled
	next.page, next.err = from.pull(ctx, account, *at)
	for n := 1; ; n++ {
		page := next.page
		if next.err != nil {
			at.Paid.spend(page.Budget)
			return last, next.err
		}
		if page.Budget != nil {
			page.Wait = 0 // how long to wait is for all who share the budget to know
		}
		after := at.after(page, s.Now())
		if err := s.spent(ctx, organization, in, from.limit, page.Budget, page.Next == "", &after.Paid); err != nil {
			return last, ownError{err}
		}
		more := page.Next != "" && page.Wait == 0 && page.Refused == nil && n < stepPages && s.Now().Before(end)
		if more {
			wait, err := s.pay(ctx, organization, in, from.limit, &after.Paid)
			if err != nil {
				return last, ownError{err}
			}
			page.Wait, more = wait, wait == 0
		}
		if more && page.Records.Len() < longPage {
			ahead = make(chan pulled, 1)
			go func(at cursor, to chan<- pulled) { // its own cursor, as ours moves on meanwhile
				page, err := from.pull(ctx, account, at)
				to <- pulled{page, err}
			}(after, ahead)
		}
		if page.Accounts != nil {
			if err := s.Connections.Reads(ctx, connection.Place{Organization: organization, Connection: account.Connection}, page.Accounts); err != nil {
				return last, ownError{err}
			}
		}
		changed, err := s.Records.Put(ctx, organization, page.Records)
		if err != nil {
			return last, ownError{err}
		}
		if err := errors.Join(s.good(ctx, organization, account.Connection, known, page.Records), s.quarantine(ctx, organization, of, page.Bad)); err != nil {
			return last, ownError{err}
		}
		if in.Mode == Full {
			if page.Accounts != nil {
				after.Sweep.Accounts = page.Accounts
			}
			after.Sweep.Unsure = after.Sweep.Unsure || slices.ContainsFunc(page.Bad, func(b connector.Bad) bool { return b.ID == "" })
			if err := s.noteSent(ctx, run, of, at.Pages, page); err != nil {
				return last, ownError{err}
			}
		}
		after.Changed += changed
		s.counts.kept(vendor, stream.Name, page, changed)
		*at, last = after, connector.Page{Next: page.Next, Wait: page.Wait, Refused: page.Refused}
		switch {
		case !more:
			return last, nil
		case ahead != nil:
			next, ahead = <-ahead, nil
		default:
			next = pulled{} // lets go of the page before the next one comes
			next.page, next.err = from.pull(ctx, account, *at)
		}
	}
}

// pulled is the outcome of a pull that was made ahead.
type pulled struct {
	page connector.Page
	err  error
}

// pull pulls the page at a cursor, with what the vendor allows after it.
func (f source) pull(ctx context.Context, account connector.Account, at cursor) (page connector.Page, err error) {
	defer connector.Recover(&err)
	ctx, meter := f.limit.Metered(ctx)
	page, err = f.stream.Pull(ctx, account, connector.Request{Since: at.Since.Time, SinceOf: at.SinceOf, Cursor: at.Page, Size: at.Size})
	page.Check()
	if page.Budget == nil {
		page.Budget = meter.Budget()
	}
	return page, err
}

// reads is from when on a sync reads all there is: of several accounts, that of the one that is read from furthest back.
func (at cursor) reads() store.Time {
	since := at.Since
	for _, one := range at.SinceOf {
		if one.Before(since.Time) {
			since = store.At(one)
		}
	}
	return since
}

// after is the cursor behind a page, but for what it changed.
func (at cursor) after(page connector.Page, now time.Time) cursor {
	at.Page = page.Next
	at.Records += page.Records.Len()
	at.Pages++
	at.Quarantined += len(page.Bad)
	if page.Left != nil {
		expected := at.Records + *page.Left
		at.Expected = &expected
	}
	// A change in the future, by the vendor's clock or a mistake, must not make later syncs skip what comes until then.
	if read := min(page.Changed.UnixMicro(), now.UnixMicro()); !page.Changed.IsZero() && read > at.Read.UnixMicro() {
		at.Read = store.At(time.UnixMicro(read))
	}
	if len(page.ChangedOf) > 0 {
		at.ReadOf = maps.Clone(at.ReadOf) // the step before has its own
		if at.ReadOf == nil {
			at.ReadOf = map[string]store.Time{}
		}
		for account, changed := range page.ChangedOf {
			at.ReadOf[account] = store.At(time.UnixMicro(min(changed.UnixMicro(), now.UnixMicro())))
		}
	}
	return at
}

// ownError marks an error of our own among those of the vendor.
type ownError struct{ error }

func (e ownError) Unwrap() error { return e.error }

// failed is how a sync goes on after an error, at the cursor that it has reached; moved tells whether the step reached it.
func (s *Service) failed(ctx context.Context, organization string, c connection.Connection, stream string, at cursor, moved bool, failure error) (runs.Next, error) {
	var ours ownError
	if errors.As(failure, &ours) || ctx.Err() != nil {
		return runs.Next{}, failure
	}
	e := connector.Classify(failure)
	s.counts.failed(c.Vendor, stream, e)
	named := problem.New(http.StatusBadGateway, e.Code, e.Message).Wrap(failure)
	next := runs.Next{Cursor: at, Progress: at.Counts}
	class := e.Class
	if class == connector.Unauthorized {
		again, err := s.Connections.Refused(ctx, organization, c, connection.Problem{Code: e.Code, Message: e.Message})
		if err != nil {
			return runs.Next{}, unlessItPasses(err)
		}
		if again {
			class = connector.Transient
		}
	}
	switch {
	case class == connector.TooLarge && at.Size > 1:
		at.Size /= 2
		next.Cursor = at
		return next, nil
	case class == connector.Throttled && moved:
		next.Wait = e.Wait
		return next, nil
	case class == connector.Throttled:
		return runs.Next{}, runs.RetryAfter(e.Wait, named)
	case class == connector.Transient && moved:
		return next, nil // the next step meets it again and counts it
	case class == connector.Transient:
		return runs.Next{}, named
	}
	return runs.Next{}, runs.Permanent(named)
}

// unlessItPasses makes an error permanent that is a problem of the connection, and none of the vendor or of ours.
func unlessItPasses(err error) error {
	var p *problem.Problem
	if errors.As(err, &p) && p.Status < http.StatusInternalServerError {
		return runs.Permanent(err)
	}
	return err
}

// finished makes the event of a sync's end.
func (s *Service) finished(ctx context.Context, run runs.Run, in Input, counts Counts) (store.Message, error) {
	told := integrationsapi.SyncFinished{
		RunID: run.ID, ConnectionID: in.ConnectionID, Stream: in.Stream, Mode: string(in.Mode), Status: string(run.Status),
		Records: counts.Records, Changed: counts.Changed, Quarantined: counts.Quarantined, Removed: counts.Removed, FinishedAt: s.Now().UTC(),
	}
	if run.Error != nil {
		told.Code = run.Error.Code
	}
	return integrationsapi.TopicSyncFinished.Message(ctx, s.Emit, run.Organization, told)
}
