package main

import (
	"context"
	"time"

	"github.com/tandemhq/tandem/apps/agentkit"
	"github.com/tandemhq/tandem/apps/analytics"
	"github.com/tandemhq/tandem/apps/auth"
	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/infrastructure"
	"github.com/tandemhq/tandem/apps/integrations"
	"github.com/tandemhq/tandem/apps/ml"
	"github.com/tandemhq/tandem/apps/onboarding"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// builders are all groups there are.
func builders(c config.Config) []group.Builder {
	return []group.Builder{
		auth.Builder(auth.Config{}),
		integrations.Builder(integrations.Config{ShopifyBaseURL: c.ShopifyBaseURL}),
		agentkit.Builder(),
		analytics.Builder(),
		onboarding.Builder(),
		ml.Builder(),
		infrastructure.Builder(),
	}
}

func specs(all []group.Builder) []group.Spec {
	list := make([]group.Spec, len(all))
	for i, b := range all {
		list[i] = b.Spec
	}
	return list
}

// keys asks the auth group for the keys of access tokens.
func keys(c *call.Client) func(context.Context) (identity.JWKS, error) {
	return authapi.Client{Client: c}.JWKS
}

// revocations asks the auth group for the sessions that ended lately.
func revocations(c *call.Client) identity.RevocationFeed {
	return func(ctx context.Context, since time.Time) ([]identity.Revocation, error) {
		answer, err := authapi.Client{Client: c}.Revocations(ctx, since)
		if err != nil {
			return nil, err
		}
		return answer.Sessions, nil
	}
}
