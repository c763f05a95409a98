package events_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/eventually"
)

// TestWhatDaprDoesOnJetStream is the ground that this package's choices stand on. When a version of Dapr behaves
// otherwise, they should be looked at again.
func TestWhatDaprDoesOnJetStream(t *testing.T) {
	broker := daprtest.StartBroker(t)
	a := &app{verdict: func(path string, nth int) string {
		switch {
		case path == "/drop" || path == "/drop-with-dead-letters":
			return "DROP"
		case path == "/retry" && nth < 3, path == "/retry-with-dead-letters":
			return "RETRY"
		}
		return "SUCCESS"
	}}
	resources := []string{broker.Publisher(events.PublishComponent)}
	subscribe := func(name, topic, dead string) {
		a.subscriptions = append(a.subscriptions, map[string]string{
			"pubsubname": name, "topic": "tandem.t." + topic, "route": "/" + topic, "deadLetterTopic": dead,
		})
	}
	for _, name := range []string{"drop", "drop-with-dead-letters", "retry", "retry-with-dead-letters", "dead"} {
		resources = append(resources, broker.Consumer(name, name, 500*time.Millisecond))
		dead := ""
		if strings.HasSuffix(name, "-with-dead-letters") {
			dead = "tandem.t.dead"
		}
		subscribe(name, name, dead)
	}
	subscribe("drop", "second", "")
	sidecar := daprtest.Start(t, daprtest.Options{AppID: "some-app", App: a, Resources: resources})
	bus := events.NewDapr(sidecar.Client)
	for _, topic := range []string{"drop", "drop-with-dead-letters", "retry", "retry-with-dead-letters", "second"} {
		event := fmt.Sprintf(`{"specversion":"1.0","id":"id-of-%s","type":"t","source":"/x","organization":"o","traceparent":"%s","traceid":"%[2]s","data":{"n":9007199254740993}}`, topic, someTrace)
		for range 2 {
			if err := bus.Publish(t.Context(), "tandem.t."+topic, []byte(event)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Acknowledged is what the broker will not bring again.
	broking, err := broker.Conn.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := func(t *testing.T, name string) {
		t.Helper()
		eventually.Succeeds(t, 10*time.Second, name+" is acknowledged", func() error {
			i, err := broking.ConsumerInfo("tandem", name)
			if err != nil {
				return err
			}
			if i.NumPending+uint64(i.NumAckPending) > 0 || i.Delivered.Consumer == 0 {
				return fmt.Errorf("%d pending, %d not acknowledged", i.NumPending, i.NumAckPending)
			}
			return nil
		})
	}
	inStream := func(topic string) uint64 {
		info, err := broker.Stream.Info(t.Context(), jetstream.WithSubjectFilter("tandem.t."+topic))
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Subjects["tandem.t."+topic]
	}

	t.Run("the event's id is the broker's, so that an event published again is one event", func(t *testing.T) {
		m, err := broker.Stream.GetLastMsgForSubject(t.Context(), "tandem.t.drop")
		if err != nil || m.Header.Get("Nats-Msg-Id") != "id-of-drop" || inStream("drop") != 1 {
			t.Errorf("%d in the stream, header %v, %v", inStream("drop"), m.Header, err)
		}
		raw, err := events.Decode(m.Data)
		if err != nil || raw.ID != "id-of-drop" || raw.Organization != "o" || raw.TraceParent != someTrace || !strings.Contains(string(raw.Data), "9007199254740993") {
			t.Errorf("it came through as %+v %s, %v", raw, raw.Data, err)
		}
	})
	t.Run("DROP acknowledges", func(t *testing.T) {
		acknowledged(t, "drop")
		if n := a.count("/drop"); n != 1 {
			t.Errorf("delivered %d times", n)
		}
	})
	t.Run("RETRY brings the event again after ackWait", func(t *testing.T) {
		acknowledged(t, "retry")
		if n := a.count("/retry"); n != 3 {
			t.Errorf("delivered %d times", n)
		}
		if gap := a.gap("/retry"); gap < 400*time.Millisecond {
			t.Errorf("again after %s", gap)
		}
	})
	t.Run("a dead-letter topic in the same stream loses the event, also one to be retried", func(t *testing.T) {
		acknowledged(t, "drop-with-dead-letters")
		acknowledged(t, "retry-with-dead-letters")
		if n := inStream("dead"); n != 0 || a.count("/retry-with-dead-letters") != 1 {
			t.Errorf("%d dead letters arrived, %d deliveries before", n, a.count("/retry-with-dead-letters"))
		}
	})
	t.Run("a second topic over one durable consumer is refused", func(t *testing.T) {
		if n := a.count("/second"); n != 0 || !strings.Contains(sidecar.Log(), "subject does not match consumer") {
			t.Errorf("delivered %d times", n)
		}
	})
}

const someTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// app answers a sidecar, by path.
type app struct {
	subscriptions []map[string]string
	verdict       func(path string, nth int) string

	mu  sync.Mutex
	got map[string][]time.Time
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/dapr/subscribe" {
		_ = json.NewEncoder(w).Encode(a.subscriptions)
		return
	}
	if r.Method != http.MethodPost {
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	if a.got == nil {
		a.got = map[string][]time.Time{}
	}
	a.got[r.URL.Path] = append(a.got[r.URL.Path], time.Now())
	nth := len(a.got[r.URL.Path])
	a.mu.Unlock()
	fmt.Fprintf(w, `{"status":%q}`, a.verdict(r.URL.Path, nth))
}

func (a *app) count(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.got[path])
}

// gap is the time between the first two deliveries.
func (a *app) gap(path string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.got[path][1].Sub(a.got[path][0])
}
