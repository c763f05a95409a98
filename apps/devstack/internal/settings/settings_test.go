package settings_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
)

func TestDefaultsAreTheRunFilesPorts(t *testing.T) {
	s := parse(t, map[string]string{})
	for want, got := range map[string]string{
		"127.0.0.1:8090": s.HTTP(), "127.0.0.1:8091": s.SMTP(), "127.0.0.1:8092": s.NATS(),
		"127.0.0.1:8093": s.Placement(), "127.0.0.1:8094": s.PlacementHealth(), "127.0.0.1:8095": s.PlacementMetrics(),
		"127.0.0.1:8096": s.Scheduler(), "127.0.0.1:8097": s.SchedulerHealth(), "127.0.0.1:8098": s.SchedulerMetrics(),
		"127.0.0.1:8099": s.EtcdClient(), "127.0.0.1:8100": s.EtcdPeer(), "127.0.0.1:8101": s.PlacementPeer(),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !filepath.IsAbs(s.Data) || !s.Loopback() || len(s.Ports()) != 12 {
		t.Errorf("defaults: data %s, loopback %v, %d ports", s.Data, s.Loopback(), len(s.Ports()))
	}
}

func TestOnePortMovesAll(t *testing.T) {
	s := parse(t, map[string]string{"TANDEM_DEVSTACK_PORT": "18090"})
	if s.HTTP() != "127.0.0.1:18090" || s.PlacementPeer() != "127.0.0.1:18101" || s.Ports()[18101] == "" {
		t.Errorf("http %s, placement peer %s, ports %v", s.HTTP(), s.PlacementPeer(), s.Ports())
	}
}

func TestRefusedSettings(t *testing.T) {
	for _, port := range []string{"0", "65525", "-1", "http"} {
		t.Setenv("TANDEM_DEVSTACK_PORT", port)
		if _, err := settings.Parse(); err == nil || !strings.Contains(err.Error(), "read the environment") {
			t.Errorf("port %s: %v", port, err)
		}
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1": true, "::1": true, "localhost": true, "0.0.0.0": false, "devstack": false} {
		if got := (settings.Settings{Host: host}).Loopback(); got != want {
			t.Errorf("%s: loopback %v, want %v", host, got, want)
		}
	}
}

func parse(t *testing.T, variables map[string]string) settings.Settings {
	t.Helper()
	for name, value := range variables {
		t.Setenv(name, value)
	}
	s, err := settings.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
