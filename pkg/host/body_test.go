package host_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/call"
)

// watched are connections that tell which deadline there is for reading when an answer is written.
type watched struct {
	net.Listener
	bounded atomic.Int64 // how often a deadline was set
	written chan time.Time
}

func (w *watched) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return &watchedConn{Conn: c, of: w}, err
}

type watchedConn struct {
	net.Conn
	of    *watched
	until atomic.Pointer[time.Time]
}

func (c *watchedConn) SetReadDeadline(t time.Time) error {
	c.until.Store(&t)
	if t.After(time.Now()) {
		c.of.bounded.Add(1)
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *watchedConn) Write(b []byte) (int, error) {
	until := time.Time{}
	if at := c.until.Load(); at != nil {
		until = *at
	}
	c.of.written <- until
	return c.Conn.Write(b)
}

// TestADeadlineForTheBodyEndsWithIt has requests whose body is read by different parts of the host: each is bounded, and none leaves its
// deadline to the connection, on which it would cancel what takes longer.
func TestADeadlineForTheBodyEndsWithIt(t *testing.T) {
	p := start(t, nil)
	server := httptest.NewUnstartedServer(p.Handler())
	w := &watched{Listener: server.Listener, written: make(chan time.Time, 100)}
	server.Listener = w
	server.Start()
	defer server.Close()
	for _, c := range []struct{ name, path, body, key string }{
		{"by huma", base, `{"text":"a"}`, ""},
		{"for its key", base, `{"text":"a"}`, "k1"},
		{"for its resource", base + "/copy", `{"note":"a"}`, ""},
		{"refused", base, `{"text":`, ""},
		{"too large", base, `{"text":"` + strings.Repeat("a", 2<<20) + `"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.bounded.Load()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+p.token(t, "owner"))
			if c.key != "" {
				r.Header.Set(call.HeaderIdempotencyKey, c.key)
			}
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if until := <-w.written; !until.IsZero() && c.name != "too large" { // of which the rest is not read
				t.Errorf("%s: the connection has a deadline in %s when the answer is written", resp.Status, time.Until(until))
			}
			for len(w.written) > 0 {
				<-w.written
			}
			if w.bounded.Load() == before {
				t.Errorf("%s: the body was read without a bound", resp.Status)
			}
		})
	}
}
