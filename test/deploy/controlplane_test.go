package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/integrations"
	"github.com/tandemhq/tandem/pkg/endpoint"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/system"
)

const namespace = "tandem"

// Each overlay is applied after another, as a team does that moves groups.
func TestOnAKubernetesControlPlane(t *testing.T) {
	c := startCluster(t)
	c.definitions(t)

	var before map[string]object
	for _, name := range topology.Names() {
		overlay := kustomized(t, name, "monitoring/"+name)
		c.apply(overlay, before)
		pods := c.pods(t, overlay)
		c.selectors(t, overlay)
		c.injected(t, pods)

		was := c.stored(overlay)
		c.apply(objects(t, output(t, helmTemplate(t, name, "--set", "monitoring.enabled=true"))), overlay)
		if changed := differences(was, c.stored(overlay)); len(changed) > 0 {
			t.Errorf("%s: the chart changes %v", name, changed)
		}
		before = overlay
		if t.Failed() {
			t.Fatalf("%s is not as it should be", name)
		}
	}

	kong := kustomized(t, topology.Monolith, "kong")
	c.apply(kong, before)
	c.selectors(t, kong)
	c.moveOneGroup(t, kong)
	c.apply(objects(t, output(t, exec.Command(program(t, "kubernetes", "kustomize"), "build", filepath.Join(system.Repository(), "deploy/kubernetes/logs")))), nil)
	c.restricted(t)
}

// definitions makes the kinds of Dapr and of the Prometheus operator known.
func (c *cluster) definitions(t *testing.T) {
	t.Helper()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dapr/dapr", "github.com/prometheus-operator/prometheus-operator")
	list.Dir = filepath.Join(system.Repository(), "test/deploy/programs")
	folders := strings.Fields(string(output(t, list)))
	if len(folders) != 2 {
		t.Fatalf("the modules are in %q", folders)
	}
	var paths []string
	for _, name := range []string{"components", "configuration", "resiliency", "subscription", "httpendpoints"} {
		paths = append(paths, filepath.Join(folders[0], "charts/dapr/crds", name+".yaml"))
	}
	paths = append(paths, filepath.Join(folders[1], "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, definition := range objects(t, content) {
			at := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + definition.text("metadata", "name")
			if _, err := c.request(http.MethodPatch, at+"?fieldManager=test", definition); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			eventually.Succeeds(t, startTime, definition.String()+" is established", func() error {
				if !strings.Contains(fmt.Sprint(c.get(at).at("status", "conditions")), "InitialNamesAccepted") {
					return errors.New("not yet")
				}
				versions := definition.at("spec", "versions").([]any)
				for _, v := range versions {
					version := object(v.(map[string]any))
					if version["served"] != true {
						continue
					}
					sample := object{"apiVersion": definition.text("spec", "group") + "/" + version.text("name"), "kind": definition.text("spec", "names", "kind"),
						"metadata": map[string]any{"name": "any", "namespace": "any"}}
					if _, err := c.path(sample); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
}

// pods waits until the controllers have made a pod of each Deployment as it is now, and returns them by app-id.
func (c *cluster) pods(t *testing.T, overlay map[string]object) map[string]object {
	t.Helper()
	found := map[string]object{}
	for _, o := range overlay {
		if o.text("kind") != "Deployment" {
			continue
		}
		id := o.text("metadata", "name")
		want := environment(o.at("spec", "template").(map[string]any))["TANDEM_GROUPS"]
		eventually.Succeeds(t, startTime, "a pod of "+id, func() error {
			for _, pod := range c.selected(namespace, o.at("spec", "selector", "matchLabels").(map[string]any)) {
				if environment(pod)["TANDEM_GROUPS"] == want {
					found[id] = pod
					return nil
				}
			}
			return fmt.Errorf("no pod hosts %s: %v", want, c.get("/apis/apps/v1/namespaces/"+namespace+"/deployments/"+id).at("status"))
		})
	}
	return found
}

// selectors finds Services and policies that select no pod, or others than their app's.
func (c *cluster) selectors(t *testing.T, overlay map[string]object) {
	t.Helper()
	for _, o := range overlay {
		var labels any
		switch o.text("kind") {
		case "Service":
			labels = o.at("spec", "selector")
		case "NetworkPolicy":
			labels = o.at("spec", "podSelector", "matchLabels")
		case "PodDisruptionBudget":
			labels = o.at("spec", "selector", "matchLabels")
		default:
			continue
		}
		if labels == nil { // all pods
			continue
		}
		pods := c.selected(namespace, labels.(map[string]any))
		if len(pods) == 0 {
			t.Errorf("%s selects no pod", o)
		}
		for _, pod := range pods {
			app := pod.text("metadata", "labels", "app.kubernetes.io/component")
			if own := o.text("metadata", "labels", "app.kubernetes.io/component"); own != "" && app != own {
				t.Errorf("%s selects a pod of %s", o, app)
			}
			if o.text("metadata", "name") == "tandem-gateway" && environment(pod)["TANDEM_GATEWAY"] != "true" {
				t.Errorf("%s leads to %s", o, app)
			}
		}
	}
}

// injected lets Dapr's injector change the pods, and the API server decide whether it would take them then.
func (c *cluster) injected(t *testing.T, pods map[string]object) {
	t.Helper()
	ids := slices.Sorted(maps.Keys(pods))
	var created []object
	for _, id := range ids {
		// As it came to the injector: what the server and the scheduler add comes later.
		pod := object{"apiVersion": "v1", "kind": "Pod", "spec": pods[id]["spec"], "metadata": map[string]any{
			"name": id + "-injected", "namespace": namespace, "labels": pods[id].at("metadata", "labels"), "annotations": pods[id].at("metadata", "annotations")}}
		created = append(created, pod)
	}
	for i, pod := range c.inject(t, created, "--drop-capabilities") {
		id := ids[i]
		sidecar := container(pod, "daprd")
		if sidecar == nil {
			t.Errorf("%s gets no sidecar", id)
			continue
		}
		app := environment(pods[id])
		arguments := fmt.Sprint(sidecar["args"]) + " "
		for _, want := range []string{"--app-id " + id, "--app-port " + app["APP_PORT"], "--config " + id, "--enable-mtls", "--app-protocol http",
			"--max-body-size 16Mi", "--read-buffer-size 64Ki", "--dapr-block-shutdown-duration 10s", "--dapr-listen-addresses 127.0.0.1", "--log-as-json",
			"--metrics-port 9090", "--dapr-internal-grpc-port 50002"} {
			if !strings.Contains(arguments, want+" ") && !strings.Contains(arguments, want+"]") {
				t.Errorf("the sidecar of %s lacks %s: %s", id, want, arguments)
			}
		}
		if r := fmt.Sprint(sidecar.at("resources")); r != "map[limits:map[memory:384Mi] requests:map[cpu:100m memory:128Mi]]" {
			t.Errorf("the sidecar of %s has %s", id, r)
		}
		if profile := sidecar.text("securityContext", "seccompProfile", "type"); profile != "RuntimeDefault" {
			t.Errorf("the sidecar of %s has the seccomp profile %q", id, profile)
		}
		for variable, secret := range map[string]string{"APP_API_TOKEN": "app-api-token", "DAPR_API_TOKEN": "dapr-api-token"} {
			for _, name := range []string{"app", "daprd"} {
				if from := secretOf(container(pod, name), variable); from != secret+"/token" {
					t.Errorf("%s of %s in %s comes from %q", variable, id, name, from)
				}
			}
		}
		if _, err := c.request(http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All&fieldValidation=Strict", pod); err != nil {
			t.Errorf("%s with its sidecar: %v", id, err)
		}
	}
	// What the documents say of the injector's setting holds: without it nothing would start.
	for _, pod := range c.inject(t, created[:1]) {
		_, err := c.request(http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", pod)
		var refused *refusal
		if !errors.As(err, &refused) || refused.Status != http.StatusForbidden || !strings.Contains(refused.Message, "unrestricted capabilities") {
			t.Errorf("a sidecar with capabilities: %v", err)
		}
	}
}

func (c *cluster) inject(t *testing.T, pods []object, arguments ...string) []object {
	t.Helper()
	content, err := json.Marshal(pods)
	if err != nil {
		t.Fatal(err)
	}
	injector := exec.Command(program(t, "kubernetes", "inject"), append(arguments, "--image=daprio/daprd:1.18.1")...)
	injector.Stdin = bytes.NewReader(content)
	var all []object
	for _, pod := range decode[[]map[string]any](t, output(t, injector)) {
		delete(pod, "status")
		all = append(all, pod)
	}
	return all
}

func container(pod object, name string) object {
	containers, _ := pod.at("spec", "containers").([]any)
	for _, c := range containers {
		if found := object(c.(map[string]any)); found.text("name") == name {
			return found
		}
	}
	return nil
}

// secretOf is the Secret and key that a variable comes from.
func secretOf(c object, variable string) string {
	env, _ := c["env"].([]any)
	for _, v := range env {
		if found := object(v.(map[string]any)); found.text("name") == variable {
			return found.text("valueFrom", "secretKeyRef", "name") + "/" + found.text("valueFrom", "secretKeyRef", "key")
		}
	}
	return ""
}

// moveOneGroup applies an overlay in which one group has left the monolith: what has to do with the group changes, and nothing
// else does.
func (c *cluster) moveOneGroup(t *testing.T, monolith map[string]object) {
	t.Helper()
	system.NeedBinaries(t)
	folder := t.TempDir()
	output(t, exec.Command(filepath.Join(system.Repository(), "bin/platform"), "render", "--into", folder, "--name", "moved", "--topology", "integrations=integrations,*=platform"))
	overlay := filepath.Join(folder, "deploy/kubernetes/overlays/moved")
	if err := os.CopyFS(filepath.Join(folder, "deploy/kubernetes/kong"), os.DirFS(filepath.Join(system.Repository(), "deploy/kubernetes/kong"))); err != nil {
		t.Fatal(err)
	}
	kustomization, err := os.ReadFile(filepath.Join(overlay, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), append(kustomization, "components: [../../kong]\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := objects(t, output(t, exec.Command(program(t, "kubernetes", "kustomize"), "build", overlay)))

	c.pods(t, monolith)
	all := maps.Clone(monolith)
	maps.Copy(all, moved)
	was := c.stored(all)
	c.apply(moved, monolith)
	is := c.stored(all)
	c.pods(t, moved)
	c.selectors(t, moved)

	want := []string{
		// It no longer hosts the group, its sidecar is called by another, and it is scaled by the events of those that are left.
		"Deployment/platform", "Configuration/platform", "NetworkPolicy/platform", "HorizontalPodAutoscaler/platform",
		"Deployment/integrations", "Configuration/integrations", "NetworkPolicy/integrations", "HorizontalPodAutoscaler/integrations",
		"Service/integrations", "PodDisruptionBudget/integrations",
		"ConfigMap/tandem-topology", "Resiliency/tandem",
		// What the group's sidecar loads.
		"Component/state", "Component/events", "Component/secrets",
		"Component/events-integrations-auth-data-requested", "Component/events-integrations-auth-organization-erasing",
	}
	for _, host := range integrations.Builder(integrations.Config{}).Hosts { // by way of its sidecar
		want = append(want, "HTTPEndpoint/"+endpoint.Name(host))
	}
	slices.Sort(want)
	if changed := differences(was, is); !slices.Equal(changed, want) {
		t.Errorf("changed are %v\nwant %v", changed, want)
	}
	if groups := environment(is["Deployment/platform"].at("spec", "template").(map[string]any))["TANDEM_GROUPS"]; strings.Contains(groups, "integrations") {
		t.Errorf("platform hosts %s", groups)
	}
}

// restricted shows that the namespace refuses what it should, so that what it took means something.
func (c *cluster) restricted(t *testing.T) {
	t.Helper()
	careless := object{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "careless", "namespace": namespace},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": "tandem:0.1.0"}}}}
	_, err := c.request(http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", careless)
	var refused *refusal
	if !errors.As(err, &refused) || refused.Status != http.StatusForbidden || !strings.Contains(refused.Message, "restricted") {
		t.Errorf("a pod that asks for nothing: %v", err)
	}
	unknown := object{"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": map[string]any{"name": "unknown", "namespace": namespace},
		"spec": map[string]any{"type": "state.postgresql", "version": "v2", "metadata": []any{}, "ignoreError": true}}
	path, err := c.path(unknown)
	if err == nil {
		_, err = c.request(http.MethodPatch, path+"?fieldManager=test&fieldValidation=Strict", unknown)
	}
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "ignoreError") {
		t.Errorf("a field that no schema knows: %v", err)
	}
}
