package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	renderAgain = "write the files again with `platform render`"
	editEnv     = "correct it in the run file, or in the environment of whoever starts the CLI"
)

func unreadable(_ context.Context, e Environment) []Finding { return e.Unreadable }

// rendered finds files of a shipped topology that are not what render writes.
func rendered(_ context.Context, e Environment) []Finding {
	name := strings.TrimSuffix(filepath.Base(e.RunFile), ".yaml")
	t, err := topology.Named(name)
	path, absErr := filepath.Abs(e.RunFile)
	if err != nil || absErr != nil || path != filepath.Join(e.Root, "dapr", name+".yaml") {
		return nil // a run file of one's own
	}
	declarations := make([]render.Declaration, len(e.Groups))
	for i, s := range e.Groups {
		declarations[i] = render.Declaration{Name: s.Name, Calls: s.Calls, Consumes: s.Topics(), Hosts: s.Hosts}
	}
	files, err := render.Files(t, render.Options{Name: name, Groups: declarations})
	if err == nil {
		err = render.Check(e.Root, files)
	}
	if err == nil {
		return nil
	}
	return []Finding{{Warning, err.Error(), "the groups' declarations and the files that place them have drifted apart", renderAgain}}
}

// configuration finds variables that the platform's processes refuse.
func configuration(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.platform() {
		// In front, so that a token that is there wins: what is missing is a finding of its own.
		environ := append([]string{"APP_API_TOKEN=-", "DAPR_API_TOKEN=-"}, e.environ(a)...)
		_, err := config.Parse(slices.DeleteFunc(environ, func(entry string) bool { return strings.HasSuffix(entry, "_API_TOKEN=") }))
		for _, err := range unjoin(err) {
			found = append(found, Finding{Error, err.Error(), "an app that cannot read its configuration does not start", editEnv})
		}
	}
	return found
}

// unjoin returns the errors that were joined into one.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // only the outermost can be joined
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// topologyOf reads the topology of an app.
func (e Environment) topologyOf(a App) (topology.Topology, error) {
	c, err := config.Parse([]string{"TANDEM_TOPOLOGY=" + e.setting(a, "TANDEM_TOPOLOGY")})
	if err != nil {
		return topology.Topology{}, err
	}
	return topology.Parse(c.Topology)
}

// places finds groups that are unknown, have no home or a home that is not there, and calls that lead nowhere.
func places(_ context.Context, e Environment) []Finding {
	var found []Finding
	add := func(s Severity, what, why, fix string) { found = append(found, Finding{s, what, why, fix}) }
	homes := map[topology.Topology]string{}
	gateways := 0
	for _, a := range e.platform() {
		if e.setting(a, "TANDEM_GATEWAY") == "true" {
			gateways++
		}
		if _, err := topology.ParseGroups(a.Env["TANDEM_GROUPS"]); err != nil {
			add(Error, a.ID+": TANDEM_GROUPS: "+err.Error(), "the app does not start", editEnv)
		}
		t, err := e.topologyOf(a)
		if err != nil {
			add(Error, a.ID+": TANDEM_TOPOLOGY: "+err.Error(), "the app does not start", editEnv)
			continue
		}
		if _, known := homes[t]; !known {
			homes[t] = a.ID
		}
		for _, g := range a.Hosts {
			if home, err := t.Home(g); err == nil && home != a.ID {
				add(Warning, fmt.Sprintf("%s hosts %s, whose home is %s", a.ID, g, home),
					"both take the group's events and run its jobs, which is meant only while the group moves", "take the group out of TANDEM_GROUPS of "+a.ID+" when the move is over")
			}
		}
	}
	if len(homes) > 1 {
		add(Error, "the apps have different values of TANDEM_TOPOLOGY", "calls to one group go to different apps", "put one value into common.env of the run file")
	}
	if gateways == 0 && len(e.platform()) > 0 {
		add(Warning, "no app has TANDEM_GATEWAY=true", "clients would need to know which app hosts which group", renderAgain)
	}
	for t := range homes {
		for _, err := range unjoin(host.CheckWiring(e.Groups, t)) {
			add(Error, err.Error(), "no app that hosts the caller starts", "give the callee a home in TANDEM_TOPOLOGY")
		}
		for _, id := range t.Apps() {
			a, there := e.app(id)
			if !there {
				add(Error, fmt.Sprintf("%s is the home of %s and not an app of the run file", id, topology.FormatGroups(t.Hosted(id))),
					"calls to these groups find nobody", "add the app, or give the groups another home: "+renderAgain)
				continue
			}
			for _, g := range t.Hosted(id) {
				if !slices.Contains(a.Hosts, g) {
					add(Error, fmt.Sprintf("%s is the home of %s and does not host it", id, g), "calls to the group are answered with 404", "add it to TANDEM_GROUPS of "+id)
				}
			}
		}
	}
	return found
}

// tokens finds APIs that anybody may use who reaches their ports.
func tokens(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, name := range []string{"APP_API_TOKEN", "DAPR_API_TOKEN"} {
		for _, a := range e.platform() {
			if a.Env[name] != "" {
				found = append(found, Finding{Error, name + " is in the run file", "it reaches apps only: the sidecars send no token and ask for none", "put it into the environment of whoever starts the CLI, as make run does"})
				break
			}
		}
		if e.variable(name) != "" {
			continue
		}
		f := Finding{Warning, name + " is not set", "whoever reaches the port may act as the sidecar: deliver events, start jobs", "make run makes random ones; otherwise set it in the environment of whoever starts the CLI"}
		if name == "DAPR_API_TOKEN" {
			f.Why = "whoever reaches the sidecar's port may act as the app: read state and secrets, publish events"
		}
		if slices.ContainsFunc(e.platform(), e.production) {
			f.Severity = Error
		}
		found = append(found, f)
	}
	return found
}

// scopes finds components that no app or every app loads.
func scopes(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, c := range e.Components {
		for _, id := range c.Scopes {
			if _, there := e.app(id); !there {
				found = append(found, Finding{Error, fmt.Sprintf("%s: component %s is for app-id %s, which the run file does not have", e.short(c.File), c.Name, id),
					"scopes name app-ids, so they are orphaned when a group moves, and nobody loads the component", renderAgain})
			}
		}
		if len(c.Scopes) == 0 {
			found = append(found, Finding{Warning, fmt.Sprintf("%s: component %s has no scopes", e.short(c.File), c.Name),
				"every sidecar loads it, also those of apps that do not need it", "list the app-ids that need it, or " + renderAgain})
		}
	}
	return found
}

// openAPI finds sidecars whose API is open to the network.
func openAPI(_ context.Context, e Environment) []Finding {
	for _, a := range e.Apps {
		if a.APIListen != "127.0.0.1" && a.APIListen != "[::1],127.0.0.1" {
			return []Finding{{Warning, "the API of the sidecar of " + a.ID + " is not bound to loopback", "everybody on the network reaches state and secrets through it", "apiListenAddresses: 127.0.0.1 in common of the run file"}}
		}
	}
	return nil
}
