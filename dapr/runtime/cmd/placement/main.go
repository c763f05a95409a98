// Command placement is Dapr's placement service for a machine of a person: standalone, with the flags of
// the stock program, and listening only where they say.
package main

import (
	"context"
	"os"

	"github.com/dapr/dapr/cmd/placement/options"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/placement"
	"github.com/dapr/dapr/pkg/placement/monitoring"
	"github.com/dapr/dapr/pkg/security"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/signals"

	"github.com/tandemhq/tandem/dapr/runtime/internal/service"
)

func main() {
	log := logger.NewLogger("dapr.placement")
	o, err := options.New(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	if err := monitoring.InitMetrics(); err != nil {
		log.Fatal(err)
	}
	err = service.Run(signals.Context(), service.Options{
		AppID: "dapr-placement", Log: log, Logger: &o.Logger, Metrics: o.Metrics,
		MetricsAddress: o.PlacementListenAddress, HealthAddress: o.HealthzListenAddress, HealthPort: o.HealthzPort,
		TLS: o.TLSEnabled, TrustDomain: o.TrustDomain, TrustAnchorsFile: &o.TrustAnchorsFile, SentryAddress: o.SentryAddress,
	}, func(ctx context.Context, identity security.Handler, health healthz.Healthz) error {
		p, err := placement.New(placement.Options{
			Security: identity, Healthz: health,
			NodeID: o.RaftID, Peers: o.RaftPeers,
			ListenAddress: o.PlacementListenAddress, Port: o.PlacementPort,
			ReplicationFactor: int64(o.ReplicationFactor),
			KeepAliveTime:     o.KeepAliveTime, KeepAliveTimeout: o.KeepAliveTimeout,
			DisseminateTimeout: o.DisseminateTimeout, DisseminateCoalesceWindow: o.DisseminateCoalesceWindow,
		})
		if err != nil {
			return err
		}
		return p.Run(ctx)
	})
	if err != nil {
		log.Fatal(err)
	}
}
