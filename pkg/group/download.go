package group

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// Download answers with a file of size bytes, or 0 when that is not known, that write writes as it goes. Once the status is out, an error can only cut the connection: a half
// answer must not look like a whole one.
func Download(mediaType, name string, size int64, write func(context.Context, io.Writer) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", mediaType)
		hc.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
		hc.SetHeader("Cache-Control", "no-store")
		if size > 0 {
			hc.SetHeader("Content-Length", strconv.FormatInt(size, 10))
		}
		hc.SetStatus(http.StatusOK)
		if err := write(hc.Context(), hc.BodyWriter()); err != nil {
			panic(http.ErrAbortHandler) //nolint:forbidigo // the server's way to cut an answer
		}
	}}
}

// Flush lets the client of a download see what was written. A writer that cannot flush does not buffer.
func Flush(w io.Writer) {
	if rw, ok := w.(http.ResponseWriter); ok {
		_ = http.NewResponseController(rw).Flush() // a client that has left is met by the next write
	}
}
