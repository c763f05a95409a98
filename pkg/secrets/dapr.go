package secrets

import (
	"context"
	"fmt"
	"strings"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Component is the name of the Dapr secret store component.
const Component = "secrets"

// Timeout bounds a call whose context has no deadline.
const Timeout = 5 * time.Second

// Bundle is the name of one secret that has the others as its values: how a Kubernetes Secret keeps them.
const Bundle = "tandem"

// NewDapr is the secret store behind a sidecar. A secret is read under its own name, or as a value of the secret [Bundle].
func NewDapr(client dapr.Client) Source { return sidecar{client} }

type sidecar struct{ client dapr.Client }

func (s sidecar) Get(ctx context.Context, name string) (Secret, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, Timeout)
		defer cancel()
	}
	values, err := s.client.GetSecret(ctx, Component, name, nil)
	if err == nil {
		value, ok := values[name]
		if !ok && len(values) == 1 {
			for _, only := range values {
				value = only
			}
		}
		if value != "" { // the environment store answers a missing name with an empty value
			return New(value), nil
		}
	}
	// Whatever is wrong with the name: in a cluster the sidecar may be allowed to read the bundle and nothing else.
	bundle, noBundle := s.client.GetSecret(ctx, Component, Bundle, nil)
	if value := bundle[name]; noBundle == nil && value != "" {
		return New(value), nil
	}
	if err == nil || noBundle == nil || missing(err) {
		return Secret{}, fmt.Errorf("get secret %s: %w", name, ErrNotFound)
	}
	return Secret{}, fmt.Errorf("get secret %s: %w", name, err)
}

// missing tells a name that the store does not have: Dapr reports that as an internal error, in the component's words (files: "not found", Vault: "not exist").
func missing(err error) bool {
	text := strings.ToLower(err.Error())
	return status.Code(err) == codes.NotFound || strings.Contains(text, "not found") || strings.Contains(text, "not exist")
}
