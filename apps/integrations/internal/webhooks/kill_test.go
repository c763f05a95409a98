package webhooks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// childDB names the database of a process that takes webhooks until it is killed.
const childDB = "WEBHOOKS_TEST_DB"

// runAsChild takes webhooks at an address that it prints, and processes none of them.
func runAsChild(path string) {
	ctx := context.Background()
	db, err := store.OpenSQLite(ctx, path)
	if err != nil {
		panic(err)
	}
	s := serve(ctx, db, &acme{[]string{"new"}}, &starts{}, time.Now, nil)
	if _, _, err := s.Connections.Connect(ctx, "o1", "acme", "one", connector.Credentials{AccessToken: secrets.New("k"), Authorized: true}); err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + listener.Addr().String())
	panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = s.Accept(r.Context(), "acme", "", connector.Delivery{Method: r.Method, Header: r.Header, Body: body})
		}
		if err != nil {
			w.WriteHeader(problem.From(err).Status)
		}
	})))
}

// TestKilledBeforeProcessing kills a process that takes webhooks from 32 senders, in the middle: every webhook that it has answered is
// processed by the next, once.
func TestKilledBeforeProcessing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDB+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var killed stdsync.Once
	kill := func() {
		killed.Do(func() {
			_ = child.Process.Kill()
			_ = child.Wait()
		})
	}
	t.Cleanup(kill)
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)

	var mu stdsync.Mutex
	taken := map[string]bool{}
	var wait stdsync.WaitGroup
	client := &http.Client{Timeout: 10 * time.Second}
	for sender := range 32 {
		wait.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", sender, i)
				body, _ := json.Marshal(orders(id, "one"))
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Signature", "new")
				resp, err := client.Do(r)
				if err != nil {
					return // it is killed
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("status %d", resp.StatusCode)
					return
				}
				mu.Lock()
				taken[id] = true
				n := len(taken)
				mu.Unlock()
				if n == 500 {
					go kill()
				}
			}
		})
	}
	wait.Wait()
	if len(taken) < 500 {
		t.Fatalf("%d taken before the kill", len(taken))
	}

	f := open(t, path, time.Now().UTC())
	f.turn()
	f.pass(coalesce)
	f.turn()
	f.wantStarted("o1 orders incremental")
	processed := map[string]bool{}
	err = f.documents.deliveries.Each(t.Context(), store.Query{}, func(doc store.Doc[delivery]) error {
		if doc.Value.Status != Processed || processed[doc.Value.VendorID] {
			t.Errorf("%+v", doc.Value)
		}
		processed[doc.Value.VendorID] = true
		return nil
	})
	f.must(err)
	for id := range taken {
		if !processed[id] {
			t.Errorf("%s was answered, and is lost", id)
		}
	}
	t.Logf("%d answered before the kill, %d kept", len(taken), len(processed))
}
