package measure

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentilesAreSamples(t *testing.T) {
	hundred := make(Samples, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, tt := range []struct {
		of   Samples
		p    int
		want time.Duration
	}{
		{nil, 50, 0}, {Samples{7}, 50, 7}, {Samples{7}, 99, 7}, {Samples{3, 1, 2}, 50, 2}, {Samples{4, 1, 3, 2}, 50, 2},
		{hundred, 0, 1}, {hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100},
	} {
		if got := tt.of.Percentile(tt.p); got != tt.want {
			t.Errorf("p%d of %v is %d, want %d", tt.p, tt.of, got, tt.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("asking for a percentile sorted the samples")
	}
}

func TestOperationsTakeTurns(t *testing.T) {
	var order []string
	does := func(name string) Operation {
		return func(context.Context) error { order = append(order, name); return nil }
	}
	samples, err := InTurn(t.Context(), 1, 1, 2, does("a"), does("b"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "b", "a", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if len(samples) != 2 || len(samples[0]) != 2 || len(samples[1]) != 2 {
		t.Errorf("samples %v, want 2 of each", samples)
	}
	order = nil
	samples, err = InTurn(t.Context(), 2, 0, 2, does("a"), does("b"))
	if want := []string{"a", "a", "b", "b", "b", "b", "a", "a"}; err != nil || !slices.Equal(order, want) || len(samples[1]) != 4 {
		t.Errorf("order %v with %d samples, %v; want %v with 4", order, len(samples[1]), err, want)
	}
}

func TestClientsRunAtOnce(t *testing.T) {
	var calls atomic.Int64
	together := make(chan struct{}, 4)
	samples, err := AtOnce(t.Context(), 4, 1, 3, func(context.Context) error {
		if calls.Add(1) <= 4 { // the first of each client waits for those of the others
			together <- struct{}{}
			for len(together) < 4 {
				time.Sleep(time.Millisecond)
			}
		}
		return nil
	})
	if err != nil || len(samples) != 12 || calls.Load() != 16 {
		t.Errorf("%d samples of %d calls, %v; want 12 of 16", len(samples), calls.Load(), err)
	}
}

func TestAnErrorEndsAMeasurement(t *testing.T) {
	broken := errors.New("broken")
	fails := func(context.Context) error { return broken }
	if samples, err := InTurn(t.Context(), 1, 0, 5, fails); !errors.Is(err, broken) || samples != nil {
		t.Errorf("in turn: %v, %v", samples, err)
	}
	if samples, err := AtOnce(t.Context(), 2, 0, 5, fails); !errors.Is(err, broken) || samples != nil {
		t.Errorf("at once: %v, %v", samples, err)
	}
}

func TestFiguresHaveThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00 µs", 1234: "1.23 µs", 59_900: "59.9 µs", 1_150_000: "1.15 ms", 123_400_000: "123 ms", 2_994_000_000: "2.99 s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d ns is %q, want %q", d, got, want)
		}
	}
	if got := Bytes(79_960_000); got != "80.0 MB" {
		t.Errorf("got %q", got)
	}
}

func TestThisMachineIsDescribed(t *testing.T) {
	if text, err := Machine(); err != nil || text == "" {
		t.Errorf("machine %q, %v", text, err)
	}
	if load, err := Load(); err != nil || load < 0 {
		t.Errorf("load %v, %v", load, err)
	}
}

func TestMemoryOfARun(t *testing.T) {
	data := t.TempDir()
	type process struct {
		PID  int    `json:"pid"`
		Part string `json:"part"`
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	record := func(parts ...string) {
		processes := make([]process, len(parts), len(parts)+1)
		for i, part := range parts {
			processes[i] = process{os.Getpid(), part}
		}
		processes = append(processes, process{gone.Process.Pid, "daprd"})
		text, err := json.Marshal(map[string]any{"processes": processes})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "run.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record("Dapr CLI", "sidecar of devstack", "devstack", "sidecar of auth", "auth")
	m, err := MemoryOf(data, []string{"auth"})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Apps) != 1 || len(m.Sidecars) != 1 || len(m.Rest) != 3 || m.Apps["auth"] < 1<<20 {
		t.Errorf("got %+v", m)
	}
	if name, bytes := Largest(m.Apps); name != "auth" || bytes != Sum(m.Apps) {
		t.Errorf("the largest is %s with %d of %d", name, bytes, Sum(m.Apps))
	}
	if private := m.Private()["auth"]; private <= 0 || private+m.Files["auth"] != m.Apps["auth"] || runtime.GOOS == "linux" && m.Files["auth"] < 1<<20 {
		t.Errorf("private %d, of files %d, in all %d", private, m.Files["auth"], m.Apps["auth"])
	}
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; { // more than a tick of the kernel's clock
	}
	usage, err := UsageOf(data)
	if used := usage["auth"]; err != nil || len(usage) != 5 || used <= 0 || used > time.Hour {
		t.Errorf("used %v, %v", usage, err)
	}
	record("Dapr CLI", "sidecar of auth")
	if _, err := MemoryOf(data, []string{"auth"}); err == nil {
		t.Error("a run without its app was measured")
	}
}
