package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tandemhq/tandem/pkg/skip"
	"github.com/tandemhq/tandem/test/system"
)

var build struct {
	sync.Mutex
	failed map[string]error
}

// program is the path of one that programs/build.sh builds. Where it cannot be built the test is skipped, loudly; in CI that
// fails.
func program(t *testing.T, set, name string) string {
	t.Helper()
	build.Lock()
	defer build.Unlock()
	root := system.Repository()
	if _, tried := build.failed[set]; !tried {
		if build.failed == nil {
			build.failed = map[string]error{}
		}
		script := exec.Command(filepath.Join(root, "test/deploy/programs/build.sh"), set)
		script.Stdout, script.Stderr = os.Stderr, os.Stderr
		build.failed[set] = script.Run()
	}
	if err := build.failed[set]; err != nil {
		skip.Missing(t, fmt.Sprintf("%s cannot be built from its module: %v", name, err))
	}
	path := filepath.Join(root, "bin/deploy", name)
	look(t, path)
	look(t, filepath.Join(root, "deploy"))
	return path
}

// look reads the names and times of what programs read for the test: go test would take its last result for the one of now, as it knows only of
// files that the test itself has looked at.
func look(t *testing.T, path string) {
	t.Helper()
	err := filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// output is what a program writes to standard output; its end with an error fails the test.
func output(t *testing.T, c *exec.Cmd) []byte {
	t.Helper()
	var failure bytes.Buffer
	c.Stderr = &failure
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(c.Path), err, failure.String())
	}
	return out
}

func decode[T any](t *testing.T, content []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(content, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(system.Repository(), path))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
