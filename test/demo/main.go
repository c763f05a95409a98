// Command demo plays Tandem's three demos on the same data, one topology after the other: `make demo`. A
// customer signs up and syncs a shop in a monolith, signs in again when it has become microservices, and
// again when it is a hybrid, and sees the same figures each time. In the end it prints what each topology
// cost. It fails when an answer differs.
//
// It needs what `make build` builds. The shop has the CDNOW orders where SANDBOX_ORDERS names them or they
// are beside the repository, else orders that the sandbox generates.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// portOffset lets the demo play beside a run by hand and beside tests.
const portOffset = 1200

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	machine, err := measure.Machine()
	if err != nil {
		return err
	}
	orders, err := scenario.FindOrders()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tandem-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Without symbolic links, as the names of processes have it.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	d := &demo{out: out, token: rand.Text(), vars: map[string]string{"shop": "demo"}, today: time.Now().UTC()}
	fmt.Fprintf(out, "Tandem in three topologies, on the same data, on %s.\n", machine)
	for n, name := range topology.Names() {
		fmt.Fprintf(out, "\n%d of %d: %s\n\n  It is starting.\n", n+1, len(topology.Names()), name)
		s, err := system.Run(ctx, system.Options{
			Topology: name, Dir: dir, PortOffset: portOffset, OrdersFile: orders, Environ: []string{"DAPR_API_TOKEN=" + d.token},
		})
		if err != nil {
			return err
		}
		if err := errors.Join(d.play(ctx, s, n == 0), s.End()); err != nil {
			return err
		}
	}
	return d.compare()
}

// demo is one customer in one topology after the other.
type demo struct {
	out   io.Writer
	token string            // opens the sidecars' APIs
	vars  map[string]string // of the customer
	today time.Time
	shown []shown
}

// shown is what a topology showed and cost.
type shown struct {
	topology string
	answers  []answer
	costs    []cost
}

// play is the demo in one topology: signing up in the first, signing in in the others.
func (d *demo) play(ctx context.Context, s *system.System, first bool) error {
	fmt.Fprintf(d.out, "  Every group is ready after %s. Apps: %s. The API is at %s.\n\n",
		measure.Duration(s.Took), strings.Join(slices.Sorted(maps.Keys(s.Ports)), ", "), s.API)
	steps := []scenario.Step{scenario.Login(nil)}
	mode := "incremental"
	if first {
		steps = append(scenario.Register(d.vars, "demo"), scenario.Connect()...)
		mode = "backfill"
	}
	steps = append(append(steps, scenario.StartSync(mode)), scenario.SyncEnds(s.Orders && first)...)
	for _, step := range steps {
		if _, err := d.do(ctx, s.Site, step); err != nil {
			return err
		}
	}
	questions, err := d.questions(ctx, s.Site)
	if err != nil {
		return err
	}
	this := shown{topology: s.Topology}
	for _, q := range questions {
		body, err := d.do(ctx, s.Site, q)
		if err != nil {
			return err
		}
		a, err := newAnswer(q.Name, body)
		if err != nil {
			return err
		}
		this.answers = append(this.answers, a)
	}
	if this.costs, err = d.costs(ctx, s, questions[len(questions)-1]); err != nil {
		return err
	}
	d.shown = append(d.shown, this)
	return nil
}

// do makes a step's request and prints it with its answer and who gave it.
func (d *demo) do(ctx context.Context, site scenario.Site, step scenario.Step) ([]byte, error) {
	began := time.Now()
	resp, body, err := step.Do(ctx, site, d.vars)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", step.Method, step.Path, err)
	}
	return body, printExchange(d.out, step, resp, body, time.Since(began))
}
