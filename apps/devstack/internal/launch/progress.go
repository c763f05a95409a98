package launch

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// progress tells a person what a run is doing.
type progress struct {
	out      io.Writer
	terminal bool
	current  string
}

func (p *progress) line(format string, v ...any) {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintf(p.out, format+"\n", v...)
}

// starting names what starts at once, however soon it is ready.
func (p *progress) starting(id string, since time.Duration) {
	p.current = id
	if !p.terminal {
		p.line("  %s is starting", id)
	}
	p.waiting(since)
}

// waiting rewrites the line of what is starting, on a terminal.
func (p *progress) waiting(since time.Duration) {
	if p.terminal && p.current != "" {
		fmt.Fprintf(p.out, "\r\x1b[K  %s is starting (%.0f s)", p.current, since.Seconds())
	}
}

func (p *progress) ready(a app, since time.Duration) {
	p.line("  %-16s ready after %4.1f s  http://localhost:%d", a.ID, since.Seconds(), a.Port)
	if p.current == a.ID {
		p.current = ""
	}
}

func (p *progress) running(f runFile, r Repository, since time.Duration) {
	apps := "1 app"
	if len(f.Apps) > 1 {
		apps = fmt.Sprintf("%d apps", len(f.Apps))
	}
	p.line("\nTandem runs (%s): %s, ready after %.1f s", strings.TrimPrefix(f.Name, "tandem-"), apps, since.Seconds())
	if gateway, found := f.gateway(); found {
		base := fmt.Sprintf("http://localhost:%d", gateway.Port)
		p.line("  API       %s", base)
		p.line("  Docs      %s/docs", base)
		p.line("  Topology  %s/api/topology", base)
	}
	if s, found := f.devstack(); found {
		p.line("  Inbox     http://localhost:%d/inbox", s.Port)
	}
	logs := map[string]bool{}
	for _, a := range f.Apps {
		if dir := filepath.Join(a.Dir, ".dapr", "logs"); !logs[dir] {
			logs[dir] = true
			p.line("  Logs      %s", relative(dir))
		}
	}
	p.line("            %s (the Dapr CLI, placement, scheduler)", relative(r.path("logs")))
	p.line("Ctrl-C stops it.")
}

func (p *progress) stopping(failure error) {
	if failure != nil {
		p.line("\nSomething has ended; stopping the rest.")
		return
	}
	p.line("\nStopping.")
}

// stopped tells the end of a run and what had to be ended beside what the CLI ended.
func (p *progress) stopped(killed []leftover) {
	for _, l := range killed {
		p.line("  ended %s", l)
	}
	p.line("Stopped; nothing is left running.")
}

// relative is a path as one would type it here.
func relative(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}

// tailLines is how much of a log an error quotes.
const tailLines = 15

var (
	colors = regexp.MustCompile("\x1b\\[[0-9;]*m")
	prefix = regexp.MustCompile(`^== APP - \S+ == `)
)

// tail returns the last lines of a log that contain a text, without colours and the CLI's prefixes.
func tail(path, containing string) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var last []string
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := colors.ReplaceAllString(scanner.Text(), "")
		if strings.TrimSpace(line) == "" || !strings.Contains(line, containing) {
			continue
		}
		if last = append(last, prefix.ReplaceAllString(line, "")); len(last) > tailLines {
			last = last[1:]
		}
	}
	return last
}

// quote puts lines below a sentence.
func quote(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return ", which ends with:\n    " + strings.Join(lines, "\n    ")
}

// awaitEnd gives the CLI a moment to write into a log how its process ended.
func awaitEnd(log string) {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		lines := tail(log, "")
		if len(lines) > 0 && (strings.Contains(lines[len(lines)-1], "exited with") || strings.Contains(lines[len(lines)-1], "Exited ")) {
			return
		}
	}
}
