package doctor

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine answers what cannot be read from the repository.
type Machine struct {
	// Taken tells whether somebody listens on a port of loopback.
	Taken func(port int) bool
	// Holder is the process that listens on a port, where it may be seen.
	Holder func(port int) (Process, bool)
	// Free is the space for data that is left on the disk of an existing folder, in bytes.
	Free func(folder string) (uint64, error)
	// Executable is the path of a program: of its name in PATH, or of a path if it can be executed.
	Executable func(program string) (string, error)
	// Version is what a program says of its version when it is called with --version.
	Version func(ctx context.Context, program string) (string, error)
}

// Process is a running program.
type Process struct {
	PID int
	// Program is the path of its executable, or only its name.
	Program string
}

func (p Process) String() string {
	return fmt.Sprintf("%s (process %d)", filepath.Base(p.Program), p.PID)
}

const versionTimeout = 10 * time.Second

// This is the machine that the process runs on.
func This() Machine {
	return Machine{Taken: taken, Holder: holder, Free: free, Executable: exec.LookPath, Version: version}
}

// taken tries both ways: some systems allow to listen beside one who listens on every address.
func taken(port int) bool {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return true
	}
	if listener.Close() != nil {
		return true
	}
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = connection.Close() // nothing was written to it
	return true
}

func free(folder string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", folder, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}

func version(ctx context.Context, program string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	said, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	return strings.TrimSpace(string(said)), nil
}
