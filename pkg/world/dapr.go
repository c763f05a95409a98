// Package world is what a process stands on: the Dapr sidecar beside it, or, for tests, memory.
package world

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/dapr/go-sdk/client"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/sms"
	"github.com/tandemhq/tandem/pkg/state"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Dapr is a process with a sidecar.
type Dapr struct {
	c        config.Config
	invoke   *call.Dapr
	conn     *grpc.ClientConn
	client   client.Client
	executor runs.Executor
}

// askAgain is how often a sidecar that is not ready is asked again.
const askAgain = 50 * time.Millisecond

// NewDapr prepares the connection to the sidecar without waiting for it.
func NewDapr(c config.Config, invoke *call.Dapr, log *slog.Logger) (*Dapr, error) {
	outgoing := func(ctx context.Context) context.Context {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		for name, value := range carrier {
			ctx = metadata.AppendToOutgoingContext(ctx, name, value)
		}
		if c.APIToken.Empty() {
			return ctx
		}
		return metadata.AppendToOutgoingContext(ctx, "dapr-api-token", c.APIToken.Reveal())
	}
	conn, err := grpc.NewClient(net.JoinHostPort("127.0.0.1", strconv.Itoa(c.DaprGRPC)),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // it never leaves the machine or the pod
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return next(outgoing(ctx), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return next(outgoing(ctx), desc, cc, method, opts...)
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to the sidecar: %w", err)
	}
	return &Dapr{c: c, invoke: invoke, conn: conn, client: client.NewClientWithConnection(conn), executor: runs.NewDapr(conn, log)}, nil
}

// Open waits until the sidecar has loaded its components.
func (d *Dapr) Open(ctx context.Context) error {
	for {
		err := d.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the sidecar: %w", err)
		case <-time.After(askAgain):
		}
	}
}

// Ready asks the sidecar whether its components and APIs can be used.
func (d *Dapr) Ready(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.invoke.Sidecar.JoinPath("/v1.0/healthz/outbound").String(), nil)
	if err != nil {
		return err
	}
	if d.invoke.Token != "" {
		r.Header.Set("dapr-api-token", d.invoke.Token)
	}
	resp, err := d.invoke.HTTP.Do(r)
	if err != nil {
		return fmt.Errorf("ask the sidecar: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what there is of it explains the status
		return fmt.Errorf("the sidecar is not ready: %s %s", resp.Status, body)
	}
	return nil
}

// Close ends the connection to the sidecar.
func (d *Dapr) Close() error { return d.conn.Close() }

// Secrets are those of the component "secrets".
func (d *Dapr) Secrets() secrets.Source { return secrets.NewDapr(d.client) }

// Mail goes through the binding "mail".
func (d *Dapr) Mail() mail.Sender { return mail.Dapr{Client: d.client} }

// SMS goes through the binding "sms".
func (d *Dapr) SMS() sms.Sender { return sms.Dapr{Client: d.client} }

// State is the group's part of the component "state".
func (d *Dapr) State(g topology.Group) state.Store { return state.NewDapr(d.client, g) }

// Bus publishes through the group-independent pub/sub component.
func (d *Dapr) Bus() events.Bus { return events.NewDapr(d.client) }

// Attach has nothing to do: the sidecar asks for the subscriptions and brings the events.
func (d *Dapr) Attach(*events.Consumer) {}

// AttachSchedules has nothing to do: the sidecar calls when a schedule fires.
func (d *Dapr) AttachSchedules(*jobs.Scheduler) {}

// Schedules are kept by Dapr's scheduler.
func (d *Dapr) Schedules() jobs.Registrar { return jobs.NewDapr(d.client) }

// Executor drives runs by Dapr Workflow.
func (d *Dapr) Executor() runs.Executor { return d.executor }

// Invoke is Dapr service invocation.
func (d *Dapr) Invoke() call.Route { return d.invoke }

// Store opens the group's database: in MongoDB where the configuration names one, else in a file.
func (d *Dapr) Store(ctx context.Context, g topology.Group) (store.DB, error) {
	return OpenStore(ctx, d.c, g)
}

// OpenStore opens the database of group that the configuration says.
func OpenStore(ctx context.Context, c config.Config, g topology.Group) (store.DB, error) {
	if !c.MongoURL.Empty() {
		return store.OpenMongo(ctx, c.MongoURL.Reveal(), MongoDatabase(g))
	}
	return store.OpenSQLite(ctx, SQLitePath(c.Data, g))
}

// MongoDatabase is the name of a group's database in MongoDB.
func MongoDatabase(g topology.Group) string { return "tandem_" + string(g) }

// SQLitePath is where a group's database is in the folder of all data.
func SQLitePath(data string, g topology.Group) string { return filepath.Join(data, string(g)+".db") }
