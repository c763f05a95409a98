package events_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// busOf publishes by a function.
type busOf func(topic string, event []byte) error

func (b busOf) Publish(_ context.Context, topic string, event []byte) error { return b(topic, event) }

type thing struct {
	Name string `json:"name"`
}

func open(t testing.TB, db store.DB) *store.Documents[thing] {
	t.Helper()
	docs, err := store.System[thing](context.Background(), db, store.Def{Name: "things"})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func startRelay(t *testing.T, db store.DB, bus events.Bus) *events.Relay {
	t.Helper()
	r := events.NewRelay(db.Outbox(), bus, slog.New(slog.DiscardHandler))
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestARelayKeepsTheOrder(t *testing.T) {
	const count = 300 // more than a batch
	w := newWorld(t, topology.Integrations, filepath.Join(t.TempDir(), "db"))
	var mu sync.Mutex
	var got []string
	startRelay(t, w.db, busOf(func(topic string, event []byte) error {
		mu.Lock()
		defer mu.Unlock()
		raw, err := events.Decode(event)
		got = append(got, raw.ID)
		return err
	}))
	docs := open(t, w.db)
	var want []string
	for i := range count / 3 {
		var messages []store.Message
		for j := range 3 {
			messages = append(messages, w.message(t, changed{Page: 3*i + j}))
			want = append(want, messages[j].ID)
		}
		if _, err := docs.Insert(t.Context(), fmt.Sprint(i), thing{}, messages...); err != nil {
			t.Fatal(err)
		}
	}
	eventually.Succeeds(t, 10*time.Second, "all is published", func() error {
		if left, err := w.db.Outbox().Pending(t.Context(), 1); err != nil || len(left) > 0 {
			return fmt.Errorf("%v left, %w", left, err)
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, want) {
		t.Errorf("%d of %d published, in another order", len(got), len(want))
	}
}

// TestARelayWaitsForItsBroker lets the broker be down at first: the order is kept, and no message is passed over.
func TestARelayWaitsForItsBroker(t *testing.T) {
	w := newWorld(t, topology.Integrations, filepath.Join(t.TempDir(), "db"))
	var mu sync.Mutex
	var got []string
	refused := 0
	bus := busOf(func(_ string, event []byte) error {
		mu.Lock()
		defer mu.Unlock()
		raw, _ := events.Decode(event)
		if len(got) == 1 && refused == 0 {
			refused++
			return errors.New("down")
		}
		got = append(got, raw.ID)
		return nil
	})
	docs := open(t, w.db)
	var want []string
	for i := range 3 {
		m := w.message(t, changed{Page: i})
		want = append(want, m.ID)
		if _, err := docs.Insert(t.Context(), fmt.Sprint(i), thing{}, m); err != nil {
			t.Fatal(err)
		}
	}
	startRelay(t, w.db, bus)
	eventually.Succeeds(t, 10*time.Second, "all is published", func() error {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(got, want) {
			return fmt.Errorf("published %v, want %v", got, want)
		}
		return nil
	})
}

// TestARelayFindsWhatAnotherProcessLeft writes through a second handle on the database, which wakes nobody here.
func TestARelayFindsWhatAnotherProcessLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	here, there := newWorld(t, topology.Integrations, path), newWorld(t, topology.Integrations, path)
	published := make(chan struct{}, 1)
	startRelay(t, here.db, busOf(func(string, []byte) error { published <- struct{}{}; return nil }))
	if _, err := open(t, there.db).Insert(t.Context(), "1", thing{}, there.message(t, changed{})); err != nil {
		t.Fatal(err)
	}
	select {
	case <-published:
	case <-time.After(5 * time.Second):
		t.Error("it was not found")
	}
}

// TestARelayStopsWhileItsBrokerHangs ends a relay in the middle of a publication; the message is not lost.
func TestARelayStopsWhileItsBrokerHangs(t *testing.T) {
	w := newWorld(t, topology.Integrations, filepath.Join(t.TempDir(), "db"))
	if _, err := open(t, w.db).Insert(t.Context(), "1", thing{}, w.message(t, changed{})); err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	r := events.NewRelay(w.db.Outbox(), hanging{begun}, slog.New(slog.DiscardHandler))
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := r.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := w.db.Outbox().Pending(t.Context(), 2); err != nil || len(left) != 1 {
		t.Errorf("%d left, %v", len(left), err)
	}
}

type hanging struct{ begun chan struct{} }

func (h hanging) Publish(ctx context.Context, _ string, _ []byte) error {
	close(h.begun)
	<-ctx.Done()
	return ctx.Err()
}

const childDB = "RELAY_TEST_DB"

// relayAsChild is the process that TestARelayIsKilled kills: it stores things with their events and relays those to its
// output, each document and each event on a line when it is durable and published.
func relayAsChild() bool {
	path := os.Getenv(childDB)
	if path == "" {
		return false
	}
	ctx := context.Background()
	db, err := store.OpenSQLite(ctx, path)
	if err != nil {
		panic(err)
	}
	docs, err := store.System[thing](ctx, db, store.Def{Name: "things"})
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	say := func(what, id string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, id)
	}
	bus := busOf(func(_ string, event []byte) error {
		raw, err := events.Decode(event)
		if err != nil {
			return err
		}
		say("published", raw.ID)
		return nil
	})
	if err := events.NewRelay(db.Outbox(), bus, slog.New(slog.DiscardHandler)).Start(ctx); err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), i)
		e := events.Emitter{Group: topology.Integrations, Now: time.Now, NewID: func() string { return id }}
		m, err := recordsChanged.Message(ctx, e, "", changed{Page: i})
		if err != nil {
			panic(err)
		}
		if _, err := docs.Insert(ctx, id, thing{}, m); err != nil {
			panic(err)
		}
		say("stored", id)
	}
}

// TestARelayIsKilled kills a process that stores and publishes by SIGKILL, three times, and lets a last relay finish:
// every event whose document is there was published, in the order of the documents.
func TestARelayIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	stored, published := map[string]bool{}, map[string]int{}
	for range 3 {
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
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			what, id, _ := strings.Cut(lines.Text(), " ")
			if what == "stored" {
				stored[id] = true
			} else {
				published[id]++
			}
			if n == 60 { // what is still in the pipe is read as well
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // it was killed
	}
	w := newWorld(t, topology.Integrations, path)
	relay := events.NewRelay(w.db.Outbox(), busOf(func(_ string, event []byte) error {
		raw, err := events.Decode(event)
		published[raw.ID]++
		return err
	}), slog.New(slog.DiscardHandler))
	if err := relay.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(stored) < 30 {
		t.Fatalf("only %d were stored", len(stored))
	}
	count := 0
	if err := open(t, w.db).Each(t.Context(), store.Query{}, func(d store.Doc[thing]) error {
		count++
		if published[d.ID] == 0 {
			t.Errorf("the event of %s was lost", d.ID)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for id := range published {
		if _, err := open(t, w.db).Get(t.Context(), id); err != nil {
			t.Errorf("the event of %s was published without its document: %v", id, err)
		}
	}
	if count < len(stored) {
		t.Errorf("%d documents of %d", count, len(stored))
	}
}
