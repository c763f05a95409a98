package verification

import (
	"context"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/store"
)

// purpose is what the owner of an address agrees to with a link.
type purpose string

const (
	toVerify purpose = "verify"
	toLeave  purpose = "leave"   // of the present address
	toMoveIn purpose = "move-in" // of the new one
)

// link is a token that was mailed. Its document's id is the token's digest, so that whoever reads the
// database cannot use it.
type link struct {
	Purpose purpose `json:"purpose"`
	// User and Email are whose address is to be verified.
	User  string `json:"user,omitempty"`
	Email string `json:"email,omitempty"`
	// Change is the change to agree to.
	Change    string     `json:"change,omitempty"`
	ExpiresAt store.Time `json:"expires_at"`
}

// proves tells whether the link still has something to prove of u.
func (l link) proves(u accounts.User) bool { return u.Email == l.Email && u.EmailVerifiedAt == nil }

// change is a move of a user to another address.
type change struct {
	User string `json:"user"`
	From string `json:"from"`
	To   string `json:"to"`
	// FromUnproved says that nobody ever proved that From is theirs, so it has no say and hears nothing.
	FromUnproved bool `json:"from_unproved,omitempty"`
	// LeftAt and MovedInAt are when the two ends agreed; nil until then.
	LeftAt    *store.Time `json:"left_at,omitempty"`
	MovedInAt *store.Time `json:"moved_in_at,omitempty"`
	CreatedAt store.Time  `json:"created_at"`
	ExpiresAt store.Time  `json:"expires_at"`
}

// ends are when the end that agrees now has agreed before, and the other one.
func (c *change) ends(p purpose) (mine, other **store.Time) {
	if p == toLeave {
		return &c.LeftAt, &c.MovedInAt
	}
	return &c.MovedInAt, &c.LeftAt
}

// concerns tells whether u is still as when the change was asked for. Since then the owner of an address that had no say may
// have proved that it is theirs; they would lose the account to whoever had it before.
func (c *change) concerns(u accounts.User) bool {
	return u.Email == c.From && (u.EmailVerifiedAt == nil) == c.FromUnproved
}

// sent is how often mail was asked for by somebody, or to some address.
type sent struct {
	Count int `json:"count"`
	// NextAt is when more may be asked for.
	NextAt    store.Time `json:"next_at"`
	ExpiresAt store.Time `json:"expires_at"`
}

const (
	byUser   = "user"
	byExpiry = "expires-at"
)

// documents belong to no tenant's collection, since a link says nothing of whose it is, and a person's
// address is theirs in all the organizations that they work for.
type documents struct {
	links   *store.Documents[link]
	changes *store.Documents[change]
	sent    *store.Documents[sent]
}

func openDocuments(ctx context.Context, db store.DB) (d documents, err error) {
	expiry := store.Index{Name: byExpiry, Fields: []string{"expires_at"}}
	if d.links, err = store.System[link](ctx, db, store.Def{Name: "email_links", Indexes: []store.Index{expiry}}); err != nil {
		return d, fmt.Errorf("open the links in mails: %w", err)
	}
	d.changes, err = store.System[change](ctx, db, store.Def{Name: "email_changes", Indexes: []store.Index{
		expiry, {Name: byUser, Fields: []string{"user", "created_at"}},
	}})
	if err != nil {
		return d, fmt.Errorf("open the changes of address: %w", err)
	}
	if d.sent, err = store.System[sent](ctx, db, store.Def{Name: "email_links_sent", Indexes: []store.Index{expiry}}); err != nil {
		return d, fmt.Errorf("open the counts of mails: %w", err)
	}
	return d, nil
}

// changesOf are the changes of user, the latest first.
func (d documents) changesOf(ctx context.Context, user string) ([]store.Doc[change], error) {
	var all []store.Doc[change]
	err := d.changes.Each(ctx, store.Query{Index: byUser, Equal: []any{user}, Descending: true}, func(doc store.Doc[change]) error {
		all = append(all, doc)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the changes of address: %w", err)
	}
	return all, nil
}

// deleteExpired removes what has no use any more.
func deleteExpired[T any](ctx context.Context, d *store.Documents[T], now time.Time) error {
	due := store.Query{Index: byExpiry, Range: store.Range{Field: "expires_at", To: store.At(now)}}
	return d.DeleteDue(ctx, due)
}
