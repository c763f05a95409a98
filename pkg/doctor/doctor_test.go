package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const consumed = "integrations.records.changed"

func specs() []group.Spec {
	var all []group.Spec
	for _, g := range topology.Groups() {
		s := group.Spec{Name: g}
		switch g {
		case topology.Integrations:
			s.Calls = []topology.Group{topology.Auth}
		case topology.Analytics:
			s.Calls, s.Consumes = []topology.Group{topology.Auth, topology.Integrations}, []string{consumed}
		}
		all = append(all, s)
	}
	return all
}

// patient is a repository with a rendered topology, on a machine where all is well; each test spoils one thing.
type patient struct {
	*testing.T
	Options
	missing  []string // programs
	versions map[string]string
	taken    map[int]string // port → who listens, "" when unknown
	free     uint64
	answers  map[string]func(*http.Request) *http.Response // host:port/path
}

func newPatient(t *testing.T, name string) *patient {
	t.Helper()
	homes, err := topology.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	o := render.Options{Name: name}
	for _, s := range specs() {
		o.Groups = append(o.Groups, render.Declaration{Name: s.Name, Calls: s.Calls, Consumes: s.Topics(), Hosts: s.Hosts})
	}
	files, err := render.Files(homes, o)
	if err != nil {
		t.Fatal(err)
	}
	files["dapr/runtime/go.mod"] = []byte("require (\n\tgithub.com/dapr/dapr v1.18.1\n)\n")
	files["dapr/cli/go.mod"] = []byte("require github.com/dapr/cli v1.16.5\n")
	root := t.TempDir()
	for path, content := range files {
		path = filepath.Join(root, filepath.FromSlash(path))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	p := &patient{T: t, free: 50 << 30, taken: map[int]string{}, versions: map[string]string{"daprd": "1.18.1", "dapr": "CLI version: 1.16.5 \nRuntime version: n/a"}, answers: map[string]func(*http.Request) *http.Response{}}
	p.Options = Options{
		Root: root, RunFile: filepath.Join(root, "dapr", name+".yaml"), Groups: specs(),
		Environ: []string{"APP_API_TOKEN=a-secret", "DAPR_API_TOKEN=b-secret", "DAPR_HOST_IP=127.0.0.1", "HOME=/home/somebody"},
		HTTP:    &http.Client{Transport: p}, NewID: func() string { return "id" },
		Now: func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) },
		Machine: Machine{
			Taken:  func(port int) bool { _, taken := p.taken[port]; return taken },
			Holder: func(port int) (Process, bool) { who := p.taken[port]; return Process{42, who}, who != "" },
			Free:   func(string) (uint64, error) { return p.free, nil },
			Executable: func(program string) (string, error) {
				if slices.Contains(p.missing, filepath.Base(program)) {
					return "", os.ErrNotExist
				}
				return program, nil
			},
			Version: func(_ context.Context, program string) (string, error) {
				return p.versions[filepath.Base(program)], nil
			},
		},
	}
	return p
}

// RoundTrip is the network.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if answer := p.answers[r.URL.Host+r.URL.EscapedPath()]; answer != nil {
		return answer(r), nil
	}
	if _, sidecar := p.answers[r.URL.Host+"/v1.0/metadata"]; sidecar {
		return respond(http.StatusNotFound, ""), nil
	}
	return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
}

func respond(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// edit replaces text in a file of the repository, which must have it.
func (p *patient) edit(path, old, replacement string) {
	p.Helper()
	path = filepath.Join(p.Root, path)
	content, err := os.ReadFile(path)
	if err != nil {
		p.Fatal(err)
	}
	if !bytes.Contains(content, []byte(old)) {
		p.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(content, []byte(old), []byte(replacement)), 0o600); err != nil {
		p.Fatal(err)
	}
}

func (p *patient) set(entry string) { p.Environ = append(p.Environ, entry) }

// expect looks for one finding whose text has all words.
func (p *patient) expect(severity Severity, words ...string) {
	p.Helper()
	all := Examine(p.Context(), p.Options)
	for _, f := range all {
		if f.Severity == severity && !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(f.What+f.Why+f.Fix, word) }) {
			if f.What == "" || f.Why == "" || f.Fix == "" {
				p.Errorf("incomplete: %+v", f)
			}
			return
		}
	}
	p.Errorf("no %s about %q in:\n%s", severity, words, printed(p.T, all))
}

func printed(t *testing.T, all []Finding) string {
	t.Helper()
	var text strings.Builder
	if err := Print(&text, all); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestNothingIsFoundWhereAllIsWell(t *testing.T) {
	for _, name := range topology.Names() {
		for _, installed := range []bool{false, true} {
			p := newPatient(t, name)
			p.Installed = installed
			if said := printed(t, Examine(t.Context(), p.Options)); said != "nothing found\n" {
				t.Errorf("%s, installed %t: %s", name, installed, said)
			}
		}
	}
}

const (
	hybridState    = "dapr/hybrid/resources/state.yaml"
	hybridConsumer = "dapr/hybrid/resources/events-analytics-integrations-records-changed.yaml"
	hybridRun      = "dapr/hybrid.yaml"
)

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil    func(*patient)
		severity Severity
		words    []string
	}{
		"run file is missing":          {func(p *patient) { p.RunFile = "nowhere.yaml" }, Error, []string{"nowhere.yaml"}},
		"run file is no YAML":          {func(p *patient) { p.edit(hybridRun, "apps:", "apps: {") }, Error, []string{"read the run file"}},
		"resource is no YAML":          {func(p *patient) { p.edit(hybridState, "spec:", "spec: {") }, Error, []string{"state.yaml"}},
		"resource folder is missing":   {func(p *patient) { p.edit(hybridRun, "hybrid/resources", "hybrid/gone") }, Error, []string{"hybrid/gone"}},
		"configuration is missing":     {func(p *patient) { p.edit(hybridRun, "hybrid/configuration.yaml", "hybrid/gone.yaml") }, Error, []string{"hybrid/gone.yaml"}},
		"files have drifted":           {func(p *patient) { p.edit(hybridRun, "logLevel: warn", "logLevel: debug") }, Warning, []string{"hybrid.yaml", "platform render"}},
		"configuration does not parse": {func(p *patient) { p.set("TANDEM_RATE_BURST=many") }, Error, []string{"RateBurst"}},
		"calls are neither":            {func(p *patient) { p.edit(hybridRun, `TANDEM_CALLS: "dapr"`, `TANDEM_CALLS: "pigeon"`) }, Error, []string{"TANDEM_CALLS", "pigeon"}},
		"unknown group":                {func(p *patient) { p.edit(hybridRun, `TANDEM_GROUPS: "integrations"`, `TANDEM_GROUPS: "integration"`) }, Error, []string{"TANDEM_GROUPS", `"integration"`}},
		"topology does not parse":      {func(p *patient) { p.edit(hybridRun, "ml=insights,*=platform\"", "mll=insights\"") }, Error, []string{"TANDEM_TOPOLOGY", "mll"}},
		"callee without a home": {func(p *patient) {
			p.edit(hybridRun, "*=platform\"", "agentkit=platform,onboarding=platform,infrastructure=platform\"")
		}, Error, []string{"analytics calls auth", "no home"}},
		"home is no app":                 {func(p *patient) { p.edit(hybridRun, "analytics=insights,ml=insights", "analytics=figures,ml=insights") }, Error, []string{"figures is the home of analytics"}},
		"home does not host":             {func(p *patient) { p.edit(hybridRun, `"analytics,ml"`, `"ml"`) }, Error, []string{"insights is the home of analytics"}},
		"host is not the home":           {func(p *patient) { p.edit(hybridRun, `"analytics,ml"`, `"auth,analytics,ml"`) }, Warning, []string{"insights hosts auth", "platform"}},
		"no gateway":                     {func(p *patient) { p.edit(hybridRun, "TANDEM_GATEWAY: \"true\"", "TANDEM_GATEWAY: \"false\"") }, Warning, []string{"TANDEM_GATEWAY"}},
		"no app token":                   {func(p *patient) { p.set("APP_API_TOKEN=") }, Warning, []string{"APP_API_TOKEN is not set"}},
		"no metrics token in production": {func(p *patient) { p.edit(hybridRun, `"development"`, `"production"`) }, Error, []string{"TANDEM_METRICS_TOKEN is not set"}},
		"no app token in production":     {func(p *patient) { p.set("APP_API_TOKEN="); p.edit(hybridRun, `"development"`, `"production"`) }, Error, []string{"APP_API_TOKEN is not set"}},
		"no sidecar token":               {func(p *patient) { p.set("DAPR_API_TOKEN=") }, Warning, []string{"DAPR_API_TOKEN is not set"}},
		"token in the run file":          {func(p *patient) { p.edit(hybridRun, "TANDEM_CALLS:", "DAPR_API_TOKEN: \"x\"\n    TANDEM_CALLS:") }, Error, []string{"DAPR_API_TOKEN is in the run file"}},
		"orphaned scope":                 {func(p *patient) { p.edit(hybridConsumer, "[insights]", "[insights, analytics]") }, Error, []string{"app-id analytics", "orphaned"}},
		"no scopes":                      {func(p *patient) { p.edit(hybridConsumer, "scopes: [insights]", "") }, Warning, []string{"has no scopes"}},
		"component for others only":      {func(p *patient) { p.edit(hybridState, "scopes: [insights, ", "scopes: [") }, Error, []string{"insights loads no component state"}},
		"key prefix":                     {func(p *patient) { p.edit(hybridState, "value: none", "value: appid") }, Error, []string{"keyPrefix", `"appid"`}},
		"no key prefix":                  {func(p *patient) { p.edit(hybridState, "name: keyPrefix", "name: other") }, Error, []string{"keyPrefix", `""`}},
		"durable name": {func(p *patient) {
			p.edit(hybridConsumer, "name: durableName\n      value: \"analytics-", "name: durableName\n      value: \"insights-")
		}, Error, []string{"durableName", "insights-integrations"}},
		"queue group": {func(p *patient) { p.edit(hybridConsumer, "name: queueGroupName", "name: other") }, Error, []string{"queueGroupName"}},
		"consumer of a broker that defaults to the app-id": {func(p *patient) { p.edit(hybridConsumer, "pubsub.jetstream", "pubsub.redis") }, Error, []string{"consumerID"}},
		"consumed without a component":                     {func(p *patient) { p.Groups[0].Consumes = []string{"ml.model.trained"} }, Error, []string{"platform, which hosts auth", "events-auth-ml-model-trained"}},
		"component without a consumer":                     {func(p *patient) { p.Groups[3].Consumes = nil }, Warning, []string{"no group consumes", "events-analytics-integrations-records-changed"}},
		"shared consumer": {func(p *patient) {
			p.edit("dapr/hybrid/resources/events.yaml", "    - name: streamName", "    - name: durableName\n      value: analytics-integrations-records-changed\n    - name: streamName")
		}, Error, []string{"have the same durableName"}},
		"type that daprd lacks":       {func(p *patient) { p.edit(hybridState, "state.sqlite", "state.etcd") }, Error, []string{"state.etcd"}},
		"resolver that daprd lacks":   {func(p *patient) { p.edit("dapr/hybrid/configuration.yaml", "component: sqlite", "component: consul") }, Error, []string{"consul"}},
		"multicast":                   {func(p *patient) { p.edit("dapr/hybrid/configuration.yaml", "component: sqlite", "component: mdns") }, Warning, []string{"mdns", "VPN"}},
		"multicast by default":        {func(p *patient) { p.edit("dapr/hybrid/configuration.yaml", "nameResolution:", "other:") }, Warning, []string{"mdns"}},
		"no host address":             {func(p *patient) { p.Environ = p.Environ[:2] }, Warning, []string{"DAPR_HOST_IP is not set"}},
		"host address of a network":   {func(p *patient) { p.set("DAPR_HOST_IP=192.0.2.7") }, Error, []string{"192.0.2.7"}},
		"API open to the network":     {func(p *patient) { p.edit(hybridRun, "  apiListenAddresses: 127.0.0.1\n", "") }, Warning, []string{"loopback", "apiListenAddresses"}},
		"ephemeral port":              {func(p *patient) { p.edit(hybridRun, "13502", "43502") }, Warning, []string{"43502", "integrations, sidecar HTTP"}},
		"port without a number":       {func(p *patient) { p.edit(hybridRun, "    daprInternalGRPCPort: 15502\n", "") }, Warning, []string{"integrations, sidecar internal gRPC"}},
		"two on one port":             {func(p *patient) { p.edit(hybridRun, "13502", "8093") }, Error, []string{"8093", "devstack, placement", "integrations, sidecar HTTP"}},
		"port taken":                  {func(p *patient) { p.taken[8002] = "/usr/bin/python3" }, Error, []string{"8002", "python3 (process 42)"}},
		"port taken by somebody":      {func(p *patient) { p.taken[8002] = "" }, Error, []string{"port 8002 (integrations, app) is taken"}},
		"port taken by a leftover":    {func(p *patient) { p.taken[8002] = filepath.Join(p.Root, "bin", "platform") }, Error, []string{"8002", "make stop"}},
		"port of a kept devstack":     {func(p *patient) { p.taken[8090] = filepath.Join(p.Root, "bin", "devstack") }, Warning, []string{"8090", "make down"}},
		"program missing":             {func(p *patient) { p.missing = []string{"platform"} }, Error, []string{"bin/platform", "make build"}},
		"daprd missing":               {func(p *patient) { p.missing = []string{"daprd"} }, Error, []string{".dapr/bin/daprd", "make build"}},
		"installed CLI missing":       {func(p *patient) { p.Installed = true; p.missing = []string{"dapr"} }, Error, []string{"dapr is missing", "install Dapr"}},
		"daprd older than pinned":     {func(p *patient) { p.versions["daprd"] = "1.18.0" }, Warning, []string{"1.18.0", "1.18.1"}},
		"CLI older than pinned":       {func(p *patient) { p.versions["dapr"] = "CLI version: 1.15.0" }, Warning, []string{"1.15.0", "1.16.5"}},
		"installed runtime too old":   {func(p *patient) { p.Installed = true; p.versions["daprd"] = "1.16.5" }, Error, []string{"1.16.5", "stream"}},
		"runtime of no version":       {func(p *patient) { p.versions["daprd"] = "edge" }, Warning, []string{"Dapr runtime has no version"}},
		"data folder is a file":       {func(p *patient) { p.write(".tandem", 0o600) }, Error, []string{"cannot be written"}},
		"disk nearly full":            {func(p *patient) { p.free = 500 << 20 }, Warning, []string{"500 MiB"}},
		"disk full":                   {func(p *patient) { p.free = 5 << 20 }, Error, []string{"5 MiB"}},
		"MongoDB URL":                 {func(p *patient) { p.set("MONGO_URL=mongodb//root:c-secret@h") }, Error, []string{"MONGO_URL is not"}},
		"a comma in the path":         {func(p *patient) { p.edit(hybridRun, "configFilePath: hybrid/", "configFilePath: hy,brid/") }, Error, []string{"comma", "hy,brid"}},
		"documents of newer code":     {func(p *patient) { p.newer(2) }, Error, []string{"documents of analytics", "rollups is at version 2", "knows version 1", "platform restore"}},
		"secrets read by others":      {func(p *patient) { p.write(".tandem/secrets.json", 0o644) }, Error, []string{"secrets.json", "0644", "chmod 600"}},
		"laptop's keys in production": {func(p *patient) { p.edit(hybridRun, `"development"`, `"production"`) }, Error, []string{"component secrets", "TANDEM_ENV is production"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, topology.Hybrid)
			c.spoil(p)
			p.T = t
			p.expect(c.severity, c.words...)
			if said := printed(t, Examine(t.Context(), p.Options)); strings.Contains(said, "-secret") {
				t.Errorf("a secret is printed:\n%s", said)
			}
		})
	}
}

// newer stores a collection of analytics at a version.
func (p *patient) newer(version int) {
	folder := filepath.Join(p.Root, ".tandem", "data")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		p.Fatal(err)
	}
	db, err := store.OpenSQLite(p.Context(), filepath.Join(folder, "analytics.db"))
	if err == nil {
		_, err = store.System[map[string]any](p.Context(), db, store.Def{Name: "rollups", Migrations: make([]store.Migration, version)})
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		p.Fatal(err)
	}
	p.Groups = slices.Clone(p.Groups)
	for i, s := range p.Groups {
		if s.Name == topology.Analytics {
			p.Groups[i].Migrated = map[string]int{"rollups": 1}
		}
	}
}

// What the program knows is no finding, nor is a database of before there were versions.
func TestDataOfAKnownVersion(t *testing.T) {
	p := newPatient(t, topology.Hybrid)
	p.newer(1)
	for _, f := range Examine(t.Context(), p.Options) {
		if f.Severity == Error {
			t.Errorf("%+v", f)
		}
	}
}

func (p *patient) write(path string, mode os.FileMode) {
	path = filepath.Join(p.Root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("{}"), mode), os.Chmod(path, mode)); err != nil {
		p.Fatal(err)
	}
}

func TestMongoDBThatDoesNotAnswerIsNamedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	p := newPatient(t, topology.Monolith)
	p.set("MONGO_URL=mongodb://root:c-secret@" + address + "/?serverSelectionTimeoutMS=100")
	p.expect(Error, "MongoDB at "+address, "does not answer")
	if said := printed(t, Examine(t.Context(), p.Options)); strings.Contains(said, "c-secret") {
		t.Errorf("a secret is printed:\n%s", said)
	}
}

// run makes every sidecar and app of the run file answer, and everything listen.
func (p *patient) run() {
	p.Helper()
	e := read(p.Context(), p.Options)
	for _, l := range e.listeners() {
		p.taken[l.port] = filepath.Join(p.Root, "bin", "platform")
	}
	stored := map[string]string{}
	for _, a := range e.Apps {
		s := map[string]any{"id": a.ID, "runtimeVersion": "1.18.1"}
		var names, subscribed []map[string]string
		for _, c := range e.Components {
			if c.LoadedBy(a) {
				names = append(names, map[string]string{"name": c.Name})
			}
		}
		for _, g := range e.Groups {
			if !slices.Contains(a.Hosts, g.Name) {
				continue
			}
			for _, topic := range g.Topics() {
				subscribed = append(subscribed, map[string]string{"pubsubname": events.Component(g.Name, topic), "topic": "tandem." + topic})
			}
		}
		s["components"], s["subscriptions"] = names, subscribed
		sidecar := fmt.Sprintf("127.0.0.1:%d", a.HTTPPort)
		p.answer(sidecar+"/v1.0/metadata", s)
		p.answers[sidecar+"/v1.0/state/state"] = func(r *http.Request) *http.Response {
			var items []struct{ Key, Value string }
			if err := json.NewDecoder(r.Body).Decode(&items); err != nil {
				p.Error(err)
			}
			stored[items[0].Key] = items[0].Value
			return respond(http.StatusNoContent, "")
		}
		p.answers[sidecar+"/v1.0/state/state/infrastructure%2Fdoctor%2Fid"] = func(r *http.Request) *http.Response {
			if r.Method == http.MethodDelete {
				delete(stored, "infrastructure/doctor/id")
				return respond(http.StatusNoContent, "")
			}
			return respond(http.StatusOK, fmt.Sprintf("%q", stored["infrastructure/doctor/id"]))
		}
		p.ready(a.AppPort, `{"ready":true,"checks":{"sidecar":"ok"}}`, p.Now())
	}
	p.Cleanup(func() {
		if len(stored) > 0 {
			p.Errorf("left in state: %v", stored)
		}
	})
}

func (p *patient) answer(url string, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		p.Fatal(err)
	}
	p.answers[url] = func(r *http.Request) *http.Response {
		if r.Header.Get(tokenHeader) != "b-secret" {
			return respond(http.StatusUnauthorized, "")
		}
		return respond(http.StatusOK, string(body))
	}
}

func (p *patient) ready(port int, body string, at time.Time) {
	p.answers[fmt.Sprintf("127.0.0.1:%d/readyz", port)] = func(r *http.Request) *http.Response {
		if r.Header.Get(tokenHeader) != "" {
			p.Error("an app was sent the sidecar's token")
		}
		answer := respond(http.StatusOK, body)
		answer.Header.Set("Date", at.UTC().Format(http.TimeFormat))
		return answer
	}
}

func TestNothingIsFoundInAHealthyRun(t *testing.T) {
	for _, name := range topology.Names() {
		p := newPatient(t, name)
		p.run()
		if said := printed(t, Examine(t.Context(), p.Options)); said != "nothing found\n" {
			t.Errorf("%s: %s", name, said)
		}
	}
}

func TestFindingsInARun(t *testing.T) {
	t.Parallel()
	const integrations, insights = "127.0.0.1:13502", "127.0.0.1:13504"
	for name, c := range map[string]struct {
		spoil    func(*patient)
		severity Severity
		words    []string
	}{
		"sidecar is gone":        {func(p *patient) { delete(p.answers, integrations+"/v1.0/metadata") }, Error, []string{"sidecar of integrations does not answer at port 13502"}},
		"sidecar of another run": {func(p *patient) { p.answer(integrations+"/v1.0/metadata", map[string]string{"id": "auth"}) }, Error, []string{"port 13502", "of auth, not of integrations"}},
		"sidecar is old": {func(p *patient) {
			p.answer(integrations+"/v1.0/metadata", map[string]string{"id": "integrations", "runtimeVersion": "1.15.2"})
		}, Error, []string{"sidecar of integrations is 1.15.2"}},
		"token of another run": {func(p *patient) { p.set("DAPR_API_TOKEN=other") }, Warning, []string{"another DAPR_API_TOKEN"}},
		"component not loaded": {func(p *patient) { p.answer(insights+"/v1.0/metadata", map[string]string{"id": "insights"}) }, Error, []string{"sidecar of insights has not loaded component state"}},
		"topic not subscribed": {func(p *patient) { p.answer(insights+"/v1.0/metadata", map[string]string{"id": "insights"}) }, Error, []string{"does not subscribe to tandem." + consumed}},
		"app is gone":          {func(p *patient) { delete(p.answers, "127.0.0.1:8002/readyz") }, Error, []string{"integrations does not answer at port 8002"}},
		"app is not ready": {func(p *patient) {
			p.ready(8002, `{"ready":false,"checks":{"sidecar":"ok","store integrations":"locked"}}`, p.Now())
		}, Error, []string{"integrations is not ready: store integrations: locked"}},
		"clock": {func(p *patient) { p.ready(8002, `{"ready":true}`, p.Now().Add(-9*time.Second)) }, Warning, []string{"clock of integrations", "9s"}},
		"state of one's own": {func(p *patient) {
			p.answers[insights+"/v1.0/state/state/infrastructure%2Fdoctor%2Fid"] = func(*http.Request) *http.Response { return respond(http.StatusNoContent, "") }
			p.answers[integrations+"/v1.0/state/state/infrastructure%2Fdoctor%2Fid"] = p.answers[insights+"/v1.0/state/state/infrastructure%2Fdoctor%2Fid"]
		}, Error, []string{"writes to state", "does not read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, topology.Hybrid)
			p.T = t
			p.run()
			c.spoil(p)
			p.expect(c.severity, c.words...)
		})
	}
}

func TestFindingsAreForPeopleAndMachines(t *testing.T) {
	all := []Finding{{Error, "w", "y", "<f>"}, {Warning, "w2", "y2", "f2"}}
	if got, want := printed(t, all), "error: w\n  why: y\n  fix: <f>\nwarning: w2\n  why: y2\n  fix: f2\n"; got != want {
		t.Errorf("printed %q", got)
	}
	var text bytes.Buffer
	if err := PrintJSON(&text, all); err != nil {
		t.Fatal(err)
	}
	var back []Finding
	if err := json.Unmarshal(text.Bytes(), &back); err != nil || !slices.Equal(back, all) {
		t.Errorf("JSON %s, %v", text.String(), err)
	}
	text.Reset()
	if err := PrintJSON(&text, nil); err != nil || text.String() != "[]\n" {
		t.Errorf("JSON of nothing: %q, %v", text.String(), err)
	}
	if n := Errors(all); n != 1 {
		t.Errorf("%d errors", n)
	}
}

func TestThisMachine(t *testing.T) {
	m := This()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if !m.Taken(port) {
		t.Error("a port that is listened on is not taken")
	}
	if p, known := m.Holder(port); !known || p.PID != os.Getpid() {
		t.Errorf("the holder is %v, %t and not this process", p, known)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if m.Taken(port) {
		t.Error("a free port is taken")
	}
	if n, err := m.Free(t.TempDir()); err != nil || n == 0 {
		t.Errorf("free space: %d, %v", n, err)
	}
}
