package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/doctor"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/topology"
)

// runDoctor prints what would go wrong with a run file, or goes wrong with its run. It is an error when one of the
// findings is.
func runDoctor(arguments []string) error {
	flags := flag.NewFlagSet("platform doctor", flag.ContinueOnError)
	file := flags.String("run-file", "", "run file of the Dapr CLI; without it that of the system that runs, or dapr/monolith.yaml")
	machine := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *file == "" {
		*file = runFileOf(ctx)
		fmt.Fprintln(os.Stderr, "looking at "+*file+" (--run-file names another)")
	}
	all := doctor.Examine(ctx, doctor.Options{
		Root: repositoryOf(*file), RunFile: *file, Environ: os.Environ(), Installed: os.Getenv("DAPR") == "installed",
		Groups: specs(builders(config.Config{})), Machine: doctor.This(),
		HTTP: &http.Client{Timeout: 3 * time.Second}, Now: time.Now, NewID: newID,
	})
	write := doctor.Print
	if *machine {
		write = doctor.PrintJSON
	}
	if err := write(os.Stdout, all); err != nil {
		return fmt.Errorf("print the findings: %w", err)
	}
	if n := doctor.Errors(all); n > 0 {
		return fmt.Errorf("errors found: %d", n)
	}
	return nil
}

// runFileOf is the run file of the shipped topology that answers on the gateway's port, or the monolith's.
func runFileOf(ctx context.Context) string {
	name := topology.Monolith
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var view host.TopologyView
	if r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api/topology", topology.GatewayPort), nil); err == nil {
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = json.NewDecoder(resp.Body).Decode(&view) // whatever answers there, if it is no topology
			resp.Body.Close()
		}
	}
	running, err := topology.Parse(view.Topology)
	for _, shipped := range topology.Names() {
		if t, named := topology.Named(shipped); err == nil && named == nil && t == running {
			name = shipped
		}
	}
	return filepath.Join("dapr", name+".yaml")
}

// repositoryOf is the first folder above the run file that has dapr/runtime, where its programs are; without one, the
// working directory.
func repositoryOf(file string) string {
	path, err := filepath.Abs(file)
	if err != nil {
		return "."
	}
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "dapr", "runtime")); err == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			here, err := os.Getwd()
			if err != nil {
				return "."
			}
			return here
		}
	}
}
