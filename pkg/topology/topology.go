// Package topology says which Dapr application hosts which route group.
//
// A [Topology] is one immutable value. Monolith, microservices and hybrid are three such values and
// not three modes: code asks only where a group lives, through [Current], which can be replaced while
// the process runs.
package topology

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"
)

// App-ids with a meaning of their own. PlatformApp is the gateway wherever it hosts a group;
// otherwise the gateway is GatewayApp. DevstackApp is the laptop's outside world and hosts no group.
const (
	PlatformApp = "platform"
	GatewayApp  = "gateway"
	DevstackApp = "devstack"
)

// Names of the topologies that are shipped.
const (
	Monolith      = "monolith"
	Microservices = "microservices"
	Hybrid        = "hybrid"
)

// ErrNoHome is wrapped by the errors about a group that no app-id hosts.
var ErrNoHome = errors.New("no app-id hosts it")

// Topology maps groups to app-ids. It is immutable and comparable with ==. The zero value hosts
// nothing.
type Topology struct {
	homes [len(groups)]string // "" where the group has no home
}

// A DNS label: Kubernetes object names and Dapr's name resolution both take it as it is.
var appIDPattern = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Parse reads TANDEM_TOPOLOGY: comma-separated group=app-id pairs, where "*=app-id" is the home of
// every group not named, e.g. "integrations=integrations,*=platform". Groups may be left without a
// home (see [Topology.Complete]). An error names the offending pair.
func Parse(text string) (Topology, error) {
	var t Topology
	if strings.TrimSpace(text) == "" {
		return Topology{}, errors.New("parse topology: it is empty")
	}
	rest := ""
	for pair := range strings.SplitSeq(text, ",") {
		pair = strings.TrimSpace(pair)
		name, app, found := strings.Cut(pair, "=")
		if !found {
			return Topology{}, fmt.Errorf("parse topology: pair %q is not group=app-id", pair)
		}
		name, app = strings.TrimSpace(name), strings.TrimSpace(app)
		if err := checkAppID(app); err != nil {
			return Topology{}, fmt.Errorf("parse topology: pair %q: %w", pair, err)
		}
		home := &rest
		if name != "*" {
			g, err := ParseGroup(name)
			if err != nil {
				return Topology{}, fmt.Errorf("parse topology: pair %q: %w", pair, err)
			}
			home = &t.homes[g.index()]
		}
		if *home != "" {
			return Topology{}, fmt.Errorf("parse topology: pair %q: %s already has the home %q", pair, name, *home)
		}
		*home = app
	}
	for i := range t.homes {
		if t.homes[i] == "" {
			t.homes[i] = rest
		}
	}
	return t, nil
}

func checkAppID(app string) error {
	if !appIDPattern.MatchString(app) {
		return fmt.Errorf("app-id %q is not a DNS label (lower-case letters, digits and hyphens, at most 63)", app)
	}
	if app == DevstackApp {
		return fmt.Errorf("app-id %q is reserved", app)
	}
	return nil
}

// Named returns the shipped topology of that name.
func Named(name string) (Topology, error) {
	switch name {
	case Monolith:
		return build(func(Group) string { return PlatformApp }), nil
	case Microservices:
		return build(func(g Group) string { return string(g) }), nil
	case Hybrid:
		return build(func(g Group) string {
			switch g {
			case Integrations:
				return "integrations"
			case Analytics, ML:
				return "insights"
			default:
				return PlatformApp
			}
		}), nil
	default:
		return Topology{}, fmt.Errorf("unknown topology %q (known: %s)", name, strings.Join(Names(), ", "))
	}
}

// Names lists the shipped topologies.
func Names() []string { return []string{Monolith, Microservices, Hybrid} }

func build(home func(Group) string) Topology {
	var t Topology
	for i, g := range groups {
		t.homes[i] = home(g.name)
	}
	return t
}

// Home returns the app-id that hosts the group. The error wraps [ErrNoHome] when none does.
func (t Topology) Home(g Group) (string, error) {
	i := g.index()
	if i < 0 {
		return "", fmt.Errorf("unknown group %q", g)
	}
	if t.homes[i] == "" {
		return "", fmt.Errorf("group %s: %w", g, ErrNoHome)
	}
	return t.homes[i], nil
}

// Complete returns nil when every group has a home, else an error that names those without one and
// wraps [ErrNoHome].
func (t Topology) Complete() error {
	var errs []error
	for _, g := range groups {
		if _, err := t.Home(g.name); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Apps returns the app-ids that host at least one group, in the order of their first group. The
// gateway is among them only when it hosts a group.
func (t Topology) Apps() []string {
	var apps []string
	seen := map[string]bool{"": true}
	for _, home := range t.homes {
		if !seen[home] {
			seen[home] = true
			apps = append(apps, home)
		}
	}
	return apps
}

// Hosted returns the groups that the app-id hosts, in the fixed order; nil for an app-id that hosts none.
func (t Topology) Hosted(app string) []Group {
	var hosted []Group
	for i, g := range groups {
		if app != "" && t.homes[i] == app {
			hosted = append(hosted, g.name)
		}
	}
	return hosted
}

// Gateway returns the app-id of the public edge: [PlatformApp] where it hosts a group, otherwise
// [GatewayApp], an application of its own.
func (t Topology) Gateway() string {
	if len(t.Hosted(PlatformApp)) > 0 {
		return PlatformApp
	}
	return GatewayApp
}

// Port returns the TCP port the app-id listens on: [GatewayPort] for the gateway, otherwise the port
// of its first group. An app-id that is not in the topology is an error.
func (t Topology) Port(app string) (int, error) {
	if app == t.Gateway() {
		return GatewayPort, nil
	}
	hosted := t.Hosted(app)
	if len(hosted) == 0 {
		return 0, fmt.Errorf("app-id %q is not in the topology %s", app, t)
	}
	return hosted[0].Port(), nil
}

// String returns the canonical text, which [Parse] reads back to an equal value. When every group has
// a home, the app-id with the most groups, if it has several, is written last as "*".
func (t Topology) String() string {
	rest := ""
	if t.Complete() == nil {
		most := 1
		for _, app := range t.Apps() {
			if n := len(t.Hosted(app)); n > most {
				rest, most = app, n
			}
		}
	}
	var pairs []string
	for i, g := range groups {
		if home := t.homes[i]; home != "" && home != rest {
			pairs = append(pairs, string(g.name)+"="+home)
		}
	}
	if rest != "" {
		pairs = append(pairs, "*="+rest)
	}
	return strings.Join(pairs, ",")
}

// Partitions yields every way to divide the seven groups among app-ids, 877 in all. A group alone
// gives its app-id its name, groups together are joined by hyphens, and auth in company lives in
// [PlatformApp], so that both kinds of gateway occur.
func Partitions() iter.Seq[Topology] {
	return func(yield func(Topology) bool) {
		var block [len(groups)]int
		var place func(group, blocks int) bool
		place = func(group, blocks int) bool {
			if group == len(groups) {
				return yield(fromBlocks(block))
			}
			for b := 0; b <= blocks; b++ {
				block[group] = b
				if !place(group+1, max(blocks, b+1)) {
					return false
				}
			}
			return true
		}
		place(0, 0)
	}
}

func fromBlocks(block [len(groups)]int) Topology {
	var names [len(groups)][]string
	for i, b := range block {
		names[b] = append(names[b], string(groups[i].name))
	}
	var t Topology
	for i, b := range block {
		// Auth is the first group, so its block is always number 0.
		if b == 0 && len(names[b]) > 1 {
			t.homes[i] = PlatformApp
			continue
		}
		t.homes[i] = strings.Join(names[b], "-")
	}
	return t
}
