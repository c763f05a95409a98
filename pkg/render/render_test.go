package render_test

import (
	"flag"
	"testing"

	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
)

var update = flag.Bool("update", false, "write the checked-in files instead of comparing them")

const root = "../.."

// declarations have the shape of the groups' own; package render takes them from whoever wires it.
var declarations = []render.Declaration{
	{Name: topology.Auth},
	{Name: topology.Integrations, Calls: []topology.Group{topology.Auth}},
	{Name: topology.AgentKit, Calls: []topology.Group{topology.Auth}},
	{Name: topology.Analytics, Calls: []topology.Group{topology.Auth, topology.Integrations},
		Consumes: []string{"integrations.records.changed"}},
	{Name: topology.Onboarding, Calls: []topology.Group{topology.Auth}},
	{Name: topology.ML, Calls: []topology.Group{topology.Auth, topology.Analytics}},
	{Name: topology.Infrastructure, Calls: []topology.Group{topology.Auth}},
}

func TestCheckedInFilesAreCurrent(t *testing.T) {
	for _, name := range topology.Names() {
		t.Run(name, func(t *testing.T) {
			shipped, err := topology.Named(name)
			if err != nil {
				t.Fatal(err)
			}
			files, err := render.Files(shipped, render.Options{Name: name, Groups: declarations})
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := render.Write(root, files); err != nil {
					t.Fatal(err)
				}
			}
			if err := render.Check(root, files); err != nil {
				t.Errorf("%v\nrun `platform render`", err)
			}
		})
	}
}
