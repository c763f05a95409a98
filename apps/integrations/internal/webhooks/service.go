// Package webhooks takes what vendors send: it proves whose it is, keeps it before it answers, and processes it afterwards, which
// outlives any kill. A delivery that was kept is a delivery for each connection to the account that it is about.
package webhooks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	stdsync "sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// Codes of this package's problems.
const (
	CodeForged   = "webhook_signature_invalid"
	CodeExpired  = "webhook_expired"
	CodeNoSecret = "webhook_secret_missing"
	CodeByHand   = "webhook_needs_a_person"
	CodePending  = "webhook_not_processed_yet"
	CodeFailed   = "webhook_not_processed"
)

const (
	// window is how old a signature may be, or how far in the future, by the vendor's clock or ours.
	window = 5 * time.Minute
	// secretsKept is how long the secrets of an app are not read again.
	secretsKept = time.Minute
	// Retention is how long deliveries are kept, and known again.
	Retention = 7 * 24 * time.Hour
	// RetentionByHand is the same of those that wait for a person, who has a month by the rules of most vendors.
	RetentionByHand = 60 * 24 * time.Hour
	// maxText bounds what is kept of a vendor's words, in characters.
	maxText = 200
)

// What becomes of deliveries, as metrics call it.
const (
	accepted   = "accepted"
	duplicate  = "duplicate"
	unknown    = "unknown"
	unreadable = "unreadable"
	forged     = "forged"
	expired    = "expired"
)

// Syncs starts syncs (see sync.Service).
type Syncs interface {
	Start(ctx context.Context, organization string, in sync.Input) (runs.Run, error)
}

// Persons erases what vendors have erased (see persons.Service). It may be asked again for the same.
type Persons interface {
	Forget(ctx context.Context, organization, connection string, whom connector.Forget) error
}

// Options are what a Service works with; all but Metrics are required.
type Options struct {
	DB          store.DB
	Connections *connection.Service
	Syncs       Syncs
	Persons     Persons
	// API is the address of the API as vendors see it.
	API     *url.URL
	Emit    events.Emitter
	Metrics prometheus.Registerer
	Now     func() time.Time
	Log     *slog.Logger
}

// Service takes deliveries and, while it is started, processes them. It is safe for concurrent use.
type Service struct {
	Options
	documents
	batches  batches
	outcomes *prometheus.CounterVec

	mu   stdsync.Mutex
	read map[string]readSecrets // by vendor

	wake   chan struct{}
	cancel context.CancelFunc
	ended  chan struct{}
}

type readSecrets struct {
	secrets []secrets.Secret
	at      time.Time
}

// New opens the deliveries.
func New(ctx context.Context, o Options) (*Service, error) {
	d, err := openDocuments(ctx, o.DB)
	if err != nil {
		return nil, fmt.Errorf("open webhooks: %w", err)
	}
	s := &Service{
		Options: o, documents: d, batches: batches{into: d.deliveries}, read: map[string]readSecrets{}, wake: make(chan struct{}, 1),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tandem_webhooks_total", Help: "Webhooks that came, by vendor and what became of them: accepted, duplicate, unknown (of an account that nobody has connected), unreadable, forged, expired.",
		}, []string{"vendor", "outcome"}),
	}
	if o.Metrics != nil {
		if err := o.Metrics.Register(s.outcomes); err != nil {
			return nil, fmt.Errorf("register the metrics of webhooks: %w", err)
		}
	}
	return s, nil
}

// hooks are a vendor's: a problem not_found where it has none.
func (s *Service) hooks(vendor string) (connector.Hooks, error) {
	if h, ok := s.Connections.Connector(vendor).(connector.Hooked); ok {
		return h.Hooks(), nil
	}
	return connector.Hooks{}, problem.NotFound("vendor with webhooks")
}

// Accept takes a delivery that a vendor sent to this platform's app or, with a connection, one that its account itself sends. When it
// returns nil the delivery is kept, was kept before, or is about nobody here, which the vendor is not told. Errors are problems: not_found
// for a vendor without webhooks, webhook_signature_invalid and webhook_expired (401), webhook_secret_missing (503).
func (s *Service) Accept(ctx context.Context, vendor, connectionID string, d connector.Delivery) error {
	hooks, err := s.hooks(vendor)
	if err != nil {
		return err
	}
	var only *connection.Place
	if connectionID != "" {
		if !hooks.OfConnections {
			return problem.NotFound("vendor whose accounts send webhooks")
		}
		place, err := s.Connections.Place(ctx, vendor, connectionID)
		if err != nil && problem.Code(err) != problem.CodeNotFound {
			return err
		}
		only = &place
	}
	of, err := s.secrets(ctx, vendor, hooks, only)
	if err != nil {
		return err
	}
	signed, err := hooks.Verify(of, d)
	if err != nil {
		s.count(vendor, forged)
		return problem.New(http.StatusUnauthorized, CodeForged, "the signature is missing or wrong").Wrap(err)
	}
	now := s.Now()
	if age := now.Sub(signed); !signed.IsZero() && age.Abs() > window {
		s.count(vendor, expired)
		return problem.New(http.StatusUnauthorized, CodeExpired, "it was signed too long ago, or in the future").Wrap(fmt.Errorf("signed %s ago", age))
	}
	news, err := hooks.Read(d)
	if err != nil {
		s.count(vendor, unreadable)
		s.Log.WarnContext(ctx, "a webhook that cannot be read", "vendor", vendor, "error", err)
		return nil
	}
	if news.ID == "" {
		sum := sha256.Sum256(d.Body)
		news.ID = hex.EncodeToString(sum[:])
	}
	puts, err := s.deliveries(ctx, vendor, only, news, now)
	if err != nil {
		return err
	}
	if len(puts) == 0 {
		s.count(vendor, unknown)
		return nil
	}
	there, err := s.batches.keep(ctx, puts)
	if err != nil {
		return fmt.Errorf("keep a webhook: %w", err)
	}
	if there == len(puts) {
		s.count(vendor, duplicate)
		return nil
	}
	s.count(vendor, accepted)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// deliveries are what is to be kept of news: one delivery for each connection that each notice is about. Their ids follow from the
// vendor's, so that one that is sent again is known.
func (s *Service) deliveries(ctx context.Context, vendor string, only *connection.Place, news connector.News, now time.Time) ([]store.Put[delivery], error) {
	var puts []store.Put[delivery]
	for _, n := range news.Notices {
		places, err := s.places(ctx, vendor, only, n)
		if err != nil {
			return nil, err
		}
		at, happened := store.At(now), n.At
		if happened.IsZero() {
			happened = now
		}
		id := cmp.Or(n.ID, news.ID)
		for _, p := range places {
			puts = append(puts, store.Put[delivery]{ID: idOf(vendor, id, n.Topic, p.Connection), Value: delivery{
				Organization: p.Organization, ConnectionID: p.Connection, Vendor: vendor, VendorID: cut(id), Topic: cut(n.Topic),
				Streams: n.Streams, Ended: n.Ended, ByHand: n.ByHand, Forget: n.Forget, HappenedAt: store.At(happened), ReceivedAt: at, Status: Received, DueAt: &at,
			}})
		}
	}
	return puts, nil
}

// places are the connections that a notice is about. One that an account itself sends is about that account's only, even where it names
// others, as those do that have customers of their own at the vendor.
func (s *Service) places(ctx context.Context, vendor string, only *connection.Place, n connector.Notice) ([]connection.Place, error) {
	switch {
	case only != nil && n.AccountID != "":
		places, err := s.Connections.Places(ctx, vendor, n.AccountID, "")
		return slices.DeleteFunc(places, func(p connection.Place) bool { return p != *only }), err
	case only != nil:
		return []connection.Place{*only}, nil
	case n.SubAccount != "":
		return s.Connections.PlacesBehind(ctx, vendor, n.SubAccount)
	case n.AccountID != "" || n.Account != "":
		return s.Connections.Places(ctx, vendor, n.AccountID, n.Account)
	}
	return nil, nil
}

// idOf is this platform's id of a delivery.
func idOf(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// cut bounds a vendor's word.
func cut(text string) string { return fmt.Sprintf("%.*s", maxText, text) }

// secrets are those that a delivery may be signed with, and none for a connection that there is not.
func (s *Service) secrets(ctx context.Context, vendor string, hooks connector.Hooks, only *connection.Place) ([]secrets.Secret, error) {
	if only != nil {
		if only.Connection == "" {
			return nil, nil
		}
		return s.Connections.HookSecrets(ctx, *only)
	}
	s.mu.Lock()
	known := s.read[vendor]
	s.mu.Unlock()
	if len(known.secrets) > 0 && s.Now().Sub(known.at) < secretsKept {
		return known.secrets, nil
	}
	of, err := hooks.Secrets(ctx)
	if err == nil && len(of) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, problem.New(http.StatusServiceUnavailable, CodeNoSecret, "this platform does not know yet what webhooks of this vendor are signed with").
			Wrap(fmt.Errorf("read the secrets of webhooks of %s: %w", vendor, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[vendor] = readSecrets{of, s.Now()}
	return of, nil
}

// Challenge answers the GET by which a vendor makes sure of an address: a problem not_found where it does not do so, or
// webhook_signature_invalid (401).
func (s *Service) Challenge(ctx context.Context, vendor string, query url.Values) (string, error) {
	hooks, err := s.hooks(vendor)
	if err != nil {
		return "", err
	}
	if hooks.Challenge == nil {
		return "", problem.NotFound("vendor that asks for a challenge")
	}
	answer, err := hooks.Challenge(ctx, query)
	if err != nil {
		s.count(vendor, forged)
		return "", problem.New(http.StatusUnauthorized, CodeForged, "the token is missing or wrong").Wrap(err)
	}
	return answer, nil
}

func (s *Service) count(vendor, outcome string) { s.outcomes.WithLabelValues(vendor, outcome).Inc() }

// Address is where a connection's account sends its own webhooks: a problem not_found where the vendor's accounts do not.
func (s *Service) Address(vendor, connectionID string) (string, error) {
	hooks, err := s.hooks(vendor)
	if err == nil && !hooks.OfConnections {
		err = problem.NotFound("vendor whose accounts send webhooks")
	}
	if err != nil {
		return "", err
	}
	return s.API.JoinPath("api", "integrations", "webhooks", vendor, connectionID).String(), nil
}

// Job forgets deliveries that are older than Retention, or RetentionByHand.
func (s *Service) Job() jobs.Job {
	return jobs.Job{Name: "forget-webhooks", Schedule: "@hourly", Run: func(ctx context.Context) error {
		old := store.Query{Index: "received", Range: store.Range{Field: "received_at", To: store.At(s.Now().Add(-Retention))}}
		return s.documents.deliveries.Each(ctx, old, func(doc store.Doc[delivery]) error {
			if d := doc.Value; d.ByHand != "" && d.Status == Parked && s.Now().Before(d.ReceivedAt.Add(RetentionByHand)) {
				return nil
			}
			err := s.documents.deliveries.Delete(ctx, doc.ID, doc.Version)
			if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
				return nil
			}
			return err
		})
	}}
}

// list reads a page of an organization's deliveries, newest first: store.ErrBadCursor.
func (s *Service) list(ctx context.Context, organization, cursor string, limit int) (store.Page[delivery], error) {
	return s.documents.deliveries.Find(ctx, store.Query{Index: "organization", Equal: []any{organization}, Descending: true, Cursor: cursor, Limit: limit})
}

// Replay has an organization's delivery processed again: a problem not_found, or webhook_not_processed_yet (409).
func (s *Service) replay(ctx context.Context, organization, id string) (store.Doc[delivery], error) {
	doc, err := s.documents.deliveries.Update(ctx, id, func(d *delivery) ([]store.Message, error) {
		switch {
		case d.Organization != organization:
			return nil, problem.NotFound("delivery")
		case d.DueAt != nil:
			return nil, problem.New(http.StatusConflict, CodePending, "it waits to be processed already")
		}
		now := store.At(s.Now())
		d.Status, d.Attempts, d.Reason, d.ProcessedAt, d.DueAt = Received, 0, nil, nil, &now
		return nil, nil
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		err = problem.NotFound("delivery").Wrap(err)
	}
	return doc, err
}
