package connector

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/secrets"
)

// Hooked is a connector whose vendor tells us of changes by webhooks.
type Hooked interface {
	Connector
	Hooks() Hooks
}

// Delivery is a webhook as it came.
type Delivery struct {
	Method string
	// URL is the address that the vendor called, with its query, as it is known outside.
	URL    string
	Header http.Header
	// Body is every byte of it, as signatures are of bytes.
	Body []byte
}

// Hooks are a vendor's ways with webhooks.
type Hooks struct {
	// Secrets are those of this platform's app at the vendor, newest first: several while one takes the place of another. An
	// error is the operator's to mend.
	Secrets func(context.Context) ([]secrets.Secret, error)
	// OfConnections tells that people can have the vendor's account itself send webhooks, with a secret of their own.
	OfConnections bool
	// OfSubAccounts tells that notices name SubAccounts.
	OfSubAccounts bool
	// Verify proves that a delivery is the vendor's by any of the secrets, and tells when it was signed; zero where the vendor
	// signs no time. An error says what is wrong, for the log.
	Verify func(of []secrets.Secret, d Delivery) (signed time.Time, err error)
	// Read says what a verified delivery is about. An error says that it is in no form that is known.
	Read func(d Delivery) (News, error)
	// Challenge is what to answer to a GET by which the vendor makes sure of the address; nil where it does not. An error
	// says why it is refused.
	Challenge func(ctx context.Context, query url.Values) (answer string, err error)
}

// News is what a delivery says.
type News struct {
	// ID is the vendor's own of the delivery, the same whenever it is sent again; empty where the vendor gives none.
	ID string
	// Notices are one for each account.
	Notices []Notice
}

// Notice is what a delivery says of one account.
type Notice struct {
	// ID is the vendor's own of this where a delivery has several that may come again in others; that of the delivery when empty.
	ID string
	// Topic is what happened, in the vendor's words.
	Topic string
	// AccountID is Identity.ID of the account that it is about, or Account is its Identity.Account, whichever the vendor tells.
	AccountID, Account string
	// SubAccount is the SubAccount.ID that it is about, of a vendor that tells neither (see Hooks.OfSubAccounts).
	SubAccount string
	// Streams are those of which something changed.
	Streams []string
	// Ended tells that the account no longer lets this platform in: a sentence for people; empty when it does.
	Ended string
	// At is when it happened; zero where the vendor does not say.
	At time.Time
	// ByHand is what a person has to do about it, where the platform cannot; empty when nothing.
	ByHand string
	// Forget is what the vendor has erased and wants erased here.
	Forget Forget
}

// Forget is what a vendor wants to be erased; nothing when it is zero.
type Forget struct {
	// Person is the vendor's id of a customer or contact.
	Person string `json:"person,omitempty"`
	// Everything is all that was read through the connection.
	Everything bool `json:"everything,omitempty"`
}

// Verifiers' errors.
var (
	ErrNoSignature    = errors.New("it has no signature")
	ErrWrongSignature = errors.New("the signature is wrong")
)

// NewApp is this platform's app at a vendor, whose secrets are read by name: <vendor>-client-secret, <vendor>-webhook-secret for what
// its webhooks are signed with, and <vendor>-webhook-token for what proves a Challenge.
func NewApp(vendor, clientID string, read func(ctx context.Context, name string) (secrets.Secret, error)) App {
	named := func(what string) func(context.Context) (secrets.Secret, error) {
		return func(ctx context.Context) (secrets.Secret, error) { return read(ctx, vendor+"-"+what) }
	}
	return App{
		ClientID: clientID, Secret: named("client-secret"), HookSecrets: SeveralSecrets(named("webhook-secret")), HookTokens: SeveralSecrets(named("webhook-token")),
	}
}

// SecretsBefore are the client secret and, as HookSecrets, those that it took the place of: what webhooks are signed with by vendors that
// sign with the client secret.
func (a App) SecretsBefore(ctx context.Context) ([]secrets.Secret, error) {
	before, err := a.HookSecrets(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := a.Secret(ctx)
	if errors.Is(err, secrets.ErrNotFound) || err == nil && secret.Empty() {
		return before, nil
	}
	if err != nil {
		return nil, err
	}
	return append([]secrets.Secret{secret}, before...), nil
}

// SeveralSecrets reads a secret that may hold several, separated by commas, the newest first, so that one can take the place of
// another while both are good. There are none where there is no such secret.
func SeveralSecrets(read func(context.Context) (secrets.Secret, error)) func(context.Context) ([]secrets.Secret, error) {
	return func(ctx context.Context) ([]secrets.Secret, error) {
		text, err := read(ctx)
		if errors.Is(err, secrets.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var all []secrets.Secret
		for one := range strings.SplitSeq(text.Reveal(), ",") {
			if one = strings.TrimSpace(one); one != "" {
				all = append(all, secrets.New(one))
			}
		}
		return all, nil
	}
}
