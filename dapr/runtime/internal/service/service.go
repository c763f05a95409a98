// Package service runs one of Dapr's control-plane services so that nothing of it listens on another
// address than it was told.
//
// The stock programs take --healthz-listen-address and listen on every address all the same (1.18.1).
package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/dapr/dapr/pkg/buildinfo"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/metrics"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/security"
	"github.com/dapr/kit/concurrency"
	"github.com/dapr/kit/logger"
)

// Options are what the services have in common.
type Options struct {
	// AppID is the service's identity towards sentry.
	AppID string
	Log   logger.Logger
	// Logger and Metrics are the flags of the stock program.
	Logger  *logger.Options
	Metrics *metrics.FlagOptions
	// MetricsAddress and HealthAddress are the hosts to listen on; HealthPort is the health endpoint's.
	MetricsAddress string
	HealthAddress  string
	HealthPort     int
	// The identity of the control plane; mode is standalone.
	TLS              bool
	TrustDomain      string
	TrustAnchorsFile *string
	SentryAddress    string
	// IdentityDirectory is where the identity is kept for etcd, nil for a service without.
	IdentityDirectory *string
}

// Serve is the service itself.
type Serve func(ctx context.Context, identity security.Handler, health healthz.Healthz) error

// Run runs a service with its metrics, health endpoint and identity until ctx ends.
func Run(ctx context.Context, o Options, serve Serve) error {
	if err := logger.ApplyOptionsToLoggers(o.Logger); err != nil {
		return err
	}
	o.Log.Infof("Starting %s, version %s", o.AppID, buildinfo.Version())
	health := healthz.New()
	identities, err := security.New(ctx, security.Options{
		AppID:                   o.AppID,
		ControlPlaneNamespace:   security.CurrentNamespace(),
		ControlPlaneTrustDomain: o.TrustDomain,
		Healthz:                 health,
		MTLSEnabled:             o.TLS,
		Mode:                    modes.StandaloneMode,
		SentryAddress:           o.SentryAddress,
		TrustAnchorsFile:        o.TrustAnchorsFile,
		WriteIdentityToFile:     o.IdentityDirectory,
	})
	if err != nil {
		return err
	}
	exporter := metrics.New(metrics.Options{
		Enabled:       o.Metrics.Enabled(),
		Healthz:       health,
		ListenAddress: o.MetricsAddress,
		Log:           o.Log,
		Namespace:     metrics.DefaultMetricNamespace,
		Port:          o.Metrics.Port(),
	})
	err = concurrency.NewRunnerManager(
		identities.Run,
		exporter.Start,
		func(ctx context.Context) error {
			return serveHealth(ctx, net.JoinHostPort(o.HealthAddress, strconv.Itoa(o.HealthPort)), health)
		},
		func(ctx context.Context) error {
			identity, err := identities.Handler(ctx)
			if err != nil {
				return err
			}
			return serve(ctx, identity, health)
		},
	).Run(ctx)
	if err == nil {
		o.Log.Infof("%s has stopped", o.AppID)
	}
	return err
}

// serveHealth answers /healthz with 200 once every part is ready, and with 503 before.
func serveHealth(ctx context.Context, address string, health healthz.Healthz) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for health checks: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !health.IsReady() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	err = server.Close()
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
