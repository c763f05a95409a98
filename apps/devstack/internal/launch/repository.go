// Package launch starts the platform under the real Dapr CLI and does what the CLI does not: it passes on
// Ctrl-C, notices an application that dies, and leaves nothing behind.
package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
)

// runVariable marks every process of a run with its data directory: the environment of whoever starts the
// CLI reaches applications and sidecars, and theirs their children.
const runVariable = "TANDEM_RUN"

// keptVariable marks the devstack that outlives runs, and its children.
const keptVariable = "TANDEM_DEVSTACK_KEPT"

// oldest is the first runtime that streams across sidecars, major and minor.
var oldest = [2]int{1, 17}

// Repository is where the programs and the data of a run are.
type Repository struct {
	// Root is the absolute path of the repository, without symbolic links.
	Root string
	// Data is the absolute path of the directory that runs are recorded in.
	Data string
}

// FindRepository looks for the repository in dir and above it; data is relative to its root.
func FindRepository(dir, data string) (Repository, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Repository{}, fmt.Errorf("find the repository: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return Repository{}, fmt.Errorf("find the repository: %w", err)
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "dapr", "runtime")); err == nil {
			if !filepath.IsAbs(data) {
				data = filepath.Join(root, data)
			}
			return Repository{Root: root, Data: data}, nil
		}
		if root == filepath.Dir(root) {
			return Repository{}, fmt.Errorf("find the repository: neither %s nor a directory above it has dapr/runtime", dir)
		}
	}
}

func (r Repository) path(elements ...string) string {
	return filepath.Join(append([]string{r.Data}, elements...)...)
}

// owns reports whether a process runs one of the repository's own programs.
func (r Repository) owns(p process.Process) bool {
	own := []string{
		filepath.Join(r.Root, "bin", "platform"), filepath.Join(r.Root, "bin", "devstack"),
		filepath.Join(r.Root, ".dapr", "bin", "dapr"), filepath.Join(r.Root, ".dapr", "bin", "daprd"),
		filepath.Join(r.Root, ".dapr", "bin", "placement"), filepath.Join(r.Root, ".dapr", "bin", "scheduler"),
	}
	return p.Program != "" && slices.Contains(own, p.Program)
}

// cli is the Dapr CLI of the repository, or the installed one, and what its environment must say about
// where daprd is.
func (r Repository) cli(ctx context.Context, installed bool) (path string, environment []string, err error) {
	if !installed {
		path = filepath.Join(r.Root, ".dapr", "bin", "dapr")
		for _, program := range []string{path, filepath.Join(r.Root, ".dapr", "bin", "daprd")} {
			if _, err := os.Stat(program); err != nil {
				return "", nil, fmt.Errorf("find the Dapr CLI and sidecar: %w (make build builds them)", err)
			}
		}
		return path, []string{"DAPR_RUNTIME_PATH=" + r.Root}, nil
	}
	if path, err = exec.LookPath("dapr"); err != nil {
		return "", nil, fmt.Errorf("find the installed Dapr CLI: %w (without DAPR=installed the repository's own is used)", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", nil, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	return path, nil, checkRuntime(string(said))
}

var runtimeVersion = regexp.MustCompile(`Runtime version: v?(\d+)\.(\d+)`)

// checkRuntime reads what `dapr --version` says.
func checkRuntime(said string) error {
	found := runtimeVersion.FindStringSubmatch(said)
	if found == nil {
		return errors.New("the installed Dapr has no runtime of a known version: dapr init installs one, " +
			"and without DAPR=installed the repository's own is used")
	}
	var have [2]int
	for i := range have {
		have[i], _ = strconv.Atoi(found[i+1]) // digits by the pattern
	}
	if slices.Compare(have[:], oldest[:]) < 0 {
		return fmt.Errorf("the installed Dapr runtime is %d.%d, and before %d.%d it does not stream across sidecars: "+
			"dapr upgrade brings a newer one, and without DAPR=installed the repository's own is used",
			have[0], have[1], oldest[0], oldest[1])
	}
	return nil
}
