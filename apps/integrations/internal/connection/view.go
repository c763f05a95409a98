package connection

import "github.com/tandemhq/tandem/pkg/store"

// View is a connection as its owner sees it. Credentials are not in it in any form.
type View struct {
	ID             string       `json:"id" doc:"Id of the connection" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor         string       `json:"vendor" doc:"What is connected" example:"shopify"`
	Account        string       `json:"account" doc:"The vendor's name of the account, for Shopify the shop's domain" example:"demo.myshopify.com"`
	Name           string       `json:"name" doc:"The account's name for people" example:"Demo"`
	Currency       string       `json:"currency" doc:"ISO 4217 code; empty where it depends on the account behind the authorization" example:"USD"`
	TimeZone       string       `json:"time_zone" doc:"IANA name; empty likewise" example:"America/New_York"`
	Scopes         []string     `json:"scopes" nullable:"false" doc:"What the credentials allow, in the vendor's words" example:"[\"read_orders\"]"`
	ChosenAccounts []string     `json:"chosen_accounts,omitempty" doc:"Ids of the advertising accounts that are synced; missing when all are" example:"[\"act_1001\"]"`
	Status         Status       `json:"status" enum:"active,needs_attention,disconnected" doc:"Whether it works" example:"active"`
	Problem        *ProblemView `json:"problem,omitempty" doc:"Why it needs attention"`
	Authorized     bool         `json:"authorized" doc:"Authorized at the vendor by a person, rather than connected by a key"`
	ExpiresAt      *store.Time  `json:"expires_at,omitempty" format:"date-time" doc:"When its credentials end, UTC; they are refreshed before"`
	ConnectedAt    store.Time   `json:"connected_at" format:"date-time" doc:"When its credentials were last given, UTC"`
	PausedAt       *store.Time  `json:"paused_at,omitempty" format:"date-time" doc:"When its syncs were paused, UTC; missing when they are not"`
	DisconnectedAt *store.Time  `json:"disconnected_at,omitempty" format:"date-time" doc:"When it was disconnected, UTC"`
	Streams        []StreamView `json:"streams" nullable:"false" doc:"What can be synced, and how fresh it is"`
}

// ProblemView is why a connection needs attention, and what helps.
type ProblemView struct {
	Problem
	Action string `json:"action" enum:"authorize,connect,remove_app" doc:"What helps: authorize the account again, connect it by another key, or remove the app at the vendor" example:"authorize"`
}

// StreamView is how fresh one kind of data is.
type StreamView struct {
	Stream    string      `json:"stream" doc:"Kind of data" example:"orders"`
	SyncedAt  *store.Time `json:"synced_at,omitempty" format:"date-time" doc:"When a sync last ended well, UTC; missing before the first"`
	ChangedAt *store.Time `json:"changed_at,omitempty" format:"date-time" doc:"Newest change at the vendor that was read, UTC"`
	RunID     string      `json:"run_id,omitempty" doc:"The sync that last ended well" example:"0199b1f2-9c20-7e11-8b8e-5a0f6f1e2d3c"`
	Problem   *Problem    `json:"problem,omitempty" doc:"Why the sync after that failed; others may do well"`
}

// View is a connection without its secrets, with every stream that its vendor has.
func (s *Service) View(c Connection) View {
	v := View{
		ID: c.ID, Vendor: c.Vendor, Account: c.Account, Name: c.Name, Currency: c.Currency, TimeZone: c.TimeZone,
		Scopes: append([]string{}, c.Scopes...), ChosenAccounts: c.Chosen, Status: c.Status, Authorized: c.Authorized, ExpiresAt: c.ExpiresAt.OrNil(),
		ConnectedAt: c.ConnectedAt, PausedAt: c.PausedAt, DisconnectedAt: c.DisconnectedAt, Streams: []StreamView{},
	}
	if c.Problem != nil {
		v.Problem = &ProblemView{*c.Problem, "connect"}
		switch {
		case c.Problem.Code == CodeNotRevoked:
			v.Problem.Action = "remove_app"
		case c.Authorized:
			v.Problem.Action = "authorize"
		}
	}
	for _, stream := range s.Connector(c.Vendor).Streams() {
		state := c.Streams[stream.Name]
		v.Streams = append(v.Streams, StreamView{
			Stream: stream.Name, SyncedAt: state.SyncedAt.OrNil(), ChangedAt: state.Watermark.OrNil(), RunID: state.RunID, Problem: state.Problem,
		})
	}
	return v
}
