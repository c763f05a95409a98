package klaviyo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/klaviyo"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// world is a connector and the simulated vendor that it speaks to.
type world struct {
	*klaviyo.Connector
	t   *testing.T
	url string
	now time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return w.now }
	vendors, err := sandbox.New(sandbox.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(vendors)
	t.Cleanup(server.Close)
	w.url = server.URL
	app := connector.App{ClientID: sandbox.ClientID, Secret: func(context.Context) (secrets.Secret, error) { return secrets.New(sandbox.ClientSecret), nil }}
	w.Connector = klaviyo.NewConnector(connector.Web{HTTP: server.Client(), Now: now, Hosts: w.url + "/vendors/{host}", Pages: w.url + "/vendors/{host}"}, app)
	return w
}

// admin asks the simulator's administration.
func (w *world) admin(method, path string, body, into any) {
	w.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/sandbox/vendors/klaviyo/demo/"+path, strings.NewReader(string(text)))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) fault(kind string, times int) {
	w.t.Helper()
	w.admin(http.MethodPost, "faults", map[string]any{"kind": kind, "times": times}, nil)
}

var byKey = connector.Account{Connection: "c1", Name: "Demo01", Credentials: connector.Credentials{AccessToken: secrets.New("pk_demo_1")}}

func (w *world) stream(name string) connector.Stream {
	w.t.Helper()
	for _, s := range w.Streams() {
		if s.Name == name {
			return s
		}
	}
	w.t.Fatalf("there is no stream of %s", name)
	return connector.Stream{}
}

// pull reads a stream to its end in pages of a size, the stream's own when 0, and returns the records by the vendor's ids, how many
// there were with repeats, and the newest change.
func (w *world) pull(stream string, since time.Time, size int) (byID map[string]map[string]any, read int, changed time.Time, err error) {
	w.t.Helper()
	s := w.stream(stream)
	if size == 0 {
		size = s.PageSize
	}
	byID = map[string]map[string]any{}
	for cursor := ""; ; {
		page, err := s.Pull(w.t.Context(), byKey, connector.Request{Since: since, Cursor: cursor, Size: size})
		if err != nil {
			return byID, read, changed, err
		}
		read += page.Records.Len()
		w.keep(page, byID)
		if to := connectortest.ReadTo(page); to.After(changed) {
			changed = to
		}
		if cursor = page.Next; cursor == "" {
			return byID, read, changed, nil
		}
	}
}

// keep keeps the records of a page by the vendor's ids.
func (w *world) keep(page connector.Page, byID map[string]map[string]any) {
	w.t.Helper()
	for _, list := range []any{page.Records.Contacts, page.Records.Campaigns, page.Records.EmailPerformance} {
		text, err := json.Marshal(list)
		if err != nil {
			w.t.Fatal(err)
		}
		var records []map[string]any
		if err := json.Unmarshal(text, &records); err != nil {
			w.t.Fatal(err)
		}
		for _, r := range records {
			id, ours := strings.CutPrefix(fmt.Sprint(r["id"]), "c1:")
			if !ours || r["connection_id"] != "c1" {
				w.t.Fatalf("%v is not of the connection", r)
			}
			byID[id] = r
		}
	}
}

// exact holds records against what the vendor has.
func (w *world) exact(stream string, got map[string]map[string]any) {
	w.t.Helper()
	var truth map[string]map[string]map[string]any
	w.admin(http.MethodGet, "truth", nil, &truth)
	if len(truth[stream]) == 0 || len(got) != len(truth[stream]) {
		w.t.Fatalf("%d %s, the vendor has %d", len(got), stream, len(truth[stream]))
	}
	for id, fields := range truth[stream] {
		for name, want := range fields {
			if name == "account_id" {
				want = "Demo01" // which the connection says
			}
			if fmt.Sprint(got[id][name]) != fmt.Sprint(want) {
				w.t.Fatalf("%s %s has %s %v, at the vendor %v", stream, id, name, got[id][name], want)
			}
		}
	}
}

var streams = []string{integrationsapi.KindContacts, integrationsapi.KindCampaigns, integrationsapi.KindEmailPerformance}

func TestEveryStreamIsWhatTheVendorHas(t *testing.T) {
	w := newWorld(t)
	for _, stream := range streams {
		got, _, changed, err := w.pull(stream, time.Time{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.exact(stream, got)
		if changed.IsZero() || changed.After(w.now) {
			t.Errorf("%s: read up to %s", stream, changed)
		}
	}
}

func TestPagesThatRepeatOrMixEntriesChangeNothing(t *testing.T) {
	for _, stream := range streams {
		t.Run(stream, func(t *testing.T) {
			w := newWorld(t)
			w.fault("duplicate_page", 5)
			w.fault("reorder_pages", 5)
			size := 20
			got, read, _, err := w.pull(stream, time.Time{}, size)
			if err != nil {
				t.Fatal(err)
			}
			w.exact(stream, got)
			var counts struct {
				ByFault map[string]int `json:"by_fault"`
			}
			w.admin(http.MethodGet, "requests", nil, &counts)
			if counts.ByFault["duplicate_page"] == 0 || counts.ByFault["reorder_pages"] == 0 {
				t.Errorf("the faults were not met: %v", counts.ByFault)
			}
			if stream != integrationsapi.KindEmailPerformance && read == len(got) {
				t.Errorf("no record came twice in %d", read)
			}
		})
	}
}

func TestOnlyWhatChangedIsReadAgain(t *testing.T) {
	w := newWorld(t)
	for _, stream := range streams {
		all, _, changed, err := w.pull(stream, time.Time{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		some, _, _, err := w.pull(stream, changed.Add(-w.stream(stream).LookBack), 0)
		if err != nil || len(some) == 0 || len(some) > len(all)/10 {
			t.Errorf("%s: %d of %d again, %v", stream, len(some), len(all), err)
		}
		for id, r := range some {
			if !reflect.DeepEqual(all[id], r) {
				t.Errorf("%s %s: %v, then %v", stream, id, all[id], r)
			}
		}
	}
	// What changed at the very time is read again too.
	_, _, changed, err := w.pull(integrationsapi.KindContacts, time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if again, _, _, err := w.pull(integrationsapi.KindContacts, changed, 0); err != nil || len(again) == 0 {
		t.Errorf("%d contacts, %v", len(again), err)
	}
}

func TestWhatTheVendorSaysOfItself(t *testing.T) {
	w := newWorld(t)
	got, err := w.Identify(t.Context(), byKey)
	if err != nil || len(got.ID) != 6 || got.Account != got.ID || got.Title != "demo" || got.Currency != "USD" || got.TimeZone != "America/New_York" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFaultsAreClassified(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		fault map[string]any
		class connector.Class
		wait  time.Duration
	}{
		{map[string]any{"kind": "throttle"}, connector.Throttled, time.Second},
		{map[string]any{"kind": "error500"}, connector.Transient, 0},
		{map[string]any{"kind": "error500", "status": 503}, connector.Transient, 0},
		{map[string]any{"kind": "html"}, connector.Transient, 0},
		{map[string]any{"kind": "truncated"}, connector.Transient, 0},
		{map[string]any{"kind": "drop_connection", "times": -1}, connector.Transient, 0},
		{map[string]any{"kind": "expired_token"}, connector.Unauthorized, 0},
	} {
		for _, stream := range streams {
			w.admin(http.MethodDelete, "faults", nil, nil)
			w.admin(http.MethodPost, "faults", c.fault, nil)
			_, _, _, err := w.pull(stream, time.Time{}, 0)
			e := connector.Classify(err)
			if err == nil || e.Class != c.class || e.Wait != c.wait || strings.Contains(e.Message, "pk_") {
				t.Errorf("%s, %v: %v", stream, c.fault, err)
			}
		}
	}
}

func TestCredentialsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, token := range []string{"pk_demo_revoked", "nonsense"} {
		a := connector.Account{Credentials: connector.Credentials{AccessToken: secrets.New(token)}}
		if _, err := w.Identify(t.Context(), a); connector.Classify(err).Class != connector.Unauthorized || connector.Classify(err).Code != connector.CodeCredentialsRefused {
			t.Errorf("%s: %v", token, err)
		}
	}
}

// A window of figures takes more requests than a window of the limit allows. What was read must not be read again, however few they are.
func TestFiguresNeedNotFitIntoOneWindowOfTheLimit(t *testing.T) {
	w := newWorld(t)
	w.admin(http.MethodPut, "limits", map[string]any{"requests": 3, "seconds": 60}, nil)
	got := map[string]map[string]any{}
	s, size := w.stream(integrationsapi.KindEmailPerformance), 25
	pages, cursor := 1, ""
	for ; ; pages++ {
		page, err := s.Pull(t.Context(), byKey, connector.Request{Cursor: cursor, Size: size})
		if e := connector.Classify(err); err != nil && e.Class == connector.Throttled && pages < 2000 {
			w.now = w.now.Add(e.Wait)
			continue
		}
		if err != nil || pages == 2000 {
			t.Fatalf("after %d pages: %v", pages, err)
		}
		w.keep(page, got)
		w.now = w.now.Add(page.Wait)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	w.exact(integrationsapi.KindEmailPerformance, got)
	var counts struct {
		Total     int `json:"total"`
		Throttled int `json:"throttled"`
	}
	w.admin(http.MethodGet, "requests", nil, &counts)
	if counts.Throttled == 0 || counts.Total-counts.Throttled > pages {
		t.Errorf("%+v requests for %d pages", counts, pages)
	}
}

// Figures of many messages are read in parts of a window, so that little is carried along.
func TestFiguresOfManyMessagesAreReadInParts(t *testing.T) {
	w := newWorld(t)
	got, _, _, err := w.pull(integrationsapi.KindEmailPerformance, time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.CarryAtMost(100)
	s, longest := w.stream(integrationsapi.KindEmailPerformance), 0
	parts := map[string]map[string]any{}
	for cursor := ""; ; {
		page, err := s.Pull(t.Context(), byKey, connector.Request{Cursor: cursor, Size: s.PageSize})
		if err != nil {
			t.Fatal(err)
		}
		w.keep(page, parts)
		if cursor = page.Next; cursor == "" {
			break
		}
		longest = max(longest, len(cursor))
	}
	if !reflect.DeepEqual(got, parts) || len(parts) < 200 {
		t.Errorf("%d figures, in parts %d", len(got), len(parts))
	}
	if longest > 4000 {
		t.Errorf("a cursor of %d bytes", longest)
	}
}

func TestARefusalSaysWhenToComeAgain(t *testing.T) {
	w := newWorld(t)
	w.admin(http.MethodPut, "limits", map[string]any{"requests": 1, "seconds": 2}, nil)
	s := w.stream(integrationsapi.KindContacts)
	page, err := s.Pull(t.Context(), byKey, connector.Request{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Pull(t.Context(), byKey, connector.Request{Size: 100, Cursor: page.Next})
	if e := connector.Classify(err); e.Class != connector.Throttled || e.Wait != 2*time.Second {
		t.Errorf("%v", err)
	}
}

// authorize is what a person's click brings.
func (w *world) authorize() (code, verifier string) {
	w.t.Helper()
	verifier = strings.Repeat("v", 43)
	page, query, _ := strings.Cut(w.OAuth().AuthorizeURL("", "https://app.example/callback", "s", verifier), "?")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, page, strings.NewReader(query))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || back.Query().Get("code") == "" || back.Query().Get("state") != "s" {
		w.t.Fatalf("%s to %v, %v", resp.Status, back, err)
	}
	return back.Query().Get("code"), verifier
}

func TestAuthorizeRefreshAndRevoke(t *testing.T) {
	w := newWorld(t)
	o := w.OAuth()
	code, _ := w.authorize()
	if _, err := o.Redeem(t.Context(), "", "https://app.example/callback", code, strings.Repeat("w", 43)); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("with another verifier: %v", err)
	}
	code, verifier := w.authorize()
	first, err := o.Redeem(t.Context(), "", "https://app.example/callback", code, verifier)
	if err != nil || !first.ExpiresAt.Equal(w.now.Add(time.Hour)) || !first.Authorized || first.RefreshToken.Empty() {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := o.Redeem(t.Context(), "", "https://app.example/callback", code, verifier); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("a code a second time: %v", err)
	}
	identity := func(c connector.Credentials) error {
		_, err := w.Identify(t.Context(), connector.Account{Credentials: c})
		return err
	}
	if err := identity(first); err != nil {
		t.Error(err)
	}
	w.now = w.now.Add(time.Hour)
	if err := identity(first); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("after an hour: %v", err)
	}
	second, err := o.Refresh(t.Context(), "", first)
	if err != nil || second.RefreshToken.Reveal() != first.RefreshToken.Reveal() || identity(second) != nil {
		t.Errorf("%+v, %v", second, err)
	}
	if err := o.Revoke(t.Context(), connector.Account{Credentials: second}); err != nil {
		t.Error(err)
	}
	if err := identity(second); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("after the revocation: %v", err)
	}
	if _, err := o.Refresh(t.Context(), "", second); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("after the revocation: %v", err)
	}
}

// canned is a vendor that answers every request with the same body.
func canned(t *testing.T, body string) (*klaviyo.Connector, *[]*http.Request) {
	t.Helper()
	asked := &[]*http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r)
		w.Header().Set("Content-Type", "application/vnd.api+json")
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return klaviyo.NewConnector(connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL + "/{host}", Pages: server.URL}, connector.App{}), asked
}

func TestAnswersThatCannotBe(t *testing.T) {
	const times = `"created":"2026-01-01T00:00:00+00:00","updated":"2026-01-02T00:00:00+00:00"`
	for _, c := range []struct{ name, body string }{
		{"no id", `{"data":[{"attributes":{` + times + `}}]}`},
		{"no times", `{"data":[{"id":"01","attributes":{"email":"a@example.com"}}]}`},
		{"a next page without a cursor", `{"data":[],"links":{"next":"https://a.klaviyo.com/api/profiles"}}`},
		{"a next page that is this one", `{"data":[],"links":{"next":"https://a.klaviyo.com/api/profiles?page%5Bcursor%5D=here"}}`},
		{"a next page that is no address", `{"data":[],"links":{"next":"http://a b/"}}`},
	} {
		k, _ := canned(t, c.body)
		page, err := k.Streams()[0].Pull(t.Context(), byKey, connector.Request{Size: 100, Cursor: "here"})
		if !connectortest.Impossible(page, err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, body := range []string{`{"data":[]}`, `{"data":[{"id":""}]}`, `{"data":[{"id":"a"},{"id":"b"}]}`} {
		k, _ := canned(t, body)
		if _, err := k.Identify(t.Context(), byKey); connector.Classify(err).Code != connector.CodeBadAnswer {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// The link to the next page is an address, from which nothing but the cursor is taken.
func TestNoAnswerSaysWhereToAskNext(t *testing.T) {
	k, asked := canned(t, `{"data":[],"links":{"next":"https://evil.example/steal?page%5Bcursor%5D=bz0x&admin=1"}}`)
	s := k.Streams()[0]
	page, err := s.Pull(t.Context(), byKey, connector.Request{Size: 100})
	if err != nil || page.Next != "bz0x" {
		t.Fatalf("%+v, %v", page, err)
	}
	if page, err := s.Pull(t.Context(), byKey, connector.Request{Size: 100, Cursor: page.Next}); !connectortest.Impossible(page, err) {
		t.Errorf("the same page for ever: %v", err)
	}
	for _, r := range *asked {
		if r.URL.Path != "/a.klaviyo.com/api/profiles" || r.URL.Query().Has("admin") || r.Header.Get("revision") != klaviyo.Revision || r.Header.Get("Authorization") != "Klaviyo-API-Key pk_demo_1" {
			t.Errorf("asked %s with %v", r.URL, r.Header)
		}
	}
}

func FuzzNextPage(f *testing.F) {
	for _, link := range []string{"", "https://a.klaviyo.com/api/profiles?page%5Bcursor%5D=bz0x", "%", "?page[cursor]=a", "//evil.example/?page[cursor]=%00"} {
		f.Add(link)
	}
	f.Fuzz(func(t *testing.T, link string) {
		text, err := json.Marshal(map[string]any{"data": []any{}, "links": map[string]any{"next": link}})
		if err != nil {
			t.Skip()
		}
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Content-Type", "application/vnd.api+json")
			_, _ = w.Write(text)
		}))
		defer server.Close()
		k := klaviyo.NewConnector(connector.Web{HTTP: server.Client(), Now: time.Now, Hosts: server.URL + "/{host}", Pages: server.URL}, connector.App{})
		cursor := ""
		for range 3 {
			page, err := k.Streams()[0].Pull(t.Context(), byKey, connector.Request{Size: 1, Cursor: cursor})
			if err != nil || page.Next == "" {
				return
			}
			cursor = page.Next
		}
		t.Errorf("%q leads on for ever, after %d requests", link, asked)
	})
}
