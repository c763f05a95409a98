package sync

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// stream sends a sync's progress as server-sent events (HTML Living Standard, section 9.2). It asks the store, because the
// sync may be at work in any process.
type stream struct {
	// every is how often it asks.
	every time.Duration
	// alive is how many times it asks before it says something when there is nothing to say, so that nobody between here
	// and the client takes the connection for dead.
	alive int
}

var defaultStream = stream{every: 300 * time.Millisecond, alive: 50}

// follow writes an event at once and after each change, until the sync has ended, the client leaves, or the sync cannot be
// read; a client that sees the end without a final status asks again.
func (s stream) follow(hc huma.Context, read func(context.Context) (View, error)) {
	hc.SetHeader("Content-Type", "text/event-stream")
	hc.SetHeader("Cache-Control", "no-store")
	hc.SetStatus(http.StatusOK)
	w, ctx := hc.BodyWriter(), hc.Context()
	flush := func() {}
	if rw, ok := w.(http.ResponseWriter); ok {
		flush = func() { _ = http.NewResponseController(rw).Flush() } // a writer that cannot flush does not buffer
	}
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	var sent []byte
	for quiet := 0; ; quiet++ {
		v, err := read(ctx)
		if err != nil {
			return
		}
		data, err := json.Marshal(v)
		if err != nil {
			return
		}
		switch {
		case !bytes.Equal(data, sent):
			_, err = fmt.Fprintf(w, "event: progress\ndata: %s\n\n", data)
			sent, quiet = data, 0
		case quiet >= s.alive:
			_, err = fmt.Fprint(w, ": alive\n\n")
			quiet = 0
		}
		if err != nil {
			return
		}
		flush()
		if v.Status.Final() {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
