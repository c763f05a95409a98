package state_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/state"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend binds a group to state; expire makes what has a TTL of two seconds go. Of one second may be left nothing: the sidecar's
// database counts whole ones.
type backend struct {
	bind   func(topology.Group) state.Store
	expire func()
	// conflict is what a condition gives that Redis does not look at: ErrConflict elsewhere.
	conflict error
}

// onEach runs the contract on memory, and behind a real sidecar on the servers that components/ has components for.
func onEach(t *testing.T, contract func(t *testing.T, b backend)) {
	t.Run("memory", func(t *testing.T) {
		now := time.Unix(1, 0)
		memory := state.NewMemory(func() time.Time { return now })
		contract(t, backend{memory.Bind, func() { now = now.Add(3 * time.Second) }, state.ErrConflict})
	})
	ca := servers.NewAuthority(t)
	t.Setenv("SSL_CERT_FILE", ca.File)
	for name, of := range map[string]struct {
		component func(t *testing.T) string
		conflict  error
	}{
		"sqlite":     {func(t *testing.T) string { return daprtest.State(filepath.Join(t.TempDir(), "state.db")) }, state.ErrConflict},
		"postgresql": {func(t *testing.T) string { return daprtest.PostgreSQL(servers.NewPostgreSQL(t, ca)) }, state.ErrConflict},
		"redis": {func(t *testing.T) string {
			r := servers.NewRedis(t, ca)
			return daprtest.Redis(r.Address, r.Password)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sidecar := daprtest.Start(t, daprtest.Options{AppID: "some-app", Resources: []string{of.component(t)}})
			bind := func(g topology.Group) state.Store { return state.NewDapr(sidecar.Client, g) }
			// The server tells expiry by its own clock.
			contract(t, backend{bind, func() { time.Sleep(3100 * time.Millisecond) }, of.conflict})
		})
	}
}

func TestContract(t *testing.T) {
	onEach(t, func(t *testing.T, b backend) {
		ctx, s := t.Context(), b.bind(topology.Auth)
		for _, test := range []struct {
			name string
			run  func(t *testing.T)
		}{
			{"what is not there", func(t *testing.T) {
				_, err := s.Get(ctx, "m/none")
				is(t, err, state.ErrNotFound)
				is(t, s.Delete(ctx, "m/none", ""), nil)
				is(t, s.Delete(ctx, "m/none", "5"), b.conflict)
				is(t, s.Set(ctx, "m/none", []byte("1"), state.Options{ETag: "5"}), b.conflict)
			}},
			{"bytes come back as they were", func(t *testing.T) {
				for i, value := range [][]byte{[]byte(`{"a":1}`), {0, 0xff, '\n'}, []byte(`"`), []byte(strings.Repeat("x", state.MaxValue))} {
					key := fmt.Sprintf("m/bytes%d", i)
					is(t, s.Set(ctx, key, value, state.Options{}), nil)
					got, err := s.Get(ctx, key)
					is(t, err, nil)
					if string(got.Value) != string(value) || got.ETag == "" {
						t.Errorf("%s: %d bytes %.20q with ETag %q", key, len(got.Value), got.Value, got.ETag)
					}
				}
			}},
			{"etag", func(t *testing.T) {
				is(t, s.Set(ctx, "m/etag", []byte("1"), state.Options{}), nil)
				first := get(t, s, "m/etag")
				is(t, s.Set(ctx, "m/etag", []byte("2"), state.Options{ETag: first.ETag}), nil)
				is(t, s.Set(ctx, "m/etag", []byte("3"), state.Options{ETag: first.ETag}), state.ErrConflict)
				is(t, s.Delete(ctx, "m/etag", first.ETag), state.ErrConflict)
				second := get(t, s, "m/etag")
				if string(second.Value) != "2" || second.ETag == first.ETag {
					t.Errorf("got %q, ETag %q after %q", second.Value, second.ETag, first.ETag)
				}
				is(t, s.Delete(ctx, "m/etag", second.ETag), nil)
				_, err := s.Get(ctx, "m/etag")
				is(t, err, state.ErrNotFound)
			}},
			{"create only", func(t *testing.T) {
				once := state.Options{CreateOnly: true}
				is(t, s.Set(ctx, "m/once", []byte("1"), once), nil)
				is(t, s.Set(ctx, "m/once", []byte("2"), once), state.ErrConflict)
				is(t, s.Set(ctx, "m/once", []byte("3"), state.Options{ETag: get(t, s, "m/once").ETag}), nil)
				is(t, s.Set(ctx, "m/once", []byte("4"), once), state.ErrConflict)
				if got := get(t, s, "m/once"); string(got.Value) != "3" {
					t.Errorf("got %q", got.Value)
				}
				is(t, s.Delete(ctx, "m/once", ""), nil)
				is(t, s.Set(ctx, "m/once", []byte("3"), once), nil)
			}},
			{"one of many creates", func(t *testing.T) {
				var won atomic.Int32
				var all sync.WaitGroup
				for range 16 {
					all.Go(func() {
						err := s.Set(ctx, "m/race", []byte("x"), state.Options{CreateOnly: true})
						if err == nil {
							won.Add(1)
						} else if !errors.Is(err, state.ErrConflict) {
							t.Error(err)
						}
					})
				}
				all.Wait()
				if won.Load() != 1 {
					t.Errorf("%d writers created the key", won.Load())
				}
			}},
			{"many", func(t *testing.T) {
				is(t, s.SetMany(ctx, state.Op{Key: "m/a", Value: []byte("1")}, state.Op{Key: "m/b", Value: []byte("2")}), nil)
				got, err := s.GetMany(ctx, "m/a", "m/b", "m/c")
				is(t, err, nil)
				if len(got) != 2 || string(got["m/a"].Value) != "1" || string(got["m/b"].Value) != "2" || got["m/a"].ETag == "" {
					t.Errorf("got %v", got)
				}
				is(t, s.SetMany(ctx, state.Op{Key: "m/a", Delete: true}, state.Op{Key: "m/d", Value: []byte("4")}), nil)
				got, err = s.GetMany(ctx, "m/a", "m/d")
				is(t, err, nil)
				if len(got) != 1 || string(got["m/d"].Value) != "4" {
					t.Errorf("got %v", got)
				}
				none, err := s.GetMany(ctx)
				is(t, err, nil)
				if len(none) != 0 {
					t.Errorf("got %v", none)
				}
				is(t, s.SetMany(ctx, state.Op{Key: "m/d", Value: []byte("1"), Options: state.Options{ETag: "999"}}, state.Op{Key: "m/e", Value: []byte("1")}), state.ErrConflict)
			}},
			{"all or nothing", func(t *testing.T) {
				is(t, s.Set(ctx, "m/t1", []byte("1"), state.Options{}), nil)
				is(t, s.Transact(ctx,
					state.Op{Key: "m/t2", Value: []byte("2"), Options: state.Options{CreateOnly: true}},
					state.Op{Key: "m/t1", Delete: true}), nil)
				got, err := s.GetMany(ctx, "m/t1", "m/t2")
				is(t, err, nil)
				if len(got) != 1 || string(got["m/t2"].Value) != "2" {
					t.Errorf("got %v", got)
				}
				is(t, s.Transact(ctx), nil)
				old := get(t, s, "m/t2").ETag
				is(t, s.Set(ctx, "m/t2", []byte("3"), state.Options{ETag: old}), nil)
				is(t, s.Transact(ctx,
					state.Op{Key: "m/t3", Value: []byte("3")},
					state.Op{Key: "m/t2", Value: []byte("9"), Options: state.Options{ETag: old}}), state.ErrConflict)
				is(t, s.Set(ctx, "m/t4", []byte("4"), state.Options{}), nil)
				is(t, s.Transact(ctx, state.Op{Key: "m/t4", Value: []byte("5"), Options: state.Options{CreateOnly: true}}), b.conflict)
				if _, err := s.Get(ctx, "m/t3"); errors.Is(err, state.ErrNotFound) == (b.conflict == nil) {
					t.Errorf("half a transaction: %v", err)
				}
			}},
			{"ttl", func(t *testing.T) {
				is(t, s.Set(ctx, "m/short", []byte("1"), state.Options{TTL: 1001 * time.Millisecond}), nil)
				is(t, s.Set(ctx, "m/long", []byte("1"), state.Options{TTL: time.Hour}), nil)
				is(t, s.Set(ctx, "m/kept", []byte("1"), state.Options{TTL: 1001 * time.Millisecond}), nil)
				is(t, s.Set(ctx, "m/kept", []byte("2"), state.Options{}), nil)
				get(t, s, "m/short")
				b.expire()
				got, err := s.GetMany(ctx, "m/short", "m/long", "m/kept")
				is(t, err, nil)
				if _, there := got["m/short"]; there || len(got) != 2 {
					t.Errorf("got %v", got)
				}
				is(t, s.Set(ctx, "m/short", []byte("2"), state.Options{CreateOnly: true}), nil)
			}},
			{"groups are apart", func(t *testing.T) {
				other := b.bind(topology.ML)
				is(t, s.Set(ctx, "m/mine", []byte("1"), state.Options{}), nil)
				_, err := other.Get(ctx, "m/mine")
				is(t, err, state.ErrNotFound)
			}},
			{"bad input", func(t *testing.T) {
				for _, key := range []string{"", "m", "/id", "m/", "m/a||b", "m/a b", "m/\n", "m/" + strings.Repeat("x", 400)} {
					_, err := s.Get(ctx, key)
					is(t, err, state.ErrBadKey)
					is(t, s.Set(ctx, key, []byte("1"), state.Options{}), state.ErrBadKey)
					is(t, s.Delete(ctx, key, ""), state.ErrBadKey)
				}
				is(t, s.Transact(ctx, state.Op{Key: "m/x", Delete: true}, state.Op{Key: "m/x", Delete: true}), state.ErrBadKey)
				is(t, s.Set(ctx, "m/x", make([]byte, state.MaxValue+1), state.Options{}), state.ErrTooLarge)
				for _, opts := range []state.Options{{ETag: "1", CreateOnly: true}, {TTL: -1}} {
					if err := s.Set(ctx, "m/x", []byte("1"), opts); err == nil {
						t.Errorf("%+v was accepted", opts)
					}
				}
				if err := s.Set(ctx, "m/x", nil, state.Options{}); err == nil {
					t.Error("an empty value was accepted")
				}
			}},
			{"a caller that has left", func(t *testing.T) {
				left, cancel := context.WithCancel(ctx)
				cancel()
				if err := s.Set(left, "m/left", []byte("1"), state.Options{}); err == nil {
					t.Error("written for nobody")
				}
			}},
		} {
			t.Run(test.name, test.run)
		}
	})
}

// TestTheKeyIsTheGroups looks below the API: nothing of the app-id may be in a key, or a group that moves loses its state.
func TestTheKeyIsTheGroups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	start := func(appID string) *daprtest.Sidecar {
		return daprtest.Start(t, daprtest.Options{AppID: appID, Resources: []string{daprtest.State(path)}})
	}
	is(t, state.NewDapr(start("monolith").Client, topology.Auth).Set(t.Context(), "m/moved", []byte("1"), state.Options{}), nil)
	elsewhere := start("auth")
	if got := get(t, state.NewDapr(elsewhere.Client, topology.Auth), "m/moved"); string(got.Value) != "1" {
		t.Errorf("got %q", got.Value)
	}
	raw, err := elsewhere.Client.GetState(t.Context(), state.Component, "auth/m/moved", nil)
	is(t, err, nil)
	if string(raw.Value) != "1" {
		t.Errorf("under its full key: %q", raw.Value)
	}
}

// TestNobodyAnswers bounds a call to a sidecar that is down by the caller's deadline.
func TestNobodyAnswers(t *testing.T) {
	sidecar := daprtest.Start(t, daprtest.Options{AppID: "down", Resources: []string{daprtest.State(filepath.Join(t.TempDir(), "state.db"))}})
	sidecar.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begun := time.Now()
	if err := state.NewDapr(sidecar.Client, topology.Auth).Set(ctx, "m/x", []byte("1"), state.Options{}); err == nil {
		t.Error("written without a sidecar")
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("waited %s", took)
	}
}

func get(t *testing.T, s state.Store, key string) state.Item {
	t.Helper()
	item, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}
