package daprtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Broker is a NATS server with JetStream in the test's process, with the stream that the product uses.
type Broker struct {
	URL string
	// Token is what it asks its clients for.
	Token string
	// Conn is a connection of the test's own.
	Conn *nats.Conn
	// Stream is the stream "tandem".
	Stream jetstream.Stream
}

// StartBroker starts a broker with an empty stream.
func StartBroker(t testing.TB) *Broker {
	t.Helper()
	token := rand.Text()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: Port(t), Authorization: token, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(startTime) {
		t.Fatal("the broker does not answer")
	}
	conn, err := nats.Connect(srv.ClientURL(), nats.Token(token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "tandem", Subjects: []string{"tandem.>"}, Storage: jetstream.FileStorage, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Broker{URL: srv.ClientURL(), Token: token, Conn: conn, Stream: stream}
}

// Publisher is the YAML of a pub/sub component that only publishes.
func (b *Broker) Publisher(name string) string {
	return component(name, "pubsub.jetstream", "natsURL", b.URL, "token", b.Token, "streamName", "tandem")
}

// Consumer is the YAML of a pub/sub component with a durable consumer. An event that was not acknowledged, or that the app
// wants again, comes again after ackWait.
func (b *Broker) Consumer(name, durable string, ackWait time.Duration) string {
	return component(name, "pubsub.jetstream", "natsURL", b.URL, "token", b.Token, "streamName", "tandem",
		"durableName", durable, "queueGroupName", durable, "ackWait", ackWait.String())
}

// State is the YAML of the component "state" on SQLite, for actors too.
func State(path string) string {
	return component("state", "state.sqlite", "connectionString", path, "actorStateStore", "true", "keyPrefix", "none")
}

// PostgreSQL is the YAML of the component "state" on a PostgreSQL server, as in components/production.
func PostgreSQL(connection string) string {
	return component("state", "state.postgresql/v2", "connectionString", connection, "actorStateStore", "true", "keyPrefix", "none")
}

// Redis is the YAML of the component "state" on a Redis server, as in components/production.
func Redis(address, password string) string {
	return component("state", "state.redis", "redisHost", address, "redisPassword", password, "enableTLS", "true", "actorStateStore", "true", "keyPrefix", "none")
}

// Secrets is the YAML of the component "secrets" on a JSON file.
func Secrets(path string) string {
	return component("secrets", "secretstores.local.file", "secretsFile", path)
}

// SecretsWithValues is Secrets on a file whose secrets have several values each.
func SecretsWithValues(path string) string {
	return component("secrets", "secretstores.local.file", "secretsFile", path, "multiValued", "true")
}

// component is the YAML of one; kind is a type, with a version where that is not v1.
func component(name, kind string, metadata ...string) string {
	kind, version, _ := strings.Cut(kind, "/")
	text := fmt.Sprintf("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: %s\nspec:\n  type: %s\n  version: %s\n  metadata:\n", name, kind, cmp.Or(version, "v1"))
	for i := 0; i+1 < len(metadata); i += 2 {
		text += fmt.Sprintf("    - name: %s\n      value: %q\n", metadata[i], metadata[i+1])
	}
	return text
}
