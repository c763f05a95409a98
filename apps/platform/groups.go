package main

import (
	"fmt"

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
	"github.com/tandemhq/tandem/pkg/endpoint"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/host"
)

// builders are all groups there are.
func builders(c config.Config) []group.Builder {
	return []group.Builder{
		auth.Builder(auth.Config{WebURL: c.WebURL, APIURL: c.APIURL, AllowInsecure: c.Environment == config.Development}),
		integrations.Builder(integrations.Config{
			API: c.APIURL, Web: c.WebURL, ShopifyBaseURL: c.ShopifyBaseURL, Hosts: c.VendorURL, Pages: c.VendorPagesURL, ClientIDs: c.ClientIDs, Limits: c.VendorLimits, Sidecar: vendorSidecar(c),
		}),
		agentkit.Builder(),
		analytics.Builder(),
		onboarding.Builder(),
		ml.Builder(),
		infrastructure.Builder(),
	}
}

// vendorSidecar is the sidecar where vendors are called by way of it.
func vendorSidecar(c config.Config) endpoint.Sidecar {
	if c.VendorCalls != "dapr" {
		return endpoint.Sidecar{}
	}
	return endpoint.Sidecar{URL: fmt.Sprintf("http://127.0.0.1:%d", c.DaprHTTP), Token: c.APIToken}
}

func specs(all []group.Builder) []group.Spec {
	list := make([]group.Spec, len(all))
	for i, b := range all {
		list[i] = b.Spec
	}
	return list
}

// authority asks the auth group who may do what.
func authority(c *call.Client) host.Authority { return authapi.Client{Client: c} }
