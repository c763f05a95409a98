package audit

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// flushEvery is how many entries are written before the client gets to see them.
const flushEvery = 500

// stream answers with a file that write writes. Once the status is out, an error can only cut the connection: a half answer must
// not look like a whole one.
func stream(hc huma.Context, mediaType, name string, write func(context.Context, io.Writer) error) {
	hc.SetHeader("Content-Type", mediaType)
	hc.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
	hc.SetHeader("Cache-Control", "no-store")
	hc.SetStatus(http.StatusOK)
	if err := write(hc.Context(), hc.BodyWriter()); err != nil {
		panic(http.ErrAbortHandler) //nolint:forbidigo // the server's way to cut an answer
	}
}

// flush lets the client see what was written. A writer that cannot flush does not buffer.
func flush(w io.Writer) {
	if rw, ok := w.(http.ResponseWriter); ok {
		_ = http.NewResponseController(rw).Flush() // a client that has left is met by the next write
	}
}
