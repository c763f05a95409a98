package broker_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tandemhq/tandem/apps/devstack/internal/broker"
	"github.com/tandemhq/tandem/pkg/eventually"
)

// TestMain lets the test binary be the broker that the kill test kills.
func TestMain(m *testing.M) {
	if address := os.Getenv("BROKER_TEST_ADDRESS"); address != "" {
		if _, err := broker.Start(context.Background(), address, os.Getenv("BROKER_TEST_DIR"), quiet()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

func TestAStreamForTheProductAwaitsItsClients(t *testing.T) {
	address := freeAddress(t)
	start(t, address, t.TempDir())
	stream := connect(t, address)
	info, err := stream.Stream(t.Context(), broker.Stream)
	if err != nil {
		t.Fatal(err)
	}
	config := info.CachedInfo().Config
	if len(config.Subjects) != 1 || config.Subjects[0] != broker.Subjects || config.Duplicates != broker.DuplicateWindow ||
		config.Storage != jetstream.FileStorage {
		t.Errorf("stream: %+v", config)
	}
	for range 2 {
		if _, err := stream.Publish(t.Context(), "tandem.orders", []byte("once"), jetstream.WithMsgID("1")); err != nil {
			t.Fatal(err)
		}
	}
	if count := messages(t, stream); count != 1 {
		t.Errorf("the same id twice: %d messages, want 1", count)
	}
}

func TestARestartKeepsTheEvents(t *testing.T) {
	address, dir := freeAddress(t), t.TempDir()
	first, err := broker.Start(t.Context(), address, dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	publish(t, connect(t, address), 10)
	first.Stop()
	start(t, address, dir)
	if count := messages(t, connect(t, address)); count != 10 {
		t.Errorf("%d messages after the restart, want 10", count)
	}
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	address, dir := freeAddress(t), t.TempDir()
	killed := exec.Command(os.Args[0])
	killed.Env = append(os.Environ(), "BROKER_TEST_ADDRESS="+address, "BROKER_TEST_DIR="+dir)
	killed.Stdout = os.Stderr
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = killed.Process.Kill(); _ = killed.Wait() })
	const count = 500
	publish(t, connect(t, address), count)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()

	start(t, address, dir)
	if got := messages(t, connect(t, address)); got != count {
		t.Errorf("%d of %d acknowledged messages are there after kill -9", got, count)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := broker.Start(t.Context(), taken.Addr().String(), t.TempDir(), quiet()); err == nil ||
		!strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v, want the reason", err)
	}
}

func start(t *testing.T, address, dir string) {
	t.Helper()
	running, err := broker.Start(t.Context(), address, dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Stop)
}

func connect(t *testing.T, address string) jetstream.JetStream {
	t.Helper()
	connection, err := nats.Connect("nats://"+address, nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(500))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.Close)
	eventually.Holds(t, 10*time.Second, "the connection", connection.IsConnected)
	stream, err := jetstream.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func publish(t *testing.T, stream jetstream.JetStream, count int) {
	t.Helper()
	for i := range count {
		if _, err := stream.Publish(t.Context(), "tandem.orders", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
}

func messages(t *testing.T, stream jetstream.JetStream) uint64 {
	t.Helper()
	found, err := stream.Stream(t.Context(), broker.Stream)
	if err != nil {
		t.Fatal(err)
	}
	return found.CachedInfo().State.Msgs
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
