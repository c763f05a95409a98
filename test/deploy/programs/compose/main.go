// Command compose reads compose files as Docker does, strictly, and writes the project of each as JSON: an array in the order
// of the arguments. An argument may be several files that are laid over each other, separated by colons. What they interpolate comes from
// the environment.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, files []string) error {
	var projects []*types.Project
	for _, file := range files {
		// Services of profiles too; without normalization, which needs no check and fills in defaults.
		options, err := cli.NewProjectOptions(strings.Split(file, ":"), cli.WithOsEnv, cli.WithProfiles([]string{"*"}), cli.WithNormalization(false))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		project, err := options.LoadProject(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		projects = append(projects, project)
	}
	return json.NewEncoder(os.Stdout).Encode(projects)
}
