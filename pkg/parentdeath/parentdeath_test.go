package parentdeath_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/parentdeath"
)

// The test binary plays three parts: the test, a parent, and the parent's child.
const part = "PARENTDEATH_TEST_PART"

func TestMain(m *testing.M) {
	switch os.Getenv(part) {
	case "parent":
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), part+"=child")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			panic(err)
		}
		time.Sleep(time.Minute) // until it is killed; an empty select would end as a deadlock
	case "child":
		terminated := make(chan os.Signal, 8)
		signal.Notify(terminated, syscall.SIGTERM)
		parent := os.Getppid()
		if os.Getenv("PARENTDEATH_TEST_GONE") != "" {
			parent = 1 << 30 // as if the parent had ended before the call
		}
		if err := parentdeath.Terminate(context.Background(), parent); err != nil {
			panic(err)
		}
		fmt.Println("watching", os.Getpid())
		<-terminated
		fmt.Println("told")
		os.Exit(0)
	default:
		os.Exit(m.Run())
	}
}

func TestTheChildOfAKilledParentIsTold(t *testing.T) {
	parent, lines := start(t, "parent", "")
	watching := next(t, lines)
	pid, err := strconv.Atoi(strings.TrimPrefix(watching, "watching "))
	if err != nil {
		t.Fatalf("first line of the child: %q", watching)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if line := next(t, lines); line != "told" {
		t.Errorf("after its parent was killed the child said %q, want told", line)
	}
}

func TestAParentThatHasGoneAlreadyIsNoticed(t *testing.T) {
	_, lines := start(t, "child", "PARENTDEATH_TEST_GONE=yes")
	for _, want := range []string{"watching", "told"} {
		if line := next(t, lines); !strings.HasPrefix(line, want) {
			t.Errorf("the child said %q, want %s", line, want)
		}
	}
}

func TestAsked(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "": false, "false": false} {
		t.Setenv(parentdeath.Variable, value)
		if got := parentdeath.Asked(); got != want {
			t.Errorf("%s=%q: asked %v, want %v", parentdeath.Variable, value, got, want)
		}
	}
}

func start(t *testing.T, as, extra string) (*exec.Cmd, <-chan string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), part+"="+as, extra)
	// A pipe of our own: Cmd.Wait would close one of exec's while the grandchild still writes.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(read); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		read.Close()
	})
	return cmd, lines
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case line := <-lines:
		return line
	case <-time.After(10 * time.Second):
		t.Fatal("no line within 10 s")
		return ""
	}
}
