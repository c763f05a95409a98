// Command dockerfile reads a Dockerfile with BuildKit's parser and writes its stages as JSON, every instruction as Docker
// understands it. What BuildKit warns of is an error.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Instruction is one of a stage, with the fields of its kind.
type Instruction struct {
	Name   string
	Fields instructions.Command
}

// Stage is what lies between two FROM.
type Stage struct {
	Name, Base, Platform string
	Instructions         []Instruction
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "dockerfile:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return err
	}
	var wrong []error
	for _, warning := range parsed.Warnings {
		wrong = append(wrong, errors.New(warning.Short))
	}
	lint := linter.New(&linter.Config{Warn: func(rule, description, _, message string, _ []parser.Range) {
		wrong = append(wrong, fmt.Errorf("%s: %s: %s", rule, description, message))
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err := errors.Join(append(wrong, err)...); err != nil {
		return err
	}
	var all []Stage
	for _, s := range stages {
		stage := Stage{Name: s.Name, Base: s.BaseName, Platform: s.Platform}
		for _, c := range s.Commands {
			stage.Instructions = append(stage.Instructions, Instruction{c.Name(), c})
		}
		all = append(all, stage)
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}
