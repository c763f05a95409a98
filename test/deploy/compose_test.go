package deploy

import (
	"encoding/base64"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/system"
)

// project is a compose file, as programs/compose writes it.
type project struct {
	Name     string
	Services map[string]service
	Networks map[string]struct{ Internal bool }
	Volumes  map[string]any
	Secrets  map[string]struct{ Environment string }
}

type service struct {
	Image       string
	User        string
	Command     []string
	Environment map[string]string
	NetworkMode string                                `json:"network_mode"`
	DependsOn   map[string]struct{ Condition string } `json:"depends_on"`
	Healthcheck *struct{ Test []string }
	Networks    map[string]any
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	CapAdd      []string `json:"cap_add"`
	SecurityOpt []string `json:"security_opt"`
	Privileged  bool
	Pid, Ipc    string
	Restart     string
	Ports       []struct {
		HostIP    string `json:"host_ip"`
		Target    int
		Published string
	}
	Volumes []struct {
		Type, Source, Target string
		ReadOnly             bool `json:"read_only"`
	}
	Secrets []struct{ Source string }
}

// flag is the value of a flag --name=value of the service's command.
func (s service) flag(name string) string {
	for _, word := range s.Command {
		if value, found := strings.CutPrefix(word, "--"+name+"="); found {
			return value
		}
	}
	return ""
}

// settings are the variables of .env.example, each with a value by which it can be recognized. All have one.
func settings(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(string(read(t, "deploy/docker/.env.example"))) {
		if name, _, found := strings.Cut(line, "="); found && !strings.HasPrefix(line, "#") {
			values[name] = "the-" + strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		}
	}
	return values
}

// composed are the compose files of the shipped topologies, in the order of topology.Names, each with others of the folder laid over it.
func composed(t *testing.T, values map[string]string, over ...string) []project {
	t.Helper()
	c := exec.Command(program(t, "docker", "compose"))
	for _, name := range topology.Names() {
		var files []string
		for _, file := range append([]string{name + ".yaml"}, over...) {
			files = append(files, filepath.Join(system.Repository(), "deploy/docker", file))
		}
		c.Args = append(c.Args, strings.Join(files, ":"))
	}
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	for name, value := range values {
		c.Env = append(c.Env, name+"="+value)
	}
	return decode[[]project](t, output(t, c))
}

func TestComposeFilesAreValidAndHardened(t *testing.T) {
	values := settings(t)
	for _, p := range composed(t, values) {
		t.Run(p.Name, func(t *testing.T) {
			for _, name := range slices.Sorted(maps.Keys(p.Services)) {
				hardened(t, p, name)
				secretsOf(t, p.Services[name], name, values)
			}
		})
	}
}

var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?\d[a-z0-9.-]*$`)

// hardened looks at what a service may do. Of the machine it mounts nothing but readable.
func hardened(t *testing.T, p project, name string, readable ...string) {
	s := p.Services[name]
	switch {
	case !s.ReadOnly:
		t.Errorf("%s can write to its file system", name)
	case !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged:
		t.Errorf("%s has capabilities", name)
	case !slices.Contains(s.SecurityOpt, "no-new-privileges:true"):
		t.Errorf("%s can gain privileges", name)
	case s.NetworkMode == "host" || s.Pid != "" || s.Ipc != "":
		t.Errorf("%s shares the machine's namespaces", name)
	case !pinned.MatchString(s.Image):
		t.Errorf("%s: image %s has no version", name, s.Image)
	case s.Restart == "":
		t.Errorf("%s does not come back after a failure", name)
	}
	for _, port := range s.Ports {
		gateway := s.Environment["TANDEM_GATEWAY"] == "true" && port.Target == topology.GatewayPort
		if !gateway && port.HostIP != "127.0.0.1" {
			t.Errorf("%s publishes port %d to the network", name, port.Target)
		}
	}
	for _, v := range s.Volumes {
		switch v.Type {
		case "bind":
			if slices.Contains(readable, v.Source) && v.ReadOnly {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
				t.Errorf("%s mounts %s, read-only %v: %v", name, v.Source, v.ReadOnly, err)
			}
			if relative, err := filepath.Rel(system.Repository(), v.Source); err != nil || !filepath.IsLocal(relative) {
				t.Errorf("%s mounts %s of the machine", name, v.Source)
			}
		case "volume":
			if _, there := p.Volumes[v.Source]; !there {
				t.Errorf("%s mounts the volume %s, which is not there", name, v.Source)
			}
		}
	}
	for other, dependency := range s.DependsOn {
		if dependency.Condition == "service_healthy" && p.Services[other].Healthcheck == nil {
			t.Errorf("%s waits for %s to be healthy, which never says so", name, other)
		}
	}
}

// secretsOf finds secrets that are written in the file, or given to a service that has no use of them.
func secretsOf(t *testing.T, s service, name string, values map[string]string) {
	for variable, value := range s.Environment {
		if secretName.MatchString(variable) && !strings.Contains(value, "the-") && value != "" {
			t.Errorf("%s: %s is %q and does not come from the environment", name, variable, value)
		}
	}
	for variable, value := range values {
		if !strings.HasSuffix(variable, "_KEY") {
			continue
		}
		for given, has := range s.Environment {
			if has == value && !strings.HasSuffix(name, "-dapr") {
				t.Errorf("%s has %s as %s: only sidecars serve the keys", name, variable, given)
			}
		}
	}
}

func TestComposeFilesNeedTheirSecrets(t *testing.T) {
	for variable := range settings(t) {
		values := settings(t)
		values[variable] = ""
		c := exec.Command(program(t, "docker", "compose"), filepath.Join(system.Repository(), "deploy/docker/monolith.yaml"))
		for name, value := range values {
			c.Env = append(c.Env, name+"="+value)
		}
		out, err := c.CombinedOutput()
		secret := secretName.MatchString(strings.ToLower(variable)) && !strings.HasPrefix(variable, "TWILIO_") && !strings.HasPrefix(variable, "SMTP_")
		if secret && (err == nil || !strings.Contains(string(out), variable) || !strings.Contains(string(out), "make-env.sh")) {
			t.Errorf("without %s: %v\n%.300s", variable, err, out)
		}
	}
}

// placed is where a deployment has each group: what must be the same in every kind of file.
type placed struct {
	// Apps are the groups of each app-id as TANDEM_GROUPS has them, with the port that it listens on.
	Apps map[string]string
	// Gateway is the app-id that has TANDEM_GATEWAY.
	Gateway string
	// Scopes are the app-ids that load each component.
	Scopes map[string][]string
}

func (p *placed) app(id, groups, port string, gateway bool) {
	if p.Apps == nil {
		p.Apps = map[string]string{}
	}
	p.Apps[id] = groups + " on " + port
	if gateway {
		p.Gateway += id
	}
}

type resource struct {
	Kind     string
	Metadata struct{ Name string }
	Scopes   []string
}

// components reads the components of a folder.
func (p *placed) components(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(system.Repository(), folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		var r resource
		if err := yaml.Unmarshal(read(t, filepath.Join(folder, entry.Name())), &r); err != nil {
			t.Fatalf("%s: %v", entry.Name(), err)
		}
		if r.Kind == "Component" {
			p.scope(r.Metadata.Name, r.Scopes)
		}
	}
}

func (p *placed) scope(component string, ids []string) {
	if p.Scopes == nil {
		p.Scopes = map[string][]string{}
	}
	p.Scopes[component] = ids
}

// inRunFile is what the Dapr CLI's run file says.
func inRunFile(t *testing.T, name string) placed {
	t.Helper()
	var run struct {
		Apps []struct {
			AppID   string            `yaml:"appID"`
			AppPort int               `yaml:"appPort"`
			Env     map[string]string `yaml:"env"`
		}
	}
	if err := yaml.Unmarshal(read(t, "dapr/"+name+".yaml"), &run); err != nil {
		t.Fatal(err)
	}
	var p placed
	for _, a := range run.Apps {
		if a.AppID != topology.DevstackApp {
			p.app(a.AppID, a.Env["TANDEM_GROUPS"], strconv.Itoa(a.AppPort), a.Env["TANDEM_GATEWAY"] == "true")
		}
	}
	p.components(t, "dapr/"+name+"/resources")
	return p
}

func inCompose(t *testing.T, name string, c project) placed {
	t.Helper()
	var p placed
	for service, s := range c.Services {
		id := s.Environment["APP_ID"]
		if id == "" {
			continue
		}
		p.app(id, s.Environment["TANDEM_GROUPS"], s.Environment["APP_PORT"], s.Environment["TANDEM_GATEWAY"] == "true")
		sidecar := c.Services[service+"-dapr"]
		if service != id || sidecar.NetworkMode != "service:"+id || sidecar.flag("app-id") != id || sidecar.flag("app-port") != s.Environment["APP_PORT"] {
			t.Errorf("the service %s is %s, with the sidecar %q of %q at %q", service, id, sidecar.flag("app-id"), sidecar.NetworkMode, sidecar.flag("app-port"))
		}
		if homes, err := topology.Named(name); err != nil || s.Environment["TANDEM_TOPOLOGY"] != homes.String() {
			t.Errorf("%s has the topology %s: %v", id, s.Environment["TANDEM_TOPOLOGY"], err)
		}
	}
	p.components(t, "deploy/docker/"+name+"/resources")
	return p
}

func TestComposeFilesHaveTheTopologyOfTheRunFiles(t *testing.T) {
	files := composed(t, settings(t))
	for i, name := range topology.Names() {
		same(t, name, inCompose(t, name, files[i]), inRunFile(t, name))
		targets := decode[[]struct {
			Targets []string
			Labels  map[string]string
		}](t, read(t, "deploy/docker/"+name+"/targets.json"))
		scraped := map[string]string{}
		for _, target := range targets {
			scraped[target.Labels["app_id"]+" "+target.Labels["part"]] = strings.Join(target.Targets, " ")
		}
		for service, s := range files[i].Services {
			if id := s.Environment["APP_ID"]; id != "" {
				process, sidecar := id+":"+s.Environment["APP_PORT"], id+":"+files[i].Services[service+"-dapr"].flag("metrics-port")
				if scraped[id+" app"] != process || scraped[id+" sidecar"] != sidecar {
					t.Errorf("%s is scraped at %s and %s", id, scraped[id+" app"], scraped[id+" sidecar"])
				}
			}
		}
	}
}

func same(t *testing.T, name string, got, want placed) {
	t.Helper()
	if !maps.Equal(got.Apps, want.Apps) {
		t.Errorf("%s: apps are %v, in the run file %v", name, got.Apps, want.Apps)
	}
	if got.Gateway != want.Gateway {
		t.Errorf("%s: the gateway is %s, in the run file %s", name, got.Gateway, want.Gateway)
	}
	if !maps.EqualFunc(got.Scopes, want.Scopes, slices.Equal) {
		t.Errorf("%s: components are for %v, in the run file for %v", name, got.Scopes, want.Scopes)
	}
}

func TestMakeEnvMakesSecretsOnce(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"make-env.sh", ".env.example"} {
		if err := os.WriteFile(filepath.Join(folder, name), read(t, "deploy/docker/"+name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	made := filepath.Join(folder, ".env")
	output(t, exec.Command(filepath.Join(folder, "make-env.sh")))
	info, err := os.Stat(made)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v: %v", info, err)
	}
	content, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(line, "#") || !secretName.MatchString(strings.ToLower(name)) || strings.HasPrefix(name, "TWILIO_") {
			continue
		}
		if other := seen[value]; other != "" || len(value) < 32 {
			t.Errorf("%s is %q, as is %q", name, value, other)
		}
		seen[value] = name
		if key, err := base64.StdEncoding.DecodeString(value); strings.HasSuffix(name, "_KEY") && (err != nil || len(key) != 32) {
			t.Errorf("%s is no key of 32 bytes: %v", name, err)
		}
	}
	if len(seen) < 12 {
		t.Errorf("%d secrets", len(seen))
	}
	again := exec.Command(filepath.Join(folder, "make-env.sh"))
	out, err := again.CombinedOutput()
	if after, _ := os.ReadFile(made); err == nil || string(after) != string(content) {
		t.Errorf("a second run: %v\n%s", err, out)
	}
}
