package inbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/inbox"
)

const verification = "From: =?utf-8?q?Tandem_Caf=C3=A9?= <noreply@tandem.test>\r\n" +
	"To: ada@example.com\r\n" +
	"Subject: =?utf-8?b?V2lsbGtvbW1lbiDinJM=?=\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=outer\r\n" +
	"\r\n" +
	"--outer\r\n" +
	"Content-Type: multipart/alternative; boundary=inner\r\n" +
	"\r\n" +
	"--inner\r\n" +
	"Content-Type: text/plain; charset=iso-8859-1\r\n" +
	"Content-Transfer-Encoding: quoted-printable\r\n" +
	"\r\n" +
	"Gr=FC=DFe, confirm at http://localhost:8000/verify?token=3Dabc.\r\n" +
	"--inner\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: base64\r\n" +
	"\r\n" +
	"PGgxPkdyw7zDn2U8L2gxPjxzY3JpcHQ+YWxlcnQoMSk8L3NjcmlwdD4=\r\n" +
	"--inner--\r\n" +
	"--outer\r\n" +
	"Content-Type: application/pdf; name=terms.pdf\r\n" +
	"Content-Disposition: attachment; filename=terms.pdf\r\n" +
	"Content-Transfer-Encoding: base64\r\n" +
	"\r\n" +
	"JVBERg==\r\n" +
	"--outer--\r\n"

func TestAMailArrivesAsJSON(t *testing.T) {
	in := open(t, t.TempDir())
	in.send(t, []string{"ada@example.com", "hidden@example.com"}, verification)

	listed := in.list(t, "?to=ADA@example.com")
	if len(listed) != 1 || listed[0].Subject != "Willkommen ✓" || listed[0].From != "Tandem Café <noreply@tandem.test>" ||
		strings.Join(listed[0].To, " ") != "ada@example.com hidden@example.com" || !listed[0].ReceivedAt.Equal(noon.Add(time.Second)) {
		t.Fatalf("list: %+v", listed)
	}
	var m inbox.Message
	in.get(t, "/inbox/messages/"+listed[0].ID, http.StatusOK, &m)
	if want := "Grüße, confirm at http://localhost:8000/verify?token=abc."; m.Text != want {
		t.Errorf("text %q, want %q", m.Text, want)
	}
	if want := "<h1>Grüße</h1><script>alert(1)</script>"; m.HTML != want {
		t.Errorf("HTML %q, want %q", m.HTML, want)
	}
	if len(m.Attachments) != 1 || m.Attachments[0] != (inbox.Attachment{Filename: "terms.pdf", ContentType: "application/pdf", Size: 4}) {
		t.Errorf("attachments: %+v", m.Attachments)
	}
	if got := m.Headers["Subject"]; len(got) != 1 || got[0] != "Willkommen ✓" {
		t.Errorf("subject header: %q", got)
	}
}

func TestATextMessageArrivesLikeAMail(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir)
	const number, text = "+441632960000", "123456 ist Ihr Code für heute.\n\n@localhost #123456"
	for name, refused := range map[string]struct {
		to, text, site string
		status         int
	}{
		"no number":           {"", text, "", http.StatusBadRequest},
		"a header of its own": {"+4416329\r\nX: y", text, "", http.StatusBadRequest},
		"a name":              {"ada", text, "", http.StatusBadRequest},
		"too long":            {number, strings.Repeat("x", 4097), "", http.StatusRequestEntityTooLarge},
		"another site's page": {number, text, "cross-site", http.StatusForbidden},
	} {
		if got := in.text(refused.to, refused.text, refused.site); got != refused.status {
			t.Errorf("%s: status %d, want %d", name, got, refused.status)
		}
	}
	if got := in.text(number, text, ""); got != http.StatusNoContent {
		t.Fatalf("status %d, want %d", got, http.StatusNoContent)
	}
	for _, in := range []testInbox{in, open(t, dir)} { // the second after a restart
		listed := in.list(t, "?to=%2B441632960000")
		if len(listed) != 1 || listed[0].From != "SMS" || listed[0].Subject != "123456 ist Ihr Code für heute. @localhost #123456" {
			t.Fatalf("list: %+v", listed)
		}
		var m inbox.Message
		in.get(t, "/inbox/messages/"+listed[0].ID, http.StatusOK, &m)
		if m.Text != text || m.HTML != "" {
			t.Errorf("text %q, HTML %q; want %q", m.Text, m.HTML, text)
		}
		if page := in.page(t, "/inbox/mail/"+listed[0].ID).Body.String(); !strings.Contains(page, "&#43;441632960000") {
			t.Errorf("the page does not show the number: %s", page)
		}
	}
}

// text posts a text message and is the status of the answer.
func (in testInbox) text(to, text, site string) int {
	r := httptest.NewRequest(http.MethodPost, "/inbox/sms", strings.NewReader(text))
	r.Header["To"] = []string{to}
	if site != "" {
		r.Header.Set("Sec-Fetch-Site", site)
	}
	w := httptest.NewRecorder()
	in.handler.ServeHTTP(w, r)
	return w.Code
}

func TestListingNewestFirst(t *testing.T) {
	in := open(t, t.TempDir())
	for i := range 4 {
		in.send(t, []string{fmt.Sprintf("u%d@example.com", i%2)}, fmt.Sprintf("Subject: mail %d\r\n\r\nhello", i))
	}
	for query, want := range map[string]string{
		"":                           "mail 3,mail 2,mail 1,mail 0",
		"?limit=2":                   "mail 3,mail 2",
		"?to=u0@example.com":         "mail 2,mail 0",
		"?to=u1@example.com&limit=1": "mail 3",
		"?to=nobody@example.com":     "",
	} {
		var subjects []string
		for _, summary := range in.list(t, query) {
			subjects = append(subjects, summary.Subject)
		}
		if got := strings.Join(subjects, ","); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=501", "?limit=ten"} {
		in.get(t, "/inbox/messages"+query, http.StatusBadRequest, nil)
	}
}

func TestMailsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	first.send(t, []string{"ada@example.com"}, verification)
	before := first.list(t, "")
	// What a kill in the middle of a write leaves is not a mail.
	if err := os.WriteFile(filepath.Join(dir, ".incoming-1"), []byte(`{"rec`), 0o600); err != nil {
		t.Fatal(err)
	}
	after := open(t, dir).list(t, "")
	if len(after) != 1 || after[0].ID != before[0].ID || after[0].Subject != before[0].Subject || !after[0].ReceivedAt.Equal(before[0].ReceivedAt) {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestTheOldestMailGoes(t *testing.T) {
	dir := t.TempDir()
	in := open(t, dir)
	for i := range kept + 1 {
		in.send(t, []string{"ada@example.com"}, fmt.Sprintf("Subject: mail %d\r\n\r\n", i))
	}
	listed := in.list(t, "")
	files, err := filepath.Glob(filepath.Join(dir, "*.mail"))
	if err != nil {
		t.Fatal(err)
	}
	if len(listed) != kept || listed[len(listed)-1].Subject != "mail 1" || len(files) != kept {
		t.Errorf("%d mails and %d files, want %d; oldest %q", len(listed), len(files), kept, listed[len(listed)-1].Subject)
	}
}

func TestClearing(t *testing.T) {
	in := open(t, t.TempDir())
	for name, clear := range map[string]struct {
		method, path, origin string
		status, left         int
	}{
		"another site's page": {http.MethodPost, "/inbox/clear", "cross-site", http.StatusForbidden, 1},
		"the page's button":   {http.MethodPost, "/inbox/clear", "same-origin", http.StatusSeeOther, 0},
		"a test":              {http.MethodDelete, "/inbox/messages", "", http.StatusNoContent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in.send(t, []string{"ada@example.com"}, verification)
			request := httptest.NewRequest(clear.method, clear.path, nil)
			if clear.origin != "" {
				request.Header.Set("Sec-Fetch-Site", clear.origin)
			}
			answer := httptest.NewRecorder()
			in.handler.ServeHTTP(answer, request)
			if left := in.list(t, ""); answer.Code != clear.status || (len(left) > 0) != (clear.left > 0) {
				t.Errorf("status %d, want %d; %d mails left", answer.Code, clear.status, len(left))
			}
			if err := in.store.Clear(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestThePage(t *testing.T) {
	in := open(t, t.TempDir())
	if page := in.page(t, "/inbox"); !strings.Contains(page.Body.String(), "No mail yet") {
		t.Errorf("the empty page: %s", page.Body)
	}
	in.send(t, []string{"ada@example.com"}, strings.Replace(verification, "=?utf-8?b?V2lsbGtvbW1lbiDinJM=?=", "<b>bold</b>", 1))
	id := in.list(t, "")[0].ID

	list := in.page(t, "/inbox").Body.String()
	if !strings.Contains(list, "&lt;b&gt;bold&lt;/b&gt;") || strings.Contains(list, "<b>bold") || !strings.Contains(list, "/inbox/mail/"+id) {
		t.Errorf("the list: %s", list)
	}
	page := in.page(t, "/inbox/mail/"+id)
	for _, want := range []string{
		`<a href="http://localhost:8000/verify?token=abc"`, "terms.pdf (application/pdf, 4 bytes)",
		`sandbox="allow-popups allow-popups-to-escape-sandbox"`, "noreply@tandem.test",
	} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the message's page lacks %s:\n%s", want, page.Body)
		}
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
	html := in.page(t, "/inbox/mail/"+id+"/html")
	if policy := html.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "sandbox") || strings.Contains(policy, "allow-scripts") {
		t.Errorf("the mail's HTML may do something: %q", policy)
	}
	if !strings.HasSuffix(html.Body.String(), "<h1>Grüße</h1><script>alert(1)</script>") {
		t.Errorf("the mail's HTML: %s", html.Body)
	}
	if found := in.page(t, "/inbox?to=eve@example.com").Body.String(); !strings.Contains(found, "No mail to eve@example.com") {
		t.Errorf("the page of a recipient without mails: %s", found)
	}
}

func TestAnUnknownMessage(t *testing.T) {
	in := open(t, t.TempDir())
	for _, path := range []string{"/inbox/messages/none", "/inbox/mail/none", "/inbox/mail/none/html", "/inbox/messages/..%2f..%2fsecrets"} {
		in.get(t, path, http.StatusNotFound, nil)
	}
}

func TestWhatIsNoMailShowsAsItCame(t *testing.T) {
	in := open(t, t.TempDir())
	for raw, want := range map[string]string{
		"no header at all": "no header at all",
		"Content-Type: text/plain; charset=klingon\r\n\r\nplain":                           "plain",
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\ncut sho":              "cut sho",
		"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=!!!": "hello",
		"Content-Type: ;;;\r\n\r\nstill there":                                             "still there",
	} {
		if err := in.store.Add("a@b.c", []string{"d@e.f"}, []byte(raw)); err != nil {
			t.Fatal(err)
		}
		var m inbox.Message
		in.get(t, "/inbox/messages/"+in.list(t, "?limit=1")[0].ID, http.StatusOK, &m)
		if !strings.Contains(m.Text, want) {
			t.Errorf("%q shows as %q, want %q", raw, m.Text, want)
		}
	}
}

func FuzzAdd(f *testing.F) {
	f.Add([]byte(verification))
	f.Add([]byte("Content-Type: multipart/x; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/x; boundary=a\r\n\r\n--a--"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := open(t, dir)
		if err := in.store.Add("from@example.com", []string{"to@example.com"}, raw); err != nil {
			t.Fatal(err)
		}
		m, err := in.store.Get(in.store.List("", 1)[0].ID)
		if err != nil || len(m.To) != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
		if _, err := json.Marshal(m); err != nil {
			t.Fatal(err)
		}
	})
}

// kept is how many mails the tests' inbox holds.
const kept = 20

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

type testInbox struct {
	store   *inbox.Store
	handler http.Handler
	smtp    string
}

// open starts an inbox whose clock moves a second with each mail.
func open(t testing.TB, dir string) testInbox {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	clock, ids := noon, time.Now().UnixNano()
	store, err := inbox.OpenStore(inbox.StoreOptions{
		Dir: dir, Keep: kept,
		Now:   func() time.Time { clock = clock.Add(time.Second); return clock },
		NewID: func() string { ids++; return fmt.Sprintf("m%020d", ids) },
	})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := inbox.Handler(store, log)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	server, err := inbox.Serve(address, store, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stop SMTP: %v", err)
		}
	})
	return testInbox{store, handler, address}
}

func (in testInbox) send(t *testing.T, to []string, raw string) {
	t.Helper()
	if err := smtp.SendMail(in.smtp, nil, "bounces@tandem.test", to, []byte(raw)); err != nil {
		t.Fatalf("send: %v", err)
	}
}

func (in testInbox) list(t *testing.T, query string) []inbox.Summary {
	t.Helper()
	var answer struct{ Messages []inbox.Summary }
	in.get(t, "/inbox/messages"+query, http.StatusOK, &answer)
	return answer.Messages
}

func (in testInbox) get(t *testing.T, path string, status int, into any) {
	t.Helper()
	answer := in.page(t, path)
	if answer.Code != status {
		t.Fatalf("GET %s: status %d, want %d: %s", path, answer.Code, status, answer.Body)
	}
	if status >= 400 && answer.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("GET %s: %s is no problem", path, answer.Header().Get("Content-Type"))
	}
	if into != nil {
		if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
			t.Fatalf("GET %s: %v: %s", path, err, answer.Body)
		}
	}
}

func (in testInbox) page(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	in.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer
}
