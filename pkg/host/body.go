package host

import (
	"io"
	"net/http"
	"time"
)

// bodyTimeout bounds the reading of a body, so that nobody holds a connection by sending slowly.
const bodyTimeout = 30 * time.Second

// boundBody bounds the reading of the body, and that alone. net/http goes on reading from the connection once the body is there, to learn
// when the client leaves: a deadline that is still set then cancels the context of the request, and of every later one on the connection,
// which a sidecar keeps.
func boundBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			connection := http.NewResponseController(w)
			if connection.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil { // there is none in a test without a connection
				bounded := *r // net/http looks at the body of its own when it ends a request of which it has not read all
				bounded.Body = &boundedBody{r.Body, connection}
				r = &bounded
			}
		}
		next.ServeHTTP(w, r)
	})
}

type boundedBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.connection.SetReadDeadline(time.Time{}) != nil {
		return n, io.ErrUnexpectedEOF // the connection is gone
	}
	return n, err //nolint:wrapcheck // a reader's errors are told as they are
}
