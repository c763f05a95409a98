package integrations_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tandemhq/tandem/apps/integrations"
	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/host/hosttest"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
)

// process hosts the group alone, on a sandbox with the orders of a file.
type process struct {
	t         testing.TB
	url       string
	sandbox   string
	authority *hosttest.Authority
	calls     *call.Client // of analytics
	mu        sync.Mutex
	log       bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

const placedAt = "2024-03-%02dT12:00:00Z"

func start(t testing.TB, orders int) *process {
	t.Helper()
	var csv strings.Builder
	csv.WriteString("order_id,customer_id,ordered_at,items,total,currency\n")
	for i := range orders {
		fmt.Fprintf(&csv, "%d,%d,"+placedAt+",1,%d.50,USD\n", 100+i, 1+i%3, 1+i%28, 1+i%50)
	}
	file := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(file, []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	vendor, err := sandbox.New(sandbox.Config{OrdersFile: file, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	vendorServer := httptest.NewServer(vendor)
	t.Cleanup(vendorServer.Close)

	c, err := config.Parse([]string{"TANDEM_DATA=" + t.TempDir(), "APP_ID=integrations", "TANDEM_RATE_LIMIT=0"})
	if err != nil {
		t.Fatal(err)
	}
	groupSecret := bytes.Repeat([]byte{7}, 32)
	p := &process{t: t, sandbox: vendorServer.URL, authority: hosttest.NewAuthority()}
	log := telemetry.NewLogger(p, slog.LevelDebug, c.AppID)
	known := secrets.Map{
		"service-token-key":    base64.StdEncoding.EncodeToString(groupSecret),
		integrations.KeySecret: base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{5}, 32)),
	}
	maps.Copy(known, sandbox.Secrets())
	w := world.NewMemory(c, known, time.Now, log)
	homes, err := topology.Parse("integrations=integrations,*=elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	builder := integrations.Builder(integrations.Config{
		API: c.APIURL, Web: c.WebURL, ShopifyBaseURL: vendorServer.URL + "/shopify/{shop}", Hosts: vendorServer.URL + "/vendors/{host}", Pages: vendorServer.URL + "/vendors/{host}", ClientIDs: map[string]string{"*": sandbox.ClientID}, Timeout: 5 * time.Second,
	})
	tracer := sdktrace.NewTracerProvider().Tracer("test")
	h, err := host.New(host.Config{
		Config: c, Version: "test", Topology: topology.NewCurrent(homes), World: w,
		Specs:     []group.Spec{builder.Spec, {Name: topology.Auth}, {Name: topology.Analytics, Calls: []topology.Group{topology.Integrations}}},
		Builders:  []group.Builder{builder},
		Authority: p.authority.For,
		Metrics:   telemetry.NewMetrics(c.AppID, "test"), Tracer: tracer, Log: log, Now: time.Now, NewID: uuid.NewString,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h.Handler()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(h.Handler())
	t.Cleanup(server.Close)
	p.url = server.URL
	p.calls = call.New(call.Config{
		From: topology.Analytics, Declared: []topology.Group{topology.Integrations}, GroupSecret: groupSecret, Tracer: tracer, Now: time.Now,
		Route:   func(topology.Group) call.Route { return &call.Direct{Handler: h.Handler()} },
		Observe: func(topology.Group, topology.Group, string, string, time.Duration) {},
	})
	return p
}

// user is somebody of an organization.
type user struct {
	p     *process
	token string
}

func (p *process) user(organization string, roles ...string) user {
	p.t.Helper()
	return user{p, p.authority.Token(p.t, organization, strings.Join(append([]string{"u-" + organization}, roles...), "-"), roles, nil)}
}

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (a answer) code() string { code, _ := a.body["code"].(string); return code }

func (a answer) id() string { id, _ := a.body["id"].(string); return id }

// do sends "METHOD path" below /api/integrations.
func (u user) do(what, body string) answer {
	u.p.t.Helper()
	resp := u.send(u.p.t.Context(), what, body)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		u.p.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.body); err != nil {
			u.p.t.Fatalf("%s: %v: %s", what, err, text)
		}
	}
	return a
}

func (u user) send(ctx context.Context, what, body string, header ...string) *http.Response {
	u.p.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	r, err := http.NewRequestWithContext(ctx, method, u.p.url+"/api/integrations"+path, strings.NewReader(body))
	if err != nil {
		u.p.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if u.token != "" {
		r.Header.Set("Authorization", "Bearer "+u.token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		u.p.t.Fatal(err)
	}
	return resp
}

func (u user) want(status int, what, body string) answer {
	u.p.t.Helper()
	a := u.do(what, body)
	if a.status != status {
		u.p.t.Fatalf("%s %s: %d %s, want %d", what, body, a.status, a.text, status)
	}
	return a
}

func (u user) connect(shop string) string {
	u.p.t.Helper()
	return u.want(201, "POST /shopify/connect", `{"shop":"`+shop+`","access_token":"shpat_topsecret01"}`).id()
}

// sync runs a sync to its end.
func (u user) sync(connection, mode string) answer {
	u.p.t.Helper()
	run := u.want(202, "POST /sync/runs", `{"connection_id":"`+connection+`","mode":"`+mode+`"}`)
	var a answer
	eventually.Succeeds(u.p.t, 20*time.Second, "the sync ends", func() error {
		if a = u.want(200, "GET /sync/runs/"+run.id(), ""); a.body["finished_at"] == nil {
			return errors.New(a.text)
		}
		return nil
	})
	return a
}

func TestFromAShopToItsOrders(t *testing.T) {
	p := start(t, 600)
	u := p.user("o1", "owner")

	created := u.want(201, "POST /shopify/connect", `{"shop":"https://Demo.myshopify.com/","access_token":"shpat_topsecret01"}`)
	for field, want := range map[string]any{"vendor": "shopify", "account": "demo.myshopify.com", "currency": "USD", "status": "active"} {
		if created.body[field] != want {
			t.Errorf("%s is %v, want %v", field, created.body[field], want)
		}
	}
	if again := u.want(200, "POST /shopify/connect", `{"shop":"demo","access_token":"shpat_topsecret02"}`); again.id() != created.id() {
		t.Errorf("connected again as %s", again.id())
	}

	started := u.want(202, "POST /sync/runs", `{"connection_id":"`+created.id()+`","mode":"backfill"}`)
	if want := "/api/integrations/sync/runs/" + started.id(); started.header.Get("Location") != want {
		t.Errorf("Location %q, want %q", started.header.Get("Location"), want)
	}
	resp := u.send(t.Context(), "GET /sync/runs/"+started.id()+"/events", "")
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("events: %s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	end := map[string]string{} // the fields of the last event
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if field, value, ok := strings.Cut(lines.Text(), ": "); ok {
			end[field] = value
		}
	}
	var last map[string]any
	if err := json.Unmarshal([]byte(end["data"]), &last); err != nil || end["event"] != "end" {
		t.Errorf("the last event is %v, %v", end, err)
	}
	for field, want := range map[string]any{"status": "succeeded", "records": 600.0, "changed": 600.0, "pages": 3.0, "mode": "backfill"} {
		if last[field] != want {
			t.Errorf("the last event's %s is %v, want %v", field, last[field], want)
		}
	}
	again := u.send(t.Context(), "GET /sync/runs/"+started.id()+"/events", "", "Last-Event-ID", end["id"])
	again.Body.Close()
	if again.StatusCode != http.StatusNoContent {
		t.Errorf("asked again after the end: %s", again.Status)
	}

	var total float64
	count, cursor := 0, ""
	for {
		page := u.want(200, "GET /records/orders?from=2024-03-01&to=2024-04-01T00:00:00Z&limit=250&cursor="+url.QueryEscape(cursor), "")
		for _, item := range page.body["items"].([]any) {
			total += item.(map[string]any)["total_minor"].(float64)
			count++
		}
		if cursor, _ = page.body["next_cursor"].(string); cursor == "" {
			break
		}
	}
	if count != 600 || total != 600*2550+600*50 {
		t.Errorf("%d orders of %v", count, total)
	}
	client := integrationsapi.Client{Client: p.calls}
	ctx := identity.AsGroup(t.Context(), topology.Analytics, "o1")
	n := 0
	err := client.EachOrder(ctx, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 3, 2, 0, 0, 0, 0, time.UTC), func(o integrationsapi.Order) error {
		n++
		if o.PlacedAt.Day() != 1 || o.Currency != "USD" || o.CustomerID == "" {
			t.Errorf("order %+v", o)
		}
		return nil
	})
	if err != nil || n != 22 {
		t.Errorf("another group read %d orders of the day: %v", n, err)
	}

	status := u.want(200, "GET /shopify/status", "")
	shop := status.body["items"].([]any)[0].(map[string]any)
	if streams := shop["streams"].([]any); len(streams) != 3 || streams[0].(map[string]any)["run_id"] != started.id() || streams[1].(map[string]any)["synced_at"] != nil {
		t.Errorf("freshness %v", streams)
	}
	if list := u.want(200, "GET /sync/runs?limit=1", "").body; len(list["items"].([]any)) != 1 {
		t.Errorf("syncs %v", list)
	}

	u.want(204, "DELETE /shopify", "")
	if gone := u.want(200, "GET /shopify/status", ""); !strings.Contains(gone.text, `"disconnected"`) {
		t.Errorf("after the disconnect: %s", gone.text)
	}
	if orders := u.want(200, "GET /records/orders?limit=1", ""); len(orders.body["items"].([]any)) != 1 {
		t.Error("the records went with the connection")
	}
	if a := u.want(409, "POST /sync/runs", `{"connection_id":"`+created.id()+`","mode":"incremental"}`); a.code() != "connection_disconnected" {
		t.Errorf("synced after the disconnect: %s", a.text)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range []string{created.text, status.text, p.log.String()} {
		if strings.Contains(text, "topsecret") {
			t.Errorf("the access token is told: %.500s", text)
		}
	}
}

func TestBadInput(t *testing.T) {
	p := start(t, 10)
	u := p.user("o1", "owner")
	connection := u.connect("demo")
	long := strings.Repeat("x", 500)
	for _, c := range []struct {
		what, body string
		status     int
		code       string
	}{
		{"POST /shopify/connect", `{"shop":"demo.example.com","access_token":"shpat_12345678"}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":"demo/../admin","access_token":"shpat_12345678"}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":"demo","access_token":""}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":"demo","access_token":"shpat_1\r\nX-Evil: 1"}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":"demo","access_token":"` + long + `"}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":"` + long + `","access_token":"shpat_12345678"}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":7,"access_token":"shpat_12345678"}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":"demo","access_token":"shpat_12345678","organization":"o2"}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":"demo"}`, 422, "validation_failed"},
		{"POST /shopify/connect", `{"shop":`, 400, "bad_request"},
		{"POST /shopify/connect", `{"shop":"demo","access_token":"shpat_revoked1"}`, 422, "credentials_refused"},
		{"POST /sync/runs", `{"connection_id":"` + connection + `","mode":"sideways"}`, 422, "validation_failed"},
		{"POST /sync/runs", `{"connection_id":"` + connection + `","mode":"backfill","stream":"campaigns"}`, 422, "validation_failed"},
		{"POST /sync/runs", `{"connection_id":"nobody","mode":"backfill"}`, 404, "not_found"},
		{"POST /sync/runs", `{"connection_id":"\u0000","mode":"backfill"}`, 404, "not_found"},
		{"GET /sync/runs/nobody", "", 404, "not_found"},
		{"GET /sync/runs/nobody/events", "", 404, "not_found"},
		{"POST /sync/runs/nobody/cancel", "", 404, "not_found"},
		{"GET /sync/runs?cursor=rubbish", "", 422, "validation_failed"},
		{"GET /sync/runs?limit=0", "", 422, "validation_failed"},
		{"GET /shopify/status?cursor=rubbish", "", 422, "validation_failed"},
		{"DELETE /shopify?connection_id=nobody", "", 404, "not_found"},
		{"GET /records/orders?from=yesterday", "", 422, "validation_failed"},
		{"GET /records/orders?from=2024-02-30", "", 422, "validation_failed"},
		{"GET /records/orders?to=9999-12-31T23:59:59-10:00", "", 422, "validation_failed"},
		{"GET /records/orders?from=2024-02-02&to=2024-02-01", "", 422, "validation_failed"},
		{"GET /records/orders?limit=1001", "", 422, "validation_failed"},
		{"GET /records/orders?limit=many", "", 422, "validation_failed"},
		{"GET /records/orders?cursor=rubbish", "", 422, "validation_failed"},
		{"GET /records/customers?from=yesterday", "", 422, "validation_failed"},
		{"GET /records/products?cursor=rubbish", "", 422, "validation_failed"},
		{"GET /records/weather", "", 404, "route_not_found"},
		{"GET /records/orders?organization=o2", "", 422, "validation_failed"},
	} {
		if a := u.do(c.what, c.body); a.status != c.status || a.code() != c.code {
			t.Errorf("%s %.80s: %d %s, want %d %s", c.what, c.body, a.status, a.text, c.status, c.code)
		}
	}
	if p.log.Len() > 0 && strings.Contains(p.log.String(), "shpat_") {
		t.Error("a token is in the log")
	}
}

func TestAVendorThatIsDown(t *testing.T) {
	p := start(t, 10)
	r, err := http.Post(p.sandbox+"/sandbox/shopify/demo/faults", "application/json", strings.NewReader(`{"kind":"html","times":-1,"status":503}`))
	if err != nil || r.StatusCode != http.StatusCreated {
		t.Fatal(r, err)
	}
	r.Body.Close()
	a := p.user("o1", "owner").want(503, "POST /shopify/connect", `{"shop":"demo","access_token":"shpat_12345678"}`)
	if a.code() != "vendor_unavailable" || strings.Contains(a.text, "html") {
		t.Errorf("%s", a.text)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	p := start(t, 10)
	owner := p.user("o1", "owner")
	connection := owner.connect("demo")
	run := owner.sync(connection, "backfill").id()
	nobody, stranger := p.user("o1"), p.user("o2", "owner")
	for _, c := range []struct {
		what, body          string
		viewer, otherTenant int // 0 where the answer says nothing
	}{
		{"POST /shopify/connect", `{"shop":"other","access_token":"shpat_12345678"}`, 403, 0},
		{"GET /shopify/status", "", 200, 0},
		{"DELETE /shopify?connection_id=" + connection, "", 403, 404},
		{"DELETE /shopify", "", 403, 404},
		{"POST /sync/runs", `{"connection_id":"` + connection + `","mode":"backfill"}`, 403, 404},
		{"GET /sync/runs", "", 200, 0},
		{"GET /sync/runs/" + run, "", 200, 404},
		{"GET /sync/runs/" + run + "/events", "", 0, 404},
		{"POST /sync/runs/" + run + "/cancel", "", 403, 404},
		{"GET /records/orders", "", 200, 0},
		{"GET /records/customers", "", 200, 0},
		{"GET /records/products", "", 200, 0},
	} {
		if a := (user{p, ""}).do(c.what, c.body); a.status != 401 {
			t.Errorf("%s without a token: %d", c.what, a.status)
		}
		if a := nobody.do(c.what, c.body); a.status != 403 {
			t.Errorf("%s without a role: %d", c.what, a.status)
		}
		if c.viewer != 0 {
			if a := p.user("o1", "viewer").do(c.what, c.body); a.status != c.viewer {
				t.Errorf("%s as a viewer: %d %s, want %d", c.what, a.status, a.text, c.viewer)
			}
		}
		if c.otherTenant != 0 {
			if a := stranger.do(c.what, c.body); a.status != c.otherTenant {
				t.Errorf("%s of another organization: %d %s, want %d", c.what, a.status, a.text, c.otherTenant)
			}
		}
	}
	for _, list := range []string{"GET /shopify/status", "GET /sync/runs", "GET /records/orders", "GET /records/orders?connection_id=" + connection, "GET /records/customers", "GET /records/products"} {
		if a := p.user("o3", "owner").want(200, list, ""); len(a.body["items"].([]any)) != 0 {
			t.Errorf("%s shows another organization %s", list, a.text)
		}
	}
}

func TestASyncAtWorkIsFollowedUntilTheClientLeaves(t *testing.T) {
	p := start(t, 600)
	u := p.user("o1", "owner")
	connection := u.connect("demo")
	r, err := http.Post(p.sandbox+"/sandbox/shopify/demo/faults", "application/json", strings.NewReader(`{"kind":"slow","times":-1,"delay_ms":2000}`))
	if err != nil || r.StatusCode != http.StatusCreated {
		t.Fatal(r, err)
	}
	r.Body.Close()
	run := u.want(202, "POST /sync/runs", `{"connection_id":"`+connection+`","mode":"backfill"}`).id()
	second := u.want(409, "POST /sync/runs", `{"connection_id":"`+connection+`","mode":"incremental"}`)
	if second.code() != "sync_running" || second.header.Get("Location") != "/api/integrations/sync/runs/"+run {
		t.Errorf("a second sync: %s, Location %q", second.text, second.header.Get("Location"))
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	resp := u.send(ctx, "GET /sync/runs/"+run+"/events", "")
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || line != "event: progress\n" {
		t.Fatalf("%q, %v: the first event does not come at once", line, err)
	}
	leave()
	feed := `tandem_http_in_flight{group="integrations"}`
	eventually.Holds(t, 5*time.Second, "the feed ends after its client left", func() bool {
		resp, err := http.Get(p.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(metrics), feed+" 0\n")
	})
	u.want(200, "POST /sync/runs/"+run+"/cancel", "")
}

func TestALimitOfAnUnknownVendorKeepsTheGroupFromStarting(t *testing.T) {
	builder := integrations.Builder(integrations.Config{ShopifyBaseURL: "https://{shop}", Limits: map[string]string{"triple-whale": "none"}})
	k := group.Kernel{Secrets: secrets.Map{}, Now: time.Now, NewID: uuid.NewString}
	if _, err := builder.Build(t.Context(), k); err == nil || !strings.Contains(err.Error(), `"triple-whale"`) {
		t.Error(err)
	}
}
