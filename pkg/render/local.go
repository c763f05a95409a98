package render

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

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
			"Notice": p.Notice, "ConfigurationName": names.ConfigurationName, "NamesDB": names.NamesDB, "SamplingRate": p.SamplingRate})
		if err != nil {
			return err
		}
	}
	files["dapr/devstack/resources/none.yaml"] = []byte("# " + p.Notice + "\n# Devstack's sidecar loads no component. Its folder must exist, or it would load those of all others.\n")
	if files[folder+"resources/resiliency.yaml"], err = renderResiliency(p); err != nil {
		return err
	}
	if err = renderEndpoints(p, fmt.Sprintf("http://127.0.0.1:%d/vendors/", p.Ports.HTTP), folder+"resources/", files); err != nil {
		return err
	}
	return expand(p, components.Local, "local", nil, map[string]string{
		"data":     p.dataDir,
		"httpPort": strconv.Itoa(p.Ports.HTTP),
		"smtpPort": strconv.Itoa(p.Ports.SMTP),
		"natsPort": strconv.Itoa(p.Ports.NATS),
	}, folder+"resources/", files)
}

// renderEndpoints renders a resource for each host outside that groups call, whose base URL is before and the host.
func renderEndpoints(p *plan, before, to string, files map[string][]byte) (err error) {
	for _, e := range p.Endpoints {
		files[to+e.Name+".yaml"], err = execute("endpoint.yaml.tmpl", map[string]any{"Notice": p.Notice, "Endpoint": e, "URL": before + e.Host})
		if err != nil {
			return err
		}
	}
	return nil
}

func renderResiliency(p *plan) ([]byte, error) {
	return execute("resiliency.yaml.tmpl", map[string]any{"Notice": p.Notice, "AppIDs": p.ids(), "Consumers": p.Consumers, "Endpoints": p.Endpoints})
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

// scopesLine is how a source names the groups that load it.
var scopesLine = regexp.MustCompile(`(?m)^scopes: \[(.+)\]$`)

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
	found := scopesLine.FindStringSubmatch(filled)
	if found == nil {
		return nil, errors.New("no line scopes: […]; every sidecar would load it")
	}
	var homes []string
	for name := range strings.SplitSeq(found[1], ",") {
		home, err := p.Topology.Home(topology.Group(strings.TrimSpace(name)))
		if err != nil {
			return nil, fmt.Errorf("read scopes: %w", err)
		}
		homes = append(homes, home)
	}
	slices.Sort(homes)
	scopes := "scopes: [" + strings.Join(slices.Compact(homes), ", ") + "]"
	return []byte("# " + p.Notice + "\n" + strings.Replace(filled, found[0], scopes, 1)), nil
}
