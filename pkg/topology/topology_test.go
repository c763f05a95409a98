package topology_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/topology"
)

func TestShippedTopologies(t *testing.T) {
	tests := []struct {
		name, text, gateway string
		apps                []string
		ports               map[string]int
	}{
		{"monolith", "*=platform", "platform", []string{"platform"}, map[string]int{"platform": 8000}},
		{"microservices",
			"auth=auth,integrations=integrations,agentkit=agentkit,analytics=analytics,onboarding=onboarding,ml=ml,infrastructure=infrastructure",
			"gateway",
			[]string{"auth", "integrations", "agentkit", "analytics", "onboarding", "ml", "infrastructure"},
			map[string]int{"gateway": 8000, "auth": 8001, "integrations": 8002, "agentkit": 8003, "analytics": 8004,
				"onboarding": 8005, "ml": 8006, "infrastructure": 8007}},
		{"hybrid", "integrations=integrations,analytics=insights,ml=insights,*=platform", "platform",
			[]string{"platform", "integrations", "insights"},
			map[string]int{"platform": 8000, "integrations": 8002, "insights": 8004}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shipped, err := topology.Named(test.name)
			if err != nil {
				t.Fatal(err)
			}
			if got := shipped.String(); got != test.text {
				t.Errorf("String() = %q, want %q", got, test.text)
			}
			if parsed, err := topology.Parse(test.text); err != nil || parsed != shipped {
				t.Errorf("Parse(%q) = %v, %v", test.text, parsed, err)
			}
			if got := shipped.Gateway(); got != test.gateway {
				t.Errorf("Gateway() = %q, want %q", got, test.gateway)
			}
			if got := shipped.Apps(); !slices.Equal(got, test.apps) {
				t.Errorf("Apps() = %v, want %v", got, test.apps)
			}
			for app, want := range test.ports {
				if got, err := shipped.Port(app); err != nil || got != want {
					t.Errorf("Port(%q) = %d, %v, want %d", app, got, err, want)
				}
			}
			if _, err := shipped.Port("elsewhere"); err == nil {
				t.Error("Port of an app-id outside the topology is no error")
			}
		})
	}
	if _, err := topology.Named("serverless"); err == nil || !strings.Contains(err.Error(), "hybrid") {
		t.Errorf("Named of an unknown topology: %v, want an error that lists the known ones", err)
	}
}

func TestParseNamesTheOffendingPair(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "empty"},
		{"  ", "empty"},
		{"auth", `"auth" is not group=app-id`},
		{"auth=platform,", `"" is not group=app-id`},
		{"auth=", `"auth="`},
		{"=platform", `"=platform"`},
		{"billing=platform", `"billing=platform": unknown group`},
		{"auth=platform,auth=auth", `"auth=auth": auth already has the home "platform"`},
		{"*=platform,*=other", `"*=other": * already has the home "platform"`},
		{"auth=Platform", `"auth=Platform": app-id`},
		{"auth=a.b", `"auth=a.b": app-id`},
		{"auth=a=b", `"auth=a=b": app-id`},
		{"auth=-a", `"auth=-a": app-id`},
		{"auth=" + strings.Repeat("a", 64), "at most 63"},
		{"auth=devstack", `"auth=devstack": app-id "devstack" is reserved`},
	}
	for _, test := range tests {
		if _, err := topology.Parse(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Parse(%q): %v, want an error with %q", test.text, err, test.want)
		}
	}
}

func TestGroupWithoutHome(t *testing.T) {
	partial, err := topology.Parse(" auth = platform , integrations=integrations ")
	if err != nil {
		t.Fatal(err)
	}
	if home, err := partial.Home(topology.Auth); err != nil || home != "platform" {
		t.Errorf("Home(auth) = %q, %v", home, err)
	}
	if _, err := partial.Home(topology.ML); !errors.Is(err, topology.ErrNoHome) || !strings.Contains(err.Error(), "ml") {
		t.Errorf("Home(ml): %v, want ErrNoHome naming ml", err)
	}
	if _, err := partial.Home("billing"); err == nil || errors.Is(err, topology.ErrNoHome) {
		t.Errorf("Home(billing): %v, want an unknown group", err)
	}
	if err := partial.Complete(); !errors.Is(err, topology.ErrNoHome) || strings.Contains(err.Error(), "auth") {
		t.Errorf("Complete(): %v, want the five groups without a home", err)
	}
	if got := partial.Hosted(""); got != nil {
		t.Errorf(`Hosted("") = %v, want none`, got)
	}
}

func TestParseGroups(t *testing.T) {
	tests := []struct {
		text string
		want []topology.Group
		err  string
	}{
		{text: ""},
		{text: "none"},
		{text: "all", want: topology.Groups()},
		{text: "ml, analytics", want: []topology.Group{topology.Analytics, topology.ML}},
		{text: "ml,ml", err: "ml is there twice"},
		{text: "ml,", err: `unknown group ""`},
		{text: "all,ml", err: `unknown group "all"`},
		{text: "billing", err: "known: auth,integrations,agentkit,analytics,onboarding,ml,infrastructure"},
	}
	for _, test := range tests {
		got, err := topology.ParseGroups(test.text)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("ParseGroups(%q): %v, want an error with %q", test.text, err, test.err)
			}
			continue
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("ParseGroups(%q) = %v, %v, want %v", test.text, got, err, test.want)
		}
		if again, err := topology.ParseGroups(topology.FormatGroups(got)); err != nil || !slices.Equal(again, got) {
			t.Errorf("ParseGroups(FormatGroups(%v)) = %v, %v", got, again, err)
		}
	}
}

func TestPartitions(t *testing.T) {
	seen := map[topology.Topology]bool{}
	gateways := map[string]int{}
	for partition := range topology.Partitions() {
		if seen[partition] {
			t.Errorf("%s comes twice", partition)
		}
		seen[partition] = true
		gateways[partition.Gateway()]++
		if err := partition.Complete(); err != nil {
			t.Errorf("%s: %v", partition, err)
		}
		hosted := 0
		for _, app := range partition.Apps() {
			hosted += len(partition.Hosted(app))
		}
		if hosted != len(topology.Groups()) {
			t.Errorf("%s: %d groups hosted", partition, hosted)
		}
		if parsed, err := topology.Parse(partition.String()); err != nil || parsed != partition {
			t.Errorf("Parse(%s) = %s, %v", partition, parsed, err)
		}
	}
	if len(seen) != 877 {
		t.Errorf("%d partitions, want 877 (Bell number of 7)", len(seen))
	}
	// Auth alone leaves the Bell number of 6 for the others.
	if gateways["gateway"] != 203 || gateways["platform"] != 674 {
		t.Errorf("gateways %v", gateways)
	}
	count := 0
	for range topology.Partitions() {
		if count++; count == 3 {
			break
		}
	}
	if count != 3 {
		t.Errorf("stopped after %d", count)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"*=platform", "auth=a,*=b", "ml=insights,analytics=insights", "auth=a,auth=b", "=", ",", "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := topology.Parse(text)
		if err != nil {
			return
		}
		again, err := topology.Parse(parsed.String())
		if err != nil || again != parsed {
			t.Fatalf("Parse(%q) = %q, which parses to %q, %v", text, parsed, again, err)
		}
		if again.String() != parsed.String() {
			t.Fatalf("%q is not canonical: %q", parsed, again)
		}
		for _, app := range parsed.Apps() {
			if _, err := parsed.Port(app); err != nil {
				t.Fatal(err)
			}
		}
	})
}
