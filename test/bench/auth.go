package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// checks measures what auth checks, in process: tokens, passwords, and one key or session among very many.
func checks(ctx context.Context, _ options) ([]figure, error) {
	progress("Tokens, passwords, API keys and sessions: benchmarks of pkg/identity and auth; a million of each takes a while.")
	// Tokens first: the million rows of the others keep the disk and the caches busy for a while.
	const first, again, password = "BenchmarkVerify/First", "BenchmarkVerify/Again", "BenchmarkVerify"
	const keyOfFew, keyOfMany = "BenchmarkKeys/Among1000", "BenchmarkKeys/Among1000000"
	const sessionOfFew, sessionOfMany = "BenchmarkSessions/Among1000", "BenchmarkSessions/Among1000000"
	results := map[string][]float64{}
	for _, of := range []struct {
		pkg, which string
		how        []string
		names      []string
		runs       int
	}{
		{"./pkg/identity", "^BenchmarkVerify$", []string{"-benchtime=200ms", "-count=" + strconv.Itoa(runs)}, []string{first, again}, runs},
		{"./apps/auth/internal/passwords", "^BenchmarkVerify$", []string{"-benchtime=2s"}, []string{password}, 1},
		{"./apps/auth/internal/apikeys", "^BenchmarkKeys$", []string{"-benchtime=2s"}, []string{keyOfFew, keyOfMany}, 1},
		{"./apps/auth/internal/sessions", "^BenchmarkSessions$", []string{"-benchtime=2s"}, []string{sessionOfFew, sessionOfMany}, 1},
	} {
		printed, err := benchmark(ctx, of.pkg, of.which, of.how...)
		if err != nil {
			return nil, err
		}
		for _, name := range of.names {
			values := printed[name+" ns/op"]
			if len(values) != of.runs {
				return nil, fmt.Errorf("%s printed %d results, want %d", name, len(values), of.runs)
			}
			results[name] = values
		}
	}
	typical := func(name string) time.Duration { return median(results[name]) }
	among := func(what, few, many string) figure {
		return figure{"auth", what, "", measure.Duration(typical(many)), "mean; " + measure.Duration(typical(few)) + " among 1,000", false}
	}
	return []figure{
		atMost("auth", "access token: verified the first time in a process", 80*time.Microsecond, typical(first), fmt.Sprintf("median of %d runs of 200 ms; %s from then on", runs, measure.Duration(typical(again)))),
		{"auth", "password: one hash, Argon2id, 19 MiB, 2 passes", "", measure.Duration(typical(password)), "mean", false},
		among("API key: checked among 1,000,000, SQLite", keyOfFew, keyOfMany),
		among("session: refreshed among 1,000,000, SQLite, durable", sessionOfFew, sessionOfMany),
	}, nil
}

// auth measures signing in and what signed-in people ask of auth, from outside of microservices.
func (b *bench) auth(ctx context.Context, s *system.System) ([]figure, error) {
	progress("Sign in, and ask auth, %d clients.", clients)
	login := scenario.Login(nil)
	logins, err := measure.InTurn(ctx, 1, 3, 50, func(ctx context.Context) error {
		_, _, err := login.Do(ctx, s.Site, b.vars)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	figures := []figure{{"auth", "login, microservices, through the gateway and two sidecars", "", measure.Duration(logins[0].Median()),
		fmt.Sprintf("p50 of %d, one client; most of it is the hash", len(logins[0])), false}}

	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	atOnce := func(operation measure.Operation) (measure.Samples, error) {
		samples, err := measure.AtOnce(ctx, clients, 20, 250, operation)
		if err != nil {
			return nil, fmt.Errorf("ask auth: %w", err)
		}
		return samples, nil
	}
	asks := func(base string, step scenario.Step) measure.Operation {
		site := scenario.Site{API: base, HTTP: client}
		return func(ctx context.Context) error { _, _, err := step.Do(ctx, site, b.vars); return err }
	}
	me := scenario.Step{Method: http.MethodGet, Path: "/api/auth/me", Want: http.StatusOK}
	check := scenario.Step{
		Method: http.MethodPost, Path: "/api/auth/rbac/check", Want: http.StatusOK, Body: map[string]string{"permission": "integrations.sync:read"},
		Has: map[string]any{"allowed": true},
	}
	sidecar, err := sidecarOfGateway(s)
	if err != nil {
		return nil, err
	}
	bare, err := bareCall(sidecar, b.vars["token"])
	if err != nil {
		return nil, err
	}
	const limit = 2 * time.Millisecond
	for _, f := range []struct {
		what   string
		ask    measure.Operation
		target bool
	}{
		{"GET /api/auth/me at 16 clients, through the gateway and two sidecars", asks(s.API, me), true},
		{"POST /api/auth/rbac/check, likewise", asks(s.API, check), true},
		{"a bare client through the same sidecars, 16 at once", bare, false},
		{"GET /api/auth/me at 16 clients, at auth's own port", asks(fmt.Sprintf("http://localhost:%d", s.Ports[string(topology.Auth)]), me), false},
	} {
		samples, err := atOnce(f.ask)
		if err != nil {
			return nil, err
		}
		line := atMost("auth", f.what, limit, samples.Median(), fmt.Sprintf("p50 of %d; p99 %s", len(samples), measure.Duration(samples.Percentile(99))))
		if !f.target {
			line.target, line.missed = "", false
		}
		figures = append(figures, line)
	}
	return figures, nil
}
