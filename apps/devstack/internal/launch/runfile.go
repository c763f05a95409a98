package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
)

// devstackApp is the app-id of devstack in every run file.
const devstackApp = "devstack"

// runFile is what the launcher needs to know of a multi-app run file of the Dapr CLI.
type runFile struct {
	Path string `yaml:"-"`
	Name string `yaml:"name"`
	Apps []app  `yaml:"apps"`
}

type app struct {
	ID           string            `yaml:"appID"`
	Dir          string            `yaml:"appDirPath"`
	Port         int               `yaml:"appPort"`
	HTTPPort     int               `yaml:"daprHTTPPort"`
	GRPCPort     int               `yaml:"daprGRPCPort"`
	InternalPort int               `yaml:"daprInternalGRPCPort"`
	MetricsPort  int               `yaml:"metricsPort"`
	Env          map[string]string `yaml:"env"`
	Command      []string          `yaml:"command"`
}

// readRunFile reads a run file. Directories become absolute as the CLI makes them.
func readRunFile(path string) (runFile, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return runFile{}, fmt.Errorf("read the run file: %w", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return runFile{}, fmt.Errorf("read the run file: %w", err)
	}
	f := runFile{Path: path}
	if err := yaml.Unmarshal(content, &f); err != nil {
		return runFile{}, fmt.Errorf("read the run file %s: %w", path, err)
	}
	if len(f.Apps) == 0 {
		return runFile{}, fmt.Errorf("read the run file %s: it has no apps", path)
	}
	for i := range f.Apps {
		a := &f.Apps[i]
		if a.ID == "" || a.Port == 0 {
			return runFile{}, fmt.Errorf("read the run file %s: app %d has no appID or no appPort", path, i+1)
		}
		if !filepath.IsAbs(a.Dir) {
			a.Dir = filepath.Join(filepath.Dir(path), a.Dir)
		}
	}
	return f, nil
}

// gateway is the app that answers for all: the one that says so, or the first that is not devstack.
func (f runFile) gateway() (app, bool) {
	var first *app
	for i, a := range f.Apps {
		if a.ID == devstackApp {
			continue
		}
		if a.Env["TANDEM_GATEWAY"] == "true" {
			return a, true
		}
		if first == nil {
			first = &f.Apps[i]
		}
	}
	if first == nil {
		return app{}, false
	}
	return *first, true
}

// devstack returns the settings that devstack will have, if the run file starts one.
func (f runFile) devstack() (settings.Settings, bool) {
	for _, a := range f.Apps {
		if a.ID != devstackApp {
			continue
		}
		s := settings.Settings{Host: "127.0.0.1", Port: a.Port, Data: a.Env["TANDEM_DATA"]}
		if port, err := strconv.Atoi(a.Env["TANDEM_DEVSTACK_PORT"]); err == nil {
			s.Port = port
		}
		if s.Data == "" {
			s.Data = ".tandem"
		}
		if !filepath.IsAbs(s.Data) {
			s.Data = filepath.Join(a.Dir, s.Data)
		}
		return s, true
	}
	return settings.Settings{}, false
}

// ports lists every fixed port of the run, with what is to listen there.
func (f runFile) ports() map[int]string {
	all := map[int]string{}
	if s, found := f.devstack(); found {
		all = s.Ports()
	}
	for _, a := range f.Apps {
		for port, use := range map[int]string{
			a.Port:         a.ID,
			a.HTTPPort:     a.ID + "'s sidecar, HTTP",
			a.GRPCPort:     a.ID + "'s sidecar, gRPC",
			a.InternalPort: a.ID + "'s sidecar, internal gRPC",
			a.MetricsPort:  a.ID + "'s sidecar, metrics",
		} {
			if port > 0 && all[port] == "" {
				all[port] = use
			}
		}
	}
	return all
}

// log is the newest file that the CLI writes the output of an app ("app") or of its sidecar ("daprd") to,
// or "" when there is none.
func (a app) log(of string) string {
	files, err := filepath.Glob(filepath.Join(a.Dir, ".dapr", "logs", a.ID+"_"+of+"_*.log"))
	if err != nil || len(files) == 0 {
		return ""
	}
	return files[len(files)-1] // named by time
}
