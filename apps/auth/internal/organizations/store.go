package organizations

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// invitation waits for a person to join. It is deleted when it is accepted, revoked or has expired.
type invitation struct {
	Organization string   `json:"organization"`
	Email        string   `json:"email"` // normalized
	Roles        []string `json:"roles"`
	InvitedBy    string   `json:"invited_by"`
	// For is organization and address: one invitation at a time waits for each.
	For       string     `json:"for"`
	CreatedAt store.Time `json:"created_at"`
	ExpiresAt store.Time `json:"expires_at"`
	// Token is the digest of the token in the latest mail; missing while none has gone out.
	Token  string      `json:"token,omitempty"`
	SentAt *store.Time `json:"sent_at,omitempty"`
	// Mails is how many mails were asked for, AskedAt when the last one was.
	Mails   int        `json:"mails"`
	AskedAt store.Time `json:"asked_at"`
	// ClaimedUntil is until when the token is taken by somebody who is just redeeming it.
	ClaimedUntil *store.Time `json:"claimed_until,omitempty"`
}

func waitsFor(organization, email string) string { return organization + " " + email }

// budget is how many invitations an organization has mailed on one day.
type budget struct {
	Day   string `json:"day"`
	Mails int    `json:"mails"`
}

// seats are those that were promised to people who are about to be members.
type seats struct {
	Promised map[string]store.Time `json:"promised"` // by user, until when
}

// limits are those of one organization that differ from its plan's.
type limits struct {
	Own map[quota.Resource]int64 `json:"own,omitempty"`
}

// balance is what an organization has taken of one resource.
type balance struct {
	// Month is the one that a metered resource was last taken in.
	Month string `json:"month,omitempty"`
	Used  int64  `json:"used"`
	// Taken is what it was taken for: all of it for a counted resource, for a metered one the latest, which have no document of
	// their own yet.
	Taken []taken `json:"taken,omitempty"`
}

type taken struct {
	ID     string `json:"id"`
	Amount int64  `json:"amount"`
}

// spent says that a metered resource was taken for an id. It is written once.
type spent struct {
	Organization string     `json:"organization"`
	DeleteAfter  store.Time `json:"delete_after"`
}

// reported are the API calls that one process has counted for one organization in one month.
type reported struct {
	Organization string `json:"organization"`
	Month        string `json:"month"`
	Calls        int64  `json:"calls"`
}

// erasure is how far an organization is erased. It holds nothing of it but the id, and stays as the proof.
type erasure struct {
	BegunAt   store.Time                    `json:"begun_at"`
	Confirmed map[topology.Group]store.Time `json:"confirmed,omitempty"`
	DoneAt    *store.Time                   `json:"done_at,omitempty"`
}

const (
	byOrganization = "organization"
	byFor          = "for"
	byToken        = "token"
	byExpiry       = "expires-at"
	byDeletion     = "delete-after"
	byMonth        = "month"

	// only is the id of what an organization has one document of.
	only = "only"
)

type documents struct {
	budgets  *store.Collection[budget]
	seats    *store.Collection[seats]
	limits   *store.Collection[limits]
	balances *store.Collection[balance] // by resource

	// These belong to no tenant's collection: a token names its invitation before anybody knows whose it is, one report is about
	// many organizations, and what is due is deleted for all at once.
	invitations *store.Documents[invitation]
	spent       *store.Documents[spent]
	reported    *store.Documents[reported]
	erasures    *store.Documents[erasure] // by organization
}

func openDocuments(ctx context.Context, db store.DB) (d documents, err error) {
	open := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("open the %s: %w", what, err)
		}
		return nil
	}
	d.budgets, err = store.Tenant[budget](ctx, db, store.Def{Name: "invitation_budgets"})
	wrong := open("budgets of invitations", err)
	d.seats, err = store.Tenant[seats](ctx, db, store.Def{Name: "seats"})
	wrong = errors.Join(wrong, open("seats", err))
	d.limits, err = store.Tenant[limits](ctx, db, store.Def{Name: "plan_limits"})
	wrong = errors.Join(wrong, open("limits", err))
	d.balances, err = store.Tenant[balance](ctx, db, store.Def{Name: "quota_balances"})
	wrong = errors.Join(wrong, open("balances", err))
	d.invitations, err = store.System[invitation](ctx, db, store.Def{Name: "invitations", Indexes: []store.Index{
		{Name: byOrganization, Fields: []string{"organization", "created_at"}},
		{Name: byFor, Fields: []string{"for"}, Unique: true},
		{Name: byToken, Fields: []string{"token"}, Unique: true},
		{Name: byExpiry, Fields: []string{"expires_at"}},
	}, Owner: byOrganization})
	wrong = errors.Join(wrong, open("invitations", err))
	d.spent, err = store.System[spent](ctx, db, store.Def{Name: "quota_spent", Indexes: []store.Index{
		{Name: byOrganization, Fields: []string{"organization"}},
		{Name: byDeletion, Fields: []string{"delete_after"}},
	}, Owner: byOrganization})
	wrong = errors.Join(wrong, open("spent quotas", err))
	d.reported, err = store.System[reported](ctx, db, store.Def{Name: "api_calls", Indexes: []store.Index{
		{Name: byOrganization, Fields: []string{"organization", "month"}, Include: []string{"calls"}},
		{Name: byMonth, Fields: []string{"month"}},
	}, Owner: byOrganization})
	wrong = errors.Join(wrong, open("API calls", err))
	d.erasures, err = store.System[erasure](ctx, db, store.Def{Name: "erasures"})
	return d, errors.Join(wrong, open("erasures", err))
}

// edit lets change edit a document that may not be there yet. It runs again when another writer came between; its error
// is returned as it is.
func edit[T any](ctx context.Context, d *store.Documents[T], id string, change func(*T) error) error {
	for {
		var refused error
		_, err := d.Update(ctx, id, func(v *T) ([]store.Message, error) {
			refused = change(v)
			return nil, refused
		})
		switch {
		case refused != nil:
			return refused
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		var v T
		if err := change(&v); err != nil {
			return err
		}
		if _, err := d.Insert(ctx, id, v); !errors.Is(err, store.ErrExists) {
			return err
		}
	}
}
