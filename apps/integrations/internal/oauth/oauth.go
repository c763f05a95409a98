// Package oauth lets people connect accounts by authorizing us at the vendor. It is the same for every vendor: what a vendor
// does in its own way is in its connector.OAuth.
package oauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/redirect"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Codes of this package's problems.
const (
	CodeNotConfigured = "oauth_not_configured"
	CodeState         = "oauth_state_invalid"
	CodeForged        = "oauth_callback_forged"
	CodeDenied        = "oauth_denied"
)

// Action is what finishing an authorization is called in the audit log, in a browser and without.
const Action = "authorize"

// Life is how long a person has to authorize us.
const Life = 10 * time.Minute

// Options are what a Service works with; all are required.
type Options struct {
	DB          store.DB
	Connections *connection.Service
	// API is the API's address as browsers see it, to which vendors send people back.
	API *url.URL
	// Pages are the origins, e.g. "https://app.example.com", of the pages that browsers may be sent to in the end.
	Pages []string
	// Current is who began with what they may do in the end (see identity.Directory.Current).
	Current func(context.Context, identity.Principal) (identity.Principal, error)
	Emit    events.Emitter
	Now     func() time.Time
	// Random is where states come from.
	Random io.Reader
}

// Service begins and finishes authorizations. It is safe for concurrent use.
type Service struct {
	Options
	attempts *store.Documents[attempt]
}

// attempt is an authorization under way, under the digest of its state.
type attempt struct {
	Organization string `json:"organization"`
	// Subject, Session and Scope are of who began it.
	Subject string   `json:"subject"`
	Session string   `json:"session"`
	Scope   []string `json:"scope,omitempty"`
	// Binding is the digest of the secret that the browser has.
	Binding string `json:"binding"`
	Vendor  string `json:"vendor"`
	Account string `json:"account"`
	// Verifier is that of PKCE.
	Verifier  string     `json:"verifier"`
	ReturnTo  string     `json:"return_to,omitempty"`
	ExpiresAt store.Time `json:"expires_at"`
}

const (
	byExpiry       = "expires-at"
	byOrganization = "organization"
)

// New opens the authorizations under way. They are in no organization's own collection, as a browser that the vendor sends back
// has no token that would name one.
func New(ctx context.Context, o Options) (*Service, error) {
	attempts, err := store.System[attempt](ctx, o.DB, store.Def{Name: "authorizations", Indexes: []store.Index{
		{Name: byExpiry, Fields: []string{"expires_at"}},
		{Name: byOrganization, Fields: []string{"organization"}},
	}, Owner: byOrganization})
	if err != nil {
		return nil, fmt.Errorf("open authorizations: %w", err)
	}
	return &Service{o, attempts}, nil
}

// Begun is an authorization that has begun.
type Begun struct {
	// URL is where the person goes.
	URL string
	// Cookie binds the authorization to the browser that got it.
	Cookie *http.Cookie
}

// Begin begins to authorize us for an account, on behalf of who acts in ctx. Problems: validation_failed for an account or a
// returnTo that cannot be, oauth_not_configured (409).
func (s *Service) Begin(ctx context.Context, vendor connector.Authorizer, account, returnTo string) (*Begun, error) {
	flow := vendor.OAuth()
	if flow.ClientID == "" {
		return nil, problem.New(http.StatusConflict, CodeNotConfigured, "this platform has no app at "+vendor.Vendor()+"; its operators can configure one")
	}
	if flow.Account != nil {
		var err error
		if account, err = flow.Account(account); err != nil {
			return nil, problem.Invalid("query.account", err.Error())
		}
	}
	if returnTo != "" && !redirect.Allowed(returnTo, s.Pages...) {
		return nil, problem.Invalid("query.return_to", "not a URL of a page of this platform")
	}
	var secrets [3]string
	for i := range secrets {
		secret := make([]byte, 32)
		if _, err := io.ReadFull(s.Random, secret); err != nil {
			return nil, fmt.Errorf("make a state: %w", err)
		}
		secrets[i] = hex.EncodeToString(secret)
	}
	state, binding, verifier := secrets[0], secrets[1], secrets[2]
	p, _ := identity.From(ctx)
	_, err := s.attempts.Insert(ctx, digest(state), attempt{
		Organization: p.Organization, Subject: p.Subject, Session: p.Session, Scope: p.Scope, Binding: digest(binding), Vendor: vendor.Vendor(), Account: account,
		Verifier: verifier, ReturnTo: returnTo, ExpiresAt: store.At(s.Now().Add(Life)),
	})
	if err != nil {
		return nil, fmt.Errorf("keep an authorization under way: %w", err)
	}
	return &Begun{
		URL:    flow.AuthorizeURL(account, s.redirect(vendor.Vendor()), state, verifier),
		Cookie: s.browsers().Cookie(state, binding),
	}, nil
}

// Forget deletes authorizations that nobody finished in time.
func (s *Service) Forget(ctx context.Context) error {
	due := store.Query{Index: byExpiry, Range: store.Range{Field: "expires_at", To: store.At(s.Now())}}
	if err := s.attempts.DeleteDue(ctx, due); err != nil {
		return fmt.Errorf("forget authorizations under way: %w", err)
	}
	return nil
}

func (s *Service) redirect(vendor string) string {
	return s.API.JoinPath("api/integrations", vendor, "oauth/callback").String()
}

// browsers is what authorizations are to browsers.
func (s *Service) browsers() redirect.Flow {
	return redirect.Flow{Name: "tandem_oauth", Life: Life, Secure: s.API.Scheme == "https"}
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Finish ends the authorization for who acts in ctx and began it, with the parameters with which the vendor sent them back.
// Problems: oauth_state_invalid (422) for one that is not under way, or not theirs, oauth_callback_forged and oauth_denied (422),
// and those of connection.Service.Connect.
func (s *Service) Finish(ctx context.Context, vendor connector.Authorizer, callback url.Values) (c connection.Connection, created bool, err error) {
	p, _ := identity.From(ctx)
	a, err := s.claim(ctx, vendor, callback.Get("state"), func(a attempt) bool {
		return a.Organization == p.Organization && a.Subject == p.Subject && a.Session == p.Session
	})
	if err != nil {
		return connection.Connection{}, false, err
	}
	return s.finish(ctx, vendor, a, callback)
}

// FinishInBrowser is Finish for the browser that has the cookie, which is sent on to a URL. Without one, the outcome is for it
// to show.
func (s *Service) FinishInBrowser(ctx context.Context, vendor connector.Authorizer, callback url.Values, cookies string) (to string, c connection.Connection, err error) {
	state := callback.Get("state")
	a, err := s.claim(ctx, vendor, state, func(a attempt) bool {
		return subtle.ConstantTimeCompare([]byte(digest(s.browsers().Secret(cookies, state))), []byte(a.Binding)) == 1
	})
	if err != nil {
		return "", connection.Connection{}, err
	}
	// The vendor sends no token along: the group acts, and the log says for whom.
	ctx = identity.AsGroup(ctx, topology.Integrations, a.Organization)
	failure := s.permit(ctx, a)
	if failure == nil {
		c, _, failure = s.finish(ctx, vendor, a, callback)
	}
	if err := s.log(ctx, a, c, failure); err != nil {
		return "", connection.Connection{}, err
	}
	if code := problem.Code(failure); code != "" && a.ReturnTo != "" {
		return redirect.With(a.ReturnTo, "error", code), c, nil
	}
	if failure != nil || a.ReturnTo == "" {
		return "", c, failure
	}
	return redirect.With(a.ReturnTo, "connection_id", c.ID), c, nil
}

// permit refuses an attempt of somebody who may not connect any more: who has signed out since, or lost the membership or the
// permission.
func (s *Service) permit(ctx context.Context, a attempt) error {
	p, err := s.Current(ctx, identity.Principal{Organization: a.Organization, Subject: a.Subject, Session: a.Session, Scope: a.Scope})
	switch {
	case err != nil && problem.From(err).Status != http.StatusUnauthorized:
		return fmt.Errorf("ask what who began may do: %w", err)
	case err != nil || !p.Can("integrations."+a.Vendor+":write"):
		return invalid().Wrap(err)
	}
	return nil
}

// log tells the audit log what came of an attempt that ended without a token.
func (s *Service) log(ctx context.Context, a attempt, c connection.Connection, failure error) error {
	entry := audit.Entry{
		Action: "integrations." + a.Vendor + "." + Action, Actor: audit.Actor{Subject: a.Subject, Session: a.Session}, Resource: integrationsapi.KindConnection + ":" + c.ID,
	}
	if failure != nil {
		entry.Resource, entry.Result, entry.Code = "", audit.Failure, problem.Code(failure)
	}
	m, err := audit.Message(ctx, s.Emit, a.Organization, entry)
	if err != nil {
		return err
	}
	if err := s.DB.Outbox().Add(ctx, m); err != nil {
		return fmt.Errorf("log an authorization: %w", err)
	}
	return nil
}

var form = regexp.MustCompile(`^[0-9a-f]{64}$`)

func invalid() *problem.Problem {
	return problem.New(http.StatusUnprocessableEntity, CodeState, "this authorization is not under way here; begin again")
}

// claim takes the attempt under a state, once, if it is theirs.
func (s *Service) claim(ctx context.Context, vendor connector.Connector, state string, theirs func(attempt) bool) (attempt, error) {
	if !form.MatchString(state) {
		return attempt{}, invalid()
	}
	doc, err := s.attempts.Get(ctx, digest(state))
	if err == nil {
		a := doc.Value
		if a.Vendor != vendor.Vendor() || !s.Now().Before(a.ExpiresAt.Time) || !theirs(a) {
			return attempt{}, invalid()
		}
		err = s.attempts.Delete(ctx, doc.ID, doc.Version)
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return attempt{}, invalid().Wrap(err)
	}
	if err != nil {
		return attempt{}, fmt.Errorf("take an authorization under way: %w", err)
	}
	return doc.Value, nil
}

func (s *Service) finish(ctx context.Context, vendor connector.Authorizer, a attempt, callback url.Values) (connection.Connection, bool, error) {
	flow := vendor.OAuth()
	if flow.Verify != nil {
		secret, err := flow.Secret(ctx)
		if err != nil {
			return connection.Connection{}, false, fmt.Errorf("read the client secret: %w", err)
		}
		if err := flow.Verify(secret, a.Account, callback); err != nil {
			return connection.Connection{}, false, problem.New(http.StatusUnprocessableEntity, CodeForged, "this does not come from the vendor; begin again").Wrap(err)
		}
	}
	code := callback.Get(cmp.Or(flow.CodeIn, "code"))
	if callback.Get("error") != "" || code == "" {
		return connection.Connection{}, false, problem.New(http.StatusUnprocessableEntity, CodeDenied, "the authorization was not given").
			Wrap(fmt.Errorf("the vendor says %.100q", callback.Get("error")))
	}
	credentials, err := flow.Redeem(ctx, a.Account, s.redirect(a.Vendor), code, a.Verifier)
	if err != nil {
		return connection.Connection{}, false, connection.Refusal(err)
	}
	return s.Connections.Connect(ctx, a.Organization, a.Vendor, a.Account, credentials)
}
