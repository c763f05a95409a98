// Package connectortest holds connectors against the simulated vendors, in process.
package connectortest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// Sandbox is the simulated vendors, and how a connector reaches them.
type Sandbox struct {
	// Web and App are for the connector's constructor.
	Web connector.Web
	App connector.App
	// Now is the time, of the vendors and of the connector.
	Now time.Time

	t    *testing.T
	base string
}

// New starts the vendors, at noon of a day in November 2026.
func New(t *testing.T) *Sandbox {
	t.Helper()
	s := &Sandbox{Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	return s.start(t, func() time.Time { return s.Now })
}

// At starts the vendors with a clock, which Now has nothing to do with.
func At(t *testing.T, now func() time.Time) *Sandbox {
	t.Helper()
	return new(Sandbox).start(t, now)
}

func (s *Sandbox) start(t *testing.T, now func() time.Time) *Sandbox {
	t.Helper()
	s.t = t
	handler, err := sandbox.New(sandbox.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client := connector.NewHTTPClient(10 * time.Second)
	t.Cleanup(client.CloseIdleConnections)
	s.base = server.URL
	s.Web = connector.Web{HTTP: client, Now: now, Hosts: server.URL + "/vendors/{host}", Pages: server.URL + "/vendors/{host}"}
	s.App = connector.App{
		ClientID: sandbox.ClientID,
		Secret:   func(context.Context) (secrets.Secret, error) { return secrets.New(sandbox.ClientSecret), nil },
	}
	return s
}

// AppOf is this platform's app at a vendor, with the secrets of its webhooks.
func (s *Sandbox) AppOf(vendor string) connector.App {
	return connector.NewApp(vendor, sandbox.ClientID, secrets.Map(sandbox.Secrets()).Get)
}

// redirect is where vendors send people back to.
const redirect = "https://app.example/callback"

// verifier is for PKCE, as long as has to be (RFC 7636, section 4.1).
const verifier = "a-verifier-of-forty-three-characters-or-more"

// Allow clicks on the vendor's page, for the account of that name, and returns what the page sends back.
func (s *Sandbox) Allow(c connector.Authorizer, name string) url.Values {
	s.t.Helper()
	page, query, _ := strings.Cut(c.OAuth().AuthorizeURL("", redirect, "the-state", verifier), "?")
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, page, strings.NewReader(query+"&account="+name))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.Web.HTTP.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || !strings.HasPrefix(back.String(), redirect) || back.Query().Get("state") != "the-state" {
		s.t.Fatalf("%s: sent back to %v, %v", resp.Status, back, err)
	}
	return back.Query()
}

// Redeem is Redeem of the connector's OAuth for a code.
func (s *Sandbox) Redeem(c connector.Authorizer, code string) (connector.Credentials, error) {
	return c.OAuth().Redeem(s.t.Context(), "", redirect, code, verifier)
}

// Connect authorizes the connector for the account of that name.
func (s *Sandbox) Connect(c connector.Authorizer, name string) connector.Account {
	s.t.Helper()
	codeIn := c.OAuth().CodeIn
	if codeIn == "" {
		codeIn = "code"
	}
	credentials, err := s.Redeem(c, s.Allow(c, name).Get(codeIn))
	if err != nil {
		s.t.Fatal(err)
	}
	return connector.Account{Connection: "c1", Name: name, Credentials: credentials}
}

// Admin asks the admin API of the simulated vendor about an account; body may be nil.
func (s *Sandbox) Admin(method, vendor, name, path string, body any) []byte {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+"/sandbox/vendors/"+vendor+"/"+name+"/"+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.Web.HTTP.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		s.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, got, err)
	}
	return got
}

// Fault sets one.
func (s *Sandbox) Fault(vendor, name string, fault map[string]any) {
	s.t.Helper()
	s.Admin(http.MethodPost, vendor, name, "faults", fault)
}

// Stream is the connector's of that name.
func Stream(t *testing.T, c connector.Connector, name string) connector.Stream {
	t.Helper()
	for _, s := range c.Streams() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("%s has no stream of %s", c.Vendor(), name)
	return connector.Stream{}
}

// Pull reads a stream to its end in pages of a size.
func Pull(t *testing.T, stream connector.Stream, a connector.Account, since time.Time, size int) (pages []connector.Page) {
	t.Helper()
	r := connector.Request{Since: since, Size: size}
	for range 10_000 {
		page, err := stream.Pull(t.Context(), a, r)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page)
		if page.Next == "" {
			return pages
		}
		r.Cursor = page.Next
	}
	t.Fatal("no end after 10,000 pages")
	return nil
}

// ReadTo is the latest time up to which pages say that something has been read.
func ReadTo(pages ...connector.Page) (to time.Time) {
	for _, page := range pages {
		for _, changed := range append(slices.Collect(maps.Values(page.ChangedOf)), page.Changed) {
			if changed.After(to) {
				to = changed
			}
		}
	}
	return to
}

// today is the date at which the vendors start.
var today = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// Campaigns reads an advertising platform's campaigns in pages of a size and holds them against those of the vendor. None may count as
// read before all are, as they are in no order.
func (s *Sandbox) Campaigns(c connector.Connector, name string, a connector.Account, size int) (campaigns []integrationsapi.Campaign) {
	s.t.Helper()
	byID := map[string]any{}
	for _, page := range Pull(s.t, Stream(s.t, c, integrationsapi.KindCampaigns), a, time.Time{}, size) {
		for _, r := range page.Records.Campaigns {
			byID[strings.TrimPrefix(r.ID, "c1:")] = r
			campaigns = append(campaigns, r)
		}
		if to := ReadTo(page); !to.IsZero() {
			s.t.Errorf("campaigns count as read up to %s, and they are in no order", to)
		}
	}
	s.Exact(c.Vendor(), name, integrationsapi.KindCampaigns, byID)
	return campaigns
}

// Performance reads an advertising platform's figures since a time in pages of a size, holds them against those of the vendor, and has
// them read up to today.
func (s *Sandbox) Performance(c connector.Connector, name string, a connector.Account, since time.Time, size int) (figures []integrationsapi.Performance) {
	s.t.Helper()
	byID := map[string]any{}
	pages := Pull(s.t, Stream(s.t, c, integrationsapi.KindPerformance), a, since, size)
	for _, page := range pages {
		for _, r := range page.Records.Performance {
			byID[strings.TrimPrefix(r.ID, "c1:")] = r
			figures = append(figures, r)
			if want := r.CampaignID + ":" + r.Day.Format(time.DateOnly); r.ID != want {
				s.t.Errorf("id %s, want %s", r.ID, want)
			}
		}
	}
	s.Exact(c.Vendor(), name, integrationsapi.KindPerformance, byID)
	if last := ReadTo(pages...); !last.Equal(today) {
		s.t.Errorf("read up to %s", last)
	}
	return figures
}

// Conversions are those of figures together.
func Conversions(figures []integrationsapi.Performance) (n float64) {
	for _, r := range figures {
		n += r.Conversions
	}
	return n
}

// AllMet tells that no fault of an account waits still.
func (s *Sandbox) AllMet(vendor, name string) {
	s.t.Helper()
	if pending := string(s.Admin(http.MethodGet, vendor, name, "faults", nil)); !strings.Contains(pending, `"faults":[]`) {
		s.t.Errorf("not every page was spoiled: %s", pending)
	}
}

// Failure is a fault of a vendor, by kind and HTTP status, and the class of error that it has to become.
type Failure struct {
	Kind   string
	Status int
	Class  connector.Class
	// Wait is how long a throttled request is to wait; some time when it is 0.
	Wait time.Duration
}

// Fails has what is asked with an account meet faults, one after the other. No error may tell the account's token.
func (s *Sandbox) Fails(vendor, name string, a connector.Account, ask func() error, failures ...Failure) {
	s.t.Helper()
	for _, f := range failures {
		s.Fault(vendor, name, map[string]any{"kind": f.Kind, "status": f.Status})
		err := ask()
		e := connector.Classify(err)
		hasty := e.Class == connector.Throttled && (e.Wait == 0 || f.Wait != 0 && e.Wait != f.Wait)
		if err == nil || e.Class != f.Class || hasty || strings.Contains(err.Error(), a.Credentials.AccessToken.Reveal()) {
			s.t.Errorf("%s with status %d: %v, %+v", f.Kind, f.Status, err, e)
		}
	}
}

// Exact holds records of a kind, by the vendor's ids, against what the simulated vendor says that the account has.
func (s *Sandbox) Exact(vendor, name, kind string, records map[string]any) {
	s.t.Helper()
	var truth map[string]map[string]map[string]any
	if err := json.Unmarshal(s.Admin(http.MethodGet, vendor, name, "truth", nil), &truth); err != nil {
		s.t.Fatal(err)
	}
	if len(truth[kind]) == 0 || len(records) != len(truth[kind]) {
		s.t.Errorf("%d %s, the vendor has %d", len(records), kind, len(truth[kind]))
	}
	for id, want := range truth[kind] {
		text, err := json.Marshal(records[id])
		if err != nil {
			s.t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			s.t.Fatal(err)
		}
		for field, value := range want {
			if fmt.Sprint(got[field]) != fmt.Sprint(value) {
				s.t.Fatalf("%s %s has %s %v, at the vendor %v", kind, id, field, got[field], value)
			}
		}
	}
}

// Impossible tells that a page is none, or has nothing but a record that cannot be one, with what the vendor wrote.
func Impossible(page connector.Page, err error) bool {
	if err != nil {
		return connector.Classify(err).Code == connector.CodeBadAnswer
	}
	page.Check()
	return len(page.Bad) == 1 && page.Records.Len() == 0 && page.Bad[0].Err != nil && len(page.Bad[0].Raw) > 0
}

// Creatives reads the ads of an advertising platform's first account that were shown from one day to another, both inclusive, in pages
// of a size. They come in the order of what they cost, once each, tell what they show, pictures and videos, and add up to what the
// campaigns' figures by day say. Then the vendor has faults while it is asked for those of the account called name.
func (s *Sandbox) Creatives(c connector.CreativeLister, name string, a connector.Account, from, to time.Time, size int) (all []connector.Creative) {
	s.t.Helper()
	accounts, err := c.Accounts(s.t.Context(), a)
	if err != nil {
		s.t.Fatal(err)
	}
	of, seen, got := accounts[0], map[string]bool{}, map[string]connector.Figures{}
	for cursor, n := "", 0; ; n++ {
		page, next, err := c.Creatives(s.t.Context(), a, of, from, to, cursor, size)
		if err != nil || n > 1000 {
			s.t.Fatal(err)
		}
		for _, one := range page {
			if seen[one.AdID] || len(all) > 0 && one.SpendMinor > all[len(all)-1].SpendMinor {
				s.t.Errorf("ad %s comes again, or after one that cost less", one.AdID)
			}
			if seen[one.AdID] = true; one.Channel != c.Vendor() || one.AdName == "" || one.CampaignName == "" || one.AdSetID == "" || one.Text == "" || one.ImageURL == "" || one.Kind == "" {
				s.t.Errorf("it is not said what the ad shows: %+v", one)
			}
			sum := got[one.CampaignID]
			sum.SpendMinor, sum.Impressions, sum.Clicks = sum.SpendMinor+one.SpendMinor, sum.Impressions+one.Impressions, sum.Clicks+one.Clicks
			sum.Orders, sum.RevenueMinor = sum.Orders+one.Orders, sum.RevenueMinor+one.RevenueMinor
			got[one.CampaignID] = sum
			all = append(all, one)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	want := map[string]connector.Figures{}
	stream := Stream(s.t, c, integrationsapi.KindPerformance)
	for _, page := range Pull(s.t, stream, a, from, stream.PageSize) {
		for _, r := range page.Records.Performance {
			if r.AccountID != of.ID || r.Day.Before(from) || r.Day.After(to) {
				continue
			}
			id := strings.TrimPrefix(r.CampaignID, "c1:")
			sum := want[id]
			sum.SpendMinor, sum.Impressions, sum.Clicks = sum.SpendMinor+r.SpendMinor, sum.Impressions+r.Impressions, sum.Clicks+r.Clicks
			sum.Orders, sum.RevenueMinor = sum.Orders+r.Conversions, sum.RevenueMinor+r.ConversionValueMinor
			want[id] = sum
		}
	}
	if len(want) == 0 || !maps.Equal(got, want) {
		s.t.Errorf("the ads add up to %v, the campaigns to %v", got, want)
	}
	kinds := map[string]int{}
	for _, one := range all {
		kinds[one.Kind]++
	}
	if kinds[connector.CreativeVideo] == 0 || kinds[connector.CreativeImage] == 0 || len(kinds) != 2 {
		s.t.Errorf("%v", kinds)
	}
	ask := func() error { _, _, err := c.Creatives(s.t.Context(), a, of, from, to, "", 50); return err }
	s.Fails(c.Vendor(), name, a, ask, Failure{Kind: "throttle", Class: connector.Throttled}, Failure{Kind: "error500", Class: connector.Transient}, Failure{Kind: "truncated", Class: connector.Transient})
	return all
}

// Refused tells whether an error has a code.
func Refused(err error, code string) bool { return err != nil && connector.Classify(err).Code == code }

// Contacts enters somebody with an account and changes them a minute later, by later where the vendor's clock is the test's; nobody is an
// id that nobody has there.
func Contacts(t *testing.T, c connector.ContactWriter, a connector.Account, nobody string, later func()) (made, changed integrationsapi.Contact) {
	t.Helper()
	made, err := c.CreateContact(t.Context(), a, connector.ContactFields{Email: "Grace@Example.com", FirstName: "Grace", Phone: "+15551234567"})
	if err != nil || made.Email != "grace@example.com" || made.FirstName != "Grace" || !strings.HasPrefix(made.ID, a.Connection+":") {
		t.Errorf("%+v, %v", made, err)
	}
	if _, err := c.CreateContact(t.Context(), a, connector.ContactFields{Email: "grace@example.com"}); !Refused(err, connector.CodeExists) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := c.CreateContact(t.Context(), a, connector.ContactFields{Email: "nobody"}); !Refused(err, connector.CodeInputRefused) {
		t.Errorf("no address: %v", err)
	}
	later()
	changed, err = c.UpdateContact(t.Context(), a, strings.TrimPrefix(made.ID, a.Connection+":"), connector.ContactFields{LastName: "Hopper"})
	if err != nil || changed.LastName != "Hopper" || changed.Email != "grace@example.com" || changed.Phone != made.Phone {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := c.UpdateContact(t.Context(), a, nobody, connector.ContactFields{LastName: "Hopper"}); !Refused(err, connector.CodeMissing) {
		t.Errorf("nobody: %v", err)
	}
	return made, changed
}
