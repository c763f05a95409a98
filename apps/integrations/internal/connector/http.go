package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxAnswer bounds an answer in bytes. A page of 250 orders is about 100 KB.
	maxAnswer = 16 << 20
	// longestWait bounds what a vendor's header can make us wait.
	longestWait = time.Hour
	// defaultWait is for a vendor that throttles without saying for how long.
	defaultWait = 2 * time.Second
)

// NewHTTPClient is a client for vendors: each request, with its answer, takes at most timeout, and redirects are not
// followed, since they would carry credentials to wherever the answer says. Where a call goes by way of the sidecar, the sidecar follows
// them all the same (see package endpoint).
func NewHTTPClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   8,
			IdleConnTimeout:       30 * time.Second,
			TLSHandshakeTimeout:   5 * time.Second,
			ExpectContinueTimeout: time.Second,
		},
	}
}

// Metrics are the series of requests to vendors.
type Metrics struct{ seconds *prometheus.HistogramVec }

// NewMetrics registers tandem_vendor_request_seconds.
func NewMetrics(registry prometheus.Registerer) (Metrics, error) {
	m := Metrics{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tandem_vendor_request_seconds", Help: "Time until a vendor's answer begins, by status; 0 where none came.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"vendor", "status"})}
	if registry != nil {
		if err := registry.Register(m.seconds); err != nil {
			return m, fmt.Errorf("register the metrics of requests to vendors: %w", err)
		}
	}
	return m, nil
}

// Client is client for one vendor, whose requests are counted. It shares the connections of client.
func (m Metrics) Client(client *http.Client, vendor string) *http.Client {
	counted := *client
	counted.Transport = countedTransport{client.Transport, m.seconds.MustCurryWith(prometheus.Labels{"vendor": vendor})}
	return &counted
}

type countedTransport struct {
	http.RoundTripper
	seconds prometheus.ObserverVec
}

// RoundTrip sends r.
func (t countedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := t.RoundTripper.RoundTrip(r)
	status := 0
	if err == nil {
		status = resp.StatusCode
	}
	t.seconds.WithLabelValues(strconv.Itoa(status)).Observe(time.Since(began).Seconds())
	return resp, err
}

// Fetch sends r and decodes the JSON of a success into into; with nil, a success need not say anything. Everything else is an *Error: no answer, one cut short and a
// page in HTML (what proxies and outages send, with any status) are transient, a status is classified by its meaning in
// HTTP. The request is not repeated.
func Fetch(client *http.Client, now func() time.Time, r *http.Request, into any) error {
	return fetch(client, now, r, into, nil)
}

// Explain reads an error in a vendor's own words, out of JSON of any status; nil where there is none in it.
type Explain func(status int, header http.Header, body []byte) *Error

func fetch(client *http.Client, now func() time.Time, r *http.Request, into any, explain Explain) error {
	resp, err := client.Do(r)
	meter(r, resp)
	if err != nil {
		return unreachable(r.Context(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil && resp.StatusCode < 400:
		return unreachable(r.Context(), fmt.Errorf("read the answer: %w", err))
	case len(body) > maxAnswer:
		return &Error{Class: TooLarge, Code: CodeBadAnswer, Message: "the vendor's answer is too long", Cause: fmt.Errorf("more than %d bytes", maxAnswer)}
	}
	if explain != nil && isJSON(resp.Header.Get("Content-Type")) {
		if e := explain(resp.StatusCode, resp.Header, body); e != nil {
			return e
		}
	}
	if e := statusError(resp, body, now()); e != nil {
		return e
	}
	if into == nil {
		return nil
	}
	if !isJSON(resp.Header.Get("Content-Type")) {
		return &Error{Class: Transient, Code: CodeUnavailable, Message: "the vendor answered with a page instead of data",
			Cause: fmt.Errorf("content type %q: %.200q", resp.Header.Get("Content-Type"), body)}
	}
	if err := json.Unmarshal(body, into); err != nil {
		// Syntax that ends early is an answer that was cut; a value of another type comes again however often one asks.
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return &Error{Class: Transient, Code: CodeUnavailable, Message: "the vendor's answer was damaged", Cause: err}
		}
		return BadAnswer("decode the answer: %w", err)
	}
	return nil
}

// unreachable is a transient error, or the caller's own decision to stop.
func unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	message := "the vendor cannot be reached"
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		message = "the vendor did not answer in time"
	}
	var of *url.Error
	if errors.As(err, &of) { // its text has the address, in which a vendor may want a secret
		err = fmt.Errorf("%s: %w", of.Op, of.Err)
	}
	return &Error{Class: Transient, Code: CodeUnavailable, Message: message, Cause: err}
}

// statusError is nil for a success.
func statusError(resp *http.Response, body []byte, now time.Time) *Error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	e := &Error{Cause: fmt.Errorf("status %s: %.200q", resp.Status, body)}
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized:
		e.Class, e.Code, e.Message = Unauthorized, CodeCredentialsRefused, "the vendor refuses the credentials"
	case s == http.StatusForbidden:
		e.Class, e.Code, e.Message = Permanent, CodePermissionMissing, "the credentials do not allow this"
	case s == http.StatusPaymentRequired || s == http.StatusNotFound || s == http.StatusGone || s == http.StatusLocked:
		e.Class, e.Code, e.Message = Permanent, CodeAccountUnavailable, "the vendor has no such account, or has closed it"
	case s == http.StatusTooManyRequests:
		e.Class, e.Code, e.Message = Throttled, CodeThrottled, "the vendor asks to wait"
		if e.Wait = RetryAfter(resp.Header, now); e.Wait == 0 {
			e.Wait = defaultWait
		}
	case s >= 500 || s == http.StatusRequestTimeout || s == http.StatusTooEarly:
		e.Class, e.Code, e.Message = Transient, CodeUnavailable, "the vendor has trouble"
		e.Wait = RetryAfter(resp.Header, now)
	default: // redirects too: the address is configuration, so one is a mistake in it
		e.Class, e.Code, e.Message = Permanent, CodeRefused, "the vendor refuses the request"
	}
	return e
}

// RetryAfter reads the header of that name, in seconds, whole or with a fraction, or a date (RFC 9110, section 10.2.3). It
// is 0 when missing or malformed, and at most an hour.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return Seconds(seconds)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), longestWait)
	}
	return 0
}

// Seconds is a number of seconds, rounded up to a millisecond, at least 0 and at most an hour.
func Seconds(s float64) time.Duration {
	if math.IsNaN(s) || s <= 0 {
		return 0
	}
	if s >= longestWait.Seconds() {
		return longestWait
	}
	return time.Duration(math.Ceil(s*1000)) * time.Millisecond
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

// IsHeaderValue tells whether a key or token can be sent in a header at all.
func IsHeaderValue(token string) bool {
	for _, b := range []byte(token) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return token != ""
}
