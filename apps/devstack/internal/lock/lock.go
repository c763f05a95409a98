// Package lock makes sure that one process at a time uses a data directory.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// retry is how often a waiting process tries again. The kernel releases a lock when its holder dies.
const retry = 50 * time.Millisecond

// Lock is a held lock.
type Lock struct{ file *os.File }

// TakenError says who holds a lock.
type TakenError struct {
	Path string
	// PID is the holder's process id, 0 if it did not say.
	PID int
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("%s is held by process %d", e.Path, e.PID)
}

// Acquire takes the lock at path. While another process has it, it waits until ctx ends and then returns
// a *TakenError.
func Acquire(ctx context.Context, path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(&TakenError{Path: path, PID: Holder(path)}, file.Close())
		case <-time.After(retry):
		}
	}
	if err := errors.Join(file.Truncate(0), writePID(file)); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return &Lock{file}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.file.Close() }

func writePID(file *os.File) error {
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

// Holder is the process id of whoever took the lock at path last, 0 if nobody did.
func Holder(path string) int {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(content))) // 0 when it says nothing
	return pid
}

// Try takes the lock at path if nobody has it, or returns a *TakenError.
func Try(path string) (*Lock, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return Acquire(ctx, path)
}
