// Command scheduler is Dapr's scheduler for a machine of a person: standalone, with the flags of the stock
// program, and listening only where they say.
package main

import (
	"context"
	"os"

	"github.com/dapr/dapr/cmd/scheduler/options"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/scheduler/monitoring"
	"github.com/dapr/dapr/pkg/scheduler/server"
	"github.com/dapr/dapr/pkg/security"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/signals"

	"github.com/tandemhq/tandem/dapr/runtime/internal/service"
)

func main() {
	log := logger.NewLogger("dapr.scheduler")
	o, err := options.New(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	if err := monitoring.InitMetrics(); err != nil {
		log.Fatal(err)
	}
	err = service.Run(signals.Context(), service.Options{
		AppID: "dapr-scheduler", Log: log, Logger: &o.Logger, Metrics: o.Metrics,
		MetricsAddress: o.ListenAddress, HealthAddress: o.HealthzListenAddress, HealthPort: o.HealthzPort,
		TLS: o.TLSEnabled, TrustDomain: o.TrustDomain, TrustAnchorsFile: o.TrustAnchorsFile, SentryAddress: o.SentryAddress,
		IdentityDirectory: &o.IdentityDirectoryWrite,
	}, func(ctx context.Context, identity security.Handler, health healthz.Healthz) error {
		// A server ends without an error when its cluster changes, and is to be made again.
		for ctx.Err() == nil {
			s, err := server.New(ctx, serverOptions(o, identity, health))
			if err != nil {
				return err
			}
			if err := s.Run(ctx); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		log.Fatal(err)
	}
}

func serverOptions(o *options.Options, identity security.Handler, health healthz.Healthz) server.Options {
	return server.Options{
		Security: identity, Healthz: health, Mode: modes.StandaloneMode, Workers: o.Workers,
		ListenAddress: o.ListenAddress, Port: o.Port, OverrideBroadcastHostPort: o.OverrideBroadcastHostPort,

		EtcdName: o.ID, EtcdEmbed: o.EtcdEmbed, EtcdDataDir: o.EtcdDataDir, EtcdInitialCluster: o.EtcdInitialCluster,
		EtcdClientListenAddress: o.EtcdClientListenAddress, EtcdClientPort: o.EtcdClientPort,
		EtcdClientEndpoints: o.EtcdClientEndpoints, EtcdClientUsername: o.EtcdClientUsername, EtcdClientPassword: o.EtcdClientPassword,
		EtcdSpaceQuota: o.EtcdSpaceQuota, EtcdMetrics: o.EtcdMetrics,
		EtcdCompactionMode: o.EtcdCompactionMode, EtcdCompactionRetention: o.EtcdCompactionRetention,
		EtcdSnapshotCount: o.EtcdSnapshotCount, EtcdMaxSnapshots: o.EtcdMaxSnapshots, EtcdMaxWALs: o.EtcdMaxWALs,
		EtcdBackendBatchLimit: o.EtcdBackendBatchLimit, EtcdBackendBatchInterval: o.EtcdBackendBatchInterval,
		EtcdMaxTxnOps: o.EtcdMaxTxnOps, EtcdDefragThresholdMB: o.EtcdDefragThresholdMB,
		EtcdInitialElectionTickAdvance: o.EtcdInitialElectionTickAdvance,
	}
}
