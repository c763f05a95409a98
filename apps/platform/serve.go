package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/tandemhq/tandem/apps/gateway"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/parentdeath"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
)

// version is stamped by the build.
var version = "dev"

const (
	startTimeout = 60 * time.Second
	// stopTimeout bounds the whole end, so that it takes less than 5 s. For noticeTime readiness is off and requests are still
	// taken: a port that closes in the same instant refuses those who could not know yet. drainTimeout is for the requests that
	// are being answered then.
	stopTimeout  = 4 * time.Second
	noticeTime   = time.Second
	drainTimeout = 2 * time.Second
	// headerTimeout bounds the reading of a request's headers; there is no timeout on answers, because
	// streams may last.
	headerTimeout  = 10 * time.Second
	maxHeaderBytes = 64 << 10
)

func serve([]string) error {
	c, err := config.Parse(os.Environ())
	if err != nil {
		return err
	}
	if c.EndWithParent {
		if err := parentdeath.Terminate(context.Background(), os.Getppid()); err != nil {
			return fmt.Errorf("end with the parent process: %w", err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := telemetry.NewLogger(os.Stdout, c.LogLevel, c.AppID)
	for _, door := range c.Open() {
		log.Warn(door)
	}
	if err := run(ctx, c, log); err != nil {
		log.Error("ended", "error", err)
		return err
	}
	return nil
}

// run serves until ctx is done.
func run(ctx context.Context, c config.Config, log *slog.Logger) error {
	homes, err := topology.Parse(c.Topology)
	if err != nil {
		return fmt.Errorf("TANDEM_TOPOLOGY: %w", err)
	}
	hosted, err := topology.ParseGroups(c.Groups)
	if err != nil {
		return fmt.Errorf("TANDEM_GROUPS: %w", err)
	}
	current, end := topology.NewCurrent(homes), &ending{log: log}
	if c.TopologyFile != "" {
		file := topology.NewFile(c.TopologyFile, current, topology.FileOptions{
			Report: func(err error) { log.Error("topology file", "error", err) },
			Changed: func(from, to topology.Topology) {
				log.Info("topology changed", "from", from.String(), "to", to.String())
			},
		})
		if err := file.Start(ctx); err != nil {
			return err
		}
		defer end.stop("topology file", file.Stop)
	}

	metrics := telemetry.NewMetrics(c.AppID, version)
	tracing, err := telemetry.NewTracerProvider(ctx, telemetry.TraceConfig{
		Endpoint: c.OTLPEndpoint, Ratio: c.TraceRatio, AppID: c.AppID, Version: version,
	})
	if err != nil {
		return err
	}
	defer end.stop("tracing", tracing.Shutdown)
	tracer := tracing.Tracer("tandem")

	invoke := &call.Dapr{
		Sidecar: &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.DaprHTTP))},
		Token:   c.APIToken.Reveal(), Home: current.Home, HTTP: call.NewHTTPClient(),
	}
	var edge host.Gateway
	if c.Gateway {
		edge = gateway.New(gateway.Config{
			AppID: c.AppID, Dapr: invoke, MaxBody: c.MaxBody, TrustedProxies: c.TrustedProxies, Metrics: metrics, Tracer: tracer, Log: log, NewID: newID,
		})
	}
	sidecar, err := world.NewDapr(c, invoke, log)
	if err != nil {
		return err
	}
	defer sidecar.Close()
	all := builders(c)
	h, err := host.New(host.Config{
		Config: c, Version: version, Topology: current, Specs: specs(all), World: sidecar, Gateway: edge,
		Builders:  slices.DeleteFunc(all, func(b group.Builder) bool { return !slices.Contains(hosted, b.Name) }),
		Authority: authority, Metrics: metrics, Tracer: tracer, Log: log, Now: now, NewID: newID,
	})
	if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", net.JoinHostPort(c.Listen, strconv.Itoa(c.AppPort)))
	if err != nil {
		return fmt.Errorf("open the app port: %w", err)
	}
	server := &http.Server{
		Handler: h.Handler(), ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(host.WithProblems(listener)) }()

	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	err = h.Start(startCtx)
	cancel()
	if err == nil {
		log.Info("ready", "port", c.AppPort, "groups", c.Groups, "topology", homes.String())
		select {
		case <-ctx.Done():
		case err = <-served:
		}
	}
	end.stop("serving", func(ctx context.Context) error {
		h.Drain()
		if err == nil { // it was serving
			time.Sleep(noticeTime)
		}
		drain, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			err = server.Close() // streams do not end by themselves
			return errors.Join(err, h.Stop(ctx))
		}
		return h.Stop(ctx)
	})
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return err
}

// ending stops one component after the other, by one deadline for all.
type ending struct {
	log *slog.Logger
	by  time.Time // set by the first stop
}

func (e *ending) stop(name string, stop func(context.Context) error) {
	if e.by.IsZero() {
		e.by = time.Now().Add(stopTimeout)
	}
	ctx, cancel := context.WithDeadline(context.Background(), e.by)
	defer cancel()
	if err := stop(ctx); err != nil {
		e.log.Warn("stop "+name, "error", err)
	}
}

func now() time.Time { return time.Now().UTC() }

// newID is a UUIDv7: it sorts by the time at which it was made (RFC 9562, section 5.7).
func newID() string { return uuid.Must(uuid.NewV7()).String() }
