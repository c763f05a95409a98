package runs_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	childDB   = "RUNS_TEST_DB"
	childGRPC = "RUNS_TEST_GRPC"
	killSteps = 400
	killLease = 2 * time.Second
)

type page struct {
	Number int `json:"number"`
}

// pages is a kind like a sync: each step takes a page from a vendor, stores it and goes on.
func pages(docs *store.Documents[page]) runs.Kind {
	return runs.Kind{Name: "pages", Step: func(ctx context.Context, run runs.Run) (runs.Next, error) {
		var at int
		if err := run.Into(nil, &at); err != nil {
			return runs.Next{}, err
		}
		select {
		case <-time.After(5 * time.Millisecond): // the vendor's answer
		case <-ctx.Done():
			return runs.Next{}, ctx.Err()
		}
		if _, err := docs.PutMany(ctx, []store.Put[page]{{ID: fmt.Sprint(run.ID, "-", at), Value: page{at}}}); err != nil {
			return runs.Next{}, err
		}
		return runs.Next{Cursor: at + 1, Done: at+1 == killSteps}, nil
	}}
}

// runAsChild is the process that hosts the group until it is killed.
func runAsChild() bool {
	path := os.Getenv(childDB)
	if path == "" {
		return false
	}
	ctx := context.Background()
	conn, err := grpc.NewClient("127.0.0.1:"+os.Getenv(childGRPC), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	db, err := store.OpenSQLite(ctx, path)
	if err != nil {
		panic(err)
	}
	docs, err := store.System[page](ctx, db, store.Def{Name: "pages"})
	if err != nil {
		panic(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	executor := runs.NewDapr(conn, log)
	r, err := runs.NewRunner(ctx, runs.Options{
		Group: topology.Integrations, DB: db, Executor: executor, Owner: strconv.Itoa(os.Getpid()), Now: time.Now, Log: log, Lease: killLease,
	})
	if err == nil {
		err = r.Register(pages(docs))
	}
	if err == nil {
		err = runs.NewSupervisor(executor, 200*time.Millisecond, r).Start(ctx)
	}
	if err != nil {
		panic(err)
	}
	select {} // it ends by SIGKILL
}

// host runs a child that hosts the group beside a sidecar.
func host(t *testing.T, path string, sidecar *daprtest.Sidecar) (kill func()) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDB+"="+path, childGRPC+"="+strconv.Itoa(sidecar.GRPCPort))
	log, err := os.CreateTemp(t.TempDir(), "child")
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = log
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var killed atomic.Bool
	kill = func() {
		if killed.CompareAndSwap(false, true) {
			_ = child.Process.Kill()
			_ = child.Wait()
			_ = log.Close()
			if text, _ := os.ReadFile(log.Name()); t.Failed() {
				t.Logf("the child's log:\n%s", text)
			}
		}
	}
	t.Cleanup(kill)
	return kill
}

// TestEverythingIsKilled takes a run through the deaths of its app, its sidecar and both, and then to another app-id: it
// finishes, every page there.
func TestEverythingIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	plane := daprtest.StartControlPlane(t)
	start := func(appID string) *daprtest.Sidecar {
		return daprtest.Start(t, daprtest.Options{AppID: appID, ControlPlane: plane,
			Resources: []string{daprtest.State(filepath.Join(filepath.Dir(path), "state.db"))}})
	}
	monolith := start("monolith")
	// This process hosts nothing; it launches, reads and looks.
	watcher := newProcess(t, path, runs.NewDapr(monolith.Conn, quiet), killLease, pages(nil))
	docs, err := store.System[page](t.Context(), watcher.db, store.Def{Name: "pages"})
	if err != nil {
		t.Fatal(err)
	}
	stepsDone := func() (int, int) {
		run, err := watcher.Get(t.Context(), org, "k1")
		if err != nil {
			t.Fatal(err)
		}
		return run.Steps, run.Attempt
	}
	further := func(what string) {
		t.Helper()
		begun := time.Now()
		before, _ := stepsDone()
		eventually.Succeeds(t, 60*time.Second, what+": the run goes on", func() error {
			if now, attempt := stepsDone(); now <= before+20 {
				return fmt.Errorf("%d steps, attempt %d", now, attempt)
			}
			return nil
		})
		now, attempt := stepsDone()
		t.Logf("%s: went on from step %d to %d within %s, attempt %d", what, before, now, time.Since(begun).Round(10*time.Millisecond), attempt)
		if now >= killSteps {
			t.Fatal("it finished too early to prove anything")
		}
	}
	kill := host(t, path, monolith)
	if _, err := watcher.Start(t.Context(), "pages", org, "k1", nil); err != nil {
		t.Fatal(err)
	}
	further("begun")
	kill()
	kill = host(t, path, monolith)
	further("app killed")
	monolith.Restart(t)
	further("sidecar killed")
	kill()
	monolith.Restart(t)
	kill = host(t, path, monolith)
	further("both killed")
	kill()
	monolith.Kill()
	host(t, path, start("integrations"))
	run := watcher.ends(t, "k1")
	if run.Status != runs.Succeeded || run.Steps != killSteps {
		t.Errorf("%+v %+v", run, run.Error)
	}
	if n, err := docs.Count(t.Context(), store.Query{}); err != nil || n != killSteps {
		t.Errorf("%d pages, %v", n, err)
	}
	t.Logf("finished in another app-id by attempt %d", run.Attempt)
}
