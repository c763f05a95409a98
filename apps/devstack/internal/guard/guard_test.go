package guard_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/guard"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/parentdeath"
)

// The test binary plays the guard's parent, a guard and its children.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 {
		os.Exit(m.Run())
	}
	switch part, dir := os.Args[1], os.Args[2]; part {
	case "child":
		child(dir, os.Args[3])
	case "failing":
		fmt.Println("first line")
		fmt.Println("address already in use")
		os.Exit(3)
	case "guard":
		hold(dir)
	case "parent":
		cmd := exec.Command(os.Args[0], "guard", dir)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		time.Sleep(time.Minute) // until it is killed; an empty select would end as a deadlock
	default:
		os.Exit(m.Run())
	}
}

// child appends to the journal when it starts and when it stops, and takes the second SIGTERM for an
// order to give up, as Dapr's services do.
func child(dir, name string) {
	terminated := make(chan os.Signal, 8)
	signal.Notify(terminated, syscall.SIGTERM)
	journal(dir, name+" started "+strconv.Itoa(os.Getpid()))
	<-terminated
	select {
	case <-terminated:
		journal(dir, name+" aborted")
		os.Exit(1)
	case <-time.After(100 * time.Millisecond): // the work of stopping
	}
	journal(dir, name+" stopped")
	os.Exit(0)
}

func hold(dir string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := parentdeath.Terminate(ctx, os.Getppid()); err != nil {
		panic(err)
	}
	journal(dir, "guard started "+strconv.Itoa(os.Getpid()))
	if err := guard.Hold(ctx, []guard.Child{fake(dir, "placement"), fake(dir, "scheduler")}); err != nil {
		journal(dir, "guard: "+err.Error())
		os.Exit(1)
	}
	journal(dir, "guard stopped")
	os.Exit(0)
}

func TestToldToStopItStopsTheLastFirst(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- guard.Hold(ctx, []guard.Child{fake(dir, "placement"), fake(dir, "scheduler")}) }()
	await(t, dir, "placement started", "scheduler started")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("hold: %v", err)
	}
	if got := stops(t, dir); got != "scheduler stopped,placement stopped" {
		t.Errorf("stopped in the order %q", got)
	}
}

func TestTheDeathOfItsParentStopsTheChildrenGracefully(t *testing.T) {
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "parent", dir)
	parent.Stdout, parent.Stderr = os.Stderr, os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = parent.Process.Kill()
		_ = parent.Wait()
		for _, pid := range started(t, dir) { // after a failure
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	await(t, dir, "placement started", "scheduler started")
	if gone(parent.Process.Pid) {
		t.Fatal("the parent ended by itself")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, dir, "guard stopped")
	if got := stops(t, dir); got != "scheduler stopped,placement stopped" {
		t.Errorf("stopped in the order %q, want each once and not aborted", got)
	}
}

func TestAKilledGuardTakesItsChildrenWithIt(t *testing.T) {
	dir := t.TempDir()
	killed := exec.Command(os.Args[0], "guard", dir)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, dir, "placement started", "scheduler started")
	pids := started(t, dir)[1:] // after the guard itself
	_ = killed.Process.Kill()
	_ = killed.Wait()
	if !hasParentDeathSignal {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		t.Skip("only Linux has a parent-death signal; make stop ends what is left")
	}
	for _, pid := range pids {
		awaitGone(t, pid)
	}
}

func TestAChildThatEndsIsTheErrorAndStopsTheOthers(t *testing.T) {
	dir := t.TempDir()
	failing := guard.Child{Name: "scheduler", Path: os.Args[0], Args: []string{"failing", dir}, Log: filepath.Join(dir, "scheduler.log")}
	err := guard.Hold(t.Context(), []guard.Child{fake(dir, "placement"), failing})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"scheduler ended (exit status 3)", failing.Log, "address already in use"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	for _, pid := range started(t, dir) {
		awaitGone(t, pid)
	}
}

func TestAProgramThatIsNotThereIsNamed(t *testing.T) {
	dir := t.TempDir()
	missing := guard.Child{Name: "placement", Path: filepath.Join(dir, "placement"), Log: filepath.Join(dir, "placement.log")}
	err := guard.Hold(t.Context(), []guard.Child{missing})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "start placement") {
		t.Errorf("got %v", err)
	}
}

func TestToldToStopBeforeItBegan(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := guard.Hold(ctx, []guard.Child{fake(dir, "placement")}); err != nil {
		t.Errorf("hold: %v", err)
	}
	if lines := read(t, dir); len(lines) != 0 {
		t.Errorf("something started: %q", lines)
	}
}

func TestTheLastLogIsKept(t *testing.T) {
	dir := t.TempDir()
	failing := guard.Child{Name: "placement", Path: os.Args[0], Args: []string{"failing", dir}, Log: filepath.Join(dir, "placement.log")}
	if err := os.WriteFile(failing.Log, []byte("the run before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := guard.Hold(t.Context(), []guard.Child{failing}); err == nil {
		t.Fatal("no error")
	}
	if last, err := os.ReadFile(failing.Log + ".1"); err != nil || string(last) != "the run before" {
		t.Errorf("kept %q, %v", last, err)
	}
}

func fake(dir, name string) guard.Child {
	return guard.Child{Name: name, Path: os.Args[0], Args: []string{"child", dir, name}, Log: filepath.Join(dir, name+".log")}
}

func journal(dir, line string) {
	file, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	if _, err := file.WriteString(line + "\n"); err != nil {
		panic(err)
	}
}

func read(t *testing.T, dir string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(content)), "\n")[:strings.Count(string(content), "\n")]
}

// await waits until the journal has a line that begins with each of the texts.
func await(t *testing.T, dir string, begins ...string) {
	t.Helper()
	eventually.Holds(t, 10*time.Second, fmt.Sprintf("journal with %q", begins), func() bool {
		lines := strings.Join(read(t, dir), "\n")
		for _, begin := range begins {
			if !strings.Contains(lines, begin) {
				return false
			}
		}
		return true
	})
}

func stops(t *testing.T, dir string) string {
	t.Helper()
	var stopped []string
	for _, line := range read(t, dir) {
		if strings.HasSuffix(line, " stopped") && !strings.HasPrefix(line, "guard") || strings.HasSuffix(line, " aborted") {
			stopped = append(stopped, line)
		}
	}
	return strings.Join(stopped, ",")
}

func started(t *testing.T, dir string) []int {
	t.Helper()
	var pids []int
	for _, line := range read(t, dir) {
		if _, text, found := strings.Cut(line, " started "); found {
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func awaitGone(t *testing.T, pid int) {
	t.Helper()
	eventually.Holds(t, 10*time.Second, fmt.Sprintf("end of process %d", pid), func() bool { return gone(pid) })
}
