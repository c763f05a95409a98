package identity_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestHashNamesTheAccess(t *testing.T) {
	a := identity.Access{Permissions: []string{"a.b:read", "*:write"}, Accept: []string{"terms/2", "privacy/1"}}
	b := identity.Access{Permissions: []string{"*:write", "a.b:read"}, Accept: []string{"privacy/1", "terms/2"}}
	if a.Hash() != b.Hash() || a.Hash() == "" {
		t.Errorf("%s and %s for the same in another order", a.Hash(), b.Hash())
	}
	if a.Permissions[0] != "a.b:read" {
		t.Error("naming an access changed it")
	}
	for name, other := range map[string]identity.Access{
		"a permission less": {Permissions: []string{"*:write"}, Accept: a.Accept},
		"a document less":   {Permissions: a.Permissions, Accept: []string{"terms/2"}},
		"a grant":           {Permissions: a.Permissions, Accept: a.Accept, Grants: []identity.Grant{{Permission: "a.b:write", Resource: "r"}}},
		"a network":         {Permissions: a.Permissions, Accept: a.Accept, Networks: [][]string{{"10.0.0.0/8"}}},
	} {
		if other.Hash() == a.Hash() {
			t.Errorf("%s has the same name", name)
		}
	}
}

func TestNetworks(t *testing.T) {
	a := identity.Access{Networks: [][]string{{"203.0.113.0/24", "2001:db8::/32"}, {"203.0.113.128/25", "2001:db8::/32"}}}
	for address, want := range map[string]bool{
		"203.0.113.200": true, "::ffff:203.0.113.200": true, "203.0.113.1": false, "198.51.100.1": false, "2001:db8::1": true,
	} {
		if got := a.From(netip.MustParseAddr(address)); got != want {
			t.Errorf("from %s: %v, want %v", address, got, want)
		}
	}
	if (identity.Access{Networks: [][]string{{"rubbish"}}}).From(netip.MustParseAddr("203.0.113.1")) {
		t.Error("a prefix that does not parse lets somebody in")
	}
}

// auth is the auth group as a Directory asks it.
type auth struct {
	now     time.Time
	access  identity.Access
	changes []identity.AccessChange
	ended   []identity.Revocation
	asked   int
	down    bool
}

func (a *auth) directory(t *testing.T) (*identity.Directory, func()) {
	t.Helper()
	feed := identity.NewFeed(func(context.Context, time.Time) (identity.Changes, error) {
		return identity.Changes{Access: a.changes, Sessions: a.ended}, nil
	}, func() time.Time { return a.now }, slog.New(slog.DiscardHandler))
	d := identity.NewDirectory(feed, func(context.Context, string, string) (identity.CurrentAccess, error) {
		a.asked++
		if a.down {
			return identity.CurrentAccess{}, errors.New("down")
		}
		return identity.CurrentAccess{Access: a.access, AsOf: a.now}, nil
	}, func() time.Time { return a.now })
	// The feed asks when it starts; what comes later it gets by starting again.
	return d, func() {
		if err := feed.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := feed.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectoryAsksOnceForEachAccess(t *testing.T) {
	a := &auth{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), access: identity.Access{Permissions: []string{"*:*"}}}
	d, poll := a.directory(t)
	poll()
	owner := func(id string) identity.Principal {
		return identity.Principal{Subject: id, Organization: "o1", IssuedAt: a.now, AccessHash: identity.Access{Permissions: []string{"*:*"}}.Hash()}
	}
	can := func(p identity.Principal) bool {
		t.Helper()
		found, err := d.Access(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return found.Can("a.b:write")
	}
	for range 3 {
		if !can(owner("u1")) || !can(owner("u2")) {
			t.Fatal("an owner may not write")
		}
	}
	if a.asked != 1 {
		t.Errorf("asked %d times for one access, want once", a.asked)
	}

	before := owner("u1")
	a.now = a.now.Add(10 * time.Second)
	a.access = identity.Access{Permissions: []string{"*:read"}}
	a.changes = []identity.AccessChange{{Organization: "o1", Subject: "u1", ChangedAt: a.now}}
	poll()
	a.now = a.now.Add(time.Second)
	first, again := can(before), can(before)
	if first || again || !can(owner("u2")) {
		t.Error("the change is not heeded, or heeded for everybody")
	}
	if a.asked != 2 {
		t.Errorf("asked %d times after the change, want once", a.asked-1)
	}
	a.down = true
	if can(before) {
		t.Error("what was known is forgotten while auth is down")
	}
	if _, err := d.Access(t.Context(), identity.Principal{Subject: "u3", Organization: "o2", IssuedAt: a.now, AccessHash: "unknown"}); err == nil {
		t.Error("an access that nobody knows is allowed while auth is down")
	}
	a.down, a.changes = false, []identity.AccessChange{{ChangedAt: a.now}} // everywhere
	poll()
	a.now = a.now.Add(time.Second)
	asked := a.asked
	if can(identity.Principal{Subject: "u2", Organization: "o1", IssuedAt: a.now.Add(-2 * time.Second), AccessHash: before.AccessHash}) || a.asked != asked+1 {
		t.Error("a change for everybody passes by")
	}
}

func TestWhatGoesOnWithoutATokenHeedsWhatChanges(t *testing.T) {
	a := &auth{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), access: identity.Access{Permissions: []string{"*:*"}}}
	d, poll := a.directory(t)
	ada := identity.Principal{Subject: "ada", Organization: "o1", Session: "s1", Scope: []string{"a.*:write"}}
	if p, err := d.Current(t.Context(), ada); err != nil || !p.Can("a.b:write") || p.Can("b.b:write") {
		t.Errorf("%+v, %v", p, err)
	}
	a.now = a.now.Add(time.Second)
	a.access = identity.Access{Permissions: []string{"*:read"}}
	a.changes = []identity.AccessChange{{Organization: "o1", Subject: "ada", ChangedAt: a.now}}
	poll()
	a.now = a.now.Add(time.Second)
	if p, err := d.Current(t.Context(), ada); err != nil || p.Can("a.b:write") {
		t.Errorf("after a change: %+v, %v", p, err)
	}
	a.ended = []identity.Revocation{{ID: "s1", RevokedAt: a.now}}
	poll()
	if _, err := d.Current(t.Context(), ada); problem.Code(err) != problem.CodeSessionRevoked {
		t.Errorf("after the session: %v", err)
	}
}
