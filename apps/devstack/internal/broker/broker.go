// Package broker is the event broker of a laptop: NATS with JetStream on disk, inside this process.
package broker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What the product's pub/sub components expect to find.
const (
	Stream          = "tandem"
	Subjects        = "tandem.>"
	DuplicateWindow = 2 * time.Minute
)

const (
	startTimeout = 20 * time.Second
	// syncEvery bounds what a power failure can take. A killed process loses nothing that was
	// acknowledged: a stream of one replica writes each message to its file before the answer.
	syncEvery = time.Second
	// maxBytes keeps a forgotten laptop's disk from filling; the oldest events go first.
	maxBytes = 2 << 30
	// maxPayload is what one event may weigh: Dapr wraps it into a CloudEvent.
	maxPayload = 8 << 20
)

// Broker is a running NATS server.
type Broker struct {
	server *server.Server
}

// Start runs a NATS server on address whose stream is kept in dir. The stream exists before the port
// opens: a subscriber that connects early finds it.
func Start(ctx context.Context, address, dir string, log *slog.Logger) (*Broker, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("start NATS on %s: %w", address, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("start NATS on %s: %w", address, err)
	}
	options := &server.Options{
		ServerName:   "devstack",
		Host:         host,
		Port:         port,
		NoSigs:       true,
		DontListen:   true,
		MaxPayload:   maxPayload,
		JetStream:    true,
		StoreDir:     dir,
		SyncInterval: syncEvery,
	}
	// The stream is made while nothing listens, then the same store is opened with the port.
	if err := makeStream(ctx, options, log); err != nil {
		return nil, fmt.Errorf("make the stream %s: %w", Stream, err)
	}
	options.DontListen = false
	running, err := run(options, log)
	if err != nil {
		return nil, fmt.Errorf("start NATS on %s: %w", address, err)
	}
	return &Broker{server: running}, nil
}

// Stop ends the server once its stores are written.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

func makeStream(ctx context.Context, options *server.Options, log *slog.Logger) error {
	hidden, err := run(options, log)
	if err != nil {
		return err
	}
	defer func() {
		hidden.Shutdown()
		hidden.WaitForShutdown()
	}()
	connection, err := nats.Connect("", nats.InProcessServer(hidden))
	if err != nil {
		return err
	}
	defer connection.Close()
	stream, err := jetstream.New(connection)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_, err = stream.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:       Stream,
		Subjects:   []string{Subjects},
		Storage:    jetstream.FileStorage,
		Retention:  jetstream.LimitsPolicy,
		Discard:    jetstream.DiscardOld,
		MaxBytes:   maxBytes,
		Duplicates: DuplicateWindow,
	})
	return err
}

func run(options *server.Options, log *slog.Logger) (*server.Server, error) {
	private := options.Clone() // the server writes into its options
	instance, err := server.NewServer(private)
	if err != nil {
		return nil, err
	}
	failures := &logger{log: log}
	instance.SetLoggerV2(failures, false, false, false)
	go instance.Start() // ends with Shutdown, which the caller waits for
	for deadline := time.Now().Add(startTimeout); !instance.ReadyForConnections(100 * time.Millisecond); {
		failed := failures.last()
		if failed == nil && time.Now().Before(deadline) {
			continue
		}
		instance.Shutdown()
		instance.WaitForShutdown()
		if failed == nil {
			failed = fmt.Errorf("not ready within %s", startTimeout)
		}
		return nil, failed
	}
	return instance, nil
}
