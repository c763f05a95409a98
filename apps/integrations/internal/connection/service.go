// Package connection keeps the connections of organizations to their accounts at vendors, with their credentials sealed,
// how fresh each one's data is, and a directory of all of them for background work. It is the same for every vendor.
package connection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// Codes of this package's problems, beside those of package connector.
const (
	CodeDisconnected   = "connection_disconnected"
	CodeNeedsAttention = "connection_needs_attention"
	CodeUnreadable     = "credentials_unreadable"
	CodePaused         = "connection_paused"
	CodeNotRevoked     = "authorization_not_revoked"
	CodeNotOAuth       = "connection_not_authorized"
)

// Quota is what an organization's plan allows of connections (see quota.Client).
type Quota interface {
	Take(ctx context.Context, organization string, r quota.Resource, id string, amount int64) error
	Release(ctx context.Context, organization string, r quota.Resource, id string) error
}

// Options are what a Service works with; all but Metrics are required.
type Options struct {
	DB         store.DB
	Vault      *vault.Vault
	Connectors []connector.Connector
	Emit       events.Emitter
	Quota      Quota
	// Every is how often a connection falls due for a scheduled sync.
	Every time.Duration
	// Metrics takes the series tandem_token_refreshes_total.
	Metrics prometheus.Registerer
	Now     func() time.Time
	NewID   func() string
}

// Service makes, reads and ends connections. It is safe for concurrent use.
type Service struct {
	Options
	documents
	recent    recent
	refreshes *prometheus.CounterVec
}

// New opens the connections.
func New(ctx context.Context, o Options) (*Service, error) {
	d, err := openDocuments(ctx, o.DB)
	if err != nil {
		return nil, fmt.Errorf("open connections: %w", err)
	}
	s := &Service{Options: o, documents: d, refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tandem_token_refreshes_total", Help: "Credentials that were to be refreshed at the vendor, by result (ok, or the problem's code).",
	}, []string{"vendor", "result"})}
	if o.Metrics != nil {
		if err := o.Metrics.Register(s.refreshes); err != nil {
			return nil, fmt.Errorf("register the metrics of connections: %w", err)
		}
	}
	return s, nil
}

// Connector is a vendor's, nil when there is none.
func (s *Service) Connector(vendor string) connector.Connector {
	for _, c := range s.Connectors {
		if c.Vendor() == vendor {
			return c
		}
	}
	return nil
}

// Connect verifies credentials with the vendor and keeps them. An account that is connected already, or was, keeps its
// connection and gets the new credentials; created tells that it had none. Errors are problems: credentials_refused and
// others of the vendor (422), vendor_unavailable and vendor_throttled (503), vendor_answer_invalid (502), quota_exceeded (402)
// for one connection more than the plan allows. What a person has authorized is revoked again where it cannot be kept.
func (s *Service) Connect(ctx context.Context, organization, vendor, account string, credentials connector.Credentials) (c Connection, created bool, err error) {
	identity, err := s.Connector(vendor).Identify(ctx, connector.Account{Name: account, Credentials: credentials})
	if err != nil {
		return Connection{}, false, Refusal(err)
	}
	c, created, err = s.keep(ctx, organization, vendor, identity, credentials)
	if err != nil && problem.From(err).Status < http.StatusInternalServerError && credentials.Authorized {
		err = errors.Join(err, s.abandon(ctx, vendor, identity, connector.Account{Name: account, Credentials: credentials}))
	}
	if err == nil {
		acted(ctx, c)
	}
	return c, created, err
}

// keep is Connect for credentials that the vendor takes.
func (s *Service) keep(ctx context.Context, organization, vendor string, identity connector.Identity, credentials connector.Credentials) (c Connection, created bool, err error) {
	for {
		known, err := s.byAccount(ctx, organization, vendor, identity.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			c, err = s.create(ctx, organization, vendor, identity, credentials)
			if errors.Is(err, store.ErrDuplicate) {
				continue // somebody else connected it meanwhile
			}
			return c, err == nil, err
		case err != nil:
			return Connection{}, false, fmt.Errorf("find the connection: %w", err)
		default:
			c, err = s.renew(ctx, organization, known.Value, identity, credentials)
			return c, false, err
		}
	}
}

func (s *Service) create(ctx context.Context, organization, vendor string, identity connector.Identity, credentials connector.Credentials) (Connection, error) {
	c := Connection{ID: s.NewID(), Vendor: vendor, AccountID: identity.ID}
	sealed, err := s.seal(ctx, organization, c.ID, credentials)
	if err != nil {
		return Connection{}, err
	}
	s.identified(&c, identity, credentials, sealed)
	created, err := s.told(ctx, integrationsapi.TopicConnectionCreated, organization, c)
	if err != nil {
		return Connection{}, err
	}
	// An entry without a live connection is taken out when it falls due; a connection without an entry would never be synced.
	if err := s.enter(ctx, s.entry(organization, c)); err != nil {
		return Connection{}, err
	}
	if err := s.Quota.Take(ctx, organization, quota.Connections, c.ID, 1); err != nil {
		return Connection{}, err
	}
	if _, err := s.connections.In(organization).Insert(ctx, c.ID, c, created); err != nil {
		return Connection{}, errors.Join(fmt.Errorf("store the connection: %w", err), s.Quota.Release(ctx, organization, quota.Connections, c.ID))
	}
	return c, nil
}

func (s *Service) renew(ctx context.Context, organization string, known Connection, identity connector.Identity, credentials connector.Credentials) (Connection, error) {
	sealed, err := s.seal(ctx, organization, known.ID, credentials)
	if err != nil {
		return Connection{}, err
	}
	if err := s.enter(ctx, s.entry(organization, known)); err != nil {
		return Connection{}, err
	}
	if err := s.Quota.Take(ctx, organization, quota.Connections, known.ID, 1); err != nil { // one that lives has its place already
		return Connection{}, err
	}
	doc, err := s.connections.In(organization).Update(ctx, known.ID, func(c *Connection) ([]store.Message, error) {
		again := c.Status == Disconnected
		s.identified(c, identity, credentials, sealed)
		if !again {
			return nil, nil
		}
		created, err := s.told(ctx, integrationsapi.TopicConnectionCreated, organization, *c)
		return []store.Message{created}, err
	})
	if err != nil {
		return Connection{}, fmt.Errorf("store the connection: %w", err)
	}
	return doc.Value, nil
}

func (s *Service) identified(c *Connection, identity connector.Identity, credentials connector.Credentials, sealed vault.Sealed) {
	c.Account, c.Name, c.Currency, c.TimeZone, c.Scopes = identity.Account, identity.Title, identity.Currency, identity.TimeZone, identity.Scopes
	c.Status, c.Problem, c.DisconnectedAt = Active, nil, nil
	c.Credentials, c.ConnectedAt = &sealed, store.At(s.Now())
	c.Authorized, c.Refreshable, c.ExpiresAt = credentials.Authorized, !credentials.RefreshToken.Empty(), expiry(credentials)
	c.Refreshing, c.RefreshedAt = lease{}, store.Time{}
}

func expiry(c connector.Credentials) store.Time {
	if c.ExpiresAt.IsZero() {
		return store.Time{}
	}
	return store.At(c.ExpiresAt)
}

func (s *Service) told(ctx context.Context, topic events.Topic[integrationsapi.ConnectionChanged], organization string, c Connection) (store.Message, error) {
	return topic.Message(ctx, s.Emit, organization, integrationsapi.ConnectionChanged{ConnectionID: c.ID, Vendor: c.Vendor, Account: c.Account})
}

// Get reads an organization's connection: a problem not_found.
func (s *Service) Get(ctx context.Context, organization, id string) (Connection, error) {
	doc, err := s.connections.In(organization).Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return Connection{}, problem.NotFound("connection").Wrap(err)
	}
	return doc.Value, err
}

// List reads a page of an organization's connections to a vendor, to all of them when it is empty: store.ErrBadCursor.
func (s *Service) List(ctx context.Context, organization, vendor, cursor string, limit int) (connections []Connection, next string, err error) {
	page, err := s.list(ctx, organization, vendor, cursor, limit)
	if err != nil {
		return nil, "", fmt.Errorf("list connections: %w", err)
	}
	for _, doc := range page.Items {
		connections = append(connections, doc.Value)
	}
	return connections, page.Next, nil
}

// Disconnect erases the credentials of the connection to a vendor with that id or, when id is empty, of the only one there
// is, and revokes them at the vendor where a person had authorized us there, unless another organization's connection lives by
// that, too. A vendor that cannot be told keeps nobody connected: the connection then has the problem authorization_not_revoked.
// Records stay. One that is disconnected already
// stays so. Errors are problems: not_found, and validation_failed when there are several and no id.
func (s *Service) Disconnect(ctx context.Context, organization, vendor, id string) error {
	c, err := s.find(ctx, organization, vendor, id)
	if err != nil {
		return err
	}
	for {
		why := s.revoke(ctx, organization, c)
		doc, err := s.connections.In(organization).Update(ctx, c.ID, func(now *Connection) ([]store.Message, error) {
			if now.Status == Disconnected || !now.ConnectedAt.Equal(c.ConnectedAt.Time) {
				return nil, nil
			}
			at := store.At(s.Now())
			now.Status, now.Problem, now.Credentials, now.HookSecrets = Disconnected, why, nil, nil
			now.DisconnectedAt, now.PausedAt = &at, nil
			ended, err := s.told(ctx, integrationsapi.TopicConnectionDisconnected, organization, *now)
			return []store.Message{ended}, err
		})
		if err != nil {
			return fmt.Errorf("disconnect: %w", err)
		}
		if doc.Value.Status == Disconnected {
			// After a crash in between, disconnecting once more gives the place back.
			return s.Quota.Release(ctx, organization, quota.Connections, c.ID)
		}
		c = doc.Value // it was connected again meanwhile: these credentials are not revoked yet
	}
}

// find is the connection to a vendor with that id or, when id is empty, the only one there is that lives: problems as of
// Disconnect.
func (s *Service) find(ctx context.Context, organization, vendor, id string) (Connection, error) {
	if id == "" {
		var err error
		if id, err = s.only(ctx, organization, vendor); err != nil {
			return Connection{}, err
		}
	}
	c, err := s.Get(ctx, organization, id)
	if err == nil && c.Vendor != vendor {
		err = problem.NotFound("connection")
	}
	if err == nil {
		acted(ctx, c)
	}
	return c, err
}

// acted tells the audit log which connection a request has found or made.
func acted(ctx context.Context, c Connection) { audit.On(ctx, integrationsapi.KindConnection+":"+c.ID) }

// only is the id of the organization's only live connection to the vendor.
func (s *Service) only(ctx context.Context, organization, vendor string) (string, error) {
	var live []string
	for cursor := ""; ; {
		connections, next, err := s.List(ctx, organization, vendor, cursor, 0)
		if err != nil {
			return "", err
		}
		for _, c := range connections {
			if c.Status != Disconnected {
				live = append(live, c.ID)
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	switch len(live) {
	case 0:
		return "", problem.NotFound("connection")
	case 1:
		return live[0], nil
	default:
		return "", problem.Invalid("query.connection_id", fmt.Sprintf("there are %d connections; say which", len(live)))
	}
}

// Open is an organization's connection with its credentials, ready to be used: those that are about to expire are refreshed
// first, and who uses them is noted. Errors are problems: not_found, connection_disconnected, connection_needs_attention and credentials_unreadable (409),
// the last for credentials that were changed, which need attention from then on, and those of a refresh. Others are the
// operator's to mend and pass by themselves then: the secret store's, and vault.ErrOtherKey, which changes nothing.
func (s *Service) Open(ctx context.Context, organization, id string, u Use) (Connection, connector.Account, error) {
	c, err := s.Get(ctx, organization, id)
	if err != nil {
		return Connection{}, connector.Account{}, err
	}
	return s.Unlock(ctx, organization, c, u)
}

// Unlock is Open for a connection that has just been read.
func (s *Service) Unlock(ctx context.Context, organization string, c Connection, u Use) (Connection, connector.Account, error) {
	if err := c.Usable(); err != nil {
		return c, connector.Account{}, err
	}
	if s.aging(c) {
		fresh, err := s.refresh(ctx, organization, c)
		if err != nil && (fresh.Usable() != nil || !s.Now().Before(c.ExpiresAt.Time)) {
			return fresh, connector.Account{}, err
		}
		c = fresh
	}
	account, err := s.unseal(ctx, organization, c, u)
	return c, account, err
}

// aging tells whether the credentials of a connection are to be refreshed before they are used. Where a vendor gives some that end
// as soon as the old ones, it is not asked again at every use.
func (s *Service) aging(c Connection) bool {
	if !c.Refreshable || c.ExpiresAt.IsZero() {
		return false
	}
	now, early := s.Now(), s.flow(c.Vendor).RefreshEarly()
	return !now.Before(c.ExpiresAt.Time) || now.Add(early).After(c.ExpiresAt.Time) && now.Sub(c.RefreshedAt.Time) > early/4
}

// unseal is the account of a connection that has credentials, for a use of them.
func (s *Service) unseal(ctx context.Context, organization string, c Connection, u Use) (connector.Account, error) {
	kept, err := s.reveal(ctx, organization, c)
	if errors.Is(err, vault.ErrTampered) {
		p := problem.New(http.StatusConflict, CodeUnreadable, "the credentials can no longer be read; connect again").Wrap(err)
		_, err := s.mark(ctx, organization, c, Problem{p.Code, p.Detail})
		return connector.Account{}, errors.Join(p, err)
	}
	if err == nil {
		err = s.note(ctx, organization, c.ID, u)
	}
	if err != nil {
		return connector.Account{}, err
	}
	return connector.Account{Connection: c.ID, Name: c.Account, Chosen: c.Chosen, Credentials: connector.Credentials{
		AccessToken: secrets.New(kept.AccessToken), RefreshToken: secrets.New(kept.RefreshToken), Authorized: c.Authorized, ExpiresAt: c.ExpiresAt.Time,
	}}, nil
}

// Usable is nil when the connection can be synced, or the problem that says why not.
func (c Connection) Usable() error {
	switch {
	case c.Status == Disconnected || c.Credentials == nil:
		return problem.New(http.StatusConflict, CodeDisconnected, "the connection was disconnected; connect again")
	case c.Status == NeedsAttention:
		return problem.New(http.StatusConflict, CodeNeedsAttention, "the connection needs attention: "+c.Problem.Message)
	}
	return nil
}

// Refused says that the vendor does not take the credentials of c. Those that can be refreshed may have ended before their
// time: they are. Otherwise c needs attention, unless it was given other credentials, or disconnected, since it was
// read. Again tells that there are others to try.
func (s *Service) Refused(ctx context.Context, organization string, c Connection, why Problem) (again bool, err error) {
	if c.Refreshable && s.Now().Sub(c.RefreshedAt.Time) > moment {
		_, err := s.refresh(ctx, organization, c)
		return err == nil, err
	}
	return s.mark(ctx, organization, c, why)
}

// mark is Refused for credentials that cannot be helped.
func (s *Service) mark(ctx context.Context, organization string, c Connection, why Problem) (again bool, err error) {
	doc, err := s.connections.In(organization).Update(ctx, c.ID, func(now *Connection) ([]store.Message, error) {
		if now.Status == Active && now.same(c) {
			now.Status, now.Problem = NeedsAttention, &why
		}
		return nil, nil
	})
	if err != nil {
		return false, fmt.Errorf("mark the connection: %w", err)
	}
	return doc.Value.Usable() == nil, nil
}

// same tells whether two states of a connection have the same credentials.
func (c Connection) same(other Connection) bool {
	return c.Credentials != nil && other.Credentials != nil && c.Credentials.Equal(*other.Credentials)
}

// Read notes up to which change a stream of the connection has been read and, where read says so, that a sync has ended well
// or has failed. A watermark never goes back.
func (s *Service) Read(ctx context.Context, organization, id, stream string, read Stream) error {
	_, err := s.connections.In(organization).Update(ctx, id, func(c *Connection) ([]store.Message, error) {
		state := c.Streams[stream]
		if read.Watermark.After(state.Watermark.Time) {
			state.Watermark = read.Watermark
		}
		for account, mark := range read.Watermarks {
			if state.Watermarks == nil {
				state.Watermarks = map[string]store.Time{}
			}
			if mark.After(state.Watermarks[account].Time) {
				state.Watermarks[account] = mark
			}
			if mark.After(state.Watermark.Time) {
				state.Watermark = mark
			}
		}
		if read.SyncedAt.After(state.SyncedAt.Time) {
			state.SyncedAt, state.RunID, state.Problem = read.SyncedAt, read.RunID, nil
		}
		if read.Problem != nil {
			state.Problem = read.Problem
		}
		if c.Streams == nil {
			c.Streams = map[string]Stream{}
		}
		c.Streams[stream] = state
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("note how fresh the connection is: %w", err)
	}
	return nil
}

// Findable is how long a disconnected connection is found by its account still: vendors tell of what they want erased days later,
// and give a month for it.
const Findable = 60 * 24 * time.Hour

// EachDue visits the live connections, but for those that are paused, of all organizations that have fallen due for a scheduled sync, each in one process
// only, and at most once however long ago it fell due. It goes on after an error of visit and returns them all.
func (s *Service) EachDue(ctx context.Context, visit func(ctx context.Context, organization, id string) error) error {
	now := s.Now()
	var failures []error
	err := s.directory.Each(ctx, store.Query{Index: "due", Range: store.Range{Field: "due_at", To: store.At(now)}}, func(doc store.Doc[entry]) error {
		e := doc.Value
		c, err := s.Get(ctx, e.Organization, e.Connection)
		switch {
		case problem.Code(err) == problem.CodeNotFound || err == nil && c.Status == Disconnected && !now.Before(c.DisconnectedAt.Add(Findable)):
			// At its version only: whoever connects it again writes the entry first, due much later than now.
			if err = s.directory.Delete(ctx, doc.ID, doc.Version); err == nil {
				err = s.behind.DeleteAll(ctx, store.Query{Index: "connection", Equal: []any{e.Connection}})
			}
		case err == nil:
			doc.Value.Account = c.Account // accounts are renamed
			doc.Value.DueAt = store.At(after(e.DueAt.Time, now, s.Every))
			if c.Status == Disconnected {
				doc.Value.DueAt = store.At(c.DisconnectedAt.Add(Findable))
			}
			_, err = s.directory.Replace(ctx, doc)
		}
		switch {
		case errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound):
			return nil // another process has taken it, or it was connected again
		case err != nil:
			return err
		}
		if c.Syncable() == nil {
			failures = append(failures, visit(ctx, e.Organization, e.Connection))
		}
		return nil
	})
	return errors.Join(append(failures, err)...)
}

// NextSyncs are when an organization's connections fall due for a scheduled sync, by connection.
func (s *Service) NextSyncs(ctx context.Context, organization string) (map[string]store.Time, error) {
	due := map[string]store.Time{}
	err := s.directory.Each(ctx, store.Query{Index: "organization", Equal: []any{organization}}, func(doc store.Doc[entry]) error {
		due[doc.Value.Connection] = doc.Value.DueAt
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look when connections are due: %w", err)
	}
	return due, nil
}

// entry is a connection's place in the directory: due after one or two intervals, by its id, so that connections made or
// resumed together do not all ask their vendors at the same moment.
func (s *Service) entry(organization string, c Connection) entry {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.ID)) // never fails
	jitter := time.Duration(h.Sum64() % uint64(s.Every))
	return entry{organization, c.ID, c.Vendor, c.AccountID, c.Account, store.At(s.Now().Add(s.Every + jitter))}
}

// after is the first of the times at, at+every, … that is later than now.
func after(at, now time.Time, every time.Duration) time.Time {
	if at.After(now) {
		return at
	}
	return now.Add(every - now.Sub(at)%every)
}

// keptCredentials are credentials as they are sealed.
type keptCredentials struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

var errUnreadable = errors.New("open credentials: not in the form they are kept in")

// reveal decrypts the credentials of a connection that has some.
func (s *Service) reveal(ctx context.Context, organization string, c Connection) (kept keptCredentials, err error) {
	text, err := s.Vault.Open(ctx, organization, c.ID, *c.Credentials)
	if err == nil && json.Unmarshal(text, &kept) != nil {
		err = errUnreadable // the cause would quote them
	}
	return kept, err
}

func (s *Service) seal(ctx context.Context, organization, id string, c connector.Credentials) (vault.Sealed, error) {
	text, err := json.Marshal(keptCredentials{c.AccessToken.Reveal(), c.RefreshToken.Reveal()}) //nolint:gosec // G117: it is encoded to be encrypted
	if err != nil {
		return vault.Sealed{}, errors.New("encode credentials") // the error would quote them
	}
	return s.Vault.Seal(ctx, organization, id, text)
}

// Refusal is what a person is told of a vendor's error: a problem, see Connect. What is a problem already, of the request, stays so.
func Refusal(err error) error {
	var ours *problem.Problem
	if errors.Is(err, context.Canceled) || errors.As(err, &ours) {
		return err
	}
	e := connector.Classify(err)
	status := http.StatusUnprocessableEntity
	switch {
	case e.Class == connector.Throttled || e.Class == connector.Transient:
		status = http.StatusServiceUnavailable
	case e.Code == connector.CodeExists:
		status = http.StatusConflict
	case e.Code == connector.CodeMissing:
		status = http.StatusNotFound
	case slices.Contains([]string{connector.CodeBadAnswer, connector.CodeRefused}, e.Code):
		status = http.StatusBadGateway
	}
	p := problem.New(status, e.Code, e.Message).Wrap(err)
	if e.Wait > 0 {
		p = p.After(e.Wait)
	}
	return p
}
