// Package accounts keeps the people who can sign in, the organizations that they work for, and who works
// for which: documents without rules, which every module of the auth group reads.
package accounts

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// User is a person's document. A person has one account, whatever organizations they work for.
type User struct {
	// Email is normalized (see ParseEmail); it is unique over all organizations.
	Email string `json:"email"`
	// EmailVerifiedAt is when the person proved that the address is theirs; nil until then.
	EmailVerifiedAt *store.Time `json:"email_verified_at,omitempty"`
	// PasswordHash is a PHC string; empty for a person who signs in without a password.
	PasswordHash      string     `json:"password_hash,omitempty"`
	PasswordChangedAt store.Time `json:"password_changed_at"`
	FirstName         string     `json:"first_name"`
	LastName          string     `json:"last_name"`
	// Phone is in E.164 form; empty where none is known.
	Phone     string     `json:"phone,omitempty"`
	CreatedAt store.Time `json:"created_at"`
	// DisabledAt is when the account was closed; nil for one that can be used.
	DisabledAt *store.Time `json:"disabled_at,omitempty"`
}

// Organization is a tenant's document.
type Organization struct {
	Name string `json:"name"`
	// Plan is the name of a plan (see package organizations).
	Plan      string     `json:"plan"`
	CreatedAt store.Time `json:"created_at"`
	// EraseAt is when a deleted organization is erased everywhere; nil for one that is not deleted.
	EraseAt *store.Time `json:"erase_at,omitempty"`
}

// Membership says that a user works for an organization, and as what.
type Membership struct {
	User         string `json:"user"`
	Organization string `json:"organization"`
	// Roles are names of built-in or custom roles, never none.
	Roles     []string   `json:"roles"`
	CreatedAt store.Time `json:"created_at"`
	// LastUsedAt is when the user last signed in to the organization; nil before the first time.
	LastUsedAt *store.Time `json:"last_used_at,omitempty"`
}

// Names of the indexes.
const (
	ByEmail        = "email"
	ByUser         = "user"
	ByOrganization = "organization"
	ByEraseAt      = "erase-at"
)

// Accounts are the collections. They belong to no tenant's, because a login has an e-mail address and no
// tenant yet. Whoever changes Roles or membership tells package access of it, in the same breath.
type Accounts struct {
	Users         *store.Documents[User]
	Organizations *store.Documents[Organization]
	Memberships   *store.Documents[Membership]
}

// Open opens the accounts in db.
func Open(ctx context.Context, db store.DB) (*Accounts, error) {
	users, err := store.System[User](ctx, db, store.Def{Name: "users", Indexes: []store.Index{
		{Name: ByEmail, Fields: []string{"email"}, Unique: true},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the users: %w", err)
	}
	organizations, err := store.System[Organization](ctx, db, store.Def{Name: "organizations", Indexes: []store.Index{
		{Name: ByEraseAt, Fields: []string{"erase_at"}},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the organizations: %w", err)
	}
	memberships, err := store.System[Membership](ctx, db, store.Def{Name: "memberships", Indexes: []store.Index{
		{Name: ByUser, Fields: []string{"user", "created_at"}},
		{Name: ByOrganization, Fields: []string{"organization", "created_at"}},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the memberships: %w", err)
	}
	return &Accounts{users, organizations, memberships}, nil
}

// MembershipID is the id of the document that says that user works for organization.
func MembershipID(organization, user string) string { return organization + ":" + user }

// UserByEmail is the user with a normalized address: store.ErrNotFound.
func (a *Accounts) UserByEmail(ctx context.Context, email string) (store.Doc[User], error) {
	return a.Users.First(ctx, store.Query{Index: ByEmail, Equal: []any{email}})
}

// Membership says what user is in organization: store.ErrNotFound for who is no member.
func (a *Accounts) Membership(ctx context.Context, organization, user string) (store.Doc[Membership], error) {
	return a.Memberships.Get(ctx, MembershipID(organization, user))
}

// MembershipsOf are the organizations that user works for, the first joined first.
func (a *Accounts) MembershipsOf(ctx context.Context, user string) ([]store.Doc[Membership], error) {
	var all []store.Doc[Membership]
	err := a.Memberships.Each(ctx, store.Query{Index: ByUser, Equal: []any{user}}, func(doc store.Doc[Membership]) error {
		all = append(all, doc)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the memberships of a user: %w", err)
	}
	return all, nil
}

// Member is a user with what they are in an organization: store.ErrNotFound when they are no member, or
// no longer there.
func (a *Accounts) Member(ctx context.Context, organization, user string) (store.Doc[User], store.Doc[Membership], error) {
	membership, err := a.Membership(ctx, organization, user)
	if err != nil {
		return store.Doc[User]{}, membership, err
	}
	person, err := a.Users.Get(ctx, user)
	return person, membership, err
}

// IsNotFound tells whether err says that there is no such document.
func IsNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// UserView is what others see of a user, with their roles in an organization.
func UserView(doc store.Doc[User], roles []string) authapi.User {
	v := doc.Value
	return authapi.User{
		ID: doc.ID, Email: v.Email, EmailVerified: v.EmailVerifiedAt != nil, FirstName: v.FirstName, LastName: v.LastName,
		Phone: v.Phone, Roles: roles, CreatedAt: v.CreatedAt.Time,
	}
}

// OrganizationView is what others see of an organization.
func OrganizationView(doc store.Doc[Organization]) authapi.Organization {
	return authapi.Organization{ID: doc.ID, Name: doc.Value.Name, CreatedAt: doc.Value.CreatedAt.Time}
}
