package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/deploy/helm"
	"github.com/tandemhq/tandem/pkg/topology"
)

// chartFolder is the chart's folder in the package helm.
const chartFolder = "tandem"

// renderKubernetes renders what runs the topology in a cluster: the values of the Helm chart, and the chart's objects as a
// kustomize base, an overlay of the topology and a component with its ServiceMonitors.
func renderKubernetes(p *plan, files map[string][]byte) error {
	resources, err := p.kustomizeDapr(files)
	if err != nil {
		return err
	}
	own := p.chartValues(resources)
	encoded, err := encodeYAML(own)
	if err != nil {
		return err
	}
	files["deploy/helm/values/"+p.Name+".yaml"] = append([]byte("# "+p.Notice+"\n"), encoded...)

	values, err := chartDefaults()
	if err != nil {
		return err
	}
	maps.Copy(values, own)
	values["createNamespace"] = true
	chart := chartRelease{Values: values, Release: map[string]string{"Namespace": p.namespace}}
	steps := []func(chartRelease, map[string][]byte) error{p.kustomizeBase, p.kustomizeOverlay, p.kustomizeMonitoring}
	for _, step := range steps {
		if err := step(chart, files); err != nil {
			return err
		}
	}
	return nil
}

// kustomizeDapr makes the folder of the topology's Dapr resources one that kustomize takes, and returns these resources.
func (p *plan) kustomizeDapr(files map[string][]byte) ([]any, error) {
	folder := "deploy/dapr/" + p.Name + "/"
	var names []string
	var resources []any
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasPrefix(name, folder) {
			continue
		}
		var r struct {
			Metadata map[string]any `yaml:"metadata"`
			Rest     map[string]any `yaml:",inline"`
		}
		if err := yaml.Unmarshal(files[name], &r); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		r.Metadata["namespace"] = p.namespace
		r.Rest["metadata"] = r.Metadata
		names, resources = append(names, strings.TrimPrefix(name, folder)), append(resources, r.Rest)
	}
	files[folder+"kustomization.yaml"] = p.kustomization("Kustomization", names, "namespace: "+p.namespace+"\n")
	return resources, nil
}

// chartValues are the values of the chart that follow from the topology.
func (p *plan) chartValues(resources []any) map[string]any {
	var apps []any
	for _, a := range slices.SortedFunc(slices.Values(p.Apps), func(a, b app) int { return strings.Compare(a.ID, b.ID) }) {
		if a.Devstack {
			continue
		}
		// Replicas of an app call each other too: Dapr places its actors, of which workflows are made, on any of them.
		callers := []string{a.ID}
		for _, c := range p.callers(a.ID) {
			callers = append(callers, c.ID)
		}
		slices.Sort(callers)
		var lagging []string
		for _, g := range a.Groups {
			if slices.ContainsFunc(p.Consumers, func(c consumer) bool { return c.Group == g }) {
				lagging = append(lagging, string(g))
			}
		}
		apps = append(apps, map[string]any{
			"id": a.ID, "groups": topology.FormatGroups(a.Groups), "gateway": strconv.FormatBool(a.Gateway), "port": strconv.Itoa(a.Port),
			"callers": list(callers), "lagging": strings.Join(lagging, ", "),
		})
	}
	values := map[string]any{"topology": p.Topology.String(), "namespace": p.namespace, "apps": apps, "dapr": resources}
	if p.SamplingRate != "1" {
		values["env"] = []any{map[string]any{"name": "TANDEM_TRACE_RATIO", "value": p.SamplingRate}}
	}
	return values
}

func list(words []string) []any {
	all := make([]any, len(words))
	for i, w := range words {
		all[i] = w
	}
	return all
}

// chartRelease is what Helm gives to a template, as far as those of the chart ask for it.
type chartRelease struct {
	Values  map[string]any
	Release map[string]string
}

func chartDefaults() (map[string]any, error) {
	content, err := fs.ReadFile(helm.Chart, path.Join(chartFolder, "values.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the chart's values: %w", err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(content, &values); err != nil {
		return nil, fmt.Errorf("read the chart's values: %w", err)
	}
	return values, nil
}

// chartFunctions are those of Helm's functions that the chart's templates use, with Helm's meaning.
var chartFunctions = template.FuncMap{
	"quote": func(value any) string { return strconv.Quote(fmt.Sprint(value)) },
	"fail":  func(why string) (string, error) { return "", errors.New(why) },
	"toYaml": func(value any) (string, error) {
		content, err := encodeYAML(value)
		return strings.TrimSuffix(string(content), "\n"), err
	},
	"nindent": func(spaces int, text string) string {
		indent := "\n" + strings.Repeat(" ", spaces)
		return indent + strings.ReplaceAll(text, "\n", indent)
	},
}

var chartTemplates = sync.OnceValues(func() (*template.Template, error) {
	return template.New("").Funcs(chartFunctions).ParseFS(helm.Chart, path.Join(chartFolder, "templates/*.yaml"))
})

func encodeYAML(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(value)
	if err = errors.Join(err, encoder.Close()); err != nil {
		return nil, fmt.Errorf("encode YAML: %w", err)
	}
	return out.Bytes(), nil
}

// manifest fills one of the chart's templates, and says that it is generated.
func (p *plan) manifest(name string, chart chartRelease) ([]byte, error) {
	t, err := chartTemplates()
	if err != nil {
		return nil, fmt.Errorf("read the templates of the chart: %w", err)
	}
	out := bytes.NewBufferString("# " + p.Notice + "\n")
	if err := t.ExecuteTemplate(out, name, chart); err != nil {
		return nil, fmt.Errorf("fill a template of the chart: %w", err)
	}
	return out.Bytes(), nil
}

// kustomization is a kustomization.yaml with resources, and more after them.
func (p *plan) kustomization(kind string, resources []string, more string) []byte {
	version := "kustomize.config.k8s.io/v1beta1"
	if kind == "Component" {
		version = "kustomize.config.k8s.io/v1alpha1"
	}
	return fmt.Appendf(nil, "# %s\napiVersion: %s\nkind: %s\nresources:\n  - %s\n%s", p.Notice, version, kind, strings.Join(resources, "\n  - "), more)
}

// kustomizeBase renders what is the same in every topology.
func (p *plan) kustomizeBase(chart chartRelease, files map[string][]byte) (err error) {
	const folder = "deploy/kubernetes/base/"
	files[folder+"kustomization.yaml"] = p.kustomization("Kustomization", []string{"base.yaml"}, "")
	files[folder+"base.yaml"], err = p.manifest("base.yaml", chart)
	return err
}

// kustomizeOverlay renders what the topology makes different.
func (p *plan) kustomizeOverlay(chart chartRelease, files map[string][]byte) (err error) {
	folder := "deploy/kubernetes/overlays/" + p.Name + "/"
	resources := []string{"../../base", "../../../dapr/" + p.Name, "topology.yaml"}
	if files[folder+"topology.yaml"], err = p.manifest("topology.yaml", chart); err != nil {
		return err
	}
	apps, _ := chart.Values["apps"].([]any)
	for _, a := range apps {
		one := chartRelease{Values: maps.Clone(chart.Values), Release: chart.Release}
		one.Values["apps"] = []any{a}
		name := fmt.Sprintf("app-%s.yaml", a.(map[string]any)["id"]) // as chartValues makes them
		if files[folder+name], err = p.manifest("apps.yaml", one); err != nil {
			return err
		}
		resources = append(resources, name)
	}
	files[folder+"kustomization.yaml"] = p.kustomization("Kustomization", resources, "")
	return nil
}

// kustomizeMonitoring renders what needs the Prometheus operator.
func (p *plan) kustomizeMonitoring(chart chartRelease, files map[string][]byte) (err error) {
	folder := "deploy/kubernetes/monitoring/" + p.Name + "/"
	monitored := chartRelease{Values: maps.Clone(chart.Values), Release: chart.Release}
	monitored.Values["monitoring"] = map[string]any{"enabled": true}
	files[folder+"kustomization.yaml"] = p.kustomization("Component", []string{"servicemonitors.yaml"}, "")
	files[folder+"servicemonitors.yaml"], err = p.manifest("monitoring.yaml", monitored)
	return err
}
