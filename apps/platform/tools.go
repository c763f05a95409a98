package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
)

// listGroups prints what groups there are and whom each calls.
func listGroups([]string) error { //nolint:unparam // the form of every command
	for _, s := range specs(builders(config.Config{})) {
		calls := make([]string, len(s.Calls))
		for i, callee := range s.Calls {
			calls[i] = string(callee)
		}
		fmt.Printf("%-15s port %d  calls %-22s %s\n", s.Name, s.Name.Port(), orNone(strings.Join(calls, ", ")), s.Summary)
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// declarations are what rendering must know of the groups.
func declarations() []render.Declaration {
	var list []render.Declaration
	for _, s := range specs(builders(config.Config{})) {
		list = append(list, render.Declaration{Name: s.Name, Calls: s.Calls, Consumes: s.Topics(), Hosts: s.Hosts})
	}
	return list
}

// renderFiles writes the files of the shipped topologies, or of one that is given, into a folder.
func renderFiles(arguments []string) error {
	flags := flag.NewFlagSet("platform render", flag.ContinueOnError)
	check := flags.Bool("check", false, "write nothing; fail where the files differ")
	into := flags.String("into", ".", "folder to write to: the repository, or a folder of a test")
	custom := flags.String("topology", "", "render this topology, in the form of TANDEM_TOPOLOGY, instead of the shipped ones")
	name := flags.String("name", "custom", "name of the files of --topology")
	offset := flags.Int("port-offset", 0, "added to every port")
	data := flags.String("data", "", "folder of all data (default .tandem)")
	ratio := flags.Float64("trace-ratio", 1, "share of new traces that apps and sidecars record, above 0 and up to 1")
	namespace := flags.String("namespace", "", "Kubernetes namespace of the apps (default tandem)")
	bin := flags.String("bin", "", "folder of the binaries (default ./bin)")
	var production []string
	flags.Func("production", "render these of components/production for a cluster, e.g. state-redis,events-kafka,consumer-kafka,secrets-vault,mail-smtp "+
		"(default "+strings.Join(render.DefaultProduction(), ",")+")", func(names string) error {
		production = strings.Split(names, ",")
		return nil
	})
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	homes := map[string]topology.Topology{}
	if *custom != "" {
		t, err := topology.Parse(*custom)
		if err != nil {
			return err
		}
		homes[*name] = t
	} else {
		for _, shipped := range topology.Names() {
			t, err := topology.Named(shipped)
			if err != nil {
				return err
			}
			homes[shipped] = t
		}
	}
	var wrong []error
	for name, t := range homes {
		files, err := render.Files(t, render.Options{
			Name: name, PortOffset: *offset, DataDir: *data, BinDir: *bin, TraceRatio: *ratio, Namespace: *namespace, Production: production, Groups: declarations(),
		})
		switch {
		case err != nil:
		case *check:
			err = render.Check(*into, files)
		default:
			err = render.Write(*into, files)
		}
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// healthcheck asks the process on APP_PORT whether it is ready.
func healthcheck([]string) error {
	c, err := config.Parse(os.Environ())
	if err != nil {
		return err
	}
	address := c.Listen
	if ip := net.ParseIP(address); ip != nil && ip.IsUnspecified() { // a place to listen at and none to call
		address = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, strconv.Itoa(c.AppPort))+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", resp.Status)
	}
	return nil
}

// printConfig prints the configuration reference as a Markdown table, or puts it between the markers of
// a Markdown file.
func printConfig(arguments []string) error {
	flags := flag.NewFlagSet("platform config", flag.ContinueOnError)
	into := flags.String("into", "", "put the table between the markers of this file instead of printing it")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *into == "" {
		fmt.Print(configTable())
		return nil
	}
	content, err := os.ReadFile(*into)
	if err != nil {
		return err
	}
	fresh, err := withConfigTable(string(content))
	if err != nil {
		return fmt.Errorf("%s: %w", *into, err)
	}
	return os.WriteFile(*into, []byte(fresh), 0o644)
}

func configTable() string {
	var table strings.Builder
	table.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range config.Reference() {
		value := ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.Name, value, s.Doc)
	}
	return table.String()
}

const (
	configBegin = "<!-- config:begin -->\n"
	configEnd   = "<!-- config:end -->\n"
)

// withConfigTable is text with the table of now between the markers.
func withConfigTable(text string) (string, error) {
	before, rest, begins := strings.Cut(text, configBegin)
	_, after, ends := strings.Cut(rest, configEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the lines %s and %s are not there", strings.TrimSpace(configBegin), strings.TrimSpace(configEnd))
	}
	return before + configBegin + configTable() + configEnd + after, nil
}

func printVersion([]string) error {
	fmt.Println(version)
	return nil
}
