package hubspot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/hubspot"
	"github.com/tandemhq/tandem/pkg/secrets"
)

const demo = "demo"

var streams = []string{integrationsapi.KindContacts, integrationsapi.KindDeals, integrationsapi.KindCampaigns}

func world(t *testing.T) (*connectortest.Sandbox, *hubspot.Connector, connector.Account) {
	t.Helper()
	s := connectortest.New(t)
	c := hubspot.NewConnector(s.Web, s.App)
	a := connector.Account{Connection: "c1", Credentials: connector.Credentials{AccessToken: secrets.New("pat-na1-" + demo + "_1")}}
	who, err := c.Identify(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	a.Name = who.Account
	return s, c, a
}

// byID are the records of pages by the vendor's ids, and how many there were with repeats.
func byID(t *testing.T, pages []connector.Page) (records map[string]any, read int) {
	t.Helper()
	records = map[string]any{}
	keep := func(id string, r any) {
		own, ours := strings.CutPrefix(id, "c1:")
		if !ours {
			t.Fatalf("%s is not of the connection", id)
		}
		records[own] = r
	}
	for _, p := range pages {
		read += p.Records.Len()
		for _, r := range p.Records.Contacts {
			keep(r.ID, r)
		}
		for _, r := range p.Records.Deals {
			keep(r.ID, r)
		}
		for _, r := range p.Records.Campaigns {
			keep(r.ID, r)
		}
	}
	return records, read
}

func TestEveryStreamIsWhatTheVendorHas(t *testing.T) {
	s, c, a := world(t)
	all := map[string]map[string]any{}
	for _, name := range streams {
		stream := connectortest.Stream(t, c, name)
		pages := connectortest.Pull(t, stream, a, time.Time{}, stream.PageSize)
		records, read := byID(t, pages)
		s.Exact(hubspot.Vendor, demo, name, records)
		if first := pages[0]; name != integrationsapi.KindCampaigns && (first.Left == nil || *first.Left+first.Records.Len() != len(records)) {
			t.Errorf("%s: %d on the first page, %v left of %d", name, first.Records.Len(), first.Left, len(records))
		}
		if read > len(records)+len(pages)*5 {
			t.Errorf("%s: %d of %d records came again on %d pages", name, read-len(records), len(records), len(pages))
		}
		all[name] = records
	}
	// Every deal is with the customer of its order.
	for id, r := range all[integrationsapi.KindDeals] {
		with := r.(integrationsapi.Deal).ContactIDs
		if len(with) != 1 || all[integrationsapi.KindContacts][strings.TrimPrefix(with[0], "c1:")] == nil {
			t.Fatalf("deal %s is with %v", id, with)
		}
	}
}

func TestPagesThatRepeatOrMixEntriesChangeNothing(t *testing.T) {
	s, c, a := world(t)
	for name, size := range map[string]int{integrationsapi.KindContacts: 150, integrationsapi.KindDeals: 50, integrationsapi.KindCampaigns: 3} {
		for _, kind := range []string{"duplicate_page", "reorder_pages"} {
			s.Fault(hubspot.Vendor, demo, map[string]any{"kind": kind, "times": -1})
		}
		records, _ := byID(t, connectortest.Pull(t, connectortest.Stream(t, c, name), a, time.Time{}, size))
		s.Exact(hubspot.Vendor, demo, name, records)
		s.Admin(http.MethodDelete, hubspot.Vendor, demo, "faults", nil)
	}
}

func TestOnlyWhatChangedIsReadAgain(t *testing.T) {
	_, c, a := world(t)
	for _, name := range streams[:2] {
		stream := connectortest.Stream(t, c, name)
		var newest time.Time
		pages := connectortest.Pull(t, stream, a, time.Time{}, stream.PageSize)
		for _, p := range pages {
			if p.Changed.Before(newest) {
				t.Errorf("%s: a page up to %s after one up to %s", name, p.Changed, newest)
			}
			newest = p.Changed
		}
		all, _ := byID(t, pages)
		again, _ := byID(t, connectortest.Pull(t, stream, a, newest.AddDate(0, 0, -1), stream.PageSize))
		if len(again) == 0 || len(again) > len(all)/10 {
			t.Errorf("%s: %d of %d again", name, len(again), len(all))
		}
		if at, _ := byID(t, connectortest.Pull(t, stream, a, newest, stream.PageSize)); len(at) == 0 {
			t.Errorf("%s: what changed at %s itself is left out", name, newest)
		}
	}
}

// crm is contacts that all change at one of a few times, of which a search gives what a real one would.
type crm struct {
	t       *testing.T
	changed map[int64]int64 // when, by id, in Unix milliseconds
	// before is called ahead of every search.
	before func(search int)
	count  int
}

func (m *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.count++
	if m.before != nil {
		m.before(m.count)
	}
	var q struct {
		FilterGroups []struct {
			Filters []struct {
				Property string `json:"propertyName"`
				Operator string `json:"operator"`
				Value    int64  `json:"value,string"`
			} `json:"filters"`
		} `json:"filterGroups"`
		Sorts []struct {
			Property string `json:"propertyName"`
		} `json:"sorts"`
		Limit int    `json:"limit"`
		After string `json:"after"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Sorts) != 1 || len(q.FilterGroups) != 1 || q.After != "0" {
		m.t.Errorf("search %+v: %v", q, err)
	}
	var found []int64
	for id, changed := range m.changed {
		fits := true
		for _, f := range q.FilterGroups[0].Filters {
			has := changed
			if f.Property == "hs_object_id" {
				has = id
			}
			fits = fits && (f.Operator == "GTE" && has >= f.Value || f.Operator == "GT" && has > f.Value || f.Operator == "EQ" && has == f.Value)
		}
		if fits {
			found = append(found, id)
		}
	}
	slices.SortFunc(found, func(a, b int64) int {
		if q.Sorts[0].Property == "hs_object_id" {
			return int(a - b)
		}
		if m.changed[a] != m.changed[b] {
			return int(m.changed[a] - m.changed[b])
		}
		return int(b%7*1000 + b - a%7*1000 - a) // those of one time in any order
	})
	results := []any{}
	for _, id := range found[:min(q.Limit, len(found))] {
		at := time.UnixMilli(m.changed[id]).UTC().Format("2006-01-02T15:04:05.000Z")
		results = append(results, map[string]any{
			"id": strconv.FormatInt(id, 10), "createdAt": at, "updatedAt": at, "properties": map[string]string{"lastmodifieddate": at, "email": fmt.Sprintf("p%d@example.com", id)},
		})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"total": len(found), "results": results})
}

func (m *crm) connector(t *testing.T) *hubspot.Connector {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return hubspot.NewConnector(connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL, Pages: server.URL}, connector.App{})
}

// An import changes many contacts in one moment: more than a page has, and more than all pages of a search.
func TestManyChangesOfOneTime(t *testing.T) {
	m := &crm{t: t, changed: map[int64]int64{}}
	for id := range int64(10_500) {
		switch {
		case id < 300:
			m.changed[id+1] = 1_700_000_000_000
		case id < 400:
			m.changed[id+1] = 1_700_000_000_001 + id
		case id < 10_450:
			m.changed[id+1] = 1_700_000_001_000
		default:
			m.changed[id+1] = 1_700_000_002_000
		}
	}
	pages := connectortest.Pull(t, m.connector(t).Streams()[0], connector.Account{Connection: "c1"}, time.Time{}, 200)
	records, read := byID(t, pages)
	if len(records) != len(m.changed) || read > len(records)+1000 {
		t.Errorf("%d contacts in %d on %d pages, there are %d", len(records), read, len(pages), len(m.changed))
	}
}

// One that changes while pages are read moves others, of which none must be missed.
func TestChangesWhilePagesAreRead(t *testing.T) {
	m := &crm{t: t, changed: map[int64]int64{}}
	for id := range int64(1000) {
		m.changed[id+1] = 1_700_000_000_000 + id/3*1000
	}
	m.before = func(search int) {
		for i := range int64(20) { // of those at the beginning, which were read
			if id := int64(search*20) + i; id <= 300 {
				m.changed[id] = 1_800_000_000_000 + id
			}
		}
	}
	records, _ := byID(t, connectortest.Pull(t, m.connector(t).Streams()[0], connector.Account{Connection: "c1"}, time.Time{}, 50))
	if len(records) != 1000 {
		t.Errorf("%d contacts, there are 1000", len(records))
	}
	for id, r := range records {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if at := r.(integrationsapi.Contact).UpdatedAt.UnixMilli(); at != m.changed[n] {
			t.Errorf("contact %s as of %d, it changed at %d", id, at, m.changed[n])
		}
	}
}

func TestFaultsAreClassified(t *testing.T) {
	s, c, a := world(t)
	for _, f := range []struct {
		fault map[string]any
		class connector.Class
		wait  time.Duration
	}{
		{map[string]any{"kind": "throttle"}, connector.Throttled, time.Second},
		{map[string]any{"kind": "throttle", "status": 423}, connector.Throttled, 2 * time.Second},
		{map[string]any{"kind": "error500"}, connector.Transient, 0},
		{map[string]any{"kind": "html"}, connector.Transient, 0},
		{map[string]any{"kind": "truncated"}, connector.Transient, 0},
		{map[string]any{"kind": "drop_connection", "times": -1}, connector.Transient, 0},
		{map[string]any{"kind": "expired_token"}, connector.Unauthorized, 0},
	} {
		for _, name := range streams {
			s.Admin(http.MethodDelete, hubspot.Vendor, demo, "faults", nil)
			s.Fault(hubspot.Vendor, demo, f.fault)
			_, err := connectortest.Stream(t, c, name).Pull(t.Context(), a, connector.Request{Size: 100})
			if e := connector.Classify(err); err == nil || e.Class != f.class || e.Wait != f.wait {
				t.Errorf("%s, %v: %v", name, f.fault, err)
			}
		}
	}
	for _, token := range []string{"pat-na1-" + demo + "_revoked", "nonsense"} {
		_, err := c.Identify(t.Context(), connector.Account{Credentials: connector.Credentials{AccessToken: secrets.New(token)}})
		if connector.Classify(err).Code != connector.CodeCredentialsRefused {
			t.Errorf("%s: %v", token, err)
		}
	}
}

// canned answers everything alike.
func canned(t *testing.T, status int, body string, header ...string) *hubspot.Connector {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return hubspot.NewConnector(connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL, Pages: server.URL}, connector.App{})
}

func TestHowLongRefusalsLast(t *testing.T) {
	const interval = "X-HubSpot-RateLimit-Interval-Milliseconds"
	for _, c := range []struct {
		name   string
		status int
		body   string
		header []string
		wait   time.Duration
	}{
		{"searches", 429, `{"policyName":"SECONDLY"}`, nil, time.Second},
		{"everything", 429, `{"policyName":"TEN_SECONDLY_ROLLING"}`, nil, 10 * time.Second},
		{"everything, with its window", 429, `{"policyName":"TEN_SECONDLY_ROLLING"}`, []string{interval, "5000"}, 5 * time.Second},
		{"a day's", 429, `{"policyName":"DAILY"}`, []string{interval, "10000"}, time.Hour},
		{"with a hint", 429, `{"policyName":"DAILY"}`, []string{"Retry-After", "7"}, 7 * time.Second},
		{"without a policy", 429, `{}`, nil, 10 * time.Second},
		{"in no form", 429, `[]`, nil, 10 * time.Second},
		{"locked", 423, `{}`, nil, 2 * time.Second},
		{"migrating", 477, `{}`, []string{"Retry-After", "600"}, 10 * time.Minute},
	} {
		h := canned(t, c.status, c.body, c.header...)
		_, err := h.Identify(t.Context(), connector.Account{})
		if e := connector.Classify(err); e.Class != connector.Throttled || e.Wait != c.wait {
			t.Errorf("%s: %v, wait %s", c.name, err, e.Wait)
		}
	}
}

func TestAnswersThatCannotBe(t *testing.T) {
	const times = `"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"`
	for _, c := range []struct{ name, stream, body string }{
		{"no id", integrationsapi.KindContacts, `{"results":[{` + times + `,"properties":{"lastmodifieddate":"2026-01-01T00:00:00Z"}}]}`},
		{"no times", integrationsapi.KindContacts, `{"results":[{"id":"1","properties":{"lastmodifieddate":"2026-01-01T00:00:00Z"}}]}`},
		{"no last change", integrationsapi.KindContacts, `{"results":[{"id":"1",` + times + `,"properties":{}}]}`},
		{"a campaign without an id", integrationsapi.KindCampaigns, `{"results":[{` + times + `}]}`},
		{"a campaign that begins some day", integrationsapi.KindCampaigns, `{"results":[{"id":"a",` + times + `,"properties":{"hs_start_date":"soon"}}]}`},
		{"a next page without a way to it", integrationsapi.KindCampaigns, `{"results":[],"paging":{"next":{"after":""}}}`},
		{"a next page that is this one", integrationsapi.KindCampaigns, `{"results":[],"paging":{"next":{"after":"here"}}}`},
	} {
		h := canned(t, 200, c.body)
		request := connector.Request{Size: 100}
		if c.stream == integrationsapi.KindCampaigns {
			request.Cursor = "here"
		}
		if page, err := connectortest.Stream(t, h, c.stream).Pull(t.Context(), connector.Account{}, request); !connectortest.Impossible(page, err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	h := canned(t, 200, `{}`)
	if _, err := h.Identify(t.Context(), connector.Account{}); connector.Classify(err).Code != connector.CodeBadAnswer {
		t.Errorf("an account without an id: %v", err)
	}
	for _, cursor := range []string{"x", `{"time":"soon"}`} {
		if page, err := h.Streams()[0].Pull(t.Context(), connector.Account{}, connector.Request{Size: 1, Cursor: cursor}); !connectortest.Impossible(page, err) {
			t.Errorf("cursor %s: %v", cursor, err)
		}
	}
}

// dealing is a vendor with one deal.
func dealing(t *testing.T, properties string, associations ...string) (connector.Page, error) {
	t.Helper()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/details"):
			fmt.Fprint(w, `{"portalId":1,"companyCurrency":"JPY"}`)
		case strings.HasSuffix(r.URL.Path, "/search"):
			fmt.Fprint(w, `{"results":[{"id":"5","createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","properties":{"hs_lastmodifieddate":"2026-01-01T00:00:00Z"`+properties+`}}]}`)
		default:
			w.WriteHeader(http.StatusMultiStatus)
			fmt.Fprint(w, associations[min(asked, len(associations)-1)])
			asked++
		}
	}))
	t.Cleanup(server.Close)
	h := hubspot.NewConnector(connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL, Pages: server.URL}, connector.App{})
	return connectortest.Stream(t, h, integrationsapi.KindDeals).Pull(t.Context(), connector.Account{Connection: "c1"}, connector.Request{Size: 10})
}

func TestDealsAreNormalized(t *testing.T) {
	const nobody = `{"results":[],"errors":[{"subCategory":"crm.associations.NO_ASSOCIATIONS_FOUND"}]}`
	for _, c := range []struct {
		name, properties, status, currency string
		amount                             int64
	}{
		{"open, in the account's currency", `,"hs_is_closed":"false","amount":"1200"`, "open", "JPY", 1200},
		{"won, in its own", `,"hs_is_closed":"true","hs_is_closed_won":"true","amount":"12.345","deal_currency_code":"USD"`, "won", "USD", 1234},
		{"lost, without an amount", `,"hs_is_closed":"true","hs_is_closed_won":"false","amount":null`, "lost", "JPY", 0},
	} {
		page, err := dealing(t, c.properties, nobody)
		if err != nil || len(page.Records.Deals) != 1 {
			t.Fatalf("%s: %+v, %v", c.name, page, err)
		}
		if d := page.Records.Deals[0]; d.Status != c.status || d.Currency != c.currency || d.AmountMinor != c.amount || d.ContactIDs != nil || d.ClosedAt != nil {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
	for _, properties := range []string{"", `,"hs_is_closed":"false","amount":"much"`, `,"hs_is_closed":"false","closedate":"soon"`} {
		if page, err := dealing(t, properties, nobody); !connectortest.Impossible(page, err) {
			t.Errorf("%s: %v", properties, err)
		}
	}
	const closed = `,"hs_is_closed":"false"`
	page, err := dealing(t, closed, `{"results":[{"from":{"id":"5"},"to":[{"toObjectId":12},{"toObjectId":"3"},{"toObjectId":12}],"paging":{"next":{"after":"z"}}}]}`, `{"results":[{"from":{"id":"5"},"to":[{"toObjectId":7}]}]}`)
	if err != nil || !slices.Equal(page.Records.Deals[0].ContactIDs, []string{"c1:3", "c1:7", "c1:12"}) {
		t.Errorf("%+v, %v", page.Records.Deals, err)
	}
	if _, err := dealing(t, closed, `{"results":[],"errors":[{"subCategory":"crm.associations.OTHER"}]}`); connector.Classify(err).Class != connector.Transient {
		t.Errorf("contacts that are not told: %v", err)
	}
}

func TestAuthorizeRefreshAndRevoke(t *testing.T) {
	s := connectortest.New(t)
	c := hubspot.NewConnector(s.Web, s.App)
	o := c.OAuth()
	code := s.Allow(c, demo).Get("code")
	first, err := s.Redeem(c, code)
	if err != nil || !first.ExpiresAt.Equal(s.Now.Add(30*time.Minute)) || first.RefreshToken.Empty() {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := s.Redeem(c, code); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a code a second time: %v", err)
	}
	works := func(c2 connector.Credentials) error {
		who, err := c.Identify(context.Background(), connector.Account{Credentials: c2})
		if err == nil && (who.TimeZone != "Europe/Berlin" || who.Currency != "USD" || !slices.Contains(who.Scopes, "crm.objects.deals.read")) {
			t.Errorf("%+v", who)
		}
		return err
	}
	if err := works(first); err != nil {
		t.Error(err)
	}
	s.Now = s.Now.Add(30 * time.Minute)
	if err := works(first); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("after 30 minutes: %v", err)
	}
	second, err := o.Refresh(t.Context(), "", first)
	if err != nil || second.RefreshToken.Empty() || works(second) != nil {
		t.Errorf("%+v, %v", second, err)
	}
	if err := o.Revoke(t.Context(), connector.Account{Credentials: second}); err != nil {
		t.Error(err)
	}
	if err := works(second); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("after the revocation: %v", err)
	}
	if _, err := o.Refresh(t.Context(), "", second); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("after the revocation: %v", err)
	}
}

func FuzzSearch(f *testing.F) {
	for _, body := range []string{`{}`, `{"results":[{"id":"1","createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","properties":{"lastmodifieddate":"2026-01-01T00:00:00Z"}}]}`, `{"results":[{"id":"-1"}]}`, `[]`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		}))
		defer server.Close()
		h := hubspot.NewConnector(connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL, Pages: server.URL}, connector.App{})
		cursor, seen := "", map[string]bool{}
		for range 10 { // an answer that is always the same leads to an end or an error
			page, err := h.Streams()[0].Pull(t.Context(), connector.Account{Connection: "c1"}, connector.Request{Size: 1, Cursor: cursor})
			if err != nil || page.Next == "" {
				return
			}
			if cursor = page.Next; seen[cursor] {
				t.Fatalf("%q leads back to %s", body, cursor)
			}
			seen[cursor] = true
		}
	})
}
