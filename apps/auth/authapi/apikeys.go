package authapi

import "time"

// APIKeyStatus is whether an API key is good.
type APIKeyStatus string

// The states there are.
const (
	APIKeyActive  APIKeyStatus = "active"
	APIKeyExpired APIKeyStatus = "expired"
	APIKeyRevoked APIKeyStatus = "revoked"
)

// APIKey is a key with which a machine acts for an organization. The key itself is shown once, in an IssuedAPIKey.
type APIKey struct {
	ID        string       `json:"id" doc:"Id of the key, which is also a part of the key itself" example:"0199b1f26f0c7a519d3c8f5b2f6f1c11"`
	Name      string       `json:"name" doc:"What the key is for" example:"Nightly export"`
	Status    APIKeyStatus `json:"status" enum:"active,expired,revoked" example:"active"`
	Scopes    []string     `json:"scopes" nullable:"false" doc:"Permission patterns that the key is narrowed to; what its creator may not do, the key may not either" example:"[\"analytics.*:read\"]"`
	Networks  []string     `json:"networks" nullable:"false" doc:"CIDR prefixes that the key is accepted from; none for anywhere" example:"[\"203.0.113.0/24\"]"`
	CreatedBy string       `json:"created_by" doc:"User who made it, and whose permissions bound it" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	CreatedAt time.Time    `json:"created_at" doc:"When it was made, UTC"`
	ExpiresAt *time.Time   `json:"expires_at,omitempty" doc:"When it ends, UTC; missing for one that does not"`
	RotatedAt *time.Time   `json:"rotated_at,omitempty" doc:"When it got its latest secret, UTC; missing while it has its first"`
	// PreviousUntil is when the secret before the latest ends.
	PreviousUntil *time.Time `json:"previous_until,omitempty" doc:"Until when the secret before the latest is accepted too, UTC; missing when it is not"`
	LastUsedAt    *time.Time `json:"last_used_at,omitempty" doc:"When it was last used, UTC, to about a minute; missing before the first time"`
	RevokedAt     *time.Time `json:"revoked_at,omitempty" doc:"When it was revoked, UTC"`
}

// APIKeys is a page of keys, the latest first.
type APIKeys struct {
	Items      []APIKey `json:"items" nullable:"false"`
	NextCursor string   `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// IssuedAPIKey is a key with its secret, which is shown this once.
type IssuedAPIKey struct {
	APIKey
	Key string `json:"key" doc:"What to send as Authorization: Bearer. It is not kept, so it cannot be shown again" example:"tdm_0199b1f26f0c7a519d3c8f5b2f6f1c11_…"`
}
