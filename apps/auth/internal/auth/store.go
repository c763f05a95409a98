package auth

import (
	"context"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// user is a person's document.
type user struct {
	// Email is normalized; it is unique over all organizations.
	Email        string     `json:"email"`
	PasswordHash string     `json:"password_hash"`
	FirstName    string     `json:"first_name"`
	LastName     string     `json:"last_name"`
	Organization string     `json:"organization"`
	Roles        []string   `json:"roles"`
	CreatedAt    store.Time `json:"created_at"`
}

// organization is a tenant's document.
type organization struct {
	Name      string     `json:"name"`
	CreatedAt store.Time `json:"created_at"`
}

const byEmail = "email"

// documents are the accounts. They belong to no tenant's collection because a login has an e-mail address
// and no tenant.
type documents struct {
	users         *store.Documents[user]
	organizations *store.Documents[organization]
}

func openDocuments(ctx context.Context, db store.DB) (documents, error) {
	users, err := store.System[user](ctx, db, store.Def{Name: "users", Indexes: []store.Index{
		{Name: byEmail, Fields: []string{"email"}, Unique: true},
		{Name: "organization", Fields: []string{"organization", "created_at"}},
	}})
	if err != nil {
		return documents{}, fmt.Errorf("open the users: %w", err)
	}
	organizations, err := store.System[organization](ctx, db, store.Def{Name: "organizations"})
	if err != nil {
		return documents{}, fmt.Errorf("open the organizations: %w", err)
	}
	return documents{users, organizations}, nil
}

// userByEmail is the user with a normalized address: store.ErrNotFound.
func (d documents) userByEmail(ctx context.Context, email string) (store.Doc[user], error) {
	return d.users.First(ctx, store.Query{Index: byEmail, Equal: []any{email}})
}

func userView(doc store.Doc[user]) authapi.User {
	v := doc.Value
	return authapi.User{
		ID: doc.ID, Email: v.Email, FirstName: v.FirstName, LastName: v.LastName, Roles: v.Roles, CreatedAt: v.CreatedAt.Time,
	}
}

func organizationView(doc store.Doc[organization]) authapi.Organization {
	return authapi.Organization{ID: doc.ID, Name: doc.Value.Name, CreatedAt: doc.Value.CreatedAt.Time}
}
