package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/tandemhq/tandem/pkg/topology"
)

// boards are all dashboards, by the name of their file.
func boards() map[string]*dashboard.DashboardBuilder {
	all := map[string]*dashboard.DashboardBuilder{"overview": overview(), "sidecars": sidecars(), "topology-cost": topologyCost()}
	for _, g := range topology.Groups() {
		all[string(g)] = groupBoard(g)
	}
	return all
}

// groupBoard is the dashboard of one group, wherever it runs.
//
// A request that an edge forwards is counted there too, as of the module gateway, so that one is left out of what the group
// itself does.
func groupBoard(g topology.Group) *dashboard.DashboardBuilder {
	b := board("tandem-"+string(g), "Tandem / "+string(g), "The group "+string(g)+", whichever app-ids host it.").
		WithVariable(choice("app_id", "App-id", fmt.Sprintf(`label_values(tandem_group_hosted{group="%s"}, app_id)`, g))).
		WithVariable(choice("module", "Module", fmt.Sprintf(`label_values(tandem_http_requests_total{group="%s"}, module)`, g)))
	of := fmt.Sprintf(`group="%s", app_id=~"$app_id"`, g)
	http := of + `, module=~"$module", module!="gateway"`
	from := fmt.Sprintf(`from="%s", app_id=~"$app_id"`, g)
	to := fmt.Sprintf(`to="%s"`, g) // counted at the callers, which the app-id of the callee does not choose

	row(b, "Traffic",
		panel{title: "Requests by module", unit: perSecond, stacked: true, queries: []query{{rate("tandem_http_requests_total{"+http+"}", "module"), "{{module}}"}}},
		panel{title: "Requests by status", unit: perSecond, stacked: true, queries: []query{{rate("tandem_http_requests_total{"+http+"}", "status"), "{{status}}"}}},
		panel{title: "Errors by code", description: "Answers with a problem, by its code.", unit: perSecond, queries: []query{{rate("tandem_http_problems_total{"+http+"}", "module, code"), "{{module}} {{code}}"}}},
		panel{title: "Share of 5xx", unit: percent, queries: []query{{
			fmt.Sprintf(`(%s or %s * 0) / %s`, rate(`tandem_http_requests_total{`+http+`, status=~"5.."}`, "module"),
				rate("tandem_http_requests_total{"+http+"}", "module"), rate("tandem_http_requests_total{"+http+"}", "module")), "{{module}}"}}},
		panel{title: "In flight", unit: count, queries: []query{{"sum by (app_id) (tandem_http_in_flight{" + of + "})", "{{app_id}}"}}},
		panel{title: "Hosted by", description: "The app-ids that host the group. Two of them mean that it is being moved.", unit: count, queries: []query{{"sum by (app_id) (tandem_group_hosted{" + of + "})", "{{app_id}}"}}},
	)
	row(b, "Latency",
		panel{title: "Percentiles", unit: seconds, exemplars: true, queries: []query{
			{quantile("0.5", "tandem_http_request_seconds", http, ""), "p50"},
			{quantile("0.95", "tandem_http_request_seconds", http, ""), "p95"},
			{quantile("0.99", "tandem_http_request_seconds", http, ""), "p99"},
		}},
		panel{title: "p95 by module", unit: seconds, exemplars: true, queries: []query{{quantile("0.95", "tandem_http_request_seconds", http, "module"), "{{module}}"}}},
		panel{title: "p95 of the ten slowest routes", unit: seconds, queries: []query{{"topk(10, " + quantile("0.95", "tandem_http_request_seconds", http, "method, route") + ")", "{{method}} {{route}}"}}},
		panel{title: "Heat map", unit: seconds, width: 24, heat: true, queries: []query{{rate("tandem_http_request_seconds_bucket{"+http+"}", "le"), "{{le}}"}}},
	)
	row(b, "Calls between groups",
		panel{title: "Out, by callee and way", description: "dapr is by the sidecars, direct within the process.", unit: perSecond, queries: []query{{rate("tandem_call_total{"+from+"}", "to, route"), "{{to}} {{route}}"}}},
		panel{title: "Out, p95", unit: seconds, queries: []query{{quantile("0.95", "tandem_call_seconds", from, "to, route"), "{{to}} {{route}}"}}},
		panel{title: "Out, failures", unit: perSecond, queries: []query{{rate(`tandem_call_total{`+from+`, result!="ok"}`, "to, result"), "{{to}} {{result}}"}}},
		panel{title: "In, by caller and way", description: "As counted where the calls are made; the caller host is a process that asks for keys and ended sessions.", unit: perSecond, queries: []query{{rate("tandem_call_total{"+to+"}", "from, route"), "{{from}} {{route}}"}}},
		panel{title: "In, p95", unit: seconds, queries: []query{{quantile("0.95", "tandem_call_seconds", to, "from, route"), "{{from}} {{route}}"}}},
	)
	row(b, "Events",
		panel{title: "Published", unit: ops, queries: []query{{rate("tandem_events_published_total{"+of+"}", "topic, result"), "{{topic}} {{result}}"}}},
		panel{title: "Consumed", description: "RETRY is parked and tried again, DROP a dead letter.", unit: ops, queries: []query{{rate("tandem_events_consumed_total{"+of+"}", "topic, verdict"), "{{topic}} {{verdict}}"}}},
		panel{title: "Lag, p95", description: "From what an event tells of to the end of its handling.", unit: seconds, queries: []query{{quantile("0.95", "tandem_event_lag_seconds", of, "topic"), "{{topic}}"}}},
		panel{title: "Parked", unit: count, queries: []query{{"max(tandem_events_parked{" + of + "})", "parked"}}},
		panel{title: "Dead letters", unit: count, queries: []query{{"max(tandem_events_dead_letters{" + of + "})", "dead letters"}}},
		panel{title: "Outbox", description: "Age of the oldest event that the broker has not taken yet.", unit: seconds, queries: []query{{"max(tandem_outbox_oldest_seconds{" + of + "})", "oldest"}}},
	)
	row(b, "Documents and state",
		panel{title: "Operations on documents", unit: ops, stacked: true, queries: []query{{rate("tandem_store_operations_total{"+of+"}", "operation"), "{{operation}}"}}},
		panel{title: "p99 by operation", unit: seconds, queries: []query{{quantile("0.99", "tandem_store_operation_seconds", of, "operation"), "{{operation}}"}}},
		panel{title: "Not ok", description: "not_found, exists and conflict are part of normal work; full, busy and error are not.", unit: ops, queries: []query{{rate(`tandem_store_operations_total{`+of+`, result!="ok"}`, "result"), "{{result}}"}}},
		panel{title: "The ten busiest collections", unit: ops, queries: []query{{"topk(10, " + rate("tandem_store_operations_total{"+of+"}", "collection") + ")", "{{collection}}"}}},
		panel{title: "Operations on state", unit: ops, queries: []query{{rate("tandem_state_operations_total{"+of+"}", "operation, result"), "{{operation}} {{result}}"}}},
		panel{title: "State, p99", unit: seconds, queries: []query{{quantile("0.99", "tandem_state_operation_seconds", of, "operation"), "{{operation}}"}}},
	)
	row(b, "Jobs and runs",
		panel{title: "Jobs", unit: ops, queries: []query{{rate("tandem_jobs_total{"+of+"}", "job_name, result"), "{{job_name}} {{result}}"}}},
		panel{title: "Job, p95", unit: seconds, queries: []query{{quantile("0.95", "tandem_job_seconds", of, "job_name"), "{{job_name}}"}}},
		panel{title: "Runs begun and ended", unit: ops, queries: []query{
			{rate("tandem_runs_started_total{"+of+"}", "kind"), "{{kind}} begun"},
			{rate("tandem_runs_finished_total{"+of+"}", "kind, status"), "{{kind}} {{status}}"},
		}},
		panel{title: "Run, p95", description: "From the request to the end, waits included.", unit: seconds, queries: []query{{quantile("0.95", "tandem_run_seconds", of, "kind"), "{{kind}}"}}},
		panel{title: "Steps", unit: ops, queries: []query{{rate("tandem_run_steps_total{"+of+"}", "kind, result"), "{{kind}} {{result}}"}}},
		panel{title: "Step, p95", unit: seconds, queries: []query{{quantile("0.95", "tandem_run_step_seconds", of, "kind"), "{{kind}}"}}},
	)
	if own := ownRows[g]; own != nil {
		own(b, of)
	}
	return b
}

// ownRows are what one group alone has.
var ownRows = map[topology.Group]func(b *dashboard.DashboardBuilder, of string){
	topology.Auth:         authRow,
	topology.Integrations: integrationsRow,
	topology.Analytics:    analyticsRow,
}

// app is how series without a group are chosen: only the host of the one group that makes them has them.
const app = `app_id=~"$app_id"`

func authRow(b *dashboard.DashboardBuilder, of string) {
	row(b, "Sign-ins",
		panel{title: "Sign-ins", description: "People who proved who they are, by what followed.", unit: ops, queries: []query{{rate("tandem_auth_sign_ins_total{"+app+"}", "outcome"), "{{outcome}}"}}},
		panel{title: "Let in, by proof", description: "pwd is a password, hwk a passkey, otp an authenticator, fed an identity provider (RFC 8176).", unit: ops, queries: []query{{rate(`tandem_auth_sign_ins_total{`+app+`, outcome="signed_in"}`, "method, factor"), "{{method}} {{factor}}"}}},
		panel{title: "Failures", unit: ops, queries: []query{{rate(`tandem_http_problems_total{`+of+`, code=~"invalid_credentials|second_factor_invalid|challenge_invalid|refresh_token_.*|sso_.*"}`, "code"), "{{code}}"}}},
		panel{title: "Lockouts", description: "Requests refused because of too many failures before them.", unit: ops, queries: []query{{rate(`tandem_http_problems_total{`+of+`, code=~"account_locked|factor_locked"}`, "code"), "{{code}}"}}},
		panel{title: "Second factors", unit: ops, queries: []query{{rate(`tandem_http_requests_total{`+of+`, module="mfa"}`, "method, route, status"), "{{method}} {{route}} {{status}}"}}},
		panel{title: "Tokens refreshed", unit: ops, queries: []query{{rate(`tandem_http_requests_total{`+of+`, module="sessions"}`, "route, status"), "{{route}} {{status}}"}}},
	)
}

func integrationsRow(b *dashboard.DashboardBuilder, of string) {
	row(b, "Syncs",
		panel{title: "Records read", unit: ops, stacked: true, queries: []query{{rate("tandem_sync_records_total{"+app+"}", "vendor, stream"), "{{vendor}} {{stream}}"}}},
		panel{title: "Records new or different", unit: ops, stacked: true, queries: []query{{rate("tandem_sync_changed_records_total{"+app+"}", "vendor, stream"), "{{vendor}} {{stream}}"}}},
		panel{title: "Pages", unit: ops, queries: []query{{rate("tandem_sync_pages_total{"+app+"}", "vendor"), "{{vendor}}"}}},
		panel{title: "Syncs ended", unit: ops, queries: []query{{rate(`tandem_runs_finished_total{`+of+`, kind="sync"}`, "status"), "{{status}}"}}},
		panel{title: "Sync, p95", unit: seconds, queries: []query{{quantile("0.95", "tandem_run_seconds", of+`, kind="sync"`, ""), "p95"}}},
		panel{title: "Pages that vendors did not give", unit: ops, queries: []query{{rate("tandem_sync_failures_total{"+app+"}", "vendor, class"), "{{vendor}} {{class}}"}}},
	)
	row(b, "Vendors",
		panel{title: "Requests", description: "By status; 0 is none.", unit: perSecond, queries: []query{{rate("tandem_vendor_request_seconds_count{"+app+"}", "vendor, status"), "{{vendor}} {{status}}"}}},
		panel{title: "Latency, p95", unit: seconds, queries: []query{{quantile("0.95", "tandem_vendor_request_seconds", app, "vendor"), "{{vendor}}"}}},
		panel{title: "Throttling", description: "Seconds a second for which vendors want to be left alone.", unit: count, queries: []query{{rate("tandem_sync_pause_seconds_total{"+app+"}", "vendor"), "{{vendor}}"}}},
		panel{title: "Token refreshes", unit: ops, queries: []query{{rate("tandem_token_refreshes_total{"+app+"}", "vendor, result"), "{{vendor}} {{result}}"}}},
		panel{title: "Webhooks", unit: ops, queries: []query{{rate("tandem_webhooks_total{"+app+"}", "vendor, outcome"), "{{vendor}} {{outcome}}"}}},
		panel{title: "Latency of all vendors", unit: seconds, heat: true, queries: []query{{rate("tandem_vendor_request_seconds_bucket{"+app+"}", "le"), "{{le}}"}}},
	)
}

func analyticsRow(b *dashboard.DashboardBuilder, of string) {
	changed := of + `, topic=~"integrations\\..*"`
	row(b, "Roll-ups and queries",
		panel{title: "Roll-up lag", description: "From a change of records to the roll-ups made of it.", unit: seconds, queries: []query{
			{quantile("0.5", "tandem_event_lag_seconds", changed, ""), "p50"},
			{quantile("0.95", "tandem_event_lag_seconds", changed, ""), "p95"},
			{quantile("0.99", "tandem_event_lag_seconds", changed, ""), "p99"},
		}},
		panel{title: "Roll-ups", unit: ops, queries: []query{{rate("tandem_events_consumed_total{"+changed+"}", "topic, verdict"), "{{topic}} {{verdict}}"}}},
		panel{title: "Query latency", unit: seconds, exemplars: true, queries: []query{
			{quantile("0.5", "tandem_http_request_seconds", of+`, module="dashboard"`, ""), "p50"},
			{quantile("0.95", "tandem_http_request_seconds", of+`, module="dashboard"`, ""), "p95"},
			{quantile("0.99", "tandem_http_request_seconds", of+`, module="dashboard"`, ""), "p99"},
		}},
	)
}
