package topologies

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/tandemhq/tandem/dashboards/series"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/system"
)

// empty are selectors that find no series after the scenarios, with the reason: those of metrics whose name begins with metric and
// that have the text in them, in the one topology that is named or in all.
var empty = append(unused(), []emptiness{
	{"tandem_call_", `to="analytics"`, "", "nobody calls the group"},
	{"tandem_call_", `from="auth"`, "", "the group calls nobody"},
	{"tandem_call_", `from="integrations"`, "", "what it asks auth, it asks by the host"},
	{"tandem_call_total", `result!="ok"`, "", "no call fails"},
	{"tandem_state_", `group="analytics"`, "", "no scenario repeats a request of the group"},
	{"tandem_state_", `group="auth"`, "", "no scenario repeats a request of the group"},
	{"tandem_job", `group="analytics"`, "", "the group has no jobs"},
	{"tandem_job", `group="auth"`, "", sometimes},
	{"tandem_jobs_total", `result!="ok"`, "", "no job fails"},
	{"tandem_http_problems_total", `code=~"internal|`, "", "nothing is answered with such a problem"},
	{"tandem_group_hosted", `offset 1h`, "", "the run is younger"},
	{"tandem_http_requests_total", `module="gateway"`, topology.Monolith, "the edge hosts all groups itself"},
	{"dapr_runtime_service_invocation_", ``, topology.Monolith, "a sidecar does not count what its app sends to itself"},
	{"dapr_runtime_acl_", `action_blocked_total`, "", "nothing is refused"},
	{"dapr_resiliency_activations_total", ``, "", "nothing has to be tried again"},
	{"dapr_component_job_failure_count", ``, "", "no job fails"},
	{"dapr_runtime_component_init_fail_total", ``, "", "every component can be initialized"},
	{"dapr_sentry_issuercert_expiry_timestamp", ``, "", "sentry runs where there is mTLS, in a cluster"},
}...)

type emptiness struct{ metric, text, topology, reason string }

// sometimes is the reason of what has series only if the full hour comes while the scenarios are played.
const sometimes = "its jobs run every hour or less often"

// unused is what is empty because a group has no routes yet.
func unused() (list []emptiness) {
	for _, g := range []topology.Group{topology.AgentKit, topology.Infrastructure, topology.ML, topology.Onboarding} {
		list = append(list,
			emptiness{"tandem_call_", fmt.Sprintf("from=%q", g), "", "the group calls nobody yet"},
			emptiness{"tandem_call_", fmt.Sprintf("to=%q", g), "", "nobody calls the group yet"},
			emptiness{"tandem_state_", fmt.Sprintf("group=%q", g), "", "the group has no routes yet"},
			emptiness{"tandem_job", fmt.Sprintf("group=%q", g), "", "the group has no jobs yet"})
	}
	return list
}

// unseen are the metrics among them that Dapr 1.18.1 does not even expose without a reason, with the labels that they have then by
// its source: pkg/diagnostics and pkg/sentry/monitoring.
var unseen = map[string][]string{
	"dapr_runtime_acl_global_policy_action_blocked_total": {"app_id"},
	"dapr_runtime_acl_app_policy_action_blocked_total":    {"app_id"},
	"dapr_resiliency_activations_total":                   {"app_id", "policy", "target", "status"},
	"dapr_component_job_failure_count":                    {"app_id"},
	"dapr_runtime_component_init_fail_total":              {"app_id"},
	"dapr_sentry_issuercert_expiry_timestamp":             {},
	// Of other apps' sidecars only: not in the monolith.
	"dapr_runtime_service_invocation_req_sent_total":             {"app_id", "dst_app_id"},
	"dapr_runtime_service_invocation_res_recv_total":             {"app_id", "status"},
	"dapr_runtime_service_invocation_res_recv_latency_ms_bucket": {"app_id", "le"},
}

// differs are the labels whose values say where something ran, what became of it, which operation of a store came in the last minutes, by
// chance too, or what a sidecar was asked for, as vendors are in one topology: series with them are not called the same in all topologies.
var differs = []string{"app_id", "dst_app_id", "status", "result", "code", "job_name", "operation", "target"}

// alike tells whether the series of a query are called the same in all topologies.
func alike(q series.Query, expr parser.Expr) bool {
	return !slices.ContainsFunc(q.Labels(expr), func(label string) bool { return slices.Contains(differs, label) }) &&
		!strings.HasPrefix(q.Expr, "topk(") && !strings.Contains(q.Expr, `module="gateway"`) // which groups the edge hosts itself differs
}

// observed is a run that Prometheus scrapes.
type observed struct {
	*system.Prometheus
	topology string
}

// observe has Prometheus scrape a run. Without Prometheus, everyExpression is skipped.
func observe(t *testing.T, s *system.System) *observed {
	return &observed{s.Prometheus(t), s.Topology}
}

// everyExpression has Prometheus evaluate every expression of the dashboards and rules, as the scenarios have left the series: it
// must be of metrics and labels that there are, have series, or be known to have none, with the labels that it promises, and the
// same labels and names in each topology, which seen collects by expression and topology.
func (p *observed) everyExpression(t *testing.T, seen map[string]map[string]string) {
	if p.Prometheus == nil {
		system.NeedPrometheus(t)
	}
	p.settle(t)
	var exposed series.Exposed
	all, err := p.Series(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		exposed = append(exposed, labels.FromMap(l))
	}
	have := map[string]bool{}
	for _, l := range exposed {
		have[l.Get(labels.MetricName)] = true
	}
	for name, its := range unseen {
		if !have[name] {
			l := map[string]string{labels.MetricName: name}
			for _, label := range its {
				l[label] = "-"
			}
			exposed = append(exposed, labels.FromMap(l))
		}
	}
	used := map[int]bool{}
	evaluated := 0
	for _, q := range p.queries(t) {
		expr, err := q.Parse()
		if err != nil {
			t.Error(err)
			continue
		}
		because := -1
		for _, s := range series.Selectors(expr) {
			if err := exposed.Missing(s.VectorSelector, s.By); err != nil {
				t.Errorf("%s: %v", q.Where, err)
			}
			for i, e := range empty {
				if (e.topology == "" || e.topology == p.topology) && strings.HasPrefix(s.Name, e.metric) && strings.Contains(s.String(), e.text) {
					because = i
				}
			}
		}
		found, err := p.Query(t, expr.String())
		evaluated++
		switch {
		case err != nil:
			t.Errorf("%s: %s: %v", q.Where, expr, err)
		case len(found) == 0 && because < 0:
			t.Errorf("%s has no series: %s", q.Where, expr)
		case len(found) == 0:
			used[because] = true
		default:
			p.look(t, q, expr, found, seen)
		}
	}
	for i, e := range empty {
		if (e.topology == "" || e.topology == p.topology) && !used[i] && e.reason != sometimes {
			t.Errorf("%s…{%s} has series, or no panel: take it out of the list (%s)", e.metric, e.text, e.reason)
		}
	}
	t.Logf("%d expressions evaluated over %d series", evaluated, len(all))
}

// settle waits until Prometheus has scraped and evaluated everything after the scenarios, and the job that runs every minute twice.
func (p *observed) settle(t *testing.T) {
	t.Helper()
	after := fmt.Sprintf("min(timestamp(up)) > %d and max(sum_over_time(tandem_jobs_total[10m])) > 0", time.Now().Unix())
	eventually.Succeeds(t, 90*time.Second, "everything has been scraped", func() error {
		found, err := p.Query(t, after)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("not yet: %s", after)
		}
		return err
	})
	evaluated := time.Now()
	eventually.Succeeds(t, 30*time.Second, "every rule has been evaluated", func() error {
		rules, err := p.Rules(t)
		for _, r := range rules {
			if !r.Evaluated.After(evaluated) {
				return fmt.Errorf("%s was evaluated at %v", r.Name, r.Evaluated)
			}
		}
		return err
	})
}

// queries are those of panels, variables, and rules, whose conditions are left out.
func (p *observed) queries(t *testing.T) []series.Query {
	t.Helper()
	queries, err := series.Read("../../dashboards")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := p.Rules(t)
	if err != nil || len(rules) == 0 {
		t.Fatalf("%d rules: %v", len(rules), err)
	}
	for _, r := range rules {
		if r.Health != "ok" {
			t.Errorf("rule %s is %s: %s", r.Name, r.Health, r.Error)
		}
		expr, err := parser.ParseExpr(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range series.Parts(expr) {
			queries = append(queries, series.Query{Where: "rule " + r.Name, Expr: part.String()})
		}
	}
	return queries
}

// look compares the labels of what a query found with those that it promises, and with those of other topologies.
func (p *observed) look(t *testing.T, q series.Query, expr parser.Expr, found []map[string]string, seen map[string]map[string]string) {
	t.Helper()
	names := map[string]bool{}
	for _, l := range found {
		for name := range l {
			names[name] = true
		}
	}
	for _, want := range q.Labels(expr) {
		if !names[want] {
			t.Errorf("%s: no series has the label %s: %s", q.Where, want, expr)
		}
	}
	key, shape := q.Where+": "+q.Expr, strings.Join(slices.Sorted(maps.Keys(names)), ", ")
	if alike(q, expr) {
		shape += "; names " + strings.Join(q.Names(found), ", ")
	}
	if seen[key] == nil {
		seen[key] = map[string]string{}
	}
	for other, its := range seen[key] {
		if its != shape {
			t.Errorf("%s: its series have the labels %s; in %s they have %s", key, shape, other, its)
		}
	}
	seen[key][p.topology] = shape
}
