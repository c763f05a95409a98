package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tandemhq/tandem/apps/auth"
	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// The call that is measured asks auth for its keys: hardly any work, so that the way there is what counts.
const (
	calledPath = "/api/auth/jwks"
	callRounds = 3000
	callWarm   = 300
)

// throughDapr compares the typed client with a bare HTTP client on the same way: from the gateway's
// sidecar to auth's to auth.
func throughDapr(ctx context.Context, s *system.System, token string) ([]figure, error) {
	progress("A service call through Dapr, typed and bare by turns.")
	sidecar, err := sidecarOfGateway(s)
	if err != nil {
		return nil, err
	}
	typed := typedCall(sidecar, token)
	bare, err := bareCall(sidecar, token)
	if err != nil {
		return nil, err
	}
	samples, err := measure.InTurn(ctx, 1, callWarm, callRounds, typed, bare)
	if err != nil {
		return nil, fmt.Errorf("call through Dapr: %w", err)
	}
	ours, theirs := samples[0].Median(), samples[1].Median()
	ratio := float64(ours) / float64(theirs)
	return []figure{{
		"call", "service call through Dapr, against the same call by a bare HTTP client", "≤ 1.15 ×", fmt.Sprintf("%.2f ×", ratio),
		fmt.Sprintf("p50 %s against %s, %d of each by turns, through two sidecars", measure.Duration(ours), measure.Duration(theirs), callRounds), ratio > 1.15,
	}}, nil
}

// directly compares a call in process with one of an app-id to itself through its sidecar. The handlers
// are the same; those of the direct call are in this process.
func directly(ctx context.Context, s *system.System, token, data string) ([]figure, error) {
	progress("A direct call and a Dapr self-call, by turns.")
	// A direct call does not wait for anything; right after a call that did, it would be measured with the
	// processor gone cold.
	const row = 100
	sidecar, err := sidecarOfGateway(s)
	if err != nil {
		return nil, err
	}
	here, err := newAuthHere(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("host auth in process: %w", err)
	}
	samples, err := measure.InTurn(ctx, row, callWarm/row, callRounds/row, typedCall(&call.Direct{Handler: here.Handler()}, here.token), typedCall(sidecar, token))
	if err := errors.Join(err, here.Stop(ctx)); err != nil {
		return nil, fmt.Errorf("call directly: %w", err)
	}
	direct, dapr := samples[0].Median(), samples[1].Median()
	ratio := float64(dapr) / float64(direct)
	return []figure{{
		"direct", "direct call, against a Dapr self-call", "≥ 20 × faster", fmt.Sprintf("%.0f × faster", ratio),
		fmt.Sprintf("p50 %s against %s, %d of each by turns of %d", measure.Duration(direct), measure.Duration(dapr), callRounds, row), ratio < 20,
	}}, nil
}

// typedCall is the platform's own way to call.
func typedCall(route call.Route, token string) measure.Operation {
	client := authapi.Client{Client: call.New(call.Config{
		From: topology.Analytics, Declared: []topology.Group{topology.Auth}, Route: func(topology.Group) call.Route { return route },
		Observe: func(topology.Group, topology.Group, string, string, time.Duration) {},
		Tracer:  sdktrace.NewTracerProvider().Tracer("bench"), Now: time.Now,
	})}
	return func(ctx context.Context) error {
		keys, err := call.Do[authapi.JWKS](identity.With(ctx, identity.Principal{Token: token}), client.Client,
			call.Request{To: topology.Auth, Method: http.MethodGet, Path: calledPath})
		if err == nil && len(keys.Keys) == 0 {
			return errors.New("auth has no keys")
		}
		return err
	}
}

// bareCall is the same call without any of the platform's code.
func bareCall(sidecar *call.Dapr, token string) (measure.Operation, error) {
	home, err := sidecar.Home(topology.Auth)
	if err != nil {
		return nil, err
	}
	target := sidecar.Sidecar.JoinPath("v1.0/invoke", home, "method", calledPath).String()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: clients}}
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		r.Header.Set("dapr-api-token", sidecar.Token)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	}, nil
}

func sidecarOfGateway(s *system.System) (*call.Dapr, error) {
	homes, err := topology.Named(s.Topology)
	if err != nil {
		return nil, err
	}
	port, err := homes.Port(homes.Gateway())
	if err != nil {
		return nil, err
	}
	return &call.Dapr{
		Sidecar: &url.URL{Scheme: "http", Host: "127.0.0.1:" + strconv.Itoa(render.Sidecar(port, portOffset).HTTP)},
		Token:   apiToken, Home: homes.Home, HTTP: call.NewHTTPClient(),
	}, nil
}

// authHere is the auth group in this process, with a user's token.
type authHere struct {
	*host.Host
	token string
}

func newAuthHere(ctx context.Context, data string) (*authHere, error) {
	c, err := config.Parse([]string{"TANDEM_DATA=" + data, "TANDEM_RATE_LIMIT=0"})
	if err != nil {
		return nil, err
	}
	homes, err := topology.Parse("auth=platform,*=elsewhere")
	if err != nil {
		return nil, err
	}
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	log := telemetry.NewLogger(io.Discard, slog.LevelInfo, c.AppID)
	memory := world.NewMemory(c, secrets.Map{"service-token-key": key, "access-token-key": key}, time.Now, log)
	builder := auth.Builder(auth.Config{})
	h, err := host.New(host.Config{
		Config: c, Version: "bench", Topology: topology.NewCurrent(homes), World: memory,
		Specs: []group.Spec{builder.Spec}, Builders: []group.Builder{builder},
		Authority: func(c *call.Client) host.Authority { return authapi.Client{Client: c} },
		Metrics:   telemetry.NewMetrics(c.AppID, "bench"), Tracer: sdktrace.NewTracerProvider().Tracer("bench"),
		Log: log, Now: time.Now, NewID: uuid.NewString,
	})
	if err != nil {
		return nil, err
	}
	memory.Handler = h.Handler()
	if err := h.Start(ctx); err != nil {
		return nil, err
	}
	server := httptest.NewServer(h.Handler())
	defer server.Close()
	vars := map[string]string{}
	if err := play(ctx, scenario.Site{API: server.URL, HTTP: server.Client()}, vars, scenario.Register(vars, "bench")...); err != nil {
		return nil, errors.Join(err, h.Stop(ctx))
	}
	return &authHere{h, vars["token"]}, nil
}
