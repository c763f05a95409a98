package host

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/topology"
)

// CheckWiring finds what would only show later: a group declared twice, a callee that nobody declares
// or that has no home, groups that call in a circle. Each error names both ends.
func CheckWiring(specs []group.Spec, t topology.Topology) error {
	var wrong []error
	byName := map[topology.Group]group.Spec{}
	for _, s := range specs {
		if _, twice := byName[s.Name]; twice {
			wrong = append(wrong, fmt.Errorf("group %s is declared twice", s.Name))
		}
		byName[s.Name] = s
	}
	for _, s := range specs {
		for _, callee := range s.Calls {
			if _, ok := byName[callee]; !ok {
				wrong = append(wrong, fmt.Errorf("group %s calls %s, which is not a group", s.Name, callee))
				continue
			}
			if _, err := t.Home(callee); err != nil {
				wrong = append(wrong, fmt.Errorf("group %s calls %s, which has no home: %w", s.Name, callee, err))
			}
		}
	}
	if circle := findCircle(specs, byName); circle != nil {
		wrong = append(wrong, fmt.Errorf("groups call each other in a circle: %s", strings.Join(circle, " → ")))
	}
	return errors.Join(wrong...)
}

func findCircle(specs []group.Spec, byName map[topology.Group]group.Spec) []string {
	done := map[topology.Group]bool{}
	var path []topology.Group
	var visit func(topology.Group) []string
	visit = func(g topology.Group) []string {
		if at := slices.Index(path, g); at >= 0 {
			var circle []string
			for _, p := range append(path[at:], g) {
				circle = append(circle, string(p))
			}
			return circle
		}
		if done[g] {
			return nil
		}
		path = append(path, g)
		for _, callee := range byName[g].Calls {
			if circle := visit(callee); circle != nil {
				return circle
			}
		}
		path = path[:len(path)-1]
		done[g] = true
		return nil
	}
	for _, s := range specs {
		if circle := visit(s.Name); circle != nil {
			return circle
		}
	}
	return nil
}

// checkOperations finds routes that are declared wrongly or twice.
func checkOperations(operations []*group.Operation) error {
	var wrong []error
	seen := map[string]*group.Operation{}
	for _, o := range operations {
		if err := o.Check(); err != nil {
			wrong = append(wrong, err)
		}
		if first, twice := seen[o.Route()]; twice {
			wrong = append(wrong, fmt.Errorf("%s is bound by %s/%s and by %s/%s", o.Route(), first.Group, first.Module, o.Group, o.Module))
		}
		seen[o.Route()] = o
	}
	return errors.Join(wrong...)
}
