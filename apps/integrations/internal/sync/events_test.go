package sync

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/tandemhq/tandem/pkg/runs"
)

func TestAFeedTellsChangesAndThatItLives(t *testing.T) {
	quick := stream{every: time.Millisecond, alive: 3}
	running, done := View{Status: runs.Running, Pages: 1}, View{Status: runs.Succeeded, Pages: 2}
	for _, c := range []struct {
		name  string
		views []View // one a read; an error after them
		want  string // p for progress, a for alive
	}{
		{"changes and the end", []View{{Status: runs.Queued}, running, running, done, done}, "ppp"},
		{"nothing for a while", []View{running, running, running, running, done}, "pap"},
		{"ended before", []View{done}, "p"},
		{"cannot be read", []View{running}, "p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			n := 0
			quick.follow(humamux.NewContext(&huma.Operation{}, httptest.NewRequest(http.MethodGet, "/", nil), w), func(context.Context) (View, error) {
				if n++; n > len(c.views) {
					return View{}, errors.New("store closed")
				}
				return c.views[n-1], nil
			})
			got := ""
			for block := range strings.SplitSeq(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n") {
				switch {
				case strings.HasPrefix(block, "event: progress\ndata: {"):
					got += "p"
				case block == ": alive":
					got += "a"
				default:
					t.Errorf("block %q", block)
				}
			}
			if got != c.want || !w.Flushed || w.Header().Get("Content-Type") != "text/event-stream" {
				t.Errorf("%s, flushed %t, %v; want %s", got, w.Flushed, w.Header(), c.want)
			}
		})
	}
}
