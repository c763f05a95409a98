package vendor

import (
	"context"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// keys is the route of a vendor whose accounts are connected by keys.
type keys struct {
	*Module
	of connector.Key
}

// KeyInput is a key to connect an account by.
type KeyInput struct {
	Body struct {
		APIKey  secrets.Secret `json:"api_key" minLength:"1" maxLength:"400" doc:"Key that was made at the vendor" example:"pk_0123456789abcdef"`
		Account string         `json:"account,omitempty" maxLength:"200" doc:"The account, where the key alone does not tell; for Triple Whale the shop's domain" example:"demo.myshopify.com"`
	}
}

func (k keys) connect(ctx context.Context, in *KeyInput) (*Output, error) {
	account := in.Body.Account
	switch {
	case k.of.Normal == nil && account != "":
		return nil, problem.Invalid("body.account", "the key tells the account; leave it out")
	case k.of.Normal != nil:
		var err error
		if account, err = k.of.Normal(account); err != nil {
			return nil, problem.Invalid("body.account", err.Error())
		}
	}
	if !connector.IsHeaderValue(in.Body.APIKey.Reveal()) {
		return nil, problem.Invalid("body.api_key", "is no key")
	}
	c, created, err := k.connections.Connect(ctx, identity.Organization(ctx), k.Name(), account, connector.Credentials{AccessToken: in.Body.APIKey})
	if err != nil {
		return nil, err
	}
	return Connected(k.connections, c, created), nil
}
