package process

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/eventually"
)

func TestMain(m *testing.M) {
	if os.Getenv("PROCESS_TEST_SLEEPS") != "" {
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAChildAsTheSystemShowsIt(t *testing.T) {
	cmd := exec.Command(os.Args[0], "--app-id", "auth")
	cmd.Env = append(os.Environ(), "PROCESS_TEST_SLEEPS=yes", "APP_ID=auth")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	p := find(t, cmd.Process.Pid)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p.PPID != os.Getpid() || p.PGID != p.PID || p.Program != program || p.Started == "" {
		t.Errorf("%+v, want a child of %d running %s in a group of its own", p, os.Getpid(), program)
	}
	if p.Variable("APP_ID") != "auth" || p.Variable("APP") != "" {
		t.Errorf("environment: APP_ID is %q, APP is %q", p.Variable("APP_ID"), p.Variable("APP"))
	}
	if arguments := p.Arguments(); len(arguments) != 3 || arguments[2] != "auth" {
		t.Errorf("arguments: %q", arguments)
	}

	other := p
	other.Started = "another time"
	if err := other.Signal(syscall.SIGKILL); err != nil {
		t.Errorf("signal to a process that has gone: %v", err)
	}
	if again := find(t, p.PID); !again.Same(p) || again.Same(other) {
		t.Errorf("%+v is not %+v", again, p)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Not waited for: the listing leaves out what has ended.
	eventually.Holds(t, 10*time.Second, "the process is gone from the list", func() bool {
		all, err := List()
		if err != nil {
			t.Fatal(err)
		}
		_, found := Find(all, p.PID)
		return !found
	})
	if p.Variable("APP_ID") != "" {
		t.Error("a process that has gone shows its environment")
	}
}

func TestWhoListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if holder, found := Listener(port); !found || holder.PID != os.Getpid() {
		t.Errorf("port %d is held by %+v (%v), want process %d", port, holder, found, os.Getpid())
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if holder, found := Listener(port); found {
		t.Errorf("the closed port is held by %+v", holder)
	}
}

func TestParseArguments(t *testing.T) {
	block := "\x02\x00\x00\x00/bin/daprd\x00\x00\x00daprd\x00--app-id=a\x00APP_ID=a\x00HOME=/h\x00\x00other"
	program, arguments, environment, err := parseArguments([]byte(block))
	if err != nil || program != "/bin/daprd" || !slices.Equal(arguments, []string{"daprd", "--app-id=a"}) ||
		!slices.Equal(environment, []string{"APP_ID=a", "HOME=/h"}) {
		t.Errorf("%q, %q, %q, %v", program, arguments, environment, err)
	}
	for _, damaged := range []string{"", "\x01\x00", "\x01\x00\x00\x00/bin/x", "\xff\xff\xff\x7f/bin/x\x00x\x00"} {
		if _, _, _, err := parseArguments([]byte(damaged)); err == nil || !strings.HasPrefix(err.Error(), "process arguments") {
			t.Errorf("%q: %v", damaged, err)
		}
	}
}

func FuzzParseArguments(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00/bin/daprd\x00\x00daprd\x00x\x00A=b\x00"))
	f.Fuzz(func(t *testing.T, block []byte) {
		_, arguments, environment, err := parseArguments(block)
		if err == nil && len(strings.Join(arguments, ""))+len(strings.Join(environment, "")) > len(block) {
			t.Errorf("more than there was: %q %q", arguments, environment)
		}
	})
}

func find(t *testing.T, pid int) Process {
	t.Helper()
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	p, found := Find(all, pid)
	if !found {
		t.Fatalf("process %d is not listed", pid)
	}
	return p
}
