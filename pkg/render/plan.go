package render

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tandemhq/tandem/pkg/topology"
)

// plan is everything the files are filled from, computed once.
type plan struct {
	Name      string
	Topology  topology.Topology
	Notice    string
	Ports     Ports
	Env       []variable // of every app of the run file
	Apps      []app      // devstack first, then callees before callers
	Consumers []consumer
	NamesDB   string

	dataDir      string
	declarations map[topology.Group]Declaration
}

type app struct {
	ID       string
	Groups   []topology.Group
	Hosts    string // for a comment
	Gateway  bool
	Devstack bool
	Sidecar  SidecarPorts
	Command  []string
	Env      []variable
}

type variable struct{ Name, Value string }

// consumer is one event component: a group's own, through which it publishes, or that of a topic
// which it consumes.
type consumer struct {
	Name    string
	Group   topology.Group
	Purpose string
}

var (
	namePattern  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}$`)
	topicPattern = regexp.MustCompile(`^tandem(\.[a-z0-9]+([-_][a-z0-9]+)*)+$`)
)

// EventsComponent is the pub/sub component through which a group publishes (topic "") or consumes a
// topic. A JetStream durable consumer serves one subject, so each topic has a component of its own:
// "events-analytics-integrations-records-changed" for the topic "tandem.integrations.records-changed".
func EventsComponent(group topology.Group, topic string) string {
	return "events-" + consumerName(group, topic)
}

func consumerName(group topology.Group, topic string) string {
	if topic == "" {
		return string(group)
	}
	return string(group) + "-" + strings.NewReplacer(".", "-", "_", "-").Replace(strings.TrimPrefix(topic, "tandem."))
}

func newPlan(t topology.Topology, o Options) (*plan, error) {
	if !namePattern.MatchString(o.Name) {
		return nil, errors.New("the name is not a word of lower-case letters, digits and hyphens")
	}
	if err := checkOffset(o.PortOffset); err != nil {
		return nil, err
	}
	if err := t.Complete(); err != nil {
		return nil, err
	}
	p := &plan{
		Name:         o.Name,
		Topology:     t,
		Notice:       notice,
		Ports:        DevstackPorts(o.PortOffset),
		dataDir:      o.DataDir,
		declarations: map[topology.Group]Declaration{},
	}
	if p.dataDir == "" {
		p.dataDir = ".tandem"
	}
	p.NamesDB = path.Join(p.dataDir, "names.db")
	if err := p.declare(o.Groups); err != nil {
		return nil, err
	}
	if err := p.place(o); err != nil {
		return nil, err
	}
	p.Env = common(p, o.Env)
	return p, nil
}

func (p *plan) declare(groups []Declaration) error {
	for _, d := range groups {
		if _, err := topology.ParseGroup(string(d.Name)); err != nil {
			return err
		}
		if _, twice := p.declarations[d.Name]; twice {
			return fmt.Errorf("group %s is declared twice", d.Name)
		}
		p.declarations[d.Name] = d
	}
	names := map[string]string{}
	for _, g := range topology.Groups() {
		d, declared := p.declarations[g]
		if !declared {
			return fmt.Errorf("group %s is not declared", g)
		}
		for _, callee := range d.Calls {
			if _, err := p.Topology.Home(callee); err != nil {
				return fmt.Errorf("group %s calls %s: %w", g, callee, err)
			}
		}
		for _, topic := range append([]string{""}, slices.Sorted(slices.Values(d.Consumes))...) {
			if topic != "" && !topicPattern.MatchString(topic) {
				return fmt.Errorf("group %s consumes %q: a topic is tandem.<group>.<event>, lower case", g, topic)
			}
			name := consumerName(g, topic)
			if other, taken := names[name]; taken {
				return fmt.Errorf("group %s consumes %q: its consumer %s is also that of %q", g, topic, name, other)
			}
			names[name] = topic
			purpose := fmt.Sprintf("%s takes %s", g, topic)
			if topic == "" {
				purpose = fmt.Sprintf("%s publishes through it", g)
			}
			p.Consumers = append(p.Consumers, consumer{name, g, purpose})
		}
	}
	return nil
}

// place lists the apps in the order they start: one that is called before those that call it.
func (p *plan) place(o Options) error {
	bin := o.BinDir
	if bin == "" {
		bin = "./bin"
	}
	p.Apps = []app{{
		ID:       topology.DevstackApp,
		Devstack: true,
		Sidecar:  Sidecar(devstackPort, o.PortOffset),
		Command:  []string{bin + "/devstack", "serve"},
		Env: []variable{
			{"TANDEM_DATA", p.dataDir},
			{"TANDEM_DEVSTACK_PORT", strconv.Itoa(p.Ports.HTTP)},
		},
	}}
	for _, id := range p.startOrder() {
		port, err := p.Topology.Port(id)
		if err != nil {
			return err
		}
		hosted := p.Topology.Hosted(id)
		a := app{
			ID:      id,
			Groups:  hosted,
			Gateway: id == p.Topology.Gateway(),
			Sidecar: Sidecar(port, o.PortOffset),
			Command: []string{bin + "/platform", "serve"},
			Env:     []variable{{"TANDEM_GROUPS", topology.FormatGroups(hosted)}},
		}
		a.Hosts = strings.ReplaceAll(topology.FormatGroups(hosted), ",", ", ")
		if a.Gateway {
			a.Env = append(a.Env, variable{"TANDEM_GATEWAY", "true"})
			a.Hosts = strings.TrimSuffix("the gateway, "+a.Hosts, ", none")
		}
		p.Apps = append(p.Apps, a)
	}
	return nil
}

func (p *plan) startOrder() []string {
	apps := p.Topology.Apps()
	if gateway := p.Topology.Gateway(); !slices.Contains(apps, gateway) {
		apps = append(apps, gateway)
	}
	var order []string
	visited := map[string]bool{}
	var visit func(id string)
	visit = func(id string) {
		if visited[id] {
			return
		}
		visited[id] = true
		for _, callee := range p.callees(id) {
			visit(callee)
		}
		order = append(order, id)
	}
	for _, id := range apps {
		visit(id)
	}
	return order
}

// callees are the apps that an app's groups call, itself among them where one of its groups calls another.
func (p *plan) callees(id string) []string {
	found := map[string]bool{}
	for _, g := range p.Topology.Hosted(id) {
		for _, callee := range p.declarations[g].Calls {
			if home, err := p.Topology.Home(callee); err == nil {
				found[home] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// ids are the app-ids of the platform, without devstack, in alphabetical order.
func (p *plan) ids() []string {
	var ids []string
	for _, a := range p.Apps {
		if !a.Devstack {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func common(p *plan, extra map[string]string) []variable {
	env := map[string]string{
		"TANDEM_TOPOLOGY":        p.Topology.String(),
		"TANDEM_CALLS":           "dapr",
		"TANDEM_DATA":            path.Join(p.dataDir, "data"),
		"TANDEM_ENV":             "development",
		"TANDEM_END_WITH_PARENT": "true",
		"SHOPIFY_BASE_URL":       fmt.Sprintf("http://127.0.0.1:%d/shopify/{shop}", p.Ports.HTTP),
	}
	maps.Copy(env, extra)
	var list []variable
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, variable{name, env[name]})
	}
	return list
}
