package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// TestFailingEventsDoNotHoldUpATopic publishes more failing events than the broker hands out before it waits for their
// acknowledgement, then one that succeeds.
func TestFailingEventsDoNotHoldUpATopic(t *testing.T) {
	const underWay = 4
	broker := daprtest.StartBroker(t)
	dir := t.TempDir()
	source := newWorld(t, topology.Integrations, filepath.Join(dir, "source"))
	handled := make(chan struct{}, 1)
	c := newWorld(t, topology.Analytics, filepath.Join(dir, "analytics")).consumer(t,
		events.On(recordsChanged, func(_ context.Context, e events.Event[changed]) error {
			if e.Data.Page < 2*underWay {
				return errors.New("one tenant's data is broken")
			}
			handled <- struct{}{}
			return nil
		}))
	s := c.Subscriptions()[0]
	mux := http.NewServeMux()
	mux.Handle(s.Route, c)
	mux.HandleFunc("/dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode([]events.Subscription{s})
	})
	consumer := broker.Consumer(s.PubsubName, "analytics", time.Minute) +
		fmt.Sprintf("    - name: maxAckPending\n      value: \"%d\"\n    - name: concurrency\n      value: single\n", underWay)
	sidecar := daprtest.Start(t, daprtest.Options{AppID: "some-app", App: mux, Resources: []string{
		broker.Publisher(events.PublishComponent), consumer,
	}})
	bus := events.NewDapr(sidecar.Client)
	for page := range 2*underWay + 1 {
		m := source.message(t, changed{Page: page})
		if err := bus.Publish(t.Context(), m.Topic, m.Data); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-handled:
	case <-time.After(15 * time.Second):
		t.Error("an event waits for the failing ones before it")
	}
	if n, err := c.Parked(t.Context()); err != nil || n != 2*underWay {
		t.Errorf("%d parked, %v", n, err)
	}
}

const parkedDB = "PARKED_TEST_DB"

// consumerAsChild is the process that TestAConsumerIsKilled kills: it is delivered an event, parks it, and hangs in the
// attempt after that.
func consumerAsChild() bool {
	path := os.Getenv(parkedDB)
	if path == "" {
		return false
	}
	ctx := context.Background()
	db, err := store.OpenSQLite(ctx, path)
	if err != nil {
		panic(err)
	}
	attempts := 0
	emitter := events.Emitter{Group: topology.Analytics, Now: time.Now, NewID: func() string { return "x" }}
	c, err := events.NewConsumer(ctx, events.ConsumerOptions{
		Emitter: emitter, DB: db, Log: slog.New(slog.DiscardHandler),
		Handlers: []events.Handler{events.On(recordsChanged, func(context.Context, events.Event[changed]) error {
			if attempts++; attempts == 1 {
				return errors.New("not yet")
			}
			fmt.Println("at work")
			select {} // it ends by SIGKILL
		})},
	})
	if err == nil {
		var m store.Message
		if m, err = recordsChanged.Message(ctx, emitter, "org", changed{Page: 1}); err == nil {
			fmt.Println(c.Deliver(ctx, m.Topic, m.Data))
		}
	}
	if err == nil {
		err = c.Start(ctx)
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// TestAConsumerIsKilled kills a process in the middle of its second attempt at an event that the broker has been told is
// dealt with. Of two processes that live on, one handles it, after the claim, once.
func TestAConsumerIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), parkedDB+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if said = append(said, lines.Text()); lines.Text() == "at work" {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	if got := strings.Join(said, ", "); got != "SUCCESS, at work" {
		t.Fatalf("the child said %s", got)
	}
	var got seen
	handler := events.On(recordsChanged, func(_ context.Context, e events.Event[changed]) error {
		got.add(e.Data.Page)
		return nil
	})
	a, b := newWorld(t, topology.Analytics, path), newWorld(t, topology.Analytics, path)
	consumers := []*events.Consumer{a.consumer(t, handler), b.consumer(t, handler)}
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{4 * time.Second, 0}, {time.Minute, 1}, {time.Hour, 1}} {
		a.clock.advance(step.pass)
		b.clock.advance(step.pass)
		failures := make(chan error)
		for _, c := range consumers {
			go func() { failures <- c.RetryParked(t.Context()) }()
		}
		if err := errors.Join(<-failures, <-failures); err != nil {
			t.Fatal(err)
		}
		if got.total() != step.want {
			t.Errorf("after %s: handled %d times, want %d", step.pass, got.total(), step.want)
		}
	}
}
