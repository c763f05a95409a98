// Package settings is what devstack is told by its environment: where it listens and where its data is.
package settings

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/caarlos0/env/v11"
)

// Settings is the environment of devstack, parsed once. Its addresses follow from one port, so that a
// test moves all of them with one number.
type Settings struct {
	// Data is the directory of everything devstack and the applications keep.
	Data string `env:"TANDEM_DATA" envDefault:".tandem"`
	// Host is the address that everything listens on.
	Host string `env:"TANDEM_DEVSTACK_HOST" envDefault:"127.0.0.1"`
	// Port is the first of the twelve ports devstack uses: its own HTTP port.
	Port int `env:"TANDEM_DEVSTACK_PORT" envDefault:"8090"`
	// DaprBin is the directory of Dapr's placement and scheduler. Empty looks where the Dapr CLI
	// does: $DAPR_RUNTIME_PATH/.dapr/bin, then .dapr/bin here, then ~/.dapr/bin.
	DaprBin string `env:"TANDEM_DAPR_BIN"`
	// Keep says that this devstack outlives runs; a run that starts beside it uses it.
	Keep bool `env:"TANDEM_DEVSTACK_KEPT"`
}

// The distance of each port from Settings.Port.
const (
	http = iota
	smtp
	nats
	placement
	placementHealth
	placementMetrics
	scheduler
	schedulerHealth
	schedulerMetrics
	etcdClient
	etcdPeer
	placementPeer
	ports
)

// Parse reads the environment. It makes Data absolute and refuses a port without room for all.
func Parse() (Settings, error) {
	s, err := env.ParseAs[Settings]()
	if err != nil {
		return Settings{}, fmt.Errorf("read the environment: %w", err)
	}
	if s.Port < 1 || s.Port+ports-1 > 65535 {
		return Settings{}, fmt.Errorf("read the environment: TANDEM_DEVSTACK_PORT is %d, must be 1 to %d", s.Port, 65535-ports+1)
	}
	if s.Data, err = filepath.Abs(s.Data); err != nil {
		return Settings{}, fmt.Errorf("find the data directory: %w", err)
	}
	if s.DaprBin == "" {
		s.DaprBin = daprBin()
	}
	return s, nil
}

// daprBin is the first directory that holds a scheduler, or the repository's own.
func daprBin() string {
	candidates := []string{filepath.Join(".dapr", "bin")}
	if path := os.Getenv("DAPR_RUNTIME_PATH"); path != "" {
		candidates = append([]string{filepath.Join(path, ".dapr", "bin")}, candidates...)
	}
	if home, err := os.UserHomeDir(); err == nil {
		candidates = append(candidates, filepath.Join(home, ".dapr", "bin"))
	}
	for _, dir := range candidates {
		if _, err := os.Stat(filepath.Join(dir, "scheduler")); err == nil {
			return dir
		}
	}
	return candidates[0]
}

// HTTP is the address of the inbox, the sandbox and the health of devstack.
func (s Settings) HTTP() string { return s.address(http) }

// SMTP is the address that takes mails.
func (s Settings) SMTP() string { return s.address(smtp) }

// NATS is the address of the event broker.
func (s Settings) NATS() string { return s.address(nats) }

// Placement is the address of Dapr's placement service.
func (s Settings) Placement() string { return s.address(placement) }

// PlacementHealth is the address of the placement service's health endpoint.
func (s Settings) PlacementHealth() string { return s.address(placementHealth) }

// PlacementMetrics is the address of the placement service's metrics.
func (s Settings) PlacementMetrics() string { return s.address(placementMetrics) }

// Scheduler is the address of Dapr's scheduler.
func (s Settings) Scheduler() string { return s.address(scheduler) }

// SchedulerHealth is the address of the scheduler's health endpoint.
func (s Settings) SchedulerHealth() string { return s.address(schedulerHealth) }

// SchedulerMetrics is the address of the scheduler's metrics.
func (s Settings) SchedulerMetrics() string { return s.address(schedulerMetrics) }

// EtcdClient is the address at which the scheduler's etcd takes clients.
func (s Settings) EtcdClient() string { return s.address(etcdClient) }

// EtcdPeer is the address at which the scheduler's etcd takes peers.
func (s Settings) EtcdPeer() string { return s.address(etcdPeer) }

// PlacementPeer is the address at which the placement service takes peers.
func (s Settings) PlacementPeer() string { return s.address(placementPeer) }

// Ports lists every port devstack listens on, with what listens there.
func (s Settings) Ports() map[int]string {
	names := [ports]string{"devstack HTTP", "devstack SMTP", "devstack NATS",
		"placement", "placement health", "placement metrics",
		"scheduler", "scheduler health", "scheduler metrics", "scheduler etcd clients", "scheduler etcd peers",
		"placement peers"}
	all := make(map[int]string, ports)
	for i, name := range names {
		all[s.Port+i] = name
	}
	return all
}

// Path is a path inside the data directory.
func (s Settings) Path(elements ...string) string {
	return filepath.Join(append([]string{s.Data}, elements...)...)
}

// Loopback reports whether only this machine can connect.
func (s Settings) Loopback() bool {
	ip := net.ParseIP(s.Host)
	return s.Host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s Settings) address(offset int) string {
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port+offset))
}
