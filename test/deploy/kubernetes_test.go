package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/system"
)

// object is a Kubernetes object, as its YAML or JSON has it.
type object map[string]any

// at is what lies at the path of field names, or nil.
func (o object) at(path ...string) any {
	var value any = map[string]any(o)
	for _, name := range path {
		fields, is := value.(map[string]any)
		if !is {
			return nil
		}
		value = fields[name]
	}
	return value
}

func (o object) text(path ...string) string {
	text, _ := o.at(path...).(string)
	return text
}

func (o object) String() string { return o.text("kind") + "/" + o.text("metadata", "name") }

// objects reads a stream of YAML documents.
func objects(t *testing.T, stream []byte) map[string]object {
	t.Helper()
	all := map[string]object{}
	decoder := yaml.NewDecoder(bytes.NewReader(stream))
	for {
		var fields map[string]any
		err := decoder.Decode(&fields)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		o := object(fields)
		if o == nil {
			continue
		}
		if _, twice := all[o.String()]; twice {
			t.Errorf("%s is there twice", o)
		}
		all[o.String()] = o
	}
}

// kustomized is what kustomize makes of an overlay, with components of deploy/kubernetes.
func kustomized(t *testing.T, name string, components ...string) map[string]object {
	t.Helper()
	return objects(t, kustomize(t, name, components...))
}

func kustomize(t *testing.T, name string, components ...string) []byte {
	t.Helper()
	kubernetes := filepath.Join(system.Repository(), "deploy/kubernetes")
	overlay := filepath.Join(kubernetes, "overlays", name)
	if len(components) > 0 {
		// Paths in a kustomization are relative.
		folder := t.TempDir()
		own, err := filepath.EvalSymlinks(folder)
		if err != nil {
			t.Fatal(err)
		}
		relative := func(path string) string {
			r, err := filepath.Rel(own, filepath.Join(kubernetes, path))
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		text := "resources: [" + relative("overlays/"+name) + "]\ncomponents:\n"
		for _, c := range components {
			text += "  - " + relative(c) + "\n"
		}
		if err := os.WriteFile(filepath.Join(own, "kustomization.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay = own
	}
	return output(t, exec.Command(program(t, "kubernetes", "kustomize"), "build", overlay))
}

func helmTemplate(t *testing.T, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	helm := filepath.Join(system.Repository(), "deploy/helm")
	c := exec.Command(program(t, "kubernetes", "helm"), append([]string{"template", "tandem", filepath.Join(helm, "tandem"), "--namespace", "tandem",
		"--set", "createNamespace=true", "--values", filepath.Join(helm, "values", name+".yaml")}, arguments...)...)
	c.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
	return c
}

func TestChartAndOverlaysAreTheSame(t *testing.T) {
	kong := filepath.Join(system.Repository(), "deploy/helm/values/kong.yaml")
	for _, name := range topology.Names() {
		for _, variant := range []struct {
			name       string
			components []string
			arguments  []string
		}{
			{"alone", nil, nil},
			{"monitored", []string{"monitoring/" + name}, []string{"--set", "monitoring.enabled=true"}},
			{"behind Kong", []string{"kong"}, []string{"--values", kong}},
		} {
			t.Run(name+" "+variant.name, func(t *testing.T) {
				overlay := kustomized(t, name, variant.components...)
				chart := objects(t, output(t, helmTemplate(t, name, variant.arguments...)))
				if len(overlay) < 40 {
					t.Errorf("%d objects", len(overlay))
				}
				for _, o := range differences(overlay, chart) {
					t.Errorf("%s is not the same\noverlay: %v\nchart:   %v", o, overlay[o], chart[o])
				}
			})
		}
	}
}

// differences names the objects that are not equal, or in one of the two only.
func differences(a, b map[string]object) []string {
	names := map[string]bool{}
	for name := range a {
		names[name] = !reflect.DeepEqual(a[name], b[name])
	}
	for name := range b {
		names[name] = !reflect.DeepEqual(a[name], b[name])
	}
	maps.DeleteFunc(names, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(names))
}

func TestKustomizationOfTheDocumentsIsOne(t *testing.T) {
	folder := t.TempDir()
	if err := os.CopyFS(filepath.Join(folder, "deploy"), os.DirFS(filepath.Join(system.Repository(), "deploy"))); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(read(t, "docs/deploy.md")), "```yaml\n")
	text, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/deploy.md has none")
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all := objects(t, output(t, exec.Command(program(t, "kubernetes", "kustomize"), "build", folder)))
	pod := object(all["Deployment/platform"].at("spec", "template").(map[string]any))
	env, image := environment(pod), container(pod, "app").text("image")
	if env["TANDEM_API_URL"] != "https://api.example.com" || env["TANDEM_GROUPS"] == "" || image != "registry.example.com/tandem:0.1.0" {
		t.Errorf("the app %s has %v", image, env)
	}
	if class := all["Ingress/tandem"].text("spec", "ingressClassName"); class != "kong" || all["ServiceMonitor/platform"] == nil {
		t.Errorf("the Ingress is of %s, monitored: %v", class, all["ServiceMonitor/platform"] != nil)
	}
}

func TestChartRefusesAnotherNamespace(t *testing.T) {
	out, err := helmTemplate(t, topology.Monolith, "--namespace", "elsewhere").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "platform render --namespace") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOverlaysHaveTheTopologyOfTheRunFiles(t *testing.T) {
	for _, name := range topology.Names() {
		same(t, name, inOverlay(t, name, kustomized(t, name)), inRunFile(t, name))
	}
}

func inOverlay(t *testing.T, name string, all map[string]object) placed {
	t.Helper()
	var p placed
	for _, o := range all {
		switch o.text("kind") {
		case "Deployment":
			id := o.text("metadata", "name")
			pod := object(o.at("spec", "template").(map[string]any))
			env := environment(pod)
			if env["APP_ID"] != id || pod.text("metadata", "annotations", "dapr.io/app-id") != id || pod.text("metadata", "annotations", "dapr.io/config") != id ||
				pod.text("metadata", "annotations", "dapr.io/app-port") != env["APP_PORT"] {
				t.Errorf("%s: app-id, configuration or port of app and sidecar differ: %v", o, env)
			}
			if all["Configuration/"+id] == nil {
				t.Errorf("%s has no Dapr configuration", o)
			}
			if (pod.text("metadata", "labels", "tandem/gateway") == "true") != (env["TANDEM_GATEWAY"] == "true") {
				t.Errorf("%s: the gateway's Service finds another gateway", o)
			}
			p.app(id, env["TANDEM_GROUPS"], env["APP_PORT"], env["TANDEM_GATEWAY"] == "true")
		case "Component":
			var scopes []string
			for _, id := range o["scopes"].([]any) {
				scopes = append(scopes, fmt.Sprint(id))
			}
			p.scope(o.text("metadata", "name"), scopes)
		}
	}
	homes, err := topology.Named(name)
	if got := all["ConfigMap/tandem-topology"].text("data", "topology"); err != nil || got != homes.String() {
		t.Errorf("%s: the topology is %s: %v", name, got, err)
	}
	return p
}

// environment are the variables of a pod's app.
func environment(pod object) map[string]string {
	env := map[string]string{}
	containers, _ := pod.at("spec", "containers").([]any)
	for _, c := range containers {
		if object(c.(map[string]any)).text("name") != "app" {
			continue
		}
		for _, v := range c.(map[string]any)["env"].([]any) {
			variable := object(v.(map[string]any))
			env[variable.text("name")] = variable.text("value")
		}
	}
	return env
}
