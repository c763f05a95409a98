// Package telemetry is what the process tells about itself: metrics on a registry of its own, traces
// through sidecar and app, and JSON logs that carry the trace's id. Metrics are labelled by group,
// module and route template, never by process, so that the same dashboard reads every topology.
package telemetry

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/topology"
)

// latency buckets in seconds, from a direct call to a call that times out.
var latency = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Metrics are the process's series.
type Metrics struct {
	// Registry takes the series of modules.
	Registry *prometheus.Registry

	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	calls    *prometheus.CounterVec
	callTime *prometheus.HistogramVec
	hosted   *prometheus.GaugeVec
	rates    callRates
	problems *prometheus.CounterVec
	work     work
}

// NewMetrics makes the registry with the process's own series and tandem_info.
func NewMetrics(appID, version string) *Metrics {
	m := &Metrics{
		rates:    callRates{edges: map[edge]*rate{}},
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tandem_http_requests_total", Help: "Requests answered, by route template and status.",
		}, []string{"group", "module", "method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tandem_http_request_seconds", Help: "Time to answer a request.", Buckets: latency,
		}, []string{"group", "module", "method", "route"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tandem_http_in_flight", Help: "Requests being answered now.",
		}, []string{"group"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tandem_call_total", Help: "Calls between groups, by route (dapr, direct) and result (ok or the problem's code).",
		}, []string{"from", "to", "route", "result"}),
		callTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tandem_call_seconds", Help: "Time of a call between groups, until its answer begins.", Buckets: latency,
		}, []string{"from", "to", "route"}),
		hosted: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tandem_group_hosted", Help: "1 for each group that this app-id hosts.",
		}, []string{"group", "app_id"}),
	}
	m.problems = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tandem_http_problems_total", Help: "Requests answered with a problem, by its code.",
	}, []string{"group", "module", "code"})
	m.work = newWork(m.Registry)
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tandem_info", Help: "1, with the app-id and version of the process.",
		ConstLabels: prometheus.Labels{"app_id": appID, "version": version},
	})
	info.Set(1)
	m.Registry.MustRegister(info, m.requests, m.seconds, m.inFlight, m.calls, m.callTime, m.hosted, m.problems,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Hosts says that appID hosts group.
func (m *Metrics) Hosts(group topology.Group, appID string) {
	m.hosted.WithLabelValues(string(group), appID).Set(1)
}

// ObserveCall counts a call between groups; result is "ok" or the code of a problem.
func (m *Metrics) ObserveCall(from, to topology.Group, route, result string, took time.Duration) {
	m.calls.WithLabelValues(string(from), string(to), route, result).Inc()
	m.callTime.WithLabelValues(string(from), string(to), route).Observe(took.Seconds())
	m.rates.count(from, to, time.Now())
}

// CallRates are how often groups called each other from this process, by group.
func (m *Metrics) CallRates() []CallRate { return m.rates.list(time.Now()) }

// Waiting is what is to be told of a group's events that were not handled, or not even published, yet.
type Waiting struct {
	// Parked is how many wait to be tried again, Dead how many are dead letters.
	Parked, Dead func() (int64, error)
	// Unpublished is how long the oldest event of the outbox has been waiting for the broker, zero where none waits.
	Unpublished func() (time.Duration, error)
}

// WatchEvents reports what waits whenever the metrics are read. What cannot be read is left out.
func (m *Metrics) WatchEvents(group topology.Group, w Waiting) {
	m.Registry.MustRegister(&eventGauges{string(group), w})
}

type eventGauges struct {
	group string
	Waiting
}

var (
	parkedDesc = prometheus.NewDesc("tandem_events_parked", "Events that failed and wait to be tried again.", []string{"group"}, nil)
	oldestDesc = prometheus.NewDesc("tandem_outbox_oldest_seconds", "Age of the oldest event that is not published yet; 0 when none waits.", []string{"group"}, nil)
	deadDesc   = prometheus.NewDesc("tandem_events_dead_letters", "Events that could not be handled, of all organizations.", []string{"group"}, nil)
)

// Describe sends nothing: the collectors of several groups share their descriptions.
func (e *eventGauges) Describe(chan<- *prometheus.Desc) {}

// Collect counts now.
func (e *eventGauges) Collect(out chan<- prometheus.Metric) {
	if n, err := e.Parked(); err == nil {
		out <- prometheus.MustNewConstMetric(parkedDesc, prometheus.GaugeValue, float64(n), e.group)
	}
	if n, err := e.Dead(); err == nil {
		out <- prometheus.MustNewConstMetric(deadDesc, prometheus.GaugeValue, float64(n), e.group)
	}
	if age, err := e.Unpublished(); err == nil {
		out <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, age.Seconds(), e.group)
	}
}

// WatchRuns reports, whenever the metrics are read, for how long the runs of a group have been silent, by kind (see
// runs.Runner.Silence).
func (m *Metrics) WatchRuns(group topology.Group, silence func() (map[string]time.Duration, error)) {
	m.Registry.MustRegister(&silenceGauge{string(group), silence})
}

type silenceGauge struct {
	group   string
	silence func() (map[string]time.Duration, error)
}

var silentDesc = prometheus.NewDesc("tandem_runs_silent_seconds", "For how long the run that has been waiting longest for a step to be finished has been doing so, by kind, without the pauses that its steps asked for; 0 when none waits.", []string{"group", "kind"}, nil)

// Describe sends nothing: see eventGauges.
func (s *silenceGauge) Describe(chan<- *prometheus.Desc) {}

// Collect reads now.
func (s *silenceGauge) Collect(out chan<- prometheus.Metric) {
	silence, err := s.silence()
	if err != nil {
		return
	}
	for kind, d := range silence {
		out <- prometheus.MustNewConstMetric(silentDesc, prometheus.GaugeValue, d.Seconds(), s.group, kind)
	}
}

// WatchStore reports, whenever the metrics are read, what a group's documents take on the local disk and what is free there, in
// bytes; nothing where they are elsewhere.
func (m *Metrics) WatchStore(group topology.Group, room func() (used, free int64, err error)) {
	m.Registry.MustRegister(&roomGauges{string(group), room})
}

type roomGauges struct {
	group string
	room  func() (used, free int64, err error)
}

var (
	usedDesc = prometheus.NewDesc("tandem_store_used_bytes", "Size of the files that have the group's documents, where they are on the local disk.", []string{"group"}, nil)
	freeDesc = prometheus.NewDesc("tandem_store_free_bytes", "Room that is left for them.", []string{"group"}, nil)
)

// Describe sends nothing: see eventGauges.
func (g *roomGauges) Describe(chan<- *prometheus.Desc) {}

// Collect looks now.
func (g *roomGauges) Collect(out chan<- prometheus.Metric) {
	used, free, err := g.room()
	if err != nil || used == 0 {
		return
	}
	out <- prometheus.MustNewConstMetric(usedDesc, prometheus.GaugeValue, float64(used), g.group)
	out <- prometheus.MustNewConstMetric(freeDesc, prometheus.GaugeValue, float64(free), g.group)
}

// RouteMetrics are the series of one route, looked up once.
type RouteMetrics struct {
	inFlight prometheus.Gauge
	seconds  prometheus.Observer
	requests *prometheus.CounterVec
	problems *prometheus.CounterVec
}

// Answer is how a request was answered.
type Answer struct {
	Status int
	// Code is that of the problem answered; empty where there is none, or where the answer is another process's.
	Code string
	Took time.Duration
	// Span is the request's. Where it is sampled, the time carries the id of its trace as an exemplar.
	Span trace.SpanContext
}

// Route finds the series of a route template.
func (m *Metrics) Route(group topology.Group, module, method, route string) RouteMetrics {
	return RouteMetrics{
		inFlight: m.inFlight.WithLabelValues(string(group)),
		seconds:  m.seconds.WithLabelValues(string(group), module, method, route),
		requests: m.requests.MustCurryWith(prometheus.Labels{"group": string(group), "module": module, "method": method, "route": route}),
		problems: m.problems.MustCurryWith(prometheus.Labels{"group": string(group), "module": module}),
	}
}

// Begin counts a request as being answered.
func (r RouteMetrics) Begin() { r.inFlight.Inc() }

// End counts a request as answered.
func (r RouteMetrics) End(a Answer) {
	r.inFlight.Dec()
	if with, ok := r.seconds.(prometheus.ExemplarObserver); ok && a.Span.IsSampled() {
		with.ObserveWithExemplar(a.Took.Seconds(), prometheus.Labels{"trace_id": a.Span.TraceID().String()})
	} else {
		r.seconds.Observe(a.Took.Seconds())
	}
	r.requests.WithLabelValues(strconv.Itoa(a.Status)).Inc()
	if a.Code != "" {
		r.problems.WithLabelValues(a.Code).Inc()
	}
}

// Bearer lets through to next who sends token as RFC 6750 says, which is how Prometheus authorizes itself
// where its configuration says so; everybody when there is no token.
func Bearer(token secrets.Secret, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !token.Empty() && (!strings.EqualFold(scheme, "Bearer") || !token.Equal(secrets.New(sent))) {
			problem.Write(w, problem.New(http.StatusUnauthorized, problem.CodeUnauthenticated,
				"this needs the token of the metrics: Authorization: Bearer …").Header("WWW-Authenticate", "Bearer"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Handler serves the registry in the Prometheus and OpenMetrics forms.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry, EnableOpenMetrics: true})
}
