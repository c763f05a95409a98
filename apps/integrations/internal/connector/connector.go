// Package connector is the contract between a vendor and everything that is written once for all vendors: retries,
// paging, checkpoints, storing. A connector says how to identify an account, which streams it has and how to pull a page
// of each, and in its errors what went wrong in terms that every vendor shares. It keeps nothing and retries nothing.
package connector

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// Connector speaks to one vendor. It is safe for concurrent use.
type Connector interface {
	// Vendor is the vendor's name, as in routes and records: "shopify".
	Vendor() string
	// Identify asks the vendor whose the account is: an *Error.
	Identify(ctx context.Context, a Account) (Identity, error)
	// Streams are what can be pulled.
	Streams() []Stream
}

// Account is one account at a vendor and the right to read it.
type Account struct {
	// Connection is the id of the connection, which makes the vendor's ids unique in an organization.
	Connection string
	// Name is the vendor's name of the account, such as a shop's domain, in its normal form.
	Name string
	// Chosen are the ids of the advertising accounts (see Lister) that are to be read; empty for all there are.
	Chosen      []string
	Credentials Credentials
}

// Lister is a connector whose authorizations open several accounts, of which people choose.
type Lister interface {
	Connector
	// Accounts are the accounts that the credentials open: an *Error.
	Accounts(ctx context.Context, a Account) ([]SubAccount, error)
}

// SubAccount is an account that an authorization opens among others, such as an advertising account of a business.
type SubAccount struct {
	// ID is the vendor's own.
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Currency string `json:"currency,omitempty"`  // an ISO 4217 code
	TimeZone string `json:"time_zone,omitempty"` // an IANA name
	// Via is the account that it is reached through, where requests have to name that; empty where it is reached by itself.
	Via string `json:"via,omitempty"`
}

// Keyed is a connector whose accounts people can connect by a key that they made at the vendor.
type Keyed interface {
	Connector
	Key() Key
}

// Key is what a key looks like.
type Key struct {
	// Doc says which key it is and where it is made.
	Doc string
	// Example shows its form.
	Example string
	// Account says what names the account, where the key alone does not; empty where it does.
	Account string
	// Normal is the normal form of that name: an error for people. Nil where Account is empty.
	Normal func(text string) (string, error)
}

// Credentials are what a vendor takes for proof.
type Credentials struct {
	AccessToken secrets.Secret
	// RefreshToken gets new credentials by OAuth.Refresh; empty where they cannot be refreshed.
	RefreshToken secrets.Secret
	// Authorized tells that a person authorized us by OAuth, rather than gave us a key.
	Authorized bool
	// ExpiresAt is when AccessToken ends; zero when it does not.
	ExpiresAt time.Time
}

// Identity is what a vendor says of an account.
type Identity struct {
	// ID is the vendor's own and never changes, even when the account is renamed.
	ID string
	// Account is the account's name in its normal form.
	Account string
	// Title is the name for people.
	Title string
	// Currency is an ISO 4217 code; empty where it depends on a SubAccount.
	Currency string
	// TimeZone is an IANA name; empty likewise.
	TimeZone string
	// Scopes are what the credentials allow, in the vendor's words.
	Scopes []string
}

// Stream is one kind of data that a vendor has. Either its records come in the order of their last change, so that one that
// changes while pages are read comes again at the end; or Page.Changed stays zero until all of them have been read, and is then no
// later than the beginning. So none is missed.
type Stream struct {
	// Name is unique in the vendor: "orders".
	Name string
	// PageSize is the most records that the vendor gives at once.
	PageSize int
	// LookBack is how far before the newest change already read an incremental sync begins, because changes may become
	// visible late and out of order.
	LookBack time.Duration
	// History is how far back the records' own times go that are read when all are; zero where there is no such bound.
	History time.Duration
	// Pull reads one page: an *Error. The same request may be made again, and again after a crash.
	Pull func(ctx context.Context, a Account, r Request) (Page, error)
}

// Request asks for a page.
type Request struct {
	// Since leaves out what changed before; zero leaves out nothing.
	Since time.Time
	// SinceOf is Since for each account, for a stream that is read by account: one that is missing was never read. Nil says that
	// Since holds for all.
	SinceOf map[string]time.Time
	// Cursor is Page.Next of the page before, with the same Since; empty for the first.
	Cursor string
	// Size is the most records wanted, 1 to Stream.PageSize.
	Size int
}

// Page is a part of a stream. It may repeat records of earlier pages, in any order.
type Page struct {
	Records Records
	// Bad are those that cannot be records. They stop none of the others.
	Bad []Bad
	// Next is the cursor of the following page, empty after the last.
	Next string
	// Changed is up to when everything has been read; zero when this page does not tell.
	Changed time.Time
	// ChangedOf is Changed for each account, for a stream that is read by account.
	ChangedOf map[string]time.Time
	// Left is how many records come after this page, where the vendor tells; nil where it does not.
	Left *int
	// Wait is how long the vendor's budget needs to recover before the next page; zero when it need not.
	Wait time.Duration
	// Refused is the vendor's refusal of a part of the page, because of its limits: a later page has that part. Nil where there was none.
	Refused *Error
	// Budget is what the vendor says of the budget that all requests of the account have together; nil where it says nothing, or where
	// requests alone are counted (see Limit). Wait is then not needed.
	Budget *Budget
	// Accounts are the ids of the SubAccounts that are read, on the first page of a stream that reads several; nil on others.
	Accounts []string
}

// Budget is a bucket of points, which fills by itself and which requests are paid from.
type Budget struct {
	// Rate is how many points come in a second, Max how many there are at most.
	Rate, Max float64
	// Left is how many there were after the page.
	Left float64
	// Cost is what the page took, Reserve how many are left alone: what there has to be beside it, and what others may ask for.
	Cost, Reserve float64
	// Windows are what Rate and Max are made of, where the vendor counts requests.
	Windows []Window
}

// LeftOf is Page.Left of the first page, of n records, where the vendor tells how many there are in all.
func LeftOf(total, n int) *int {
	left := max(0, total-n)
	return &left
}

// Records are normalized records of every kind. Each value follows from what the vendor said alone, never from when it
// was read, so that the same answer twice is no change.
type Records struct {
	Orders           []integrationsapi.Order
	Customers        []integrationsapi.Customer
	Products         []integrationsapi.Product
	Payments         []integrationsapi.Payment
	Contacts         []integrationsapi.Contact
	Deals            []integrationsapi.Deal
	Campaigns        []integrationsapi.Campaign
	Performance      []integrationsapi.Performance
	EmailPerformance []integrationsapi.EmailPerformance
}

// Len counts the records.
func (r Records) Len() int {
	return len(r.Orders) + len(r.Customers) + len(r.Products) + len(r.Payments) + len(r.Contacts) + len(r.Deals) +
		len(r.Campaigns) + len(r.Performance) + len(r.EmailPerformance)
}

// add adds other records.
func (r *Records) add(more Records) {
	r.Orders, r.Customers, r.Products = append(r.Orders, more.Orders...), append(r.Customers, more.Customers...), append(r.Products, more.Products...)
	r.Payments, r.Contacts, r.Deals = append(r.Payments, more.Payments...), append(r.Contacts, more.Contacts...), append(r.Deals, more.Deals...)
	r.Campaigns, r.Performance = append(r.Campaigns, more.Campaigns...), append(r.Performance, more.Performance...)
	r.EmailPerformance = append(r.EmailPerformance, more.EmailPerformance...)
}

// IDs are those of all records.
func (r Records) IDs() []string {
	return slices.Concat(ids(r.Orders), ids(r.Customers), ids(r.Products), ids(r.Payments), ids(r.Contacts), ids(r.Deals), ids(r.Campaigns),
		ids(r.Performance), ids(r.EmailPerformance))
}

func ids[R integrationsapi.Record](records []R) []string {
	all := make([]string, len(records))
	for i, r := range records {
		all[i] = r.Head().ID
	}
	return all
}

// NormalEmail is an address as records have it, by which a person is found in them.
func NormalEmail(text string) string { return strings.ToLower(strings.TrimSpace(text)) }
