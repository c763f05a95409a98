package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Environment is what checks look at.
type Environment struct {
	Options
	// Apps are those of the run file, in its order.
	Apps []App
	// Components are those of every resource folder of the run file, by their file.
	Components []Component
	// Unreadable says what could not be read.
	Unreadable []Finding
	// Sidecars are what answered at the sidecars' HTTP ports, by app-id. It is empty when nothing runs.
	Sidecars map[string]Sidecar
}

// App is an application of the run file with what it has in common with the others filled in. Paths are absolute.
type App struct {
	ID        string
	Dir       string
	Ports     map[string]int // what listens → port
	HTTPPort  int            // of the sidecar
	AppPort   int
	Env       map[string]string // of the run file only
	Resources []string
	Command   []string
	APIListen string
	// Config is the Dapr configuration's file, and Resolver the name resolution it says.
	Config   string
	Resolver string
	// Hosts are the groups that TANDEM_GROUPS names, where it can be read.
	Hosts []topology.Group
}

// Platform tells whether an app is the platform's, and not the outside world of a laptop.
func (a App) Platform() bool { return a.ID != topology.DevstackApp }

// Component is a Dapr component.
type Component struct {
	File   string
	Name   string
	Type   string
	Scopes []string
	fields map[string]string
}

// Field returns a metadata field that is given as a value; names are not case-sensitive, as in Dapr.
func (c Component) Field(name string) string { return c.fields[strings.ToLower(name)] }

// LoadedBy tells whether an app's sidecar loads the component.
func (c Component) LoadedBy(a App) bool {
	return slices.Contains(a.Resources, filepath.Dir(c.File)) && (len(c.Scopes) == 0 || slices.Contains(c.Scopes, a.ID))
}

type runFile struct {
	Common shared `yaml:"common"`
	Apps   []struct {
		shared   `yaml:",inline"`
		ID       string   `yaml:"appID"`
		Dir      string   `yaml:"appDirPath"`
		Port     int      `yaml:"appPort"`
		HTTP     int      `yaml:"daprHTTPPort"`
		GRPC     int      `yaml:"daprGRPCPort"`
		Internal int      `yaml:"daprInternalGRPCPort"`
		Metrics  int      `yaml:"metricsPort"`
		Command  []string `yaml:"command"`
	} `yaml:"apps"`
}

type shared struct {
	Resources []string          `yaml:"resourcesPaths"`
	Config    string            `yaml:"configFilePath"`
	APIListen string            `yaml:"apiListenAddresses"`
	Env       map[string]string `yaml:"env"`
}

func read(ctx context.Context, o Options) Environment {
	e := Environment{Options: o, Sidecars: map[string]Sidecar{}}
	if err := e.readRunFile(); err != nil {
		e.cannotRead(err, "the Dapr CLI cannot run it either", "write it again with `platform render`, or name another with --run-file")
		return e
	}
	folders := map[string]bool{}
	for i := range e.Apps {
		a := &e.Apps[i]
		for _, folder := range a.Resources {
			folders[folder] = true
		}
		var err error
		if a.Resolver, err = readResolver(a.Config); err != nil {
			e.cannotRead(err, "the sidecar of "+a.ID+" does not start", "write it again with `platform render`")
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		e.readComponents(folder)
	}
	for _, a := range e.Apps {
		if s, answers := ask(ctx, o, a); answers {
			e.Sidecars[a.ID] = s
		}
	}
	return e
}

func (e *Environment) cannotRead(err error, why, fix string) {
	e.Unreadable = append(e.Unreadable, Finding{Error, err.Error(), why, fix})
}

// readRunFile resolves paths as the CLI does: those in common are relative to the run file, an app's to its
// appDirPath, and that one to the run file.
func (e *Environment) readRunFile() error {
	path, err := filepath.Abs(e.RunFile)
	if err != nil {
		return fmt.Errorf("read the run file: %w", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the run file: %w", err)
	}
	var f runFile
	if err := yaml.Unmarshal(content, &f); err != nil {
		return fmt.Errorf("read the run file %s: %w", e.RunFile, err)
	}
	if len(f.Apps) == 0 {
		return fmt.Errorf("the run file %s has no apps", e.RunFile)
	}
	here := filepath.Dir(path)
	for i, from := range f.Apps {
		if from.ID == "" {
			return fmt.Errorf("app %d of the run file %s has no appID", i+1, e.RunFile)
		}
		a := App{
			ID: from.ID, Dir: below(here, from.Dir), HTTPPort: from.HTTP, AppPort: from.Port,
			Ports: map[string]int{
				"app": from.Port, "sidecar HTTP": from.HTTP, "sidecar gRPC": from.GRPC,
				"sidecar internal gRPC": from.Internal, "sidecar metrics": from.Metrics,
			},
			Env: map[string]string{}, Command: from.Command,
			APIListen: from.APIListen, Config: below(here, f.Common.Config),
		}
		maps.Copy(a.Env, f.Common.Env)
		maps.Copy(a.Env, from.Env)
		if a.APIListen == "" {
			a.APIListen = f.Common.APIListen
		}
		if from.Config != "" {
			a.Config = below(a.Dir, from.Config)
		}
		base, folders := a.Dir, from.Resources
		if len(folders) == 0 {
			base, folders = here, f.Common.Resources
		}
		for _, folder := range folders {
			a.Resources = append(a.Resources, below(base, folder))
		}
		a.Hosts, _ = topology.ParseGroups(a.Env["TANDEM_GROUPS"]) // places says what is wrong with it
		e.Apps = append(e.Apps, a)
	}
	return nil
}

func below(folder, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// resource is a document of a resource folder or configuration file.
type resource struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Type     string `yaml:"type"`
		Metadata []struct {
			Name  string `yaml:"name"`
			Value any    `yaml:"value"`
		} `yaml:"metadata"`
		NameResolution struct {
			Component string `yaml:"component"`
		} `yaml:"nameResolution"`
	} `yaml:"spec"`
	Scopes []string `yaml:"scopes"`
}

func readResources(path string) ([]resource, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a Dapr resource: %w", err)
	}
	var all []resource
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var r resource
		switch err := decoder.Decode(&r); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("read the Dapr resource %s: %w", path, err)
		}
		all = append(all, r)
	}
}

func readResolver(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	all, err := readResources(path)
	for _, r := range all {
		if r.Kind == "Configuration" {
			return r.Spec.NameResolution.Component, nil
		}
	}
	return "", err
}

func (e *Environment) readComponents(folder string) {
	const why, fix = "its sidecars do not start", "write it again with `platform render`"
	entries, err := os.ReadDir(folder)
	if err != nil {
		e.cannotRead(fmt.Errorf("list a resource folder: %w", err), why, fix)
	}
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		all, err := readResources(path)
		if err != nil {
			e.cannotRead(err, why, fix)
		}
		for _, r := range all {
			if r.Kind != "Component" {
				continue
			}
			c := Component{File: path, Name: r.Metadata.Name, Type: r.Spec.Type, Scopes: r.Scopes, fields: map[string]string{}}
			for _, field := range r.Spec.Metadata {
				if field.Value != nil {
					c.fields[strings.ToLower(field.Name)] = fmt.Sprint(field.Value)
				}
			}
			e.Components = append(e.Components, c)
		}
	}
}

// environ is the environment of an app: the caller's, the run file's over it, and what the CLI adds.
func (e Environment) environ(a App) []string {
	all := slices.Clone(e.Environ)
	for name, value := range a.Env {
		all = append(all, name+"="+value)
	}
	return append(all, "APP_ID="+a.ID, "APP_PORT="+strconv.Itoa(a.AppPort), "DAPR_HTTP_PORT="+strconv.Itoa(a.HTTPPort))
}

// variable is a variable of the caller's environment.
func (e Environment) variable(name string) string {
	for _, entry := range slices.Backward(e.Environ) {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// setting is a variable as an app of the platform has it: the run file's, or the caller's.
func (e Environment) setting(a App, name string) string {
	if value, found := a.Env[name]; found {
		return value
	}
	return e.variable(name)
}

func (e Environment) production(a App) bool {
	return e.setting(a, "TANDEM_ENV") == string(config.Production)
}

func (e Environment) app(id string) (App, bool) {
	i := slices.IndexFunc(e.Apps, func(a App) bool { return a.ID == id })
	if i < 0 {
		return App{}, false
	}
	return e.Apps[i], true
}

// platform are the apps of the platform.
func (e Environment) platform() []App {
	return slices.DeleteFunc(slices.Clone(e.Apps), func(a App) bool { return !a.Platform() })
}

// short is a path as a person in the repository would write it.
func (e Environment) short(path string) string {
	if relative, err := filepath.Rel(e.Root, path); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return path
}
