// Package privacy lets a person have, or have erased, what all groups know of them, and an organization be erased everywhere.
//
// The auth group announces a request; a Worker in every other group takes it, asks the group's own hooks, and hands the group's
// part to the auth group, which puts the parts together. A group that keeps nothing of persons needs no hook: its worker
// answers that there was nothing. The work is a durable run, so that neither a restart nor an auth group that is down loses it.
package privacy

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Requested asks every group for its part in a request about a person. It names the person by id only; the worker asks the
// auth group for the rest, so that no copy of it stays in a broker.
var Requested = events.Topic[Request]{Name: "auth.data.requested"}

// OrganizationErasing tells every group, once, to erase all that it keeps of an organization, which its Worker does, and to say
// so to the Authority when it is done.
var OrganizationErasing = events.Topic[Erasing]{Name: "auth.organization.erasing"}

// Topics are the names of what a Worker consumes.
func Topics() []string { return []string{Requested.Name, OrganizationErasing.Name} }

// Kind is what a request asks for.
type Kind string

// The kinds there are.
const (
	// Export is a copy of what is known of a person.
	Export Kind = "export"
	// ErasePerson is that it is erased.
	ErasePerson Kind = "erase_person"
)

// Request is a request about a person in one organization.
type Request struct {
	ID             string `json:"request_id"`
	Kind           Kind   `json:"kind"`
	OrganizationID string `json:"organization_id"`
	UserID         string `json:"user_id"`
}

// Erasing is the end of an organization.
type Erasing struct {
	OrganizationID string    `json:"organization_id"`
	At             time.Time `json:"at"`
}

// Person is whom a request is about.
type Person struct {
	// Organization is the tenant within which the request is made; nothing of another one is touched.
	Organization string `json:"organization_id"`
	// User is the person's id.
	User string `json:"user_id"`
	// Email is the person's address, normalized; empty when their account is gone.
	Email string `json:"email,omitempty"`
}

// Personal is what one keeper of personal data, a group or a part of one, does about a person. Each may be nil.
type Personal struct {
	// Export is what is known of a person: values with a JSON form, none of them a secret. Nil for nothing.
	Export func(ctx context.Context, p Person) (map[string]any, error)
	// Erase erases what is known of a person, or makes it nobody's, and tells how many documents it changed or deleted. It may
	// be called again, after an error too, and then erases what is left.
	Erase func(ctx context.Context, p Person) (documents int64, err error)
}

// MaxPart bounds a part in bytes of JSON.
const MaxPart = 8 << 20

// Part is what a group delivers.
type Part struct {
	// Data is what it knows of the person, a JSON object; empty for nothing.
	Data json.RawMessage `json:"data,omitempty"`
	// Documents is how many it erased.
	Documents int64 `json:"documents"`
	// Problem is why it has nothing to deliver, for people to read.
	Problem string `json:"problem,omitempty"`
}

// Authority is the auth group, as the workers ask it. Errors are problems: 404, 409 or 410 for a request that is over.
type Authority interface {
	// Person is whom the request of this id is about.
	Person(ctx context.Context, request string) (Person, error)
	// Deliver hands in a group's part; once more changes nothing.
	Deliver(ctx context.Context, request string, group topology.Group, part Part) error
	// OrganizationErased says that a group has erased what it kept of an organization; once more changes nothing.
	OrganizationErased(ctx context.Context, organization string, group topology.Group, documents int64) error
}
