package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/pkg/topology"
)

// long buckets in seconds, for what may wait or run for minutes.
var long = []float64{.005, .01, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 900, 3600}

// work are the series of what groups do beside answering requests.
type work struct {
	consumed, published, storeOps, stateOps, jobs, started, finished, steps *prometheus.CounterVec

	lag, storeTime, stateTime, jobTime, runTime, stepTime *prometheus.HistogramVec
}

func newWork(registry *prometheus.Registry) work {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		registry.MustRegister(h)
		return h
	}
	return work{
		consumed:  counter("tandem_events_consumed_total", "Events taken, by topic and what became of them: SUCCESS, RETRY (parked, and tried again), DROP (a dead letter).", "group", "topic", "verdict"),
		published: counter("tandem_events_published_total", "Attempts to give an event of the outbox to the broker, by topic and result (ok, error).", "group", "topic", "result"),
		storeOps:  counter("tandem_store_operations_total", "Operations on documents, by collection and result (ok, or why not: not_found, exists, duplicate, conflict, full, busy, cancelled, error).", "group", "collection", "operation", "result"),
		stateOps:  counter("tandem_state_operations_total", "Operations on the state store, by result (ok, not_found, conflict, cancelled, error).", "group", "operation", "result"),
		jobs:      counter("tandem_jobs_total", "Runs of scheduled jobs, by result (ok, error).", "group", "job_name", "result"),
		started:   counter("tandem_runs_started_total", "Durable runs begun, by kind.", "group", "kind"),
		finished:  counter("tandem_runs_finished_total", "Durable runs ended, by kind and final status.", "group", "kind", "status"),
		steps:     counter("tandem_run_steps_total", "Steps of durable runs, by result (ok, error).", "group", "kind", "result"),

		lag:       histogram("tandem_event_lag_seconds", "From what an event tells of to the end of its handling.", long, "group", "topic"),
		storeTime: histogram("tandem_store_operation_seconds", "Time of an operation on documents.", latency, "group", "operation"),
		stateTime: histogram("tandem_state_operation_seconds", "Time of an operation on the state store.", latency, "group", "operation"),
		jobTime:   histogram("tandem_job_seconds", "Time of a run of a scheduled job.", long, "group", "job_name"),
		runTime:   histogram("tandem_run_seconds", "From the request for a durable run to its end, its waits included.", long, "group", "kind"),
		stepTime:  histogram("tandem_run_step_seconds", "Time of a step of a durable run.", long, "group", "kind"),
	}
}

func resultOf(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// ObserveEvent counts an attempt of a group to handle an event, and where it was handled, how long after what
// it tells of.
func (m *Metrics) ObserveEvent(group topology.Group, topic, verdict string, handled bool, lag time.Duration) {
	m.work.consumed.WithLabelValues(string(group), topic, verdict).Inc()
	if handled {
		m.work.lag.WithLabelValues(string(group), topic).Observe(max(lag, 0).Seconds())
	}
}

// ObservePublished counts an attempt of a group to publish an event.
func (m *Metrics) ObservePublished(group topology.Group, topic string, err error) {
	m.work.published.WithLabelValues(string(group), topic, resultOf(err)).Inc()
}

// ObserveStore counts an operation on a group's documents.
func (m *Metrics) ObserveStore(group topology.Group, collection, operation, result string, took time.Duration) {
	m.work.storeOps.WithLabelValues(string(group), collection, operation, result).Inc()
	m.work.storeTime.WithLabelValues(string(group), operation).Observe(took.Seconds())
}

// ObserveState counts an operation on a group's state.
func (m *Metrics) ObserveState(group topology.Group, operation, result string, took time.Duration) {
	m.work.stateOps.WithLabelValues(string(group), operation, result).Inc()
	m.work.stateTime.WithLabelValues(string(group), operation).Observe(took.Seconds())
}

// ObserveJob counts a run of a job. Its label is job_name: Prometheus itself puts a label job on everything.
func (m *Metrics) ObserveJob(group topology.Group, job string, took time.Duration, err error) {
	m.work.jobs.WithLabelValues(string(group), job, resultOf(err)).Inc()
	m.work.jobTime.WithLabelValues(string(group), job).Observe(took.Seconds())
}

// Runs counts the durable runs of a group (see runs.Observer).
func (m *Metrics) Runs(group topology.Group) RunMetrics { return RunMetrics{m.work, string(group)} }

// RunMetrics are the series of a group's durable runs.
type RunMetrics struct {
	work  work
	group string
}

// Started counts a run that was begun.
func (r RunMetrics) Started(kind string) { r.work.started.WithLabelValues(r.group, kind).Inc() }

// Stepped counts a step.
func (r RunMetrics) Stepped(kind string, took time.Duration, err error) {
	r.work.steps.WithLabelValues(r.group, kind, resultOf(err)).Inc()
	r.work.stepTime.WithLabelValues(r.group, kind).Observe(took.Seconds())
}

// Finished counts a run that has ended.
func (r RunMetrics) Finished(kind, status string, took time.Duration) {
	r.work.finished.WithLabelValues(r.group, kind, status).Inc()
	r.work.runTime.WithLabelValues(r.group, kind).Observe(max(took, 0).Seconds())
}
