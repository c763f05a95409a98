package render_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/components"
	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
)

// declarations have the shape of the groups' own; package render takes them from whoever wires it.
var declarations = []render.Declaration{
	{Name: topology.Auth},
	{Name: topology.Integrations, Calls: []topology.Group{topology.Auth}, Hosts: []string{"api.stripe.com"}},
	{Name: topology.AgentKit, Calls: []topology.Group{topology.Auth}},
	{Name: topology.Analytics, Calls: []topology.Group{topology.Auth, topology.Integrations},
		Consumes: []string{"integrations.records.changed"}},
	{Name: topology.Onboarding, Calls: []topology.Group{topology.Auth}},
	{Name: topology.ML, Calls: []topology.Group{topology.Auth, topology.Analytics}},
	{Name: topology.Infrastructure},
}

// runFile has the keys of the Dapr CLI's run file that the checks look at.
type runFile struct {
	Version int
	Common  struct {
		ResourcesPaths       []string          `yaml:"resourcesPaths"`
		ConfigFilePath       string            `yaml:"configFilePath"`
		APIListenAddresses   string            `yaml:"apiListenAddresses"`
		PlacementHostAddress string            `yaml:"placementHostAddress"`
		SchedulerHostAddress string            `yaml:"schedulerHostAddress"`
		Env                  map[string]string `yaml:"env"`
	}
	Apps []struct {
		AppID                string            `yaml:"appID"`
		AppDirPath           string            `yaml:"appDirPath"`
		AppPort              int               `yaml:"appPort"`
		HTTP                 int               `yaml:"daprHTTPPort"`
		GRPC                 int               `yaml:"daprGRPCPort"`
		InternalGRPC         int               `yaml:"daprInternalGRPCPort"`
		Metrics              int               `yaml:"metricsPort"`
		PlacementHostAddress *string           `yaml:"placementHostAddress"`
		ResourcesPaths       []string          `yaml:"resourcesPaths"`
		Command              []string          `yaml:"command"`
		Env                  map[string]string `yaml:"env"`
	}
}

// resource has the keys of the Dapr resources that the checks look at.
type resource struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Scopes   []string
	Spec     struct {
		Type     string
		BaseURL  string `yaml:"baseUrl"`
		Metadata []struct {
			Name, Value  string
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		}
		Targets struct {
			Apps       map[string]map[string]any
			Components map[string]struct{ Inbound map[string]string }
		}
		AccessControl struct {
			DefaultAction string `yaml:"defaultAction"`
			Policies      []struct {
				AppID         string `yaml:"appId"`
				DefaultAction string `yaml:"defaultAction"`
				Namespace     string
				Operations    []struct{ Name, Action string }
			}
		} `yaml:"accessControl"`
	}
}

func (r resource) value(name string) string {
	for _, m := range r.Spec.Metadata {
		if m.Name == name {
			return m.Value
		}
	}
	return ""
}

func TestEveryPartitionRendersARunnableTopology(t *testing.T) {
	count := 0
	for partition := range topology.Partitions() {
		count++
		files, err := render.Files(partition, render.Options{Name: "any", Groups: declarations})
		if err != nil {
			t.Fatalf("%s: %v", partition, err)
		}
		if err := check(partition, files); err != nil {
			t.Fatalf("%s: %v", partition, err)
		}
	}
	if count != 877 {
		t.Errorf("%d partitions, want 877", count)
	}
}

// check holds for any topology, whatever the templates say.
func check(t topology.Topology, files map[string][]byte) error {
	apps := slices.Clone(t.Apps())
	if !slices.Contains(apps, t.Gateway()) {
		apps = append(apps, t.Gateway())
	}
	slices.Sort(apps)

	var run runFile
	if err := yaml.Unmarshal(files["dapr/any.yaml"], &run); err != nil {
		return err
	}
	if run.Common.APIListenAddresses != "127.0.0.1" || run.Common.PlacementHostAddress != "127.0.0.1:8093" || run.Common.SchedulerHostAddress != "127.0.0.1:8096" {
		return fmt.Errorf("common is %+v", run.Common)
	}
	if parsed, err := topology.Parse(run.Common.Env["TANDEM_TOPOLOGY"]); err != nil || parsed != t {
		return fmt.Errorf("TANDEM_TOPOLOGY=%s: %w", run.Common.Env["TANDEM_TOPOLOGY"], err)
	}

	ports := map[int]string{}
	claim := func(port int, by string) error {
		if other, taken := ports[port]; taken || port < 1024 || port >= 32768 {
			return fmt.Errorf("port %d of %s is out of range or that of %q", port, by, other)
		}
		ports[port] = by
		return nil
	}
	devstack := render.DevstackPorts(0)
	for port := devstack.SMTP; port <= devstack.PlacementRaft; port++ {
		if err := claim(port, "devstack"); err != nil {
			return err
		}
	}
	hosts, gateways := map[topology.Group]string{}, 0
	started := map[string]int{}
	for i, app := range run.Apps {
		for _, port := range []int{app.AppPort, app.HTTP, app.GRPC, app.InternalGRPC, app.Metrics} {
			if err := claim(port, app.AppID); err != nil {
				return err
			}
		}
		started[app.AppID] = i
		if i == 0 {
			if app.AppID != topology.DevstackApp || app.AppPort != devstack.HTTP || app.PlacementHostAddress == nil || *app.PlacementHostAddress != "" || len(app.ResourcesPaths) != 1 {
				return fmt.Errorf("first app is %+v", app)
			}
			continue
		}
		if !slices.Contains(apps, app.AppID) {
			return fmt.Errorf("app-id %s is not in the topology", app.AppID)
		}
		hosted, err := topology.ParseGroups(app.Env["TANDEM_GROUPS"])
		if err != nil {
			return err
		}
		for _, g := range hosted {
			if hosts[g] != "" {
				return fmt.Errorf("%s is hosted by %s and %s", g, hosts[g], app.AppID)
			}
			hosts[g] = app.AppID
		}
		if app.Env["TANDEM_GATEWAY"] == "true" {
			gateways++
			if app.AppPort != topology.GatewayPort {
				return fmt.Errorf("the gateway listens on %d", app.AppPort)
			}
		}
	}
	if gateways != 1 || len(run.Apps) != len(apps)+1 {
		return fmt.Errorf("%d gateways, %d apps", gateways, len(run.Apps))
	}
	for _, g := range topology.Groups() {
		if home, err := t.Home(g); err != nil || hosts[g] != home {
			return fmt.Errorf("%s is hosted by %q, its home is %s", g, hosts[g], home)
		}
	}
	for _, d := range declarations {
		for _, callee := range d.Calls {
			if hosts[callee] == "" {
				return fmt.Errorf("%s calls %s, which has no home", d.Name, callee)
			}
		}
	}
	// Auth calls nobody, so nothing holds it back.
	if callsNobody := t.Hosted(hosts[topology.Auth]); len(callsNobody) == 1 && started[hosts[topology.Auth]] != 1 {
		return fmt.Errorf("auth starts as number %d", started[hosts[topology.Auth]])
	}

	for path, content := range files {
		if err := checkResource(t, apps, hosts, path, content); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := checkCompose(files["deploy/docker/any.yaml"], hosts, t.Gateway()); err != nil {
		return err
	}
	if err := checkKubernetes(files, apps, hosts); err != nil {
		return err
	}
	return checkPrometheus(files["deploy/prometheus/any.json"], apps, ports)
}

// checkKubernetes finds groups that have another home in the chart's values than in the run file, and app-ids without a
// Deployment in the overlay. What else is in these files is tested on a control plane, in test/deploy.
func checkKubernetes(files map[string][]byte, apps []string, hosts map[topology.Group]string) error {
	var values struct {
		Apps []struct {
			ID, Groups string
			Callers    []string
		}
	}
	if err := yaml.Unmarshal(files["deploy/helm/values/any.yaml"], &values); err != nil {
		return err
	}
	hosted := map[topology.Group]string{}
	for _, a := range values.Apps {
		groups, err := topology.ParseGroups(a.Groups)
		if err != nil {
			return err
		}
		for _, g := range groups {
			hosted[g] = a.ID
		}
		if !slices.Contains(a.Callers, a.ID) {
			return fmt.Errorf("the replicas of %s cannot reach each other", a.ID)
		}
		if !strings.Contains(string(files["deploy/kubernetes/overlays/any/kustomization.yaml"]), "app-"+a.ID+".yaml") ||
			!strings.Contains(string(files["deploy/kubernetes/overlays/any/app-"+a.ID+".yaml"]), "kind: Deployment\nmetadata:\n  name: "+a.ID+"\n") {
			return fmt.Errorf("the overlay has no Deployment of %s", a.ID)
		}
	}
	if len(values.Apps) != len(apps) || !maps.Equal(hosted, hosts) {
		return fmt.Errorf("the values have %v, the run file %v", hosted, hosts)
	}
	return nil
}

// checkCompose finds groups that other services have in the compose file than in the run file.
func checkCompose(content []byte, hosts map[topology.Group]string, gateway string) error {
	var file struct {
		Services map[string]struct{ Environment map[string]string }
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return err
	}
	hosted := map[topology.Group]string{}
	for name, service := range file.Services {
		groups, err := topology.ParseGroups(service.Environment["TANDEM_GROUPS"])
		if err != nil {
			return err
		}
		for _, g := range groups {
			hosted[g] += name
		}
		if (service.Environment["TANDEM_GATEWAY"] == "true") != (name == gateway) {
			return fmt.Errorf("the gateway is %s, not %s", name, gateway)
		}
	}
	if !maps.Equal(hosted, hosts) {
		return fmt.Errorf("the compose file has %v, the run file %v", hosted, hosts)
	}
	return nil
}

// scopes are the groups that load each component; those of one consumer come from its name.
var scopes = map[string][]topology.Group{
	"state":   topology.Groups(),
	"secrets": topology.Groups(),
	"events":  topology.Groups(),
	"mail":    {topology.Auth, topology.AgentKit, topology.Analytics, topology.Onboarding},
	"sms":     {topology.Auth},
	"events-analytics-integrations-records-changed": {topology.Analytics},
}

var parsedResources = map[string]resource{}

func checkResource(t topology.Topology, apps []string, hosts map[topology.Group]string, path string, content []byte) error {
	if !strings.HasSuffix(path, ".yaml") || strings.Count(path, "/") == 1 || path == "deploy/docker/any.yaml" {
		return nil
	}
	if !strings.HasPrefix(string(content), "# Generated by `platform render`") {
		return errors.New("does not say that it is generated")
	}
	if strings.HasPrefix(path, "deploy/helm/") || strings.HasPrefix(path, "deploy/kubernetes/") || strings.HasSuffix(path, "/kustomization.yaml") {
		return nil // see checkKubernetes
	}
	if strings.Contains(string(content), "${") {
		return errors.New("has a value left open")
	}
	// The same bytes come again and again among the partitions.
	r, parsed := parsedResources[string(content)]
	if !parsed {
		if err := yaml.Unmarshal(content, &r); err != nil {
			return err
		}
		parsedResources[string(content)] = r
	}
	switch r.Kind {
	case "Component":
		groups, known := scopes[r.Metadata.Name]
		if !known {
			return fmt.Errorf("component %s is not expected", r.Metadata.Name)
		}
		var want []string
		for _, g := range groups {
			want = append(want, hosts[g])
		}
		slices.Sort(want)
		if want = slices.Compact(want); !slices.Equal(r.Scopes, want) {
			return fmt.Errorf("scopes are %v, the groups live in %v", r.Scopes, want)
		}
		if r.Metadata.Name == "state" && r.value("keyPrefix") != "none" {
			return errors.New("keys would carry the app-id")
		}
		if strings.HasPrefix(r.Metadata.Name, "events-") {
			id := strings.TrimPrefix(r.Metadata.Name, "events-")
			if r.value("durableName") != id || r.value("queueGroupName") != id || r.value("concurrency") != "single" {
				return fmt.Errorf("consumer %q of queue group %q", r.value("durableName"), r.value("queueGroupName"))
			}
		}
	case "Resiliency":
		const outside = "endpoint-api-stripe-com"
		want := slices.Sorted(slices.Values(append(slices.Clone(apps), outside)))
		if got := slices.Sorted(maps.Keys(r.Spec.Targets.Apps)); !slices.Equal(got, want) {
			return fmt.Errorf("targets are %v, want %v", got, want)
		}
		for app, policy := range r.Spec.Targets.Apps {
			if app == outside {
				if policy["timeout"] != "outside" || len(policy) != 1 {
					return fmt.Errorf("calls outside have the policy %v", policy)
				}
				continue
			}
			if len(policy) != 0 {
				return fmt.Errorf("calls to %s have the policy %v", app, policy)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(r.Spec.Targets.Components)) {
			if _, known := scopes[name]; !known {
				return fmt.Errorf("target %s is no component", name)
			}
		}
	case "HTTPEndpoint":
		if want := []string{hosts[topology.Integrations]}; r.Metadata.Name != "endpoint-api-stripe-com" || !slices.Equal(r.Scopes, want) {
			return fmt.Errorf("endpoint %s has the scopes %v, want %v", r.Metadata.Name, r.Scopes, want)
		}
		if r.Spec.BaseURL != "https://api.stripe.com" && !strings.HasSuffix(r.Spec.BaseURL, "/vendors/api.stripe.com") {
			return fmt.Errorf("the base URL is %s", r.Spec.BaseURL)
		}
	case "Configuration":
		if !strings.HasPrefix(path, "deploy/dapr/") {
			return nil
		}
		return checkAccess(t, r)
	case "":
		if path != "dapr/devstack/resources/none.yaml" {
			return errors.New("is no resource")
		}
	default:
		return fmt.Errorf("kind %s is not expected", r.Kind)
	}
	return nil
}

func checkAccess(t topology.Topology, r resource) error {
	callee := r.Metadata.Name
	if r.Spec.AccessControl.DefaultAction != "deny" {
		return fmt.Errorf("default is %q", r.Spec.AccessControl.DefaultAction)
	}
	got := map[string][]string{}
	for _, policy := range r.Spec.AccessControl.Policies {
		if policy.DefaultAction != "deny" || policy.Namespace != "tandem" {
			return fmt.Errorf("policy of %s: %+v", policy.AppID, policy)
		}
		for _, op := range policy.Operations {
			got[policy.AppID] = append(got[policy.AppID], op.Name)
		}
	}
	want := map[string][]string{}
	for _, d := range declarations {
		from, err := t.Home(d.Name)
		if err != nil {
			return err
		}
		for _, to := range d.Calls {
			if home, err := t.Home(to); err != nil || home != callee || from == callee {
				continue
			}
			if path := "/api/" + string(to) + "/**"; !slices.Contains(want[from], path) {
				want[from] = append(want[from], path)
			}
		}
	}
	// Everyone reads auth's public keys, also without calling it otherwise.
	if auth, err := t.Home(topology.Auth); err != nil || auth == callee {
		for _, id := range t.Apps() {
			if id != callee && !slices.Contains(want[id], "/api/auth/**") {
				want[id] = append(want[id], "/api/auth/jwks", "/api/auth/revocations")
			}
		}
	}
	if gateway := t.Gateway(); gateway != callee && len(t.Hosted(callee)) > 0 {
		want[gateway] = []string{"/api/**"}
	}
	for id := range want {
		slices.Sort(want[id])
		slices.Sort(got[id])
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		return fmt.Errorf("callers are %v, want %v", got, want)
	}
	return nil
}

func checkPrometheus(content []byte, apps []string, ports map[int]string) error {
	var groups []struct {
		Targets []string
		Labels  map[string]string
	}
	if err := json.Unmarshal(content, &groups); err != nil {
		return err
	}
	if len(groups) != 2*len(apps) {
		return fmt.Errorf("%d targets for %d apps", len(groups), len(apps))
	}
	for _, g := range groups {
		_, text, err := net.SplitHostPort(g.Targets[0])
		if err != nil {
			return err
		}
		if port, err := strconv.Atoi(text); err != nil || ports[port] != g.Labels["app_id"] {
			return fmt.Errorf("target %v is not %s", g.Targets, g.Labels["app_id"])
		}
	}
	return nil
}

func TestPortOffsetAndPathsReachEveryFile(t *testing.T) {
	hybrid, err := topology.Named(topology.Hybrid)
	if err != nil {
		t.Fatal(err)
	}
	options := render.Options{Name: "hybrid", Groups: declarations, PortOffset: 4000, DataDir: "/elsewhere/data", BinDir: "/elsewhere/bin",
		Env: map[string]string{"TANDEM_CALLS": "direct"}}
	files, err := render.Files(hybrid, options)
	if err != nil {
		t.Fatal(err)
	}
	fixed := regexp.MustCompile(`(?m)(\b80(0\d|9\d)\b|\b1[3-6]5(0\d|90)\b|\.tandem|\./bin)`)
	for path, content := range files {
		if strings.HasPrefix(path, "deploy/") && !strings.HasPrefix(path, "deploy/prometheus/") {
			continue // containers have networks of their own
		}
		if found := fixed.FindString(string(content)); found != "" {
			t.Errorf("%s still has %s", path, found)
		}
	}
	run := string(files["dapr/hybrid.yaml"])
	for _, want := range []string{"appPort: 12004", `"/elsewhere/bin/platform"`, `TANDEM_DATA: "/elsewhere/data/data"`, `TANDEM_CALLS: "direct"`} {
		if !strings.Contains(run, want) {
			t.Errorf("the run file has no %s", want)
		}
	}
	again, err := render.Files(hybrid, options)
	if err != nil || !maps.EqualFunc(files, again, bytes.Equal) {
		t.Errorf("a second rendering differs, %v", err)
	}
}

// What apps and sidecars record must agree: a trace has holes otherwise.
func TestTheTraceRatioReachesAppsAndSidecars(t *testing.T) {
	hybrid, err := topology.Named(topology.Hybrid)
	if err != nil {
		t.Fatal(err)
	}
	files, err := render.Files(hybrid, render.Options{Name: "sampled", TraceRatio: 0.05, Groups: declarations})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]int{ // the hybrid has three apps
		"dapr/sampled.yaml": 3, "dapr/sampled/configuration.yaml": 1,
		"deploy/docker/sampled.yaml": 3, "deploy/docker/sampled/configuration.yaml": 1,
		"deploy/dapr/sampled/configuration-insights.yaml": 1, "deploy/kubernetes/overlays/sampled/app-insights.yaml": 1,
	} {
		if n := strings.Count(string(files[file]), "0.05"); n != want {
			t.Errorf("%s names the ratio %d times, want %d", file, n, want)
		}
	}
}

func TestEveryProductionComponentRenders(t *testing.T) {
	monolith, err := topology.Named(topology.Monolith)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := components.Production.ReadDir("production")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".yaml")
		files, err := render.Files(monolith, render.Options{Name: "any", Groups: declarations, Production: []string{name}})
		if err != nil {
			t.Fatal(err)
		}
		rendered := 0
		for path, content := range files {
			if !strings.HasPrefix(path, "deploy/dapr/any/components/") {
				continue
			}
			rendered++
			var r resource
			if err := yaml.Unmarshal(content, &r); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if _, known := scopes[r.Metadata.Name]; !known || !slices.Equal(r.Scopes, []string{"platform"}) {
				t.Errorf("%s: component %q with scopes %v", path, r.Metadata.Name, r.Scopes)
			}
			for _, m := range r.Spec.Metadata {
				if secret := regexp.MustCompile(`(?i)password|token$|connectionString|url`).MatchString(m.Name); secret && m.SecretKeyRef.Key == "" {
					t.Errorf("%s: %s does not come from a secret", path, m.Name)
				}
			}
		}
		if rendered != 1 {
			t.Errorf("%s: %d files", name, rendered)
		}
	}
}

func TestFilesRefuses(t *testing.T) {
	monolith, err := topology.Named(topology.Monolith)
	if err != nil {
		t.Fatal(err)
	}
	partial, err := topology.Parse("auth=platform")
	if err != nil {
		t.Fatal(err)
	}
	consuming := func(topics ...string) []render.Declaration {
		return append(slices.Clone(declarations[1:]), render.Declaration{Name: topology.Auth, Consumes: topics})
	}
	tests := []struct {
		name     string
		topology topology.Topology
		options  render.Options
		want     string
	}{
		{"name", monolith, render.Options{Name: "../up", Groups: declarations}, "not a word"},
		{"topology", partial, render.Options{Name: "any", Groups: declarations}, "group ml"},
		{"offset up", monolith, render.Options{Name: "any", PortOffset: 17000, Groups: declarations}, "port offset 17000"},
		{"offset down", monolith, render.Options{Name: "any", PortOffset: -7500, Groups: declarations}, "port offset -7500"},
		{"declaration missing", monolith, render.Options{Name: "any", Groups: declarations[1:]}, "group auth is not declared"},
		{"declaration twice", monolith, render.Options{Name: "any", Groups: append(slices.Clone(declarations), declarations[0])}, "auth is declared twice"},
		{"unknown callee", monolith, render.Options{Name: "any", Groups: append(slices.Clone(declarations[1:]),
			render.Declaration{Name: topology.Auth, Calls: []topology.Group{"billing"}})}, `auth calls billing`},
		{"topic", monolith, render.Options{Name: "any", Groups: consuming("tandem.>")}, `auth consumes "tandem.>"`},
		{"topic twice", monolith, render.Options{Name: "any", Groups: consuming("ml.done", "ml.done")}, `"ml.done" twice`},
		{"trace ratio", monolith, render.Options{Name: "any", TraceRatio: 1.5, Groups: declarations}, "trace ratio 1.5"},
		{"source", monolith, render.Options{Name: "any", Groups: declarations, Production: []string{"state-paper"}}, "production/state-paper.yaml"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := render.Files(test.topology, test.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestCheckAndWrite(t *testing.T) {
	folder := t.TempDir()
	monolith, err := topology.Named(topology.Monolith)
	if err != nil {
		t.Fatal(err)
	}
	files, err := render.Files(monolith, render.Options{Name: "monolith", Groups: declarations})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(parts ...string) {
		t.Helper()
		err := render.Check(folder, files)
		if len(parts) == 0 && err != nil {
			t.Errorf("Check: %v", err)
		}
		for _, part := range parts {
			if !errors.Is(err, render.ErrStale) || !strings.Contains(err.Error(), part) {
				t.Errorf("Check: %v, want %q", err, part)
			}
		}
	}
	put := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect("dapr/monolith.yaml is missing")
	if err := render.Write(folder, files); err != nil {
		t.Fatal(err)
	}
	expect()
	put("dapr/monolith.yaml", "version: 1\n")
	put("dapr/monolith/resources/events-old.yaml", "kind: Component\n")
	put("dapr/mine.yaml", "version: 1\n")
	expect("dapr/monolith.yaml differs", "dapr/monolith/resources/events-old.yaml is rendered by nothing")
	if err := render.Write(folder, files); err != nil {
		t.Fatal(err)
	}
	expect()
	if _, err := os.Stat(filepath.Join(folder, "dapr/mine.yaml")); err != nil {
		t.Errorf("another topology's run file: %v", err)
	}
}
