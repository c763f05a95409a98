package analytics

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/analytics/analyticsapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/store"
)

func TestGroupIsAsDeclared(t *testing.T) {
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "analytics.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	b := Builder()
	g, err := b.Build(t.Context(), group.Kernel{DB: db, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.On) != len(b.Consumes) {
		t.Fatalf("declares %v, handles %d topics", b.Consumes, len(g.On))
	}
	for i, h := range g.On {
		if h.Topic != b.Consumes[i] {
			t.Errorf("handles %s, declares %s", h.Topic, b.Consumes[i])
		}
	}
	routes := map[string]string{}
	for _, o := range group.Bind(g) {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
		routes[o.Route()] = o.Access.Permission
	}
	if len(routes) != 1 || routes["GET /api/analytics/dashboard"] != analyticsapi.PermissionDashboardRead {
		t.Errorf("routes %v", routes)
	}
}
