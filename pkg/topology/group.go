package topology

import (
	"fmt"
	"slices"
	"strings"
)

// Group is the name of a route group. It is the group's identity everywhere: the URL prefix
// /api/<group>/, the first segment of its state keys, its event consumer and its metric label.
type Group string

// The seven groups. The list is closed: a name outside it does not parse.
const (
	Auth           Group = "auth"
	Integrations   Group = "integrations"
	AgentKit       Group = "agentkit"
	Analytics      Group = "analytics"
	Onboarding     Group = "onboarding"
	ML             Group = "ml"
	Infrastructure Group = "infrastructure"
)

// GatewayPort is the port of the public edge, alone or together with groups.
const GatewayPort = 8000

// groups is the order used wherever groups are listed; the port is the one a group listens on when
// it is the first of its app-id and the gateway is not there.
var groups = [...]struct {
	name Group
	port int
}{
	{Auth, 8001},
	{Integrations, 8002},
	{AgentKit, 8003},
	{Analytics, 8004},
	{Onboarding, 8005},
	{ML, 8006},
	{Infrastructure, 8007},
}

// Groups returns the seven groups in their fixed order. The caller owns the slice.
func Groups() []Group {
	names := make([]Group, len(groups))
	for i, g := range groups {
		names[i] = g.name
	}
	return names
}

// Port returns the TCP port the group listens on when it runs alone, or 0 for a name that is not one
// of the seven.
func (g Group) Port() int {
	if i := g.index(); i >= 0 {
		return groups[i].port
	}
	return 0
}

func (g Group) index() int {
	for i := range groups {
		if groups[i].name == g {
			return i
		}
	}
	return -1
}

// ParseGroup returns the group of that name, or an error that lists the names there are.
func ParseGroup(name string) (Group, error) {
	g := Group(name)
	if g.index() < 0 {
		return "", fmt.Errorf("unknown group %q (known: %s)", name, FormatGroups(Groups()))
	}
	return g, nil
}

// ParseGroups parses TANDEM_GROUPS, what one process hosts: "all", a comma-separated list, or
// "none" or nothing at all for a process that is only the gateway. The result is in the fixed order.
func ParseGroups(text string) ([]Group, error) {
	switch strings.TrimSpace(text) {
	case "", "none":
		return nil, nil
	case "all":
		return Groups(), nil
	}
	var list []Group
	for name := range strings.SplitSeq(text, ",") {
		g, err := ParseGroup(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("parse groups %q: %w", text, err)
		}
		if slices.Contains(list, g) {
			return nil, fmt.Errorf("parse groups %q: %s is there twice", text, g)
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b Group) int { return a.index() - b.index() })
	return list, nil
}

// FormatGroups writes groups the way ParseGroups reads them; no group at all is "none".
func FormatGroups(list []Group) string {
	if len(list) == 0 {
		return "none"
	}
	names := make([]string, len(list))
	for i, g := range list {
		names[i] = string(g)
	}
	return strings.Join(names, ",")
}
