// Package world is what surrounds the platform on a laptop: event broker, mails, Dapr's placement and
// scheduler, the vendors' sandbox and the keys of the secret store.
package world

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/tandemhq/tandem/apps/devstack/internal/broker"
	"github.com/tandemhq/tandem/apps/devstack/internal/controlplane"
	"github.com/tandemhq/tandem/apps/devstack/internal/inbox"
	"github.com/tandemhq/tandem/apps/devstack/internal/lock"
	"github.com/tandemhq/tandem/apps/devstack/internal/secrets"
	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
)

const (
	// keptMails is how many mails the inbox holds; older ones go.
	keptMails = 5000
	// previousStop is how long the devstack of the run before may take to let go of the data.
	previousStop = 15 * time.Second
	stopTimeout  = 5 * time.Second
)

// Options are what serving needs beside its settings.
type Options struct {
	Settings settings.Settings
	Log      *slog.Logger
	// Sandbox serves the vendors' APIs. It gets every path that devstack does not use itself.
	Sandbox http.Handler
}

// Serve runs the world until ctx ends or a part of it fails. Its HTTP port opens last: whoever can connect
// to it finds everything ready, which is how the Dapr CLI knows when to start the next application.
//
// Beside a devstack that was started to be kept, on the same data, Serve only waits and watches it.
func Serve(ctx context.Context, o Options) error {
	s := o.Settings
	if err := os.MkdirAll(s.Path("logs"), 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if Kept(ctx, s) {
		o.Log.Info("using the devstack that is kept running", "http", "http://"+s.HTTP())
		return watch(ctx, s)
	}
	wait, cancel := context.WithTimeout(ctx, previousStop)
	defer cancel()
	held, err := lock.Acquire(wait, s.Path("devstack.lock"))
	if err != nil {
		return fmt.Errorf("another devstack uses %s (make stop ends what a killed run left): %w", s.Data, err)
	}
	return errors.Join(serve(ctx, o), held.Release())
}

func serve(ctx context.Context, o Options) (err error) {
	s := o.Settings
	// The port is taken first, so that nobody else does, and answers last.
	if err := free(s.HTTP()); err != nil {
		return err
	}
	if err := secrets.Ensure(s.Path("secrets.json"), rand.Reader); err != nil {
		return err
	}

	var started stack
	defer func() { err = errors.Join(err, started.stop()) }()

	var guard *controlplane.Running
	var events *broker.Broker
	starting, startCtx := errgroup.WithContext(ctx)
	starting.Go(func() (err error) { guard, err = controlplane.Start(startCtx, s); return err })
	starting.Go(func() (err error) { events, err = broker.Start(startCtx, s.NATS(), s.Path("nats"), o.Log); return err })
	err = starting.Wait()
	if guard != nil {
		started.push(guard.Stop)
	}
	if events != nil {
		started.push(func() error { events.Stop(); return nil })
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while starting
		}
		return err
	}

	mails, err := inbox.OpenStore(inbox.StoreOptions{Dir: s.Path("inbox"), Keep: keptMails, Now: time.Now, NewID: newID})
	if err != nil {
		return err
	}
	smtp, err := inbox.Serve(s.SMTP(), mails, o.Log)
	if err != nil {
		return err
	}
	started.push(smtp.Stop)

	pages, err := inbox.Handler(mails, o.Log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.HTTP())
	if err != nil {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	server := &http.Server{Handler: routes(o, pages), ReadHeaderTimeout: 10 * time.Second}
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(listener) }()
	started.push(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return errors.Join(err, server.Close())
		}
		return nil
	})
	o.Log.Info("ready", "inbox", "http://"+s.HTTP()+"/inbox", "smtp", s.SMTP(), "nats", s.NATS(),
		"placement", s.Placement(), "scheduler", s.Scheduler(), "data", s.Data)

	select {
	case <-ctx.Done():
		return nil
	case <-guard.Gone():
		return guard.Err()
	case err := <-serving:
		return fmt.Errorf("serve HTTP: %w", err)
	}
}

// free reports an address that is taken before anything has been started for it.
func free(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return listener.Close()
}

// newID makes ids that sort by time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// stack is what has been started; it is stopped in the opposite order.
type stack []func() error

func (s *stack) push(stop func() error) { *s = append(*s, stop) }

func (s *stack) stop() error {
	var failures []error
	for i := len(*s) - 1; i >= 0; i-- {
		failures = append(failures, (*s)[i]())
	}
	return errors.Join(failures...)
}
