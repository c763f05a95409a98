package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/test/system"
)

const collectorFile = "deploy/kubernetes/logs/otel-collector.yaml"

// entry is a log record as the collector has it.
type entry struct {
	Body       any
	Attributes map[string]any
	Service    string
	At         time.Time
	Severity   string
	Trace      string
	Span       string
}

// operator is a stage of the collector's filelog receiver, with the settings that ours use. Any other is an error.
type operator struct {
	Type            string              `yaml:"type"`
	If              string              `yaml:"if"`
	Expr            string              `yaml:"expr"`
	AddMetadata     *bool               `yaml:"add_metadata_from_filepath"`
	ParseFrom       string              `yaml:"parse_from"`
	ParseTo         string              `yaml:"parse_to"`
	LayoutType      string              `yaml:"layout_type"`
	Layout          string              `yaml:"layout"`
	Mapping         map[string][]string `yaml:"mapping"`
	From, To, Field string
	Trace           parseFrom `yaml:"trace_id"`
	Span            parseFrom `yaml:"span_id"`
}

type parseFrom struct {
	ParseFrom string `yaml:"parse_from"`
}

// collectorStages are those that the configuration has.
func collectorStages(t *testing.T) []operator {
	t.Helper()
	var config struct {
		Receivers struct {
			Filelog struct {
				Include         []string   `yaml:"include"`
				StartAt         string     `yaml:"start_at"`
				IncludeFileName bool       `yaml:"include_file_name"`
				Operators       []operator `yaml:"operators"`
			} `yaml:"filelog"`
			OTLP map[string]any `yaml:"otlp"`
		} `yaml:"receivers"`
		Processors, Exporters map[string]any
		Service               struct {
			Pipelines map[string]map[string][]string `yaml:"pipelines"`
		} `yaml:"service"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, collectorFile)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	for name, pipeline := range config.Service.Pipelines {
		for _, exporter := range pipeline["exporters"] {
			if _, there := config.Exporters[exporter]; !there {
				t.Errorf("pipeline %s: no exporter %s", name, exporter)
			}
		}
		for _, processor := range pipeline["processors"] {
			if _, there := config.Processors[processor]; !there {
				t.Errorf("pipeline %s: no processor %s", name, processor)
			}
		}
	}
	return config.Receivers.Filelog.Operators
}

// value is what a field of an entry holds, nil if nothing.
func (e *entry) value(t *testing.T, field string) any {
	t.Helper()
	if field == "body" {
		return e.Body
	}
	name, isAttribute := strings.CutPrefix(field, "attributes.")
	if !isAttribute {
		t.Fatalf("field %q", field)
	}
	return e.Attributes[name]
}

func (e *entry) text(t *testing.T, field string) string {
	t.Helper()
	text, _ := e.value(t, field).(string)
	return text
}

var (
	comparison = regexp.MustCompile(`^(\S+) ([!=]=) nil$`)
	unmatched  = regexp.MustCompile(`^body not matches "(.+)"$`)
)

// holds evaluates a condition of the forms that are used.
func (e *entry) holds(t *testing.T, condition string) bool {
	t.Helper()
	if parts := comparison.FindStringSubmatch(condition); parts != nil {
		return (e.value(t, parts[1]) == nil) == (parts[2] == "==")
	}
	if parts := unmatched.FindStringSubmatch(condition); parts != nil {
		pattern := strings.ReplaceAll(parts[1], `\\`, `\`) // a string's escape
		return !regexp.MustCompile(pattern).MatchString(fmt.Sprint(e.Body))
	}
	t.Fatalf("condition %q is of no form that this test knows", condition)
	return false
}

var cri = regexp.MustCompile(`^(\S+) (stdout|stderr) [FP] (.*)$`)

// apply does what a stage does, and tells whether the entry stays.
func (e *entry) apply(t *testing.T, o operator) bool {
	t.Helper()
	if o.If != "" && !e.holds(t, o.If) {
		return true
	}
	switch o.Type {
	case "container":
		line := e.text(t, "body")
		if parts := cri.FindStringSubmatch(line); parts != nil {
			e.Body = parts[3]
			return true
		}
		var docker struct{ Log string }
		if err := json.Unmarshal([]byte(line), &docker); err != nil {
			t.Fatal(err)
		}
		e.Body = strings.TrimSuffix(docker.Log, "\n")
	case "filter":
		return !e.holds(t, o.Expr)
	case "json_parser":
		if err := json.Unmarshal([]byte(e.text(t, o.ParseFrom)), &e.Attributes); err != nil || o.ParseTo != "attributes" {
			t.Fatalf("%v, to %s", err, o.ParseTo)
		}
	case "time_parser":
		var err error
		if e.At, err = time.Parse(o.Layout, e.text(t, o.ParseFrom)); err != nil || o.LayoutType != "gotime" {
			t.Errorf("time: %v", err)
		}
	case "severity_parser":
		for severity, words := range o.Mapping {
			if slices.Contains(words, e.text(t, o.ParseFrom)) {
				e.Severity = severity
			}
		}
	case "trace_parser":
		e.Trace, e.Span = e.text(t, o.Trace.ParseFrom), e.text(t, o.Span.ParseFrom)
	case "move":
		switch o.To {
		case "body":
			e.Body = e.value(t, o.From)
		case `resource["service.name"]`:
			e.Service = e.text(t, o.From)
		default:
			t.Fatalf("moves to %s", o.To)
		}
		delete(e.Attributes, strings.TrimPrefix(o.From, "attributes."))
	case "remove":
		delete(e.Attributes, strings.TrimPrefix(o.Field, "attributes."))
	default:
		t.Fatalf("a stage of the type %q, which this test does not know", o.Type)
	}
	return true
}

// sidecarLine is a line that daprd writes as JSON.
func sidecarLine(t *testing.T) string {
	t.Helper()
	system.NeedPrograms(t, "the log of a sidecar", ".dapr/bin/daprd")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(system.Repository(), ".dapr/bin/daprd"), "--app-id=insights", "--log-as-json")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer cancel()
	var line json.RawMessage
	if err := json.NewDecoder(out).Decode(&line); err != nil {
		t.Fatalf("daprd wrote no JSON: %v", err)
	}
	return string(line)
}

// The stages of the collector get from the lines of an app and of its sidecar, in the forms of Docker and of Kubernetes, what Loki shows
// and what leads to the trace; lines of other programs do not pass.
func TestTheCollectorReadsOurLogs(t *testing.T) {
	var app bytes.Buffer
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	telemetry.NewLogger(&app, slog.LevelInfo, "insights").WarnContext(ctx, "step of a run failed", "group", "analytics")
	stages := collectorStages(t)
	for name, wrap := range map[string]func(line string) string{
		"Docker": func(line string) string {
			text, err := json.Marshal(map[string]string{"log": line + "\n", "stream": "stdout", "time": "2026-11-28T10:00:00Z"})
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		},
		"Kubernetes": func(line string) string { return "2026-11-28T10:00:00.000000001Z stdout F " + line },
	} {
		through := func(line string) *entry {
			e := &entry{Body: wrap(line), Attributes: map[string]any{}}
			for _, stage := range stages {
				if !e.apply(t, stage) {
					return nil
				}
			}
			return e
		}
		e := through(strings.TrimSpace(app.String()))
		if e == nil || e.Body != "step of a run failed" || e.Service != "insights" || e.Severity != "warn" || time.Since(e.At) > time.Minute ||
			e.Trace != "01000000000000000000000000000000" || e.Span != "0200000000000000" || e.Attributes["group"] != "analytics" || e.Attributes["level"] != nil {
			t.Errorf("%s: an app's line is %+v", name, e)
		}
		e = through(sidecarLine(t))
		if e == nil || !strings.Contains(fmt.Sprint(e.Body), "Dapr Runtime") || e.Service != "insights" || e.Severity != "info" ||
			time.Since(e.At) > time.Minute || e.Trace != "" || e.Attributes["scope"] != "dapr.runtime" {
			t.Errorf("%s: a sidecar's line is %+v", name, e)
		}
		for _, other := range []string{"[1] 2026/11/28 10:00:00.000000 [INF] Server is ready", `{"t":{"$date":"2026-11-28"},"s":"I","msg":"Waiting"}`, `{"level":"info","time":"2026-11-28T10:00:00Z","msg":"ready"}`, ""} {
			if e := through(other); e != nil {
				t.Errorf("%s: a line of another program passes: %+v", name, e)
			}
		}
	}
}

// The file with logs fits onto those of all topologies, and what it adds is as hardened as the rest.
func TestComposeFilesWithLogs(t *testing.T) {
	values := settings(t)
	for _, p := range composed(t, values, "logs.yaml") {
		t.Run(p.Name, func(t *testing.T) {
			for name := range p.Services {
				hardened(t, p, name, "/var/lib/docker/containers")
			}
			collector := p.Services["otel-collector"]
			for _, need := range []string{"apps", "operations"} {
				if _, there := collector.Networks[need]; !there {
					t.Errorf("the collector is not in the network %s", need)
				}
			}
			for variable, target := range map[string]string{"LOKI": "loki", "TEMPO": "tempo"} {
				if _, there := p.Services[target]; !there || !strings.Contains(collector.Environment[variable], "//"+target+":") {
					t.Errorf("%s is %s, with a service %v", variable, collector.Environment[variable], there)
				}
			}
			for _, v := range collector.Volumes {
				if v.Target == "/etc/otelcol/config.yaml" && !strings.HasSuffix(v.Source, collectorFile) {
					t.Errorf("the collector reads %s", v.Source)
				}
			}
		})
	}
}

// Grafana's data sources with logs are those without, and more; they lead to each other.
func TestTheDataSourcesLeadToEachOther(t *testing.T) {
	type source struct {
		Name, UID, Type, URL string
		JSONData             struct {
			TimeInterval  string              `yaml:"timeInterval"`
			DerivedFields []map[string]string `yaml:"derivedFields"`
			Exemplars     []map[string]string `yaml:"exemplarTraceIdDestinations"`
			TracesToLogs  map[string]any      `yaml:"tracesToLogsV2"`
		} `yaml:"jsonData"`
	}
	sources := func(path string) map[string]source {
		var file struct{ Datasources []source }
		if err := yaml.Unmarshal(read(t, path), &file); err != nil {
			t.Fatal(err)
		}
		all := map[string]source{}
		for _, s := range file.Datasources {
			all[s.UID] = s
		}
		return all
	}
	plain, with := sources("deploy/grafana/provisioning/datasources/prometheus.yaml"), sources("deploy/grafana/with-logs/datasources.yaml")
	if with["prometheus"].URL != plain["prometheus"].URL || with["prometheus"].JSONData.TimeInterval != plain["prometheus"].JSONData.TimeInterval {
		t.Errorf("Prometheus is %+v with logs and %+v without", with["prometheus"], plain["prometheus"])
	}
	var to []string
	for _, s := range with {
		for _, field := range slices.Concat(s.JSONData.DerivedFields, s.JSONData.Exemplars) {
			to = append(to, s.UID+" "+field["datasourceUid"])
		}
		if uid, leads := s.JSONData.TracesToLogs["datasourceUid"]; leads {
			to = append(to, fmt.Sprint(s.UID, " ", uid))
		}
	}
	slices.Sort(to)
	if want := []string{"loki tempo", "prometheus tempo", "tempo loki"}; !slices.Equal(to, want) {
		t.Errorf("they lead %q, want %q", to, want)
	}
}
