package connection

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// Status is whether a connection works.
type Status string

const (
	// Active connections are synced.
	Active Status = "active"
	// NeedsAttention says that a person must connect again.
	NeedsAttention Status = "needs_attention"
	// Disconnected connections have no credentials; their records stay.
	Disconnected Status = "disconnected"
)

// Problem is why a connection needs attention, or one of its streams failed.
type Problem struct {
	Code    string `json:"code" doc:"Stable code" example:"credentials_refused"`
	Message string `json:"message" doc:"What happened, for people" example:"the shop refuses the access token; connect it again"`
}

// Connection is an account at a vendor as it is stored.
type Connection struct {
	ID     string `json:"id"`
	Vendor string `json:"vendor"`
	// AccountID is the vendor's own id of the account. One organization has one connection to it.
	AccountID string   `json:"account_id"`
	Account   string   `json:"account"`
	Name      string   `json:"name"`
	Currency  string   `json:"currency"`
	TimeZone  string   `json:"time_zone"`
	Scopes    []string `json:"scopes"`
	// Chosen are the ids of the accounts behind the authorization that are synced; empty for all.
	Chosen  []string `json:"chosen,omitempty"`
	Status  Status   `json:"status"`
	Problem *Problem `json:"problem,omitempty"`
	// Credentials are erased by a disconnect.
	Credentials *vault.Sealed `json:"credentials,omitempty"`
	// Authorized tells that they came by OAuth, and are revoked by a disconnect.
	Authorized bool `json:"authorized,omitempty"`
	// Refreshable tells that they can be refreshed.
	Refreshable bool `json:"refreshable,omitempty"`
	// ExpiresAt is when they end without a refresh, RefreshedAt when they were last refreshed.
	ExpiresAt   store.Time `json:"expires_at,omitzero"`
	RefreshedAt store.Time `json:"refreshed_at,omitzero"`
	// Refreshing is the right of one process to refresh them.
	Refreshing lease `json:"refreshing,omitzero"`
	// HookSecrets are what the account's own webhooks are signed with, newest first.
	HookSecrets    []hookSecret      `json:"hook_secrets,omitempty"`
	ConnectedAt    store.Time        `json:"connected_at"`
	PausedAt       *store.Time       `json:"paused_at,omitempty"`
	DisconnectedAt *store.Time       `json:"disconnected_at,omitempty"`
	Streams        map[string]Stream `json:"streams,omitempty"`
}

// lease is a right that ends by itself.
type lease struct {
	Owner string     `json:"owner"`
	Until store.Time `json:"until"`
}

// Stream is what is known of one kind of data of a connection.
type Stream struct {
	// Watermark is the newest change up to which everything has been read.
	Watermark store.Time `json:"watermark,omitzero"`
	// Watermarks are the same of each account, of a stream that is read by account.
	Watermarks map[string]store.Time `json:"watermarks,omitempty"`
	// SyncedAt is when a sync last ended well, RunID which.
	SyncedAt store.Time `json:"synced_at,omitzero"`
	RunID    string     `json:"run_id,omitempty"`
	// Problem is why the sync after that failed.
	Problem *Problem `json:"problem,omitempty"`
}

// entry is a live connection in the directory of all organizations, where background work finds it.
type entry struct {
	Organization string     `json:"organization"`
	Connection   string     `json:"connection"`
	Vendor       string     `json:"vendor"`
	AccountID    string     `json:"account_id"`
	Account      string     `json:"account"`
	DueAt        store.Time `json:"due_at"`
}

type documents struct {
	connections *store.Collection[Connection]
	directory   *store.Documents[entry]
	used        *store.Collection[uses]
	behind      *store.Documents[behind]
}

func openDocuments(ctx context.Context, db store.DB) (documents, error) {
	connections, err := store.Tenant[Connection](ctx, db, store.Def{Name: "connections", Indexes: []store.Index{
		{Name: "account", Fields: []string{"vendor", "account_id"}, Unique: true},
	}})
	if err != nil {
		return documents{}, err
	}
	directory, err := store.System[entry](ctx, db, store.Def{Name: "connection-directory", Indexes: []store.Index{
		{Name: "due", Fields: []string{"due_at"}},
		{Name: "organization", Fields: []string{"organization"}},
		{Name: "account", Fields: []string{"vendor", "account_id"}},
		{Name: "name", Fields: []string{"vendor", "account"}},
	}, Owner: "organization"})
	if err != nil {
		return documents{}, err
	}
	used, err := store.Tenant[uses](ctx, db, store.Def{Name: "credential-uses"})
	if err != nil {
		return documents{}, err
	}
	accounts, err := openBehind(ctx, db)
	return documents{connections, directory, used, accounts}, err
}

// byAccount finds the connection to a vendor's account: store.ErrNotFound.
func (d documents) byAccount(ctx context.Context, organization, vendor, accountID string) (store.Doc[Connection], error) {
	return d.connections.In(organization).First(ctx, store.Query{Index: "account", Equal: []any{vendor, accountID}})
}

// list reads a page of the connections to a vendor, to all when it is empty.
func (d documents) list(ctx context.Context, organization, vendor, cursor string, limit int) (store.Page[Connection], error) {
	q := store.Query{Index: "account", Cursor: cursor, Limit: limit}
	if vendor != "" {
		q.Equal = []any{vendor}
	}
	return d.connections.In(organization).Find(ctx, q)
}

// enter puts a connection into the directory, or sets when it is due next.
func (d documents) enter(ctx context.Context, e entry) error {
	_, err := d.directory.Insert(ctx, e.Connection, e)
	if errors.Is(err, store.ErrExists) {
		_, err = d.directory.Update(ctx, e.Connection, func(there *entry) ([]store.Message, error) {
			*there = e
			return nil, nil
		})
	}
	if err != nil {
		return fmt.Errorf("enter the connection into the directory: %w", err)
	}
	return nil
}
