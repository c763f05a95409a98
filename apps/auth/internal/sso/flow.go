package sso

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/apps/auth/internal/sso/oidc"
	"github.com/tandemhq/tandem/apps/auth/internal/sso/saml"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/redirect"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	flowLife = 10 * time.Minute
	codeLife = time.Minute
)

// ours is the form of a state.
var ours = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Begun is a sign-in that has begun.
type Begun struct {
	// URL is where the person goes.
	URL string
	// Cookie binds the sign-in to the browser; nil where there is a Handle, which binds it to a client that is none.
	Cookie *http.Cookie
	Handle string
}

// usable is a connection by which people can sign in: 404.
func (s *Service) usable(ctx context.Context, id string) (store.Doc[connection], error) {
	doc, err := s.d.connections.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) || err == nil && !doc.Value.Enabled {
		return store.Doc[connection]{}, problem.NotFound("connection").Wrap(err)
	}
	if err != nil {
		return doc, fmt.Errorf("read a connection: %w", err)
	}
	return doc, nil
}

// Start begins a sign-in. A browser is to be sent to returnTo in the end, with a one-time code, for which challenge may
// demand a verifier (RFC 7636, S256); without returnTo the answer goes to whoever brings the provider's. Problems: 404, 422
// for a returnTo that is not allowed, 502 sso_unreachable.
func (s *Service) Start(ctx context.Context, id, returnTo, challenge string) (*Begun, error) {
	doc, err := s.usable(ctx, id)
	if err != nil {
		return nil, err
	}
	if returnTo != "" && !redirect.Allowed(returnTo, s.c.ReturnOrigins...) {
		return nil, problem.Invalid("query.return_to", "not a URL of a page that sign-ins may return to")
	}
	state, err := s.random()
	if err != nil {
		return nil, err
	}
	binding, err := s.random()
	if err != nil {
		return nil, err
	}
	begun := &Begun{Handle: binding}
	if returnTo != "" {
		begun.Handle, begun.Cookie = "", s.cookie(state, binding, doc.Value.protocol())
	}
	if doc.Value.OIDC != nil {
		client := s.client(id, *doc.Value.OIDC, "") // its secret is for the code that comes back
		begun.URL, err = s.oidc.AuthorizationURL(ctx, client, state, derive(binding, "nonce"), derive(binding, "verifier"))
	} else {
		begun.URL, err = s.serviceProvider(id).RequestURL(doc.Value.SAML.Provider, requestID(state), state, s.c.Now())
	}
	if err != nil {
		return nil, refusal(err)
	}
	_, err = s.d.flows.Insert(ctx, atrest.Digest(state), flow{
		Connection: id, Version: doc.Version, Binding: atrest.Digest(binding), ReturnTo: returnTo, Challenge: challenge,
		ExpiresAt: store.At(s.c.Now().Add(flowLife)),
	})
	if err != nil {
		return nil, fmt.Errorf("keep a sign-in under way: %w", err)
	}
	return begun, nil
}

// derive is a value of 256 bits for one purpose. It is not kept: only who has the binding can make it again.
func derive(binding, purpose string) string {
	mac := hmac.New(sha256.New, []byte(binding))
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// requestID is a SAML request's id, which is a name of XML and so begins with no digit.
func requestID(state string) string { return "_" + state }

// redirectURL is each connection's own, so that one provider's answer is never taken for another's (RFC 9700, section 4.4).
func (s *Service) redirectURL(connection string) string { return s.url("oidc", connection, "callback") }

func (s *Service) client(connection string, p oidcProvider, secret string) oidc.Client {
	return oidc.Client{Issuer: p.Issuer, ID: p.ClientID, Secret: secret, RedirectURL: s.redirectURL(connection), Scopes: p.Scopes}
}

// browsers is what sign-ins are to browsers.
func (s *Service) browsers() redirect.Flow {
	return redirect.Flow{Name: "tandem_sso", Life: flowLife, Secure: strings.HasPrefix(s.c.BaseURL, "https:")}
}

// cookie binds a sign-in to a browser. SAML's answer is a POST from another site, with which browsers send no other cookies.
func (s *Service) cookie(state, binding string, p authapi.SSOProtocol) *http.Cookie {
	c := s.browsers().Cookie(state, binding)
	if p == authapi.SAML {
		c.SameSite, c.Secure = http.SameSiteNoneMode, true
	}
	return c
}

// Client is who brings a provider's answer.
type Client struct {
	// Cookies is the Cookie header, Handle that of an API client.
	Cookies string
	Handle  string
}

func flowInvalid() *problem.Problem {
	return problem.New(http.StatusUnauthorized, authapi.CodeSSOFlowInvalid, "this sign-in is not under way here; begin again")
}

// claim takes the flow of a connection under a state, once, for the browser or client that began it, with the secret that binds
// it: 401 sso_flow_invalid.
func (s *Service) claim(ctx context.Context, connection, state string, by Client) (flow, string, error) {
	if !ours.MatchString(state) {
		return flow{}, "", flowInvalid()
	}
	doc, err := s.d.flows.Get(ctx, atrest.Digest(state))
	if errors.Is(err, store.ErrNotFound) {
		return flow{}, "", flowInvalid().Wrap(err)
	}
	if err != nil {
		return flow{}, "", fmt.Errorf("read a sign-in under way: %w", err)
	}
	binding := by.Handle
	if binding == "" {
		binding = s.browsers().Secret(by.Cookies, state)
	}
	if subtle.ConstantTimeCompare([]byte(atrest.Digest(binding)), []byte(doc.Value.Binding)) != 1 || !s.c.Now().Before(doc.Value.ExpiresAt.Time) {
		return flow{}, "", flowInvalid()
	}
	if doc.Value.Connection != connection {
		return flow{}, "", flowInvalid()
	}
	err = s.d.flows.Delete(ctx, doc.ID, 0)
	if errors.Is(err, store.ErrNotFound) {
		return flow{}, "", flowInvalid().Wrap(err)
	}
	if err != nil {
		return flow{}, "", fmt.Errorf("take a sign-in under way: %w", err)
	}
	return doc.Value, binding, nil
}

// Outcome is what a sign-in leads to: a page to go to, with a one-time code or the code of a problem, or the answer itself.
type Outcome struct {
	Location string
	SignIn   *authapi.SignIn
}

// Callback is an OpenID provider's answer, as a browser brings it.
type Callback struct {
	Connection string
	State      string
	Code       string
	Error      string
	Issuer     string
}

// Callback ends a sign-in by OIDC. Problems: 401 sso_flow_invalid and sso_refused, 403 sso_denied, 502 sso_unreachable, those
// of admit and of signin.Service.Begin. A browser is sent back with the code of what happened once it is known to be the one.
func (s *Service) Callback(ctx context.Context, in Callback, by Client) (*Outcome, error) {
	f, binding, err := s.claim(ctx, in.Connection, in.State, by)
	if err != nil {
		return nil, err
	}
	return s.end(ctx, f, func(doc store.Doc[connection]) (person, error) {
		if doc.Value.OIDC == nil {
			return person{}, flowInvalid()
		}
		if err := s.oidc.Answers(ctx, doc.Value.OIDC.Issuer, in.Issuer); err != nil {
			return person{}, refusal(err)
		}
		if in.Error != "" || in.Code == "" {
			return person{}, denied(fmt.Errorf("the provider says %.100q", in.Error))
		}
		return s.redeem(ctx, doc, in.Code, binding)
	})
}

// redeem is who a provider's code is for.
func (s *Service) redeem(ctx context.Context, doc store.Doc[connection], code, binding string) (person, error) {
	p := doc.Value.OIDC
	var secret []byte
	if p.Secret != nil {
		var err error
		if secret, err = s.c.Sealer.Open(ctx, secretOwner(doc.ID), p.Secret); err != nil {
			return person{}, fmt.Errorf("open a client secret: %w", err)
		}
	}
	who, err := s.oidc.Redeem(ctx, s.client(doc.ID, *p, string(secret)), code, derive(binding, "verifier"), derive(binding, "nonce"))
	if err != nil {
		return person{}, refusal(err)
	}
	found := person{Subject: who.Subject}
	found.describe(who.Claims, doc.Value.Attributes)
	// What the provider vouches for is the claim of that name, not an address from elsewhere.
	found.Verified = p.TrustEmail || oidc.Verified(who.Claims) && who.Claims["email"] == found.Email
	return found, nil
}

// Response is a SAML provider's answer, as a browser posts it.
type Response struct {
	Connection string
	// Response is SAMLResponse, in base64; Relay is RelayState.
	Response string
	Relay    string
}

// Respond ends a sign-in by SAML, or is one that began at the provider where the connection allows that. Problems as of
// Callback, and 404.
func (s *Service) Respond(ctx context.Context, in Response, by Client) (*Outcome, error) {
	doc, err := s.usable(ctx, in.Connection)
	if err == nil && doc.Value.SAML == nil {
		err = problem.NotFound("connection")
	}
	if err != nil {
		return nil, err
	}
	f, want := flow{Connection: doc.ID, Version: doc.Version}, ""
	if doc.Value.SAML.AllowInitiated && !ours.MatchString(in.Relay) {
		f.ReturnTo = s.landing(in.Relay)
	} else {
		if f, _, err = s.claim(ctx, doc.ID, in.Relay, by); err != nil {
			return nil, err
		}
		want = requestID(in.Relay)
	}
	return s.end(ctx, f, func(doc store.Doc[connection]) (person, error) {
		return s.assert(ctx, doc, in.Response, want)
	})
}

// landing is where somebody goes who came from their provider without having been sent there.
func (s *Service) landing(relay string) string {
	if redirect.Allowed(relay, s.c.ReturnOrigins...) {
		return relay
	}
	if len(s.c.ReturnOrigins) > 0 {
		return s.c.ReturnOrigins[0]
	}
	return ""
}

// assert is whom a response, in answer to want, lets in. It does so once.
func (s *Service) assert(ctx context.Context, doc store.Doc[connection], response, want string) (person, error) {
	who, err := s.serviceProvider(doc.ID).Verify(doc.Value.SAML.Provider, response, saml.Expected{InResponseTo: want, Now: s.c.Now()})
	if err != nil {
		return person{}, refusal(err)
	}
	_, err = s.d.assertions.Insert(ctx, doc.ID+":"+atrest.Digest(who.AssertionID), seen{store.At(who.Forget)})
	if errors.Is(err, store.ErrExists) {
		return person{}, refusal(fmt.Errorf("%w: assertion %.200q came before", saml.ErrRefused, who.AssertionID))
	}
	if err != nil {
		return person{}, fmt.Errorf("remember an assertion: %w", err)
	}
	// SAML has no word for an address that is verified: what an organization's provider signs is what it vouches for.
	found := person{Subject: who.Name, Verified: true}
	found.describe(who.Attributes, doc.Value.Attributes)
	if found.Email == "" && who.Format == saml.EmailAddress {
		found.Email = who.Name
	}
	if who.Format == saml.Transient { // it would be a new person each time
		found.Subject, err = accounts.ParseEmail(found.Email)
		if err != nil {
			return person{}, refuseAccount("the identity provider names no e-mail address").Wrap(err)
		}
	}
	return found, nil
}

// end lets in whom prove names, unless the connection has changed since the flow began.
func (s *Service) end(ctx context.Context, f flow, prove func(store.Doc[connection]) (person, error)) (*Outcome, error) {
	doc, err := s.usable(ctx, f.Connection)
	if err != nil || doc.Version != f.Version {
		if problem.Code(err) == problem.CodeNotFound || err == nil {
			return nil, flowInvalid().Wrap(err)
		}
		return nil, err
	}
	outcome, err := s.letIn(ctx, f, doc, prove)
	var refused *problem.Problem
	if !errors.As(err, &refused) {
		return outcome, err
	}
	if err := s.refused(ctx, doc, refused); err != nil {
		return nil, err
	}
	if f.ReturnTo == "" {
		return nil, err
	}
	return &Outcome{Location: redirect.With(f.ReturnTo, "error", refused.Code)}, nil
}

func (s *Service) letIn(ctx context.Context, f flow, doc store.Doc[connection], prove func(store.Doc[connection]) (person, error)) (*Outcome, error) {
	p, err := prove(doc)
	if err != nil {
		return nil, err
	}
	user, err := s.admit(ctx, doc.ID, doc.Value, p)
	if err != nil {
		return nil, err
	}
	t := ticket{User: user, Organization: doc.Value.Organization, Challenge: f.Challenge, ExpiresAt: store.At(s.c.Now().Add(codeLife))}
	if f.ReturnTo == "" {
		in, err := s.c.SignIns.Begin(ctx, t.attempt(Redemption{}))
		return &Outcome{SignIn: in}, err
	}
	code, err := s.random()
	if err != nil {
		return nil, err
	}
	if _, err := s.d.tickets.Insert(ctx, atrest.Digest(code), t); err != nil {
		return nil, fmt.Errorf("keep a sign-in for its code: %w", err)
	}
	return &Outcome{Location: redirect.With(f.ReturnTo, "code", code)}, nil
}

// refused tells the log, and the organization, of somebody who came from its provider and was not let in.
func (s *Service) refused(ctx context.Context, doc store.Doc[connection], why *problem.Problem) error {
	s.c.Log.WarnContext(ctx, "a federated sign-in is refused", "connection", doc.ID, "error", why)
	m, err := audit.Message(ctx, s.c.Emit, doc.Value.Organization, audit.Entry{
		Action: "auth.sso.sign-in", Resource: "sso-connection:" + doc.ID, Result: audit.Denied, Code: why.Code,
	})
	if err != nil {
		return err
	}
	if err := s.c.DB.Outbox().Add(ctx, m); err != nil {
		return fmt.Errorf("record a refusal: %w", err)
	}
	return nil
}

// Redemption is a one-time code with what is asked for.
type Redemption struct {
	Code string
	// Verifier is what the challenge of the start is the hash of; empty where there was none.
	Verifier   string
	Scope      sessions.Scope
	RememberMe bool
	Device     string
}

func (t ticket) attempt(in Redemption) signin.Attempt {
	return signin.Attempt{
		User: t.User, Organization: t.Organization, AMR: []string{signin.Federated}, Scope: in.Scope, RememberMe: in.RememberMe,
		Device: in.Device,
	}
}

// Redeem turns a one-time code into tokens, once. Problems: 401 sso_code_invalid, and those of signin.Service.Begin.
func (s *Service) Redeem(ctx context.Context, in Redemption) (*authapi.SignIn, error) {
	invalid := problem.New(http.StatusUnauthorized, authapi.CodeSSOCodeInvalid, "no sign-in waits for this code any more; begin again")
	doc, err := s.d.tickets.Get(ctx, atrest.Digest(in.Code))
	if err == nil {
		// Whatever comes of it: a code that came with a wrong verifier was seen by somebody else.
		err = s.d.tickets.Delete(ctx, doc.ID, 0)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalid.Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("take a sign-in by its code: %w", err)
	}
	if !s.c.Now().Before(doc.Value.ExpiresAt.Time) || !doc.Value.answers(in.Verifier) {
		return nil, invalid
	}
	return s.c.SignIns.Begin(ctx, doc.Value.attempt(in))
}

// answers compares a verifier with the challenge (RFC 7636, section 4.6).
func (t ticket) answers(verifier string) bool {
	if t.Challenge == "" {
		return true
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(t.Challenge)) == 1
}

func denied(cause error) *problem.Problem {
	return problem.New(http.StatusForbidden, authapi.CodeSSODenied, "the identity provider did not let you in").Wrap(cause)
}

// refusal is the problem that an error of a protocol is.
func refusal(err error) error {
	switch {
	case errors.Is(err, saml.ErrDenied):
		return denied(err)
	case errors.Is(err, oidc.ErrRefused), errors.Is(err, saml.ErrRefused):
		return problem.New(http.StatusUnauthorized, authapi.CodeSSORefused, "what the identity provider sent proves nothing; begin again").Wrap(err)
	case errors.Is(err, oidc.ErrUnreachable):
		return problem.New(http.StatusBadGateway, authapi.CodeSSOUnreachable, "the identity provider does not answer; try again later").Wrap(err)
	}
	return err
}
