package tour

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/system"
)

const (
	// portOffset keeps this run's ports apart from those of other packages and of a run by hand.
	portOffset = 1500
	// patience is how long an answer may take to become what the README shows.
	patience = 20 * time.Second
)

// TestTour runs the README's commands in one shell against a monolith that has just been started.
func TestTour(t *testing.T) {
	system.NeedBinaries(t)
	readme, err := os.ReadFile(filepath.Join(system.Repository(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	stops, err := Parse(string(readme))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	s := system.Start(t, system.Options{
		Topology: topology.Monolith, Dir: t.TempDir(), PortOffset: portOffset,
		Environ: []string{"SANDBOX_ORDERS="}, // generated orders, as after make run
	})
	moved := strings.NewReplacer("http://localhost:8000", s.API, "http://localhost:8090", s.Devstack)
	sh := startShell(t)
	shown := 0
	for _, stop := range stops {
		stop.Command, stop.Output = moved.Replace(stop.Command), moved.Replace(stop.Output)
		deadline := time.Now().Add(patience)
		printed, status := sh.run(t, stop.Command)
		for stop.Reads() && !stop.Matches(printed) && stop.Output != "" && time.Now().Before(deadline) {
			printed, status = sh.run(t, "sleep 0.2\n"+stop.Command)
		}
		switch {
		case status != "0":
			t.Fatalf("README.md:%d: exit status %s of\n%s\nwhich printed\n%s", stop.Line, status, stop.Command, printed)
		case stop.Output == "":
		case !stop.Matches(printed):
			t.Fatalf("README.md:%d: the README shows\n%s\nbut\n%s\nprinted\n%s", stop.Line, stop.Output, stop.Command, printed)
		default:
			shown++
		}
	}
	t.Logf("%d commands ran, %d of them printed what the README shows", len(stops), shown)
}

// shell is one sh that runs commands one after the other, as a person's does.
type shell struct {
	in  io.Writer
	out *bufio.Reader
}

func startShell(t *testing.T) *shell {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh")
	cmd.Dir = t.TempDir()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // sh ends with its input
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("sh: %v", err)
		}
	})
	return &shell{in, bufio.NewReader(out)}
}

const prompt = "-- end of the command --"

// run returns what a command prints, errors included, and its exit status.
func (s *shell) run(t *testing.T, command string) (printed, status string) {
	t.Helper()
	if _, err := fmt.Fprintf(s.in, "{\n%s\n} 2>&1 </dev/null\nprintf '\\n%s %%s\\n' $?\n", command, prompt); err != nil {
		t.Fatalf("sh: %v", err)
	}
	var all strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("sh ended in\n%s\nafter\n%s: %v", command, all.String(), err)
		}
		if status, found := strings.CutPrefix(line, prompt+" "); found {
			return all.String(), strings.TrimSpace(status)
		}
		all.WriteString(line)
	}
}

func TestParse(t *testing.T) {
	const markdown = "```sh\nnot in the tour\n```\n<!-- tour:begin -->\ntext\n```sh\na\nb\n```\n```json\n{\"a\": 1}\n```\n\n```sh\nc\n```\n<!-- tour:end -->\n"
	stops, err := Parse(markdown)
	if err != nil {
		t.Fatal(err)
	}
	want := []Stop{{Line: 7, Command: "a\nb", Output: `{"a": 1}`}, {Line: 15, Command: "c"}}
	if len(stops) != 2 || stops[0] != want[0] || stops[1] != want[1] {
		t.Errorf("got %+v, want %+v", stops, want)
	}
	for _, wrong := range []string{
		"", "<!-- tour:begin -->\n<!-- tour:end -->", "<!-- tour:begin -->\n```sh\na\n```\n", "<!-- tour:end -->",
		"<!-- tour:begin -->\n```json\n1\n```\n<!-- tour:end -->",
		"<!-- tour:begin -->\n```sh\na\n```\n```text\n1\n```\n```text\n2\n```\n<!-- tour:end -->",
		"<!-- tour:begin -->\n```go\na\n```\n<!-- tour:end -->",
	} {
		if stops, err := Parse(wrong); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", wrong, stops)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		shown, printed string
		want           bool
	}{
		{`{"a": 1}`, "{\"a\":1}\n", true},
		{`{"a": 1}`, `{"a":2}`, false},
		{`{"a": 1}`, `{"a":1,"b":2}`, false},
		{`{"a": 1, …}`, `{"a":1,"b":2}`, true},
		{`{"id": "…", "n": ~12.50}`, `{"id":"x","n":7}`, true},
		{`{"n": ~12}`, `{"n":null}`, false},
		{`a.c`, `abc`, false},
		{"…", "", true},
	} {
		if got := (Stop{Output: c.shown}).Matches(c.printed); got != c.want {
			t.Errorf("%q shown, %q printed: %v", c.shown, c.printed, got)
		}
	}
}
