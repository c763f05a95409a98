package moves

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/servers"
	"github.com/tandemhq/tandem/test/system"
)

// TestProductionComponents moves a system with its data through the topologies as TestDataStaysInPlace does, with state and
// events on the components that a cluster has, and the servers they are for. Mail, text messages and the platform's own secrets
// stay those of a laptop.
func TestProductionComponents(t *testing.T) {
	system.NeedBinaries(t)
	ca := servers.NewAuthority(t)
	for name, of := range map[string]struct {
		sources string
		secrets func(t *testing.T) map[string]string
	}{
		"PostgreSQL and JetStream": {"state-postgresql,events-jetstream,consumer-jetstream", func(t *testing.T) map[string]string {
			j := daprtest.StartBroker(t)
			return map[string]string{"state-connection-string": servers.NewPostgreSQL(t, ca), "nats-url": j.URL, "nats-token": j.Token}
		}},
		"Redis and Kafka": {"state-redis,events-kafka,consumer-kafka", func(t *testing.T) map[string]string {
			r, k := servers.NewRedis(t, ca), servers.NewKafka(t, ca)
			return map[string]string{
				"redis-host": r.Address, "redis-password": r.Password,
				"kafka-brokers": k.Broker, "kafka-username": k.User, "kafka-password": k.Password,
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, secrets := t.TempDir(), of.secrets(t)
			staysInPlace(t, (*system.System).KillApps, func(name string) *system.System {
				return system.Start(t, system.Options{
					Topology: name, Dir: dir, PortOffset: portOffset, Environ: []string{"SSL_CERT_FILE=" + ca.File},
					Render: []string{"--production", of.sources}, Rendered: func(dir string) error { return onProduction(dir, secrets) },
				})
			})
		})
	}
}

// onProduction puts the rendered components of a cluster in the place of those of a laptop that have their names. The secrets
// that they refer to come from a store named kubernetes, which every cluster has by that name: here it is a file.
func onProduction(dir string, secrets map[string]string) error {
	text, err := json.Marshal(map[string]map[string]string{"tandem": secrets})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "kubernetes.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	store := fmt.Sprintf(`apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: kubernetes
spec:
  type: secretstores.local.file
  version: v1
  metadata:
    - name: secretsFile
      value: %q
    - name: multiValued
      value: "true"
`, file)
	for _, name := range topology.Names() {
		local := filepath.Join(dir, "dapr", name, "resources")
		if err := os.WriteFile(filepath.Join(local, "kubernetes.yaml"), []byte(store), 0o600); err != nil {
			return err
		}
		laptops, err := filepath.Glob(filepath.Join(local, "events*.yaml"))
		if err != nil {
			return err
		}
		for _, path := range append(laptops, filepath.Join(local, "state.yaml")) {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		clusters, err := filepath.Glob(filepath.Join(dir, "deploy/dapr", name, "components/*.yaml"))
		if err != nil {
			return err
		}
		if len(clusters) <= len(laptops) {
			return fmt.Errorf("%d components of a cluster for %d of a laptop in %s", len(clusters), len(laptops)+1, name)
		}
		for _, path := range clusters {
			component, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			named := strings.TrimRight(string(component), "\n") + "\nauth: {secretStore: kubernetes}\n"
			if err := os.WriteFile(filepath.Join(local, filepath.Base(path)), []byte(named), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
