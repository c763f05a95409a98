package sync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/tandemhq/tandem/pkg/runs"
)

// tape notes when what was sent.
type tape struct {
	*httptest.ResponseRecorder
	began time.Time
	said  []string
}

func (w *tape) Write(p []byte) (int, error) {
	if what, _, _ := strings.Cut(strings.TrimPrefix(string(p), "event: "), "\n"); what != "" {
		w.said = append(w.said, fmt.Sprintf("%s at %s", what, time.Since(w.began)))
	}
	return w.ResponseRecorder.Write(p)
}

func TestWhatAFollowerIsTold(t *testing.T) {
	queued, running, more := View{Status: runs.Queued}, View{Status: runs.Running, Pages: 1}, View{Status: runs.Running, Pages: 2}
	done := View{Status: runs.Succeeded, Pages: 2}
	id := func(v View) string {
		e, err := newEvent(v)
		if err != nil {
			t.Fatal(err)
		}
		return e.id
	}
	var unreadable View
	type moment struct {
		at time.Duration
		View
	}
	for _, c := range []struct {
		name   string
		seen   string
		sync   []moment
		status int
		want   []string
	}{
		{"changes and the end", "", []moment{{0, queued}, {2 * time.Second, running}, {3 * time.Second, more}, {5 * time.Second, done}}, 200,
			[]string{"progress at 0s", "progress at 2s", "progress at 3s", "end at 5s"}},
		{"nothing for a while", "", []moment{{0, running}, {20 * time.Second, more}, {45 * time.Second, done}}, 200,
			[]string{"progress at 0s", ": alive at 15s", "progress at 20s", ": alive at 35s", "end at 45s"}},
		{"ended before", "", []moment{{0, done}}, 200, []string{"end at 0s"}},
		{"no end where the feed is cut", "", []moment{{0, running}, {time.Second, unreadable}}, 200, []string{"progress at 0s"}},
		{"back, and nothing has happened", id(running), []moment{{0, running}, {16 * time.Second, done}}, 200, []string{": alive at 15s", "end at 16s"}},
		{"back, and something has", id(running), []moment{{0, more}, {time.Second, done}}, 200, []string{"progress at 0s", "end at 1s"}},
		{"back too late for all but the end", id(running), []moment{{0, done}}, 200, []string{"end at 0s"}},
		{"back after the end", id(done), []moment{{0, done}}, 204, nil},
		{"with an id of something else", "7", []moment{{0, done}}, 200, []string{"end at 0s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &tape{ResponseRecorder: httptest.NewRecorder(), began: time.Now()}
				read := func(context.Context) (event, error) {
					now := c.sync[0].View
					for _, m := range c.sync {
						if m.at <= time.Since(w.began) {
							now = m.View
						}
					}
					if now == unreadable {
						return event{}, errors.New("store closed")
					}
					return newEvent(now)
				}
				now, err := read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				hc := humamux.NewContext(&huma.Operation{}, httptest.NewRequest(http.MethodGet, "/", nil), w)
				feed{every: time.Second, heartbeat: Heartbeat}.follow(hc, c.seen, now, read)
				if w.Code != c.status || !slices.Equal(w.said, c.want) {
					t.Errorf("%d %q, want %d %q", w.Code, w.said, c.status, c.want)
				}
				if kind := w.Header().Get("Content-Type"); c.status == http.StatusOK && (kind != "text/event-stream" || !w.Flushed) {
					t.Errorf("content type %q, flushed %t", kind, w.Flushed)
				}
			})
		})
	}
}

// TestAFollowerIsConnectedBeforeItIsTold brings the headers to one who has seen how things stand.
func TestAFollowerIsConnectedBeforeItIsTold(t *testing.T) {
	now, err := newEvent(View{Status: runs.Running})
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		feed{every: time.Hour, heartbeat: time.Hour}.follow(humamux.NewContext(&huma.Operation{}, r, w), now.id, now, nil)
	}))
	defer server.Close()
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	<-left // the handler ends when its client does
}

func TestAnEventIsOneLineOfData(t *testing.T) {
	e, err := newEvent(View{Error: &ErrorView{Message: "a\r\n\r\nid: forged"}})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(e.text, "\n")
	if len(lines) != 5 || strings.Contains(e.text, "\r") || lines[1] != "id: "+e.id || !strings.HasPrefix(lines[2], `data: {`) {
		t.Errorf("%q", e.text)
	}
}
