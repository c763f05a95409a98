package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Heartbeat is how long a feed is silent at most, so that nobody between here and the client takes the connection for dead.
const Heartbeat = 15 * time.Second

// askAgain is how often a feed looks for a change.
const askAgain = 300 * time.Millisecond

// event is a state of a sync as its followers are told it.
type event struct {
	// id is made of what the event says, so that every process knows it again.
	id   string
	text string
	last bool
}

func newEvent(v View) (event, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return event{}, fmt.Errorf("encode sync %s: %w", v.ID, err)
	}
	sum := sha256.Sum256(data)
	e, name := event{id: hex.EncodeToString(sum[:8]), last: v.Status.Final()}, "progress"
	if e.last {
		name = "end"
	}
	e.text = fmt.Sprintf("event: %s\nid: %s\ndata: %s\n\n", name, e.id, data)
	return e, nil
}

// feed sends a sync's progress as server-sent events (HTML Living Standard, section 9.2). It asks the store, because the
// sync may be at work in any process.
type feed struct {
	every, heartbeat time.Duration
}

// follow sends now, unless seen is its id, and each change after it until the sync has ended, the client leaves, or the
// sync cannot be read. A client that was not sent the last event asks again with the id of the one it saw; one that was,
// and asks again as browsers do, is told by 204 to leave it.
func (f feed) follow(hc huma.Context, seen string, now event, read func(context.Context) (event, error)) {
	if now.last && now.id == seen {
		hc.SetStatus(http.StatusNoContent)
		return
	}
	hc.SetHeader("Content-Type", "text/event-stream")
	hc.SetHeader("Cache-Control", "no-store")
	hc.SetStatus(http.StatusOK)
	w, ctx := hc.BodyWriter(), hc.Context()
	send := func(text string) error {
		if _, err := fmt.Fprint(w, text); err != nil {
			return err
		}
		if rw, ok := w.(http.ResponseWriter); ok {
			_ = http.NewResponseController(rw).Flush() // a writer that cannot flush does not buffer
		}
		return nil
	}
	look, silence := time.NewTicker(f.every), time.NewTicker(f.heartbeat)
	defer look.Stop()
	defer silence.Stop()
	err := send("") // a client with nothing to be told yet still learns that it is connected
	for err == nil {
		if now.id != seen {
			if err := send(now.text); err != nil || now.last {
				return
			}
			seen = now.id
			silence.Reset(f.heartbeat)
		}
		select {
		case <-look.C:
			now, err = read(ctx)
		case <-silence.C:
			err = send(": alive\n\n")
		case <-ctx.Done():
			return
		}
	}
}
