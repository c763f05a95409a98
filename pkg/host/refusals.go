package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/tandemhq/tandem/pkg/problem"
)

// WithProblems is l, on whose connections net/http's own refusals of requests that reach no handler, such as 431 for too large
// headers, are problems as all others.
func WithProblems(l net.Listener) net.Listener { return plainListener{l} }

type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return plainConn{tcp}, err
	}
	return c, err
}

// plainConn has all that the server wants of a TCP connection beside what a net.Conn has, such as to end one direction.
type plainConn struct{ *net.TCPConn }

// refusalHead ends the head of those refusals, which are each one write. No answer of a handler has such a head: it has a date.
const refusalHead = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// maxRefusal is more than the longest of them has, in bytes.
const maxRefusal = 512

// Write implements net.Conn.
func (c plainConn) Write(b []byte) (int, error) {
	text, ok := refusal(b)
	if !ok {
		return c.TCPConn.Write(b)
	}
	if _, err := c.TCPConn.Write(text); err != nil {
		return 0, fmt.Errorf("refuse a request: %w", err)
	}
	return len(b), nil
}

// refusal is an answer of net/http that refuses a request as a problem; not ok for any other bytes.
func refusal(answer []byte) (text []byte, ok bool) {
	const version = "HTTP/1.1 "
	if len(answer) > maxRefusal || !bytes.HasPrefix(answer, []byte(version)) {
		return nil, false
	}
	line, _, ok := strings.Cut(string(answer), refusalHead)
	if !ok || strings.Contains(line, "\r\n") {
		return nil, false
	}
	number, reason, _ := strings.Cut(strings.TrimPrefix(line, version), " ")
	status, err := strconv.Atoi(number)
	if err != nil || status < http.StatusBadRequest {
		return nil, false
	}
	p := problem.New(status, problem.CodeBadRequest, "this is no HTTP request that can be answered")
	if _, why, more := strings.Cut(reason, ": "); more {
		p.Detail += ": " + why
	}
	if status == http.StatusRequestHeaderFieldsTooLarge {
		p = problem.New(status, problem.CodeHeadersTooLarge, "the headers of the request are too large")
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, false
	}
	return fmt.Appendf(nil, "%s%d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		version, status, http.StatusText(status), problem.ContentType, len(body), body), true
}
