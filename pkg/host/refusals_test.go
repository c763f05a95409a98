package host_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/problem"
)

// Requests that reach no handler get problems; what handlers answer is not touched.
func TestRefusalsOfTheServerAreProblems(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const echo = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
	server := &http.Server{ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 8 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, echo)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(host.WithProblems(listener)) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	for name, c := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"too large headers":             {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", 431, "headers_too_large"},
		"no HTTP":                       {"hello\r\n\r\n", 400, "bad_request"},
		"no host":                       {"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"},
		"a transfer that nobody knows":  {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: fax\r\n\r\n", 501, "bad_request"},
		"an answer that looks like one": {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400, ""},
	} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.request); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		conn.Close()
		if err != nil || answer.StatusCode != c.status {
			t.Errorf("%s: %d, %v; want %d", name, answer.StatusCode, err, c.status)
		}
		if c.code == "" {
			if string(body) != echo {
				t.Errorf("%s: %q; want it as it is", name, body)
			}
			continue
		}
		var p problem.Problem
		if err := json.Unmarshal(body, &p); err != nil || p.Code != c.code || p.Status != c.status || p.Detail == "" || answer.Header.Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %s %s, %v; want the problem %s", name, fmt.Sprint(answer.Header), body, err, c.code)
		}
	}
}
