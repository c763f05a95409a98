package doctor

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/state"
	"github.com/tandemhq/tandem/pkg/topology"
)

// ownTypes are the component types of the repository's daprd, one a line. A test derives them from what daprd
// registers and, with -update, writes them.
//
//go:embed components.txt
var ownTypes string

// required finds apps without a component that every group uses.
func required(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.platform() {
		if len(a.Hosts) == 0 {
			continue
		}
		for _, name := range []string{state.Component, secrets.Component, events.PublishComponent} {
			if _, there := e.component(a, name); !there {
				found = append(found, Finding{Error, fmt.Sprintf("the sidecar of %s loads no component %s", a.ID, name),
					"the groups of " + a.ID + " cannot work without it", "add " + a.ID + " to its scopes, or " + renderAgain})
			}
		}
	}
	return found
}

func (e Environment) component(a App, name string) (Component, bool) {
	i := slices.IndexFunc(e.Components, func(c Component) bool { return c.Name == name && c.LoadedBy(a) })
	if i < 0 {
		return Component{}, false
	}
	return e.Components[i], true
}

// keyPrefix finds state that would be orphaned when a group moves.
func keyPrefix(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, c := range e.Components {
		if strings.HasPrefix(c.Type, "state.") && c.Field("keyPrefix") != "none" {
			found = append(found, Finding{Error, fmt.Sprintf("%s: state component %s has keyPrefix %q", e.short(c.File), c.Name, c.Field("keyPrefix")),
				"Dapr puts a prefix before every key, the app-id unless told otherwise, and a group that moves no longer finds its state", "keyPrefix: none"})
		}
	}
	return found
}

// consumerFields are the fields in which a broker's component names its consumer.
func consumerFields(kind string) []string {
	switch kind {
	case "pubsub.jetstream":
		return []string{"durableName", "queueGroupName"}
	case "pubsub.kafka":
		return []string{"consumerGroup"}
	default:
		return []string{"consumerID"}
	}
}

// consumers finds groups whose events would go nowhere, to another group, or start again when the group moves.
func consumers(_ context.Context, e Environment) []Finding {
	var found []Finding
	declared := map[string]bool{events.PublishComponent: true}
	for _, s := range e.Groups {
		for _, topic := range s.Topics() {
			name := events.Component(s.Name, topic)
			declared[name] = true
			for _, a := range e.platform() {
				if !slices.Contains(a.Hosts, s.Name) {
					continue
				}
				c, there := e.component(a, name)
				if !there {
					found = append(found, Finding{Error, fmt.Sprintf("the sidecar of %s, which hosts %s, loads no component %s", a.ID, s.Name, name),
						"the group does not get the events of " + topic, renderAgain})
					continue
				}
				found = append(found, e.named(c, s.Name, topic)...)
			}
		}
	}
	return append(append(found, e.undeclared(declared)...), e.sharedConsumers()...)
}

func (e Environment) named(c Component, g topology.Group, topic string) []Finding {
	var found []Finding
	want := events.ConsumerID(g, topic)
	for _, field := range consumerFields(c.Type) {
		if got := c.Field(field); got != want {
			found = append(found, Finding{Error, fmt.Sprintf("%s: %s of component %s is %q and not %q", e.short(c.File), field, c.Name, got, want),
				"the consumer keeps the group's place in the stream; named otherwise, or after the app-id, the group loses events or gets them all again when it moves", renderAgain})
		}
	}
	return found
}

func (e Environment) undeclared(declared map[string]bool) []Finding {
	var found []Finding
	for _, c := range e.Components {
		if strings.HasPrefix(c.Type, "pubsub.") && !declared[c.Name] {
			found = append(found, Finding{Warning, fmt.Sprintf("%s: no group consumes through component %s", e.short(c.File), c.Name),
				"sidecars load it for nothing, or the group's declaration lacks a topic", "remove it, or add the topic to the group's Consumes"})
		}
	}
	return found
}

func (e Environment) sharedConsumers() []Finding {
	var found []Finding
	owner := map[string]Component{}
	for _, c := range e.Components {
		if !strings.HasPrefix(c.Type, "pubsub.") {
			continue
		}
		fields := consumerFields(c.Type)
		id := c.Field(fields[0])
		first, taken := owner[c.Type+" "+id]
		switch {
		case id == "":
		case taken && first.Name != c.Name:
			found = append(found, Finding{Error, fmt.Sprintf("%s: components %s and %s have the same %s %q", e.short(c.File), first.Name, c.Name, fields[0], id),
				"they share one consumer, so each gets only a part of the events", renderAgain})
		default:
			owner[c.Type+" "+id] = c
		}
	}
	return found
}

// componentTypes finds components that the repository's daprd does not have. An installed one has all of them.
func componentTypes(_ context.Context, e Environment) []Finding {
	if e.Installed {
		return nil
	}
	const fix = "use another component, register it in dapr/runtime/cmd/daprd/components.go, or use an installed Dapr (DAPR=installed)"
	types := strings.Fields(ownTypes)
	var found []Finding
	for _, c := range e.Components {
		if !slices.Contains(types, strings.ToLower(c.Type)) {
			found = append(found, Finding{Error, fmt.Sprintf("%s: component %s is of type %q, which this repository's daprd does not have", e.short(c.File), c.Name, c.Type),
				"the sidecars that load it do not start", fix})
		}
	}
	for _, a := range e.Apps {
		if a.Resolver != "" && !slices.Contains(types, "nameresolution."+a.Resolver) {
			found = append(found, Finding{Error, fmt.Sprintf("%s: name resolution %q is not in this repository's daprd", e.short(a.Config), a.Resolver),
				"the sidecar does not start", fix})
		}
	}
	return found
}

// resolver finds sidecars that look for each other by multicast.
func resolver(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.Apps {
		if a.Resolver == "" || a.Resolver == "mdns" {
			found = append(found, Finding{Warning, fmt.Sprintf("the sidecar of %s finds others by mdns", a.ID),
				"VPNs and guest networks block multicast, and calls between apps then find nobody", "nameResolution: {component: sqlite} in its Dapr configuration"})
		}
	}
	return found
}

// commas finds paths that daprd takes for several: its flags --config and --resources-path are lists.
func commas(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.Apps {
		for _, path := range append([]string{a.Config}, a.Resources...) {
			if strings.Contains(path, ",") {
				found = append(found, Finding{Error, "there is a comma in the path " + path, "daprd splits it there, looks for files that do not exist and ends",
					"move the repository to a folder whose path has no comma"})
			}
		}
	}
	return found
}

// hostAddress finds sidecars that would hand out an address at which the repository's daprd does not listen.
func hostAddress(_ context.Context, e Environment) []Finding {
	const why = "sidecars tell each other the machine's address in the network, and the repository's daprd listens on loopback only: calls between apps fail"
	address := e.variable("DAPR_HOST_IP")
	switch {
	case e.Installed || address == "127.0.0.1":
		return nil
	case address != "":
		return []Finding{{Error, "DAPR_HOST_IP is " + address, why, "export DAPR_HOST_IP=127.0.0.1"}}
	case len(e.platform()) > 1:
		return []Finding{{Warning, "DAPR_HOST_IP is not set", why, "make run sets it; before a bare `dapr run -f`: export DAPR_HOST_IP=127.0.0.1"}}
	}
	return nil
}
