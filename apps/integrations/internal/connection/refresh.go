package connection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

const (
	// moment is how young refreshed credentials are that a refresh on demand leaves as they are.
	moment = 30 * time.Second
	// leaseTime is how long others wait for whoever refreshes, before one of them takes over. A refresh gives up earlier.
	leaseTime = time.Minute
	// askAgain is how often they look.
	askAgain = 50 * time.Millisecond
)

// Refresh gets new credentials from the vendor, for the connection with that id or, when id is empty, the only one there is;
// those that came a moment ago stay. Errors are problems: those of Disconnect and Connection.Usable, connection_not_authorized
// (409) for credentials that cannot be refreshed, such as keys, authorization_revoked (422), and others of the vendor.
func (s *Service) Refresh(ctx context.Context, organization, vendor, id string) (Connection, error) {
	c, err := s.find(ctx, organization, vendor, id)
	switch {
	case err != nil:
		return Connection{}, err
	case c.Usable() != nil:
		return Connection{}, c.Usable()
	case !c.Refreshable:
		return Connection{}, problem.New(http.StatusConflict, CodeNotOAuth, "the connection has credentials that cannot be refreshed")
	case s.Now().Sub(c.RefreshedAt.Time) <= moment:
		return c, nil
	}
	return s.refresh(ctx, organization, c)
}

// refresh gives a connection other credentials than those that stale has. Whoever comes while somebody refreshes them waits for
// the outcome, in whichever process: a vendor that rotates tokens may take a second use of the old one for theft.
func (s *Service) refresh(ctx context.Context, organization string, stale Connection) (Connection, error) {
	owner := s.NewID()
	for {
		mine := false
		doc, err := s.connections.In(organization).Update(ctx, stale.ID, func(c *Connection) ([]store.Message, error) {
			mine = c.Usable() == nil && c.same(stale) && !s.Now().Before(c.Refreshing.Until.Time)
			if mine {
				c.Refreshing = lease{owner, store.At(s.Now().Add(leaseTime))}
			}
			return nil, nil
		})
		switch {
		case err != nil:
			return stale, fmt.Errorf("take the right to refresh: %w", err)
		case mine:
			return s.rotate(ctx, organization, doc.Value)
		case doc.Value.Usable() != nil || !doc.Value.same(stale):
			return doc.Value, doc.Value.Usable()
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return stale, ctx.Err()
		}
	}
}

// rotate asks the vendor and stores what it says before anybody uses it. Killed between the two, we have the old refresh token
// still: a vendor that keeps it until the new one is used gives another, with others a person must authorize again.
func (s *Service) rotate(ctx context.Context, organization string, c Connection) (Connection, error) {
	// Whoever waits may leave. What the vendor has rotated must be stored all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTime*3/4)
	defer cancel()
	fresh, sealed, failure := s.renewed(ctx, organization, c)
	result := "ok"
	if failure != nil {
		result = problem.From(failure).Code
	}
	s.refreshes.WithLabelValues(c.Vendor, result).Inc()
	doc, err := persist(ctx, func() (store.Doc[Connection], error) {
		return s.keepFresh(ctx, organization, c, fresh, sealed, failure)
	})
	if err != nil {
		return c, fmt.Errorf("store refreshed credentials: %w", err)
	}
	if failure != nil {
		return doc.Value, failure
	}
	return doc.Value, doc.Value.Usable()
}

// persist does what must not be given up at the first error, until ctx ends: the vendor takes the old refresh token no more.
func persist[T any](ctx context.Context, do func() (T, error)) (T, error) {
	for {
		done, err := do()
		if err == nil || errors.Is(err, store.ErrNotFound) {
			return done, err
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return done, err
		}
	}
}

// keepFresh stores the outcome of a refresh.
func (s *Service) keepFresh(ctx context.Context, organization string, c Connection, fresh connector.Credentials, sealed vault.Sealed, failure error) (store.Doc[Connection], error) {
	return s.connections.In(organization).Update(ctx, c.ID, func(now *Connection) ([]store.Message, error) {
		if now.Refreshing.Owner == c.Refreshing.Owner {
			now.Refreshing = lease{}
		}
		if !now.same(c) { // connected again, or disconnected
			return nil, nil
		}
		if failure == nil {
			now.Credentials, now.ExpiresAt, now.RefreshedAt = &sealed, expiry(fresh), store.At(s.Now())
		} else if e := connector.Classify(failure); e.Class == connector.Unauthorized {
			now.Status, now.Problem = NeedsAttention, &Problem{e.Code, e.Message}
		}
		return nil, nil
	})
}

// renewed are the credentials that the vendor gives for those of c, as they are and sealed.
func (s *Service) renewed(ctx context.Context, organization string, c Connection) (fresh connector.Credentials, sealed vault.Sealed, err error) {
	account, err := s.unseal(ctx, organization, c, Use{Purpose: ForRefresh})
	if err != nil {
		return fresh, sealed, err
	}
	if fresh, err = s.flow(c.Vendor).Refresh(ctx, account.Name, account.Credentials); err != nil {
		return fresh, sealed, Refusal(err)
	}
	sealed, err = persist(ctx, func() (vault.Sealed, error) { return s.seal(ctx, organization, c.ID, fresh) })
	return fresh, sealed, err
}

// flow is a vendor's, the zero value where it has none and so no connection that was authorized.
func (s *Service) flow(vendor string) connector.OAuth {
	if a, ok := s.Connector(vendor).(connector.Authorizer); ok {
		return a.OAuth()
	}
	return connector.OAuth{}
}

// revoke ends an authorization at the vendor, or says why it could not be ended. One that has ended already is fine, and one that
// others need stays.
func (s *Service) revoke(ctx context.Context, organization string, c Connection) *Problem {
	revoke := s.flow(c.Vendor).Revoke
	if revoke == nil || !c.Authorized || c.Status == Disconnected || c.Problem != nil && c.Problem.Code == connector.CodeGrantRevoked {
		return nil
	}
	needed, err := s.authorized(ctx, c.Vendor, c.AccountID, c.ID)
	if err == nil && !needed {
		_, err = s.use(ctx, organization, c.ID, ForDisconnect, func(a connector.Account) error { return revoke(ctx, a) })
	}
	if err == nil || connector.Classify(err).Class == connector.Unauthorized {
		return nil
	}
	return &Problem{CodeNotRevoked, "the vendor could not be told that the authorization ends; remove the app there"}
}

// abandon ends an authorization at the vendor that no connection has, unless others need it.
func (s *Service) abandon(ctx context.Context, vendor string, identity connector.Identity, account connector.Account) error {
	revoke := s.flow(vendor).Revoke
	if revoke == nil {
		return nil
	}
	needed, err := s.authorized(ctx, vendor, identity.ID, "")
	if err == nil && !needed {
		err = revoke(ctx, account)
	}
	if err != nil {
		return fmt.Errorf("revoke what cannot be kept: %w", err)
	}
	return nil
}

// authorized tells whether a live connection other than that with the id but, of whichever organization, is one to a vendor's
// account, or to that account at a vendor whose authorization is the same, that a person authorized. A vendor may end its
// authorization with any other of the account, as one that uninstalls our app does.
func (s *Service) authorized(ctx context.Context, vendor, accountID, but string) (found bool, err error) {
	for _, v := range append([]string{vendor}, s.flow(vendor).With...) {
		err := s.directory.Each(ctx, store.Query{Index: "account", Equal: []any{v, accountID}}, func(doc store.Doc[entry]) error {
			if found || doc.Value.Connection == but {
				return nil
			}
			c, err := s.Get(ctx, doc.Value.Organization, doc.Value.Connection)
			if err != nil && problem.Code(err) != problem.CodeNotFound {
				return err
			}
			found = err == nil && c.Authorized && c.Status != Disconnected
			return nil
		})
		if err != nil {
			return false, fmt.Errorf("look for other connections to the account: %w", err)
		}
	}
	return found, nil
}

// Test asks the vendor whose the account is, for the connection with that id or, when id is empty, the only one there is. Errors
// are problems: those of Disconnect, Open and Connect.
func (s *Service) Test(ctx context.Context, organization, vendor, id string) (Connection, error) {
	return s.Ask(ctx, organization, vendor, id, ForTest, func(a connector.Account) error {
		_, err := s.Connector(vendor).Identify(ctx, a)
		return err
	})
}

// Ask asks the vendor something, which ask does, for the connection with that id or, when id is empty, the only one there is. It may
// ask twice, with credentials that were refreshed in between. Errors are problems: those of Disconnect, Open and Connect.
func (s *Service) Ask(ctx context.Context, organization, vendor, id string, purpose Purpose, ask func(connector.Account) error) (Connection, error) {
	c, err := s.find(ctx, organization, vendor, id)
	if err != nil {
		return Connection{}, err
	}
	return s.use(ctx, organization, c.ID, purpose, ask)
}

// readAgain is how long a read that has met something that passes waits before it is tried again, and patience the longest that a vendor
// may ask it to wait: somebody waits for the answer.
var (
	readAgain = []time.Duration{200 * time.Millisecond, time.Second}
	patience  = 2 * time.Second
)

// use asks the vendor something, again with other credentials where it refuses those there are and they can be refreshed, and a read
// again where what it meets passes. What is not only read may have been done, and is not tried again.
func (s *Service) use(ctx context.Context, organization, id string, purpose Purpose, ask func(connector.Account) error) (Connection, error) {
	var pauses []time.Duration
	if purpose == ForRead {
		pauses = readAgain
	}
	for {
		c, account, err := s.Open(ctx, organization, id, Use{Purpose: purpose})
		if err != nil {
			return Connection{}, err
		}
		if err = ask(account); err == nil {
			return c, nil
		}
		again := false
		var e *connector.Error
		switch {
		case !errors.As(err, &e):
		case e.Class == connector.Unauthorized:
			var refused error
			if again, refused = s.Refused(ctx, organization, c, Problem{e.Code, e.Message}); refused != nil {
				return Connection{}, refused
			}
		case len(pauses) > 0 && e.Wait <= patience && (e.Class == connector.Transient || e.Class == connector.Throttled):
			again = pause(ctx, max(e.Wait, pauses[0]))
			pauses = pauses[1:]
		}
		if !again {
			return Connection{}, Refusal(err)
		}
	}
}

// pause waits, and tells whether there is somebody still who wants to know.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
