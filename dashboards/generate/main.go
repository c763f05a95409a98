// Command generate writes the dashboards of Grafana into the folder that it is given: make generate.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate <folder>")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// write writes every dashboard and removes those that are none any more.
func write(folder string) error {
	made, err := files()
	if err != nil {
		return err
	}
	there, err := filepath.Glob(filepath.Join(folder, "*.[js]*"))
	if err != nil {
		return fmt.Errorf("list %s: %w", folder, err)
	}
	for _, path := range there {
		if made[filepath.Base(path)] == nil {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove a former dashboard: %w", err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if err := os.WriteFile(filepath.Join(folder, name), made[name], 0o644); err != nil {
			return fmt.Errorf("write a dashboard: %w", err)
		}
	}
	return nil
}

// files are the dashboards as JSON, and the picture of the overview's layout, by file name.
func files() (map[string][]byte, error) {
	made := map[string][]byte{}
	for name, b := range boards() {
		d, err := b.Build()
		if err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", name, err)
		}
		number(&d)
		var out bytes.Buffer
		to := json.NewEncoder(&out)
		to.SetEscapeHTML(false)
		to.SetIndent("", "  ")
		if err := to.Encode(d); err != nil {
			return nil, fmt.Errorf("encode dashboard %s: %w", name, err)
		}
		made[name+".json"] = out.Bytes()
	}
	var err error
	made["overview.svg"], err = layout(made["overview.json"])
	return made, err
}
