package main

import (
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// printed is what f writes to standard output and standard error.
func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, diagnostics := os.Stdout, os.Stderr
	defer func() { os.Stdout, os.Stderr = out, diagnostics }()
	os.Stdout, os.Stderr = w, w
	text := make(chan string)
	go func() {
		all, _ := io.ReadAll(r)
		text <- string(all)
	}()
	f()
	w.Close()
	return <-text
}

// Help is what somebody asked for, so it is no failure, and no command does anything else then.
func TestEveryCommandHelps(t *testing.T) {
	asking := [][]string{{"help"}, {"--help"}, {"-h"}, {"keys", "rotate", "--help"}, {"legal", "publish", "-h"}}
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		asking = append(asking, []string{name, "--help"}, []string{name, "-h"})
	}
	for _, arguments := range asking {
		status := -1
		text := printed(t, func() { status = obey(arguments) })
		if status != 0 || !strings.Contains(text, "platform") {
			t.Errorf("platform %s: exit %d, %q", strings.Join(arguments, " "), status, text)
		}
	}
	for _, arguments := range [][]string{nil, {"no-such-command"}} {
		status := 0
		printed(t, func() { status = obey(arguments) })
		if status != 2 {
			t.Errorf("platform %v: exit %d; want 2", arguments, status)
		}
	}
}
