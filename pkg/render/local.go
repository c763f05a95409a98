package render

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/components"
	"github.com/tandemhq/tandem/pkg/topology"
)

func renderRunFile(p *plan, files map[string][]byte) (err error) {
	files["dapr/"+p.Name+".yaml"], err = execute("runfile.yaml.tmpl", p)
	return err
}

// renderLocalResources renders what the run file points to.
func renderLocalResources(p *plan, files map[string][]byte) (err error) {
	folder := "dapr/" + p.Name + "/"
	for target, names := range map[string]struct{ ConfigurationName, NamesDB string }{
		folder + "configuration.yaml": {"tandem", p.NamesDB},
		// Devstack's sidecar starts before anything has made the data folder, and calls nobody.
		"dapr/devstack/configuration.yaml": {"devstack", ":memory:"},
	} {
		files[target], err = execute("configuration.yaml.tmpl", map[string]string{
			"Notice": p.Notice, "ConfigurationName": names.ConfigurationName, "NamesDB": names.NamesDB})
		if err != nil {
			return err
		}
	}
	files["dapr/devstack/resources/none.yaml"] = []byte("# " + p.Notice + "\n# Devstack's sidecar loads no component. Its folder must exist, or it would load those of all others.\n")
	if files[folder+"resources/resiliency.yaml"], err = renderResiliency(p); err != nil {
		return err
	}
	return expand(p, components.Local, "local", nil, map[string]string{
		"data":     p.dataDir,
		"smtpPort": strconv.Itoa(p.Ports.SMTP),
		"natsPort": strconv.Itoa(p.Ports.NATS),
	}, folder+"resources/", files)
}

func renderResiliency(p *plan) ([]byte, error) {
	return execute("resiliency.yaml.tmpl", map[string]any{"Notice": p.Notice, "AppIDs": p.ids(), "Consumers": p.Consumers})
}

// expand fills the component sources of a folder: every one once, a consumer source once for each
// group and topic. Only the named sources are taken when there are names.
func expand(p *plan, sources fs.FS, folder string, names []string, values map[string]string, to string, files map[string][]byte) error {
	entries, err := fs.ReadDir(sources, folder)
	if err != nil {
		return fmt.Errorf("list component sources: %w", err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name+".yaml" }) {
			return fmt.Errorf("there is no component source %s/%s.yaml", folder, name)
		}
	}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".yaml")
		if names != nil && !slices.Contains(names, name) {
			continue
		}
		source, err := fs.ReadFile(sources, path.Join(folder, entry.Name()))
		if err != nil {
			return fmt.Errorf("read component source: %w", err)
		}
		if !strings.HasPrefix(name, "consumer") {
			if files[to+entry.Name()], err = p.component(string(source), values); err != nil {
				return fmt.Errorf("component %s: %w", entry.Name(), err)
			}
			continue
		}
		for _, c := range p.Consumers {
			own := map[string]string{"component": c.Component, "consumer": c.ID, "group": string(c.Group), "topic": c.Topic}
			maps.Copy(own, values)
			if files[to+c.Component+".yaml"], err = p.component(string(source), own); err != nil {
				return fmt.Errorf("component %s: %w", entry.Name(), err)
			}
		}
	}
	return nil
}

// component fills a source's ${…} and turns the groups in its scopes into the app-ids that host them.
func (p *plan) component(source string, values map[string]string) ([]byte, error) {
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "${"+name+"}", value)
	}
	filled := strings.NewReplacer(pairs...).Replace(source)
	if i := strings.Index(filled, "${"); i >= 0 {
		rest, _, _ := strings.Cut(filled[i:], "}")
		return nil, fmt.Errorf("no value for %s}", rest)
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(filled), &document); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	if err := p.scope(&document); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# %s\n", p.Notice)
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return out.Bytes(), encoder.Close()
}

func (p *plan) scope(document *yaml.Node) error {
	root := document.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "scopes" {
			continue
		}
		var groups []topology.Group
		if err := root.Content[i+1].Decode(&groups); err != nil {
			return fmt.Errorf("read scopes: %w", err)
		}
		var homes []string
		for _, g := range groups {
			home, err := p.Topology.Home(g)
			if err != nil {
				return fmt.Errorf("read scopes: %w", err)
			}
			homes = append(homes, home)
		}
		slices.Sort(homes)
		homes = slices.Compact(homes)
		root.Content[i+1] = &yaml.Node{}
		return root.Content[i+1].Encode(homes)
	}
	return fmt.Errorf("no scopes: every sidecar would load it")
}
