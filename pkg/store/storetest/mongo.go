package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/tandemhq/tandem/pkg/skip"
	"github.com/tandemhq/tandem/pkg/subprocess"
)

const (
	serverStart = 60 * time.Second
	serverStop  = 10 * time.Second
)

// MongoServer is the URL of a MongoDB server: the one at MONGODB_TEST_URI, or else a SecantusDB of its own, standalone, that
// ends with t. Where there is none t is skipped, with CI=true it fails. SecantusDB is looked for at TANDEM_SECANTUSDB, then in
// the repository's .tandem/venv, which the requirements.txt beside this file fills.
func MongoServer(t testing.TB) string {
	t.Helper()
	if url := os.Getenv("MONGODB_TEST_URI"); url != "" {
		return url
	}
	program, err := secantusDB()
	if err != nil {
		skip.Missing(t, fmt.Sprintf("no MongoDB server: MONGODB_TEST_URI is not set and %v", err))
	}
	for attempt := 1; ; attempt++ {
		url, err := startServer(t, program)
		if err == nil {
			return url
		}
		if attempt == 3 { // another process may take the port between choosing and using it
			t.Fatalf("start %s: %v", program, err)
		}
	}
}

func secantusDB() (string, error) {
	if program := os.Getenv("TANDEM_SECANTUSDB"); program != "" {
		_, err := os.Stat(program)
		return program, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			program := filepath.Join(dir, ".tandem", "venv", "bin", "secantusd-py")
			_, err := os.Stat(program)
			return program, err
		}
	}
	return "", errors.New("the test runs outside the repository")
}

func startServer(t testing.TB, program string) (string, error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	data := t.TempDir()
	cmd := exec.Command(program, "--standalone", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--storage-path", filepath.Join(data, "db"))
	server := subprocess.Start(t, cmd, filepath.Join(data, "log"), serverStop)
	url := fmt.Sprintf("mongodb://127.0.0.1:%d", port)
	if err := awaitServer(t.Context(), url, server); err != nil {
		return "", fmt.Errorf("%w; it wrote:\n%s", err, server.Log())
	}
	return url, nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func awaitServer(ctx context.Context, url string, server *subprocess.Process) error {
	ctx, cancel := context.WithTimeout(ctx, serverStart)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(url).SetServerSelectionTimeout(time.Second))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx)) //nolint:errcheck // it only pinged
	for {
		if err = client.Ping(ctx, nil); err == nil {
			return nil
		}
		select {
		case <-server.Ended:
			return fmt.Errorf("it ended: %v", server.Cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer within %v: %w", serverStart, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// MongoDatabase names a new database on the server, dropped when t ends.
func MongoDatabase(t testing.TB, url string) string {
	t.Helper()
	name := "tandem_test_" + rand.Text()[:12]
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), serverStop)
		defer cancel()
		client, err := mongo.Connect(options.Client().ApplyURI(url))
		if err == nil {
			err = errors.Join(client.Database(name).RunCommand(ctx, bson.D{{Key: "dropDatabase", Value: 1}}).Err(), client.Disconnect(ctx))
		}
		if err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return name
}
