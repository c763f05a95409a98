package render

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tandemhq/tandem/pkg/endpoint"
	"github.com/tandemhq/tandem/pkg/events"
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
	Endpoints []outside
	NamesDB   string
	// SamplingRate is the share of new traces that are recorded, as sidecars and apps read it.
	SamplingRate string

	dataDir      string
	namespace    string
	production   []string // names of component sources
	declarations map[topology.Group]Declaration
}

type app struct {
	ID       string
	Groups   []topology.Group
	Hosts    string // for a comment
	Gateway  bool
	Devstack bool
	Sidecar  SidecarPorts
	// Port is where the app listens in a container, which has a network of its own.
	Port    int
	Command []string
	Env     []variable
}

type variable struct{ Name, Value string }

// consumer is the event component that brings one topic to one group.
type consumer struct {
	Component string
	ID        string
	Group     topology.Group
	Topic     string // at the broker
}

// outside is a host that a group calls by way of its sidecar.
type outside struct {
	Name string // of the resource
	Host string
	App  string // that hosts the group
}

var (
	namePattern  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}$`)
	topicPattern = regexp.MustCompile(`^[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)+$`)
)

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
		namespace:    o.Namespace,
		production:   o.Production,
		declarations: map[topology.Group]Declaration{},
	}
	if p.dataDir == "" {
		p.dataDir = ".tandem"
	}
	if p.namespace == "" {
		p.namespace = "tandem"
	}
	if o.TraceRatio == 0 {
		o.TraceRatio = 1
	}
	if o.TraceRatio < 0 || o.TraceRatio > 1 || math.IsNaN(o.TraceRatio) {
		return nil, fmt.Errorf("the trace ratio %v is not above 0 and up to 1", o.TraceRatio)
	}
	p.SamplingRate = strconv.FormatFloat(o.TraceRatio, 'f', -1, 64)
	if p.production == nil {
		p.production = DefaultProduction()
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
		for _, host := range d.Hosts {
			home, err := p.Topology.Home(g)
			if err != nil {
				return err
			}
			p.Endpoints = append(p.Endpoints, outside{endpoint.Name(host), host, home})
		}
		topics := slices.Sorted(slices.Values(d.Consumes))
		for i, topic := range topics {
			if !topicPattern.MatchString(topic) {
				return fmt.Errorf("group %s consumes %q: a topic is words of letters and digits separated by dots", g, topic)
			}
			if i > 0 && topic == topics[i-1] {
				return fmt.Errorf("group %s consumes %q twice", g, topic)
			}
			p.Consumers = append(p.Consumers, consumer{
				Component: events.Component(g, topic),
				ID:        events.ConsumerID(g, topic),
				Group:     g,
				Topic:     events.Topic[any]{Name: topic}.Wire(),
			})
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
			Port:    port,
			Command: []string{bin + "/platform", "serve"},
			Env:     []variable{{"TANDEM_GROUPS", topology.FormatGroups(hosted)}},
		}
		if p.SamplingRate != "1" {
			a.Env = append(a.Env, variable{"TANDEM_TRACE_RATIO", p.SamplingRate})
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
		// The sandbox's vendors, which have no limits but those they tell, and its app at each.
		"TANDEM_VENDOR_URL":       fmt.Sprintf("http://127.0.0.1:%d/vendors/{host}", p.Ports.HTTP),
		"TANDEM_VENDOR_PAGES_URL": fmt.Sprintf("http://127.0.0.1:%d/vendors/{host}", p.Ports.HTTP),
		"TANDEM_VENDOR_LIMITS":    "*:none",
		"TANDEM_CLIENT_IDS":       "*:tandem-sandbox",
	}
	maps.Copy(env, extra)
	var list []variable
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, variable{name, env[name]})
	}
	return list
}
