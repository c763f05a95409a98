package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	freeFailures = 5 // in a row, before attempts must wait
	// freeFailuresOfAddress are more: many people may share an IP address, and one who guesses tries many
	// e-mail addresses.
	freeFailuresOfAddress = 100
	// addressLock and addressFailuresKept are shorter than those of an account, since they meet whoever shares the address.
	addressLock         = 5 * time.Minute
	addressFailuresKept = 30 * time.Minute
	firstLock           = time.Minute
	longestLock         = time.Hour
	failuresKept        = 24 * time.Hour // after the last one
	byFailuresAge       = "delete-after"
)

// failures are the failed logins with one e-mail address since the last success.
type failures struct {
	Count       int        `json:"count"`
	LockedUntil store.Time `json:"locked_until"`
	DeleteAfter store.Time `json:"delete_after"`
}

// lockout slows guessing down. It counts by e-mail address and does not know whether a user has it, so
// that being locked tells nothing. An attempt counts when its password has been checked: however many
// are made at once, no more get an answer than one after the other would.
type lockout struct {
	failures *store.Documents[failures]
	now      func() time.Time
	// kind tells apart what is counted by, free how many failures cost nothing.
	kind string
	free int
	// longest bounds the wait, kept says how long after the last failure all are forgotten.
	longest, kept time.Duration
}

// ofAddresses counts by IP address, in the same collection.
func (l lockout) ofAddresses() lockout {
	l.kind, l.free, l.longest, l.kept = "address", freeFailuresOfAddress, addressLock, addressFailuresKept
	return l
}

func openLockout(ctx context.Context, db store.DB, now func() time.Time) (lockout, error) {
	d, err := store.System[failures](ctx, db, store.Def{Name: "login_failures", Indexes: []store.Index{
		{Name: byFailuresAge, Fields: []string{"delete_after"}},
	}})
	if err != nil {
		return lockout{}, fmt.Errorf("open the login failures: %w", err)
	}
	return lockout{d, now, "email", freeFailures, longestLock, failuresKept}, nil
}

// id keeps addresses that belong to no user out of the database.
func (l lockout) id(name string) string {
	return atrest.Digest(l.kind + ":" + name)
}

// lockFor is how long attempts must wait after so many failures.
func (l lockout) lockFor(count int) time.Duration {
	if count < l.free {
		return 0
	}
	lock := firstLock
	for range count - l.free {
		if lock *= 2; lock >= l.longest {
			return l.longest
		}
	}
	return lock
}

// open tells whether an attempt may be made: else 429 account_locked.
func (l lockout) open(ctx context.Context, email string) error {
	_, err := l.read(ctx, email)
	return err
}

// read is the failures of email, if there are any: 429 account_locked while it is locked.
func (l lockout) read(ctx context.Context, email string) (store.Doc[failures], error) {
	doc, err := l.failures.Get(ctx, l.id(email))
	if errors.Is(err, store.ErrNotFound) {
		return store.Doc[failures]{}, nil
	}
	if err != nil {
		return doc, fmt.Errorf("read login failures: %w", err)
	}
	return doc, l.locked(doc.Value)
}

func (l lockout) locked(f failures) error {
	if wait := f.LockedUntil.Sub(l.now()); wait > 0 {
		return problem.New(http.StatusTooManyRequests, authapi.CodeAccountLocked,
			"too many failed logins; try again later").After(wait)
	}
	return nil
}

// failed counts a wrong password: 429 account_locked when others have locked the address meanwhile.
func (l lockout) failed(ctx context.Context, email string) error {
	id := l.id(email)
	for {
		_, err := l.failures.Update(ctx, id, func(f *failures) ([]store.Message, error) {
			if err := l.locked(*f); err != nil {
				return nil, err
			}
			*f = l.after(*f)
			return nil, nil
		})
		if errors.Is(err, store.ErrNotFound) {
			_, err = l.failures.Insert(ctx, id, l.after(failures{}))
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrExists) && ctx.Err() == nil:
			continue // another attempt was the first
		}
		return fmt.Errorf("count a login failure: %w", err)
	}
}

func (l lockout) after(f failures) failures {
	now := l.now()
	if !now.Before(f.DeleteAfter.Time) {
		f = failures{}
	}
	f.Count++
	f.LockedUntil = store.At(now.Add(l.lockFor(f.Count)))
	f.DeleteAfter = store.At(now.Add(l.kept))
	return f
}

// succeeded forgets the failures of email: 429 account_locked when others have locked it meanwhile, so
// that the right one of many guesses made at once is not told from the wrong ones.
func (l lockout) succeeded(ctx context.Context, email string) error {
	for {
		doc, err := l.read(ctx, email)
		if err != nil || doc.ID == "" {
			return err
		}
		err = l.failures.Delete(ctx, doc.ID, doc.Version)
		switch {
		case err == nil, errors.Is(err, store.ErrNotFound):
			return nil
		case errors.Is(err, store.ErrConflict) && ctx.Err() == nil:
			continue // another attempt failed meanwhile
		}
		return fmt.Errorf("forget login failures: %w", err)
	}
}

// forgive forgets the failures of who has proved otherwise who they are.
func (l lockout) forgive(ctx context.Context, name string) error {
	if err := l.failures.Delete(ctx, l.id(name), 0); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("forget login failures: %w", err)
	}
	return nil
}

// forget deletes failures a day after the last.
func (l lockout) forget(ctx context.Context) error {
	due := store.Query{Index: byFailuresAge, Range: store.Range{Field: "delete_after", To: store.At(l.now())}}
	if err := l.failures.DeleteDue(ctx, due); err != nil {
		return fmt.Errorf("forget login failures: %w", err)
	}
	return nil
}
