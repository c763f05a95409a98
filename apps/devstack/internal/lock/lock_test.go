package lock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/lock"
)

func TestOneHolderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "a.lock")
	first, err := lock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	var taken *lock.TakenError
	if _, err := lock.Try(path); !errors.As(err, &taken) || taken.PID != os.Getpid() || taken.Path != path {
		t.Errorf("the second got %v, want who holds it", err)
	}
	if holder := lock.Holder(path); holder != os.Getpid() {
		t.Errorf("holder %d, want %d", holder, os.Getpid())
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := lock.Try(path)
	if err != nil {
		t.Fatalf("after its release: %v", err)
	}
	if err := second.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestWaitingForTheHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	first, err := lock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	acquired := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		second, err := lock.Acquire(ctx, path)
		if err == nil {
			err = second.Release()
		}
		acquired <- err
	}()
	select {
	case err := <-acquired:
		t.Fatalf("acquired while it was held: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-acquired; err != nil {
		t.Error(err)
	}
}
