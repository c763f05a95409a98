package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// overview is the platform at a glance.
func overview() *dashboard.DashboardBuilder {
	const of = `group=~"$group", app_id=~"$app_id"`
	const http = of + `, module!="gateway"`
	const edge = of + `, module="gateway"`
	b := board("tandem-overview", "Tandem / Overview", "Which app-id hosts which group, and how each group does.").
		WithVariable(choice("app_id", "App-id", "label_values(tandem_info, app_id)")).
		WithVariable(choice("group", "Group", "label_values(tandem_group_hosted, group)"))
	row(b, "Topology",
		panel{title: "Hosts", description: "1 where an app-id hosts a group.", rows: true, width: 12, unit: count, queries: []query{{"max by (group, app_id) (tandem_group_hosted{" + of + "})", ""}}},
		panel{title: "Versions", rows: true, width: 12, unit: count, queries: []query{{`max by (app_id, version) (tandem_info{app_id=~"$app_id"})`, ""}}},
	)
	row(b, "Golden signals of each group",
		panel{title: "Traffic", unit: perSecond, width: 6, queries: []query{{rate("tandem_http_requests_total{"+http+"}", "group"), "{{group}}"}}},
		panel{title: "Errors: share of 5xx", unit: percent, width: 6, queries: []query{{
			"(" + rate(`tandem_http_requests_total{`+http+`, status=~"5.."}`, "group") + " or " + rate("tandem_http_requests_total{"+http+"}", "group") + " * 0) / " +
				rate("tandem_http_requests_total{"+http+"}", "group"), "{{group}}"}}},
		panel{title: "Latency: p95", unit: seconds, width: 6, exemplars: true, queries: []query{{quantile("0.95", "tandem_http_request_seconds", http, "group"), "{{group}}"}}},
		panel{title: "Saturation: in flight", unit: count, width: 6, queries: []query{{"sum by (group) (tandem_http_in_flight{" + of + "})", "{{group}}"}}},
	)
	// By the recording rules of deploy/prometheus/rules, which look at all app-ids.
	burn := func(window string) query {
		return query{`group:tandem_http_errors:ratio_rate` + window + `{group=~"$group"} / 0.001`, "{{group}} " + window}
	}
	slow := func(window string) query {
		return query{`group:tandem_http_slow:ratio_rate` + window + `{group=~"$group"} / 0.01`, "{{group}} " + window}
	}
	row(b, "Objectives: 99.9 % of requests succeed, 99 % within 0.5 s",
		panel{title: "Availability: budget burnt", description: "How many times as fast as the objective allows, over 30 days, requests fail. 14.4 over an hour or 6 over six call somebody.", unit: count, width: 8, queries: []query{burn("1h"), burn("6h")}},
		panel{title: "Latency: budget burnt", description: "The same for requests that take longer than 0.5 s.", unit: count, width: 8, queries: []query{slow("1h"), slow("6h")}},
		panel{title: "Over three days", description: "1 is what the objective allows.", unit: count, width: 8, rows: true, queries: []query{burn("3d"), slow("3d")}},
	)
	row(b, "What waits",
		panel{title: "Silent runs", description: "Since when the run that has waited longest for a step has done so.", unit: seconds, width: 6, queries: []query{{"max by (group, kind) (tandem_runs_silent_seconds{" + of + "})", "{{group}} {{kind}}"}}},
		panel{title: "Room for documents", description: "Left on the disks of stores that are embedded.", unit: bytesUnit, width: 6, queries: []query{{"min by (app_id, group) (tandem_store_free_bytes{" + of + "})", "{{app_id}} {{group}}"}}},
		panel{title: "Event lag, p95", unit: seconds, width: 6, queries: []query{{quantile("0.95", "tandem_event_lag_seconds", of, "group"), "{{group}}"}}},
		panel{title: "Outbox, oldest", unit: seconds, width: 6, queries: []query{{"max by (group) (tandem_outbox_oldest_seconds{" + of + "})", "{{group}}"}}},
		panel{title: "Parked events", unit: count, width: 6, queries: []query{{"max by (group) (tandem_events_parked{" + of + "})", "{{group}}"}}},
		panel{title: "Dead letters", unit: count, width: 6, queries: []query{{"max by (group) (tandem_events_dead_letters{" + of + "})", "{{group}}"}}},
	)
	row(b, "Edge and work",
		panel{title: "Forwarded by the edge", description: "Requests for groups that the edge does not host itself.", unit: perSecond, queries: []query{{rate("tandem_http_requests_total{"+edge+"}", "group"), "{{group}}"}}},
		panel{title: "Runs ended", unit: ops, queries: []query{{rate("tandem_runs_finished_total{"+of+"}", "group, status"), "{{group}} {{status}}"}}},
		panel{title: "Jobs that failed", unit: ops, queries: []query{{rate(`tandem_jobs_total{`+of+`, result!="ok"}`, "group, job_name"), "{{group}} {{job_name}}"}}},
	)
	return b
}

// sidecars is Dapr's own view. Its times are in milliseconds.
func sidecars() *dashboard.DashboardBuilder {
	const of = `app_id=~"$app_id"`
	const part = of + `, part="sidecar"`
	b := board("tandem-sidecars", "Tandem / Sidecars", "The Dapr sidecars, by their own metrics.").
		WithVariable(choice("app_id", "App-id", "label_values(dapr_runtime_component_loaded, app_id)"))
	ms := func(expr string) string { return expr + " / 1000" }
	row(b, "Service invocation",
		panel{title: "Requests sent", unit: perSecond, queries: []query{{rate("dapr_runtime_service_invocation_req_sent_total{"+of+"}", "app_id, dst_app_id"), "{{app_id}} → {{dst_app_id}}"}}},
		panel{title: "Answers received", unit: perSecond, queries: []query{{rate("dapr_runtime_service_invocation_res_recv_total{"+of+"}", "app_id, status"), "{{app_id}} {{status}}"}}},
		panel{title: "p95", unit: seconds, queries: []query{{ms(quantile("0.95", "dapr_runtime_service_invocation_res_recv_latency_ms", of, "app_id")), "{{app_id}}"}}},
		panel{title: "HTTP server", unit: perSecond, queries: []query{{rate("dapr_http_server_request_count{"+of+"}", "app_id, status"), "{{app_id}} {{status}}"}}},
		panel{title: "HTTP to the app, p95", unit: seconds, queries: []query{{ms(quantile("0.95", "dapr_http_client_roundtrip_latency", of, "app_id")), "{{app_id}}"}}},
		panel{title: "Refused by access control", unit: perSecond, queries: []query{
			{rate("dapr_runtime_acl_global_policy_action_blocked_total{"+of+"}", "app_id"), "{{app_id}} global"},
			{rate("dapr_runtime_acl_app_policy_action_blocked_total{"+of+"}", "app_id"), "{{app_id}} app"},
		}},
	)
	row(b, "State, secrets and pub/sub",
		panel{title: "State operations", unit: ops, queries: []query{{rate("dapr_component_state_count{"+of+"}", "component, operation, success"), "{{component}} {{operation}} {{success}}"}}},
		panel{title: "State, p95", unit: seconds, queries: []query{{ms(quantile("0.95", "dapr_component_state_latencies", of, "component, operation")), "{{component}} {{operation}}"}}},
		panel{title: "Secrets read", unit: ops, queries: []query{{rate("dapr_component_secret_count{"+of+"}", "component, success"), "{{component}} {{success}}"}}},
		panel{title: "Published", unit: ops, queries: []query{{rate("dapr_component_pubsub_egress_count{"+of+"}", "topic, success"), "{{topic}} {{success}}"}}},
		panel{title: "Delivered", unit: ops, queries: []query{{rate("dapr_component_pubsub_ingress_count{"+of+"}", "topic, process_status"), "{{topic}} {{process_status}}"}}},
		panel{title: "Delivery, p95", unit: seconds, queries: []query{{ms(quantile("0.95", "dapr_component_pubsub_ingress_latencies", of, "topic")), "{{topic}}"}}},
	)
	row(b, "Resiliency, workflows and jobs",
		panel{title: "Policies applied", unit: ops, queries: []query{{rate("dapr_resiliency_count{"+of+"}", "policy, target, flow_direction"), "{{policy}} {{target}} {{flow_direction}}"}}},
		panel{title: "Policies activated", description: "Retries, timeouts and breakers that had something to do.", unit: ops, queries: []query{{rate("dapr_resiliency_activations_total{"+of+"}", "policy, target, status"), "{{policy}} {{target}} {{status}}"}}},
		panel{title: "Workflows ended", unit: ops, queries: []query{{rate("dapr_runtime_workflow_execution_count{"+of+"}", "workflow_name, status"), "{{workflow_name}} {{status}}"}}},
		panel{title: "Activities ended", unit: ops, queries: []query{{rate("dapr_runtime_workflow_activity_execution_count{"+of+"}", "activity_name, status"), "{{activity_name}} {{status}}"}}},
		panel{title: "Activity, p95", unit: seconds, queries: []query{{ms(quantile("0.95", "dapr_runtime_workflow_activity_execution_latency", of, "activity_name")), "{{activity_name}}"}}},
		panel{title: "Jobs fired", unit: ops, queries: []query{
			{rate("dapr_component_job_success_count{"+of+"}", "app_id"), "{{app_id}}"},
			{rate("dapr_component_job_failure_count{"+of+"}", "app_id"), "{{app_id}} failed"},
		}},
	)
	row(b, "Process",
		panel{title: "Resident memory", unit: bytesUnit, queries: []query{{"sum by (app_id) (process_resident_memory_bytes{" + part + "})", "{{app_id}}"}}},
		panel{title: "CPU", description: "Cores in use.", unit: count, queries: []query{{rate("process_cpu_seconds_total{"+part+"}", "app_id"), "{{app_id}}"}}},
		panel{title: "Open files", unit: count, queries: []query{{"sum by (app_id) (process_open_fds{" + part + "})", "{{app_id}}"}}},
		panel{title: "Components loaded and failed", unit: count, queries: []query{
			{"sum by (app_id) (dapr_runtime_component_loaded{" + of + "})", "{{app_id}} loaded"},
			{"sum by (app_id) (dapr_runtime_component_init_fail_total{" + of + "})", "{{app_id}} failed"},
		}},
	)
	return b
}

// topologyCost compares what processes of their own cost with what they would within one.
func topologyCost() *dashboard.DashboardBuilder {
	const of = `app_id=~"$app_id"`
	b := board("tandem-topology-cost", "Tandem / Cost of the topology", "What it costs to have groups in processes of their own: the time of calls through sidecars against direct ones, and the sidecars themselves.").
		WithVariable(choice("app_id", "App-id", "label_values(tandem_info, app_id)"))
	row(b, "Calls between groups",
		panel{title: "By way", unit: perSecond, queries: []query{{rate("tandem_call_total{"+of+"}", "route"), "{{route}}"}}},
		panel{title: "Time by way", unit: seconds, queries: []query{
			{quantile("0.5", "tandem_call_seconds", of, "route"), "{{route}} p50"},
			{quantile("0.95", "tandem_call_seconds", of, "route"), "{{route}} p95"},
			{quantile("0.99", "tandem_call_seconds", of, "route"), "{{route}} p99"},
		}},
		panel{title: "Mean by callee and way", unit: seconds, queries: []query{{mean("tandem_call_seconds", of, "to, route"), "{{to}} {{route}}"}}},
		panel{title: "Time in calls", description: "Seconds a second that requests spend in calls between groups.", unit: count, queries: []query{{rate("tandem_call_seconds_sum{"+of+"}", "route"), "{{route}}"}}},
		panel{title: "What the sidecars add", description: "About: the mean call through Dapr, less the mean time in which the apps answer their sidecars, deliveries of events included.", unit: seconds, width: 16, queries: []query{{
			`sum(rate(tandem_call_seconds_sum{` + of + `, route="dapr"}[$__rate_interval])) / sum(rate(tandem_call_seconds_count{` + of + `, route="dapr"}[$__rate_interval]))` +
				` - sum(rate(dapr_http_client_roundtrip_latency_sum{` + of + `}[$__rate_interval])) / sum(rate(dapr_http_client_roundtrip_latency_count{` + of + `}[$__rate_interval])) / 1000`, "both sidecars"}}},
	)
	row(b, "Memory and CPU",
		panel{title: "Memory of apps and sidecars", unit: bytesUnit, stacked: true, queries: []query{
			{`sum(process_resident_memory_bytes{` + of + `, part="app"})`, "apps"},
			{`sum(process_resident_memory_bytes{` + of + `, part="sidecar"})`, "sidecars"},
		}},
		panel{title: "Memory of each sidecar", unit: bytesUnit, queries: []query{{`sum by (app_id) (process_resident_memory_bytes{` + of + `, part="sidecar"})`, "{{app_id}}"}}},
		panel{title: "CPU of apps and sidecars", description: "Cores in use.", unit: count, stacked: true, queries: []query{
			{`sum(rate(process_cpu_seconds_total{` + of + `, part="app"}[$__rate_interval]))`, "apps"},
			{`sum(rate(process_cpu_seconds_total{` + of + `, part="sidecar"}[$__rate_interval]))`, "sidecars"},
		}},
		panel{title: "Memory of each app", unit: bytesUnit, queries: []query{{`sum by (app_id) (process_resident_memory_bytes{` + of + `, part="app"})`, "{{app_id}}"}}},
		panel{title: "Goroutines", unit: count, queries: []query{{"sum by (app_id) (go_goroutines{" + of + "})", "{{app_id}}"}}},
	)
	return b
}
