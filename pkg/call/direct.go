package call

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Direct dispatches to a group hosted in this process, through its whole handler stack. Bodies and
// headers are copied, so that neither side can see the other's memory.
type Direct struct {
	// Handler is this process's router.
	Handler http.Handler
}

// Name is "direct".
func (d *Direct) Name() string { return "direct" }

// Do serves r in another goroutine, whose work ends with the answer or with r's context.
func (d *Direct) Do(r *http.Request, _ topology.Group) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	// The callee sees the caller's cancellation and nothing else of its context: who calls and in which
	// trace is in the headers, as it is over the network.
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(r.Context(), cancel)
	in := r.Clone(ctx)
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	in.RequestURI = r.URL.RequestURI()
	in.Host, in.RemoteAddr = "localhost", "127.0.0.1:0"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1

	pr, pw := io.Pipe()
	w := &pipeResponse{header: http.Header{}, body: pw, started: make(chan struct{})}
	serve(func() {
		// The host turns a panic into an answer; what it passes on is http.ErrAbortHandler.
		defer func() {
			stop()
			if v := recover(); v != nil {
				w.WriteHeader(http.StatusInternalServerError)
				pw.CloseWithError(io.ErrUnexpectedEOF)
			}
		}()
		d.Handler.ServeHTTP(w, in)
		w.WriteHeader(http.StatusOK)
		if err := ctx.Err(); err != nil {
			pw.CloseWithError(err) // not all of it may be there
			return
		}
		pw.Close()
	})
	select {
	case <-w.started:
		return &http.Response{
			Status: http.StatusText(w.status), StatusCode: w.status, Proto: in.Proto, ProtoMajor: 1, ProtoMinor: 1,
			Header: w.sent, Body: answerBody{pr, cancel}, ContentLength: -1, Request: r,
		}, nil
	case <-r.Context().Done():
		cancel()
		pr.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
}

// waiting are the goroutines that have served a call and wait for another.
var waiting = make(chan func())

// serve runs f in a goroutine that served before, if one waits: its stack has grown to what a call
// needs, which for a new goroutine is a quarter of a call's cost.
func serve(f func()) {
	select {
	case waiting <- f:
	default:
		go func() {
			for f != nil {
				f()
				end := time.NewTimer(100 * time.Millisecond)
				select {
				case f = <-waiting:
					end.Stop()
				case <-end.C:
					f = nil
				}
			}
		}()
	}
}

// answerBody ends the callee's work when the caller is done with the answer.
type answerBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b answerBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// pipeResponse is a response that its reader sees as it is written.
type pipeResponse struct {
	header  http.Header
	sent    http.Header // the headers as they were when the status went out
	body    *io.PipeWriter
	status  int
	started chan struct{}
}

func (w *pipeResponse) Header() http.Header { return w.header }

func (w *pipeResponse) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
	close(w.started)
}

func (w *pipeResponse) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(bytes.Clone(b))
}

// Flush does nothing: a write is seen at once.
func (w *pipeResponse) Flush() { w.WriteHeader(http.StatusOK) }
